"""Options in bits: shares, costs, and what is kept."""

import csv
import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.data import data_path
from hao.errors import InputError
from hao.ir.change import Bits
from hao.ir.layer import Conv, Depthwise, Linear
from hao.ir.network import Network
from hao.ir.tensor import QType
from hao.options.bits import bit_options, layer_shares
from hao.options.option import Option
from hao.zoo import build_network
from tests.options.widths import width

DROPS = {8: 0.5, 6: 1.25, 4: 4.0}
NETWORK = build_network("mobilenet_v2_035", 96)


def _at(options: tuple[Option, ...], bits: int) -> tuple[Option, ...]:
    """Return the scheme that takes `bits` wherever a layer offers them."""
    scheme: dict[str, Option] = {}
    for option in options:
        if option.layer not in scheme or width(option) == bits:
            scheme[option.layer] = option
    return tuple(scheme.values())


@st.composite
def drops(draw: st.DrawFn) -> dict[int, float]:
    bits = draw(st.lists(st.integers(2, 8), min_size=1, unique=True))
    steps = draw(st.lists(st.floats(0, 10), min_size=len(bits), max_size=len(bits)))
    reached, table = 0.0, {}
    for b, step in zip(sorted(bits, reverse=True), steps, strict=True):
        reached += step
        table[b] = reached
    return table


@given(drops(), st.booleans())
def test_a_uniform_scheme_costs_exactly_the_drop(
    table: dict[int, float], keep: bool
) -> None:
    options = bit_options(
        NETWORK, choices=tuple(table), drop_by_bits=table, keep_first_last=keep
    )
    for bits, drop in table.items():
        assert sum(o.cost_micro for o in _at(options, bits)) == round(drop * 1_000_000)


@given(drops())
def test_fewer_bits_never_cost_a_layer_less(table: dict[int, float]) -> None:
    options = bit_options(NETWORK, choices=tuple(table), drop_by_bits=table)
    for one, other in pairwise(options):
        if one.layer == other.layer:
            assert width(one) > width(other)
            assert one.cost_micro <= other.cost_micro


def test_first_and_last_layer_keep_the_highest_choice_at_no_cost() -> None:
    options = bit_options(NETWORK, choices=(4, 8), drop_by_bits=DROPS)
    first, last = NETWORK.compute_layers[0].name, NETWORK.compute_layers[-1].name
    for name in (first, last):
        (only,) = [option for option in options if option.layer == name]
        assert (width(only), only.cost_micro) == (8, 0)
    assert len(options) == 2 * len(NETWORK.compute_layers) - 2


def test_first_and_last_layer_take_part_where_asked() -> None:
    options = bit_options(
        NETWORK, choices=(4, 8), drop_by_bits=DROPS, keep_first_last=False
    )
    assert len(options) == 2 * len(NETWORK.compute_layers)
    assert all(option.cost_micro > 0 for option in options)


def test_shares_sum_to_one_and_follow_the_root_of_the_weights() -> None:
    shares = layer_shares(build_network("resnet18"))
    assert sum(shares.values()) == 1
    assert shares["stem"] == shares["classifier"] == 0
    # 2359296 and 36864 weights: sqrt(64) = 8 times the share.
    assert shares["block8.conv2"] == 8 * shares["block1.conv1"]


def test_depthwise_layers_weigh_twice() -> None:
    layers = {layer.name: layer for layer in NETWORK.compute_layers}
    shares = layer_shares(NETWORK, keep_first_last=False)
    depthwise = next(x for x in layers.values() if isinstance(x, Depthwise))
    dense = next(x for x in layers.values() if not isinstance(x, Depthwise))
    ratio = shares[depthwise.name] / shares[dense.name]
    expected = 4 * Fraction(depthwise.weights, dense.weights)
    assert float(ratio**2) == pytest.approx(float(expected), rel=1e-4)


def test_a_layer_whose_file_fixes_its_bits_offers_those_only() -> None:
    fixed = NETWORK.compute_layers[3].name
    network = replace(
        NETWORK,
        layers=tuple(
            replace(layer, weight=QType(bits=3, signed=True))
            if isinstance(layer, Conv | Depthwise | Linear) and layer.name == fixed
            else layer
            for layer in NETWORK.layers
        ),
    )
    options = bit_options(network, choices=(4, 8), drop_by_bits=DROPS)
    (only,) = [option for option in options if option.layer == fixed]
    assert (width(only), only.cost_micro) == (3, 0)
    # The others pay what they did before.
    before = bit_options(NETWORK, choices=(4, 8), drop_by_bits=DROPS)
    assert [o for o in options if o.layer != fixed] == [
        o for o in before if o.layer != fixed
    ]


