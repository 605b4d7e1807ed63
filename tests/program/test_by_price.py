"""Searches by a price on accuracy: against sweeps, and against enumeration."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError
from hao.ir.blocks import with_operations
from hao.ir.change import (
    Bits,
    Change,
    Channels,
    Keep,
    LeaveOut,
    Replace,
    densities_of,
    kept_channels,
    replaced,
)
from hao.ir.channels import channel_groups, without_channels
from hao.ir.layer import Conv, Depthwise, Layer, Padding
from hao.ir.network import Network
from hao.ir.parts import replaceable_blocks
from hao.ir.sparsity import FULL, with_densities
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program import by_price as by_price_module
from hao.program import search, shapes
from hao.program.additive import additive
from hao.program.by_price import engines_by_price
from hao.program.codesign import choose_fastest, choose_most_accurate, field_of
from hao.program.field import Group
from hao.program.gather import periods_of
from hao.program.hunt import Hunt, Least, Limits
from hao.program.lanes import lane_bounds
from hao.program.problem import Problem
from hao.program.search import find
from hao.program.space import Space
from hao.program.sweep import make_net, sweep
from hao.program.tables import Choice
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import Builder, board, random_problem

THOROUGH = pytest.mark.thorough
QUICK = (3, False)  # a seed and whether buffers are double
SHAPE = Shape(channels=4, height=6, width=6)
BUDGET = 1000


@pytest.fixture
def by_price(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have every search for the least cost go by price; counts the engines of each."""
    seen: list[int] = []

    def counted(
        hunt: Hunt, group: Group, double: bool
    ) -> Iterator[tuple[Choice, np.ndarray]]:
        seen.append(0)
        for choice, cycles in engines_by_price(hunt, group, double):
            seen[-1] += len(choice)
            yield choice, cycles

    monkeypatch.setattr(shapes, "far_above", lambda graph: 1e-6)
    monkeypatch.setattr(search, "engines_by_price", counted)
    return seen


@pytest.mark.parametrize("seed", [2, 3, 5])
@pytest.mark.parametrize("rate", [1e-4, 1e-2, 1.0])
def test_what_adds_up_is_never_above_what_a_sweep_finds(seed: int, rate: float) -> None:
    field, near = field_of(random_problem(seed, choices=3, layers=4)), []
    for widths in field.widths[:4]:
        group = field.joint([widths], tuple(widths.needs), 1 << 40)
        assert group is not None
        net = make_net(field.graph, widths.allowed)
        for double in (True, False):
            tables = field.tables(double)
            ways = additive(net, tables)
            for choice in lane_bounds(field, group, double).each(1 << 45):
                found = ways.bound(choice, rates=[rate], budget=BUDGET)
                swept = sweep(
                    net,
                    periods_of(tables, choice, net.runs),
                    double_buffered=double,
                    rate=rate,
                )
                exact = (np.asarray(swept.total) - BUDGET) / rate
                assert (found <= exact + 1e-6 * np.abs(exact)).all()
                near.append(float(np.mean(found * rate + BUDGET) / swept.total.mean()))
    assert near
    assert np.median(near) > 0.5  # and is a bound of some use


def _operations(entry: str, middle: int) -> list[list[Layer]]:
    """Return layers that may stand in the block's place."""

    def conv(name: str, source: str, ifm: int, ofm: int, kernel: int) -> Conv:
        return Conv(
            name=name,
            input=source,
            ifm=replace(SHAPE, channels=ifm),
            ofm=replace(SHAPE, channels=ofm),
            kernel=kernel,
            padding=Padding.same(kernel),
        )

    wide = replace(SHAPE, channels=middle)
    inverted: list[Layer] = [
        conv("new.a1", entry, 4, middle, 1),
        Depthwise(
            name="new.a2",
            input="new.a1",
            ifm=wide,
            ofm=wide,
            kernel=3,
            padding=Padding.same(3),
        ),
        conv("new.a3", "new.a2", middle, 4, 1),
    ]
    return [inverted, [conv("new.b", entry, 4, 4, 1)]]


