"""load_onnx refuses files and graphs that it cannot trust, and says what is wrong."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from hao.errors import InputError, UnsupportedError
from hao.frontends.from_onnx import fold, graph, limits
from hao.frontends.from_onnx.model import load_onnx
from tests.frontends.onnx_models import (
    Stored,
    floats,
    imported,
    model,
    node_with,
)

W = floats(2, 4, 3, 3, 3)
HARDWARE = "finn.custom_op.fpgadataflow"


def node(op: str, *inputs: str, domain: str = "", **attributes: object) -> NodeProto:
    return node_with(op, inputs, ["y"], attributes, name="it", domain=domain)


# ---- files ----


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        load_onnx(tmp_path / "none.onnx")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_onnx(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        load_onnx(path)


def test_a_file_that_fails_to_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")

    def fail(self: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(InputError, match="cannot be read: Input/output error"):
        load_onnx(path)


def test_a_file_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MAX_FILE_BYTES", 10)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * 11)
    with pytest.raises(InputError, match="11 bytes; must be at most 10"):
        load_onnx(path)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


def test_a_pickle_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    with pytest.raises(InputError, match="a zip archive or a pickle"):
        load_onnx(path)
    assert not (tmp_path / "boom").exists()


def test_a_zip_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"")
    with pytest.raises(InputError, match=r"export the model with torch\.onnx\.export"):
        load_onnx(path)


@pytest.mark.parametrize(
    "content", [b"", b"# a text\n" * 9, b"\x00" * 64, b"\xff" * 64]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not an ONNX model"):
        load_onnx(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = model([node("Conv", "x", "w")], stored={"w": W}).SerializeToString()
    path = tmp_path / "model.onnx"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises((InputError, UnsupportedError)):
            load_onnx(path)


def test_random_damage_never_ends_in_another_error(tmp_path: Path) -> None:
    stored: Stored = {"w": W, "b": floats(3, 4)}
    whole = model([node("Conv", "x", "w", "b")], stored=stored).SerializeToString()
    path = tmp_path / "model.onnx"
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 3):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            load_onnx(path)
        except (InputError, UnsupportedError):
            refused += 1
    assert refused > 0


# ---- arrays outside the file ----


def external(
    location: str, *, offset: int | str = 0, length: int | str = 432
) -> onnx.ModelProto:
    made = model([node("Conv", "x", "w")])
    tensor = made.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend(W.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return made


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "../../etc/passwd", ""]
)
def test_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(W.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(InputError, match="must be a file in the folder of the model"):
        imported(folder, external(location))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(W.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"keeps its data in 'w\.bin'; must be a file"):
        imported(folder, external("w.bin"))


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").symlink_to("w.bin")
    with pytest.raises((InputError, UnsupportedError), match=r"w\.bin'(: links| is m)"):
        imported(tmp_path, external("w.bin"))


def test_missing_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"data file 'w\.bin' is missing"):
        imported(tmp_path, external("w.bin"))


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (0, 433, r"bytes 0 to 433 of 'w\.bin', which has 432"),
        (-4, 432, r"bytes -4 to 428"),
        ("four", 432, r"bad reference to 'w\.bin'"),
        (0, 100, r"data does not fit shape \(4, 3, 3, 3\)"),
    ],
)
def test_data_of_another_size_is_refused(
    tmp_path: Path, offset: int | str, length: int, message: str
) -> None:
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    with pytest.raises(InputError, match=message):
        imported(tmp_path, external("w.bin", offset=offset, length=length))


def test_data_that_fails_to_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external("w.bin").SerializeToString())

    def fail(self: Path, mode: str) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(
        Path, "read_bytes", lambda self: external("w.bin").SerializeToString()
    )
    with pytest.raises(InputError, match=r"'w\.bin': Input/output error"):
        load_onnx(path)


def test_a_tensor_attribute_outside_the_file_is_refused(tmp_path: Path) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(UnsupportedError, match="refers to another file; handled: inl"):
        imported(tmp_path, model(nodes))


def test_a_shape_without_data_is_refused(tmp_path: Path) -> None:
    made = model([node("Conv", "x", "w")])
    made.graph.initializer.append(
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[10**9, 10**9])
    )
    with pytest.raises(UnsupportedError, match="has a shape but no data; handled: mod"):
        imported(tmp_path, made)


def test_a_negative_size_of_a_tensor_is_refused(tmp_path: Path) -> None:
    made = model([node("Conv", "x", "w")], stored={"w": W})
    made.graph.initializer[0].dims[0] = -4
    with pytest.raises(InputError, match="must not be negative"):
        imported(tmp_path, made)


@pytest.mark.parametrize("listed", [True, False])
def test_weights_that_are_not_in_the_file_are_refused(
    tmp_path: Path, listed: bool
) -> None:
    made = model([node("Conv", "x", "w")])
    if listed:
        value = helper.make_tensor_value_info("w", TensorProto.FLOAT, W.shape)
        made.graph.input.append(value)
    with pytest.raises(UnsupportedError, match="Conv 'it': its weights 'w' are not in"):
        imported(tmp_path, made)


# ---- the graph ----


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    broken = W.copy()
    broken[0, 0, 0, 0] = value
    with pytest.raises(InputError, match=r"'it\.weight' holds NaN or infinity"):
        imported(tmp_path, model([node("Conv", "x", "w")], stored={"w": broken}))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 3, 0, 8), "input 'x': dimension 2 is unknown|dimension 2 is 0"),
        ((1, 3, "height", 8), "input 'x': dimension 2 is height; must be a size"),
        ((1, 3, None, 8), "dimension 2 is unknown"),
        ((1, 3, -1, 8), "dimension 2 is -1"),
        ((-1, "c", 8, 8), "dimension 1 is c; .* or export the model with fixed sizes"),
    ],
)
def test_an_unknown_size_is_refused(
    tmp_path: Path, sizes: tuple[int | str | None, ...], message: str
) -> None:
    made = model([node("Conv", "x", "w")], stored={"w": W}, x=sizes)
    with pytest.raises(InputError, match=message):
        imported(tmp_path, made)


def test_an_input_without_a_shape_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", "x")])
    made.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match="input 'x' has no shape; export it with one"):
        imported(tmp_path, made)


@pytest.mark.parametrize("sizes", [(4,), (1, 2, 3, 4, 5)])
def test_an_input_of_another_rank_is_refused(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    with pytest.raises(UnsupportedError, match=r"input of shape .*; handled: \(batch"):
        imported(tmp_path, model([node("Relu", "x")], x=sizes))


@pytest.mark.parametrize("kind", ["STRING", "BOOL", "COMPLEX64"])
def test_a_frame_of_no_numbers_is_refused(tmp_path: Path, kind: str) -> None:
    made = model([node("Relu", "x")], x_type=TensorProto.DataType.Value(kind))
    with pytest.raises(UnsupportedError, match=f"'x': of type {kind.lower()}; handled"):
        imported(tmp_path, made)


def test_a_frame_of_very_many_pixels_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", "x")], x=(1, 3, 4097, 4096))
    with pytest.raises(UnsupportedError, match="frames of 4097x4096; handled: up to"):
        imported(tmp_path, made)
    imported(tmp_path, model([node("Relu", "x")], x=(1, 3, 1, 5000)))


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    made = model([node("Add", "x", "z")])
    made.graph.input.append(
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 8])
    )
    with pytest.raises(UnsupportedError, match=r"inputs \['x', 'z'\]; handled: netw"):
        imported(tmp_path, made)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", "x"), helper.make_node("Neg", ["x"], ["z"], "minus")]
    with pytest.raises(UnsupportedError, match=r"2 outputs \['it', 'minus'\]; handled"):
        imported(tmp_path, model(nodes, outputs=("y", "z")))


def test_no_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the graph has no output"):
        imported(tmp_path, model([node("Relu", "x")], outputs=()))


def test_an_output_that_is_the_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the output is the input; nothing to run"):
        imported(tmp_path, model([node("Identity", "x")]))


def test_a_tensor_written_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tensor 'y' is written by two nodes"):
        imported(tmp_path, model([node("Relu", "x"), node("Neg", "x")]))


def test_a_tensor_that_nothing_writes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Add 'it' reads 'z', which nothing writes"):
        imported(tmp_path, model([node("Add", "x", "z")]))


def test_a_circle_is_refused(tmp_path: Path) -> None:
    nodes = [node("Add", "x", "z"), helper.make_node("Relu", ["y"], ["z"])]
    with pytest.raises(InputError, match="nodes read one another in a circle"):
        imported(tmp_path, model(nodes))


def test_an_old_operator_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="operator set 6; handled: 7 and later"):
        imported(tmp_path, model([node("Relu", "x")], opset=6))


def test_a_sparse_tensor_is_refused(tmp_path: Path) -> None:
    made = model([node("Conv", "x", "w")])
    made.graph.sparse_initializer.add().values.name = "w"
    with pytest.raises(UnsupportedError, match="sparse tensor 'w'; handled: dense"):
        imported(tmp_path, made)


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    inner = helper.make_node("F", ["a"], ["r"], domain="local")
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    function = helper.make_function("local", "F", ["a"], ["r"], [inner], imports)
    made = model([node("F", "x", domain="local")], domains=[("local", 1)])
    made.functions.append(function)
    with pytest.raises(InputError, match="function 'F' calls itself"):
        imported(tmp_path, made)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    whole = model([node("Relu", "x")]).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(whole.replace(b"\x02it", b"\x02\xff\xfe"))
    with pytest.raises(InputError, match=r"not an ONNX model|is no text; the file is"):
        load_onnx(path)


def test_a_file_without_an_operator_set_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", "x")])
    del made.opset_import[:]
    with pytest.raises(InputError, match="declares no operator set; the file may be"):
        imported(tmp_path, made)


def doubling(depth: int) -> list[onnx.FunctionProto]:
    """Return functions that each call the next one twice."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    found = []
    for level in range(depth):
        last = level == depth - 1
        names = [("a", "t"), ("t", "r")] if not last else [("a", "r")]
        body = [
            helper.make_node("Relu", [source], [target])
            if last
            else helper.make_node(f"F{level + 1}", [source], [target], domain="local")
            for source, target in names
        ]
        found.append(
            helper.make_function("local", f"F{level}", ["a"], ["r"], body, imports)
        )
    return found


