"""What a changed network leaves for use elsewhere: a torch state dict and ONNX."""

import io

import numpy as np
import torch

from hao.ir.network import Network
from hao.quant.float_onnx import float_onnx

STATE_FILE = "float.pt"
ONNX_FILE = "float.onnx"


def float_files(network: Network) -> dict[str, bytes]:
    """Return the files of a network in floating point, by name.

    `float.pt` is a torch state dict by "layer.weight" and "layer.bias", which
    `hao quantize --weights` reads; `float.onnx` holds layers and parameters.

    Args:
        network: With float parameters.

    Raises:
        InputError: A parameter is missing.
        UnsupportedError: A layer that a float network does not have.
    """
    state = {
        key: torch.from_numpy(np.array(array, dtype=np.float32))
        for key, array in network.params.items()
    }
    content = io.BytesIO()
    torch.save(state, content)
    return {STATE_FILE: content.getvalue(), ONNX_FILE: float_onnx(network)}