def _mixed(seed: int, *, double: bool) -> Problem:
    """Return a problem with options of all four kinds."""
    rng = np.random.default_rng(seed)
    made = Builder(SHAPE).conv(4, 1)
    start = made.last
    network = made.conv(4, 3).add(start).conv(8, 3).conv(4, 3).network()
    cost = {8: 0, 4: int(rng.integers(1, 6)) * 5_000}
    last = network.compute_layers[-1].name
    options = [
        Option(layer=layer.name, change=Bits(weight_bits=bits), cost_micro=cost[bits])
        for layer in network.compute_layers
        for bits in ((8, 4) if layer.name == last else (8,))
    ]
    options.append(
        Option(
            layer=last,
            change=Bits(weight_bits=8, density=50),
            cost_micro=int(rng.integers(1, 9)) * 7_000,
        )
    )
    (block,) = [b for b in replaceable_blocks(network) if b.entry == start]
    options.append(Option(layer=block.name, change=Keep(), cost_micro=0))
    for number, layers in enumerate(_operations(start, int(rng.choice([2, 6])))):
        for weight_bits in (8, 4):
            change: Change = Replace(
                operation=f"o{number}", layers=tuple(layers), weight_bits=weight_bits
            )
            more = int(rng.integers(1, 9)) * 10_000 + 8 - weight_bits
            options.append(Option(layer=block.name, change=change, cost_micro=more))
    options.append(Option(layer=block.name, change=LeaveOut(), cost_micro=150_000))
    (inner,) = [
        g
        for g in channel_groups(network)
        if not g.fixed and not g.members & {block.entry, block.result}
    ]
    for kept, more in ((8, 0), (4, int(rng.integers(1, 9)) * 11_000)):
        change = Channels(tuple(range(kept)))
        options.append(Option(layer=inner.name, change=change, cost_micro=more))
    return Problem(
        network=network,
        options=tuple(options),
        board=board(
            dsp=int(rng.integers(2, 20)),
            lut=int(rng.choice([14_000, 16_000, 30_000])),
            ddr_kbytes_per_s=int(rng.choice([200_000, 2_000_000])),
        ),
        act_bits=8,
        space=Space(
            pixels=(1,), lanes=(2, 4), taps=(1,), depths=(64,), buffering=(double,)
        ),
    )


def _every(problem: Problem) -> dict[int, int]:
    """Return the least latency of every cost, by exhaustive search."""
    network = problem.network
    bits = [o for o in problem.options if isinstance(o.change, Bits)]
    widths = [o for o in problem.options if isinstance(o.change, Channels)]
    in_place = [
        o for o in problem.options if isinstance(o.change, Keep | Replace | LeaveOut)
    ]
    blocks = {b.name: b for b in replaceable_blocks(network)}
    (last,) = {
        o.layer for o in bits if isinstance(o.change, Bits) and o.change.density < FULL
    }
    cases: list[tuple[Network, int, int, Mapping[str, int]]] = []
    for width, instead, density in product(widths, in_place, (FULL, 50)):
        changed = without_channels(network, kept_channels({width.layer: width.change}))
        own: Mapping[str, int] = {}
        if isinstance(instead.change, Replace):
            change = instead.change
            changed = with_operations(changed, {blocks[instead.layer]: change.layers})
            own = {name: b.weight_bits for name, b in change.bits.items()}
        elif isinstance(instead.change, LeaveOut):
            changed = with_operations(changed, {blocks[instead.layer]: ()})
        changed = with_densities(changed, {last: density})
        cases.append((changed, width.cost_micro + instead.cost_micro, density, own))
    every: dict[int, int] = {}
    for changed, extra, density, own in cases:
        # A stage that leaves out no words is built for layers that keep all.
        also = [n for n, _, d, _ in cases if density < FULL or d == FULL]
        options = [
            o
            for o in bits
            if isinstance(o.change, Bits)
            and o.change.density == (density if o.layer == last else FULL)
        ]
        free = [
            Option(layer=name, change=Bits(weight_bits=b), cost_micro=0)
            for _, _, _, names in cases
            for name, b in names.items()
        ]
        alone = replace(
            problem, network=changed, options=(*options, *dict.fromkeys(free))
        )
        costs = replace(problem, options=tuple(options))
        for scheme, optimum in by_scheme(alone, also).items():
            chosen = dict(scheme)
            if any(chosen[name] != b for name, b in own.items()):
                continue
            cost = cost_of(costs, chosen) + extra
            every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
    return every


