"""Layers pruned in blocks: what the program chooses is the optimum of an enumeration.

Every choice of densities is a network of its own, whose best design is found by
exhaustive search. A stage that leaves out words is larger than one that does not; the
convolutions here run on the dense stage alone.
"""

from dataclasses import replace
from itertools import product

import pytest

from hao.cost.evaluate import evaluate
from hao.ir.change import Bits, densities_of
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.ir.sparsity import FULL, density_of, with_densities
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.products import least_cycles
from hao.program.space import Space
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import Builder, board

COST = {(8, 100): 0, (8, 50): 30_000, (8, 25): 90_000, (4, 100): 50_000}
FIRST = {(8, 100): 0, (8, 50): 40_000}


def _problem(lut: int, *, double: bool, batch: int = 1) -> Problem:
    network = (
        Builder(Shape(channels=8, height=6, width=6)).conv(16, 3).conv(16, 3).network()
    )
    first, second = network.compute_layers
    options = tuple(
        Option(
            layer=layer.name,
            change=Bits(weight_bits=bits, density=density),
            cost_micro=cost,
        )
        for layer, costs in ((first, FIRST), (second, COST))
        for (bits, density), cost in costs.items()
    )
    return Problem(
        network=network,
        options=options,
        board=replace(
            # Weights of several frames are to take longer than what runs beside them.
            board(lut=lut, dsp=8, ddr_kbytes_per_s=2_000_000 // batch**3),
            batch=batch,
        ),
        act_bits=8,
        space=Space(
            pixels=(1, 2),
            lanes=(2, 4),
            taps=(9,),
            depths=(64, 512),
            buffering=(double,),
        ),
    )


def _enumerated(problem: Problem) -> dict[int, int]:
    """Return the least latency of every cost, over all densities of the layers."""
    best: dict[int, int] = {}
    names = [layer.name for layer in problem.network.compute_layers]
    every: list[Network] = [
        with_densities(problem.network, dict(zip(names, densities, strict=True)))
        for densities in product((FULL, 50), (FULL, 50, 25))
    ]
    for network in every:
        kept = {layer.name: density_of(layer) for layer in network.compute_layers}
        options = tuple(
            option
            for option in problem.options
            if isinstance(option.change, Bits)
            and option.change.density == kept[option.layer]
        )
        if len({option.layer for option in options}) < len(names):
            continue
        one = replace(problem, network=network, options=options)
        also = every if min(kept.values()) < FULL else []
        for scheme, optimum in by_scheme(one, also).items():
            cost = cost_of(one, dict(scheme))
            best[cost] = min(optimum.latency, best.get(cost, optimum.latency))
    return best


@pytest.mark.parametrize(
    ("lut", "double", "batch"),
    [
        (12_500, True, 1),
        (12_500, False, 1),
        pytest.param(12_500, True, 2, marks=pytest.mark.thorough),
        pytest.param(14_000, True, 1, marks=pytest.mark.thorough),
    ],
)
def test_blocks_bits_and_engine_equal_enumeration(
    lut: int, double: bool, batch: int
) -> None:
    problem = _problem(lut, double=double, batch=batch)
    known = _enumerated(problem)
    least = min(known.values())
    assert least_cycles(problem) <= least
    for limit in sorted(known):
        report = choose_fastest(problem, cost_limit=limit)
        budget = report.cost.latency_cycles
        assert budget == evaluate(report.design).latency_cycles
        assert budget == min(
            latency for cost, latency in known.items() if cost <= limit
        )
        cheap = choose_most_accurate(problem, budget=budget)
        assert cheap.cost_micro == min(
            cost for cost, latency in known.items() if latency <= budget
        )
    fastest = choose_fastest(problem)
    assert fastest.cost.latency_cycles == least
    kept = densities_of(fastest.design.scheme)
    assert kept == {"l1": 50, "l2": 25}
    assert fastest.design.engine.dense is not None
    assert fastest.design.engine.dense.skips


def test_a_stage_that_keeps_all_words_is_built_without_lists() -> None:
    report = choose_fastest(_problem(14_000, double=True), cost_limit=0)
    assert report.design.engine.dense is not None
    assert not report.design.engine.dense.skips


def test_lanes_and_stages_that_are_given_are_kept() -> None:
    problem = _problem(14_000, double=True)
    free = choose_fastest(problem).design
    assert free.engine.dense is not None
    assert (free.engine.dense.simd, free.engine.dense.pe) != (2, 4)
    shapes = ((Role.DENSE, (2, 4)),)
    held = replace(problem, space=replace(problem.space, shapes=shapes))
    dense = choose_fastest(held).design.engine.dense
    assert dense is not None
    assert (dense.simd, dense.pe) == (2, 4)
    roles = (("l1", Role.POINTWISE),)  # where no 3x3 convolution runs
    nowhere = replace(problem, space=replace(problem.space, roles=roles))
    assert len(nowhere.frame.steps) == len(problem.frame.steps) - 1
