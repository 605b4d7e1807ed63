"""The hand-off scripts render, parse, and the driver does on a stand-in what it says.

Neither Vivado nor a board is there: Tcl runs with its tool commands replaced by one
that records them, the driver with a stand-in for `pynq`.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError
from numpy.typing import NDArray

from hao.data import data_path
from hao.ir.passes import planes_of

Value = object
Context = dict[str, Value]

INPUT: Context = {
    "offset_bytes": 64,
    "bytes": 5 * 16,
    "channels": 3,
    "height": 5,
    "width": 7,
    "pixel_channels": 4,
    "row_bytes": 16,
    "planes": 1,
    "bits": 3,
    "digit_bits": 4,
    "act_bits": 3,
    "store_bits": 4,
    "signed": True,
    "exponent": -2,
}
OUTPUT: Context = {
    "offset_bytes": 256,
    "bytes": 16,
    "channels": 10,
    "height": 1,
    "width": 1,
    "pixel_channels": 10,
    "row_bytes": 16,
    "planes": 1,
    "bits": 8,
    "digit_bits": 4,
    "act_bits": 8,
    "store_bits": 8,
    "signed": False,
    "exponent": 1,
}
ENVIRONMENT = Environment(
    loader=FileSystemLoader(data_path("templates", "hls")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
PYTHON = ("driver_hao_driver.py.j2", "driver_demo.py.j2")
TCL = ("run_hls.tcl.j2", "run_vivado.tcl.j2", "run_ooc.tcl.j2")
FIRMWARE = ("firmware/overlay.dtsi.j2", "firmware/Makefile.j2")
HOST = ("host/hao_layout.h.j2", "host/main.cpp.j2")
ALL = (*PYTHON, *TCL, *FIRMWARE, *HOST, "Makefile.j2", "project_README.md.j2")
FAMILIES = ("zynqmp", "zynq7000")


def context(**changes: Value) -> Context:
    area = {"dsp": 12, "lut": 3456, "ff": 4567, "bram_18k": 8, "uram": 0}
    return {
        "name": "digits_zu3eg",
        "version": "0.1.0",
        "digest": "0123abcd",
        "board": {
            "name": "zu3eg",
            "part": "xczu3eg-sbva484-1-i",
            "family": "zynqmp",
            "clock_mhz": 214.285,
            "clock_ns": 4.667,
            "uncertainty_ns": 1.26,
            "uncertainty_percent": 27,
            "port_bytes": 16,
        },
        "ports": ["ifm", "ofm", "weights"],
        "batch": 1,
        "frame_bytes": 4096,
        "arena_bytes": 4096,
        "weight_bytes": 48,
        "input": INPUT,
        "frame": {
            "rounding": "the nearest",
            "gain": [4.0],
            "offset": [0.0],
            "low": -4,
            "high": 3,
            "expression": "np.floor(values + 0.5)",
            "cpp": "std::floor(value + 0.5)",
        },
        "system": {
            "control": "0xa0000000",
            "control_digits": "a0000000",
            "clock_hz": 214285000,
            "interrupt": 89,
            "hp": [0, 3, 1, 2],
            "width": 0,
            "memory_bytes": 16384,
        },
        "output": OUTPUT,
        "output_zero": 0,
        "predicted": {
            "cycles": 1000,
            "fps": 214285.0,
            "engine_ms": 0.004667,
            "host_ms": 0.5,
            "parts": {"fixed": area, "dense": area},
            **area,
        },
        "invocations": [
            {"name": "first load", "first": 0, "steps": 1, "cycles": 100},
            {"name": "conv1+'conv2'", "first": 1, "steps": 2, "cycles": 900},
        ],
        "frames": 2,
        "tool_notes": ["A note of one sentence."],
        "picture": {
            "short_side": None,
            "interpolation": "BILINEAR",
            "described": "stretched to the frame",
        },
    } | changes


def family_context(family: str) -> Context:
    board, system = context()["board"], context()["system"]
    assert isinstance(board, dict)
    assert isinstance(system, dict)
    if family == "zynq7000":
        places = {"control": "0x43c00000", "control_digits": "43c00000"}
        system |= places | {"interrupt": 29, "hp": [0, 2, 1, 3]}
    return context(board=board | {"family": family, "port_bytes": 8}, system=system)


def render(name: str, values: Context) -> str:
    return ENVIRONMENT.get_template(name).render(values)


@pytest.mark.parametrize("name", ALL)
def test_template_names_every_value_it_uses_in_its_first_comment(name: str) -> None:
    source = data_path("templates", "hls", name).read_text(encoding="utf-8")
    comment = re.match(r"\{#-(.*?)-#\}", source, re.S)
    assert comment is not None
    used = re.findall(r"\{[{%][^}]*?\b(" + "|".join(context()) + r")\b", source)
    assert {word for word in used if word not in comment[1]} == set()


@pytest.mark.parametrize("name", ALL)
def test_template_refuses_an_unknown_value(name: str) -> None:
    values = context()
    del values["digest"]
    with pytest.raises(UndefinedError, match="digest"):
        render(name, values)


# ---- Python -------------------------------------------------------------------------


@pytest.mark.parametrize("name", PYTHON)
def test_driver_scripts_parse_as_python(name: str) -> None:
    # 3.6: the oldest Python of a PYNQ image (v2.5).
    ast.parse(render(name, context()), feature_version=(3, 6))


class Buffer(NDArray[np.uint8]):
    """A buffer as `pynq.allocate` makes it."""

    device_address = 0

    def flush(self) -> None: ...

    def invalidate(self) -> None: ...

    def freebuffer(self) -> None: ...


class Board(ModuleType):
    """Stands in for `pynq`: a core that writes a known output when it is started."""

    registers: ClassVar[dict[str, dict[str, int]]] = {
        "CTRL": {"address_offset": 0, "size": 32},
        "ifm_1": {"address_offset": 0x10, "size": 32},
        "ifm_2": {"address_offset": 0x14, "size": 32},
        "ofm": {"address_offset": 0x1C, "size": 64},
        "weights_r": {"address_offset": 0x28, "size": 32},
        "first_step": {"address_offset": 0x30, "size": 32},
        "step_count": {"address_offset": 0x38, "size": 32},
    }

    def __init__(self, answer: NDArray[np.uint8]) -> None:
        super().__init__("pynq")
        self.answer = answer
        self.buffers: list[Buffer] = []
        self.written: dict[int, int] = {}
        self.stuck = False
        entry = {
            "type": "hao:hls:hao_engine:1.0",
            "phys_addr": 0xA0000000,
            "addr_range": 65536,
            "registers": self.registers,
        }
        self.ip_dict = {"ps": {"type": "xilinx.com:ip:zynq"}, "hao_engine_0": entry}

    def Overlay(self, bitstream: str) -> "Board":  # noqa: N802 (the name in pynq)
        self.bitstream = bitstream
        return self

    def MMIO(self, base: int, length: int) -> "Board":  # noqa: N802 (likewise)
        assert (base, length) == (0xA0000000, 65536)
        return self

    def allocate(self, *, shape: tuple[int], dtype: type[np.uint8]) -> Buffer:
        buffer = np.full(shape, 0xEE, dtype).view(Buffer)
        # The weights lie low, the arenas high.
        buffer.device_address = 0x1000_0000 if shape == (48,) else 0x3_0000_0000
        self.buffers.append(buffer)
        return buffer

    def read(self, offset: int) -> int:
        assert offset == 0
        done = self.written.get(0) == 1 and not self.stuck
        return 0x4 | (0x2 if done else 0)

    def write(self, offset: int, value: int) -> None:
        self.written[offset] = value
        if offset == 0:
            at = OUTPUT["offset_bytes"]
            assert isinstance(at, int)
            for arena in self.buffers[1:]:
                arena[at : at + len(self.answer)] = self.answer


ANSWER = np.arange(16, dtype=np.uint8)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the driver and its data, on the path of imports."""
    driver = tmp_path / "driver"
    for folder in ("driver", "weights", "tb"):
        (tmp_path / folder).mkdir()
    (driver / "hao_driver.py").write_text(render(PYTHON[0], context()))
    (driver / "demo.py").write_text(render(PYTHON[1], context()))
    (tmp_path / "weights" / "weights.bin").write_bytes(bytes(range(48)))
    (tmp_path / "tb" / "frames.bin").write_bytes(bytes(2 * 80))
    (tmp_path / "tb" / "expected.bin").write_bytes(2 * ANSWER.tobytes())
    monkeypatch.syspath_prepend(str(driver))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


