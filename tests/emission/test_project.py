"""The emitted project: the same bytes, complete, written whole or not at all."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hao import __version__
from hao.cost.area import AXI_PORTS, fixed_area
from hao.cost.bram import bram18
from hao.cost.evaluate import evaluate
from hao.cost.overheads import READ_LATENCY
from hao.emission.project import (
    MARK,
    Project,
    Told,
    check_origin,
    check_project_target,
    origin_digest,
    render_project,
    write_project,
)
from hao.emission.runs import engine_stages
from hao.errors import InputError
from hao.hls.compiler import find_clang
from hao.hls.source import read_source
from hao.ir.frame import FrameCoding
from hao.ir.integer import IntegerNetwork
from hao.ir.partition import Role
from hao.ir.picture import Fit, Interpolation
from hao.ir.tensor import Rounding
from hao.lint import Tool, lint, render_findings
from hao.quant.images import ImageFrames
from hao.schedule.compiler import HEADERS, compile_source, preprocess
from hao.schedule.ir_text import read_module
from hao.schedule.prepare import make_plan
from hao.schedule.result import ScheduleFinding
from hao.schedule.structure import shared_statics
from tests.emission.designs import sample, small
from tests.emission.random_designs import Sample

# Of the C++ library and of the vendor's headers.
SYSTEM = re.compile(r"[a-z_0-9]+|(sys/)?[a-z]+\.h|ap_int\.h|hls_stream\.h")


def render(found: Sample, note: str = "") -> Project:
    return render_told(found, Told(note=note))


def render_told(found: Sample, told: Told) -> Project:
    cost = evaluate(found.design)
    return render_project(found.design, found.net, cost, found.frames, told=told)


@cache
def small_project() -> Project:
    return render(small())


def with_weight(net: IntegerNetwork, key: str, change: int) -> IntegerNetwork:
    """Return the network with the first number of a parameter changed."""
    array = net.network.params[key].astype(np.int64)
    array.flat[0] += change
    params = MappingProxyType({**net.network.params, key: array})
    return replace(net, network=replace(net.network, params=params))


def texts(project: Project) -> dict[str, str]:
    binary = ("weights/weights.bin", "tb/frames.bin", "tb/expected.bin")
    return {
        path: data.decode()
        for path, data in project.files.items()
        if path not in binary
    }


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_designs_give_equal_bytes() -> None:
    again = render(small())
    assert again.files == small_project().files
    assert again.digest == small_project().digest
    assert list(again.files) == sorted(again.files)


def test_priced_adapters_hold_what_the_interfaces_leave_outstanding() -> None:
    found = small()
    engine = texts(small_project())["src/engine.cpp"]
    interfaces = re.findall(r"INTERFACE m_axi port=(\w+) .*", engine)
    bursts = re.findall(r"max_(?:read|write)_burst_length=(\d+)", engine)
    flying = re.findall(r"num_(?:read|write)_outstanding=(\d+)", engine)
    assert len(interfaces) == len(bursts) == len(flying) == AXI_PORTS
    port_bits = 8 * found.design.board.port_bytes
    # UG1399: a word for every beat that may be on its way.
    held = [int(a) * int(b) for a, b in zip(bursts, flying, strict=True)]
    emitted = sum(bram18(port_bits, beats) for beats in held)
    assert all(int(beats) * port_bits // 8 <= 4096 for beats in bursts)
    assert min(held) >= 4 * READ_LATENCY
    fixed = fixed_area(found.design.board, act_bits=8, residual=True, pool_words=0)
    assert fixed.bram_18k == emitted


PRICED = {
    # From the DDR and from stages, operands, to the DDR and to stages; of what a stage
    # needs for the next run: units, records, and both for each iteration.
    "dense": (1, 0, 1, 3, 3),
    "depthwise": (1, 1, 1, 2, 3),
    "pointwise": (1, 2, 1, 1, 3),
}


@pytest.mark.parametrize("seed", range(20))
def test_no_stage_has_more_streams_than_are_priced(seed: int) -> None:
    # What `hao.cost.area` counts; one more way out of a stage would be a new price.
    found = sample(seed)
    source = texts(render(found))
    engine = source["src/engine.cpp"]
    names = set(re.findall(r"^  hls::stream<.*> (\w+)\(", engine, re.MULTILINE))
    assert names
    for stage, counts in PRICED.items():
        kinds = (
            {f"{stage}_words"},
            {name for name in names if name.startswith(f"{stage}_from_")},
            {f"{stage}_operands"},
            {name for name in names if name.startswith(f"{stage}_to_")},
            {f"{stage}_units", f"{stage}_records", f"{stage}_fills"},
        )
        known = {f"{stage}_beats", f"{stage}_packed"}.union(*kinds)
        assert {name for name in names if name.startswith(stage)} <= known
        for kind, most in zip(kinds, counts, strict=True):
            assert len(kind & names) <= most
    depthwise = found.design.engine.depthwise
    if depthwise is not None and "depthwise_operands" in names:
        body = source["src/types.h"].partition("struct depthwise_stage")[2]
        span = re.search(r"\bspan = (\d+)", body)
        assert span is not None
        px, stride = found.design.engine.px, depthwise.rows - depthwise.kernel
        assert int(span[1]) <= (px - 1) * stride + depthwise.kernel


@pytest.mark.parametrize("seed", [0, 2, 5, 8, 13, 33])
def test_ports_are_touched_by_plain_loops_alone(seed: int) -> None:
    # An access under a condition is no burst (UG1448, message 214-232).
    touched = set()
    for path, text in texts(render(sample(seed))).items():
        code = re.sub(r"//.*", "", text) if path.startswith("src/") else ""
        for access in re.finditer(r"\bport\[([^]]+)\]", code):
            assert path == "src/axi.h"
            before = code[: access.start()]
            iteration = before[before.rindex("HAO_TICK();") :]
            assert not re.findall(r"\bif\b|\?|\bfor\b|\bwhile\b", iteration)
            # The next address each time, and one access an iteration.
            assert re.fullmatch(r"(?:step\.)?base \+ n", access[1])
            assert "port[" not in iteration
            touched.add(re.findall(r"inline void (\w+)\(", before)[-1])
    assert touched >= {"read_ifm", "write_ofm"}
    assert touched <= {"read_ifm", "read_residual", "read_weights", "write_ofm"}


def shared_memories(folder: Path) -> list[ScheduleFinding]:
    clang, source = find_clang(), folder / "src" / "engine.cpp"
    module = read_module(compile_source(clang, source), HEADERS)
    plan = make_plan(module, read_source(preprocess(clang, source)).pragmas, None)
    return list(shared_statics(module, plan))


def test_stages_of_equal_sizes_share_no_memory(tmp_path: Path) -> None:
    # The dense and the depthwise stage of this design pack alike.
    project, stages = render(sample(24)), engine_stages(sample(24).design)
    engine = texts(project)["src/engine.cpp"]
    words = dict(re.findall(r"pack_process<(\w+)_stage::pe, (\d+)\b", engine))
    sizes = [(stages[Role(name)].pe, count) for name, count in words.items()]
    assert len(set(sizes)) < len(sizes)
    write_project(project, tmp_path / "hls", force=False)
    assert shared_memories(tmp_path / "hls") == []


def test_windows_neither_divide_nor_multiply_by_what_a_step_says() -> None:
    # A divider takes tens of cycles, a product of two fields a DSP slice.
    for project in (small_project(), render(sample(45))):
        for name, text in texts(project).items():
            if name.endswith(("_window.h", "rows.h")):
                code = re.sub(r"//.*", "", text)
                assert not re.findall(r"[/%] *(?:step|slots|walk|reader)\b", code), name
                assert not re.findall(r"step\.\w+ *[*] *step\.", code), name


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "from tests.emission.test_project import small_project\n"
        "print(small_project().digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={"PYTHONHASHSEED": "77", "OPENBLAS_NUM_THREADS": "1", "PATH": ""},
    )
    assert done.stdout.strip() == small_project().digest


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("stem.weight", 1),
        ("middle.bias", 1),
        ("head.shift", -1),
        ("add.shifts", 1),
        ("average.multiplier", 1),
    ],
)
def test_any_integer_changes_the_digests(key: str, change: int) -> None:
    found = small()
    net = with_weight(found.net, key, change)
    if key == "stem.weight" and found.net.param("stem", "weight").flat[0] == 127:
        net = with_weight(found.net, key, -1)
    assert origin_digest(found.design, net) != origin_digest(found.design, found.net)
    assert render(replace(found, net=net)).digest != small_project().digest


def test_design_frames_and_note_change_the_digest() -> None:
    found = small()
    faster = replace(found.design.board, clock_khz=found.design.board.clock_khz // 2)
    design = replace(found.design, board=faster)
    assert origin_digest(design, found.net) != origin_digest(found.design, found.net)
    variants = (
        replace(found, design=design),
        replace(found, frames=found.frames[:1]),
    )
    digests = {render(variant).digest for variant in variants}
    digests |= {small_project().digest, render(found, note="A note.").digest}
    assert len(digests) == 4


def test_the_note_stands_in_the_readme() -> None:
    text = texts(render(small(), note="Weights are random (seed 9)."))["README.md"]
    assert "Weights are random (seed 9)." in text


def test_sources_carry_version_and_digest() -> None:
    project = small_project()
    head = f"emitted by hao {__version__}, digest {project.digest}."
    sources = {p: t for p, t in texts(project).items() if p.startswith("src/")}
    assert sources
    for path, text in sources.items():
        assert head in text.splitlines()[0], path
    mark = texts(project)[MARK]
    assert f"hao {__version__}; digest {project.digest}." in mark
    assert origin_digest(small().design, small().net) in mark


@pytest.mark.parametrize("seed", [None, *range(12)])
def test_every_include_resolves_within_the_project(seed: int | None) -> None:
    project = small_project() if seed is None else render(sample(seed))
    known = set(project.files)
    for path, text in texts(project).items():
        if not path.endswith((".h", ".cpp")):
            continue
        for quoted in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            places = {
                f"{folder}/{quoted}"
                for folder in (path.rpartition("/")[0], "src", "tb", "tb/native")
            }
            assert places & known or SYSTEM.fullmatch(quoted), f"{path}: {quoted}"
        for angled in re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.M):
            assert SYSTEM.fullmatch(angled), f"{path}: {angled}"


@pytest.mark.parametrize("seed", range(12))
def test_every_source_is_included_somewhere(seed: int) -> None:
    found = texts(render(sample(seed)))
    every = "\n".join(found.values())
    for path in found:
        if path.startswith("src/") and path.endswith(".h"):
            assert f'"{path.removeprefix("src/")}"' in every, path


def test_a_project_has_what_its_readers_need() -> None:
    files = small_project().files
    assert {
        *("README.md", "Makefile", "run_hls.tcl", "run_vivado.tcl", MARK),
        *("src/engine.cpp", "src/engine.h", "src/layer_table.h", "src/step.h"),
        *("tb/tb.cpp", "tb/frames.bin", "tb/expected.bin", "weights/weights.bin"),
        *("driver/hao_driver.py", "driver/demo.py", "layer_table.csv", "run_ooc.tcl"),
        *("host/main.cpp", "host/hao_layout.h", "host/hao_driver.h"),
        *("host/hao_device.h", "host/hao_linux.h", "host/hao_simulated.h"),
        *("firmware/Makefile", "firmware/shell.json", "firmware/small_zu3eg.dtsi"),
    } <= set(files)
    assert files["weights/weights.bin"] == small_project().table.weights.tobytes()
    for path, text in texts(small_project()).items():
        assert "{{" not in text.replace("{{{", "") or path.endswith(".h"), path
        assert "{%" not in text, path
        assert not re.search(r"/(home|root|work|tmp)/", text), path
    for path in ("driver/hao_driver.py", "driver/demo.py"):
        compile(files[path], path, "exec")


@pytest.mark.parametrize("rounding", list(Rounding))
def test_the_driver_codes_frames_as_the_network_says(rounding: Rounding) -> None:
    found = small()
    channels = found.net.network.input.ofm.channels
    coding = FrameCoding(
        gain=tuple(40.0 + n for n in range(channels)), offset=(0.5,), rounding=rounding
    )
    net = replace(found.net, frame=coding)
    driver: dict[str, Any] = {}
    source = texts(render(replace(found, net=net)))["driver/hao_driver.py"]
    exec(compile(source, "hao_driver.py", "exec"), driver)
    shape = net.network.input.ofm
    size = (channels, shape.height, shape.width)
    frame = np.random.default_rng(0).normal(size=size) * 4
    frame.flat[:5] = np.array([0, 0.5, -0.5, 1, -1]) / 40  # halves of channel 0
    np.testing.assert_array_equal(
        driver["quantize_frame"](frame), net.frame_codes(frame[np.newaxis])[0]
    )


def pictures(folder: Path) -> list[Path]:
    """Return pictures of every mode that is handled, of odd sizes."""
    generator = np.random.default_rng(0)
    colour = Image.fromarray(generator.integers(0, 256, (21, 34, 3), dtype=np.uint8))
    made = {
        "colour.png": colour,
        "tall.png": colour.rotate(90, expand=True),
        "photo.jpg": colour,
        "grey.png": colour.convert("L"),
        "palette.png": colour.convert("P"),
        "clear.png": Image.merge("RGBA", (*colour.split(), colour.convert("L"))),
        "wide.png": Image.fromarray(
            generator.integers(0, 65536, (21, 34)).astype(np.uint16)
        ),
        "cmyk.jpg": colour.convert("CMYK"),
    }
    for name, image in made.items():
        image.save(folder / name)
    level = int(np.asarray(made["wide.png"])[0, 0])
    made["wide.png"].save(folder / "clear_wide.png", transparency=level)
    return [*(folder / name for name in made), folder / "clear_wide.png"]


def picture_driver(found: Sample, told: Told, channels: int) -> dict[str, Any]:
    """Return the names in the picture driver of a project, for so many channels."""
    text = texts(render_told(found, told))["driver/hao_picture.py"]
    shape = found.net.network.input.ofm
    assert f"CHANNELS, HEIGHT, WIDTH = {shape.channels}, " in text
    driver: dict[str, Any] = {}
    exec(compile(text, "hao_picture.py", "exec"), driver)
    driver["CHANNELS"] = channels
    return driver


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "fit",
    [
        Fit(),
        Fit(short_side=9, interpolation=Interpolation.BICUBIC),
        Fit(short_side=2),
    ],
)
def test_the_driver_reads_pictures_as_calibration_did(
    tmp_path: Path, fit: Fit, channels: int
) -> None:
    found = small()
    driver = picture_driver(found, Told(fit=fit), channels)
    frame = replace(found.net.network.input.ofm, channels=channels)
    paths = pictures(tmp_path)
    expected = ImageFrames(paths=tuple(paths), size=frame, fit=fit)[:]
    for path, values in zip(paths, expected, strict=True):
        np.testing.assert_array_equal(driver["load_picture"](path), values)


def test_pictures_that_do_not_fit_the_driver_are_refused(tmp_path: Path) -> None:
    driver = picture_driver(small(), Told(), 2)
    with pytest.raises(ValueError, match="frames of 2 channels; pictures have 1 or 3"):
        driver["load_picture"](tmp_path / "absent.png")
    Image.new("F", (2, 2)).save(tmp_path / "real.tif")
    whole = pictures(tmp_path)[0].read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    driver["CHANNELS"] = 3
    for name, fault in (("real.tif", "pixels of mode F; must be"), ("cut.png", "")):
        with pytest.raises(ValueError, match=rf"{name}: not readable .*\({fault}"):
            driver["load_picture"](tmp_path / name)


def test_names_of_classes_are_lines_beside_the_driver(tmp_path: Path) -> None:
    project = render_told(small(), Told(classes=("cat", "dog,\nbarking")))
    assert project.files["driver/labels.txt"] == b"cat\ndog, barking\n"
    assert "driver/labels.txt" not in small_project().files
    driver = picture_driver(small(), Told(), 3)
    driver["__file__"] = str(tmp_path / "hao_picture.py")
    assert driver["load_labels"]() is None
    (tmp_path / "labels.txt").write_bytes(project.files["driver/labels.txt"])
    assert driver["load_labels"]() == ["cat", "dog, barking"]


def test_a_name_of_any_characters_becomes_an_identifier() -> None:
    found = small()
    network = replace(found.design.network, name="3 nets/é")
    project = render(replace(found, design=replace(found.design, network=network)))
    head = texts(project)["src/engine.cpp"].splitlines()[0]
    assert re.fullmatch(r"// [A-Za-z_][A-Za-z0-9_]*: emitted by .*", head)


def test_a_part_of_no_known_family_is_refused() -> None:
    found = small()
    board = replace(found.design.board, part="xcvc1902-vsva2197-2MP-e-S")
    with pytest.raises(InputError, match=r"part = 'xcvc1902.*'; must begin with xc7z"):
        render(replace(found, design=replace(found.design, board=board)))


def test_no_frames_are_refused() -> None:
    found = small()
    with pytest.raises(InputError, match="no frames to record with the test bench"):
        render(replace(found, frames=found.frames[:0]))


def test_frames_beyond_their_type_are_refused() -> None:
    found = small()
    with pytest.raises(InputError, match="codes 500 to 500; must be -128 to 127"):
        render(replace(found, frames=np.full_like(found.frames, 500)))


def test_a_project_is_written_whole(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write_project(small_project(), tmp_path / "deep" / "hls", force=False)
    assert files_below(tmp_path / "deep" / "hls") == small_project().files
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["hls"]


def test_a_project_is_replaced_by_force_only(tmp_path: Path) -> None:
    target = tmp_path / "hls"
    write_project(render(sample(0)), target, force=False)
    (target / "edited.txt").write_text("mine")
    before = files_below(tmp_path)
    with pytest.raises(InputError, match=r"hls: exists; must be a new directory, or"):
        write_project(small_project(), target, force=False)
    assert files_below(tmp_path) == before
    write_project(small_project(), target, force=True)
    assert files_below(target) == small_project().files
    assert [path.name for path in tmp_path.iterdir()] == ["hls"]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_force_replaces_nothing_but_projects(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "hls"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    elif kind == "file":
        target.write_text("years of work")
    else:
        write_project(small_project(), tmp_path / "other", force=False)
        target.symlink_to(tmp_path / "other")
    before = files_below(tmp_path)
    with pytest.raises(
        InputError, match=r"no emitted project \(hao_project.txt is not"
    ):
        write_project(small_project(), target, force=True)
    assert files_below(tmp_path) == before


def test_a_free_place_needs_no_force(tmp_path: Path) -> None:
    check_project_target(tmp_path / "hls", force=False)


def fail_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full after some files."""
    write, left = Path.write_bytes, [count]

    def write_some(path: Path, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_some)


