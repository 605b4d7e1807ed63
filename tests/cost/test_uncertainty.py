"""The interval of a frame rate, and which limit an error of prediction breaks first."""

from dataclasses import replace
from math import log
from pathlib import Path
from statistics import median

import pytest

from hao.cost import uncertainty
from hao.cost.evaluate import CostReport
from hao.cost.uncertainty import (
    COVERAGE_PERCENT,
    LatencyEvidence,
    LatencyRow,
    headrooms,
    latency_evidence,
)
from hao.errors import InputError
from hao.hw.board_file import load_board
from hao.hw.resources import Resources

BOARD = load_board("zu3eg")
HEAD = "key,accelerator,network,predicted_ms,measured_ms\n"


def cost(*, fps: float, lut: int, ff: int) -> CostReport:
    cycles = round(1000 * BOARD.clock_khz / fps)
    return CostReport(
        invocations=(),
        first_load_cycles=0,
        latency_cycles=cycles,
        clock_khz=BOARD.clock_khz,
        host_us=0,
        parts={},
        resources=Resources(dsp=360, bram_18k=400, lut=lut, ff=ff),
        multipliers=1,
        macs=1,
    )


def rows(**ratios: tuple[float, ...]) -> LatencyEvidence:
    return LatencyEvidence(
        tuple(LatencyRow(name, r) for name, each in ratios.items() for r in each)
    )


def test_the_interval_by_hand() -> None:
    # In powers of two: a at -1, 0, 1 and b at 2, 2; the middle of a is 0, of b 2.
    evidence = rows(a=(0.5, 1.0, 2.0), b=(4.0, 4.0))
    apart = [round(distance / log(2), 6) for distance in evidence.left_out]
    assert apart == [-3, -2, -1, 2, 2]
    # Of five, 80 % and one more are ceil(0.8 x 6) = 5: all of them, so 3.
    assert evidence.half_width == pytest.approx(3 * log(2))
    # The middle of all rows is 1: ratios from 1/4 to 16.
    assert evidence.fps_interval(64) == pytest.approx((4.0, 256.0))


def test_the_prediction_itself_lies_within_the_interval() -> None:
    assert rows(a=(2.0,), b=(2.0,)).fps_interval(60) == pytest.approx((30.0, 60.0))
    assert rows(a=(0.5,), b=(0.5,)).fps_interval(60) == pytest.approx((60.0, 120.0))


def test_rows_of_an_accelerator_left_out_are_covered_as_often_as_is_said() -> None:
    evidence = latency_evidence()
    assert len(evidence.rows) >= 9
    covered = 0
    for name in evidence.accelerators:
        others = [row.ratio for row in evidence.rows if row.accelerator != name]
        middle = median(map(log, others))
        covered += sum(
            abs(log(row.ratio) - middle) <= evidence.half_width
            for row in evidence.rows
            if row.accelerator == name
        )
    assert 100 * covered >= COVERAGE_PERCENT * len(evidence.rows)
    # Not by being endless: no narrower one holds as many of a further row.
    assert evidence.slowest < 1.5
    assert evidence.fastest > 0.5


@pytest.mark.parametrize(
    ("fps", "lut", "order"),
    [
        # LUTs are 2 % below the cap; the frame may take 60 % longer and flip-flops 57 %
        # more, of which 20 and 15 % are within their errors.
        (80.0, 54_640, ["LUT", "frame time", "FF"]),
        # LUTs are far below; the frame is as long as may be.
        (50.0, 20_000, ["frame time", "FF", "LUT"]),
    ],
)
def test_the_first_limit_to_break_comes_first(
    fps: float, lut: int, order: list[str]
) -> None:
    found = headrooms(cost(fps=fps, lut=lut, ff=45_000), BOARD, fps_asked=50)
    assert [item.name for item in found] == order
    strains = [item.strain for item in found]
    assert strains == sorted(strains, reverse=True)


def test_headroom_is_allowed_over_predicted() -> None:
    report = cost(fps=75, lut=27_871, ff=70_560)
    by_name = {h.name: h for h in headrooms(report, BOARD, fps_asked=50)}
    assert by_name["frame time"].room == pytest.approx(1.5, rel=1e-5)
    # 79 % of 70,560 LUTs, rounded down, are 55,742.
    assert by_name["LUT"].room == 2.0
    assert by_name["FF"].room == 1.0
    assert by_name["FF"].strain > 1
    assert by_name["LUT"].strain == pytest.approx(0.15)


def test_without_a_frame_rate_only_the_area_can_break() -> None:
    report = cost(fps=75, lut=27_871, ff=0)
    assert [h.name for h in headrooms(report, BOARD, fps_asked=None)] == ["LUT"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n",
            "columns must be key, accelerator, network, predicted_ms, measured_ms",
        ),
        (HEAD, "fewer than two accelerators"),
        (HEAD + "a,c,b,2,3\nb,c,b,2,3\n", "fewer than two accelerators"),
        (HEAD + "a,c,b,0,3\n", "row 'a'"),
        (HEAD + "a,c,b,-1,3\n", "row 'a'"),
        (HEAD + "a,c,b,x,3\n", "row 'a'"),
        (HEAD + "a,c,b,3\n", "row 'a'"),
    ],
)
def test_a_spoilt_table_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / uncertainty.LATENCY_FILE
    path.write_text(text)
    monkeypatch.setattr(uncertainty, "data_path", lambda *_: path)
    with pytest.raises(InputError, match=message):
        latency_evidence.__wrapped__()


def test_slower_boards_leave_less_room() -> None:
    report = cost(fps=75, lut=27_871, ff=0)
    slow = replace(report, latency_cycles=2 * report.latency_cycles)
    rooms = [headrooms(r, BOARD, fps_asked=50)[0].room for r in (report, slow)]
    assert rooms[1] == pytest.approx(rooms[0] / 2)
