"""Brevitas quantizers on scales that are given and stay.

Each is an injector of Brevitas with a constant scale, so that training moves weights
and never a scale, and hardware limits hold from the first step to the last. Rounding is
floor(x + 1/2), as a right shift with a rounding constant does it. Gradients pass
straight through the rounding; through the clamp they pass for weights and biases, and
not for activations.
"""

import numpy as np
import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.function_wrapper import Identity, TensorClamp, TensorClampSte
from brevitas.core.quant import IntQuant, RescalingIntQuant
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject import ExtendedInjector
from brevitas.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    WeightQuantProxyFromInjector,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.ir.tensor import QType

Injector = type[ExtendedInjector]


class HalfUp(nn.Module):
    """Rounds halves up, exactly; gradients pass straight through."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to integers that are still floats."""
        # x + 0.5 itself may round up, as at 0.49999997; x - low is exact.
        if not torch.is_grad_enabled():
            low = torch.floor(x)
            return low.add_(x - low >= 0.5)
        low = torch.floor(x.detach())
        rounded = low + (x.detach() - low >= 0.5).to(x.dtype)
        return x + (rounded - x).detach()


class FrozenScale(nn.Module):
    """A constant scale, or one per channel, that single precision holds exactly.

    Args:
        steps: Shape that broadcasts against what is quantized.
    """

    scale: Tensor

    def __init__(self, steps: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(steps.astype(np.float32)))

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """Return the scale, whatever is quantized."""
        return self.scale


class CodesClamp(nn.Module):
    """Clamps to the codes in use, where these are fewer than those of the width.

    Args:
        lowest: Smallest code.
        highest: Largest one.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__()
        self._ends = float(lowest), float(highest)

    def forward(self, x: Tensor, min_val: Tensor, max_val: Tensor) -> Tensor:
        """Return `x` within the codes; gradients pass straight through."""
        low, high = self._ends
        return x + (x.clamp(low, high) - x).detach()


class NoThreshold(nn.Module):
    """Stands where Brevitas divides by the integer range; the scale is given."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, bit_width: Tensor) -> Tensor:
        """Return the width itself."""
        return bit_width


def weight_quantizer(quant: QType, steps: NDArray[np.float64], rank: int) -> Injector:
    """Return the quantizer of weights of shape (ofm_channels, ...).

    Args:
        quant: Signed.
        steps: What a code stands for, shape (ofm_channels,).
        rank: Dimensions of the weights.
    """
    return _injector(
        quant,
        steps.reshape(-1, *[1] * (rank - 1)),
        proxy=WeightQuantProxyFromInjector,
        clamp=TensorClampSte if quant.most is None else CodesClamp,
    )


def bias_quantizer(code_bits: int, exponents: NDArray[np.int64]) -> Injector:
    """Return the quantizer of a bias in units of the products.

    Args:
        code_bits: Codes have a magnitude below 2^code_bits.
        exponents: Shape (ofm_channels,).
    """
    quant = QType(bits=code_bits + 1, signed=True, narrow=True)
    steps = np.ldexp(1.0, exponents)
    made: Injector = _injector(
        quant, steps, proxy=BiasQuantProxyFromInjector, clamp=TensorClampSte
    ).let(requires_input_scale=False)
    return made


def map_quantizer(quant: QType, exponent: int) -> Injector:
    """Return the quantizer of a feature map."""
    return _injector(
        quant,
        np.array(np.ldexp(1.0, exponent)),
        proxy=ActQuantProxyFromInjector,
        clamp=TensorClamp if quant.most is None else CodesClamp,
    )


def _injector(
    quant: QType, steps: NDArray[np.float64], *, proxy: type, clamp: type
) -> Injector:
    made: Injector = ExtendedInjector.let(
        proxy_class=proxy,
        tensor_quant=RescalingIntQuant,
        int_quant=IntQuant,
        scaling_impl=FrozenScale,
        steps=steps,
        int_scaling_impl=NoThreshold,
        zero_point_impl=ZeroZeroPoint,
        bit_width_impl=BitWidthConst,
        bit_width=quant.bits,
        signed=quant.signed,
        narrow_range=quant.narrow,
        input_view_impl=Identity,
        float_to_int_impl=HalfUp,
        tensor_clamp_impl=clamp,
        lowest=quant.lowest,
        highest=quant.highest,
    )
    return made
