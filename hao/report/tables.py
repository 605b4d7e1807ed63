"""Tables that a person reads, and the same figures as JSON values.

Plain text, at most `WIDTH` columns, the same on a terminal and in a file. Frame rates
and latencies are predictions of the cost model at batch 1, accuracies of the drop
table, power is a coarse estimate, and all say so.
"""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from hao.answer.front import FrontPoint
from hao.cost.evaluate import CostReport, InvocationCost
from hao.cost.uncertainty import AREA_ERROR_PERCENT
from hao.engine.stages import Engine
from hao.hw.board import Board
from hao.ir.change import densities_of, kept_channels, left_out, replaced
from hao.program.solver import Status
from hao.report.evidence import (
    basis_in_words,
    basis_json,
    ranked_in_words,
    unknown_in_words,
)
from hao.report.goal import (
    bound_in_words,
    channels_in_words,
    left_out_in_words,
    pruned_in_words,
    replaced_in_words,
    smallest_in_words,
    unproven_in_words,
)
from hao.report.margins import (
    low_end_in_words,
    margins_json,
    risk_in_words,
    spare_in_words,
    speed_in_words,
    starts_in_words,
)
from hao.report.result import SearchResult
from hao.report.watts import power_in_words, power_json
from hao.report.words import (
    bits_in_words,
    count_in_words,
    engine_in_words,
    named_in_words,
    start_in_words,
)
from hao.text import WIDTH, clipped, decimal, plain, text_table

KINDS = {"dsp": "DSP", "bram_18k": "BRAM18", "uram": "URAM", "lut": "LUT", "ff": "FF"}
PATHS = ("dense", "depthwise", "pointwise", "ifm", "ofm", "residual")
"""Paths of an invocation, in the order of the columns."""


def render_summary(result: SearchResult) -> str:
    """Return what was found, what it costs, what binds and how it is proven."""
    board, cost = result.design.board, result.cost
    unproven, over = unproven_in_words(result), excess_in_words(board, cost)
    lines = [
        *([] if unproven is None else [_field("NOT PROVEN", unproven), ""]),
        design_title(result),
        "",
        *(_field(name, words) for name, words in answer_rows(result)),
        "",
        text_table(RESOURCE_HEAD, resource_rows(board, cost), left={0}),
        *([] if over is None else [f"DOES NOT FIT: {over}"]),
        "",
        *_engine_lines(result.design.engine),
        "",
        *_roofline_lines(board, cost),
        "",
        *(_field(name, words) for name, words in proof_rows(result)),
    ]
    return "\n".join(lines) + "\n"


def answer_rows(result: SearchResult) -> list[tuple[str, str]]:
    """Return what was found in words, each with its name and what it rests on."""
    rows = [
        *_accuracy_rows(result),
        ("speed", speed_in_words(result)),
        ("faster", starts_in_words(result)),
        ("low end", low_end_in_words(result)),
        ("to spare", spare_in_words(result)),
        ("at risk", risk_in_words(result)),
        ("power", power_in_words(result)),
        ("made least", smallest_in_words(result)),
        ("constants", result.design.board.calibration.summary),
        ("bits", bits_in_words(result.design)),
        ("left out", left_out_in_words(result)),
        ("channels", channels_in_words(result)),
        ("pruned", pruned_in_words(result)),
        ("replaced", replaced_in_words(result)),
    ]
    return [(name, words) for name, words in rows if words is not None]


def design_title(result: SearchResult) -> str:
    """Return network, board and clock, as headings name a design."""
    board = result.design.board
    return f"{label(result)} on {plain(board.title)} at {board.clock_mhz:g} MHz"


def label(result: SearchResult) -> str:
    """Return the network with its image size."""
    return plain(result.design.network.label)


def render_invocations(result: SearchResult) -> str:
    """Return a table of the invocations: work, cycles of every path, what binds.

    `period` runs from the start of one invocation to the start of the next, `load` is
    the time to load its own weights, `use` the share of all multipliers' cycles in it
    that hold a useful product.
    """
    cost = result.cost
    longest = max(item.period_cycles for item in cost.invocations)
    unit, counted = (1, "cycles") if longest < 10**6 else (1000, "thousand cycles")
    head = [
        *("invocation", "MMAC", "tiles", "period", "dense", "depthw", "pointw"),
        *("ifm", "ofm", "resid", "load", "use %", "binds"),
    ]
    rows = [
        invocation_row(item, cost.multipliers, unit=unit) for item in cost.invocations
    ]
    table = text_table(head, rows, left={0, len(head) - 1})
    return (
        f"{table}\nTimes in {counted}; {start_in_words(cost.frames)} takes "
        f"{_cycles(cost.latency_cycles, unit)}, of which "
        f"{_cycles(cost.first_load_cycles, unit)} before the first invocation.\n"
    )


