"""Loops of emitted projects can start an iteration every cycle, and every port bursts.

The prices take that for granted. What is analysed are the very sources that are
emitted, at the part's speed grade and at the clock uncertainties of the script and of
both tool generations.
"""

import pytest

from hao.hls.compiler import find_clang
from hao.schedule.analyse import analyse_project
from hao.schedule.project import load_project
from hao.schedule.recurrence import IntervalVerdict
from hao.schedule.result import ScheduleReport
from hao.schedule.text import has_faults
from tests.emission.builds import write_sample
from tests.emission.designs import sample, small

LISTED = 74
"""A random engine on the slowest fabric: words of weights left out, two passes."""

SEEDS = (0, 5, 13, 50, 61, 83)
"""Random engines: pixels at once, 4 to 8 bits, packed taps, pools, residual adds; in
50 and 61 both stages leave words out, on Zynq-7000 and on UltraScale+; of 83 a row of
the ring is one word."""

THOROUGH = pytest.mark.thorough


@pytest.fixture(
    scope="module",
    params=["small", LISTED, *(pytest.param(seed, marks=THOROUGH) for seed in SEEDS)],
)
def report(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ScheduleReport:
    folder = tmp_path_factory.mktemp("emitted") / "project"
    write_sample(small() if request.param == "small" else sample(request.param), folder)
    return analyse_project(load_project(folder), clang=find_clang("ziglang"))


def test_a_sample_leaves_words_out_in_two_passes_on_the_slowest_fabric() -> None:
    design = sample(LISTED).design
    dense = design.engine.dense
    assert dense is not None
    assert dense.skips
    assert dense.passes == 2
    assert design.board.name == "pynq-z2"


def test_no_recurrence_comes_near_the_clock_period(report: ScheduleReport) -> None:
    assert len(report.loops) >= 8
    for loop in report.loops:
        verdicts = {found.verdict() for found in loop.recurrences}
        assert verdicts == {IntervalVerdict.FITS}, (loop.process, loop.label)


def test_memories_and_streams_are_reached_once_a_cycle(report: ScheduleReport) -> None:
    for loop in report.loops:
        assert loop.ports.interval == 1, (loop.process, loop.label)


def test_nothing_divides_and_no_finding_is_a_fault(report: ScheduleReport) -> None:
    for loop in report.loops:
        assert loop.counts.dividers == 0, (loop.process, loop.label)
    assert not has_faults(report.findings), report.findings


def test_every_access_to_the_bus_bursts(report: ScheduleReport) -> None:
    accesses = [access for loop in report.loops for access in loop.bus]
    assert len(accesses) >= 3
    assert all(access.obstacle == "" for access in accesses)
