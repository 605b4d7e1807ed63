"""Whatever a file holds, a command takes it or refuses it: in one line, and soon.

A thousand files that no tool wrote: cut off, damaged, enlarged, of another kind, with
lengths and shapes that are lies. Seeds are the numbers of the cases, so that one can be
run again alone.
"""

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from hao.data import data_path
from tests.faults.commands import CPU_SECONDS, Commands, Outcome, warm_commands
from tests.faults.tiny import write_tiny

CASES = 1000
SAMPLED = range(0, CASES, 55)
MAX_BYTES = 2 * 10**9
"""Memory that a command may take, what was loaded before included [bytes]."""

SEARCH = ("search", "--objective", "latency", "--bits", "8", "--quiet")
REPORTS = Path(__file__).parents[1] / "handoff" / "fixtures"

Random = np.random.Generator
Words = tuple[str, ...]


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with warm_commands() as found:
        yield found


@pytest.fixture(scope="module")
def whole(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a quantized and emitted run, and files for all commands."""
    folder = tmp_path_factory.mktemp("whole")
    write_tiny(folder)
    rng = np.random.default_rng(0)
    for name in "abc":
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    shutil.copy(data_path("boards") / "zu3eg.toml", folder / "board.toml")
    (folder / "times.csv").write_text("design,clock_mhz,ms\nruns/t,150,0.01\n")
    for words in (
        (*SEARCH, "--board", "pynq-z2", "--model", "net.onnx", "--run", "t"),
        ("quantize", "runs/t", "--method", "ptq", *DATA, *WEIGHTS, "--quiet"),
        ("emit-hls", "runs/t"),
        ("calibrate", "--timings", "times.csv", "--out", "constants.json"),
    ):
        done = commands.run(*words, cwd=folder)
        assert done.code == 0, done.stderr
    return folder


DATA = ("--data", "data.npz")
WEIGHTS = ("--weights", "float.npz")
QUANTIZE = ("quantize", "runs/t", "--force", "--method", "ptq", "--quiet")


def damaged(rng: Random, content: bytes) -> bytes:
    """Return bytes that were whole."""
    data = bytearray(content)
    match int(rng.integers(7)):
        case 0:
            return content[: rng.integers(len(content))]
        case 1:
            for place in rng.integers(len(data), size=rng.integers(1, 9)):
                data[place] = rng.integers(256)
        case 2:
            place = int(rng.integers(len(data)))
            data[place:place] = rng.bytes(int(rng.integers(1, 200)))
        case 3:
            start = int(rng.integers(len(data)))
            del data[start : start + int(rng.integers(1, 200))]
        case 4:
            start = int(rng.integers(len(data)))
            data[start:] = data[start:] + data[start:]
        case 5:
            # A length that is a lie, wherever one stands.
            place = int(rng.integers(len(data)))
            data[place : place + 4] = b"\xff\xff\xff\x7f"
        case _:
            return rng.bytes(int(rng.integers(400)))
    return bytes(data)


def other_kind(rng: Random, path: Path) -> None:
    """Put something else into the place of a file."""
    path.unlink()
    match int(rng.integers(6)):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.write_bytes(pickle.dumps({"a": os.getcwd}))
        case 4:
            with path.open("wb") as stream:
                stream.truncate(5 * 2**30)  # takes no disk
        case _:
            path.symlink_to(path.name)


def spoilt(rng: Random, path: Path) -> None:
    """Damage a file, or put something else there."""
    if rng.random() < 0.12:
        other_kind(rng, path)
    else:
        path.write_bytes(damaged(rng, path.read_bytes()))


def text_value(rng: Random) -> str:
    values = ["-1", "0", "1e308", "nan", "2" * 5000, '"x"', "[]", "{}", "null", "true"]
    values += ["9223372036854775808", "1.5", "[" * 2000, '"\\u0000"', "\x00"]
    return values[int(rng.integers(len(values)))]


def edited(rng: Random, path: Path) -> None:
    """Give one number of a text file another value."""
    text = path.read_text()
    places = [
        i for i, c in enumerate(text) if c.isdigit() and not text[i - 1].isalnum()
    ]
    place = places[int(rng.integers(len(places)))]
    end = place
    while end < len(text) and (text[end].isdigit() or text[end] in "._"):
        end += 1
    path.write_text(text[:place] + text_value(rng) + text[end:])


def model(rng: Random, folder: Path) -> Words:
    path = folder / "net.onnx"
    if rng.random() < 0.5:
        spoilt(rng, path)
    else:
        [lying_shape, bomb, strange_node][int(rng.integers(3))](rng, path)
    return (*SEARCH, "--board", "pynq-z2", "--model", "net.onnx", "--no-run")


def lying_shape(rng: Random, path: Path) -> None:
    made = onnx.load(path)
    tensor = made.graph.initializer[int(rng.integers(4))]
    if rng.random() < 0.5:
        sizes = [0, -1, 2**20, 2**40, 2**62, 3]
        tensor.dims[:] = rng.choice(sizes, size=rng.integers(0, 6)).tolist()
    else:
        tensor.data_type = int(rng.integers(-1, 30))
    if rng.random() < 0.3:
        dims = made.graph.input[0].type.tensor_type.shape.dim
        dims[int(rng.integers(4))].dim_value = int(rng.choice([0, 1, 2**31, 2**62]))
    path.write_bytes(made.SerializeToString())


def bomb(rng: Random, path: Path) -> None:
    made = onnx.load(path)
    size = numpy_helper.from_array(
        np.array([int(rng.choice([2**26, 2**27 - 1, 2**33, 2**62, -5]))]), "big"
    )
    made.graph.initializer.append(size)
    kinds = ["ConstantOfShape", "Range", "Tile", "Expand", "Pad", "OneHot"]
    kind = kinds[int(rng.integers(len(kinds)))]
    operands = {"ConstantOfShape": ["big"], "Range": ["zero", "big", "one"]}
    made.graph.initializer.append(numpy_helper.from_array(np.array(0), "zero"))
    made.graph.initializer.append(numpy_helper.from_array(np.array(1), "one"))
    nodes = [helper.make_node(kind, operands.get(kind, ["a.bias", "big"]), ["boom"])]
    nodes += [helper.make_node("ReduceMean", ["boom"], ["mean"], keepdims=0)]
    nodes += [helper.make_node("Mul", ["a.bias", "mean"], ["biases"])]
    made.graph.node[0].input[2] = "biases"
    for node in reversed(nodes):
        made.graph.node.insert(0, node)
    path.write_bytes(made.SerializeToString())


def strange_node(rng: Random, path: Path) -> None:
    made = onnx.load(path)
    node = made.graph.node[int(rng.integers(len(made.graph.node)))]
    match int(rng.integers(4)):
        case 0:
            names = ["pads", "kernel_shape", "strides", "dilations", "group", "perm"]
            values = [[-1] * 4, [2**40] * 2, [0], 2**62, "x", [1.5], [9] * 9]
            name = names[int(rng.integers(len(names)))]
            value = values[int(rng.integers(len(values)))]
            kept = [a for a in node.attribute if a.name != name]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.append(helper.make_attribute(name, value))
        case 1:
            ops = ["Transpose", "Reshape", "Loop", "Concat", "Gemm", "QuantizeLinear"]
            node.op_type = ops[int(rng.integers(len(ops)))]
        case 2:
            names = ["x", "t", "u", "v", "a.weight", "b.bias", "", "nothing"]
            node.input[0] = names[int(rng.integers(len(names)))]
        case _:
            made.opset_import[0].version = int(rng.choice([-1, 0, 6, 7, 99, 2**40]))
    path.write_bytes(made.SerializeToString())


def board(rng: Random, folder: Path) -> Words:
    path = folder / "board.toml"
    [spoilt, edited][int(rng.integers(2))](rng, path)
    return (*SEARCH, "--board", "board.toml", "--model", "net.onnx", "--no-run")


def lying_archive(rng: Random, path: Path) -> None:
    """Write arrays whose values, shapes or kinds do not belong."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = list(arrays)[int(rng.integers(len(arrays)))]
    match int(rng.integers(8)):
        case 0:
            values = [np.nan, np.inf, 1e30, 3e38, -1.0, 0.0]
            arrays[name] = np.full_like(arrays[name], 0) + values[int(rng.integers(6))]
        case 1:
            arrays[name] = arrays[name].astype(
                ["U5", "c16", "i8", "u1", "?", "M8[s]", "f2"][int(rng.integers(7))]
            )
        case 2:
            arrays[name] = arrays[name][..., None]
        case 3:
            arrays[name] = arrays[name][:0]
        case 4:
            del arrays[name]
        case 5:
            arrays["another"] = np.zeros(3)
        case 6:
            arrays[name] = np.array([{"a": 1}], dtype=object)
        case _:
            lying_header(rng, path, name)
            return
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    path.write_bytes(stream.getvalue())


def lying_header(rng: Random, path: Path, name: str) -> None:
    shapes = [(2**40,), (2**31, 2**31), (-1,), (0, 2**62), (2**28,)]
    header = {
        "descr": ["<f4", "<f8", "<i2"][int(rng.integers(3))],
        "fortran_order": bool(rng.integers(2)),
        "shape": shapes[int(rng.integers(len(shapes)))],
    }
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, header)
        for _ in range(int(rng.choice([0, 1, 1200]))):
            entry.write(bytes(2**20))


