"""Power: by hand, laws, refusals, and the published rows inside the interval."""

import csv
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.evaluate import CostReport, InvocationCost
from hao.cost.power import (
    HIGH_PERCENT,
    LOW_PERCENT,
    Power,
    design_power,
    estimate_power,
    why_no_power,
)
from hao.data import data_path
from hao.hw.board import DspType
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from tests.hw.samples import BOARD

IDLE = replace(BOARD, idle_mw=4_000)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "power.md"
PARTS = Resources(dsp=100, bram_18k=200, lut=10_000, ff=20_000)


def report(*, feature_bytes: int, latency_cycles: int, macs: int) -> CostReport:
    """Return a report at 200 MHz with 100 multipliers."""
    run = InvocationCost(
        name="run",
        macs=macs,
        tiles=1,
        steps=1,
        path_cycles={"dense": latency_cycles},
        load_cycles=0,
        period_cycles=latency_cycles,
        binding="dense",
        feature_bytes=feature_bytes,
        weight_bytes=0,
    )
    return CostReport(
        invocations=(run,),
        first_load_cycles=0,
        latency_cycles=latency_cycles,
        clock_khz=200_000,
        host_us=0,
        parts={"all": PARTS},
        resources=PARTS,
        multipliers=100,
        macs=macs,
    )


def test_power_by_hand() -> None:
    # 25,000,000 products in 1,000,000 x 100 multiplier cycles: a quarter active.
    # Clock: 20,000 x 21 fJ x 200 MHz = 84 mW. Logic: (10,000 x 56 + 20,000 x 1) fJ x
    # 50 MHz = 29 mW. BRAM: 200 x 10.3 pJ x 50 MHz = 103 mW. DSP: 100 x 4 pJ x 50 MHz =
    # 20 mW. DDR: 200 frames/s x 2 MB x 160 pJ = 64 mW.
    found = estimate_power(
        report(feature_bytes=2_000_000, latency_cycles=10**6, macs=25 * 10**6), IDLE
    )
    assert found == Power(
        idle_mw=4_000, clock_mw=84, logic_mw=29, bram_mw=103, dsp_mw=20, ddr_mw=64
    )
    assert found.fabric_mw == 236
    assert found.total_mw == 4_300
    assert (found.low_mw, found.high_mw) == (2_580, 7_525)


def test_an_engine_that_only_pools_has_a_clock_tree_and_transfers() -> None:
    cost = replace(
        report(feature_bytes=2_000_000, latency_cycles=10**6, macs=0), multipliers=0
    )
    found = estimate_power(cost, IDLE)
    assert found is not None
    assert (found.clock_mw, found.ddr_mw) == (84, 64)
    assert found.total_mw == 4_000 + 84 + 64


def test_a_board_without_idle_power_is_not_estimated() -> None:
    cost = report(feature_bytes=1, latency_cycles=10, macs=1)
    assert estimate_power(cost, BOARD) is None
    assert why_no_power(BOARD) == "the board file gives no idle power"


def test_a_device_of_another_process_is_not_estimated() -> None:
    old = replace(IDLE, dsp_type=DspType.DSP48E1)
    cost = report(feature_bytes=1, latency_cycles=10, macs=1)
    assert estimate_power(cost, old) is None
    assert "not of devices with DSP48E1" in str(why_no_power(old))
    assert why_no_power(IDLE) is None


@given(
    counts=st.tuples(*[st.integers(0, 10**6)] * 4),
    more=st.tuples(*[st.integers(0, 10**6)] * 4),
    activity=st.fractions(0, 1),
    khz=st.integers(1, 10**6),
)
def test_more_blocks_and_a_faster_clock_never_take_less(
    counts: tuple[int, ...],
    more: tuple[int, ...],
    activity: Fraction,
    khz: int,
) -> None:
    few = Resources(dsp=counts[0], bram_18k=counts[1], lut=counts[2], ff=counts[3])
    extra = Resources(dsp=more[0], bram_18k=more[1], lut=more[2], ff=more[3])

    def total(blocks: Resources, clock_khz: int, active: Fraction) -> int:
        return design_power(
            blocks, idle_mw=1, clock_khz=clock_khz, activity=active, ddr_mw=0
        ).total_mw

    base = total(few, khz, activity)
    assert total(few + extra, khz, activity) >= base >= 1
    assert total(few, 2 * khz, activity) >= base
    assert total(few, khz, (1 + activity) / 2) >= base


