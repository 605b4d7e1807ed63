"""Float nets: equal to the reference semantics, batch norms folded, weights loaded."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from hao.errors import InputError, UnsupportedError
from hao.ir.interpret import run_float
from hao.ir.layer import Affine, Pool
from hao.ir.network import Network
from hao.quant import float_net
from hao.quant.float_net import FloatNet, folded_network, load_weights
from tests.quant.networks import chain, every_kind, frames_for


@pytest.mark.parametrize("include_padding", [True, False])
def test_a_float_net_computes_what_the_reference_says(include_padding: bool) -> None:
    network = every_kind()
    layers = tuple(
        replace(layer, include_padding=include_padding)
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


def saved(path: Path, network: Network) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **network.params)  # type: ignore[arg-type] # numpy's stub
    else:
        state = {k: torch.from_numpy(v.copy()) for k, v in network.params.items()}
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["weights.npz", "weights.pt"])
def test_weights_are_loaded(tmp_path: Path, name: str) -> None:
    network = every_kind()
    bare = replace(network, params=MappingProxyType({}))
    loaded = load_weights(bare, saved(tmp_path / name, network))
    for key, array in network.params.items():
        np.testing.assert_array_equal(loaded.params[key], array)
    # b.project had no bias.
    np.testing.assert_array_equal(loaded.params["b.project.bias"], np.zeros(6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem.weight": np.zeros((4, 1, 3, 2))}, "'stem.weight' has shape"),
        ({"stem.bias": np.full(4, np.nan)}, "'stem.bias' holds NaN or infinity"),
        ({"stem.bias": np.zeros(4, dtype=np.int64)}, "'stem.bias' is int64; must be"),
        ({"other.bias": np.zeros(4)}, "'other.bias': network 'chain' has no such"),
    ],
)
def test_wrong_weights_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    network = chain()
    params = MappingProxyType({**network.params, **change})
    path = saved(tmp_path / "weights.npz", replace(network, params=params))
    with pytest.raises(InputError, match=f"weights.npz: parameter {message}"):
        load_weights(network, path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    network = chain()
    params = dict(network.params)
    del params["stem.weight"]
    less = replace(network, params=MappingProxyType(params))
    path = saved(tmp_path / "weights.npz", less)
    with pytest.raises(InputError, match=r"'stem.weight' is missing; train"):
        load_weights(network, path)


@pytest.mark.parametrize("name", ["weights.npz", "weights.pt"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="not readable"):
        load_weights(chain(), path)
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(InputError, match="not readable"):
        load_weights(chain(), path)


def test_a_file_that_holds_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="must hold a state dict"):
        load_weights(chain(), tmp_path / "weights.pt")
    torch.save({"path": tmp_path}, tmp_path / "weights.pt")  # needs pickle
    with pytest.raises(InputError, match="weights only"):
        load_weights(chain(), tmp_path / "weights.pt")


def test_a_layer_that_cannot_be_trained_is_refused() -> None:
    network = chain()
    last = network.output
    extra = Affine(name="scale", input=last.name, ifm=last.ofm, ofm=last.ofm)
    longer = Network(name="longer", layers=(*network.layers, extra))
    with pytest.raises(UnsupportedError, match="'scale': Affine cannot be trained"):
        FloatNet(longer, batch_norm=True)


def test_a_tensor_that_only_claims_its_size_is_refused(tmp_path: Path) -> None:
    # One number, repeated over any shape: a file of a kilobyte.
    huge = torch.zeros(1).expand(2**20, 2**20)
    torch.save({"a.weight": huge}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=f"{8 * 2**40} bytes in double precision"):
        load_weights(chain(), tmp_path / "weights.pt")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "weights.pt", chain())
    monkeypatch.setattr(float_net, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(InputError, match=r"unpacks to \d+ bytes; must be at most 1000"):
        load_weights(chain(), path)