@pytest.mark.parametrize(
    ("depth", "message"),
    [(20, r"524288 nodes with its functions written"), (99, r"3\.17e\+29 nodes with")],
)
def test_functions_that_write_out_to_very_many_nodes_are_refused(
    tmp_path: Path, depth: int, message: str
) -> None:
    made = model([node("F0", "x", domain="local")], domains=[("local", 1)])
    made.functions.extend(doubling(depth))
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, made)


def test_functions_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    made = model([node("F0", "x", domain="local")], domains=[("local", 1)])
    made.functions.extend(doubling(3000))
    with pytest.raises(UnsupportedError, match="functions or graphs nest too deep"):
        imported(tmp_path, made)


def test_a_file_of_very_many_nodes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_NODES", 1)
    nodes = [helper.make_node("Relu", ["x"], ["t"]), node("Relu", "t")]
    with pytest.raises(UnsupportedError, match=r"2 nodes with its functions"):
        imported(tmp_path, model(nodes))


def test_stored_arrays_that_another_file_only_claims_are_refused(
    tmp_path: Path,
) -> None:
    with (tmp_path / "zeros.bin").open("wb") as stream:
        stream.truncate(10**9)  # takes no disk
    made = model([node("Conv", "x", "w")])
    tensor = made.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend([25 * 10**7, 1, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "zeros.bin"
    with pytest.raises(
        UnsupportedError, match="arrays of 1000000000 bytes; handled: up"
    ):
        imported(tmp_path, made)
    tensor.dims[0], tensor.data_type = 2**62, 99
    with pytest.raises(UnsupportedError, match=r"stored arrays of 3\.69e\+19 bytes; "):
        imported(tmp_path, made)


def test_constants_that_are_all_needed_at_once_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four constants of 40 bytes, added in pairs. If all are made first, a sum is the
    # fifth; if the first pair goes before the second is made, there are at most four.
    monkeypatch.setattr(fold, "MAX_ALIVE_BYTES", 160)
    made = [helper.make_node("ConstantOfShape", ["ten"], [f"k{i}"]) for i in range(4)]
    left = helper.make_node("Add", ["k0", "k1"], ["left"])
    right = helper.make_node("Add", ["k2", "k3"], ["right"])
    ends = [
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("ReduceSum", ["sum"], ["one"], keepdims=0),
        node("Add", "x", "one"),
    ]
    stored = {"ten": np.array([10])}
    with pytest.raises(UnsupportedError, match="constants of 200 bytes are needed at"):
        imported(tmp_path, model([*made, left, right, *ends], stored=stored))
    imported(tmp_path, model([*made[:2], left, *made[2:], right, *ends], stored=stored))


def test_what_is_computed_of_constants_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten numbers of 4 bytes, then 40 bytes more a node: three nodes are 120. Of the
    # product of 2x5 by 5x2 there are 4 numbers of 4 bytes and 20 products.
    stored: Stored = {"ten": np.array([10]), "a": floats(0, 2, 5), "b": floats(1, 5, 2)}
    chain = [
        helper.make_node("ConstantOfShape", ["ten"], ["k0"]),
        helper.make_node("Exp", ["k0"], ["k1"], "exp"),
        helper.make_node("Log", ["k1"], ["k2"], "log"),
        helper.make_node("ReduceSum", ["k2"], ["one"], keepdims=0),
        node("Add", "x", "one"),
    ]
    product = [
        helper.make_node("MatMul", ["a", "b"], ["c"], "product"),
        helper.make_node("ReduceSum", ["c"], ["one"], keepdims=0),
        chain[-1],
    ]
    for nodes, limit, at in ((chain, 159, "log"), (product, 35, "product")):
        monkeypatch.setattr(fold, "MAX_WORK", limit)
        with pytest.raises(
            UnsupportedError, match=f"'{at}': what is computed of constants up to here"
        ):
            imported(tmp_path, model(nodes, stored=stored))
        monkeypatch.setattr(fold, "MAX_WORK", limit + 120)
        imported(tmp_path, model(nodes, stored=stored))
