"""Words and JSON about intervals, margin and the limits that may break."""

from dataclasses import replace

import pytest

from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.cost.uncertainty import latency_evidence
from hao.hw.board import Frames
from hao.report.margins import (
    low_end_in_words,
    margins_json,
    risk_in_words,
    spare_in_words,
    speed_in_words,
    starts_in_words,
)
from hao.text import decimal
from tests.report.samples import small_result

RESULT = small_result()
FPS = RESULT.cost.fps


def test_the_speed_is_told_with_its_interval_and_what_was_asked() -> None:
    low, high = latency_evidence().fps_interval(FPS)
    told = speed_in_words(RESULT)
    # The board's host takes 0.5 ms a frame, one at a time.
    assert told.startswith(f"{FPS:.1f} frames/s one at a time: ")
    assert (
        f"{decimal(RESULT.cost.latency_ms)} ms of the engine and 0.50 of the " in told
    )
    assert f"80 % interval {low:.1f} to {high:.1f})" in told
    assert told.endswith("asked 50, no margin")
    held = speed_in_words(replace(RESULT, margin_percent=12.5))
    assert held.endswith("asked 50 with a margin of 12.5 %")
    assert "asked" not in speed_in_words(replace(RESULT, fps_asked=None))


def test_back_to_back_the_host_takes_no_time_of_a_frame() -> None:
    design = RESULT.design
    board = replace(design.board, frames=Frames.BACK_TO_BACK)
    design = replace(design, board=board)
    cost = evaluate(design)
    told = speed_in_words(replace(RESULT, design=design, cost=cost))
    assert told.startswith(f"{cost.fps:.1f} frames/s back to back: ")
    assert "host" not in told
    assert cost.fps == pytest.approx(1000 / cost.latency_ms)
    assert pytest.approx(1000 / (cost.latency_ms + 0.5)) == FPS


def test_starts_of_several_frames_are_offered_where_they_are_faster() -> None:
    design = RESULT.design
    assert starts_in_words(RESULT) is None  # frames come one at a time
    rates = {}
    for batch in (1, 2, 4):
        board = replace(design.board, frames=Frames.BACK_TO_BACK, batch=batch)
        several = replace(design, board=board)
        rates[batch] = evaluate(several)
        if batch == 1:
            alone = replace(RESULT, design=several, cost=rates[1], fps_asked=None)
    told = starts_in_words(alone)
    assert told is not None
    assert rates[4].fps > rates[2].fps > 1.02 * rates[1].fps
    assert told.startswith(f"{rates[2].fps:.1f} at 2, {rates[4].fps:.1f} at 4 frames")
    assert starts_in_words(replace(alone, design=several, cost=rates[4])) is None
    assert starts_in_words(replace(alone, fps_asked=50)) is None


def test_time_to_spare_is_told_with_what_makes_a_smaller_design() -> None:
    board, cost = RESULT.design.board, RESULT.cost
    # Twice the engine's time, beside the host's; with a margin of half, none is left.
    twice = board.frames_per_s(2 * cost.latency_cycles) * 0.9999
    told = spare_in_words(replace(RESULT, fps_asked=twice, margin_percent=0))
    assert told is not None
    assert told.startswith("the engine may take 2.0 times as long: ")
    assert "`--objective area`" in told
    assert spare_in_words(replace(RESULT, fps_asked=FPS)) is None
    assert spare_in_words(replace(RESULT, fps_asked=twice, margin_percent=50)) is None
    area = replace(RESULT, fps_asked=twice, objective=Objective.AREA)
    assert spare_in_words(area) is None
    assert spare_in_words(replace(RESULT, fps_asked=None)) is None


def test_an_interval_that_begins_below_what_was_asked_is_told() -> None:
    low, _ = latency_evidence().fps_interval(FPS)
    assert low_end_in_words(replace(RESULT, fps_asked=0.99 * low)) is None
    assert low_end_in_words(replace(RESULT, fps_asked=None)) is None
    asked = replace(RESULT, fps_asked=1.01 * low)
    told = low_end_in_words(asked)
    assert told is not None
    assert told.startswith(f"the interval begins at {low:.1f} frames/s, below the ")
    assert margins_json(asked)["low_end_below_asked"] is True
    # With the margin that is named, the low end is what was asked, or a little more.
    margin = int(told.partition("a margin of ")[2].split()[0])
    assert 1 / (1 - margin / 100) >= latency_evidence().slowest
    assert 1 / (1 - (margin - 1) / 100) < latency_evidence().slowest


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_an_error_may_break_is_told(share: float) -> None:
    # Within the largest error seen of the limit, or far from it.
    tight = replace(RESULT, fps_asked=share * FPS)
    told = risk_in_words(tight)
    if share * latency_evidence().slowest < 1:
        assert told.startswith("no limit: ")
    else:
        assert told.startswith("frame time: 11 % more than predicted passes ")
        assert told.endswith("lies within its interval")


def test_a_limit_that_is_passed_already_is_told_so() -> None:
    told = risk_in_words(replace(RESULT, fps_asked=2 * FPS))
    assert told.startswith(f"frame time: {2 * FPS:g} frames/s already passed by 100 %")
    cost = RESULT.cost
    large = replace(cost.resources, lut=2 * RESULT.design.board.usable.lut)
    told = risk_in_words(replace(RESULT, cost=replace(cost, resources=large)))
    assert "LUT: 79 % of the device already passed by 100 %" in told


def test_json_holds_interval_margin_and_room() -> None:
    found = margins_json(replace(RESULT, fps_asked=FPS / 2, margin_percent=15.0))
    low, high = latency_evidence().fps_interval(FPS)
    assert found["fps_low"] == pytest.approx(low, abs=1e-4)
    assert found["fps_high"] == pytest.approx(high, abs=1e-4)
    assert found["margin_percent"] == 15
    assert (found["frames"], found["host_ms"]) == ("one-at-a-time", 0.5)
    rows = found["headroom"]
    assert isinstance(rows, list)
    rooms = {row["limit"]: row["room"] for row in rows}
    assert rooms["frame time"] == pytest.approx(2.0)
