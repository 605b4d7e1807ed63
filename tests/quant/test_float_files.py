"""Files of a float network: any runtime computes the same, and hao reads them back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from hao.errors import UnsupportedError
from hao.ir.layer import Activation, ActivationKind
from hao.ir.network import Network
from hao.model import load_buildable
from hao.quant.float_files import ONNX_FILE, STATE_FILE, float_files
from hao.quant.float_net import FloatNet
from hao.quant.float_onnx import float_onnx
from hao.quant.weights import WeightSource, load_weights
from tests.quant.networks import every_kind


def test_onnx_computes_what_the_network_does_at_any_batch(tmp_path: Path) -> None:
    network = every_kind()
    path = tmp_path / ONNX_FILE
    path.write_bytes(float_files(network)[ONNX_FILE])
    shape = network.input.ofm
    size = (5, shape.channels, shape.height, shape.width)
    frames = np.random.default_rng(0).normal(0, 2, size).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(None, {session.get_inputs()[0].name: frames})
    with torch.no_grad():
        expected = FloatNet(network, batch_norm=False).eval()(torch.from_numpy(frames))
    np.testing.assert_allclose(found.reshape(5, -1), expected, rtol=1e-4, atol=1e-4)


def test_hao_reads_both_files_back(tmp_path: Path) -> None:
    network = every_kind()
    for name, content in float_files(network).items():
        (tmp_path / name).write_bytes(content)
    again = load_buildable(tmp_path / ONNX_FILE).network
    assert [type(layer) for layer in again.layers] == [
        type(layer) for layer in network.layers
    ]
    bare = replace(network, params={})
    loaded = load_weights(bare, WeightSource(path=tmp_path / STATE_FILE)).network
    for key, array in network.params.items():
        found = loaded.params[key].astype(np.float64)
        np.testing.assert_allclose(found, array.astype(np.float64), rtol=1e-6)


def test_a_function_that_stands_alone_is_refused() -> None:
    network = every_kind()
    last = network.output
    alone = Activation(
        name="alone",
        input=last.name,
        ifm=last.ofm,
        ofm=last.ofm,
        kind=ActivationKind.RELU,
    )
    whole = Network(name="n", layers=(*network.layers, alone), params=network.params)
    with pytest.raises(UnsupportedError, match="'alone': Activation is not written"):
        float_onnx(whole)
