"""A clock beyond the sourced ones: which loop limits it, and what all of them meet."""

from pathlib import Path

import pytest

from hao.errors import ArgumentError
from hao.steps.clock import check_period
from tests.schedule.projects import analyse, loop_of

SUM = loop_of("sum += in.read(); out.write(sum);", before="int sum = 0;")
"""Its recurrence is an adder of 32 bits: 1.19 ns on the ZU3EG (-1)."""


def notes_at(folder: Path, period_ns: float) -> list[str]:
    notes: list[str] = []
    check_period(analyse(folder, SUM, period_ns=period_ns), notes.append)
    return notes


def test_a_clock_that_all_loops_meet_is_not_spoken_of(tmp_path: Path) -> None:
    # 0.9 * 0.73 * 1.85 = 1.215
    assert notes_at(tmp_path, 1.85) == []


def test_a_loop_that_may_fail_is_named_with_the_clock_that_all_meet(
    tmp_path: Path,
) -> None:
    # 0.73 * 1.6 = 1.168; 0.9 * 0.73 / 1.19 = 552.1 MHz
    (note,) = notes_at(tmp_path, 1.6)
    assert note.startswith("clock: loop ")
    assert "needs 1.19 ns, and a cycle leaves 1.17 ns at 27 % uncertainty" in note
    assert note.endswith("; it may fail, and all loops meet 552 MHz")


def test_a_clock_that_a_loop_cannot_meet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError,
        match=r"^`clock_mhz` = 1000 MHz; must be at most 552 MHz, which all loops "
        r"meet: loop \S+ of the design found needs 1\.19 ns, and a cycle leaves "
        r"0\.73 ns at 27 % uncertainty$",
    ):
        notes_at(tmp_path, 1)


def test_a_project_whose_loops_carry_nothing_meets_any_clock(tmp_path: Path) -> None:
    notes: list[str] = []
    source = "void top(hls::stream<int> &out) { out.write(1); }\n"
    check_period(analyse(tmp_path, source, period_ns=1), notes.append)
    assert notes == []