def plain_bytes(codes: NDArray[np.int64], place: Context) -> bytes:
    """Return a feature map's bytes, bit by bit, from the description of the layout."""
    (height, width, row_bytes), (bits, store) = (
        [place[key] for key in ("height", "width", "row_bytes")],
        [place[key] for key in ("bits", "store_bits")],
    )
    assert isinstance(height, int)
    assert isinstance(width, int)
    assert isinstance(row_bytes, int)
    assert isinstance(bits, int)
    assert isinstance(store, int)
    per_pixel = place["pixel_channels"]
    assert isinstance(per_pixel, int)
    data = bytearray(height * row_bytes)
    for c, y, x in np.ndindex(codes.shape):
        for bit in range(bits):
            at = (x * per_pixel + c) * store + bit
            data[y * row_bytes + at // 8] |= (int(codes[c, y, x]) >> bit & 1) << at % 8
    return bytes(data)


@pytest.mark.parametrize(("bits", "store"), [(2, 2), (3, 4), (4, 4), (5, 8), (8, 8)])
@pytest.mark.parametrize("signed", [False, True])
def test_driver_packs_a_feature_map_as_described_and_unpacks_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, bits: int, store: int, signed: bool
) -> None:
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    place = INPUT | {"bits": bits, "store_bits": store, "signed": signed}
    place |= {"row_bytes": 32, "bytes": 160, "act_bits": bits}
    feature_map = module.FeatureMap(**place)
    rng = np.random.default_rng(0)
    low = -(2 ** (bits - 1)) if signed else 0
    codes = rng.integers(low, low + 2**bits, (3, 5, 7))
    packed = feature_map.pack(codes)
    assert packed.tobytes() == plain_bytes(codes, place)
    np.testing.assert_array_equal(feature_map.unpack(packed), codes)


