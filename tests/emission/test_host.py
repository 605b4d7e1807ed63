"""The drivers of an emitted project, C++ and Python, on a stand-in of the board.

The stand-in's core is the emitted engine itself, and sees of memory only what a driver
handed over. Both drivers must give the codes that the interpreter gives.
"""

import importlib.util
import os
import re
import select
import subprocess
import sys
import types
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.emission.host import ROUNDED
from hao.emission.steps import make_table
from hao.ir.integer_run import run_integer
from hao.ir.interpret import round_values
from tests.emission.builds import write_sample
from tests.emission.designs import sample, small
from tests.emission.random_designs import Sample
from tests.emission.standin import (
    ENGINE,
    TIMEOUT,
    VITIS,
    VIVADO,
    Board,
    Layout,
    compiled,
    layout,
    library,
    run_host,
    write_root,
)

FOUND = small()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a project with its host program, and the stand-in's library."""
    folder = tmp_path_factory.mktemp("host") / "project"
    write_sample(FOUND, folder)
    (folder / "build").mkdir()
    compiled(folder, "build/host", "-Wextra", "host/main.cpp")
    return folder, library(folder)


def expected_codes(found: Sample) -> NDArray[np.int64]:
    return run_integer(found.net, found.frames)


def put_board(folder: Path, root: Path, kind: Layout) -> None:
    """Lay a stand-in board under folder/root, its register map beside the driver."""
    link = folder / "root"
    link.unlink(missing_ok=True)
    write_root(root, kind.base)
    link.symlink_to(root)
    (folder / "driver/xhao_engine_hw.h").write_text(kind.header)


@pytest.mark.parametrize("kind", [VITIS, VIVADO], ids=["vitis", "vivado"])
@pytest.mark.parametrize(
    "words",
    [(), ("--poll",), ("--in-flight", "1"), ("--in-flight", "3", "--repeat", "7")],
    ids=" ".join,
)
def test_the_host_program_gives_the_integers(
    built: tuple[Path, Path], tmp_path: Path, kind: Layout, words: tuple[str, ...]
) -> None:
    folder, preload = built
    put_board(folder, tmp_path / "root", kind)
    out = tmp_path / "codes"
    done = run_host(folder, preload, kind, "--out", str(out), *words)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 frames equal bit for bit" in done.stdout
    assert "polling" in done.stdout if "--poll" in words else "interrupts"
    codes = np.fromfile(out, np.int32).reshape(expected_codes(FOUND).shape)
    np.testing.assert_array_equal(codes, expected_codes(FOUND))


BATCHED = replace(
    FOUND,
    design=replace(FOUND.design, board=replace(FOUND.design.board, batch=3)),
)


def test_both_drivers_run_several_frames_of_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 7 times 2 frames are 4 starts of 3 and one that is not full; 5 are two starts.
    folder = tmp_path / "project"
    write_sample(BATCHED, folder)
    (folder / "build").mkdir()
    compiled(folder, "build/host", "-Wextra", "host/main.cpp")
    engine = library(folder)
    put_board(folder, tmp_path / "root", VITIS)
    done = run_host(folder, engine, VITIS, "--repeat", "7")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 frames equal bit for bit" in done.stdout
    board = Board(engine)
    monkeypatch.setitem(sys.modules, "pynq", board)
    module = driver_module(folder)
    wanted = expected_codes(FOUND)
    with module.HaoDriver("a.bit", folder / "weights/weights.bin") as driver:
        found = list(driver.stream(FOUND.frames[n % 2] for n in range(5)))
        alone, _ = driver.run(FOUND.frames[1])
    assert len(found) == 5
    for number, codes in enumerate(found):
        np.testing.assert_array_equal(codes, wanted[number % 2])
    np.testing.assert_array_equal(alone, wanted[1])
    assert len(board.starts[::2]) == 3


