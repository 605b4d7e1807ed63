"""Files of integers: lossless, the same bytes, never overwritten, or refused."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.integer import IntegerNetwork
from hao.quant.integers import integer_network
from hao.quant.ptq import quantize_network
from hao.quant.scheme import uniform_scheme
from hao.quant.weights_file import load_integers, render_integers
from tests.quant.networks import every_kind, frames_for


@pytest.fixture(scope="module")
def net() -> IntegerNetwork:
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=4, act_bits=8)
    return integer_network(quantize_network(network, scheme, frames_for(network, 16)))


def test_a_file_holds_everything(tmp_path: Path, net: IntegerNetwork) -> None:
    (tmp_path / "net.npz").write_bytes(render_integers(net))
    loaded = load_integers(tmp_path / "net.npz")
    assert loaded.network.layers == net.network.layers
    assert loaded.network.name == net.network.name
    assert dict(loaded.maps) == dict(net.maps)
    assert loaded.requantization == net.requantization
    assert loaded.network.params.keys() == net.network.params.keys()
    for key, array in net.network.params.items():
        assert loaded.network.params[key].dtype == np.int64
        np.testing.assert_array_equal(loaded.network.params[key], array)


def test_equal_networks_give_equal_bytes(tmp_path: Path, net: IntegerNetwork) -> None:
    (tmp_path / "net.npz").write_bytes(render_integers(net))
    content = (tmp_path / "net.npz").read_bytes()
    assert render_integers(load_integers(tmp_path / "net.npz")) == content


def changed(path: Path, net: IntegerNetwork, old: str, new: str) -> Path:
    """Write a file whose header has one text replaced."""
    path.write_bytes(render_integers(net))
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    text = arrays["header"].tobytes().decode()
    assert old in text
    header = text.replace(old, new, 1).encode()
    arrays["header"] = np.frombuffer(header, dtype=np.uint8)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hao.integers/2", "hao.integers/1", "schema = .*must be 'hao.integers/2'"),
        ('"shift"', '"sideways"', "requantization = 'sideways'; must be"),
        ('"bits": 8', '"bits": 9', "9 bits; must have 2 to 8|activations of 9 bits"),
        ('"name": "stem"', '"name": "stern"', "reads 'stem', which is not before it"),
        ('"kernel": 3', '"kernel": "3"', "valid integer"),
        ("{", "[", "header: "),
    ],
)
def test_changed_headers_are_refused(
    tmp_path: Path, net: IntegerNetwork, old: str, new: str, message: str
) -> None:
    path = changed(tmp_path / "net.npz", net, old, new)
    with pytest.raises(InputError, match=message) as caught:
        load_integers(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_changed_parameters_are_refused(tmp_path: Path, net: IntegerNetwork) -> None:
    path = tmp_path / "net.npz"
    path.write_bytes(render_integers(net))
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays["stem.shift"] = arrays["stem.shift"] + 16
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"'stem\.shift' holds .* must be 0 to 15"):
        load_integers(path)
    arrays["stem.shift"] = np.zeros(6)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"'stem\.shift' is float64; must be signed"):
        load_integers(path)
    del arrays["stem.shift"]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"'stem\.shift' is missing"):
        load_integers(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    with pytest.raises(InputError, match="not readable as a file of integers"):
        load_integers(path)
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(InputError, match="not readable as a file of integers"):
        load_integers(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError, match="no header; must be a file of integers"):
        load_integers(path)
    np.savez(path, header=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="not readable as a file of integers"):
        load_integers(path)


def test_nothing_but_plain_arrays_is_in_a_file(
    tmp_path: Path, net: IntegerNetwork
) -> None:
    (tmp_path / "net.npz").write_bytes(render_integers(net))
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        assert all(entry.filename.endswith(".npy") for entry in archive.infolist())
        assert {entry.date_time for entry in archive.infolist()} == {
            (1980, 1, 1, 0, 0, 0)
        }
    with np.load(tmp_path / "net.npz") as file:
        assert json.loads(file["header"].tobytes())["schema"] == "hao.integers/2"
        assert file["stem.weight"].dtype == np.int8