@pytest.mark.parametrize(("bits", "store"), [(4, 4), (6, 8)])
@pytest.mark.parametrize("signed", [False, True])
def test_driver_packs_a_frame_in_digits(
    project: Path, monkeypatch: pytest.MonkeyPatch, bits: int, store: int, signed: bool
) -> None:
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    place = INPUT | {"bits": 8, "act_bits": bits, "store_bits": store, "planes": 2}
    place |= {"signed": signed, "pixel_channels": 8, "row_bytes": 64, "bytes": 320}
    feature_map = module.FeatureMap(**place)
    low, high = (-119, 119) if signed else (0, 255)
    assert (feature_map.low, feature_map.high) == (low, high)
    codes = np.random.default_rng(0).integers(low, high + 1, (3, 5, 7))
    digits = planes_of(codes[None], signed=signed)[0]
    expected = plain_bytes(digits, place | {"bits": bits})
    packed = feature_map.pack(codes)
    assert packed.tobytes() == expected
    np.testing.assert_array_equal(feature_map.unpack(packed), codes)


def test_driver_quantizes_halves_upwards_and_clamps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    # A code is a quarter; 3 signed bits hold -4 to 3.
    frame = [0.125, -0.125, 0.374, -9.0, 9.0]
    assert module.quantize_frame(np.array(frame)).ravel().tolist() == [1, 0, 1, -4, 3]


