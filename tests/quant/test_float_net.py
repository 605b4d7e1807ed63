"""Float nets: equal to the reference semantics, batch norms folded, weights loaded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hao.errors import UnsupportedError
from hao.ir.interpret import run_float
from hao.ir.layer import Affine, Padding, Pool
from hao.ir.network import Network
from hao.quant.float_net import FloatNet, folded_network
from tests.quant.networks import chain, every_kind, frames_for


@pytest.mark.parametrize("include_padding", [True, False])
def test_a_float_net_computes_what_the_reference_says(include_padding: bool) -> None:
    network = every_kind()
    layers = tuple(
        replace(layer, uncounted=Padding() if include_padding else layer.padding)
        if isinstance(layer, Pool)
        else layer
        for layer in network.layers
    )
    network = replace(network, layers=layers)
    x = frames_for(network, 8)
    net = FloatNet(network, batch_norm=False).double().eval()
    with torch.no_grad():
        got = net(torch.from_numpy(x).double()).numpy()
    expected = run_float(network, x.astype(np.float64)).reshape(got.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)  # float32 weights


def test_folding_batch_norms_keeps_the_outputs() -> None:
    torch.manual_seed(0)
    net = FloatNet(every_kind(), batch_norm=True).double()
    x = torch.from_numpy(frames_for(every_kind(), 32)).double()
    net.train()
    for _ in range(3):
        net(x)  # moves the running statistics
    for norm in net.norms.values():
        torch.nn.init.normal_(norm.get_parameter("weight"), 1.0, 0.3)
        torch.nn.init.normal_(norm.get_parameter("bias"))
    net.eval()
    folded = folded_network(net)
    with torch.no_grad():
        expected = net(x).numpy()
    got = run_float(folded, x.numpy()).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    assert len(net.norms) == 3  # convolutions only


def test_a_layer_that_cannot_be_trained_is_refused() -> None:
    network = chain()
    last = network.output
    extra = Affine(name="scale", input=last.name, ifm=last.ofm, ofm=last.ofm)
    longer = Network(name="longer", layers=(*network.layers, extra))
    with pytest.raises(UnsupportedError, match="'scale': Affine cannot be trained"):
        FloatNet(longer, batch_norm=True)
