"""Blocks that other layers may replace: the best of all choices, by exhaustion."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError
from hao.ir.blocks import with_operations
from hao.ir.change import Bits, Keep, LeaveOut, Replace, replaced
from hao.ir.layer import Add, Conv, Depthwise, Layer, Padding
from hao.ir.network import Network
from hao.ir.parts import replaceable_blocks
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.space import Space
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import Builder, board, random_options

Changed = tuple[Network, int, Mapping[str, int]]
"""A network, what its operations cost, and their bits by layer."""

THOROUGH = pytest.mark.thorough
SHAPE = Shape(channels=4, height=6, width=6)


def _layer(name: str, source: str, *, ifm: int, ofm: int, kernel: int) -> Conv:
    return Conv(
        name=name,
        input=source,
        ifm=replace(SHAPE, channels=ifm),
        ofm=replace(SHAPE, channels=ofm),
        kernel=kernel,
        padding=Padding.same(kernel),
    )


def _operations(rng: np.random.Generator, entry: str, stem: str) -> list[list[Layer]]:
    """Return layers that may stand in a block's place, of several kinds.

    None begins or ends with what a run of the layers around it could take in.
    """
    middle = int(rng.choice([2, 3, 6, 8]))
    inverted: list[Layer] = [
        _layer(f"{stem}.a1", entry, ifm=4, ofm=middle, kernel=1),
        Depthwise(
            name=f"{stem}.a2",
            input=f"{stem}.a1",
            ifm=replace(SHAPE, channels=middle),
            ofm=replace(SHAPE, channels=middle),
            kernel=3,
            padding=Padding.same(3),
        ),
        _layer(f"{stem}.a3", f"{stem}.a2", ifm=middle, ofm=4, kernel=1),
    ]
    if rng.random() < 0.5:
        inverted.append(Add(name=f"{stem}.a4", inputs=(f"{stem}.a3", entry), ofm=SHAPE))
    single: list[Layer] = [_layer(f"{stem}.b", entry, ifm=4, ofm=4, kernel=3)]
    pair: list[Layer] = [
        _layer(f"{stem}.c1", entry, ifm=4, ofm=middle, kernel=3),
        _layer(f"{stem}.c2", f"{stem}.c1", ifm=middle, ofm=4, kernel=3),
    ]
    return [inverted, single, pair]


def _instance(
    seed: int,
) -> tuple[Problem, list[Changed]]:
    """Return a problem, and every network that it amounts to."""
    rng = np.random.default_rng(seed)
    made = Builder(SHAPE).conv(4, 1)
    start = made.last
    network = made.conv(4, int(rng.choice([1, 3]))).add(start).conv(4, 3).network()
    (block,) = [b for b in replaceable_blocks(network) if b.entry == start]
    operations = _operations(rng, start, "new")[int(rng.integers(2)) :][:2]
    bits = random_options(rng, network, 1)
    options = [Option(layer=block.name, change=Keep(), cost_micro=0)]
    networks: list[Changed] = [(network, 0, {})]
    for number, layers in enumerate(operations):
        for weight_bits in (8, 4):
            cost = int(rng.choice([0, 1000, 20_000, 70_000])) + (8 - weight_bits) * 10
            change = Replace(
                operation=f"o{number}", layers=tuple(layers), weight_bits=weight_bits
            )
            options.append(Option(layer=block.name, change=change, cost_micro=cost))
            changed = with_operations(network, {block: layers})
            networks.append(
                (changed, cost, {n: b.weight_bits for n, b in change.bits.items()})
            )
    if rng.random() < 0.5:
        options.append(Option(layer=block.name, change=LeaveOut(), cost_micro=90_000))
        networks.append((with_operations(network, {block: ()}), 90_000, {}))
    problem = Problem(
        network=network,
        options=(*bits, *options),
        board=board(dsp=int(rng.integers(8, 60)), lut=16_000),
        act_bits=8,
        space=Space(pixels=(1,), lanes=(2, 4), taps=(1,), depths=(64,)),
    )
    return problem, networks


def _every(problem: Problem, networks: list[Changed]) -> dict[int, int]:
    """Return the least latency of every cost, by exhaustive search."""
    own = tuple(o for o in problem.options if isinstance(o.change, Bits))
    new = dict.fromkeys(name for _, _, bits in networks for name in bits)
    free = tuple(
        Option(layer=name, change=Bits(weight_bits=b), cost_micro=0)
        for name, b in product(new, (8, 4))
    )
    every: dict[int, int] = {}
    for network, extra, bits in networks:
        alone = replace(problem, network=network, options=own + free)
        for scheme, optimum in by_scheme(alone, [n for n, _, _ in networks]).items():
            chosen = dict(scheme)
            if any(chosen[name] != b for name, b in bits.items()):
                continue
            cost = cost_of(replace(problem, options=own), chosen) + extra
            every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
    return every


@pytest.mark.parametrize(
    "seed", [4, 6, 7, *(pytest.param(s, marks=THOROUGH) for s in range(8, 40))]
)
def test_blocks_are_replaced_where_that_pays(seed: int) -> None:
    problem, networks = _instance(seed)
    every = _every(problem, networks)
    if not every:
        with pytest.raises(InfeasibleError):
            choose_fastest(problem)
        return
    report = choose_fastest(problem)
    least = min(every.values())
    assert report.cost.latency_cycles == least == evaluate(report.design).latency_cycles
    assert report.cost_micro == min(c for c, x in every.items() if x == least)
    for budget in sorted(set(every.values())):
        report = choose_most_accurate(problem, budget=budget)
        cost = min(c for c, latency in every.items() if latency <= budget)
        assert report.cost_micro == cost
        for change in replaced(report.design.scheme).values():
            names = {layer.name for layer in report.design.network.layers}
            assert names >= {layer.name for layer in change.layers}


@pytest.mark.parametrize(("seed", "pays"), [(5, True), (9, False)])
def test_both_answers_occur(seed: int, pays: bool) -> None:
    problem, _ = _instance(seed)
    assert bool(replaced(choose_fastest(problem).design.scheme)) == pays
