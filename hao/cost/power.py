"""How much power a board takes while it runs a design: coarse, with a wide interval.

    power = idle + clock tree + activity x (LUT, FF, BRAM, DSP) + DDR

`idle` is what the whole board takes without a design at work, from the board file. The
clock tree runs always. Everything else switches while multipliers hold products that
count: activity is `CostReport.efficiency`. An energy per block and cycle times count
and clock gives power; bytes over DDR cost energy each. Frames follow one another, as
they do for `CostReport.fps`.

The energies are those of 16 nm devices (UltraScale+) and were not fitted: six published
rows, whose idle power and activity mostly are not printed, do not carry a fit
(docs/power.md has it, and what leaving one row out does to it). The interval is that of
these rows about the formula. Temperature, voltage, toggle rates, bits and what the
processor does are not in it.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

from hao.cost.evaluate import CostReport
from hao.hw.board import Board, DspType
from hao.hw.resources import Resources

CLOCK_FJ = 21
"""Clock tree, for every flip-flop and cycle [fJ].

Source: derived from a Vivado power report of an XCU50 design at 180 MHz, the same 16 nm
fabric (github.com/cyansemi/csre-demo-v1, README.md, "Utilizaiton and Power"):
2.464 W of clocks, 665,852 registers. Without simulated activity; shell included.
"""

FF_FJ = 1
"""A flip-flop in an active cycle [fJ].

Source: derived from the report named at `CLOCK_FJ`: 0.137 W, 665,852 registers.
"""

LUT_FJ = 56
"""A LUT and the nets behind it in an active cycle [fJ].

Source: derived from the report named at `CLOCK_FJ`: 1.757 W of logic without registers
and 3.132 W of signals; 488,068 LUTs as logic, memory and shift registers.
"""

BRAM_18K_FJ = 10_300
"""Half a block RAM in an active cycle [fJ].

Source: derived from the report named at `CLOCK_FJ`: 1.532 W, 412.5 block RAMs of 36 Kb.
"""

URAM_FJ = 4 * BRAM_18K_FJ
"""A URAM block in an active cycle [fJ].

Source: assumed: its words are twice as wide as those of a block RAM of 36 Kb.
"""

DSP_FJ = 4_000
"""A DSP slice in an active cycle [fJ].

Source: assumed. A multiplication of 32 bits takes 3.1 pJ at 45 nm (Horowitz, ISSCC
2014); 27 x 18 bits at 16 nm less, the adder and four ranks of registers the rest.
"""

DDR_PJ_PER_BYTE = 160
"""A byte between the fabric and DDR, either way [pJ].

Source: 13 to 14 pJ a bit in simulated LPDDR4 (H. Ha, thesis, Stanford, as listed in
github.com/Dongyunkam/DRAM_info), taken as 20 for what controller, PHY and interconnect
add: assumed. DDR4 is priced alike.
"""

LOW_PERCENT = 60
"""Lower end of the interval [percent of the estimate].

Source: published rows, the lowest at 63 % (FracBNN on CIFAR-10): docs/power.md;
tests/cost/test_power.py checks that every row lies inside.
"""

HIGH_PERCENT = 175
"""Upper end of the interval [percent of the estimate].

Source: published rows, the highest at 174 % (FINN-R CNV-6); checked like `LOW_PERCENT`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Power of a board with a design at work, by where it goes [mW].

    Attributes:
        idle_mw: The board without a design at work.
        clock_mw: Clock tree of the design.
        logic_mw: LUTs, flip-flops and nets.
        bram_mw: Block RAM and URAM.
        dsp_mw: DSP slices.
        ddr_mw: Bytes over DDR.
    """

    idle_mw: int
    clock_mw: int
    logic_mw: int
    bram_mw: int
    dsp_mw: int
    ddr_mw: int

    @property
    def fabric_mw(self) -> int:
        """Return what the design takes on the device, without DDR [mW]."""
        return self.clock_mw + self.logic_mw + self.bram_mw + self.dsp_mw

    @property
    def total_mw(self) -> int:
        """Return the power of the board [mW]."""
        return self.idle_mw + self.fabric_mw + self.ddr_mw

    def per_watt(self, fps: float) -> float:
        """Return frames per second for each watt of the board."""
        return 1000 * fps / self.total_mw

    @property
    def low_mw(self) -> int:
        """Return the lower end of the interval [mW]."""
        return self.total_mw * LOW_PERCENT // 100

    @property
    def high_mw(self) -> int:
        """Return the upper end of the interval [mW]."""
        return self.total_mw * HIGH_PERCENT // 100


def estimate_power(report: CostReport, board: Board) -> Power | None:
    """Return the power of the board while it runs a design without a pause.

    Args:
        report: What the design costs on `board`.
        board: Where it runs.

    Returns:
        `None` where `why_no_power` has a reason.
    """
    if board.idle_mw is None or why_no_power(board) is not None:
        return None
    # pJ in a frame x frames/s: 1000 x kHz / cycles frames, 10^9 pJ/s in a mW.
    ddr_mw = Fraction(
        report.ddr_bytes * DDR_PJ_PER_BYTE * report.clock_khz,
        10**6 * report.latency_cycles,
    )
    return design_power(
        report.resources,
        idle_mw=board.idle_mw,
        clock_khz=report.clock_khz,
        activity=Fraction(
            report.macs, max(1, report.latency_cycles * report.multipliers)
        ),
        ddr_mw=round(ddr_mw),
    )


def why_no_power(board: Board) -> str | None:
    """Return why the power of a board is not estimated, or `None` if it is."""
    if board.idle_mw is None:
        return "the board file gives no idle power"
    match board.dsp_type:
        case DspType.DSP48E1:
            return "the energies are of 16 nm, not of devices with DSP48E1"
        case DspType.DSP48E2:
            return None
        case _:
            assert_never(board.dsp_type)


def design_power(
    resources: Resources,
    *,
    idle_mw: int,
    clock_khz: int,
    activity: Fraction,
    ddr_mw: int,
) -> Power:
    """Return the power of blocks at a clock, beside that of board and DDR.

    Args:
        resources: Blocks in use.
        idle_mw: The board without a design at work [mW].
        clock_khz: Clock [kHz].
        activity: Share of the cycles in which blocks switch, 0 to 1.
        ddr_mw: Power of the transfers [mW].
    """
    r = resources
    active_khz = clock_khz * activity
    return Power(
        idle_mw=idle_mw,
        clock_mw=_mw(r.ff * CLOCK_FJ, Fraction(clock_khz)),
        logic_mw=_mw(r.lut * LUT_FJ + r.ff * FF_FJ, active_khz),
        bram_mw=_mw(r.bram_18k * BRAM_18K_FJ + r.uram * URAM_FJ, active_khz),
        dsp_mw=_mw(r.dsp * DSP_FJ, active_khz),
        ddr_mw=ddr_mw,
    )


def _mw(energy_fj: int, khz: Fraction) -> int:
    # 1 fJ x 1 kHz = 10^-12 W = 10^-9 mW.
    return round(energy_fj * khz / 10**9)
