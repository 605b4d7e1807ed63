"""Files for use elsewhere: each computes what the network does."""

import io
from types import MappingProxyType

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from hao.ir.interpret import run_float
from hao.ir.network import Network
from hao.quant.export import FRAMES
from hao.quant.export_float import float_files
from hao.quant.float_net import FloatNet, folded_network
from tests.quant.networks import every_kind


@pytest.fixture(scope="module", params=["frames", "scaled frames"])
def network(request: pytest.FixtureRequest) -> Network:
    found = folded_network(FloatNet(every_kind(), batch_norm=False))
    if request.param == "frames":
        return found
    scaling: dict[str, NDArray[np.generic]] = {
        "frame.scale": np.array([2.0, 0.5]),
        "frame.shift": np.array([-1.0, 0.25]),
    }
    params = MappingProxyType({**found.params, **scaling})
    return Network(name=found.name, layers=found.layers, params=params)


def test_an_onnx_file_and_a_torch_program_compute_what_the_network_does(
    network: Network,
) -> None:
    shape = network.input.ofm
    size = (3, shape.channels, shape.height, shape.width)
    frames = np.random.default_rng(0).normal(size=size).astype(np.float32)
    wanted = run_float(network, frames.astype(np.float64)).reshape(3, -1)
    files = float_files(network)
    session = onnxruntime.InferenceSession(files[".onnx"])
    (by_onnx,) = session.run(None, {FRAMES: frames})
    program = torch.export.load(io.BytesIO(files[".pt2"])).module()
    by_torch = program(torch.from_numpy(frames)).detach().numpy()
    # Single precision over sums of at most 100 products of about 1.
    assert np.allclose(by_onnx.reshape(3, -1), wanted, atol=1e-4)
    assert np.allclose(by_torch, wanted, atol=1e-4)


def test_a_state_dict_names_layers_as_weights_are_loaded(network: Network) -> None:
    content = float_files(network)[".pt"]
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert set(state) == set(network.params)
    for key, array in network.params.items():
        assert np.allclose(state[key].numpy(), array)