@pytest.mark.parametrize("count", [0, 5, 20])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, replaces: bool
) -> None:
    target = tmp_path / "hls"
    if replaces:
        write_project(render(sample(0)), target, force=False)
    before = files_below(tmp_path)
    fail_after(count, monkeypatch)
    with pytest.raises(InputError, match=r"hls: cannot be written \(No space left"):
        write_project(small_project(), target, force=True)
    monkeypatch.undo()
    assert files_below(tmp_path) == before
    assert target.exists() == replaces
    assert len(list(tmp_path.iterdir())) == int(replaces)


def test_a_failed_move_brings_the_earlier_project_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "hls"
    write_project(render(sample(0)), target, force=False)
    before = files_below(tmp_path)
    rename = Path.rename

    def refuse_new(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return rename(path, to)

    # Where folders cannot change places in one step, the earlier one moves away first.
    monkeypatch.setattr("hao.files._exchange", lambda first, second: False)
    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(InputError, match="cannot be written"):
        write_project(small_project(), target, force=True)
    monkeypatch.undo()
    assert files_below(tmp_path) == before


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"hls: cannot be written \(.*\); must be a"):
        write_project(small_project(), tmp_path / "file" / "hls", force=False)


def test_a_project_knows_what_it_was_made_from(tmp_path: Path) -> None:
    found = small()
    target = tmp_path / "hls"
    write_project(small_project(), target, force=False)
    check_origin(target, found.design, found.net)
    # Sources may be edited: the simulation says what they do.
    (target / "src" / "engine.cpp").write_text("// mine")
    check_origin(target, found.design, found.net)
    other = with_weight(found.net, "add.shifts", 1)
    with pytest.raises(InputError, match="emitted from other weights or another desi"):
        check_origin(target, found.design, other)
    engine = replace(found.design.engine, pool_words=found.design.engine.pool_words + 1)
    design = replace(found.design, engine=engine)
    with pytest.raises(InputError, match="emitted from other weights or another desi"):
        check_origin(target, design, found.net)
    shutil.rmtree(target)
    with pytest.raises(InputError, match="no emitted project in it; `hao emit-hls`"):
        check_origin(target, found.design, found.net)


@pytest.mark.parametrize("tool", Tool)
def test_weights_in_uram_are_bound_to_it(tool: Tool) -> None:
    found = small()
    stage = found.design.engine.dense
    assert stage is not None
    deep = replace(stage, weights_in_uram=True, weight_words=8192)
    design = replace(found.design, engine=replace(found.design.engine, dense=deep))
    project = render(replace(found, design=design))
    bound = [
        path for path, text in texts(project).items() if "HAO_URAM(weights)" in text
    ]
    assert bound == ["src/dense_array.h"]
    sources = {p: t for p, t in texts(project).items() if p.startswith("src/")}
    assert render_findings(lint(sources, tool=tool)) == ""
    need = evaluate(design).resources
    assert need.uram > 0
    assert f"| {need.uram} |" in texts(project)["README.md"]
