"""Post-training quantization: equalize, calibrate, fit roundings, correct biases.

Equalization moves factors between neighbouring layers so that channels have like
ranges (Nagel et al., arXiv:1906.04721, section 4.1). Calibration chooses for every map
below 8 bits, and for every channel of weights, the power of two with the least squared
error among the one that covers the values (all but a fraction of them) and smaller
ones; maps of 8 bits get the one that covers.
`hao.quant.adjusted` does the rest.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.errors import InputError
from hao.ir.interpret import scaled_frames
from hao.ir.layer import ActivationKind, Compute, Depthwise, Layer, activation_of
from hao.ir.network import Network
from hao.ir.passes import map_bits
from hao.ir.tensor import QType, Rounding
from hao.quant.adjusted import adjusted_network, with_biases
from hao.quant.counted import Counted, uncounted
from hao.quant.dataset import Frames
from hao.quant.exponents import (
    as_multipliers,
    best_exponent,
    best_steps,
    covering_exponent,
)
from hao.quant.float_net import FloatNet
from hao.quant.parameters import float_parameters, frame_parameters
from hao.quant.quant_net import QuantNet, weight_type
from hao.quant.scales import RELU6_EXPONENT, Exponents, Scales, legal_scales
from hao.quant.scheme import Scheme

EQUALIZATION_PASSES = 20
"""As in Brevitas' published post-training sweeps."""

SAMPLE_VALUES = 2**18
"""Values of a map that calibration looks at, at most."""

CALIBRATION_BATCH = 64

COVERING_BITS = 8
"""Bits from which the codes of a map cover its values: with so many, what little finer
codes gain is less than what frames with larger values than most lose by the cut. On
EfficientNet-Lite0 83 of 83 confident frames keep their class, for 77 with the
power of two of the least squared error (docs/accuracy.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PtqSettings:
    """What post-training quantization does.

    Attributes:
        frames: Training frames that it looks at, from the first one on; fewer where
            `hao.quant.adjusted` says so.
        equalize: Whether neighbouring layers are equalized.
        fit_rounding: Whether weights are rounded so that sums change least.
        correct_bias: Whether mean errors are taken out.
    """

    frames: int = 256
    equalize: bool = True
    fit_rounding: bool = True
    correct_bias: bool = True

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise InputError(f"{self.frames} calibration frames; must be at least 1")


PTQ_SETTINGS = PtqSettings()


def quantize_network(
    network: Network,
    scheme: Scheme,
    frames: Frames,
    settings: PtqSettings = PTQ_SETTINGS,
    counted: Counted = uncounted,
) -> QuantNet:
    """Return the Brevitas model of a network, ready to use or to be trained further.

    Args:
        network: With float parameters, batch norms folded.
        scheme: Bits.
        frames: Training frames, shape (frames, channels, height, width).
        settings: What is done.
        counted: Told of every step: batches of frames, then layers.

    Raises:
        InputError: Frames, scheme or parameters do not fit the network.
        UnsupportedError: A layer cannot be quantized.
    """
    shape = network.input.ofm
    if len(frames.shape) != 4 or frames.shape[1:] != (
        shape.channels,
        shape.height,
        shape.width,
    ):
        raise InputError(
            f"calibration frames of shape {frames.shape}; must be (frames, "
            f"{shape.channels}, {shape.height}, {shape.width})"
        )
    if len(frames) == 0:
        raise InputError("no calibration frames; must be at least 1")
    seen = frames[: settings.frames]
    if not np.all(np.isfinite(seen)):
        raise InputError("calibration frames hold NaN or infinity; must be finite")
    chosen = torch.from_numpy(seen.astype(np.float32))
    if settings.equalize:
        network = equalize_network(network)
    batches = -(-len(chosen) // CALIBRATION_BATCH)
    adjusts = settings.fit_rounding or settings.correct_bias
    steps = batches + (len(network.layers) if adjusts else 0)
    scales = calibrate(network, scheme, chosen, lambda n, _: counted(n, steps))
    if adjusts:
        network = adjusted_network(
            QuantNet(network, scheme, scales),
            chosen,
            fit_rounding=settings.fit_rounding,
            correct_bias=settings.correct_bias,
            counted=lambda n, _: counted(batches + n, steps),
        )
    return QuantNet(network, scheme, scales)


def equalize_network(network: Network) -> Network:
    """Return a network of the same outputs whose weight ranges are alike.

    Of every two compute layers in a row that nothing but a ReLU stands between, and
    whose map nothing else reads, channel c of the first is divided, and of the second
    multiplied, by sqrt(r1 / r2), with r the largest weight of that channel in either.
    A ReLU6 is left alone: it does not commute with factors.

    Raises:
        InputError: A parameter is missing.
    """
    pairs = _neighbours(network)
    weights: dict[str, NDArray[np.float64]] = {}
    biases: dict[str, NDArray[np.float64]] = {}
    for layer in network.compute_layers:
        weights[layer.name], biases[layer.name] = float_parameters(network, layer)
    for _ in range(EQUALIZATION_PASSES if pairs else 0):
        for first, second in pairs:
            rows = np.abs(weights[first.name]).reshape(first.ofm.channels, -1).max(1)
            after = np.abs(_by_input(second, weights[second.name]))
            columns = after.reshape(first.ofm.channels, -1).max(1)
            usable = (rows > 0) & (columns > 0)
            ratio = np.where(usable, rows, 1.0) / np.where(usable, columns, 1.0)
            factor = np.sqrt(ratio)
            one = weights[first.name]
            weights[first.name] = one / factor.reshape(-1, *[1] * (one.ndim - 1))
            biases[first.name] = biases[first.name] / factor
            weights[second.name] = _scaled_input(second, weights[second.name], factor)
    params = frame_parameters(network)
    for name in weights:
        params[f"{name}.weight"], params[f"{name}.bias"] = weights[name], biases[name]
    return with_biases(network, params)


def calibrate(
    network: Network, scheme: Scheme, frames: Tensor, counted: Counted = uncounted
) -> Scales:
    """Return legal scales that lose least on the given frames.

    Those of maps are powers of two, those of weights as well unless a layer's sums take
    a multiplier.

    Args:
        network: With float parameters.
        scheme: Bits.
        frames: Shape (frames, channels, height, width), float32.
        counted: Told of every batch of frames.

    Raises:
        InputError: The scheme is of another network, a parameter is missing, or a map
            overflows.
        UnsupportedError: A layer cannot be quantized.
    """
    samples = _sampled_maps(network, frames, counted)
    signed_input = bool(scaled_frames(network, frames.numpy()).min() < 0)
    maps: dict[str, int] = {}
    for layer in network.layers:
        values = samples[layer.name]
        signed = bool(values.min() < 0)
        bits = map_bits(network, layer, scheme.act_bits)
        quant = QType(bits=bits, signed=signed)
        highest = (
            RELU6_EXPONENT if activation_of(layer) is ActivationKind.RELU6 else None
        )
        choose = covering_exponent if bits >= COVERING_BITS else best_exponent
        maps[layer.name] = choose(values, quant, highest=highest)
    weights: dict[str, Exponents] = {}
    multipliers: dict[str, Exponents] = {}
    for compute in network.compute_layers:
        weight, _ = float_parameters(network, compute)
        rows = weight.reshape(len(weight), -1)
        quant = weight_type(scheme, compute)
        if compute.multiplied:
            steps = best_steps(rows, quant)
            multipliers[compute.name], weights[compute.name] = as_multipliers(steps)
            continue
        weights[compute.name] = np.array(
            [best_exponent(row, quant, covered=100.0) for row in rows], dtype=np.int64
        )
    return legal_scales(
        network,
        scheme,
        maps=maps,
        weights=weights,
        multipliers=multipliers,
        signed_input=signed_input,
    )


def rounded_weight(weight: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Return weights on the grid that calibration chooses for every channel.

    Args:
        weight: Output channels first.
        bits: Width of a weight.
    """
    quant = QType(bits=bits, signed=True, narrow=True, rounding=Rounding.HALF_UP)
    rows = weight.reshape(len(weight), -1)
    steps = np.ldexp(
        1.0, [best_exponent(row, quant, covered=100.0) for row in rows]
    ).reshape(-1, 1)
    codes = np.clip(np.floor(rows / steps + 0.5), quant.lowest, quant.highest)
    rounded: NDArray[np.float64] = (codes * steps).reshape(weight.shape)
    return rounded


