"""Do a design, its integers and the hardware belong together?"""

from dataclasses import replace

import numpy as np

from hao.cost.catalogue import check_buffers
from hao.cost.widths import MAX_WORD_BITS, pixel_bits, window_bits
from hao.emission.runs import engine_stages
from hao.emission.stage_sizes import dense_acc_bits, depthwise_acc_bits
from hao.engine.design import Design
from hao.engine.stages import DepthwiseStage
from hao.errors import InputError
from hao.ir.integer import IntegerNetwork, sum_range
from hao.ir.layer import (
    ActivationKind,
    Add,
    Compute,
    Conv,
    Depthwise,
    Layer,
    Linear,
    Pool,
    reading,
)
from hao.ir.network import Network
from hao.ir.partition import DenseLayer, DepthwiseLayer
from hao.ir.passes import MOST_CODE, digit_type, factors, frame_planes, map_bits
from hao.ir.quantizers import stages_only


def check_match(design: Design, net: IntegerNetwork) -> None:
    """Check that `net` is the network that `design` was made for.

    Raises:
        InputError: Layers, shapes, bits or sums of products differ from what the
            design says or its engine holds; names the layer.
        UnsupportedError: A pool that the engine cannot compute.
    """
    _check_layers(design.network, net.network)
    bits = net.weight_bits()
    for name, wanted in design.weight_bits.items():
        if bits.get(name) != wanted:
            raise InputError(
                f"layer {name!r}: weights of {bits.get(name)} bits; the design has "
                f"{wanted}. `hao quantize` makes integers of the design's bits"
            )
    for layer in design.network.layers:
        kind = net.maps.get(layer.name)
        most = map_bits(design.network, layer, design.engine.act_bits)
        if kind is not None and kind.quant.bits > most:
            raise InputError(
                f"layer {layer.name!r}: activations of {kind.quant.bits} bits; the "
                f"engine is built for {most}"
            )
    frame = net.maps[net.network.input.name]
    split = frame_planes(design.network) > 1
    if split and frame.quant.signed and frame.high > MOST_CODE:
        raise InputError(
            f"layer {net.network.input.name!r}: codes up to {frame.high}; a signed "
            f"frame in digits holds up to {MOST_CODE}, as `hao quantize` makes it"
        )
    check_buffers(design)
    _check_words(design)
    _check_accumulators(design, net)


def _check_layers(designed: Network, given: Network) -> None:
    """Check that two networks have the same layers, but for types and activations.

    What a file puts between layers (quantizers, affine layers, activations) is part of
    a requantization in the integer network.
    """
    kept = stages_only(designed).layers
    if len(kept) != len(given.layers):
        raise InputError(
            f"network {given.name!r} has {len(given.layers)} layers; the design has "
            f"{len(kept)}"
        )
    for ours, theirs in zip(kept, given.layers, strict=True):
        if _bare(ours) != _bare(theirs):
            raise InputError(
                f"layer {theirs.name!r}: not the layer {ours.name!r} of the design; "
                "kind, shape, kernel, stride and padding must agree"
            )
        read = sorted(ours.inputs)
        if read != sorted(theirs.inputs):
            raise InputError(
                f"layer {theirs.name!r}: reads {', '.join(sorted(theirs.inputs))}; in "
                f"the design it reads {', '.join(read)}"
            )


def _bare(layer: Layer) -> Layer:
    """Return a layer without what quantization adds to it, and what it reads."""
    if isinstance(layer, Compute):
        layer = replace(layer, weight=None, bias=True)
    if isinstance(layer, Compute | Add):
        layer = replace(layer, activation=ActivationKind.NONE)
    if isinstance(layer, Conv | Linear):
        layer = replace(layer, passes=1)
    if isinstance(layer, Conv):
        layer = replace(layer, planes=1)
    return reading(layer, dict.fromkeys(layer.inputs, ""))


def _check_words(design: Design) -> None:
    """Check that no word on a stream is wider than the tools take."""
    px, act_bits = design.engine.px, design.engine.act_bits
    for role, stage in engine_stages(design).items():
        if isinstance(stage, DepthwiseStage):
            name = "windows"
            layers = [
                layer
                for segment in design.segments
                for used, layer in segment.invocation.stages
                if used is role and isinstance(layer, DepthwiseLayer)
            ]
            span = max(((px - 1) * x.stride + x.kernel for x in layers), default=1)
            bits = window_bits(
                stage.pe, kernel=stage.kernel, span=span, act_bits=act_bits
            )
        else:
            name = "words"
            bits = pixel_bits(max(stage.simd, stage.pe), px=px, act_bits=act_bits)
        if bits > MAX_WORD_BITS:
            raise InputError(
                f"the {name} of the {role.value} stage have {bits} bits; synthesis "
                f"tools take up to {MAX_WORD_BITS}"
            )


def _sums(
    net: IntegerNetwork, layer: Compute, planned: DenseLayer | Depthwise
) -> tuple[int, int]:
    """Return the lowest and the highest value of a layer's accumulators.

    The worst case over all input maps, channels and orders in which bias and products
    of weights, or of their digits, are added; in multiplier mode the bias is not.
    """
    products = factors(net.param(layer.name, "weight"), planned)
    codes = net.maps[layer.input]
    if isinstance(planned, Conv) and planned.planes > 1:
        codes = digit_type(codes)
    lowest, highest = sum_range(products, codes)
    if net.requantization.multiplies:
        return int(lowest.min()), int(highest.max())
    bias = net.param(layer.name, "bias")
    least = lowest + np.minimum(bias, 0)
    return int(least.min()), int((highest + np.maximum(bias, 0)).max())


def _check_accumulators(design: Design, net: IntegerNetwork) -> None:
    """Check that no sum of products can leave its accumulator."""
    stages = engine_stages(design)
    layers = {layer.name: layer for layer in net.network.compute_layers}
    for segment in design.segments:
        for role, planned in segment.invocation.stages:
            if isinstance(planned, Pool):
                continue
            stage = stages[role]
            width = (
                depthwise_acc_bits(stage, design.engine.act_bits)
                if isinstance(stage, DepthwiseStage)
                else dense_acc_bits(stage, design.engine.act_bits)
            )
            low, high = _sums(net, layers[planned.name], planned)
            if low < -(2 ** (width - 1)) or high >= 2 ** (width - 1):
                raise InputError(
                    f"layer {planned.name!r}: sums from {low} to {high}; the "
                    f"accumulators of the {role.value} stage have {width} bits"
                )