def invocation_row(
    item: InvocationCost, multipliers: int, *, unit: int = 1, most: int = 40
) -> tuple[str, ...]:
    """Return an invocation as a row: times in `unit` cycles, at most `most` letters."""
    share = item.macs / max(1, item.period_cycles * multipliers)
    paths = [item.path_cycles.get(name) for name in PATHS]
    return (
        clipped(plain(item.name), most),
        f"{item.macs / 1e6:.1f}",
        str(item.tiles),
        _cycles(item.period_cycles, unit),
        *("-" if cycles is None else _cycles(cycles, unit) for cycles in paths),
        _cycles(item.load_cycles, unit),
        f"{100 * share:.0f}",
        item.binding,
    )


def render_front(points: Sequence[FrontPoint]) -> str:
    """Return the points of a front as a table, in their order."""
    head = [
        *("network", "top-1 %", "90 % interval", "ranked", "frames/s", "ms", "fps/W"),
        *("bits", "rests on", "proof"),
    ]
    note = (
        "Predicted, batch 1. Milliseconds are the engine's, without what the host adds "
        "one frame at a time. Ranked: top-1 as the search reckons with it, or what the "
        "bits cost, negated, where the float top-1 is unknown. Rests on: whether the "
        "network itself was measured with the recipe at these bits, or its family "
        "(docs/accuracy.md). fps/W: frames/s per watt of the board, a coarse estimate."
    )
    table = text_table(head, front_rows(points), left={0, len(head) - 2, len(head) - 1})
    return f"{table}\n{textwrap.fill(note, WIDTH)}\n"


def front_rows(
    points: Sequence[FrontPoint], *, most: int = 36
) -> list[tuple[str, ...]]:
    """Return the points of a front as rows of a table, names of `most` letters."""
    return [
        (
            clipped(plain(point.network), most),
            "unknown" if point.accuracy is None else f"{point.accuracy.mean:.2f}",
            "-"
            if point.accuracy is None
            else f"{point.accuracy.low:.1f} to {point.accuracy.high:.1f}",
            f"{point.ranked:.2f}",
            f"{point.fps:.1f}",
            decimal(point.latency_ms),
            "-" if point.fps_per_watt is None else f"{point.fps_per_watt:.1f}",
            f"{point.mean_bits:.2f}",
            "-" if point.basis is None else point.basis.evidence.value,
            point.status.value,
        )
        for point in points
    ]


def result_json(result: SearchResult, *, seconds: float | None) -> dict[str, object]:
    """Return the figures of a result as plain JSON values.

    Args:
        result: What was found.
        seconds: Wall-clock time that it took [s], if known.
    """
    design, cost, proof = result.design, result.cost, result.proof
    accuracy = result.accuracy
    bits = Counter(design.weight_bits[n.name] for n in design.network.compute_layers)
    return {
        "network": design.network.name,
        "image_size": result.image_size,
        "board": design.board.name,
        "clock_mhz": design.board.clock_mhz,
        "calibration_reports": design.board.calibration.reports,
        "objective": result.objective.value,
        "fps_asked": result.fps_asked,
        "top1": None if accuracy is None else round(accuracy.mean, 4),
        "top1_low": None if accuracy is None else round(accuracy.low, 4),
        "top1_high": None if accuracy is None else round(accuracy.high, 4),
        "float_top1": result.float_top1,
        "float_source": None if result.float_top1 is None else result.float_source,
        "evidence": result.evidence.value,
        **basis_json(result),
        "out_of_range": result.out_of_range,
        "fps": round(cost.fps, 4),
        "latency_ms": round(cost.latency_ms, 6),
        "latency_cycles": cost.latency_cycles,
        "resources": {kind: cost.resources.as_dict()[kind] for kind in KINDS},
        "utilisation": result.utilisation,
        "fits": cost.resources <= design.board.usable,
        "bits": {str(width): bits[width] for width in sorted(bits)},
        "act_bits": design.engine.act_bits,
        "left_out": list(left_out(design.scheme)),
        "replaced": {
            name: [change.operation, change.weight_bits]
            for name, change in replaced(design.scheme).items()
        },
        "block_points": result.block_points,
        "channels": {
            name: len(kept) for name, kept in kept_channels(design.scheme).items()
        },
        "densities": densities_of(design.scheme),
        "engine": engine_in_words(design.engine),
        "bottleneck": cost.bottleneck,
        "efficiency": round(cost.efficiency, 4),
        **margins_json(result),
        **power_json(result),
        "macs": cost.macs,
        "multipliers": cost.multipliers,
        "status": proof.status.name.lower(),
        "gap": proof.gap,
        "bound": proof.bound,
        "not_excluded": list(proof.open),
        "solver": proof.solver.value,
        "solver_reason": proof.solver_reason,
        "variables": proof.variables,
        "constraints": proof.constraints,
        "engines_priced": proof.priced,
        "candidates": proof.candidates,
        "front_points": len(result.front),
        "others": [result_json(other, seconds=None) for other in result.others],
        "seconds": None if seconds is None else round(seconds, 3),
        "run": None if result.run is None else str(result.run),
    }


