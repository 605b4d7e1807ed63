"""Layers in two passes over narrower lanes: what the program chooses is the optimum."""

from dataclasses import replace
from itertools import combinations

import pytest

from hao.ir.change import Bits, passes_of
from hao.ir.layer import Depthwise
from hao.ir.network import Network
from hao.ir.passes import run_in_passes
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.space import Space
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import Builder, board

COST = {8: 0, 4: 50_000}


def small(lut: int, dsp: int) -> Problem:
    """Return a problem whose first layer keeps 8 bits, in one pass or in two."""
    network = (
        Builder(Shape(channels=4, height=6, width=6)).conv(16, 3).conv(16, 3).network()
    )
    first, second = network.compute_layers
    options = [
        Option(layer=first.name, change=Bits(weight_bits=8), cost_micro=0),
        Option(layer=first.name, change=Bits(weight_bits=8, passes=2), cost_micro=0),
    ]
    for bits, cost in COST.items():
        change = Bits(weight_bits=bits)
        options.append(Option(layer=second.name, change=change, cost_micro=cost))
    twice = Bits(weight_bits=8, passes=2)
    options.append(Option(layer=second.name, change=twice, cost_micro=0))
    return Problem(
        network=network,
        options=tuple(options),
        board=board(lut=lut, dsp=dsp),
        act_bits=8,
        space=Space(
            pixels=(1, 2, 3),
            lanes=(2, 4),
            taps=(9,),
            depths=(64, 512),
            buffering=(True,),
        ),
    )


def enumerated(problem: Problem) -> dict[int, int]:
    """Return the least latency of every cost, over all layers in two passes or one."""
    best: dict[int, int] = {}
    names = [layer.name for layer in problem.network.compute_layers]
    every: list[Network] = [
        run_in_passes(problem.network, dict.fromkeys(some, 2))
        for count in range(len(names) + 1)
        for some in combinations(names, count)
    ]
    for network in every:
        passes = {
            layer.name: layer.passes
            for layer in network.compute_layers
            if not isinstance(layer, Depthwise)
        }
        options = tuple(
            option
            for option in problem.options
            if isinstance(option.change, Bits)
            and option.change.passes == passes[option.layer]
        )
        one = replace(problem, network=network, options=options)
        also = every if 2 in passes.values() else []
        for scheme, optimum in by_scheme(one, also).items():
            cost = cost_of(one, dict(scheme))
            best[cost] = min(optimum.latency, best.get(cost, optimum.latency))
    return best


@pytest.mark.parametrize(
    ("lut", "dsp"), [(11_000, 10), (11_600, 2), (12_400, 2), (12_400, 10)]
)
def test_passes_bits_and_engine_equal_enumeration(lut: int, dsp: int) -> None:
    problem = small(lut, dsp)
    known = enumerated(problem)
    for limit in COST.values():
        report = choose_fastest(problem, cost_limit=limit)
        assert report.cost.latency_cycles == min(
            latency for cost, latency in known.items() if cost <= limit
        )
        budget = report.cost.latency_cycles
        cheap = choose_most_accurate(problem, budget=budget)
        assert cheap.cost_micro == min(
            cost for cost, latency in known.items() if latency <= budget
        )
    if (lut, dsp) in ((11_000, 10), (12_400, 2)):  # one pass is as fast
        return
    # Lanes of 4 bits serve a layer that keeps 8, faster than in one pass.
    single = tuple(
        option
        for option in problem.options
        if isinstance(option.change, Bits) and option.change.passes == 1
    )
    alone = choose_fastest(replace(problem, options=single), cost_limit=limit)
    assert report.cost.latency_cycles < alone.cost.latency_cycles
    assert passes_of(report.design.scheme) == {"l1": 2}
    assert report.design.engine.dense is not None
    assert report.design.engine.dense.weight_bits == 4
