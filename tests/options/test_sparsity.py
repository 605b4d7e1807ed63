"""Densities on offer, what they cost, and layers that keep all their words."""

from dataclasses import replace

import pytest

from hao.ir.change import Bits, Channels
from hao.ir.layer import Conv, Depthwise, Padding
from hao.ir.sparsity import with_densities
from hao.options.bits import bit_options
from hao.options.measured import cost_between
from hao.options.option import Option
from hao.options.sparsity import LossCurve, density_options, why_whole
from hao.zoo import build_network


def test_what_lies_between_measured_points_rises_with_what_is_lost() -> None:
    points = ((0.2, 1.0), (0.4, 0.5), (0.8, 3.0))
    assert cost_between(0.0, points) == 0
    assert cost_between(0.1, points) == pytest.approx(0.5)
    assert cost_between(0.3, points) == 1.0  # what falls counts as it was
    assert cost_between(0.6, points) == pytest.approx(2.0)
    assert cost_between(1.0, points) == pytest.approx(3.75)  # 3 x 1.0 / 0.8
    assert cost_between(0.1, ((0.2, -1.0),)) == 0
    assert cost_between(0.5, ()) == 0


def test_no_share_costs_less_than_the_least() -> None:
    curve = LossCurve(points=((0.5, 0.001),), least=0.1)
    assert curve.cost(0.5) == 0.05
    assert curve.cost_micro(0.25) == 25_000
    assert LossCurve(points=((0.5, 0.2),), least=0.1).cost(0.5) == 0.2


def test_layers_say_why_they_keep_all_words() -> None:
    layers = {layer.name: layer for layer in build_network("digits").compute_layers}
    stem, block = layers["stem"], layers["block1.depthwise"]
    assert isinstance(stem, Conv)
    assert isinstance(block, Depthwise)
    assert why_whole(stem) is None
    assert why_whole(block) == "depthwise: it has no words to leave out"
    assert why_whole(replace(stem, planes=2)) == "its frame comes in digits"
    wide = replace(stem, kernel=9, padding=Padding(top=4, left=4, bottom=4, right=4))
    assert why_whole(wide) == "the list of its words names kernels of up to 8"


def test_every_number_of_bits_in_one_pass_comes_at_every_density() -> None:
    def bits(width: int, cost: int, passes: int = 1, density: int = 100) -> Option:
        change = Bits(weight_bits=width, passes=passes, density=density)
        return Option(layer="a", change=change, cost_micro=cost)

    kept = Option(layer="b", change=Channels((0,)), cost_micro=7)
    whole = (bits(8, 1), bits(8, 1, passes=2), bits(4, 5), kept)
    made = density_options(whole, {"a": {50: 20, 25: 40}})
    assert made == (
        *whole,
        *(bits(8, 21, density=50), bits(8, 41, density=25)),
        *(bits(4, 25, density=50), bits(4, 45, density=25)),
    )
    assert density_options(whole, {}) == whole


def test_a_layer_that_was_pruned_before_stays_so() -> None:
    network = build_network("digits")
    pruned = with_densities(network, {"block2.expand": 50})
    options = bit_options(pruned, choices=(8, 4), drop_by_bits={8: 0, 4: 1})
    own = {o.change for o in options if o.layer == "block2.expand"}
    assert own == {Bits(weight_bits=bits, density=50) for bits in (8, 4)}