# What a row needs beyond the file: how active its blocks are, which is printed for
# Synetgy alone (47.09 of 418 GOPS at batch 16). A dataflow design, where all layers
# work at once, counts as fully active, any other as half.
ACTIVITY = {
    "dong2021hao": Fraction(1, 2),
    "yang2019synetgy_b16": Fraction(4709, 41800),
    "yang2019synetgy_b1": Fraction(4709, 41800) * Fraction(414, 663),
    "zhang2021fracbnn_c10": Fraction(1),
    "zhang2021fracbnn_in": Fraction(1, 2),
    "blott2018finnr_cnv6": Fraction(1),
    "bosio2025nn2fpga_u96_resnet20": Fraction(1),
    "bosio2025nn2fpga_u96_resnet8": Fraction(1),
}
FABRIC_ONLY = ("bosio2025nn2fpga_u96_resnet20", "bosio2025nn2fpga_u96_resnet8")


@dataclass(frozen=True, kw_only=True)
class Row:
    key: str
    network: str
    measured_mw: int
    power: Power

    @property
    def predicted_mw(self) -> int:
        if self.key in FABRIC_ONLY:
            return self.power.fabric_mw
        return self.power.total_mw


def published() -> tuple[Row, ...]:
    """Return the rows with power, predicted from their blocks and clock.

    Without flip-flops printed as many as LUTs are taken, without a clock that of the
    board file. DDR traffic is not printed and left out.
    """
    board = load_board("zu3eg")
    assert board.idle_mw is not None
    rows = []
    with data_path("data", "published_zu3eg.csv").open(newline="") as stream:
        for cells in csv.DictReader(stream):
            if not cells["power_w"]:
                continue
            lut = int(cells["lut"])
            mhz = cells["clock_mhz"]
            power = design_power(
                Resources(
                    dsp=int(cells["dsp"] or 0),
                    bram_18k=int(cells["bram18"]),
                    lut=lut,
                    ff=int(cells["ff"] or lut),
                ),
                idle_mw=board.idle_mw,
                clock_khz=1000 * int(mhz) if mhz else board.clock_khz,
                activity=ACTIVITY[cells["key"]],
                ddr_mw=0,
            )
            measured = round(1000 * float(cells["power_w"]))
            rows.append(
                Row(
                    key=cells["key"],
                    network=cells["network"],
                    measured_mw=measured,
                    power=power,
                )
            )
    return tuple(rows)


ROWS = published()
BOARDS = tuple(row for row in ROWS if row.key not in FABRIC_ONLY)


def test_every_published_row_of_a_board_lies_inside_the_interval() -> None:
    assert len(BOARDS) == 6
    for row in BOARDS:
        assert row.power.low_mw <= row.measured_mw <= row.power.high_mw, row.key


def test_the_interval_is_no_wider_than_the_published_rows_ask_for() -> None:
    ratios = [100 * row.measured_mw / row.power.total_mw for row in BOARDS]
    # Rounded outward to steps of 5 %.
    assert LOW_PERCENT <= min(ratios) < LOW_PERCENT + 5
    assert HIGH_PERCENT - 5 < max(ratios) <= HIGH_PERCENT


def scale_of(rows: tuple[Row, ...]) -> float:
    """Return the factor on the fabric's power that fits rows best (least squares)."""
    above = sum(r.power.fabric_mw * (r.measured_mw - r.power.idle_mw) for r in rows)
    return above / sum(r.power.fabric_mw**2 for r in rows)


def without(index: int) -> float:
    return scale_of(BOARDS[:index] + BOARDS[index + 1 :])


def mean_error(scales: list[float]) -> float:
    """Return the mean distance from what was measured, relative to it."""
    errors = [
        abs(row.power.idle_mw + scale * row.power.fabric_mw - row.measured_mw)
        / row.measured_mw
        for row, scale in zip(BOARDS, scales, strict=True)
    ]
    return sum(errors) / len(errors)


def test_a_fitted_scale_predicts_rows_left_out_worse_than_none() -> None:
    # Why the energies are not fitted.
    fitted = [without(index) for index in range(len(BOARDS))]
    assert mean_error(fitted) > mean_error([1.0] * len(BOARDS))
    assert max(fitted) > 2 * min(fitted)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_the_page_has_what_the_formula_gives_for_a_row(row: Row) -> None:
    page = PAGE.read_text(encoding="utf-8")
    ratio = 100 * row.measured_mw / row.predicted_mw
    cells = (
        f"{row.measured_mw / 1000:.2f} | {row.predicted_mw / 1000:.2f} | {ratio:.0f} %"
    )
    lines = [line for line in page.splitlines() if f"`{row.key}`" in line]
    assert len(lines) == 1
    assert cells in lines[0]


def test_the_page_has_the_errors_of_the_fit() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    fitted = [without(index) for index in range(len(BOARDS))]
    assert f"The best factor is {scale_of(BOARDS):.2f}" in page
    assert f"from {min(fitted):.2f} to {max(fitted):.2f}" in page
    assert f"{100 * mean_error(fitted):.0f} % off" in page
    assert f"{100 * mean_error([1.0] * len(BOARDS)):.0f} % without a factor" in page
