"""Rivals are legal, take the best partition where asked, and never beat the proof."""

from dataclasses import replace

import pytest

from hao.answer import rivals as rivals_module
from hao.answer.rivals import rivals, settled
from hao.cost.evaluate import evaluate
from hao.errors import InputError
from hao.ir.change import LeaveOut
from hao.ir.partition import partition
from hao.options.blocks import block_options
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.zoo import build_network
from tests.answer.samples import BOARD, SPACE, candidates
from tests.program.brute import all_paths

CASES = [
    Problem(network=c.network, options=c.options, board=BOARD, space=SPACE)
    for c in candidates()
    if c.network.macs < 10**7
]


@pytest.mark.parametrize("problem", CASES, ids=lambda p: str(p.network.name))
def test_no_rival_is_faster_than_the_fastest(problem: Problem) -> None:
    best = choose_fastest(problem)
    spend = sum(option.cost_micro for option in problem.options)
    found = list(rivals(problem, best.design, cost_limit=spend, count=30))
    assert found
    assert found == list(rivals(problem, best.design, cost_limit=spend, count=30))
    for rival in found:
        assert rival.cost == evaluate(rival.design)
        assert rival.cost.latency_cycles >= best.cost.latency_cycles
        assert rival.cost.resources <= BOARD.usable
        sites = problem.frame.sites
        taken = settled(problem, rival.design.scheme)
        costs = [s.costs[i] for s, i in zip(sites, taken, strict=True) if i is not None]
        assert rival.cost_micro == sum(costs)


def test_the_partition_of_a_rival_is_the_best_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rivals_module, "SHARE", 1)
    monkeypatch.setattr(rivals_module, "FAR_PERCENT", 10**6)
    problem = CASES[0]
    answer = choose_fastest(problem).design
    part = partition(answer.network)
    for rival in rivals(problem, answer, cost_limit=10**9, count=10):
        latencies = []
        for path in all_paths(part):
            segments = tuple(part.segments[index] for index in path)
            try:
                cost = evaluate(replace(rival.design, segments=segments))
            except InputError:
                continue
            latencies.append(cost.latency_cycles)
        assert rival.cost.latency_cycles == min(latencies)


def test_blocks_that_the_answer_leaves_out_stay_out() -> None:
    network = build_network("digits")
    (known,) = (p for p in CASES if p.network.name == "unknown")
    options = (*known.options, *block_options(network, cost_points=0.5))
    problem = replace(known, options=options)
    kept = choose_fastest(known).cost.latency_cycles
    best = choose_most_accurate(problem, budget=kept - 1)
    assert best.cost_micro > 0
    gone = {n for n, c in best.design.scheme.items() if isinstance(c, LeaveOut)}
    assert gone
    found = list(rivals(problem, best.design, cost_limit=10**9, count=20))
    for rival in found:
        assert gone <= set(rival.design.scheme)
        # As accurate, so none may be faster.
        assert rival.cost.latency_cycles >= best.cost.latency_cycles
    (cost,) = {rival.cost_micro for rival in found}
    assert cost == best.cost_micro


def test_a_change_that_is_not_offered_is_refused() -> None:
    problem = CASES[0]
    name = problem.frame.sites[0].names[0]
    with pytest.raises(InputError, match=rf"layer '{name}': LeaveOut\(\); must be one"):
        settled(problem, {name: LeaveOut()})