def test_the_host_program_tells_frames_that_differ(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, preload = built
    put_board(folder, tmp_path / "root", VITIS)
    data = bytearray((folder / "tb/expected.bin").read_bytes())
    data[0] ^= 1
    wrong = tmp_path / "expected.bin"
    wrong.write_bytes(data)
    done = run_host(folder, preload, VITIS, "--expected", str(wrong))
    assert done.returncode == 1
    assert "1 of 2 frames equal bit for bit" in done.stdout


def test_the_host_program_codes_values_and_names_classes(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, preload = built
    put_board(folder, tmp_path / "root", VITIS)
    shape = FOUND.frames.shape[1:]
    values = np.random.default_rng(3).normal(0, 0.6, (3, *shape)).astype(np.float32)
    values.tofile(tmp_path / "values")
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"name {n}\n" for n in range(10)))
    words = ("--values", str(tmp_path / "values"), "--labels", str(labels))
    done = run_host(folder, preload, VITIS, *words, "--out", str(tmp_path / "codes"))
    assert done.returncode == 0, done.stderr
    codes = np.fromfile(tmp_path / "codes", np.int32).reshape(3, -1)
    wanted = run_integer(FOUND.net, FOUND.net.frame_codes(values)).reshape(3, -1)
    np.testing.assert_array_equal(codes, wanted)
    best = int(np.argsort(-wanted[0], kind="stable")[0])
    line = done.stdout.splitlines()[1]
    assert line.split() == ["name", str(best), str(wanted[0, best])]


HIGH = layout({"ifm": "IFM", "ofm": "OFM", "weights": "WEIGHTS"}, 32, 0x3_7000_0000)
LESS = layout({"ifm": "IFM", "weights": "WEIGHTS"}, 64, 0x1_000_0000)


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        (VITIS, ("--frames", "no"), "no cannot be read"),
        (VITIS, ("--frames", "Makefile"), "must be frames of 432"),
        (VITIS, ("--weights", "Makefile"), "bytes of weights; must be"),
        (VITIS, ("--registers", "no.h"), "no.h: cannot be read; run_vivado.tcl puts"),
        (VITIS, ("--in-flight", "0"), "--in-flight 0; must be at least 1"),
        (VITIS, ("--in-flight", "5000"), "5000 arenas in flight need"),
        (VITIS, ("--fast", "1"), "--fast is no option; --help says which are"),
        (VITIS, ("--repeat",), "--repeat is no option or lacks a value"),
        (HIGH, (), "memory above 4 GiB; port weights takes 32 bits"),
        (LESS, (), "the core has no register for ofm"),
    ],
)
def test_the_host_program_says_what_is_wrong(
    built: tuple[Path, Path],
    tmp_path: Path,
    kind: Layout,
    words: tuple[str, ...],
    message: str,
) -> None:
    folder, preload = built
    put_board(folder, tmp_path / "root", kind)
    done = run_host(folder, preload, kind, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [(), ("--poll",)])
