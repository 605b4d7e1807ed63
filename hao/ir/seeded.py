"""Integer networks with random numbers in them, the same for the same seed.

They stand in for trained ones wherever only the arithmetic matters: in tests, in
benchmarks of the emitted code, in a first synthesis. Every network is one that a
power-of-two quantizer could have made: a code of a map stands for
`code * 2**exponent`, and a weight of channel c for `code * 2**e` with
`e = output exponent - input exponent - shift[c]`.

So that all bits stay in use however deep the network is, the layers are filled in one
by one while random frames run through them: the bias of a channel takes its mean away,
its shift brings its spread to a fixed part of the output's range. The parts of the
range that a map uses are not tuned further; nothing here is worth any accuracy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.averages import mean_pixels
from hao.ir.integer import (
    BIAS_BITS,
    MAX_SHIFT,
    IntegerNetwork,
    MapType,
    Requantization,
    mean_multiplier,
    sum_range,
)
from hao.ir.integer_run import Codes, exact_sums, layer_codes
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    ActivationKind,
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
from hao.ir.passes import MOST_CODE, frame_planes, in_passes, map_bits
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType, Shape

SPREADS = 2.5
"""Standard deviations of a channel that fit in the larger half of its range.

Chosen so that a map reaches the ends of its range without standing there; about 1 in
100 codes of a Gaussian is then clamped at either end.
"""

_CALIBRATION_CODES = 2**18
_MAX_CALIBRATION_FRAMES = 16
_FEW_SAMPLES = 32
_BLOCK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A layer with its numbers: its type, its parameters by name, and its codes."""

    layer: Layer
    output: MapType
    params: Mapping[str, NDArray[np.int64]]
    codes: Codes


