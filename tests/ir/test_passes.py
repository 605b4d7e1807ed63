"""Weights as two digits, and layers that run in two passes."""

from dataclasses import replace

import numpy as np
import pytest

from hao.errors import InputError, UnsupportedError
from hao.ir.change import Bits, passes_of
from hao.ir.integer import MapType
from hao.ir.layer import Conv, Depthwise, Input, Linear, Pool, PoolKind
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.passes import (
    DIGIT_BITS,
    MOST_CODE,
    codes_of,
    digit_type,
    digits,
    factors,
    frame_in_planes,
    frame_planes,
    in_passes,
    invocation_in_passes,
    planes_of,
    run_in_passes,
)
from hao.ir.tensor import QType
from hao.zoo import build_network

TWICE = Conv(
    name="c",
    input="x",
    ifm=build_network("resnet8_cifar").input.ofm,
    ofm=build_network("resnet8_cifar").input.ofm,
    kernel=1,
    passes=2,
)


def test_two_digits_make_every_weight_that_they_hold() -> None:
    weight = np.arange(-MOST_CODE, MOST_CODE + 1)
    high, low = digits(weight, TWICE)
    assert MOST_CODE == 119
    assert np.array_equal((high << DIGIT_BITS) + low, weight)
    for digit in (high, low):
        assert -8 <= digit.min() <= digit.max() <= 7


@pytest.mark.parametrize("code", [120, -120])
def test_a_weight_that_two_digits_do_not_hold_is_refused(code: int) -> None:
    with pytest.raises(InputError, match=r"layer 'c': weights from .* hold -119 to 11"):
        digits(np.array([[code, 0]]), TWICE)


def test_factors_add_up_to_the_weights() -> None:
    weight = np.random.default_rng(0).integers(-119, 120, (5, 4, 3, 3))
    assert factors(weight, TWICE).shape == (5, 2, 4, 3, 3)
    assert np.array_equal(factors(weight, TWICE).sum(axis=1), weight)


def test_only_eight_bits_lose_codes_in_two_passes() -> None:
    for bits, most in ((5, 15), (7, 63), (8, 119)):
        kind = in_passes(QType(bits=bits, signed=True, narrow=True), TWICE)
        assert (kind.lowest, kind.highest) == (-most, most)


def test_dense_layers_run_in_passes_wherever_they_run() -> None:
    network = build_network("mobilenet_v2_035", 96)
    dense = [x.name for x in network.compute_layers if not isinstance(x, Depthwise)]
    changed = run_in_passes(network, {dense[0]: 2, dense[5]: 2})
    twice = [
        x.name
        for x in changed.compute_layers
        if isinstance(x, Conv | Linear) and x.passes == 2
    ]
    assert twice == [dense[0], dense[5]]
    for before, after in zip(
        partition(network).segments, partition(changed).segments, strict=True
    ):
        passes = {dense[0]: 2, dense[5]: 2}
        assert invocation_in_passes(before.invocation, passes) == after.invocation


def test_passes_of_a_scheme_and_the_lanes_that_it_needs() -> None:
    scheme = {"a": Bits(weight_bits=8, passes=2), "b": Bits(weight_bits=6)}
    assert passes_of(scheme) == {"a": 2}
    assert [change.lane_bits for change in scheme.values()] == [4, 6]


@pytest.mark.parametrize(
    ("bits", "passes", "match"),
    [
        (4, 2, "weight_bits = 4 in 2 passes; must be from 5 to 8"),
        (8, 3, "passes = 3; must be 1 or 2"),
        (8, 0, "passes = 0; must be 1 or 2"),
    ],
)
def test_passes_that_no_layer_takes_are_refused(
    bits: int, passes: int, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        Bits(weight_bits=bits, passes=passes)


@pytest.mark.parametrize("signed", [True, False])
def test_a_frame_in_digits_times_its_weights_is_the_frame_times_them(
    signed: bool,
) -> None:
    rng = np.random.default_rng(1)
    low, high = (-MOST_CODE, MOST_CODE + 1) if signed else (0, 256)
    codes = rng.integers(low, high, (2, 3, 1, 1))
    digits_ = planes_of(codes, signed=signed)
    np.testing.assert_array_equal(codes_of(digits_), codes)
    quant = QType(bits=8, signed=signed)
    kind = digit_type(MapType(quant=quant, low=0, high=1, exponent=None))
    assert kind.low <= digits_.min() <= digits_.max() <= kind.high
    for passes in (2, 3):
        layer = replace(TWICE, planes=2, passes=passes)
        weight = rng.integers(-MOST_CODE, MOST_CODE + 1, (4, 3, 1, 1))
        made = factors(weight, layer)
        assert made.shape == (4, passes, 6, 1, 1)
        sums = np.einsum("opchw,fchw->fo", made, digits_)
        assert np.array_equal(sums, np.einsum("ochw,fchw->fo", weight, codes))


def test_the_frame_of_a_network_is_split_and_joined() -> None:
    network = build_network("resnet8_cifar")
    split = frame_in_planes(network, 2)
    assert (frame_planes(network), frame_planes(split)) == (1, 2)
    assert frame_in_planes(split, 2) is split
    assert frame_in_planes(split, 1) == network
    first = partition(split).segments[0].invocation
    assert first.ifm.channels == 2 * network.input.ofm.channels
    twice = run_in_passes(split, {split.compute_layers[0].name: 2})
    stem = twice.compute_layers[0]
    assert isinstance(stem, Conv)
    assert (stem.passes, stem.planes) == (3, 2)


def test_a_frame_that_no_convolution_reads_alone_is_refused() -> None:
    image = Input(name="x", ofm=build_network("resnet8_cifar").input.ofm)
    pool = Pool(
        name="p", input="x", ifm=image.ofm, ofm=image.ofm, kernel=1, kind=PoolKind.MAX
    )
    network = Network(name="n", layers=(image, pool))
    with pytest.raises(UnsupportedError, match=r"is read by p; .* with `act_bits` = 8"):
        frame_in_planes(network, 2)
