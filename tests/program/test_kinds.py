"""Options of any kind: ties, blocks that are left out, prices that depend on two.

Every choice is designed for alone, by exhaustive search; the program must find the best
of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError, InputError
from hao.ir.blocks import Block, residual_blocks, without_blocks
from hao.ir.change import Bits, LeaveOut, left_out, scheme_of
from hao.ir.layer import Conv, Input
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.tensor import Shape
from hao.options.blocks import block_options
from hao.options.build import build_frame
from hao.options.frame import ChainStep, Frame, Site, Variant
from hao.options.option import Option
from hao.program.codesign import choose_fastest, choose_most_accurate, field_of
from hao.program.hunt import Least, Limits
from hao.program.problem import Problem
from hao.program.search import find
from hao.program.space import Space
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import (
    Builder,
    board,
    random_board,
    random_options,
    random_problem,
    random_space,
)

THOROUGH = pytest.mark.thorough


def _some(seeds: Sequence[int], more: Sequence[int]) -> list[object]:
    return [*seeds, *(pytest.param(seed, marks=THOROUGH) for seed in more)]


def _same_options(problem: Problem, tie: tuple[str, ...]) -> Problem:
    """Return the problem with the changes of the first tied layer for all of them."""
    first = [o for o in problem.options if o.layer == tie[0]]
    options = [o for o in problem.options if o.layer not in tie]
    for place, name in enumerate(tie):
        options += [
            replace(o, layer=name, cost_micro=o.cost_micro * (1 + place)) for o in first
        ]
    return replace(problem, options=tuple(options), ties=(tie,))


def _check(problem: Problem, every: Mapping[int, int]) -> None:
    """Check both objectives against the least latency of each cost."""
    if not every:
        with pytest.raises(InfeasibleError):
            choose_fastest(problem)
        return
    report = choose_fastest(problem)
    least = min(every.values())
    assert report.cost.latency_cycles == least == evaluate(report.design).latency_cycles
    assert report.cost_micro == min(c for c, x in every.items() if x == least)
    rng = np.random.default_rng(len(every))
    for budget in {int(rng.choice(list(every.values()))), max(every.values()) + 1}:
        report = choose_most_accurate(problem, budget=budget)
        cost = min(c for c, latency in every.items() if latency <= budget)
        assert report.cost_micro == cost
        assert report.cost.latency_cycles == every[cost]
    with pytest.raises(InfeasibleError):
        choose_most_accurate(problem, budget=least - 1)


@pytest.mark.parametrize("seed", _some((0, 2, 3, 6, 8), range(10, 40)))
def test_tied_layers_choose_alike(seed: int) -> None:
    problem = random_problem(seed, choices=2, layers=4)
    names = [layer.name for layer in problem.network.compute_layers]
    rng = np.random.default_rng(seed)
    count = min(len(names), 2 + seed % 2)
    tie = tuple(
        sorted(rng.choice(names, count, replace=False).tolist(), key=names.index)
    )
    problem = _same_options(problem, tie)
    every: dict[int, int] = {}
    for scheme, optimum in by_scheme(problem).items():
        bits = dict(scheme)
        if len({bits[name] for name in tie}) == 1:
            cost = cost_of(problem, bits)
            every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
    _check(problem, every)
    if every:
        chosen = choose_fastest(problem).design.weight_bits
        assert len({chosen[name] for name in tie}) == 1


def test_ties_that_cannot_be_kept_are_refused() -> None:
    problem = random_problem(0, choices=1, layers=3)
    names = [layer.name for layer in problem.network.compute_layers]
    with pytest.raises(
        InputError, match=r"tie \(.*'nobody'\): 'nobody' has no options"
    ):
        _ = replace(problem, ties=((names[0], "nobody"),)).frame
    first = Option(layer=names[0], change=Bits(weight_bits=2), cost_micro=0)
    second = replace(first, layer=names[1], change=Bits(weight_bits=3))
    rest = [o for o in problem.options if o.layer not in names[:2]]
    with pytest.raises(InputError, match="are tied; their options must be the same"):
        build_frame(problem.network, [first, second, *rest], [(names[0], names[1])])


def _with_blocks(seed: int) -> Problem:
    """Return a problem with residual blocks that may be left out."""
    rng = np.random.default_rng(seed)
    made = Builder(Shape(channels=3, height=6, width=6))
    made.conv(4, int(rng.choice([1, 3])))
    for _ in range(int(rng.integers(1, 3))):
        start = made.last
        for _ in range(int(rng.integers(1, 3))):
            made.conv(4, int(rng.choice([1, 3])))
        made.add(start)
    if rng.random() < 0.5:
        made.conv(4, 1)
    network = made.network()
    costs = rng.integers(0, 4, 1) * 20_000
    options = random_options(rng, network, 2)
    options += block_options(network, cost_points=float(costs[0]) / 1e6)
    return Problem(
        network=network,
        options=options,
        board=random_board(rng),
        act_bits=8,
        space=random_space(rng, 2),
    )


def _subsets(blocks: Sequence[Block]) -> list[tuple[Block, ...]]:
    chosen = product((False, True), repeat=len(blocks))
    return [
        tuple(b for b, out in zip(blocks, flags, strict=True) if out)
        for flags in chosen
    ]


@pytest.mark.parametrize("seed", _some((0, 1, 2, 3, 5), range(6, 40)))
def test_blocks_are_left_out_where_that_pays(seed: int) -> None:
    problem = _with_blocks(seed)
    blocks = residual_blocks(problem.network)
    assert blocks
    price = {o.layer: o.cost_micro for o in problem.options if o.change == LeaveOut()}
    networks = [without_blocks(problem.network, gone) for gone in _subsets(blocks)]
    every: dict[int, int] = {}
    for gone, network in zip(_subsets(blocks), networks, strict=True):
        alone = replace(problem, network=network)
        for scheme, optimum in by_scheme(alone, networks).items():
            cost = cost_of(alone, dict(scheme)) + sum(price[b.name] for b in gone)
            every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
    _check(problem, every)
    if every:
        design = choose_fastest(problem).design
        assert {b.name for b in blocks} >= set(left_out(design.scheme))
        assert partition(design.network).segments  # the changed network is whole


def test_a_segment_reaches_across_blocks_that_are_left_out() -> None:
    # conv 3x3, a block of one conv, then a 1x1: without the block the two are fused.
    made = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3)
    start = made.last
    network = made.conv(4, 3).add(start).conv(4, 1).network()
    options = tuple(
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    )
    frame = build_frame(network, options + block_options(network, cost_points=0))
    spans = {(step.start, step.end) for step in frame.steps}
    assert (0, 2) in spans
    assert (0, 1) not in spans


class TestPairs:
    """Two layers between which the number of channels is chosen."""

    WIDTHS = (4, 6, 8)
    COSTS = (900, 300, 0)

    def network(self, channels: int) -> Network:
        frame = Shape(channels=4, height=6, width=6)
        made = Builder(frame).conv(channels, 3).conv(5, 3)
        return made.network()

    def problem(self, seed: int) -> Problem:
        rng = np.random.default_rng(seed)
        largest = self.network(8)
        names = [layer.name for layer in largest.compute_layers]
        alone = Problem(
            network=largest,
            options=tuple(
                Option(layer=name, change=Bits(weight_bits=bits), cost_micro=cost)
                for name in names
                for bits, cost in ((8, 0), (4, 700))
            ),
            board=board(dsp=int(rng.integers(8, 60)), lut=60_000),
            space=Space(pixels=(1, 2), lanes=(2, 4), taps=(1,), depths=(64, 512)),
        )
        base = alone.frame
        channels = Site(
            names=("channels",),
            changes=tuple(Bits(weight_bits=8) for _ in self.WIDTHS),
            costs=self.COSTS,
            first=0,
            last=1,
        )
        number = len(base.sites)
        steps = []
        for step in base.steps:
            variants = []
            for index, width_ in enumerate(self.WIDTHS):
                segment = next(
                    s
                    for s in partition(self.network(width_)).segments
                    if (s.start, s.end) == (step.start, step.end)
                    and [r for r, _ in s.invocation.stages]
                    == [r for r, _ in step.variants[0].run.invocation.stages]  # type: ignore[union-attr]
                )
                for variant in step.variants:
                    assert variant.run is not None
                    run = replace(variant.run, invocation=segment.invocation)
                    variants.append(Variant((*variant.choice, index), run))
            steps.append(
                ChainStep(step.start, step.end, (*step.sites, number), tuple(variants))
            )
        frame = Frame(
            network=largest,
            positions=base.positions,
            sites=(*base.sites, channels),
            steps=tuple(steps),
            blocks={},
        )
        return alone.with_frame(frame)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_prices_that_depend_on_both_are_exact(self, seed: int) -> None:
        problem = self.problem(seed)
        networks = [self.network(width_) for width_ in self.WIDTHS]
        every: dict[int, int] = {}
        for network, extra in zip(networks, self.COSTS, strict=True):
            alone = replace(problem, network=network)
            for scheme, optimum in by_scheme(alone, networks).items():
                cost = cost_of(alone, dict(scheme)) + extra
                every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
        field = field_of(problem)
        assert field.graph.position.tolist().count(1) == len(self.WIDTHS)
        for spend in sorted(every):
            found = find(field, Least.CYCLES, Limits(cost=spend))
            least = min(x for cost, x in every.items() if cost <= spend)
            assert found is not None
            assert found.way.cycles == least
            options = dict(found.way.settled)
            assert set(options) == set(range(len(problem.frame.sites)))
        for budget in sorted(every.values()):
            found = find(field, Least.COST, Limits(cycles=budget))
            assert found is not None
            assert found.way.cost == min(c for c, x in every.items() if x <= budget)


def test_a_scheme_names_what_is_left_out() -> None:
    made = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3)
    start = made.last
    network = made.conv(4, 3).add(start).conv(4, 1).network()
    options = tuple(
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    )
    problem = Problem(
        network=network,
        options=options + block_options(network, cost_points=0),
        board=board(),
        space=Space(pixels=(1,), lanes=(2, 4), taps=(1,), depths=(64,)),
    )
    design = choose_fastest(problem).design
    (gone,) = left_out(design.scheme)
    assert gone == network.layers[3].name
    kept = [
        layer.name for layer in design.network.layers if not isinstance(layer, Input)
    ]
    assert kept == [network.layers[1].name, network.layers[4].name]
    assert all(isinstance(layer, Conv) for layer in design.network.compute_layers)
    assert design.scheme == {**scheme_of(dict.fromkeys(kept, 8)), gone: LeaveOut()}


def test_a_network_without_blocks_has_none_to_leave_out() -> None:
    network = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3).network()
    with pytest.raises(InputError, match="has no residual block that may be left out"):
        block_options(network, cost_points=1)
    with pytest.raises(InputError, match="= -1 points; must be from 0 to 100"):
        block_options(network, cost_points=-1)