def seeded_integers(
    network: Network, scheme: Mapping[str, int], *, act_bits: int, seed: int
) -> IntegerNetwork:
    """Return the integer network of a shape with random weights, biases and shifts.

    Args:
        network: Layers that the engine runs; parameters are not read.
        scheme: Weight bits of every compute layer, 2 to 8.
        act_bits: Width of all feature maps, 2 to 8.
        seed: Non-negative; another seed gives other numbers.

    Returns:
        In shift mode; the input is signed, maps after a ReLU or ReLU6 are unsigned.

    Raises:
        InputError: `scheme` or `act_bits` is wrong, or the network has a layer that no
            integer network has.
        UnsupportedError: An average leaves out its padding.
    """
    _check_request(network, scheme, act_bits)
    rng = np.random.default_rng(seed)
    bits = map_bits(network, network.input, act_bits)
    kind = _map_type(bits, signed=True, exponent=1 - bits)
    if frame_planes(network) > 1:
        kind = replace(kind, low=-MOST_CODE, high=MOST_CODE)
    shape = network.input.ofm
    count = max(1, min(_MAX_CALIBRATION_FRAMES, _CALIBRATION_CODES // shape.elements))
    frames = _frames(shape, kind, count, rng).astype(np.float32)
    maps: dict[str, MapType] = {network.input.name: kind}
    codes: dict[str, Codes] = {network.input.name: frames}
    layers: list[Layer] = [network.input]
    params: dict[str, NDArray[np.int64]] = {}
    readers = network.consumers()
    adds = {layer.name: layer for layer in network.layers if isinstance(layer, Add)}
    for position, layer in enumerate(network.layers[1:], start=1):
        partners = [
            maps[name]
            for reader in readers[layer.name]
            if reader in adds
            for name in adds[reader].inputs
            if name in maps
        ]
        operands = [codes[name] for name in layer.inputs]
        types = [maps[name] for name in layer.inputs]
        filler = _Filler(rng, act_bits, operands, types, partners)
        filled = filler.fill(layer, scheme)
        layers.append(filled.layer)
        maps[layer.name] = filled.output
        codes[layer.name] = filled.codes
        for name, array in filled.params.items():
            params[f"{layer.name}.{name}"] = array
        later = {n for reader in network.layers[position + 1 :] for n in reader.inputs}
        for name in set(codes) - later:
            del codes[name]
    return IntegerNetwork(
        network=Network(name=network.name, layers=tuple(layers), params=params),
        maps=MappingProxyType(maps),
        requantization=Requantization.SHIFT,
    )


def seeded_frames(net: IntegerNetwork, count: int, seed: int) -> NDArray[np.int64]:
    """Return random frames for an integer network, with structure of two sizes.

    Args:
        net: Says shape and type of its input.
        count: At least 1.
        seed: Non-negative; another seed gives other frames.

    Returns:
        Codes of shape (count, channels, height, width), from the smallest to the
        largest that the input's type lets through.

    Raises:
        InputError: `count` is below 1.
    """
    if count < 1:
        raise InputError(f"{count} frames; must be at least 1")
    entry = net.network.input
    rng = np.random.default_rng([seed, 1])  # not the numbers of the weights
    return _frames(entry.ofm, net.maps[entry.name], count, rng)


def _check_request(network: Network, scheme: Mapping[str, int], act_bits: int) -> None:
    if not MIN_BITS <= act_bits <= MAX_BITS:
        raise InputError(
            f"activations of {act_bits} bits; must have {MIN_BITS} to {MAX_BITS}"
        )
    names = {layer.name for layer in network.compute_layers}
    if set(scheme) != names:
        raise InputError(
            f"network {network.name!r}: the scheme lacks {sorted(names - set(scheme))} "
            f"and has unknown {sorted(set(scheme) - names)}; must name its compute "
            "layers"
        )
    for name, bits in scheme.items():
        if not MIN_BITS <= bits <= MAX_BITS:
            raise InputError(
                f"layer {name!r}: weights of {bits} bits; must have {MIN_BITS} to "
                f"{MAX_BITS}"
            )
    for layer in network.layers:
        if isinstance(layer, Transparent):
            raise InputError(
                f"layer {layer.name!r}: {type(layer).__name__} has no integers of its "
                "own; simplify the network first"
            )


def _map_type(bits: int, *, signed: bool, exponent: int) -> MapType:
    quant = QType(bits=bits, signed=signed)
    return MapType(quant=quant, low=quant.lowest, high=quant.highest, exponent=exponent)


def _frames(
    shape: Shape, kind: MapType, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return Gaussian pixels on Gaussian blocks, clamped."""
    sizes = (count, shape.channels, shape.height, shape.width)
    rows, columns = -(-shape.height // _BLOCK), -(-shape.width // _BLOCK)
    blocks = rng.standard_normal((count, shape.channels, rows, columns))
    coarse = blocks.repeat(_BLOCK, axis=2).repeat(_BLOCK, axis=3)
    fine = rng.standard_normal(sizes)
    values = (coarse[:, :, : shape.height, : shape.width] + fine) * (kind.high / 2.5)
    return np.clip(np.rint(values), kind.low, kind.high).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Filler:
    """What the numbers of one layer are drawn from.

    Attributes:
        rng: Drawn from, so the only thing that changes.
        act_bits: Width of the map to be made.
        operands: Codes of the maps that the layer reads.
        types: Their types.
        partners: Types of the maps that the new one will be added to, if known.
    """

    rng: np.random.Generator
    act_bits: int
    operands: list[Codes]
    types: list[MapType]
    partners: list[MapType]

    def fill(self, layer: Layer, scheme: Mapping[str, int]) -> _Filled:
        """Return the layer with random parameters, its map's type and its codes."""
        assert not isinstance(layer, Input | Transparent), "refused before"
        match layer:
            case Conv() | Depthwise() | Linear():
                quant = in_passes(
                    QType(bits=scheme[layer.name], signed=True, narrow=True), layer
                )
                output = self._free_type(layer.activation)
                typed = replace(layer, weight=quant)
                params = self._compute_params(typed, quant, output)
                return self._filled(typed, output, params)
            case Add():
                output, shifts = self._add_type(layer)
                return self._filled(layer, output, {"shifts": shifts})
            case Pool(kind=PoolKind.MAX):
                return self._filled(layer, self.types[0], {})
            case Pool():
                params = _mean_params(mean_pixels(layer))
                return self._filled(layer, self.types[0], params)
            case GlobalAveragePool():
                params = _mean_params(layer.ifm.pixels)
                return self._filled(layer, self.types[0], params)
            case _:
                assert_never(layer)

    def _filled(
        self, layer: Layer, output: MapType, params: dict[str, NDArray[np.int64]]
    ) -> _Filled:
        codes = layer_codes(
            layer, self.operands, types=self.types, params=params, output=output
        )
        return _Filled(layer=layer, output=output, params=params, codes=codes)

    def _free_type(self, activation: ActivationKind) -> MapType:
        """Return the type of a map whose exponent no operand dictates."""
        if activation is ActivationKind.RELU6:
            return self._relu6_type()
        exponent = 2 - self.act_bits + int(self.rng.integers(0, 3))
        if self.partners:
            first = self.partners[0].exponent
            assert first is not None
            exponent = first + int(self.rng.integers(-1, 2))
        signed = activation is ActivationKind.NONE
        return _map_type(self.act_bits, signed=signed, exponent=exponent)

    def _relu6_type(self) -> MapType:
        """Return a type of which 6.0 is a code, or one that ends somewhat below 6.0."""
        full = QType(bits=self.act_bits, signed=False)
        # The finest exponent of which 6.0 is a code: 3 * 2 needs a factor of two only.
        steps = (full.highest // RELU6_MAX).bit_length() - 1
        exponent = -steps if full.highest >= RELU6_MAX else 1
        exponent -= int(self.rng.random() < 0.25)
        high = min(full.highest, int(RELU6_MAX * 2.0**-exponent))
        return MapType(quant=full, low=0, high=high, exponent=exponent)

    def _add_type(self, layer: Add) -> tuple[MapType, NDArray[np.int64]]:
        """Return the type of a sum, and the shifts that align its operands."""
        exponents = [kind.exponent or 0 for kind in self.types]
        lowest = min(exponents)
        left = [exponent - lowest for exponent in exponents]
        output = _map_type(
            self.act_bits,
            signed=layer.activation is ActivationKind.NONE,
            exponent=lowest,
        )
        if layer.activation is ActivationKind.RELU6:
            output = self._relu6_type()
            assert output.exponent is not None
            base = min(lowest, output.exponent)
            left = [exponent - base for exponent in exponents]
            return output, np.array([*left, output.exponent - base])
        total = sum(
            codes.astype(np.float64) * 2.0**shift
            for codes, shift in zip(self.operands, left, strict=True)
        )
        spread = float(np.sqrt(np.mean(np.square(total))))
        right = int(_shifts(np.array([spread]), output)[0])
        output = replace(output, exponent=lowest + right)
        return output, np.array([*left, right])

    def _compute_params(
        self, layer: Compute, quant: QType, output: MapType
    ) -> dict[str, NDArray[np.int64]]:
        weight = _weights(layer, quant, self.rng)
        codes = self.types[0]
        lowest, highest = sum_range(weight, codes)
        limit = int(max(-lowest.min(), highest.max()))
        sums = exact_sums(layer, self.operands[0], weight, limit).astype(np.float64)
        mean = sums.mean(axis=(0, 2, 3))
        rms = np.sqrt(np.square(sums).mean(axis=(0, 2, 3)))
        spread = sums.std(axis=(0, 2, 3))
        if sums[:, 0].size < _FEW_SAMPLES:
            mean, spread = np.zeros_like(mean), rms
        # A channel that hardly moves on these frames may on others.
        spread = np.maximum(spread, 0.25 * float(np.median(spread)))
        noise = 0.4 * spread * self.rng.standard_normal(len(mean))
        # No more than the largest sum of products, as `accumulator_bits` assumes.
        most = layer.terms * 2 ** (quant.bits + codes.quant.bits - 1)
        most = min(most, 2 ** (BIAS_BITS - 1) - 1)
        bias = np.zeros(len(mean), dtype=np.int64)
        if layer.bias:
            bias = np.clip(np.rint(noise - mean), -most, most).astype(np.int64)
        else:
            spread = np.maximum(spread, rms)
        return {"weight": weight, "bias": bias, "shift": _shifts(spread, output)}


def _weights(
    layer: Compute, quant: QType, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return Gaussian weights; spreads differ by channel, and none is all 0."""
    channels, rows = layer.ofm.channels, layer.weights // layer.ofm.channels
    spread = np.maximum(quant.highest * rng.uniform(0.2, 0.5, (channels, 1)), 0.6)
    values = rng.standard_normal((channels, rows), dtype=np.float32)
    scaled = np.rint(values * spread.astype(np.float32))
    weight = np.clip(scaled, quant.lowest, quant.highest).astype(np.int64)
    weight[~weight.any(axis=1), 0] = 1
    match layer:
        case Linear():
            return weight
        case Conv() | Depthwise():
            return weight.reshape(channels, -1, layer.kernel, layer.kernel)


def _shifts(spread: NDArray[np.float64], output: MapType) -> NDArray[np.int64]:
    """Return right shifts that fit `SPREADS` of a spread in the larger half-range."""
    reach = output.high + 0.5  # what rounds to the largest code
    wanted = np.log2(np.maximum(spread, 1.0) * SPREADS / reach)
    return np.clip(np.rint(wanted), 0, MAX_SHIFT).astype(np.int64)


def _mean_params(pixels: int) -> dict[str, NDArray[np.int64]]:
    multiplier, shift = mean_multiplier(pixels)
    return {"multiplier": np.array([multiplier]), "shift": np.array([shift])}
