"""Blocks on offer: what leaving one out costs, and where there is none."""

import re

import pytest

from hao.errors import InputError
from hao.ir.change import Keep, LeaveOut
from hao.options.bits import bit_options
from hao.options.blocks import block_options
from hao.zoo import build_network

DIGITS = build_network("digits")


def test_every_block_is_kept_for_nothing_or_left_out_at_the_price() -> None:
    options = block_options(DIGITS, cost_points=1.5)
    assert [(o.layer, o.change, o.cost_micro) for o in options] == [
        ("block1.add", Keep(), 0),
        ("block1.add", LeaveOut(), 1_500_000),
        ("block3.add", Keep(), 0),
        ("block3.add", LeaveOut(), 1_500_000),
    ]


def test_the_least_cost_of_its_layers_comes_beside_the_price() -> None:
    layers = bit_options(DIGITS, choices=(8, 4), drop_by_bits={8: 0.5, 4: 3.0})
    least = sum(
        min(o.cost_micro for o in layers if o.layer == layer.name)
        for layer in DIGITS.compute_layers
        if layer.name.startswith("block1.")
    )
    assert least > 0
    _, out, *_ = block_options(DIGITS, cost_points=1.5, layers=layers)
    assert out.cost_micro == 1_500_000 + least


@pytest.mark.parametrize("points", [-1, 101])
def test_a_price_out_of_range_is_refused(points: float) -> None:
    with pytest.raises(InputError, match=f"= {points} points; must be from 0 to 100"):
        block_options(DIGITS, cost_points=points)


def test_a_network_without_blocks_is_refused() -> None:
    words = re.escape("no residual block that may be left out; search it without")
    with pytest.raises(InputError, match=f"network 'vgg11' has {words}"):
        block_options(build_network("vgg11"), cost_points=1)