def weights(rng: Random, folder: Path) -> Words:
    if rng.random() < 0.3:
        import torch

        with np.load(folder / "float.npz") as file:
            state = {key: torch.from_numpy(file[key]) for key in file.files}
        if rng.random() < 0.3:
            state["a.weight"] = torch.zeros(1).expand(2**20, 2**20)
        torch.save(state, folder / "net.pt")
        spoilt(rng, folder / "net.pt")
        return (*QUANTIZE, *DATA, "--weights", "net.pt")
    [spoilt, lying_archive][int(rng.integers(2))](rng, folder / "float.npz")
    return (*QUANTIZE, *DATA, *WEIGHTS)


def data(rng: Random, folder: Path) -> Words:
    [spoilt, lying_archive][int(rng.integers(2))](rng, folder / "data.npz")
    return (*QUANTIZE, *DATA, *WEIGHTS)


def photos(rng: Random, folder: Path) -> Words:
    files = sorted((folder / "images").rglob("*.png"))
    spoilt(rng, files[int(rng.integers(len(files)))])
    return (*QUANTIZE, "--data", "images", *WEIGHTS)


def report(rng: Random, folder: Path) -> Words:
    names = sorted(path for path in REPORTS.rglob("*") if path.is_file())
    source = names[int(rng.integers(len(names)))]
    path = folder / source.name
    shutil.copy(source, path)
    path.chmod(0o644)
    if rng.random() < 0.15:
        kinds = [b"<profile>" + b"<a/>" * 2**20, b"\n" * 2**22, b"|" * 2**20]
        kinds += [b"<a" + b" b='c'" * 2**19, b" " * 2**20 + b"x", b"| +" * 2**19]
        path.write_bytes(kinds[int(rng.integers(len(kinds)))])
    else:
        spoilt(rng, path)
    return ("report-hls", "runs/t", source.name)