@pytest.mark.parametrize(
    ("seed", "double"),
    [
        QUICK,
        *(pytest.param(s, d, marks=THOROUGH) for s in range(12) for d in (False, True)),
    ],
)
def test_all_kinds_together_are_chosen_as_an_exhaustive_search_does(
    seed: int, double: bool, by_price: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:  # what adds up is followed by a sweep, whatever that excludes
        monkeypatch.setattr(by_price_module, "MANY_LEFT", 0)
        monkeypatch.setattr(by_price_module, "WORTH", 0.0)
    problem = _mixed(seed, double=double)
    every = _every(problem)
    least = min(every.values())
    assert choose_fastest(problem).cost.latency_cycles == least
    for budget in sorted(set(every.values()))[::14]:
        cost = min(c for c, latency in every.items() if latency <= budget)
        report = choose_most_accurate(problem, budget=budget)
        assert report.cost_micro == report.bound == cost
        assert report.cost.latency_cycles == evaluate(report.design).latency_cycles
        assert report.cost.latency_cycles == every[cost]
        near = choose_most_accurate(problem, budget=budget, tolerance=0.2)
        assert cost <= near.cost_micro <= cost / 0.8
        assert near.gap <= 0.2
        assert near.cost.latency_cycles <= budget
    with pytest.raises(InfeasibleError):
        choose_most_accurate(problem, budget=least - 1)
    if (seed, double) == QUICK:  # of others a first design may leave nothing to bound
        assert sum(by_price) > 0


@pytest.mark.parametrize("seed", [2, 3])
def test_by_price_or_by_cycles_the_least_cost_is_the_same(
    seed: int, by_price: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    low = find(field_of(problem), Least.CYCLES, Limits())
    assert low is not None
    for budget in (low.way.cycles, low.way.cycles * 5 // 4, 2 * low.way.cycles):
        found = find(field_of(problem), Least.COST, Limits(cycles=budget))
        with monkeypatch.context() as patched:
            patched.setattr(shapes, "far_above", lambda graph: 1e9)
            again = replace(problem)
            expected = find(field_of(again), Least.COST, Limits(cycles=budget))
        assert found is not None
        assert expected is not None
        assert found.way.cost == expected.way.cost
        assert found.way.cycles <= budget
    assert by_price


def test_engines_are_bounded_by_cost_sooner_where_sweeps_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = _mixed(6, double=True).graph
    shapes_at: dict[tuple[int, int], set[int]] = {}
    for arc in graph.arcs:
        place = int(graph.position[arc.start]), int(graph.position[arc.end])
        shapes_at.setdefault(place, set()).add(graph.shapes[arc.run])
    counts = [len(found) for found in shapes_at.values()]
    assert graph.shapes_at_places == sum(counts) / len(counts) > 2
    assert shapes.far_above(graph) == shapes.FAR_ABOVE
    monkeypatch.setattr(shapes, "VARIED_PLACES", 2.0)
    assert shapes.far_above(graph) == shapes.LOOSE


def test_all_four_kinds_may_be_chosen_at_once() -> None:
    problem, budget = _mixed(6, double=True), 2168
    scheme = choose_most_accurate(problem, budget=budget).design.scheme
    assert replaced(scheme)
    assert any(isinstance(c, Bits) and c.weight_bits == 4 for c in scheme.values())
    assert any(len(channels) < 8 for channels in kept_channels(scheme).values())
    assert any(density < FULL for density in densities_of(scheme).values())
    # With more time, the operation stays and the words do, with less, neither.
    for more, kinds in ((119, (True, False)), (-budget // 5, (False, True))):
        scheme = choose_most_accurate(problem, budget=budget + more).design.scheme
        pruned = any(density < FULL for density in densities_of(scheme).values())
        assert (bool(replaced(scheme)), pruned) == kinds


def test_engines_as_cheap_as_the_best_are_left_for_the_next_search() -> None:
    # The best costs no more than its widths do at least: others of them may be faster.
    problem = random_problem(17, choices=3, layers=4)
    cheap = find(field_of(problem), Least.COST, Limits())
    assert cheap is not None
    limits = Limits(cost=cheap.way.cost)
    found = find(field_of(problem), Least.CYCLES, limits, known=cheap)
    expected = find(field_of(replace(problem)), Least.CYCLES, limits)
    assert found is not None
    assert expected is not None
    assert found.way.cycles == expected.way.cycles < cheap.way.cycles
