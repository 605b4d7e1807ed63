"""Several designs that differ, against the exhaustive list of all schemes."""

import pytest

from hao.program.codesign import choose_most_accurate
from hao.program.problem import Problem
from hao.program.several import choose_several
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import random_problem


def _bits(problem: Problem, scheme: dict[str, int]) -> dict[int, int]:
    """Return the option of every free site under a scheme."""
    found = {}
    for number in problem.free_sites:
        site = problem.frame.sites[number]
        bits = [change.weight_bits for change in site.changes]  # type: ignore[union-attr]
        found[number] = bits.index(scheme[site.names[0]])
    return found


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize(
    "seed",
    [0, 1, 3, 6, 8, 9, 13]
    + [pytest.param(seed, marks=pytest.mark.thorough) for seed in (5, 12)],
)
def test_each_answer_is_the_best_apart_from_those_before(
    seed: int, tight: bool
) -> None:
    problem = random_problem(seed, choices=3, layers=3)
    every = {scheme: optimum.latency for scheme, optimum in by_scheme(problem).items()}
    if not every or len(problem.free_sites) < 2:
        return
    latencies = sorted(set(every.values()))
    budget = latencies[0] if tight else latencies[len(latencies) // 2]
    overlap = len(problem.free_sites) // 2
    reports = choose_several(
        problem,
        choose_most_accurate(problem, budget=budget),
        count=4,
        budget=budget,
        overlap_percent=50,
    )
    before: list[dict[int, int]] = []
    for report in reports:
        assert report.cost.latency_cycles <= budget
        mine = {site: report.choice[site] for site in problem.free_sites}
        for other in before:
            assert sum(mine[s] == other[s] for s in mine) <= overlap
        best = min(
            cost_of(problem, dict(scheme))
            for scheme, latency in every.items()
            if latency <= budget
            and all(
                sum(_bits(problem, dict(scheme))[s] == other[s] for s in other)
                <= overlap
                for other in before
            )
        )
        assert report.cost_micro == report.bound == best
        before.append(mine)
    if len(reports) < 4:
        left = [
            scheme
            for scheme, latency in every.items()
            if latency <= budget
            and all(
                sum(_bits(problem, dict(scheme))[s] == other[s] for s in other)
                <= overlap
                for other in before
            )
        ]
        assert not left


def test_answers_differ_more_where_less_may_agree() -> None:
    problem = random_problem(5, choices=3, layers=3)
    first = choose_most_accurate(problem, budget=1 << 30)
    loose = choose_several(problem, first, count=2, budget=1 << 30, overlap_percent=100)
    apart = choose_several(problem, first, count=2, budget=1 << 30, overlap_percent=0)
    assert loose[1].cost_micro == loose[0].cost_micro
    pairs = zip(apart[0].choice, apart[1].choice, strict=True)
    same = [a == b for site, (a, b) in enumerate(pairs) if site in problem.free_sites]
    assert not any(same)