def calibration(rng: Random, folder: Path) -> Words:
    name = ["constants.json", "times.csv"][int(rng.integers(2))]
    [spoilt, edited][int(rng.integers(2))](rng, folder / name)
    if name == "times.csv":
        return ("calibrate", "--timings", "times.csv")
    return ("estimate", "runs/t", "--calibration", "constants.json")


def run(rng: Random, folder: Path) -> Words:
    name, commands = [
        ("design.json", (("report",), ("estimate",), ("emit-hls", "--force"))),
        ("certificate.json", (("verify", "--quick", "--quiet", "--samples", "1"),)),
        ("weights.npz", (("emit-hls", "--force"), ("export", "--force"))),
        ("evaluation.npz", (("emit-hls", "--force"),)),
        ("quantization.json", (("report",),)),
        ("hls/hao_project.txt", (("simulate", "--quiet"), ("emit-hls", "--force"))),
        ("hls/weights/weights.bin", (("simulate", "--quiet"),)),
    ][int(rng.integers(7))]
    path = folder / "runs" / "t" / name
    if path.suffix == ".json" and rng.random() < 0.6:
        edited(rng, path)
    elif path.suffix == ".npz" and rng.random() < 0.5:
        lying_archive(rng, path)
    else:
        spoilt(rng, path)
    command, *rest = commands[int(rng.integers(len(commands)))]
    return (command, "runs/t", *rest)


