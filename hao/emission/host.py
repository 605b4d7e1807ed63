"""What the side of the processor is told: maps in memory, codes of frames, addresses.

The drivers, the block design and the device-tree overlay are rendered from these, so
that they agree on where things are.
"""

from itertools import accumulate

from hao.cost.evaluate import CostReport
from hao.cost.memory import store_bits
from hao.emission.arena import StoredMap
from hao.emission.steps import Table
from hao.engine.design import Design
from hao.hw.board import Family
from hao.intmath import ceil_div
from hao.ir.integer import IntegerNetwork
from hao.ir.passes import DIGIT_BITS, FRAME_BITS, frame_planes
from hao.ir.tensor import Rounding

LINUX_PAGE_BYTES = 4096
"""What arenas and weights of the C++ host program begin at: a page of Linux."""

FRAMES_IN_FLIGHT = 2
"""Arenas that the device-tree overlay makes room for; the drivers' default."""


FAMILY_WORDS = {Family.ZYNQ_ULTRASCALE: "zynqmp", Family.ZYNQ_7000: "zynq7000"}
"""What the templates call a family; it sets the processor of the design."""


def feature_map(
    stored: StoredMap, design: Design, net: IntegerNetwork, *, output: bool = False
) -> dict[str, object]:
    """Return where the input or the output lies, and what its bytes mean."""
    port = design.board.port_bytes
    layer = design.network.output if output else design.network.input
    name = design.segments[-1].invocation.output_name if output else layer.name
    kind = net.maps[name]
    planes = 1 if output else frame_planes(design.network)
    return {
        "base": stored.base,
        "beats": stored.beats,
        "offset_bytes": stored.base * port,
        "bytes": stored.beats * port,
        "channels": stored.shape.channels // planes,
        "planes": planes,
        "height": stored.shape.height,
        "width": stored.shape.width,
        "pixel_channels": stored.pixel_channels,
        "row_bytes": stored.row_beats * port,
        "bits": design.engine.act_bits if planes == 1 else FRAME_BITS,
        "digit_bits": DIGIT_BITS,
        "act_bits": design.engine.act_bits,
        "store_bits": store_bits(design.engine.act_bits),
        "signed": kind.quant.signed,
        "exponent": kind.exponent,
    }


ROUNDED = {
    Rounding.HALF_EVEN: ("np.rint(values)", "std::nearbyint(value)"),
    Rounding.HALF_ODD: ("np.rint(values + 1) - 1", "std::nearbyint(value + 1) - 1"),
    Rounding.HALF_UP: ("np.floor(values + 0.5)", "std::floor(value + 0.5)"),
    Rounding.HALF_AWAY: (
        "np.sign(values) * np.floor(np.abs(values) + 0.5)",
        "std::copysign(std::floor(std::fabs(value) + 0.5), value)",
    ),
    Rounding.CEIL: ("np.ceil(values)", "std::ceil(value)"),
    Rounding.FLOOR: ("np.floor(values)", "std::floor(value)"),
    Rounding.TO_ZERO: ("np.trunc(values)", "std::trunc(value)"),
}
"""How the drivers round, in NumPy and C++; as `hao.ir.interpret.round_values`."""


def frame_coding(design: Design, net: IntegerNetwork) -> dict[str, object] | None:
    """Return how the driver makes codes of a frame, or `None` where it is not known."""
    kind = net.maps[design.network.input.name]
    if net.frame is None and kind.exponent is None:
        return None
    coding = net.coding
    numpy, cpp = ROUNDED[coding.rounding]
    return {
        "gain": list(coding.gain),
        "offset": list(coding.offset),
        "rounding": coding.rounding.name.lower().replace("_", " "),
        "expression": numpy,
        "cpp": cpp,
        "low": kind.low,
        "high": kind.high,
    }


_CONTROL = {Family.ZYNQ_ULTRASCALE: 0xA000_0000, Family.ZYNQ_7000: 0x43C0_0000}
"""Where the core's registers begin: in what M_AXI_HPM0_FPD and M_AXI_GP0 reach.

Sources: UG1085, system addresses; UG585, address map.
"""

_INTERRUPT = {Family.ZYNQ_ULTRASCALE: 89, Family.ZYNQ_7000: 29}
"""Shared peripheral interrupt of the first line from the fabric, in device trees.

That is its number in the interrupt controller less 32 (UG1085: 121; UG585: 61).
"""

_MEMORY_PORTS = {Family.ZYNQ_ULTRASCALE: (0, 3, 1, 2), Family.ZYNQ_7000: (0, 2, 1, 3)}
"""S_AXI_HP ports in the order of use: those that share a port of the DDR come last.

Sources: UG1085, PL-PS interfaces (HP1 and HP2 share one); UG585, AXI_HP interfaces (HP0
and HP1 share one, HP2 and HP3 the other).
"""

_WIDTH_CODES = {
    Family.ZYNQ_ULTRASCALE: {16: 0, 8: 1, 4: 2},
    Family.ZYNQ_7000: {8: 0, 4: 1},
}
"""Width of a memory port [bytes] as its AFI register has it.

Sources: bindings `xlnx,afi-fpga` and `xlnx,zynq-afi-fpga` of Xilinx' Linux.
"""


def system_side(design: Design, table: Table) -> dict[str, object]:
    """Return addresses, interrupt and ports that block design and overlay share."""
    board = design.board
    control = _CONTROL[board.family]
    arena = LINUX_PAGE_BYTES * ceil_div(
        table.arena.beats * board.port_bytes, LINUX_PAGE_BYTES
    )
    weights = LINUX_PAGE_BYTES * ceil_div(len(table.weights), LINUX_PAGE_BYTES)
    return {
        "control": f"{control:#x}",
        "control_digits": f"{control:x}",
        "clock_hz": 1000 * board.clock_khz,
        "interrupt": _INTERRUPT[board.family],
        "hp": list(_MEMORY_PORTS[board.family]),
        "width": _WIDTH_CODES[board.family].get(board.port_bytes, 0),
        "memory_bytes": weights + FRAMES_IN_FLIGHT * arena,
    }


def invocation_steps(cost: CostReport) -> list[dict[str, object]]:
    """Return which steps of the table belong to each invocation, in order.

    Weights that load before anything runs are the first entry, where they are not
    priced with an invocation.
    """
    rows = [(each.name, each.steps, each.period_cycles) for each in cost.invocations]
    if cost.first_load_cycles:
        rows.insert(0, ("first load", 1, cost.first_load_cycles))
    ends = accumulate(steps for _, steps, _ in rows)
    return [
        {"name": name, "first": end - steps, "steps": steps, "cycles": cycles}
        for end, (name, steps, cycles) in zip(ends, rows, strict=True)
    ]
