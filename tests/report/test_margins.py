"""Words and JSON about intervals, margin and the limits that may break."""

from dataclasses import replace

import pytest

from hao.cost.uncertainty import latency_evidence
from hao.report.margins import margins_json, risk_in_words, speed_in_words
from tests.report.samples import small_result

RESULT = small_result()
FPS = RESULT.cost.fps


def test_the_speed_is_told_with_its_interval_and_what_was_asked() -> None:
    evidence = latency_evidence()
    interval = f"{FPS / evidence.largest:.1f} to {FPS / evidence.least:.1f} with"
    told = speed_in_words(RESULT)
    assert f"{FPS:.1f} frames/s" in told
    assert interval in told
    assert told.endswith("asked 50, no margin")
    held = speed_in_words(replace(RESULT, margin_percent=12.5))
    assert held.endswith("asked 50 with a margin of 12.5 %")
    assert "asked" not in speed_in_words(replace(RESULT, fps_asked=None))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_an_error_may_break_is_told(share: float) -> None:
    # Within the largest error seen of the limit, or far from it.
    tight = replace(RESULT, fps_asked=share * FPS)
    told = risk_in_words(tight)
    if share * latency_evidence().largest < 1:
        assert told.startswith("no limit: ")
    else:
        assert told.startswith("frame time: 11 % more than predicted passes ")
        assert told.endswith("was seen")


def test_json_holds_interval_margin_and_room() -> None:
    found = margins_json(replace(RESULT, fps_asked=FPS / 2, margin_percent=15.0))
    low, high = latency_evidence().fps_interval(FPS)
    assert found["fps_low"] == pytest.approx(low, abs=1e-4)
    assert found["fps_high"] == pytest.approx(high, abs=1e-4)
    assert found["margin_percent"] == 15
    rows = found["headroom"]
    assert isinstance(rows, list)
    rooms = {row["limit"]: row["room"] for row in rows}
    assert rooms["frame time"] == pytest.approx(2.0)
