"""QONNX files: their outputs equal the integer network's in QONNX's own executor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hao.errors import InputError, UnsupportedError
from hao.frontends.from_onnx.model import load_onnx
from hao.ir.frame import FrameCoding
from hao.ir.integer import HALVES_ODD, IntegerNetwork
from hao.ir.integer_run import run_integer
from hao.ir.interpret import run_float
from hao.ir.layer import Add
from hao.ir.picture import Preparation
from hao.ir.tensor import Rounding
from hao.quant.export import export_qonnx, qonnx_model
from hao.quant.frame_scale import normalised_network
from hao.quant.integers import integer_network
from hao.quant.ptq import quantize_network
from hao.quant.scheme import uniform_scheme
from tests.frontends.onnx_models import qonnx_outputs
from tests.quant.networks import chain, every_kind, frames_for

BATCH = 12


def integers(weight_bits: int, act_bits: int, seed: int = 0) -> IntegerNetwork:
    network = every_kind(seed)
    scheme = uniform_scheme(network, weight_bits=weight_bits, act_bits=act_bits)
    return integer_network(quantize_network(network, scheme, frames_for(network, 16)))


def expected_outputs(net: IntegerNetwork, seed: int) -> tuple[np.ndarray, np.ndarray]:
    frames = frames_for(net.network, BATCH, seed)
    codes = run_integer(net, net.frame_codes(frames))
    exponent = net.maps[net.network.output.name].exponent
    assert exponent is not None
    return frames, np.ldexp(codes.astype(np.float64), exponent)


@pytest.mark.parametrize(("weight_bits", "act_bits"), [(8, 8), (4, 8), (2, 5), (8, 6)])
def test_qonnx_computes_the_same_outputs(
    tmp_path: Path, weight_bits: int, act_bits: int
) -> None:
    net = integers(weight_bits, act_bits)
    path = tmp_path / "net.onnx"
    assert export_qonnx(net, path, batch=BATCH) == ()
    frames, expected = expected_outputs(net, 5)
    got = qonnx_outputs(onnx.load(path), frames)
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)
    assert np.unique(expected).size > 2  # not all saturated or zero


def test_what_the_host_does_to_frames_is_part_of_the_file(tmp_path: Path) -> None:
    preparation = Preparation(mean=(0.4, -0.2), std=(0.5, 2.0))
    network = normalised_network(every_kind(), preparation)
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    net = integer_network(quantize_network(network, scheme, frames_for(network, 16)))
    assert net.frame is not None
    export_qonnx(net, tmp_path / "net.onnx", batch=BATCH)
    frames, expected = expected_outputs(net, 5)
    got = qonnx_outputs(onnx.load(tmp_path / "net.onnx"), frames)
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)


def test_an_imported_export_computes_the_same_outputs(tmp_path: Path) -> None:
    net = integers(4, 8, seed=1)
    export_qonnx(net, tmp_path / "net.onnx")
    network = load_onnx(tmp_path / "net.onnx").network
    frames, expected = expected_outputs(net, 5)
    got = run_float(network, frames.astype(np.float64))
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    net = integers(4, 4)
    export_qonnx(net, tmp_path / "one.onnx")
    export_qonnx(net, tmp_path / "two.onnx")
    one, two = (tmp_path / name for name in ("one.onnx", "two.onnx"))
    assert one.read_bytes() == two.read_bytes()


def test_a_file_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="exists; `force` replaces it"):
        export_qonnx(integers(4, 4), path)
    assert path.read_bytes() == b"precious"
    export_qonnx(integers(4, 4), path, force=True)
    onnx.load(path)
    with pytest.raises(InputError, match="cannot be written"):
        export_qonnx(integers(4, 4), tmp_path / "absent" / "net.onnx")


def test_layers_whose_sums_may_be_inexact_are_named(tmp_path: Path) -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    net = integer_network(quantize_network(network, scheme, frames_for(network, 16)))
    params = dict(net.network.params)
    bias = params["stem.bias"].copy()
    bias[1] = 2**24
    params["stem.bias"] = bias
    wide = IntegerNetwork(
        network=type(net.network)(
            name="wide", layers=net.network.layers, params=params
        ),
        maps=net.maps,
        requantization=net.requantization,
    )
    assert export_qonnx(wide, tmp_path / "net.onnx") == ("stem",)


def test_maps_without_a_known_scale_are_refused() -> None:
    net = integers(4, 4)
    maps = {k: replace(v, exponent=None) for k, v in net.maps.items()}
    free = replace(net, maps=maps)
    with pytest.raises(UnsupportedError, match="scales of maps that are no powers"):
        qonnx_model(free)


def test_halves_to_odd_codes_are_refused(tmp_path: Path) -> None:
    net = integers(8, 8)
    add = next(one.name for one in net.network.layers if isinstance(one, Add))
    params = {**net.network.params, f"{add}.rounding": np.array([HALVES_ODD])}
    odd = replace(net, network=replace(net.network, params=params))
    with pytest.raises(UnsupportedError, match=f"{add}': rounds halves to odd codes"):
        export_qonnx(odd, tmp_path / "net.onnx")
    coding = FrameCoding(gain=(1.0,), rounding=Rounding.HALF_ODD)
    with pytest.raises(UnsupportedError, match="rounds halves to odd codes; handled"):
        export_qonnx(replace(net, frame=coding), tmp_path / "net.onnx")
