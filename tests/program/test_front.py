"""A front in one pass against one search for each of its budgets."""

import pytest

from hao.errors import InfeasibleError
from hao.program import along
from hao.program.codesign import (
    NO_LIMIT,
    SolveReport,
    choose_fastest,
    choose_most_accurate,
)
from hao.program.front import trade_off
from hao.program.problem import Problem
from tests.program.instances import random_problem

POINTS = 7
CASES = [
    pytest.param(4, 3),
    pytest.param(37, 3),
    pytest.param(5, 3),
    *(pytest.param(s, n, marks=pytest.mark.thorough) for s in (17, 19) for n in (0, 3)),
]
"""Problems whose fronts have points between their ends, and what is tried first."""

Point = tuple[int, int, int]
"""Accuracy cost, cycles and LUTs."""


def _problem(seed: int) -> Problem:
    return random_problem(seed, choices=3, layers=4)


def _point(report: SolveReport) -> Point:
    cost = report.cost
    return report.cost_micro, cost.latency_cycles, cost.resources.lut


def _one_by_one(seed: int) -> list[Point]:
    """Return a front as its definition says, each point by a search of its own."""
    ends = [
        choose_most_accurate(_problem(seed), budget=NO_LIMIT),
        choose_fastest(_problem(seed)),
    ]
    high, low = (end.cost.latency_cycles for end in ends)
    budgets = [high - (high - low) * n // (POINTS - 1) for n in range(1, POINTS - 1)]
    ends += [choose_most_accurate(_problem(seed), budget=b) for b in budgets]
    kept: list[Point] = []
    for point in sorted(map(_point, ends)):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


@pytest.mark.parametrize(("seed", "first"), CASES)
def test_a_front_is_that_of_single_searches(
    seed: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is tried first saves time; no answer depends on it.
    monkeypatch.setattr(along, "FIRST", first)
    passes = []
    within = along.least_within

    def counted(*args: object) -> object:
        found = within(*args)  # type: ignore[arg-type]  # as they were given
        passes.append(found)
        return found

    monkeypatch.setattr("hao.program.front.least_within", counted)
    front = trade_off(_problem(seed), points=POINTS)
    assert [_point(report) for report in front] == _one_by_one(seed)
    assert all(report.gap == 0 for report in front)
    assert passes
    assert None not in passes


@pytest.mark.parametrize("name", ["is_far_above", "MOST_ALONG"])
def test_a_front_of_too_many_engines_is_searched_budget_by_budget(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [_point(report) for report in trade_off(_problem(4), points=POINTS)]
    value = -1 if name == "MOST_ALONG" else lambda *_: True
    monkeypatch.setattr(along, name, value)
    front = trade_off(_problem(4), points=POINTS)
    assert [_point(report) for report in front] == expected
    assert len(expected) > 2


def test_a_front_of_one_point_is_the_fastest_of_those_that_cost_least() -> None:
    (point,) = trade_off(_problem(37), points=1)
    assert _point(point) == _one_by_one(37)[0]


def test_a_board_without_an_engine_has_no_front() -> None:
    with pytest.raises(InfeasibleError, match="no engine fits Small board"):
        trade_off(_problem(0), points=POINTS)
