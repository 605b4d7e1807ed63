"""From the Brevitas model to integers, and how many of them the two disagree on.

The conversion reads integers and scales off the Brevitas layers and refuses a scale
that no shift or multiplier makes, a value off its grid, or a shift out of reach:
nothing is rounded here. `count_differences` then evaluates both on the same frames and
compares every integer of every map; the model runs in double precision, where its sums
of products are exact.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import InputError, UnsupportedError
from hao.ir.averages import mean_pixels
from hao.ir.classes import classes_of
from hao.ir.frame import FrameCoding
from hao.ir.integer import IntegerNetwork, MapType, mean_multiplier, requantization_of
from hao.ir.integer_run import run_integer, run_integer_layers
from hao.ir.layer import (
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
    Transparent,
)
from hao.ir.network import Network
from hao.quant.agreement import COMPARED_BATCH, Agreement
from hao.quant.counted import Counted, batch_size, uncounted
from hao.quant.dataset import Frames
from hao.quant.modules import module_key
from hao.quant.quant_net import QuantNet, weight_type

Integers = NDArray[np.int64]


def integer_network(model: QuantNet) -> IntegerNetwork:
    """Return the integers that a Brevitas model stands for.

    Raises:
        UnsupportedError: A scale is no power of two, nor such a power times the
            multiplier of its channel.
        InputError: A parameter is out of the accelerator's range.
    """
    exact = model.exact_copy()
    maps: dict[str, MapType] = {}
    params: dict[str, NDArray[np.generic]] = {}
    layers: list[Layer] = []
    for layer in model.network.layers:
        maps[layer.name] = _map_type(exact, layer, maps)
        for name, array in _layer_integers(exact, layer, maps).items():
            params[f"{layer.name}.{name}"] = array
        if isinstance(layer, Compute):
            quant = weight_type(model.scheme, layer)
            layers.append(replace(layer, weight=quant, bias=True))
        else:
            layers.append(layer)
    network = Network(name=model.network.name, layers=tuple(layers), params=params)
    return IntegerNetwork(
        network=network,
        maps=MappingProxyType(maps),
        requantization=requantization_of(model.network),
        frame=_frame_coding(model.network, maps[model.network.input.name]),
    )


def _frame_coding(network: Network, kind: MapType) -> FrameCoding | None:
    """Return how frames become codes, where the network scales them first."""
    name = network.input.name
    if f"{name}.scale" not in network.params:
        return None
    assert kind.exponent is not None
    scale, shift = (
        np.ldexp(
            # As the model holds them.
            network.params[f"{name}.{word}"].astype(np.float32).astype(np.float64),
            -kind.exponent,
        )
        for word in ("scale", "shift")
    )
    return FrameCoding(gain=tuple(scale.tolist()), offset=tuple(shift.tolist()))


def count_differences(
    model: QuantNet,
    net: IntegerNetwork,
    frames: Frames,
    counted: Counted = uncounted,
) -> Agreement:
    """Return how many integers a Brevitas model and an integer network disagree on.

    Args:
        model: Evaluated in double precision.
        net: Evaluated by `hao.ir.integer_run`.
        frames: Shape (frames, channels, height, width).
        counted: Told of every batch.

    Raises:
        InputError: The two have other layers.
    """
    names = [layer.name for layer in net.network.layers]
    if names != [layer.name for layer in model.network.layers]:
        raise InputError(
            f"network {net.network.name!r} and the model have other layers; convert "
            "this model"
        )
    exact = model.exact_copy()
    compared = dict.fromkeys(names, 0)
    differing = dict.fromkeys(names, 0)
    size = batch_size(net.network, COMPARED_BATCH)
    for start in range(0, len(frames), size):
        batch = frames[start : start + size]
        ours = run_integer_layers(net, net.frame_codes(batch), frozenset(names))

        def see(layer: Layer, ofm: Tensor, ours: Mapping[str, Integers] = ours) -> None:
            exponent = net.maps[layer.name].exponent
            assert exponent is not None
            theirs = np.ldexp(ofm.numpy(), -exponent)
            compared[layer.name] += theirs.size
            differing[layer.name] += int(np.sum(theirs != ours[layer.name]))

        with torch.no_grad():
            exact.visit(torch.from_numpy(batch.astype(np.float64)), see)
        counted(start + len(batch), len(frames))
    return Agreement(
        frames=len(frames),
        compared=MappingProxyType(compared),
        differing=MappingProxyType(differing),
    )


def classes_of_integers(
    net: IntegerNetwork, frames: Frames, counted: Counted = uncounted
) -> Integers:
    """Return the class that an integer network gives every frame, shape (frames,).

    Args:
        net: The network.
        frames: Shape (frames, channels, height, width).
        counted: Told of every batch.

    Raises:
        UnsupportedError: The input's scale is no power of two.
    """
    found: list[Integers] = []
    size = batch_size(net.network, COMPARED_BATCH)
    for start in range(0, len(frames), size):
        batch = frames[start : start + size]
        outputs = run_integer(net, net.frame_codes(batch))
        zero = net.maps[net.network.output.name].zero
        found.append(classes_of(outputs, zero=zero))
        counted(start + len(batch), len(frames))
    return np.concatenate(found)


def _map_type(model: QuantNet, layer: Layer, maps: Mapping[str, MapType]) -> MapType:
    """Return the type of a layer's map, its exponent read off the Brevitas layer."""
    if isinstance(layer, Pool) and layer.kind is PoolKind.MAX:
        return maps[layer.input]
    planned = model.scales.maps[layer.name]
    proxy = model.quantizers[module_key(layer.name)].get_submodule("act_quant")
    with torch.no_grad():
        scale = _scale_of(proxy)
    return replace(planned, exponent=int(_exponents(layer.name, "map", scale)))


