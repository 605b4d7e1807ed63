"""Types of the frame and the output where a file leaves them unquantized.

They get 8 bits, and a scale that frames choose.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.ir.interpret import run_float_layers, scaled_frames
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, QType, Rounding
from hao.quant.chain import Chain
from hao.quant.exponents import best_exponent

Real = NDArray[np.float64]


def open_ends(
    network: Network, chains: Mapping[str, Chain], problems: list[str] | None
) -> list[str]:
    """Return the frame and the output where no quantizer closes them.

    Raises:
        UnsupportedError: Another map is not quantized, if `problems` is `None`.
    """
    readers = {name for layer in network.layers for name in layer.inputs}
    ends: list[str] = []
    for chain in dict.fromkeys(chains.values()):
        if chain.quant is not None:
            continue
        if chain.last in readers and chain.maker != network.input.name:
            text = (
                f"layer {chain.maker!r}: its map is not quantized; handled: a "
                "quantizer behind every sum that another layer reads"
            )
            if problems is None:
                raise UnsupportedError(text)
            problems.append(text)
        ends.append(chain.maker)
    return ends


def frame_type(
    network: Network, frames: NDArray[np.float32] | None
) -> tuple[QType, float]:
    """Return type and scale of a frame that the file does not quantize.

    Raises:
        UnsupportedError: There are no frames.
    """
    given = _given(network.input.name, frames)
    values = scaled_frames(network, given.astype(np.float64))
    signed = bool(values.min() < 0)
    quant = QType(bits=MAX_BITS, signed=signed, rounding=Rounding.HALF_UP)
    return quant, 2.0 ** best_exponent(values, quant)


def _given(name: str, frames: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return frames.

    Raises:
        UnsupportedError: There are none.
    """
    if frames is None:
        raise UnsupportedError(
            f"layer {name!r}: its map is not quantized, and without frames no "
            "scale can be chosen for it; give some"
        )
    return frames


def close_output(
    network: Network, chains: Mapping[str, Chain], frames: NDArray[np.float32] | None
) -> None:
    """Give the output a scale where the file gives none.

    Args:
        network: Whose chains they are.
        chains: By layer; changed in place.
        frames: From which the scale is chosen.

    Raises:
        UnsupportedError: Another map is not quantized, or there are no frames.
    """
    for name in open_ends(network, chains, None):
        chain = chains[name]
        real = _given(name, frames).astype(np.float64)
        values = run_float_layers(network, real, keep=frozenset({chain.last}))
        quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_UP)
        chain.quantize(
            name, quant, _chosen_scale(chain, values[chain.last], quant), 0.0
        )


def _chosen_scale(chain: Chain, values: Real, quant: QType) -> float:
    """Return what a code of an output shall stand for.

    Steps of the sums times a power of two where all channels have the same steps, so
    that shifts do; else a power of two.
    """
    step = uniform_step(chain)
    if step:
        return step * 2.0 ** max(0, best_exponent(values / step, quant))
    return 2.0 ** best_exponent(values, quant)


def uniform_step(chain: Chain) -> float:
    """Return what a unit of all channels' sums stands for; 0 if they differ."""
    steps = np.abs(chain.gain * chain.unit)
    same = np.all(steps > 0) and np.ptp(steps) <= 1e-9 * steps.max()
    return float(steps[0]) if same else 0.0
