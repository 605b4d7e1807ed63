"""Normalisation in the network: outputs of normalised frames, codes by hand."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.interpret import run_float
from hao.ir.layer import Conv, Depthwise, Input, Linear, Padding
from hao.ir.network import Network
from hao.ir.picture import PRESETS, Preparation
from hao.quant.float_net import with_parameters
from hao.quant.frame_scale import check_unit_frames, folded_frames, normalised_network
from hao.quant.integers import integer_network
from hao.quant.ptq import quantize_network
from hao.quant.scheme import Scheme
from tests.quant.networks import every_kind, shape, with_random_parameters

IMAGENET = Preparation(mean=PRESETS["imagenet"][0], std=PRESETS["imagenet"][1])
TF = Preparation(mean=(0.5,), std=(0.5,))


def colour(*, padded: bool, depthwise: bool = False) -> Network:
    """Return a layer on frames of 3x6x6, and a classifier."""
    size = 6 if padded else 4
    padding = Padding.same(3) if padded else Padding()
    kind = Depthwise if depthwise else Conv
    channels = 3 if depthwise else 5
    layers = (
        Input(name="frame", ofm=shape(3, 6)),
        kind(
            name="stem",
            input="frame",
            ifm=shape(3, 6),
            ofm=shape(channels, size),
            kernel=3,
            padding=padding,
        ),
        Linear(
            name="classifier", input="stem", ifm=shape(channels, size), ofm=shape(4, 1)
        ),
    )
    network = Network(name="colour", layers=layers)
    return with_random_parameters(network, 0)


def pixels(count: int = 6) -> NDArray[np.float64]:
    values = np.random.default_rng(1).integers(0, 256, (count, 3, 6, 6)) / 255
    values[0], values[1] = 0, 1
    return values


def by_hand(
    preparation: Preparation, frames: NDArray[np.float64]
) -> NDArray[np.float64]:
    mean, std = (
        np.array(numbers).reshape(1, -1, 1, 1)
        for numbers in (preparation.mean, preparation.std)
    )
    normalised: NDArray[np.float64] = (frames - mean) / std
    return normalised


NETWORKS = [
    colour(padded=True),
    colour(padded=False),
    colour(padded=True, depthwise=True),
    colour(padded=False, depthwise=True),
]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("preparation", [IMAGENET, TF, Preparation(std=(1 / 255,))])
def test_outputs_are_those_of_normalised_frames(
    network: Network, preparation: Preparation
) -> None:
    expected = run_float(network, by_hand(preparation, pixels()))
    made = normalised_network(network, preparation)
    np.testing.assert_allclose(run_float(made, pixels()), expected, rtol=1e-9)
    np.testing.assert_allclose(
        run_float(folded_frames(made), pixels()), expected, rtol=1e-9, atol=1e-9
    )


def test_what_a_file_scales_comes_after() -> None:
    network = colour(padded=True)
    params = dict(network.params)
    params["frame.scale"] = np.array([2.0, 3.0, 4.0])
    params["frame.shift"] = np.array([1.0, 0.0, -1.0])
    scaled = replace(network, params=MappingProxyType(params))
    expected = run_float(scaled, by_hand(IMAGENET, pixels()))
    made = normalised_network(scaled, IMAGENET)
    np.testing.assert_allclose(run_float(made, pixels()), expected, rtol=1e-9)


def coding(network: Network, preparation: Preparation) -> NDArray[np.int64]:
    """Return the codes of a ramp of all 256 bytes, shape (3, 256)."""
    folded = folded_frames(normalised_network(network, preparation))
    bits = {layer.name: 8 for layer in folded.compute_layers}
    frames = pixels().astype(np.float32)
    model = quantize_network(folded, Scheme(weight_bits=bits, act_bits=8), frames)
    ramp = np.arange(256).reshape(1, 1, 1, 256) / 255
    codes = integer_network(model).frame_codes(np.repeat(ramp, 3, axis=1))
    return codes[0, :, 0]


@pytest.mark.parametrize(
    ("network", "preparation"),
    [
        (colour(padded=False), IMAGENET),
        (colour(padded=True), Preparation(std=(1 / 255,))),
        (colour(padded=True), Preparation(std=(0.2, 0.3, 0.4))),
    ],
)
def test_codes_are_the_bytes_where_weights_take_all(
    network: Network, preparation: Preparation
) -> None:
    found = coding(network, preparation)
    np.testing.assert_array_equal(found, np.tile(np.arange(256), (3, 1)))


def test_codes_reach_from_end_to_end_where_the_host_shifts() -> None:
    found = coding(colour(padded=True), IMAGENET)
    # Largest of all ends: (1 - 0.406) / 0.225 = 2.64 becomes the code 127; the blue
    # channel then begins at -0.406 / 0.225 / 2.64 * 127 = -86.8.
    assert found.max() == 127
    assert found[2, 0] == -87
    # 214 codes and more tell 256 bytes apart; unfolded, 2.64 is code 84 of 127.
    assert len(np.unique(found[2])) == 215


def test_codes_of_a_half_are_as_before() -> None:
    # From -1 to 1 they fill a power of two already: nothing is divided.
    made = normalised_network(colour(padded=True), TF)
    folded = folded_frames(made)
    for key, array in made.params.items():
        np.testing.assert_array_equal(folded.params[key], array)


def test_frames_that_a_pool_reads_are_left_to_the_host() -> None:
    network = with_parameters(
        every_kind(),
        dict(every_kind().params)
        | {
            f"{layer.name}.bias": np.zeros(layer.ofm.channels)
            for layer in every_kind().compute_layers
            if not layer.bias
        },
    )
    assert folded_frames(normalised_network(network, Preparation(std=(0.5,)))).params


def test_no_normalisation_leaves_a_network_alone() -> None:
    network = colour(padded=True)
    assert normalised_network(network, Preparation()) is network


@pytest.mark.parametrize("values", [(0, 255), (-2.1, 2.6)])
def test_floats_that_are_not_from_0_to_1_are_not_normalised(
    values: tuple[float, float],
) -> None:
    frames = np.array(values, dtype=np.float32)
    check_unit_frames(frames, Preparation())
    check_unit_frames(frames.clip(-0.05, 1.05), IMAGENET)
    with pytest.raises(InputError, match=r"from .* to .*; a `preset`.* divide pixels"):
        check_unit_frames(frames, IMAGENET)


def test_means_of_another_number_are_refused() -> None:
    with pytest.raises(InputError, match="mean of 3 numbers; the network reads 2 chan"):
        normalised_network(every_kind(), IMAGENET)