def test_the_host_program_gives_up_on_a_core_that_hangs(
    built: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder, preload = built
    put_board(folder, tmp_path / "root", VITIS)
    done = run_host(folder, preload, VITIS, "--timeout", "1", *words, HAO_STUCK="1")
    assert done.returncode == 2
    assert "the core did not finish in time; check the clock" in done.stderr


def test_the_host_program_names_a_missing_overlay(built: tuple[Path, Path]) -> None:
    folder, _ = built
    done = subprocess.run(
        [folder / "build/host", "--root", "/nowhere"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 2
    assert "uio has no device hao_engine; load the overlay" in done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(12))
def test_the_simulated_host_program_gives_the_integers(
    tmp_path: Path, seed: int
) -> None:
    found = sample(seed)
    folder = tmp_path / "project"
    write_sample(found, folder)
    words = (*ENGINE, "-Wno-unused-label", "-DHAO_SIMULATED", "-pthread")
    program = compiled(folder, "simulated", *words, "host/main.cpp", "src/engine.cpp")
    done = subprocess.run(
        [program, "--out", "codes", "--repeat", "2"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    codes = np.fromfile(folder / "codes", np.int32)
    np.testing.assert_array_equal(codes, expected_codes(found).ravel())


def test_the_host_program_rounds_as_the_network_says(tmp_path: Path) -> None:
    values = [x / 4 for x in range(-12, 13)]
    lines = [
        f'for (double value : values) std::printf("%g ", {cpp});\nstd::puts("");'
        for _, cpp in ROUNDED.values()
    ]
    listed = ", ".join(map(str, values))
    (tmp_path / "main.cpp").write_text(
        "#include <cmath>\n#include <cstdio>\nint main() {\n"
        f"const double values[] = {{{listed}}};\n" + "\n".join(lines) + "\n}\n"
    )
    program = compiled(tmp_path, "round", "main.cpp")
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    for rounding, line in zip(ROUNDED, said.splitlines(), strict=True):
        found = np.array(line.split(), dtype=float)
        np.testing.assert_array_equal(found, round_values(np.array(values), rounding))


# ---- Python -------------------------------------------------------------------------


@cache
def driver_module(folder: Path) -> ModuleType:
    path = folder / "driver/hao_driver.py"
    spec = importlib.util.spec_from_file_location("hao_driver", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_the_python_driver_streams_the_integers(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    folder, engine = built
    board = Board(engine)
    monkeypatch.setitem(sys.modules, "pynq", board)
    module = driver_module(folder)
    frames = [FOUND.frames[n % 2] for n in range(5)]
    weights = folder / "weights/weights.bin"
    with module.HaoDriver("a.bit", weights, in_flight=in_flight) as driver:
        assert not driver.interrupts
        found = list(driver.stream(frames))
        alone, _ = driver.run(frames[0])
    wanted = expected_codes(FOUND)
    assert len(found) == 5
    for number, codes in enumerate(found):
        np.testing.assert_array_equal(codes, wanted[number % 2])
    np.testing.assert_array_equal(alone, wanted[0])
    assert len(set(board.starts[0:10:2])) == in_flight  # arenas in turn


def test_frames_are_packed_while_the_core_computes(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, engine = built
    monkeypatch.setitem(sys.modules, "pynq", Board(engine))
    module = driver_module(folder)
    done: list[str] = []
    driver = module.HaoDriver("a.bit", folder / "weights/weights.bin")
    monkeypatch.setattr(driver, "load", lambda _, slot, at: done.append(f"load {slot}"))
    monkeypatch.setattr(driver, "_begin", lambda slot: done.append(f"start {slot}"))
    monkeypatch.setattr(driver, "_finish", lambda _: done.append("end"))
    for _ in driver.stream([*FOUND.frames, FOUND.frames[0]]):
        done.append("out")
    steps = "load 0, start 0, load 1, end, start 1, out, load 0, end, start 0, out"
    assert done == [*steps.split(", "), "end", "out"]


def test_the_python_driver_waits_for_the_interrupt(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, engine = built
    board = Board(engine)
    pin = {"controller": "", "index": 0, "raw_irq": 121}
    board.interrupt_pins = {"hao_engine_0/interrupt": pin}
    uio = tmp_path / "uio"
    uio.write_bytes(bytes(64))
    asked: list[int] = []
    interrupt = types.ModuleType("pynq.interrupt")

    def device(line: int) -> str | None:
        asked.append(line)
        return str(uio)

    monkeypatch.setattr(interrupt, "get_uio_irq", device, raising=False)
    monkeypatch.setitem(sys.modules, "pynq", board)
    monkeypatch.setitem(sys.modules, "pynq.interrupt", interrupt)
    module = driver_module(folder)
    with module.HaoDriver("a.bit", folder / "weights/weights.bin") as driver:
        assert driver.interrupts
        assert (board.words[0x4], board.words[0x8]) == (1, 1)
        codes, _ = driver.run(FOUND.frames[0])
        np.testing.assert_array_equal(codes, expected_codes(FOUND)[0])
        # The line was let through, and its status was cleared by writing it.
        assert uio.read_bytes()[:4] == b"\1\0\0\0"
        assert board.words[0xC] == 1
        monkeypatch.setattr(select, "select", lambda *_: ([], [], []))
        with pytest.raises(RuntimeError, match=r"did not finish within 0\.01 s"):
            driver.run(FOUND.frames[0], timeout_s=0.01)
    assert asked == [121]


def test_invocations_are_started_one_by_one(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, engine = built
    board = Board(engine)
    monkeypatch.setitem(sys.modules, "pynq", board)
    module = driver_module(folder)
    with module.HaoDriver("a.bit", folder / "weights/weights.bin") as driver:
        driver.load(module.INPUT.pack(FOUND.frames[0]))
        seconds = driver.time_invocations(repeat=2)
        # Together they computed the frame; afterwards a start runs all steps again.
        found = module.OUTPUT.unpack(driver.read())
        again, _ = driver.run(FOUND.frames[1])
    np.testing.assert_array_equal(found, expected_codes(FOUND)[0])
    np.testing.assert_array_equal(again, expected_codes(FOUND)[1])
    assert (seconds >= 0).all()
    assert len(seconds) == len(module.INVOCATIONS)
    ran = [s for first, count in board.ranges[:-1] for s in range(first, first + count)]
    steps = len(make_table(FOUND.design, FOUND.net).steps)
    assert ran == [*range(steps + 1)] * 2  # the last one is empty
    assert board.ranges[-1] == (0, 0)


def test_interrupts_that_an_image_lacks_are_refused_where_asked_for(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, engine = built
    monkeypatch.setitem(sys.modules, "pynq", Board(engine))
    module = driver_module(folder)
    with pytest.raises(RuntimeError, match="no UIO device for the core's interrupt"):
        module.HaoDriver("a", folder / "weights/weights.bin", interrupts=True)
    with pytest.raises(ValueError, match="0 arenas in flight; must be at least 1"):
        module.HaoDriver("a", folder / "weights/weights.bin", in_flight=0)


def test_the_demo_prints_the_rate_from_end_to_end(
    built: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, engine = built
    monkeypatch.setitem(sys.modules, "pynq", Board(engine))
    monkeypatch.setitem(sys.modules, "hao_driver", driver_module(folder))
    path = folder / "driver/demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    words = ["demo.py", "--repeat", "2", "--in-flight", "3", "--invocations"]
    monkeypatch.setattr(sys, "argv", words)
    assert demo.main() == 0
    out = capsys.readouterr().out
    for name, _, _, cycles in driver_module(folder).INVOCATIONS:
        assert re.search(rf"^ *{cycles} .* {re.escape(name)}$", out, re.M)
    assert "2 of 2 frames equal bit for bit" in out
    assert "packing and unpacking included, 3 in flight, polling" in out


CHECK = Path(__file__).with_name("pynq_check.py")


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["3.0.1", "4.0.0"])
def test_the_python_driver_runs_on_a_released_pynq(
    built: tuple[Path, Path], tmp_path: Path, version: str
) -> None:
    """PYNQ's own buffers and registers, of the package on PyPI; no board."""
    folder, engine = built
    python = str(tmp_path / "venv/bin/python")
    create = [sys.executable, "-m", "venv", str(tmp_path / "venv")]
    install = [python, "-m", "pip", "install", "--quiet", f"pynq=={version}"]
    for command in (create, install):
        subprocess.run(command, check=True, timeout=600, capture_output=True)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(CHECK), str(folder), str(engine)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    assert f"pynq {version}" in done.stdout
    assert "2 of 2 frames equal bit for bit" in done.stdout
