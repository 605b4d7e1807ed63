"""Linear layers in parts of their reduction: emitted, exact, and as long as priced."""

from pathlib import Path

import pytest

from hao.cost.evaluate import evaluate
from hao.emission.check import run_replay
from hao.emission.compiling import Build, compile_project
from hao.emission.project import render_project, write_project
from hao.emission.runs import RunPart, design_runs
from hao.emission.steps import make_table
from hao.ir.partition import Role
from hao.steps.simulate import compared_cycles
from tests.emission import builds
from tests.emission.designs import in_parts, small
from tests.emission.random_designs import Sample

TOTAL = 0.03
"""Largest deviation of the cycles of a frame."""

THOROUGH = (
    (Role.DENSE, (12, 16), 300, True, (4, 8)),
    (Role.POINTWISE, (8, 16), 200, False, (8, 8)),
    (Role.DENSE, (20, 32), 64, True, (8, 4)),
    (Role.POINTWISE, (5, 64), 1000, False, (3, 2)),
)
"""Stage, lanes, words of the buffer, two halves, bits of weights and activations."""


def test_parts_follow_each_other_and_only_the_last_writes() -> None:
    made = in_parts(Role.POINTWISE, (16, 48), 300)
    runs = design_runs(made.design, made.net)
    wide = [run for run in runs if run.invocation.name == "wide"]
    # 11 rows of 11 pixels of 48 codes, 363 words: 3 parts of 121, twice.
    ends = (1936, 3872, 5808)
    parts = [
        RunPart(begin=end - 1936, end=end, starts=end == 1936, ends=end == 5808)
        for end in ends
    ]
    assert [run.part for run in wide] == 2 * parts
    assert [run.begin for run in wide] == [0] * 3 + [48] * 3
    assert [run.channels for run in wide] == [48] * 3 + [24] * 3
    assert [run.writes for run in wide] == [False, False, True] * 2
    assert runs[-1].part is None
    assert all(run.part is None for run in design_runs(small().design, small().net))


def test_steps_of_parts_read_their_own_beats_and_keep_sums() -> None:
    made = in_parts(Role.POINTWISE, (16, 48), 300)
    steps = make_table(made.design, made.net).steps[1:7]
    base = steps[0].read.base
    assert [step.read.base - base for step in steps] == [0, 121, 242] * 2
    assert [step.read.beats for step in steps] == [121] * 6
    assert [step.pointwise_array.resumes for step in steps] == [0, 1, 1] * 2
    assert [step.pointwise_array.holds for step in steps] == [1, 1, 0] * 2
    assert [step.write.pixels for step in steps] == [0, 0, 1] * 2
    assert [step.pack.trips > 0 for step in steps] == [False, False, True] * 2


def test_engines_without_parts_clear_their_sums() -> None:
    def array(made: Sample) -> str:
        project = render_project(
            made.design, made.net, evaluate(made.design), made.frames
        )
        return project.files["src/pointwise_array.h"].decode()

    kept = "static hao_int<S::acc_bits> acc"
    assert kept in array(in_parts(Role.POINTWISE, (16, 48), 300))
    assert kept not in array(small())


def compare(
    role: Role,
    lanes: tuple[int, int],
    words: int,
    double: bool,
    bits: tuple[int, int],
    folder: Path,
) -> None:
    """Check that a design computes what it should, as fast as it should."""
    made = in_parts(role, lanes, words, double=double, bits=bits)
    cost = evaluate(made.design)
    project = render_project(made.design, made.net, cost, made.frames)
    write_project(project, folder / "hls", force=True)
    compile_project(folder / "hls", Build.TRACE, folder / "trace")
    done = builds.run(folder / "hls", folder / "trace")
    assert done.exact, done.text
    replay = run_replay(folder / "trace", folder / "hls")
    found = compared_cycles(
        cost, project.table, replay, double_buffered=made.design.engine.double_buffered
    )
    took = sum(one.replayed for one in found)
    assert sum(one.model for one in found) == pytest.approx(took, rel=TOTAL)
    assert found[1].tiles == cost.invocations[0].tiles > 2


def test_a_layer_in_parts_is_exact_and_takes_what_it_is_priced(tmp_path: Path) -> None:
    compare(Role.POINTWISE, (16, 32), 128, True, (8, 8), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(("role", "lanes", "words", "double", "bits"), THOROUGH)
def test_layers_in_parts_are_exact_and_take_what_they_are_priced(
    role: Role,
    lanes: tuple[int, int],
    words: int,
    double: bool,
    bits: tuple[int, int],
    tmp_path: Path,
) -> None:
    compare(role, lanes, words, double, bits, tmp_path)
