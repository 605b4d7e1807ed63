"""Seeded integer networks: repeatable, alive to the end, in powers of two."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.integer import (
    IntegerNetwork,
    accumulator_bits,
    accumulator_range,
    mean_multiplier,
)
from hao.ir.integer_run import run_integer, run_integer_layers
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Linear,
)
from hao.ir.network import Network
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.zoo.registry import build_network

NAMES = ("digits", "cnv_cifar", "vgg_cifar", "resnet20_cifar", "mobilenet_v2_100")


def scheme(network: Network, seed: int = 0) -> Mapping[str, int]:
    rng = np.random.default_rng(seed)
    return {layer.name: int(rng.integers(2, 9)) for layer in network.compute_layers}


def seeded(name: str, act_bits: int, seed: int = 0) -> IntegerNetwork:
    network = build_network(name)
    return seeded_integers(network, scheme(network), act_bits=act_bits, seed=seed)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    first, again, other = (seeded("digits", 4, seed) for seed in (1, 1, 2))
    assert first.maps == again.maps
    assert first.network.params.keys() == again.network.params.keys()
    for key, array in first.network.params.items():
        assert np.array_equal(array, again.network.params[key])
        assert not array.flags.writeable
    key = "stem.weight"
    assert not np.array_equal(first.network.params[key], other.network.params[key])


@pytest.mark.parametrize("act_bits", [2, 4, 8])
@pytest.mark.parametrize("name", NAMES)
def test_every_map_uses_most_of_its_range(name: str, act_bits: int) -> None:
    net = seeded(name, act_bits)
    frames = seeded_frames(net, 2, 3)
    names = [layer.name for layer in net.network.layers]
    maps = run_integer_layers(net, frames, frozenset(names))
    for layer in net.network.layers:
        codes, kind = maps[layer.name], net.maps[layer.name]
        # Means and the last layer have few values; a 2-bit code is often an end.
        if isinstance(layer, GlobalAveragePool | Linear):
            assert len(np.unique(codes)) > 1
            continue
        assert codes.max() >= kind.high / 2, layer.name
        clamped = (codes == kind.high) | ((codes == kind.low) & (kind.low < 0))
        assert clamped.mean() < (0.5 if act_bits == 2 else 0.2), layer.name
        # At 2 bits an add of an unsigned map may leave 0 and 1 of -2 to 1.
        least = 2 if act_bits == 2 else 2**act_bits // 4
        assert len(np.unique(codes)) >= least, layer.name


@pytest.mark.parametrize("name", NAMES)
def test_types_follow_activations_and_the_scheme(name: str) -> None:
    net = seeded(name, 4)
    assert net.weight_bits() == scheme(build_network(name))
    assert net.maps[net.network.input.name].quant.signed
    for layer in net.network.layers:
        quant = net.maps[layer.name].quant
        assert quant.bits == 4
        if isinstance(layer, Conv | Depthwise | Linear):
            assert layer.weight is not None
            assert layer.weight.signed
            assert layer.weight.narrow
            rows = net.param(layer.name, "weight").reshape(layer.ofm.channels, -1)
            assert rows.any(axis=1).all()
        if isinstance(layer, Conv | Depthwise | Linear | Add):
            assert quant.signed == (layer.activation is ActivationKind.NONE)


@pytest.mark.parametrize("act_bits", [2, 8])
@pytest.mark.parametrize("name", NAMES)
def test_accumulators_fit_the_width_that_the_cost_model_prices(
    name: str, act_bits: int
) -> None:
    net = seeded(name, act_bits)
    bits = net.weight_bits()
    for layer in net.network.compute_layers:
        low, high = accumulator_range(net, layer)
        width = accumulator_bits(bits[layer.name], act_bits, layer.terms)
        assert -(2 ** (width - 1)) <= low <= high < 2 ** (width - 1)


def test_shifts_differ_between_channels_and_layers() -> None:
    net = seeded("mobilenet_v2_100", 8)
    shifts = [net.param(layer.name, "shift") for layer in net.network.compute_layers]
    assert sum(len(set(shift.tolist())) > 1 for shift in shifts) > 0.9 * len(shifts)
    assert len(set(np.concatenate(shifts).tolist())) > 5
    adds = [layer for layer in net.network.layers if isinstance(layer, Add)]
    assert len({tuple(net.param(add.name, "shifts")) for add in adds}) > 1


def test_adds_align_what_their_operands_stand_for() -> None:
    net = seeded("mobilenet_v2_100", 8)
    for layer in net.network.layers:
        if isinstance(layer, Add):
            left, right, shift = net.param(layer.name, "shifts").tolist()
            first, second = (net.maps[name].exponent for name in layer.inputs)
            output = net.maps[layer.name].exponent
            assert first is not None
            assert second is not None
            assert first - left == second - right
            assert output == first - left + shift


def test_relu6_ends_below_its_type_where_6_is_a_code() -> None:
    net = seeded("mobilenet_v2_100", 8)
    below = 0
    for layer in net.network.compute_layers:
        kind = net.maps[layer.name]
        if layer.activation is ActivationKind.RELU6:
            assert kind.exponent is not None
            # 8 bits: 192 * 2^-5 = 6, or 255 * 2^-6 < 6.
            assert (kind.high, kind.exponent) in {(192, -5), (255, -6)}
            below += kind.high == 192
    assert below > 10


def test_the_mean_of_all_pixels_divides_by_their_number() -> None:
    net = seeded("mobilenet_v2_100", 8)
    pool = next(x for x in net.network.layers if isinstance(x, GlobalAveragePool))
    got = *net.param(pool.name, "multiplier"), *net.param(pool.name, "shift")
    assert got == mean_multiplier(49)
    assert net.maps[pool.name] == net.maps[pool.input]


def test_mobilenet_v2_takes_seconds() -> None:
    # 0.2 s to make and 0.03 s a frame on two cores; ten times as much is let through.
    start = time.perf_counter()
    net = seeded("mobilenet_v2_100", 8)
    run_integer(net, seeded_frames(net, 1, 0))
    assert time.perf_counter() - start < 5


def test_seeded_frames_repeat_and_fill_the_range_of_the_input() -> None:
    net = seeded("digits", 4)
    frames = seeded_frames(net, 8, 5)
    kind = net.maps[net.network.input.name]
    assert frames.shape == (8, 1, 16, 16)
    assert frames.dtype == np.int64
    assert (frames.min(), frames.max()) == (kind.low, kind.high)
    assert np.array_equal(frames, seeded_frames(net, 8, 5))
    assert not np.array_equal(frames, seeded_frames(net, 8, 6))


def test_seeded_frames_refuses_no_frames() -> None:
    with pytest.raises(InputError, match="0 frames; must be at least 1"):
        seeded_frames(seeded("digits", 4), 0, 0)


def test_seeded_integers_refuses_a_scheme_of_other_layers() -> None:
    network = build_network("digits")
    bits = dict(scheme(network))
    bits["other"] = bits.pop("stem")
    with pytest.raises(
        InputError, match=r"lacks \['stem'\] and has unknown \['other'\]"
    ):
        seeded_integers(network, bits, act_bits=4, seed=0)


@pytest.mark.parametrize("bits", [1, 9])
def test_seeded_integers_refuses_widths(bits: int) -> None:
    network = build_network("digits")
    with pytest.raises(
        InputError, match=f"activations of {bits} bits; must have 2 to 8"
    ):
        seeded_integers(network, scheme(network), act_bits=bits, seed=0)
    wrong = {**scheme(network), "stem": bits}
    with pytest.raises(InputError, match=f"'stem': weights of {bits} bits; must have"):
        seeded_integers(network, wrong, act_bits=4, seed=0)


def test_seeded_integers_refuses_layers_that_simplify_removes() -> None:
    network = build_network("digits")
    last = network.output
    extra = Activation(
        name="r", input=last.name, ifm=last.ofm, ofm=last.ofm, kind=ActivationKind.RELU
    )
    longer = replace(network, layers=(*network.layers, extra))
    with pytest.raises(
        InputError, match="layer 'r': Activation has no integers of its"
    ):
        seeded_integers(longer, scheme(network), act_bits=4, seed=0)
