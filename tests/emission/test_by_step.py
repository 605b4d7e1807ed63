"""A start of the engine for each step, as co-simulation needs it.

RTL co-simulation gives every AXI port a memory of its own and fills it when the core is
started (the test benches that Vitis HLS writes, `AESL_axi_master_<bundle>.v`, hold one
array each). What a step writes, a later one of that start would not read.
"""

from pathlib import Path

import pytest

from hao.cost.evaluate import evaluate
from hao.emission.host import invocation_steps
from hao.emission.steps import make_table
from tests.emission.builds import NATIVE, Outcome, write_sample
from tests.emission.builds import run as run_bench
from tests.emission.designs import sample, small
from tests.emission.standin import compiled

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


def run(folder: Path, *words: str) -> Outcome:
    return run_bench(folder, folder / "build/ports", *words)


def test_a_start_of_all_steps_reads_old_maps_where_ports_are_apart(bench: Path) -> None:
    assert run(bench).status == 1


def test_a_start_a_step_gives_the_integers_where_ports_are_apart(bench: Path) -> None:
    done = run(bench, "--by-step", "0", "--write-digests", "digests")
    assert done.status == 0, done.text
    steps = len(make_table(small().design, small().net).steps)
    assert (bench / "digests").stat().st_size == 8 * 2 * steps  # of two frames


def test_maps_that_differ_are_named_by_their_step(bench: Path) -> None:
    assert run(bench, "--by-step", "0", "--write-digests", "digests").status == 0
    data = bytearray((bench / "digests").read_bytes())
    data[8 * 2] ^= 1
    (bench / "wrong").write_bytes(data)
    for steps, status in (("2", 0), ("3", 1), ("0", 1)):
        done = run(bench, "--by-step", steps, "--digests", "wrong")
        assert done.status == status
        said = ["frame 0, step 2: maps differ from those recorded"] if status else []
        assert done.text.splitlines()[1:] == said


def test_digests_that_are_missing_are_told(bench: Path) -> None:
    assert run(bench, "--by-step", "2", "--write-digests", "some").status == 0
    # Behind the two of the first frame, others were never written.
    assert run(bench, "--by-step", "2", "--digests", "some").status == 0
    assert run(bench, "--by-step", "3", "--digests", "some").status == 1


@pytest.mark.parametrize("seed", range(12))
def test_steps_are_counted_as_they_are_emitted(seed: int) -> None:
    found = sample(seed)
    table, cost = make_table(found.design, found.net), evaluate(found.design)
    assert cost.steps == len(table.steps)
    # What a step runs or loads for is what its invocation is priced with.
    for each in invocation_steps(cost)[-len(cost.invocations) :]:
        first, steps = each["first"], each["steps"]
        assert isinstance(first, int)
        assert isinstance(steps, int)
        ran = {r.invocation.name for r in table.runs[first : first + steps] if r}
        assert ran == {each["name"]}