def _accuracy_rows(result: SearchResult) -> list[tuple[str, str]]:
    if result.accuracy is None or result.float_top1 is None:
        why = unknown_in_words(result.design.network.name)
        return [("top-1", f"unknown: {why}; `hao quantize` measures it")]
    accuracy = result.accuracy
    beyond = "; outside the measured bits" if result.out_of_range else ""
    if left_out(result.design.scheme):
        beyond += "; for blocks left out, on the points that were given for each"
    source = f" ({plain(result.float_source)})" if result.float_source else ""
    return [
        (
            "top-1",
            f"{accuracy.mean:.2f} % (predicted; 90 % interval {accuracy.low:.2f} to "
            f"{accuracy.high:.2f}{ranked_in_words(result)})",
        ),
        ("rests on", f"{basis_in_words(result)}{beyond}"),
        ("float top-1", f"{result.float_top1:.2f} %{source}"),
    ]


RESOURCE_HEAD = ("resource", "used", "usable", "device", "of device", "error")
"""Columns of `resource_rows`."""


def resource_rows(board: Board, cost: CostReport) -> list[tuple[str, ...]]:
    """Return what a design takes of each kind of block that the device has."""
    used, usable = cost.resources.as_dict(), board.usable.as_dict()
    device = board.resources.as_dict()
    return [
        (
            name,
            str(used[kind]),
            str(usable[kind]),
            str(device[kind]),
            f"{100 * used[kind] / device[kind]:.1f} %",
            f"+-{AREA_ERROR_PERCENT} %" if kind in ("lut", "ff") else "by rule",
        )
        for kind, name in KINDS.items()
        if device[kind]
    ]


def excess_in_words(board: Board, cost: CostReport) -> str | None:
    """Return what a design takes beyond what it may use; `None` if it fits."""
    over = cost.resources.shortfall(board.usable)
    words = ", ".join(f"{count} {KINDS[kind]}" for kind, count in over.items())
    return f"{words} more than usable" if over else None


def _engine_lines(engine: Engine) -> list[str]:
    lines = [
        _field(name, "absent" if words is None else words)
        for name, words in engine_in_words(engine).items()
    ]
    extras = [
        "weights of the next invocation load meanwhile"
        if engine.double_buffered
        else "weights load between invocations",
        *(["adds residuals"] if engine.residual else []),
    ]
    return [*lines, _field("engine", "; ".join(extras))]


def roofline_ms(board: Board, cost: CostReport) -> tuple[float, float]:
    """Return what a start takes with all multipliers or the DDR busy all the time."""
    ideal = cost.macs / max(1, cost.multipliers) / board.clock_khz
    return ideal, cost.ddr_bytes / board.ddr_kbytes_per_s


def _roofline_lines(board: Board, cost: CostReport) -> list[str]:
    ideal, transfer = (each / cost.frames for each in roofline_ms(board, cost))
    millions = cost.frame_macs / 1e6
    macs = f"{millions:.1f}" if millions >= 1 else decimal(millions)
    shares = ", ".join(
        f"{name} {100 * cycles / cost.latency_cycles:.0f} %"
        for name, cycles in cost.binding_cycles.items()
    )
    return [
        _field(
            "efficiency",
            f"{100 * cost.efficiency:.1f} %: {cost.macs / cost.latency_cycles:.1f} of "
            f"{cost.multipliers} products a cycle; {macs} million MACs",
        ),
        _field(
            "roofline",
            f"{decimal(ideal)} ms at 100 % of the multipliers; {decimal(transfer)} ms "
            f"for {decimal(cost.frame_ddr_bytes / 1e6)} MB over DDR",
        ),
        _field("binds", f"{shares} (of {start_in_words(cost.frames)})"),
    ]


def proof_rows(result: SearchResult) -> list[tuple[str, str]]:
    """Return how far the answer is proven and what was considered, with names."""
    proof = result.proof
    match proof.status:
        case Status.OPTIMAL:
            claim = "optimal"
        case Status.WITHIN:
            claim = f"{proof.status.value}: {bound_in_words(result)}"
        case Status.LIMIT:
            claim = f"stopped at the {proof.status.value}, gap {100 * proof.gap:.2f} %"
        case _:
            assert_never(proof.status)
    return [
        (
            "proof",
            f"{claim} ({proof.solver.value}: {proof.variables} variables, "
            f"{proof.constraints} constraints, {proof.nodes} nodes"
            + (f"; not gurobi: {proof.solver_reason})" if proof.solver_reason else ")"),
        ),
        (
            "considered",
            f"{count_in_words(proof.priced, 'engine')} priced; "
            f"{count_in_words(proof.candidates, 'network')}, {proof.solved} solved"
            + (", the others bounded" if proof.solved < proof.candidates else "")
            + (f"; not excluded: {named_in_words(proof.open)}" if proof.open else ""),
        ),
    ]


def _field(name: str, value: str) -> str:
    return textwrap.fill(
        value,
        WIDTH,
        initial_indent=f"{name:<12} ",
        subsequent_indent=" " * 13,
        break_on_hyphens=False,
    )


def _cycles(cycles: int, unit: int) -> str:
    return str(cycles) if unit == 1 else f"{cycles / unit:.1f}"