def test_driver_runs_a_frame_on_the_board(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(ANSWER)
    monkeypatch.setitem(sys.modules, "pynq", board)
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    codes = np.full((3, 5, 7), -3)
    with module.HaoDriver("a.bit", project / "weights" / "weights.bin") as driver:
        found, seconds = driver.run(codes)
    assert board.bitstream == "a.bit"
    assert found.ravel().tolist() == list(range(10))
    assert seconds >= 0
    # Addresses: low and high word of the arena, twice; weights fit in 32 bits.
    assert board.written == {
        0x00: 1,
        0x04: 0,  # no interrupts
        0x08: 0,
        0x10: 0,
        0x14: 3,
        0x1C: 0,
        0x20: 3,
        0x28: 0x1000_0000,
        0x30: 0,  # all steps
        0x38: 0,
    }
    assert board.buffers[1][64:144].tobytes() == plain_bytes(codes, INPUT)
    assert bytes(board.buffers[0]) == bytes(range(48))


def test_driver_says_that_pynq_is_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    with pytest.raises(RuntimeError, match="package 'pynq' is missing; run this on a"):
        module.HaoDriver("a.bit", project / "weights" / "weights.bin")


def test_driver_refuses_what_does_not_fit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(ANSWER)
    monkeypatch.setitem(sys.modules, "pynq", board)
    module = load(project / "driver" / "hao_driver.py", monkeypatch)
    weights = project / "weights" / "weights.bin"
    driver = module.HaoDriver("a.bit", weights)
    with pytest.raises(ValueError, match=r"shape \(3, 5, 6\); must be \(3, 5, 7\)"):
        driver.run(np.zeros((3, 5, 6), int))
    with pytest.raises(ValueError, match="codes from 0 to 4; must be from -4 to 3"):
        driver.run(np.arange(105).reshape(3, 5, 7) % 5)
    with pytest.raises(ValueError, match="codes are float64; must be integers"):
        driver.run(np.zeros((3, 5, 7)))
    board.stuck = True
    with pytest.raises(RuntimeError, match=r"did not finish within 0\.01 s"):
        driver.run(np.zeros((3, 5, 7), int), timeout_s=0.01)
    weights.write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes; must be 48"):
        module.HaoDriver("a.bit", weights)
    weights.write_bytes(bytes(48))
    monkeypatch.delitem(Board.registers, "ofm")
    with pytest.raises(RuntimeError, match="no register for ofm"):
        module.HaoDriver("a.bit", weights)


@pytest.mark.parametrize(("wrong", "status"), [(False, 0), (True, 1)])
def test_demo_compares_the_recorded_frames(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: bool,
    status: int,
) -> None:
    # The sixth byte of the second frame's row is code 5; the padding is not compared.
    if wrong:
        data = bytearray(2 * ANSWER.tobytes())
        data[16 + 5] += 1
        (project / "tb" / "expected.bin").write_bytes(data)
    answer = ANSWER.copy()
    answer[10:] = 0xFF
    monkeypatch.setitem(sys.modules, "pynq", Board(answer))
    load(project / "driver" / "hao_driver.py", monkeypatch)
    demo = load(project / "driver" / "demo.py", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--repeat", "3", "--invocations"])
    assert demo.main() == status
    out = capsys.readouterr().out
    assert f"{2 - status} of 2 frames equal bit for bit" in out
    assert ("frame 1: 1 of 10 codes differ" in out) is wrong
    assert "1000 cycles a start at 214.285 MHz" in out
    assert "packing and unpacking included, 2 in flight, polling" in out
    rows = [line.split() for line in out.splitlines()[-4:]]
    assert rows[0] == ["predicted", "measured", "ratio", "invocation"]
    assert [(row[0], *row[3:]) for row in rows[1:3]] == [
        ("100", "first", "load"),
        ("900", "conv1+'conv2'"),
    ]


def test_demo_refuses_a_recording_of_another_size(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tb" / "frames.bin").write_bytes(bytes(81))
    monkeypatch.setitem(sys.modules, "pynq", Board(ANSWER))
    load(project / "driver" / "hao_driver.py", monkeypatch)
    demo = load(project / "driver" / "demo.py", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    assert demo.main() == 2
    assert "frames.bin: 81 bytes; must be 2 frames of 80" in capsys.readouterr().err


# ---- Tcl ----------------------------------------------------------------------------

# Tool commands are recorded one a line; the few whose answer matters give it.
STUBS = """
proc unknown {args} { puts "CALL $args"; return stub }
proc get_property {args} {
    switch -glob -- $args {
        "PROGRESS *" { return 100% }
        "SLACK *" { return 0.1 }
        "STATS.WNS *" {
            set found [lindex $::slacks 0]
            if {[llength $::slacks] > 1} { set ::slacks [lrange $::slacks 1 end] }
            return $found
        }
        "STATS.WHS *" { return 0.05 }
    }
    return stub
}
set slacks [expr {[info exists env(SLACKS)] ? $env(SLACKS) : 0.2}]
proc get_board_parts {args} { return $::boards }
set boards {}
"""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [*TCL, *FIRMWARE[:1]])
def test_tcl_braces_balance(name: str, family: str) -> None:
    text = render(name, family_context(family))
    code = "\n".join(
        line for line in text.splitlines() if not line.lstrip().startswith("#")
    )
    for opening, closing in ("{}", "[]", '""'):
        assert code.count(opening) == code.count(closing)
        if opening == closing:
            assert code.count(opening) % 2 == 0


def run_tcl(
    project: Path, name: str, values: Context, *, stubs: str = STUBS, **variables: str
) -> tuple[int, str]:
    """Return exit status and output of a script with its tool commands recorded."""
    tclsh = shutil.which("tclsh")
    if tclsh is None:
        pytest.skip("tclsh is not installed")
    (project / name).write_text(stubs + render(name, values))
    run = subprocess.run(
        [tclsh, name],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return run.returncode, run.stdout + run.stderr


def hls_project(project: Path) -> None:
    (project / "src").mkdir(exist_ok=True)
    (project / "src" / "hao_engine.cpp").touch()


@pytest.mark.parametrize("cosim", ["0", "1"])
def test_hls_script_runs_every_step_asked_for(project: Path, cosim: str) -> None:
    hls_project(project)
    status, out = run_tcl(
        project, TCL[0], context(), HAO_COSIM=cosim, HAO_COSIM_STEPS="3"
    )
    assert status == 0, out
    calls = re.findall(r"^CALL (.*)", out, re.M)
    steps = [call.split()[0] for call in calls if not call.startswith("add_files")]
    expected = ["open_project", "set_top", "open_solution", "set_part", "create_clock"]
    expected += ["set_clock_uncertainty"]
    expected += ["csim_design", "csynth_design"]
    expected += ["csim_design", "cosim_design"] if cosim == "1" else []
    assert steps == [*expected, "export_design"]
    # Each step is a start, whose maps are compared with those of the C simulation.
    digests = project / "hls_project" / "digests.bin"
    by_step = re.findall(r"--by-step 3 (\S+) ([^}\s]+)", out)
    wanted = [("--write-digests", str(digests)), ("--digests", str(digests))]
    assert by_step == (wanted if cosim == "1" else [])
    assert "set_top hao_engine" in calls
    assert "set_part xczu3eg-sbva484-1-i" in calls
    assert "create_clock -period 4.667 -name default" in calls
    assert "set_clock_uncertainty 1.26 default" in calls
    for name in (
        "tb/tb.cpp",
        "tb/frames.bin",
        "tb/expected.bin",
        "weights/weights.bin",
    ):
        assert any(call.startswith(f"add_files -tb {project / name}") for call in calls)


def test_hls_script_takes_the_older_standard_for_vivado_hls(project: Path) -> None:
    hls_project(project)
    _, out = run_tcl(project, TCL[0], context())
    assert out.count("-std=c++14") == 2
    _, out = run_tcl(project, TCL[0], context(), HAO_STD="c++11")
    assert out.count("-std=c++11") == 2
    stubs = STUBS + "rename info real_info\n"
    stubs += "proc info {args} {\n if {$args eq {nameofexecutable}} {\n"
    stubs += (
        "  return /tools/bin/vivado_hls\n }\n return [uplevel real_info $args]\n}\n"
    )
    _, out = run_tcl(project, TCL[0], context(), stubs=stubs)
    assert out.count("-std=c++0x") == 2


EXPORT_FAILS = "proc export_design {args} {\n error %s\n}\n"
AT = """rename info real_info
proc info {args} {
    if {$args eq {nameofexecutable}} { return %s }
    return [uplevel real_info $args]
}
"""


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ("/x/Vivado/2019.2/bin/vivado_hls", "{command returned error code}"),
        ("/x/Vitis_HLS/2021.1/bin/vitis_hls", "{command returned error code}"),
        ("/x/bin/vivado_hls", "{bad lexical cast: source type value}"),
        ("/x/bin/vitis_hls", "{'2201251806' is an invalid argument}"),
    ],
)
def test_hls_script_names_the_patch_where_the_export_overflows(
    project: Path, tool: str, message: str
) -> None:
    hls_project(project)
    stubs = STUBS + EXPORT_FAILS % message + AT % tool
    status, out = run_tcl(project, TCL[0], context(), stubs=stubs)
    assert status != 0
    assert "answer record 76960" in out
    assert f"The tool said: {message[1:-1]}" in out


def test_hls_script_blames_no_date_in_a_later_tool(project: Path) -> None:
    hls_project(project)
    fails = EXPORT_FAILS % "{no licence}" + AT % "/x/Vitis_HLS/2022.1/bin/vitis_hls"
    status, out = run_tcl(project, TCL[0], context(), stubs=STUBS + fails)
    assert status != 0
    assert "no licence" in out
    assert "76960" not in out


def test_hls_script_refuses_a_folder_with_a_blank(project: Path) -> None:
    moved = project / "my project"
    moved.mkdir()
    status, out = run_tcl(moved, TCL[0], context())
    assert status != 0
    assert "has a blank in its name; move the project" in out


def vivado_outputs(project: Path, folder: str) -> None:
    """Make the files that the stubbed tool would have left."""
    (project / "hls_project/solution1/impl/ip").mkdir(parents=True)
    (project / "hls_project/solution1/impl/ip/component.xml").touch()
    bit = project / "hao_vivado/hao_vivado.runs/impl_1/hao_bd_wrapper.bit"
    hwh = project / f"hao_vivado/{folder}/sources_1/bd/hao_bd/hw_handoff/hao_bd.hwh"
    ip = project / "hls_project/solution1/impl/ip"
    header = ip / "drivers/hao_engine_v1_0/src/xhao_engine_hw.h"
    for path in (bit, hwh, header):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)


@pytest.mark.parametrize("folder", ["hao_vivado.gen", "hao_vivado.srcs"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("residual", [False, True])
def test_vivado_script_connects_every_port_of_the_core(
    project: Path, family: str, residual: bool, folder: str
) -> None:
    vivado_outputs(project, folder)
    ports = ["ifm", "ofm", "weights", *(["residual"] if residual else [])]
    values = family_context(family) | {"ports": ports}
    status, out = run_tcl(project, TCL[1], values)
    assert status == 0, out
    # "CALL get_bd_intf_pins x" names each pin that a connection asks for.
    pins = set(re.findall(r"^CALL get_bd_intf_pins (\S+)$", out, re.M))
    assert {pin for pin in pins if pin.startswith("hao_engine_0/")} == {
        f"hao_engine_0/m_axi_{port}" for port in ports
    }
    own = {pin for pin in pins if pin.startswith("ps/S_AXI_HP")}
    assert len(own) == len(ports)
    assert ("ps/S_AXI_HP0_FPD" in own) == (family == "zynqmp")
    assert "clock: asked for 214.285 MHz, the processor gives stub" in out
    assert "DATA_WIDTH 64" in out
    assert "WARNING: no board file for xczu3eg-sbva484-1-i" in out
    for stage in ("synth", "placed"):
        for kind in ("", "_core", "_hierarchy"):
            assert f"reports/utilization_{stage}{kind}.rpt" in out
    assert "reports/timing_summary.rpt" in out
    for name in ("digits_zu3eg.bit", "digits_zu3eg.hwh", "xhao_engine_hw.h"):
        assert (project / "driver" / name).is_file()
    xsa = project / "driver/digits_zu3eg.xsa"
    assert f"CALL write_hw_platform -fixed -include_bit -force -file {xsa}" in out
    offset = "0xA0000000" if family == "zynqmp" else "0x43C00000"
    assert f"CALL set_property offset {offset} " in out


def test_vivado_script_uses_an_installed_board_file(project: Path) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    stubs = STUBS.replace("set boards {}", "set boards avnet.com:ultra96v2:part0:1.2")
    status, out = run_tcl(project, TCL[1], context(), stubs=stubs)
    assert status == 0, out
    assert "CALL set_property board_part avnet.com:ultra96v2:part0:1.2" in out
    assert 'apply_board_preset "1"' in out


def test_vivado_script_refuses_a_missing_export_and_too_many_ports(
    project: Path,
) -> None:
    status, out = run_tcl(project, TCL[1], context())
    assert status != 0
    assert "component.xml is missing; run run_hls.tcl with HAO_EXPORT=1 first" in out
    vivado_outputs(project, "hao_vivado.gen")
    status, out = run_tcl(project, TCL[1], context(ports=list("abcde")))
    assert status != 0
    assert "5 ports, but the processor has 4" in out


def test_vivado_script_stops_at_a_failed_run(project: Path) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    stubs = STUBS.replace("100%", "45%")
    status, out = run_tcl(project, TCL[1], context(), stubs=stubs)
    assert status != 0
    assert "run synth_1 failed" in out


def implemented(out: str) -> list[str]:
    """Return the strategies that a script tried, in their order."""
    return re.findall(r"^CALL set_property strategy (\S+)", out, re.M)


EXPLORE, LATE = "Performance_Explore", "Performance_ExplorePostRoutePhysOpt"


def test_vivado_script_stops_trying_where_timing_is_met(project: Path) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    status, out = run_tcl(project, TCL[1], context(), SLACKS="-0.3 0.02")
    assert status == 0, out
    assert implemented(out) == [EXPLORE, LATE]
    for step in ("PHYS_OPT_DESIGN", "POST_ROUTE_PHYS_OPT_DESIGN"):
        assert out.count(f"CALL set_property STEPS.{step}.IS_ENABLED true") == 2
    assert "WARNING: 2" not in out  # the clock is as it was asked for


def test_vivado_script_builds_again_at_the_clock_that_the_slack_leaves(
    project: Path,
) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    status, out = run_tcl(project, TCL[1], context(), SLACKS="-0.5 -0.3 0.1")
    assert status == 0, out
    # 4.667 ns and 0.3 of slack, and 2 %: 5.066 ns.
    clock = 1000 / (1.02 * (1000 / 214.285 + 0.3))
    assert f"timing is not met by 0.3 ns; building again at {clock:.3f} MHz" in out
    setting = "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"
    assert f"CALL set_property {setting} {clock:.3f} stub" in out
    assert implemented(out) == [EXPLORE, LATE, EXPLORE]
    late = f"WARNING: {clock:.3f} MHz instead of 214.285: "
    assert f"{late}{1000 / (1000 * clock):.3f} ms a frame by the engine" in out
    assert (project / "driver/digits_zu3eg.bit").is_file()


def test_vivado_script_makes_no_bitstream_of_negative_slack(project: Path) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    asked = {"SLACKS": "-0.2 -0.5 -0.2", "HAO_RETRIES": "0"}
    status, out = run_tcl(project, TCL[1], context(), **asked)
    assert status != 0
    assert "timing is not met, worst slack -0.2 ns at 214.285 MHz; no bitstream" in out
    assert implemented(out) == [EXPLORE, LATE, EXPLORE]  # the better one again
    assert "write_bitstream" not in out
    assert not (project / "driver/digits_zu3eg.bit").exists()
    asked["HAO_NEGATIVE_SLACK"] = "1"
    asked["HAO_STRATEGIES"] = "Congestion_SpreadLogic_high"
    status, out = run_tcl(project, TCL[1], context(), **asked)
    assert status == 0, out
    assert implemented(out) == ["Congestion_SpreadLogic_high"]
    assert "WARNING: timing is not met, worst slack -0.2 ns" in out
    assert (project / "driver/digits_zu3eg.bit").is_file()


def test_vivado_script_packs_the_firmware_where_the_programs_are(project: Path) -> None:
    vivado_outputs(project, "hao_vivado.gen")
    status, out = run_tcl(project, TCL[1], context())
    assert status == 0, out
    assert "bootgen, dtc or make is missing: where they are, type make -C" in out
    tools = project / "tools"
    tools.mkdir()
    for tool in ("bootgen", "dtc", "make"):
        (tools / tool).write_text('#!/bin/sh\necho "$0 $*" >> "$CALLS"\n')
        (tools / tool).chmod(0o755)
    path = {"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(project / "calls")}
    status, out = run_tcl(project, TCL[1], context(), **path)
    assert status == 0, out
    assert f"wrote {project / 'firmware/package/digits_zu3eg'}" in out
    assert (project / "calls").read_text() == f"{tools}/make -C {project}/firmware\n"


def test_ooc_script_places_and_routes_the_core_alone(project: Path) -> None:
    status, out = run_tcl(project, TCL[2], context())
    assert status != 0
    assert "holds no Verilog; run run_hls.tcl with HAO_CSYNTH=1 first" in out
    folder = project / "hls_project/solution1/syn/verilog"
    folder.mkdir(parents=True)
    (folder / "hao_engine.v").touch()
    status, out = run_tcl(project, TCL[2], context(), HAO_CLOCK_NS="4.5")
    assert status == 0, out
    calls = [call.split()[0] for call in re.findall(r"^CALL (.*)", out, re.M)]
    order = ["create_project", "read_verilog", "synth_design", "get_ports"]
    order += ["create_clock", "report_utilization", "opt_design", "place_design"]
    order += ["phys_opt_design", "route_design", "phys_opt_design"]
    assert calls[: len(order)] == order
    assert "-top hao_engine -part xczu3eg-sbva484-1-i -mode out_of_context" in out
    assert "CALL create_clock -period 4.5 -name ap_clk" in out
    assert "worst slack 0.100 ns of 4.500 ns, 227.3 MHz reached" in out
    for kind in ("utilization_synth", "utilization_placed", "timing_summary"):
        assert f"reports/ooc_{kind}.rpt" in out


# ---- Firmware -----------------------------------------------------------------------


def firmware(project: Path, family: str) -> Path:
    folder = project / "firmware"
    folder.mkdir()
    values = family_context(family)
    (folder / "digits_zu3eg.dtsi").write_text(render(FIRMWARE[0], values))
    (folder / "Makefile").write_text(render(FIRMWARE[1], values))
    shutil.copy(data_path("templates", "hls", "firmware", "shell.json"), folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_overlay_compiles_and_says_where_things_are(project: Path, family: str) -> None:
    dtc = shutil.which("dtc")
    if dtc is None:
        pytest.skip("dtc is not installed")
    source = firmware(project, family) / "digits_zu3eg.dtsi"
    made_of = (str(project / "a.dtbo"), str(source))
    compile_it = [dtc, "-@", "-I", "dts", "-O", "dtb", "-o", *made_of]
    made = subprocess.run(compile_it, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    back = [dtc, "-I", "dtb", "-O", "dts", made_of[0]]
    text = subprocess.run(back, capture_output=True, text=True, check=True).stdout
    assert 'firmware-name = "digits_zu3eg.bit.bin"' in text
    assert 'compatible = "generic-uio"' in text
    assert 'compatible = "ikwzm,u-dma-buf"' in text
    assert "assigned-clock-rates = <0xcc5bac8>" in text
    high = family == "zynqmp"
    places = (
        "reg = <0x00 0xa0000000 0x00 0x10000>" if high else "reg = <0x43c00000 0x10000>"
    )
    assert places in text
    assert f"interrupts = <0x00 {'0x59' if high else '0x1d'} 0x04>" in text
    if not high:  # HP0, HP2 and HP1 serve the three ports
        assert re.findall(r"hao_afi\d@(\w+) ", text) == [
            "f8008000",
            "f800a000",
            "f8009000",
        ]


@pytest.mark.parametrize(
    ("family", "arch"), [("zynqmp", "zynqmp"), ("zynq7000", "zynq")]
)
def test_firmware_is_laid_out_as_xmutil_wants_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, family: str, arch: str
) -> None:
    if shutil.which("make") is None:
        pytest.skip("make or g++ is not installed")
    folder = firmware(project, family)
    (project / "driver/digits_zu3eg.bit").write_text("bits")
    tools = project / "tools"
    tools.mkdir()
    # bootgen reads the .bif and writes beside the .bit that it names; dtc writes $7.
    (tools / "bootgen").write_text(
        '#!/bin/sh\necho "$@" > bootgen.said\nbit=$(sed -n 3p "$2")\ncp $bit $bit.bin\n'
    )
    (tools / "dtc").write_text('#!/bin/sh\necho "$@" > dtc.said\ncp "$8" "$7"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    there = project / "lib"
    command = ["make", "-C", str(folder), "install", f"FIRMWARE={there}"]
    subprocess.run(command, check=True, capture_output=True)
    names = ["digits_zu3eg.bit.bin", "digits_zu3eg.dtbo", "shell.json"]
    assert sorted(path.name for path in (there / "digits_zu3eg").iterdir()) == names
    assert (there / "digits_zu3eg" / names[0]).read_text() == "bits"
    said = (folder / "bootgen.said").read_text().split()
    expected = f"-image package/digits_zu3eg.bif -arch {arch} -process_bitstream bin"
    assert said == [*expected.split(), "-w", "on"]
    shell = json.loads((there / "digits_zu3eg/shell.json").read_text())
    assert shell == {"shell_type": "XRT_FLAT", "num_slots": "1"}


# ---- Makefile and README ------------------------------------------------------------

MAIN = """
#include <cstdio>
#ifdef HAO_FAST
#include "native.h"
#else
#include <ap_int.h>
#endif
int main(int count, char **words) {
  std::printf("%d %s %s %d\\n", count, words[1], words[2], MODE);
  return 0;
}
"""


def make(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None or shutil.which("g++") is None:
        pytest.skip("make or g++ is not installed")
    (project / "Makefile").write_text(render("Makefile.j2", context()))
    # A `make test` around this run would have this one say where it works.
    names = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return subprocess.run(
        ["make", *words],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_makefile_names_the_flags_of_every_target(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXXFLAGS")
    hls_project(project)
    (project / "tb" / "tb.cpp").touch()
    run = make(project, "-n", "AP_TYPES=/types", "sim", "fast", "trace", "check")
    assert (run.returncode, run.stderr) == (0, "")
    lines = {
        line.split()[-1]: line
        for line in run.stdout.splitlines()
        if line.startswith("g++")
    }
    assert set(lines) == {"build/sim", "build/fast", "build/trace"}
    assert all("-std=c++14" in line and " -O2 " in line for line in lines.values())
    assert "/types" in lines["build/sim"]
    assert "HAO_FAST" not in lines["build/sim"]
    assert "-DHAO_FAST" in lines["build/fast"]
    assert "HAO_TRACE" not in lines["build/fast"]
    assert "-DHAO_FAST -DHAO_TRACE" in lines["build/trace"]
    assert "./build/sim tb/frames.bin tb/expected.bin" in run.stdout


def test_makefile_builds_and_runs_both_kinds(project: Path) -> None:
    hls_project(project)
    (project / "tb" / "tb.cpp").write_text(MAIN)
    for folder, name, mode in (("tb/native", "native.h", 1), ("types", "ap_int.h", 2)):
        (project / folder).mkdir()
        (project / folder / name).write_text(f"#define MODE {mode}\n")
    run = make(project, "check-fast")
    assert "3 tb/frames.bin tb/expected.bin 1" in run.stdout, run.stderr
    run = make(project, "check", "AP_TYPES=types")
    assert "3 tb/frames.bin tb/expected.bin 2" in run.stdout, run.stderr
    run = make(project, "clean", "sim")
    assert run.returncode != 0
    assert "AP_TYPES = '' holds no ap_int.h; set AP_TYPES to" in run.stderr


def test_makefile_without_a_target_says_what_there_is(project: Path) -> None:
    run = make(project)
    assert run.stdout.startswith("make check AP_TYPES=DIR")
    assert run.stdout.count("\n") == 8


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        (("vivado_hls",), "vivado_hls -f run_hls.tcl"),
        (("vivado_hls", "vitis_hls"), "vitis_hls -f run_hls.tcl"),
        (("vitis_hls", "vitis-run"), "vitis-run --mode hls --tcl run_hls.tcl"),
    ],
)
def test_makefile_synthesizes_with_the_newest_tool(
    project: Path, monkeypatch: pytest.MonkeyPatch, tools: tuple[str, ...], command: str
) -> None:
    folder = project / "bin"
    folder.mkdir()
    for tool in tools:
        (folder / tool).write_text("#!/bin/sh\n")
        (folder / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert make(project, "-n", "hls").stdout.strip() == command


@pytest.mark.parametrize("family", FAMILIES)
def test_readme_tables_have_one_width(family: str) -> None:
    text = render("project_README.md.j2", family_context(family))
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(blocks) == 5
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1, block
    assert "| dense | 12 | 3456 | 4567 | 8 |" in text
    assert "`ifm`, `ofm`, `weights`." in text
    assert "An input code `c` stands for `c * 2^-2`." in text
    assert "- A note of one sentence." in text
    assert text.isascii()
