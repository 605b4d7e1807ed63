"""The Brevitas model: what the integer network computes, trainable.

Every layer is a Brevitas layer whose scales are the frozen ones of `Scales`, so that
each feature map is a grid of code * 2^exponent and the integers are read off without
rounding. Evaluated in double precision the model equals the integer network bit for
bit; in single precision as long as no sum exceeds 2^24 units of the accumulator, or,
where sums take a multiplier, of what the multiplier makes.
"""

from collections.abc import Sequence
from typing import assert_never

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from hao.ir.averages import border_factors, mean_pixels
from hao.ir.integer import mean_multiplier
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
    weight_shape,
)
from hao.ir.network import Network
from hao.ir.passes import in_passes
from hao.ir.tensor import QType, Rounding
from hao.quant.float_net import activated
from hao.quant.modules import (
    LayerwiseModule,
    module_key,
    pooled_maximum,
    torch_padding,
    window_sums,
)
from hao.quant.quantizers import bias_quantizer, map_quantizer, weight_quantizer
from hao.quant.scales import Scales, bias_code_bits
from hao.quant.scheme import Scheme, check_scheme


class QuantNet(LayerwiseModule):
    """A network quantized by Brevitas on frozen scales.

    Args:
        network: With float parameters, batch norms folded.
        scheme: Bits.
        scales: Legal for both.

    Raises:
        InputError: A parameter is missing, or the scheme is of another network.
        UnsupportedError: A layer that cannot be quantized.
    """

    def __init__(self, network: Network, scheme: Scheme, scales: Scales) -> None:
        super().__init__(network)
        check_scheme(network, scheme)
        self.scheme, self.scales = scheme, scales
        self.quantizers = nn.ModuleDict()
        for layer in network.layers:
            key = module_key(layer.name)
            if isinstance(layer, Compute):
                self.compute[key] = self._compute_module(layer)
                self.load(layer)
            if not isinstance(layer, Pool) or layer.kind is not PoolKind.MAX:
                kind = scales.maps[layer.name]
                exponent = scales.exponent(layer.name)
                self.quantizers[key] = qnn.QuantIdentity(
                    act_quant=map_quantizer(kind.quant, exponent),
                    return_quant_tensor=False,
                )
        self.eval()

    def copied(self) -> "QuantNet":
        """Return a copy on the CPU, with the parameters that this net has by now."""
        made = QuantNet(self.network, self.scheme, self.scales)
        made.load_state_dict({k: v.cpu() for k, v in self.state_dict().items()})
        return made

    def exact_copy(self) -> "QuantNet":
        """Return a copy in double precision, for evaluation."""
        return self.copied().double().eval()

    def run_layer(self, layer: Layer, operands: Sequence[Tensor]) -> Tensor:
        """Return the feature map that a layer makes."""
        x = operands[0]
        assert not isinstance(layer, Transparent)
        match layer:
            case Input():
                return self.quantized(layer, self.scaled_frames(x))
            case Conv() | Depthwise() | Linear():
                sums = activated(self.sums(layer, x), layer.activation)
                return self.quantized(layer, sums)
            case Add():
                total = activated(x + operands[1], layer.activation)
                return self.quantized(layer, total)
            case GlobalAveragePool():
                total = x.sum(dim=(2, 3), keepdim=True)
                return self.quantized(layer, total * mean_factor(layer))
            case Pool(kind=PoolKind.AVERAGE):
                sums = window_sums(x, layer) * mean_factor(layer)
                factors = torch.from_numpy(border_factors(layer)).to(sums)
                return self.quantized(layer, sums * factors)
            case Pool():
                return pooled_maximum(layer, x)
            case _:
                assert_never(layer)

    def quantized(self, layer: Layer, x: Tensor) -> Tensor:
        """Return a map on the grid of a layer's codes."""
        grid: Tensor = self.quantizers[module_key(layer.name)](x)
        return grid

    def _compute_module(self, layer: Compute) -> nn.Module:
        exponents = self.scales.weights[layer.name]
        quantizers = {
            "weight_quant": weight_quantizer(
                weight_type(self.scheme, layer),
                self.scales.steps(layer.name),
                len(weight_shape(layer)),
            ),
            "bias_quant": bias_quantizer(
                bias_code_bits(layer, self.scheme),
                exponents + self.scales.exponent(layer.input),
            ),
        }
        module: nn.Module
        if isinstance(layer, Linear):
            module = qnn.QuantLinear(
                layer.ifm.elements, layer.ofm.channels, bias=True, **quantizers
            )
        else:
            module = qnn.QuantConv2d(
                layer.ifm.channels,
                layer.ofm.channels,
                layer.kernel,
                stride=layer.stride,
                padding=torch_padding(layer) or 0,
                groups=layer.ifm.channels if isinstance(layer, Depthwise) else 1,
                bias=True,
                **quantizers,
            )
        return module


def weight_type(scheme: Scheme, layer: Compute) -> QType:
    """Return the integer type of a layer's weights: signed, without the lowest code."""
    bits = scheme.weight_bits[layer.name]
    kind = QType(bits=bits, signed=True, narrow=True, rounding=Rounding.HALF_UP)
    return in_passes(kind, layer)


def mean_factor(layer: Pool | GlobalAveragePool) -> float:
    """Return what the hardware multiplies a sum by: 8 bits and a shift."""
    multiplier, shift = mean_multiplier(mean_pixels(layer))
    return float(multiplier / 2**shift)
