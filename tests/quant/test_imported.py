"""Imported quantized networks: exact on powers of two, else counted, or refused."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import (
    HALVES_EVEN,
    HALVES_ODD,
    HALVES_UP,
    Requantization,
    means_are_wide,
    with_multipliers,
)
from hao.ir.integer_run import layer_codes, layer_params, run_integer
from hao.ir.interpret import run_float, run_float_layers
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.tensor import QType, Rounding
from hao.model import load_buildable
from hao.quant.codable import codable
from hao.quant.export import export_qonnx
from hao.quant.imported import count_rounding, imported_integers
from hao.quant.integers import integer_network
from hao.quant.ptq import quantize_network
from hao.quant.scheme import uniform_scheme
from tests.quant.networks import CLASSES, frames_for, shape, with_random_parameters

SIGNED = QType(bits=8, signed=True)
UNSIGNED = QType(bits=8, signed=False)


NOTHING, AROUND = Padding(), Padding.same(3)


def residual(seed: int = 0, uncounted: Padding = NOTHING) -> Network:
    """Return a network whose averages are of up to 9 and of 25 pixels."""
    same = AROUND
    layers: tuple[Layer, ...] = (
        Input(name="frame", ofm=shape(2, 10)),
        Conv(
            name="stem",
            input="frame",
            ifm=shape(2, 10),
            ofm=shape(4, 10),
            kernel=3,
            padding=same,
            activation=ActivationKind.RELU6,
        ),
        Pool(
            name="largest",
            input="stem",
            ifm=shape(4, 10),
            ofm=shape(4, 5),
            kernel=2,
            stride=2,
            kind=PoolKind.MAX,
        ),
        Depthwise(
            name="depthwise",
            input="largest",
            ifm=shape(4, 5),
            ofm=shape(4, 5),
            kernel=3,
            padding=same,
        ),
        Add(
            name="add",
            inputs=("depthwise", "largest"),
            ofm=shape(4, 5),
            activation=ActivationKind.RELU,
        ),
        Pool(
            name="soft",
            input="add",
            ifm=shape(4, 5),
            ofm=shape(4, 5),
            kernel=3,
            padding=same,
            kind=PoolKind.AVERAGE,
            uncounted=uncounted,
        ),
        GlobalAveragePool(name="pool", input="soft", ifm=shape(4, 5), ofm=shape(4, 1)),
        Linear(name="classifier", input="pool", ifm=shape(4, 1), ofm=shape(CLASSES, 1)),
    )
    return with_random_parameters(Network(name="residual", layers=layers), seed)


@pytest.mark.parametrize(
    ("weight_bits", "act_bits", "uncounted"),
    [
        (8, 8, NOTHING),
        (4, 8, AROUND),
        (4, 8, Padding(bottom=1, right=1)),
        (2, 4, NOTHING),
    ],
)
def test_a_network_comes_back_from_its_file_bit_for_bit(
    tmp_path: Path, weight_bits: int, act_bits: int, uncounted: Padding
) -> None:
    network = residual(weight_bits, uncounted)
    scheme = uniform_scheme(network, weight_bits=weight_bits, act_bits=act_bits)
    frames = frames_for(network, 16)
    net = integer_network(quantize_network(network, scheme, frames))
    export_qonnx(net, tmp_path / "net.onnx")
    file = load_buildable(tmp_path / "net.onnx").network
    imported = imported_integers(file)
    assert imported.net.requantization is Requantization.SHIFT
    assert imported.rounded == ()
    assert not means_are_wide(file)
    others = frames_for(network, 20, seed=3)
    assert count_rounding(file, imported, others).differences == 0
    np.testing.assert_array_equal(
        imported.net.frame_codes(others), net.frame_codes(others)
    )
    np.testing.assert_array_equal(
        run_integer(imported.net, imported.net.frame_codes(others)),
        run_integer(net, net.frame_codes(others)),
    )
    assert imported.net.weight_bits() == {
        f"{name}.products" if name == "classifier" else f"{name}.sums": bits
        for name, bits in scheme.weight_bits.items()
    }


def quantizer(name: str, reads: Layer, quant: QType) -> Quantize:
    return Quantize(
        name=name, input=reads.name, ifm=reads.ofm, ofm=reads.ofm, quant=quant
    )


def free(
    *,
    weight_bits: int = 8,
    out_scale: float = 0.037,
    rounding: Rounding = Rounding.HALF_EVEN,
    middle: tuple[Layer, ...] = (),
    extra: dict[str, NDArray[np.generic]] | None = None,
    drop: tuple[str, ...] = (),
) -> Network:
    """Return frame, quantizer, convolution, `middle`, quantizer, as a file has them."""
    frame = Input(name="frame", ofm=shape(2, 5))
    first = quantizer("frame.q", frame, SIGNED)
    weight = QType(bits=weight_bits, signed=True, narrow=True)
    conv = Conv(
        name="conv",
        input="frame.q",
        ifm=shape(2, 5),
        ofm=shape(3, 5),
        kernel=3,
        padding=Padding.same(3),
        weight=weight,
    )
    before: Layer = middle[-1] if middle else conv
    last = quantizer("conv.q", before, replace(SIGNED, rounding=rounding))
    generator = np.random.default_rng(0)
    step = np.array([0.011, 0.023, 0.007])
    codes = generator.integers(weight.lowest, weight.highest + 1, size=(3, 2, 3, 3))
    params: dict[str, NDArray[np.generic]] = {
        "frame.q.scale": np.array([0.031]),
        "frame.q.zero_point": np.zeros(1),
        "conv.weight": codes * step[:, None, None, None],
        "conv.weight_scale": step,
        "conv.weight_zero_point": np.zeros(1),
        "conv.bias": generator.normal(size=3),
        "conv.q.scale": np.array([out_scale]),
        "conv.q.zero_point": np.zeros(1),
        **(extra or {}),
    }
    for key in drop:
        del params[key]
    return Network(
        name="free",
        layers=(frame, first, conv, *middle, last),
        params=MappingProxyType(params),
    )


def affine(
    scale: list[float], shift: list[float]
) -> tuple[Affine, dict[str, NDArray[np.generic]]]:
    layer = Affine(name="norm", input="conv", ifm=shape(3, 5), ofm=shape(3, 5))
    return layer, {"norm.scale": np.array(scale), "norm.shift": np.array(shift)}


def test_free_scales_become_wide_multipliers_or_roundings_are_counted() -> None:
    network = free()
    frames = frames_for(network, 1000)
    wide = imported_integers(network)
    assert wide.net.requantization is Requantization.WIDE
    assert wide.rounded == ()
    assert wide.net.param("conv", "multiplier").min() >= 2**23  # all 24 bits are used
    assert set(count_rounding(network, wide, frames).differing.values()) == {0}
    # What a design builds whose requantizers have 18 bits:
    narrow = imported_integers(with_multipliers(network))
    assert narrow.net.requantization is Requantization.MULTIPLIER
    assert narrow.rounded == ("conv",)
    assert narrow.net.param("conv", "multiplier").min() >= 2**16
    # Codes of up to 128 off by a 2^17th of themselves: below one of a thousand rounds
    # the other way.
    found = count_rounding(network, narrow, frames)
    assert found.differing["frame"] == 0
    assert 0 < found.differing["conv"] < 0.001 * found.compared["conv"]


@pytest.mark.parametrize("kind", [ActivationKind.RELU, ActivationKind.NONE])
def test_affine_layers_go_into_multipliers_and_biases(kind: ActivationKind) -> None:
    norm, extra = affine([0.5, -1.25, 2.0], [0.1, -0.3, 0.2])
    act = Activation(name="act", input="norm", ifm=norm.ofm, ofm=norm.ofm, kind=kind)
    network = free(middle=(norm, act), extra=extra)
    imported = imported_integers(network)
    found = count_rounding(network, imported, frames_for(network, 50))
    assert found.differing["conv"] < 0.03 * found.compared["conv"]
    low = 0 if kind is ActivationKind.RELU else -128
    assert imported.net.maps["conv"].low == low
    assert [layer.name for layer in imported.net.network.layers] == ["frame", "conv"]


def test_a_channel_that_is_multiplied_by_zero_is_its_constant() -> None:
    norm, extra = affine([0.0, 1.0, 1.0], [3.0, 0.0, 0.0])
    network = free(middle=(norm,), extra=extra)
    imported = imported_integers(network)
    frames = frames_for(network, 10)
    codes = run_integer(imported.net, imported.net.frame_codes(frames))
    assert np.all(codes[:, 0] == np.rint(3.0 / imported.scales["conv"]))


def powers(rounding: Rounding) -> Network:
    step = np.array([2.0**-6, 2.0**-5, 2.0**-7])
    codes = np.random.default_rng(1).integers(-127, 128, size=(3, 2, 3, 3))
    bias = np.array([17, -3, 40]) * step * 2.0**-4
    return free(
        rounding=rounding,
        extra={
            "frame.q.scale": np.array([2.0**-4]),
            "conv.weight": codes * step[:, None, None, None],
            "conv.weight_scale": step,
            "conv.bias": bias,
            "conv.q.scale": np.array([0.25]),
        },
    )


@pytest.mark.parametrize(
    "rounding", [Rounding.FLOOR, Rounding.HALF_UP, Rounding.HALF_EVEN]
)
def test_powers_of_two_are_exact(rounding: Rounding) -> None:
    network = powers(rounding)
    imported = imported_integers(network)
    assert imported.net.requantization is Requantization.SHIFT
    assert imported.net.param("conv", "shift").tolist() == [8, 7, 9]
    assert imported.rounded == ()
    assert count_rounding(network, imported, frames_for(network, 50)).differences == 0


def test_halves_to_even_go_to_even_where_the_bias_is_whole_alone() -> None:
    network = powers(Rounding.HALF_EVEN)
    params = dict(network.params)
    step = params["conv.weight_scale"].astype(np.float64)
    bias = np.array([17.0, -3.25, 40.5]) * step * 2.0**-4
    network = replace(network, params=MappingProxyType({**params, "conv.bias": bias}))
    imported = imported_integers(network)
    assert imported.net.rounding("conv").tolist() == [HALVES_EVEN, HALVES_UP, HALVES_UP]
    assert imported.net.param("conv", "bias").tolist() == [17, -4, 40]
    assert count_rounding(network, imported, frames_for(network, 200)).differences == 0


@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.FLOOR])
def test_a_file_of_imported_integers_rounds_as_they_do(
    tmp_path: Path, rounding: Rounding
) -> None:
    imported = imported_integers(powers(rounding))
    export_qonnx(imported.net, tmp_path / "net.onnx")
    network = load_buildable(tmp_path / "net.onnx").network
    again = imported_integers(network)
    frames = 4 * frames_for(network, 30)
    codes = imported.net.frame_codes(frames)
    np.testing.assert_array_equal(codes, again.net.frame_codes(frames))
    np.testing.assert_array_equal(
        run_integer(again.net, codes), run_integer(imported.net, codes)
    )
    real = run_float(network, frames.astype(np.float64)) / imported.scales["conv"]
    np.testing.assert_array_equal(real, run_integer(imported.net, codes))


def test_halves_away_from_zero_take_multipliers() -> None:
    network = powers(Rounding.HALF_AWAY)
    imported = imported_integers(network)
    # A little more than the power of two: above 0 halves go up, below 0 down.
    assert imported.net.requantization is Requantization.MULTIPLIER
    assert imported.rounded == ()
    assert count_rounding(network, imported, frames_for(network, 200)).differences == 0


def few_codes(bits: int, *, narrow: bool, rounding: Rounding) -> Network:
    """Return a batch norm of both signs and a few codes, as TFC and CNV have them."""
    norm, extra = affine([0.61, -1.37, 2.9], [0.1, -0.3, 0.2])
    quant = QType(bits=bits, signed=True, rounding=rounding)
    network = free(weight_bits=2, out_scale=0.53, middle=(norm,), extra=extra)
    layers = tuple(
        replace(layer, quant=quant)
        if layer.name == "conv.q" and isinstance(layer, Quantize)
        else replace(layer, weight=QType(bits=2, signed=True, narrow=narrow))
        if isinstance(layer, Conv)
        else layer
        for layer in network.layers
    )
    params = dict(network.params)
    if not narrow:
        step = params["conv.weight_scale"].astype(np.float64)[:, None, None, None]
        codes = np.random.default_rng(1).integers(-2, 2, size=(3, 2, 3, 3))
        params["conv.weight"] = codes * step
    return replace(network, layers=layers, params=MappingProxyType(params))


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.HALF_AWAY])
def test_few_codes_behind_a_batch_norm_are_exact(
    bits: int, narrow: bool, rounding: Rounding
) -> None:
    network = few_codes(bits, narrow=narrow, rounding=rounding)
    imported = imported_integers(network)
    assert imported.rounded == ()
    assert count_rounding(network, imported, frames_for(network, 200)).differences == 0
    # Only what has no counterpart keeps its sign: -2 of two bits.
    assert imported.net.param("conv", "weight").min() == (-1 if narrow else -2)
    if not narrow:
        signs = np.sign(imported.net.param("conv", "multiplier"))
        assert signs.tolist() == [1, -1, 1]


def without_output_quantizer(network: Network) -> Network:
    return replace(network, layers=network.layers[:-1])


def test_an_output_without_a_quantizer_gets_a_scale_from_frames() -> None:
    network = without_output_quantizer(free())
    frames = frames_for(network, 20)
    imported = imported_integers(network, frames)
    kind = imported.net.maps["conv"]
    assert (kind.quant.bits, kind.quant.signed) == (8, True)
    assert imported.scales["conv"] == 2.0 ** (kind.exponent or 0)
    found = count_rounding(network, imported, frames)
    assert found.differing["conv"] < 0.02 * found.compared["conv"]
    with pytest.raises(UnsupportedError, match="'conv': its map is not quantized, and"):
        imported_integers(network)


def zero_point() -> Network:
    return free(extra={"conv.q.zero_point": np.array([3.0])})


def test_a_zero_point_of_the_output_is_part_of_its_codes() -> None:
    network = zero_point()
    imported = imported_integers(network)
    assert imported.zeros["conv"] == 3
    found = count_rounding(network, imported, frames_for(network, 200))
    # A bias is off by up to half a unit of the products, 0.002 to 0.01 codes here.
    assert found.differing["conv"] < 0.01 * found.compared["conv"]


def per_channel() -> Network:
    return free(extra={"conv.q.scale": np.array([1.0, 2.0, 1.0])})


def sixteen_bits() -> Network:
    network = free()
    last = network.layers[-1]
    assert isinstance(last, Quantize)
    wide = replace(last, quant=QType(bits=16, signed=True))
    return replace(network, layers=(*network.layers[:-1], wide))


def unquantized_weights() -> Network:
    network = free(drop=("conv.weight_scale",))
    layers = tuple(
        replace(layer, weight=None) if isinstance(layer, Conv) else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def unquantized_middle() -> Network:
    pool = Pool(
        name="pool",
        input="conv",
        ifm=shape(3, 5),
        ofm=shape(3, 5),
        kernel=1,
        kind=PoolKind.MAX,
    )
    return free(middle=(pool,))


def huge_ratio() -> Network:
    return free(out_scale=1e-12)


@pytest.mark.parametrize(
    "network",
    [huge_ratio(), free(extra={"conv.bias": np.array([1e6, 0, -1e6])})],
    ids=["every sum at an end", "channels at an end"],
)
def test_codes_that_hardly_depend_on_sums_are_exact(network: Network) -> None:
    imported = imported_integers(network)
    found = count_rounding(network, imported, frames_for(network, 50))
    assert found.differing["conv"] <= 0.001 * found.compared["conv"]


def uneven_limits() -> Network:
    norm, extra = affine([1.0, 1.0, 1.0], [0.0, 0.0, 9.0])
    relu = Activation(
        name="act",
        input="conv",
        ifm=norm.ofm,
        ofm=norm.ofm,
        kind=ActivationKind.RELU,
    )
    return free(middle=(relu, replace(norm, input="act")), extra=extra)


def scaled_frames() -> Network:
    network = free()
    frame, first, *rest = network.layers
    norm = Affine(name="norm", input="frame", ifm=frame.ofm, ofm=frame.ofm)
    assert isinstance(first, Quantize)
    params = {
        **network.params,
        "norm.scale": np.full(2, 2.0),
        "norm.shift": np.zeros(2),
    }
    return Network(
        name="scaled",
        layers=(frame, norm, replace(first, input="norm"), *rest),
        params=MappingProxyType(params),
    )


def test_what_scales_frames_is_part_of_their_codes() -> None:
    network = scaled_frames()
    frames = frames_for(network, 6)
    imported = imported_integers(network, frames)
    assert imported.net.frame is not None
    assert imported.net.frame.gain == (2 / imported.scales["frame"],) * 2
    agreement = count_rounding(network, imported, frames)
    assert agreement.differing["frame"] == 0


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (per_channel(), "'conv.q': 3 scales or zero points; handled: one"),
        (sixteen_bits(), "'conv.q': maps of 16 bits"),
        (unquantized_weights(), "'conv': weights quantized to no bits"),
        (unquantized_middle(), "'conv': its map is not quantized where 'pool'"),
        (free(rounding=Rounding.CEIL), "'conv.q': rounds by CEIL"),
        (uneven_limits(), "'conv.q': other limits in other channels"),
    ],
)
def test_what_the_accelerator_does_not_do_is_refused(
    network: Network, message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        imported_integers(network)
    assert "handled" in str(caught.value)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(InputError, match=r"'conv\.q\.scale' is missing"):
        imported_integers(free(drop=("conv.q.scale",)))


def test_an_add_of_unlike_scales_is_refused() -> None:
    network = free()
    add = Add(name="add", inputs=("conv.q", "conv.q"), ofm=shape(3, 5))
    last = quantizer("add.q", add, SIGNED)
    params = {
        **network.params,
        "add.q.scale": network.params["conv.q.scale"] * 3,
        "add.q.zero_point": np.zeros(1),
    }
    longer = Network(
        name="add",
        layers=(*network.layers, add, last),
        params=MappingProxyType(params),
    )
    with pytest.raises(UnsupportedError, match=r"'add': scales .* powers of"):
        imported_integers(longer)
    twice = {**params, "add.q.scale": network.params["conv.q.scale"] * 2}
    good = replace(longer, params=MappingProxyType(twice))
    assert imported_integers(good).net.param("add", "shifts").tolist() == [0, 0, 1]


def asymmetric(seed: int, *, powers: bool) -> Network:
    """Return a residual network whose every map has a zero point of its own."""
    rng = np.random.default_rng(seed)
    same = Padding.same(3)
    frame = Input(name="frame", ofm=shape(2, 6))
    params: dict[str, NDArray[np.generic]] = {}

    def quant(name: str, reads: Layer, *, signed: bool) -> Quantize:
        step = 2.0 ** -int(rng.integers(3, 5))
        factor = 1.0 if powers else rng.uniform(0.7, 1.4)
        low = -128 if signed else 0
        params[f"{name}.scale"] = np.array([step * factor])
        params[f"{name}.zero_point"] = np.array([float(low + rng.integers(1, 200))])
        return quantizer(name, reads, QType(bits=8, signed=signed))

    def weighted(name: str, *size: int) -> None:
        step = 2.0**-6 * (1.0 if powers else rng.uniform(0.7, 1.4))
        params[f"{name}.weight"] = rng.integers(-8, 8, size=size) * step
        params[f"{name}.weight_scale"] = np.array([step])
        params[f"{name}.bias"] = rng.integers(-40, 40, size=size[0]) * 2.0**-10

    weight = QType(bits=4, signed=True)
    first = quant("frame.q", frame, signed=True)
    conv = Conv(
        name="conv",
        input=first.name,
        ifm=shape(2, 6),
        ofm=shape(3, 6),
        kernel=3,
        padding=same,
        weight=weight,
    )
    weighted("conv", 3, 2, 3, 3)
    second = quant("conv.q", conv, signed=False)
    deep = Depthwise(
        name="deep",
        input=second.name,
        ifm=shape(3, 6),
        ofm=shape(3, 6),
        kernel=3,
        padding=same,
        weight=weight,
    )
    weighted("deep", 3, 1, 3, 3)
    third = quant("deep.q", deep, signed=True)
    add = Add(name="add", inputs=(second.name, third.name), ofm=shape(3, 6))
    fourth = quant("add.q", add, signed=False)
    pool = Pool(
        name="pool",
        input=fourth.name,
        ifm=shape(3, 6),
        ofm=shape(3, 3),
        kernel=3,
        stride=2,
        padding=same,
        kind=PoolKind.AVERAGE,
    )
    fifth = quant("pool.q", pool, signed=True)
    mean = GlobalAveragePool(
        name="mean", input=fifth.name, ifm=shape(3, 3), ofm=shape(3, 1)
    )
    sixth = quant("mean.q", mean, signed=False)
    last = Linear(
        name="last", input=sixth.name, ifm=shape(3, 1), ofm=shape(4, 1), weight=weight
    )
    weighted("last", 4, 3)
    seventh = quant("last.q", last, signed=True)
    made = (first, conv, second, deep, third, add, fourth, pool, fifth, mean, sixth)
    return Network(
        name="asymmetric",
        layers=(frame, *made, last, seventh),
        params=MappingProxyType(params),
    )


@pytest.mark.parametrize("seed", range(4))
def test_zero_points_are_in_padding_biases_sums_and_averages(seed: int) -> None:
    network = asymmetric(seed, powers=True)
    imported = imported_integers(network)
    found = count_rounding(network, imported, 4 * frames_for(network, 30, seed=seed))
    assert found.differences == 0
    assert imported.net.maps["conv"].zero == imported.zeros["conv"] != 0
    assert "add.bias" in imported.net.network.params
    assert "mean.bias" in imported.net.network.params


def test_zero_points_with_free_scales_are_within_a_code() -> None:
    network, _ = codable(asymmetric(9, powers=False))
    imported = imported_integers(network)
    frames = 4 * frames_for(network, 30)
    theirs = run_float(network, frames.astype(np.float64)).reshape(len(frames), -1)
    ours = run_integer(imported.net, imported.net.frame_codes(frames))
    codes = theirs / imported.scales["last"] + imported.zeros["last"]
    assert np.abs(codes - ours.reshape(len(frames), -1)).max() <= 1.001


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_that_reads_the_files_codes_is_within_one_code(seed: int) -> None:
    network, _ = codable(asymmetric(seed, powers=False))
    imported = imported_integers(network)
    net, sources = imported.net, imported.sources
    frames = 4 * frames_for(network, 30, seed=seed).astype(np.float64)
    real = run_float_layers(network, frames, keep=frozenset(sources.values()))
    theirs = {
        name: np.rint(real[of] / imported.scales[name] + imported.zeros[name])
        for name, of in sources.items()
    }
    for layer in net.network.layers[1:]:
        ours = layer_codes(
            layer,
            [theirs[name].astype(np.float32) for name in layer.inputs],
            types=[net.maps[name] for name in layer.inputs],
            params=layer_params(net, layer),
            output=net.maps[layer.name],
        )
        apart = np.abs(ours - theirs[layer.name])
        assert apart.max() <= 1
        most = 0.0 if isinstance(layer, Compute) else 0.1
        assert np.count_nonzero(apart) <= most * apart.size, layer


def test_codes_of_a_maximum_may_stand_for_other_values_than_those_it_reads() -> None:
    network = powers(Rounding.HALF_EVEN)
    last = network.layers[-1]
    pool = Pool(
        name="pool",
        input=last.name,
        ifm=shape(3, 5),
        ofm=shape(3, 4),
        kernel=2,
        kind=PoolKind.MAX,
    )
    shifted = Affine(name="shifted", input="pool", ifm=pool.ofm, ofm=pool.ofm)
    weight = QType(bits=8, signed=True)
    reader = Depthwise(
        name="reader",
        input="shifted",
        ifm=pool.ofm,
        ofm=pool.ofm,
        kernel=3,
        padding=Padding.same(3),
        weight=weight,
        bias=False,
    )
    added = (pool, shifted, reader, quantizer("reader.q", reader, SIGNED))
    codes = np.random.default_rng(2).integers(-127, 128, size=(3, 1, 3, 3))
    # Twice the codes, and 0.5 more: the code -1 stands for 0.0.
    more: dict[str, NDArray[np.generic]] = {
        "shifted.scale": np.full(3, 2.0),
        "shifted.shift": np.full(3, 0.5),
        "reader.weight": codes * 2.0**-9,
        "reader.weight_scale": np.full(3, 2.0**-9),
        "reader.weight_zero_point": np.zeros(1),
        "reader.q.scale": np.array([0.25]),
        "reader.q.zero_point": np.zeros(1),
    }
    network = Network(
        name="maximum",
        layers=(*network.layers, *added),
        params={**network.params, **more},
    )
    imported = imported_integers(network)
    assert (imported.net.maps["conv"].zero, imported.net.maps["pool"].zero) == (0, -1)
    found = count_rounding(network, imported, 4 * frames_for(network, 30))
    assert found.differences == 0


@pytest.mark.parametrize(
    ("zero", "rounding", "how"),
    [(2, Rounding.HALF_EVEN, HALVES_EVEN), (3, Rounding.HALF_ODD, HALVES_ODD)],
)
def test_halves_before_a_zero_point_that_stays_are_exact(
    zero: int, rounding: Rounding, how: int
) -> None:
    frame = Input(name="frame", ofm=shape(2, 6))
    first = quantizer("frame.q", frame, SIGNED)
    pool = Pool(
        name="pool",
        input="frame.q",
        ifm=frame.ofm,
        ofm=shape(2, 3),
        kernel=2,
        stride=2,
        kind=PoolKind.AVERAGE,
    )
    last = quantizer("pool.q", pool, replace(UNSIGNED, rounding=rounding))
    layers = (frame, first, pool, last)
    params = {"frame.q.scale": np.array([0.25]), "pool.q.scale": np.array([0.5])}
    params |= {"frame.q.zero_point": np.zeros(1), "pool.q.zero_point": np.full(1, zero)}
    network = Network(name="halves", layers=layers, params=params)
    imported = imported_integers(network)
    assert imported.net.rounding("pool").tolist() == [how]
    found = count_rounding(network, imported, 4 * frames_for(network, 50))
    assert found.differences == 0


def test_padding_without_a_code_is_refused() -> None:
    network = few_codes(1, narrow=True, rounding=Rounding.HALF_EVEN)
    conv = next(layer for layer in network.layers if isinstance(layer, Conv))
    bipolar = quantizer("frame.q", network.input, QType(bits=1, signed=True))
    layers = tuple(
        bipolar if layer.name == "frame.q" else layer for layer in network.layers
    )
    with pytest.raises(UnsupportedError, match="'conv': pads a map whose zero point"):
        imported_integers(replace(network, layers=layers))
    assert conv.padding != Padding()