def _scale_of(proxy: nn.Module) -> Tensor:
    """Return the scale of an activation quantizer of Brevitas."""
    value: Tensor = proxy.scale()  # type: ignore[operator] # a method of the proxy
    return value


def _layer_integers(
    model: QuantNet, layer: Layer, maps: Mapping[str, MapType]
) -> dict[str, Integers]:
    """Return a layer's integer parameters."""
    out = _exponent(maps, layer.name)
    assert not isinstance(layer, Transparent)
    match layer:
        case Conv() | Depthwise() | Linear():
            return _compute_integers(model, layer, maps)
        case Add():
            operands = [_exponent(maps, name) for name in layer.inputs]
            base = min(operands)
            shifts = [operands[0] - base, operands[1] - base, out - base]
            return {"shifts": np.array(shifts, dtype=np.int64)}
        case GlobalAveragePool() | Pool(kind=PoolKind.AVERAGE):
            multiplier, shift = mean_multiplier(mean_pixels(layer))
            total = shift + out - _exponent(maps, layer.input)
            return {"multiplier": np.array([multiplier]), "shift": np.array([total])}
        case Input() | Pool():
            return {}
        case _:
            assert_never(layer)


def _compute_integers(
    model: QuantNet, layer: Compute, maps: Mapping[str, MapType]
) -> dict[str, Integers]:
    module = model.compute[module_key(layer.name)]
    with torch.no_grad():
        weight = module.quant_weight()  # type: ignore[operator] # a Brevitas layer
        bias = module.quant_bias()  # type: ignore[operator] # a Brevitas layer
    name = layer.name
    multipliers = model.scales.multipliers.get(name)
    exponents = _exponents(name, "weight", weight.scale, multipliers).reshape(-1)
    products = exponents + _exponent(maps, layer.input)
    units = _exponents(name, "bias", bias.scale).reshape(-1)
    if not np.array_equal(units, products):
        raise UnsupportedError(
            f"layer {name!r}: the bias has another scale than the products"
        )
    rows = weight.value.numpy()
    steps = model.scales.steps(name).reshape(-1, *[1] * (rows.ndim - 1))
    integers = {
        "weight": _integers(name, "weight", rows / steps),
        "bias": _integers(name, "bias", np.ldexp(bias.value.numpy(), -units)),
        "shift": _exponent(maps, name) - products,
    }
    return integers if multipliers is None else {**integers, "multiplier": multipliers}


def _exponents(
    layer: str, word: str, scale: Tensor, multipliers: Integers | None = None
) -> Integers:
    """Return the exponents of scales that are powers of two, multipliers taken out."""
    values = scale.detach().double().numpy()
    if multipliers is not None:
        values = values.reshape(-1) / multipliers
    mantissa, exponent = np.frexp(values)
    if not np.all(mantissa == 0.5):
        off = values.reshape(-1)[np.flatnonzero(mantissa.reshape(-1) != 0.5)[0]]
        raise UnsupportedError(
            f"layer {layer!r}: {word} scale {off}; handled: powers of two"
        )
    return np.asarray(exponent, dtype=np.int64) - 1


def _integers(layer: str, word: str, values: NDArray[np.float64]) -> Integers:
    rounded = np.rint(values)
    if not np.array_equal(rounded, values):
        raise UnsupportedError(
            f"layer {layer!r}: {word} is off its grid of integers; quantize it"
        )
    return rounded.astype(np.int64)


def _exponent(maps: Mapping[str, MapType], layer: str) -> int:
    exponent = maps[layer].exponent
    assert exponent is not None
    return exponent