KINDS: tuple[Callable[[Random, Path], Words], ...] = (
    *(model, model, model, board, weights, weights, data, data, photos),
    *(report, report, calibration, run, run, run),
)


def fault(done: Outcome) -> str:
    """Return what is wrong with how a command ended; empty if nothing is."""
    lines = done.stderr.splitlines()
    if done.cpu_s > CPU_SECONDS:
        return f"{done.cpu_s:.0f} s"
    if done.peak_bytes > MAX_BYTES:
        return f"{done.peak_bytes / 1e9:.1f} GB"
    if done.code == 0:
        return "" if not lines else f"taken, but says {lines[0]!r}"
    if done.code not in (2, 3, 4, 5):
        return f"exit code {done.code}: {done.stderr[-400:]}"
    if len(lines) != 1 or not lines[0].startswith("hao: "):
        return f"{len(lines)} lines: {done.stderr[-400:]}"
    return ""


def check_case(commands: Commands, whole: Path, folder: Path, number: int) -> str:
    """Run a case and return what is wrong; empty if nothing is."""
    rng = np.random.default_rng(number)
    shutil.copytree(whole, folder)
    kind = KINDS[number % len(KINDS)]
    words = kind(rng, folder)
    done = commands.run(*words, cwd=folder)
    found = fault(done)
    if words[0] == "verify" and (done.code, done.stderr) == (1, ""):
        found = ""  # its verdict
    shutil.rmtree(folder)
    return found and f"case {number}, {kind.__name__}, {' '.join(words)}: {found}"


def test_a_sample_of_hostile_files_is_taken_or_refused(
    commands: Commands, whole: Path, tmp_path: Path
) -> None:
    found = [check_case(commands, whole, tmp_path / "x", n) for n in SAMPLED]
    assert [line for line in found if line] == []


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(10))
def test_hostile_files_are_taken_or_refused(
    commands: Commands, whole: Path, tmp_path: Path, part: int
) -> None:
    numbers = range(part * CASES // 10, (part + 1) * CASES // 10)
    found = [check_case(commands, whole, tmp_path / "x", n) for n in numbers]
    assert [line for line in found if line] == []


def test_a_fault_is_told_from_a_refusal() -> None:
    good = Outcome(
        code=2, stdout="", stderr="hao: a\n", cpu_s=1, peak_bytes=1, changes=0
    )
    assert fault(good) == ""
    for wrong in (
        {"code": 1},
        {"code": -9},
        {"stderr": "hao: a\nhao: b\n"},
        {"stderr": "Traceback\n"},
        {"cpu_s": 61.0},
        {"peak_bytes": 3 * 10**9},
    ):
        assert fault(Outcome(**{**json.loads(json.dumps(vars_of(good))), **wrong}))


def vars_of(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in Outcome.__slots__}
