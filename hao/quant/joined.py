"""An add of sums that a file does not quantize, as one convolution.

    round(conv(x) + y)  =  round(conv(x beside y))

The sums of a convolution and what is added to them are rounded once, so both must be
sums of one array: y comes as further input channels, each of which the kernel takes as
it is, at the pixel itself. Two layers of 1x1 windows and an add bring x and y into one
map, of which they leave the pixels that a 1x1 convolution with a stride reads; where y
is x, or sums of x as well, weights alone change. All of it is exact. What it costs are
products: those of the further channels, and of the two layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.ir.layer import Add, Conv, Layer, Padding, Quantize, window_shape
from hao.ir.network import Network, params_without
from hao.ir.spellings import COPY_WEIGHT, free_name
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType, Shape
from hao.quant.chain import WHOLE, Chain, Real
from hao.quant.parameters import float_parameters
from hao.quant.requantized import frame_is_open

Params = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Operand:
    """An operand of an add, as a convolution that pads to keep the size.

    Attributes:
        source: The map of codes that it reads.
        codes: Weights in steps, shape (channels, source channels, kernel, kernel).
        unit: What one step of its sums stands for, shape (channels,).
        bias: Shape (channels,).
        stride: Of the convolution.
        layers: Those that make it, which nothing else reads.
    """

    source: str
    codes: Real
    unit: Real
    bias: Real
    stride: int = 1
    layers: tuple[str, ...] = ()


def joined(network: Network, layer: Add, chains: Mapping[str, Chain]) -> Network | None:
    """Return the network in which an add is one convolution with its operands.

    `None` where that is not the same in integers of 8 bits: zero points, strides of
    larger windows, grids neither of which is a multiple of the other, sums that
    something else reads too.

    Args:
        network: Quantized, in layers of the engine, with parameters.
        layer: An add, one of whose operands at least is not quantized.
        chains: Of the network.
    """
    found = [_operand(network, name, chains) for name in layer.inputs]
    operands = [one for one in found if one is not None]
    if len(operands) < len(found):
        return None
    sources = tuple(dict.fromkeys(one.source for one in operands))
    open_frame = frame_is_open(network) and any(
        chains[name].maker == network.input.name for name in sources
    )
    if open_frame and len(sources) > 1:
        return None  # what its codes stand for is not known yet
    found_type = _raises(operands, chains)
    weights = _one_kernel(operands, chains, sources)
    stride = _stride(operands, sources)
    if found_type is None or weights is None or stride is None:
        return None
    raised, kind = found_type
    steps = {one.source: one.stride // stride for one in operands}
    made = {one.name: one for one in network.layers}
    sides = [(made[name], steps[name], raised[name]) for name in sources]
    layers, params = _side_by_side(network, layer, sides, chains, kind)
    conv = _convolution(layer, layers[-1] if layers else sides[0][0], weights, stride)
    step = _unit(operands) / chains[sources[0]].scale
    params |= {
        f"{layer.name}.weight": weights * step.reshape(-1, 1, 1, 1),
        f"{layer.name}.weight_scale": step,
        f"{layer.name}.weight_zero_point": np.zeros(1),
        f"{layer.name}.bias": np.sum(
            [one.bias - raised[one.source] * one.unit for one in operands], axis=0
        ),
    }
    gone = frozenset(name for one in operands for name in one.layers)
    return _replaced(network, gone, (*layers, conv), params)


def _stride(operands: list[_Operand], sources: tuple[str, ...]) -> int | None:
    """Return the stride of the one convolution; `None` where there is none.

    Pixels that no 1x1 window reads are left out before, but of one map alone.
    """
    strides = {one.stride for one in operands}
    if len(strides) == 1:
        return strides.pop()
    wide = any(one.stride > 1 and one.codes.shape[-1] > 1 for one in operands)
    return None if wide or len(sources) < len(operands) else 1


def _convolution(layer: Add, source: Layer, weights: Real, stride: int) -> Conv:
    """Return the convolution in place of an add."""
    kernel = weights.shape[-1]
    bits = int(max(-weights.min() - 1, weights.max(), 1)).bit_length() + 1
    return Conv(
        name=layer.name,
        input=source.name,
        ifm=source.ofm,
        ofm=layer.ofm,
        kernel=kernel,
        stride=stride,
        padding=Padding.same(kernel),
        activation=layer.activation,
        weight=QType(bits=bits, signed=True),
    )


def _operand(
    network: Network, name: str, chains: Mapping[str, Chain]
) -> _Operand | None:
    """Return an operand as a convolution; `None` where it is none."""
    chain = chains[name]
    channels = len(chain.gain)
    if chain.quant is not None:
        codes = np.eye(channels).reshape(channels, channels, 1, 1)
        unit = np.full(channels, chain.scale)
        return _Operand(source=name, codes=codes, unit=unit, bias=np.zeros(channels))
    layers = {one.name: one for one in network.layers}
    readers = network.consumers()
    names = [name]
    while names[-1] != chain.maker:
        names.append(layers[names[-1]].inputs[0])
    conv = layers[chain.maker]
    alone = all(len(readers[one]) == 1 for one in names)
    if not (isinstance(conv, Conv) and alone and chain.is_plain):
        return None
    if conv.padding != Padding.same(conv.kernel):
        return None
    if not np.all(chain.unit > 0):
        return None
    weight, bias = float_parameters(network, conv)
    step = chain.unit / chains[conv.input].scale
    return _Operand(
        source=conv.input,
        codes=np.rint(weight / step.reshape(-1, 1, 1, 1)),
        unit=chain.unit,
        bias=bias,
        stride=conv.stride,
        layers=tuple(names),
    )


def _raises(
    operands: list[_Operand], chains: Mapping[str, Chain]
) -> tuple[dict[str, int], QType] | None:
    """Return by what the codes of every source are raised, and a type that holds all.

    Only those that a kernel takes at the pixel itself are, where signed and unsigned
    codes do not fit together: of windows, padding has the code 0.
    """
    sources = list(dict.fromkeys(one.source for one in operands))
    if any(chains[name].quant is None or chains[name].zero != 0 for name in sources):
        return None
    alone = {one.source for one in operands if not one.layers}
    for movable in (set[str](), alone):
        raised = {
            name: max(0, -chains[name].low) if name in movable else 0
            for name in sources
        }
        low = min(chains[name].low + by for name, by in raised.items())
        high = max(chains[name].high + by for name, by in raised.items())
        bits = max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())
        bits = max(bits + (low < 0), MIN_BITS)
        if bits <= MAX_BITS:
            return raised, QType(bits=bits, signed=low < 0)
    return None


def _unit(operands: list[_Operand]) -> Real:
    """Return what one step of the sums of all operands stands for, by channel."""
    units: Real = np.array([one.unit for one in operands]).min(axis=0)
    return units


def _reach(operand: _Operand) -> int:
    """Return the rows that a window has above its pixel."""
    return Padding.same(operand.codes.shape[-1]).top


def _one_kernel(
    operands: list[_Operand], chains: Mapping[str, Chain], sources: tuple[str, ...]
) -> Real | None:
    """Return the weights of all operands in one kernel; `None` beyond 8 bits."""
    unit = _unit(operands)
    reach = max(_reach(one) for one in operands)
    kernel = max(reach - _reach(one) + one.codes.shape[-1] for one in operands)
    begins, channels = {}, 0
    for name in sources:
        begins[name] = channels
        channels += len(chains[name].gain)
    weights = np.zeros((len(unit), channels, kernel, kernel))
    for one in operands:
        ratio = one.unit / unit
        if np.any(np.abs(ratio - np.rint(ratio)) > WHOLE):
            return None
        _, depth, size, _ = one.codes.shape
        inputs = slice(begins[one.source], begins[one.source] + depth)
        taps = slice(reach - _reach(one), reach - _reach(one) + size)
        weights[:, inputs, taps, taps] += one.codes * np.rint(ratio).reshape(
            -1, 1, 1, 1
        )
    most = QType(bits=MAX_BITS, signed=True)
    inside = most.lowest <= weights.min() and weights.max() <= most.highest
    return weights if inside else None


def _side_by_side(
    network: Network,
    layer: Add,
    sides: list[tuple[Layer, int, int]],
    chains: Mapping[str, Chain],
    kind: QType,
) -> tuple[list[Layer], Params]:
    """Return layers that make one map of the codes of two; none for one.

    Args:
        network: Names that are taken.
        layer: Names the new ones.
        sides: What makes each map, by what stride it is read, and by what it is raised.
        chains: Of the network.
        kind: Type of the codes.
    """
    layers: list[Layer] = []
    params: Params = {}
    if len(sides) == 1:
        return layers, params
    first, stride, _ = sides[0]
    channels = sum(source.ofm.channels for source, _, _ in sides)
    shape = window_shape(
        first.ofm, channels=channels, kernel=1, stride=stride, padding=Padding()
    )
    scale = chains[first.name].scale
    begin = 0
    for source, stride, raised in sides:
        name = free_name(network, f"{layer.name}.{source.name}")
        maker = _copy(name, source, shape, stride)
        size = source.ofm.channels
        # Codes stay what they are, whatever they stand for, or are raised.
        params |= _places(maker, begin, scale / chains[source.name].scale)
        params[f"{maker.name}.bias"][begin : begin + size] = raised * scale
        layers += [maker, _coded(network, maker, kind)]
        begin += size
    both = Add(
        name=free_name(network, f"{layer.name}.inputs"),
        inputs=(layers[1].name, layers[3].name),
        ofm=shape,
    )
    layers += [both, _coded(network, both, kind)]
    for one in layers:
        if isinstance(one, Quantize):
            params[f"{one.name}.scale"] = np.array([scale])
            params[f"{one.name}.zero_point"] = np.zeros(1)
    return layers, params


def _copy(name: str, source: Layer, shape: Shape, stride: int) -> Conv:
    """Return a layer that hands on some pixels of a map, in some of its channels."""
    return Conv(
        name=name,
        input=source.name,
        ifm=source.ofm,
        ofm=shape,
        kernel=1,
        stride=stride,
        weight=COPY_WEIGHT,
    )


def _places(layer: Conv, begin: int, step: float) -> Params:
    """Return weights that hand channels on to those from a first one on."""
    weight = np.eye(layer.ofm.channels, layer.ifm.channels, -begin) * step
    return {
        f"{layer.name}.weight": weight[:, :, None, None],
        f"{layer.name}.weight_scale": np.array([step]),
        f"{layer.name}.weight_zero_point": np.zeros(1),
        f"{layer.name}.bias": np.zeros(layer.ofm.channels),
    }


def _coded(network: Network, layer: Conv | Add, kind: QType) -> Quantize:
    """Return the quantizer of a layer's map."""
    name = free_name(network, f"{layer.name}.codes")
    shape = layer.ofm
    return Quantize(name=name, input=layer.name, ifm=shape, ofm=shape, quant=kind)


def _replaced(
    network: Network, gone: frozenset[str], layers: tuple[Layer, ...], params: Params
) -> Network:
    """Return the network with layers in place of the one with the last one's name."""
    kept: list[Layer] = []
    for one in network.layers:
        if one.name == layers[-1].name:
            kept += layers
        elif one.name not in gone:
            kept.append(one)
    made = params_without(network.params, gone) | dict(params)
    return replace(network, layers=tuple(kept), params=made)
