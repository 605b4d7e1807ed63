"""A start of the engine for each step, as co-simulation needs it.

RTL co-simulation gives every AXI port a memory of its own and fills it when the core is
started (the test benches that Vitis HLS writes, `AESL_axi_master_<bundle>.v`, hold one
array each). What a step writes, a later one of that start would not read.
"""

import subprocess
from pathlib import Path

import pytest

from hao.cost.evaluate import evaluate
from hao.emission.steps import make_table
from tests.emission.builds import NATIVE, write_sample
from tests.emission.designs import sample, small
from tests.emission.standin import TIMEOUT, compiled

PORTS = str(Path(__file__).with_name("ports.cpp"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose test bench meets an engine with a memory for each port."""
    folder = tmp_path_factory.mktemp("by_step") / "project"
    beats = write_sample(small(), folder).table.arena.beats
    (folder / "build").mkdir()
    flags = (*NATIVE, "-Isrc", "-Wno-unknown-pragmas", "-Wno-unused-label")
    engine = ("-c", "-Dhao_engine=core", "src/engine.cpp")
    compiled(folder, "build/core.o", *flags, *engine)
    sources = ("build/core.o", "tb/tb.cpp", PORTS)
    compiled(folder, "build/ports", *flags, f"-DARENA_BEATS={beats}", *sources)
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["build/ports", "tb/frames.bin", "tb/expected.bin", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_a_start_of_all_steps_reads_old_maps_where_ports_are_apart(bench: Path) -> None:
    assert run(bench).returncode == 1


def test_a_start_a_step_gives_the_integers_where_ports_are_apart(bench: Path) -> None:
    done = run(bench, "--by-step", "0", "--write-digests", "digests")
    assert done.returncode == 0, done.stderr
    steps = len(make_table(small().design, small().net).steps)
    assert (bench / "digests").stat().st_size == 8 * 2 * steps  # of two frames


def test_maps_that_differ_are_named_by_their_step(bench: Path) -> None:
    assert run(bench, "--by-step", "0", "--write-digests", "digests").returncode == 0
    data = bytearray((bench / "digests").read_bytes())
    data[8 * 2] ^= 1
    (bench / "wrong").write_bytes(data)
    for steps, status in (("2", 0), ("3", 1), ("0", 1)):
        done = run(bench, "--by-step", steps, "--digests", "wrong")
        assert done.returncode == status
        said = "frame 0, step 2: maps differ from those recorded\n" if status else ""
        assert done.stderr == said


@pytest.mark.parametrize("seed", range(12))
def test_steps_are_counted_as_they_are_emitted(seed: int) -> None:
    found = sample(seed)
    steps = make_table(found.design, found.net).steps
    assert evaluate(found.design).steps == len(steps)