def _neighbours(network: Network) -> list[tuple[Compute, Compute]]:
    """Return the pairs of layers between which factors may be moved."""
    readers = network.consumers()
    compute = {layer.name: layer for layer in network.compute_layers}
    pairs: list[tuple[Compute, Compute]] = []
    for layer in compute.values():
        names = readers[layer.name]
        if len(names) != 1 or names[0] not in compute:
            continue
        if layer.activation is not ActivationKind.RELU6:
            pairs.append((layer, compute[names[0]]))
    return pairs


def _by_input(layer: Compute, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights with the IFM channel as the first axis."""
    channels = layer.ifm.channels
    if isinstance(layer, Depthwise):
        return weight
    grouped = weight.reshape(layer.ofm.channels, channels, -1)
    return grouped.transpose(1, 0, 2)


def _scaled_input(
    layer: Compute, weight: NDArray[np.float64], factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    if isinstance(layer, Depthwise):
        return weight * factor.reshape(-1, 1, 1, 1)
    grouped = weight.reshape(layer.ofm.channels, layer.ifm.channels, -1)
    scaled: NDArray[np.float64] = (grouped * factor[:, None]).reshape(weight.shape)
    return scaled


def _sampled_maps(
    network: Network, frames: Tensor, counted: Counted
) -> dict[str, NDArray[np.float64]]:
    """Return some values of every map, at most `SAMPLE_VALUES` of each."""
    net = FloatNet(network, batch_norm=False).eval()
    generator = np.random.default_rng(0)
    batches = -(-len(frames) // CALIBRATION_BATCH)
    share = SAMPLE_VALUES // batches
    kept: dict[str, list[NDArray[np.float64]]] = {
        layer.name: [] for layer in network.layers
    }

    def see(layer: Layer, ofm: Tensor) -> None:
        values = ofm.flatten().double().numpy()
        if not np.all(np.isfinite(values)):
            raise InputError(
                f"layer {layer.name!r}: its map overflows single precision (3.4e38); "
                "its weights or the frames are too large, scale them down"
            )
        if len(values) > share:
            values = values[generator.integers(len(values), size=share)]
        kept[layer.name].append(values)

    with torch.no_grad():
        for start in range(0, len(frames), CALIBRATION_BATCH):
            net.visit(frames[start : start + CALIBRATION_BATCH], see)
            counted(start // CALIBRATION_BATCH + 1, batches)
    return {name: np.concatenate(parts) for name, parts in kept.items()}