def test_bits_that_the_engine_does_not_run_name_the_layer() -> None:
    layer = replace(NETWORK.compute_layers[0], weight=QType(bits=1, signed=True))
    network = Network(
        name="binary", layers=(NETWORK.layers[0], replace(layer, name="conv"))
    )
    with pytest.raises(InputError, match="layer 'conv': weight_bits = 1; must be from"):
        bit_options(network, choices=(8,), drop_by_bits=DROPS)


@pytest.mark.parametrize(
    ("choices", "table", "message"),
    [
        ((), DROPS, "must be distinct, at least one"),
        ((4, 4), DROPS, "must be distinct"),
        ((9,), {9: 0.0}, "bit choice 9; must be from 2 to 8"),
        ((5,), DROPS, "bit choice 5 has no drop"),
        ((4, 8), {8: 2.0, 4: 1.0}, r"drop at 4 bits = 1\.0 points; must be from 2\.0"),
        ((8,), {8: -0.1}, r"drop at 8 bits = -0\.1 points"),
        ((8,), {8: float("nan")}, "drop at 8 bits = nan"),
    ],
)
def test_wrong_choices_and_drops_are_refused(
    choices: tuple[int, ...], table: dict[int, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        bit_options(NETWORK, choices=choices, drop_by_bits=table)


def test_a_network_without_weights_is_refused() -> None:
    network = Network(name="empty", layers=NETWORK.layers[:1])
    with pytest.raises(InputError, match="'empty' has no layers with weights"):
        bit_options(network, choices=(8,), drop_by_bits=DROPS)


def test_additive_costs_match_the_published_mixed_schemes_of_resnet18() -> None:
    # HAWQ-V3, ResNet-18, 20 layers without the classifier. Its uniform rows give the
    # drops at 8 and 4 bits; the mixed rows between them are predicted.
    with data_path("data", "imagenet_quant_accuracy.csv").open() as stream:
        rows = {
            row["scheme"]: row
            for row in csv.DictReader(stream)
            if row["model"] == "resnet18" and row["layer_weight_bits"]
        }
    ends = {bits: float(rows.pop(f"uniform{bits}")["drop"]) for bits in (8, 4)}
    options = bit_options(
        build_network("resnet18"),
        choices=(4, 8),
        drop_by_bits={8: max(ends[8], 0.0), 4: ends[4]},
    )
    cost = {(o.layer, width(o)): o.cost_micro for o in options}
    names = list(dict.fromkeys(option.layer for option in options))[:-1]
    errors = []
    for row in rows.values():
        bits = json.loads(row["layer_weight_bits"])
        predicted = sum(cost[name, b] for name, b in zip(names, bits, strict=True))
        errors.append(abs(predicted / 1e6 - float(row["drop"])))
    assert len(errors) >= 7
    # Measured 0.24; counting parameters instead of their root gives 0.6.
    assert sum(errors) / len(errors) < 0.35


def test_the_shipped_hawq_problems_are_complete() -> None:
    text = data_path("data", "hawq_v3_bit_selection.json").read_text()
    problems = json.loads(text)["networks"]
    for name, problem in problems.items():
        convolutions = len(build_network(name).compute_layers) - 2
        assert len(problem["parameters"]) == convolutions
        assert len(problem["optimal"]) == 9
        for answer in problem["optimal"]:
            assert len(answer["bits"]) == convolutions


def test_dense_layers_offer_their_bits_in_two_passes_at_the_same_cost() -> None:
    network = build_network("mobilenet_v2_035", 96)
    drops = {8: 0.5, 6: 1.0, 4: 3.0}
    plain = bit_options(network, choices=(4, 6, 8), drop_by_bits=drops)
    both = bit_options(network, choices=(4, 6, 8), drop_by_bits=drops, two_passes=True)
    once = [o for o in both if isinstance(o.change, Bits) and o.change.passes == 1]
    assert tuple(once) == plain
    cost = {(o.layer, o.change): o.cost_micro for o in plain}
    kinds = {layer.name: type(layer).__name__ for layer in network.compute_layers}
    for option in both:
        change = option.change
        assert isinstance(change, Bits)
        if change.passes == 2:
            assert kinds[option.layer] != "Depthwise"
            assert change.weight_bits == 8
            assert option.cost_micro == cost[option.layer, replace(change, passes=1)]
    twice = {o.layer for o in both} - {o.layer for o in both if o not in plain}
    assert {kinds[name] for name in twice} == {"Depthwise"}
