"""Channels in the program: every combination of widths, designed for alone.

A step's price depends on the channels that it reads and makes. Here every choice of
widths is a network of its own, whose best design is found by exhaustive search; the
program must find the best of them, with and without a choice of bits beside.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError, InputError
from hao.hw.board_file import load_board
from hao.ir.blocks import residual_blocks
from hao.ir.change import Bits, Channels, Keep, Replace, kept_channels
from hao.ir.channels import channel_groups, without_channels
from hao.ir.layer import Conv
from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.options.blocks import block_options
from hao.options.build import build_frame
from hao.options.option import Option
from hao.program import by_price, sieve
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.products import least_cycles
from hao.zoo import build_network
from tests.program.brute import by_scheme, cost_of
from tests.program.instances import (
    Builder,
    random_board,
    random_options,
    random_space,
)

THOROUGH = pytest.mark.thorough


def _network(rng: np.random.Generator) -> Network:
    """Return a random network: a chain, a residual block, or a depthwise layer."""
    made = Builder(Shape(channels=3, height=6, width=6)).conv(
        6, int(rng.choice([1, 3]))
    )
    match int(rng.integers(3)):
        case 0:
            made.conv(5, int(rng.choice([1, 3])))
        case 1:
            start = made.last
            made.conv(6, 3).add(start)
        case _:
            made.depthwise()
    return made.conv(4, 1).network()


def _problem(seed: int, choices: int) -> Problem:
    rng = np.random.default_rng(seed)
    network = _network(rng)
    options = list(random_options(rng, network, choices))
    for group in channel_groups(network):
        if group.fixed:
            continue
        order = rng.permutation(group.channels)
        widths = [
            group.channels,
            *sorted(rng.choice(range(1, 5), 2, False), reverse=True),
        ]
        costs = np.sort(rng.integers(0, 60, len(widths))) * 10_000
        options += [
            Option(
                layer=group.name,
                change=Channels(tuple(sorted(order[:width].tolist()))),
                cost_micro=int(cost),
            )
            for width, cost in zip(widths, costs, strict=True)
        ]
    return Problem(
        network=network,
        options=tuple(options),
        board=random_board(rng),
        act_bits=8,
        space=random_space(rng, 2),
    )


def _latencies(problem: Problem) -> dict[int, int]:
    """Return the least latency of every cost, by exhaustive search."""
    groups = [
        [o for o in problem.options if o.layer == name]
        for name in dict.fromkeys(
            o.layer for o in problem.options if isinstance(o.change, Channels)
        )
    ]
    bits = tuple(o for o in problem.options if isinstance(o.change, Bits))
    chosen = list(product(*groups))
    networks = []
    for options in chosen:
        kept = kept_channels({o.layer: o.change for o in options})
        networks.append(without_channels(problem.network, kept))
    every: dict[int, int] = {}
    for network, options in zip(networks, chosen, strict=True):
        alone = replace(problem, network=network, options=bits)
        extra = sum(option.cost_micro for option in options)
        for scheme, optimum in by_scheme(alone, networks).items():
            cost = cost_of(alone, dict(scheme)) + extra
            every[cost] = min(every.get(cost, optimum.latency), optimum.latency)
    return every


def _check(problem: Problem, every: Mapping[int, int]) -> None:
    if not every:
        with pytest.raises(InfeasibleError):
            choose_fastest(problem)
        return
    report = choose_fastest(problem)
    least = min(every.values())
    assert report.cost.latency_cycles == least == evaluate(report.design).latency_cycles
    assert report.cost_micro == min(c for c, x in every.items() if x == least)
    rng = np.random.default_rng(len(every))
    for budget in {int(x) for x in rng.choice(list(every.values()), 3)}:
        report = choose_most_accurate(problem, budget=budget)
        assert report.cost_micro == min(c for c, x in every.items() if x <= budget)
        kept = kept_channels(report.design.scheme)
        assert (
            report.design.network.layers
            == without_channels(problem.network, kept).layers
        )
    assert least_cycles(problem) <= least


def _with_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound pairs with a price of accuracy, which pays where engines are many."""
    for module in (by_price, sieve):
        monkeypatch.setattr(module, "FEW", -1)
    monkeypatch.setattr(by_price, "FAIR", 0)


@pytest.mark.parametrize(
    "seed", [0, 1, 2, 3, *(pytest.param(s, marks=THOROUGH) for s in range(4, 40))]
)
def test_channels_alone_are_chosen_as_an_exhaustive_search_does(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = _problem(seed, choices=1)
    if seed % 2:
        _with_prices(monkeypatch)
    _check(problem, _latencies(problem))


@pytest.mark.parametrize(
    "seed", [50, *(pytest.param(s, marks=THOROUGH) for s in range(51, 70))]
)
def test_channels_and_bits_are_chosen_together(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = _problem(seed, choices=2)
    if seed % 2 == 0:
        _with_prices(monkeypatch)
    _check(problem, _latencies(problem))


def test_a_block_with_narrower_layers_may_be_left_out() -> None:
    network = build_network("digits")
    options = [
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    ]
    for group in channel_groups(network):
        if not group.fixed:
            options += [
                Option(
                    layer=group.name,
                    change=Channels(tuple(range(width))),
                    cost_micro=100 * (group.channels - width),
                )
                for width in (group.channels, group.channels // 2)
            ]
    options += block_options(network, cost_points=0.001)
    board = load_board("zu3eg")
    problem = Problem(network=network, options=tuple(options), board=board)
    design = choose_fastest(problem).design
    kept = kept_channels(design.scheme)
    assert len(kept["stem.channels"]) == 8
    # A block that is left out has no channels to name.
    names = {group.name for group in channel_groups(design.network)}
    assert set(kept) <= names


def _with(network: Network, name: str, *changes: object) -> list[Option]:
    bits = [
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    ]
    return bits + [Option(layer=name, change=c, cost_micro=0) for c in changes]  # type: ignore[arg-type]


def test_options_for_channels_that_there_are_not_are_refused() -> None:
    network = build_network("digits")
    with pytest.raises(InputError, match="must be for a group of channels alone"):
        build_frame(network, _with(network, "stem", Channels((0, 1))))
    with pytest.raises(
        InputError, match=r"'stem.channels': channel 16; must be below 16"
    ):
        build_frame(network, _with(network, "stem.channels", Channels((0, 16))))
    last = channel_groups(network)[-1].name
    with pytest.raises(InputError, match="keeps its channels: the network's outputs"):
        build_frame(network, _with(network, last, Channels((0, 1))))


def test_a_block_is_not_replaced_at_the_edge_of_a_group_with_a_choice() -> None:
    network = build_network("digits")
    layers = {layer.name: layer for layer in network.layers}
    (block,) = (b for b in residual_blocks(network) if b.entry == "stem")
    conv = layers["block1.expand"]
    assert isinstance(conv, Conv)
    instead = replace(conv, name="other", ofm=conv.ifm)
    options = _with(network, "stem.channels", Channels((0, 1)))
    options += [
        Option(layer=block.name, change=change, cost_micro=0)
        for change in (Keep(), Replace(operation="o", layers=(instead,), weight_bits=8))
    ]
    with pytest.raises(InputError, match=r"replaced, and 'stem\.channels' be narrower"):
        build_frame(network, options)
