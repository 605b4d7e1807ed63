"""From integers to an HLS project."""

from dataclasses import replace
from pathlib import Path

from hao.arguments import AtLeast0, takes_words
from hao.emission.project import (
    Told,
    check_project_target,
    render_project,
    write_project,
)
from hao.emission.weights import pruned_network
from hao.engine.design import Design
from hao.ir.integer import IntegerNetwork
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.page.files import renew_run_page
from hao.quant.weights_file import load_integers, render_integers
from hao.report.hardware import Emission
from hao.report.result import SearchResult
from hao.runs.records import drop_records
from hao.runs.run_files import (
    EMITTED_FILE,
    EVALUATION_FILE,
    PROJECT_FOLDER,
    WEIGHTS_FILE,
    held_run,
    load_evaluation,
    opened_run,
    recorded_quantization,
    run_integers,
)
from hao.steps.common import RANDOM_FRAMES

RANDOM_WEIGHTS = "random"
"""Name of the seeded random weights, in place of a file."""


LEAST_FRAMES, MOST_FRAMES = 4, 16
"""Frames that a project's test bench carries with it (chosen here).

One of every class, as far as that goes; each takes time in the C simulation of the
synthesis tool, which is some 20 times as slow as the native one.
"""


@takes_words
def emit(
    run: Path, *, weights: str | None = None, seed: AtLeast0 = 0, force: bool = False
) -> Emission:
    """Render a run's HLS project into the run directory.

    Args:
        run: Run directory.
        weights: `RANDOM_WEIGHTS`, a file of integers, or `None` for the run's own.
        seed: Of random weights, at least 0.
        force: Replace an earlier project.

    Raises:
        InputError: The run has no integers, they do not belong to the design, a project
            is there already, or the seed is negative.
        UnsupportedError: A pool that the engine cannot compute.
    """
    result, folder = opened_run(run)
    with held_run(folder):
        return _emit(result, folder, weights=weights, seed=seed, force=force)


def random_integers(design: Design, *, seed: int) -> IntegerNetwork:
    """Return the integers of a design's network with seeded random weights."""
    net = seeded_integers(
        design.network, design.weight_bits, act_bits=design.engine.act_bits, seed=seed
    )
    return replace(net, network=pruned_network(net.network, design))


def _emit(
    result: SearchResult, folder: Path, *, weights: str | None, seed: int, force: bool
) -> Emission:
    """Render the project of an opened run that is held."""
    target = folder / PROJECT_FOLDER
    check_project_target(target, force=force)
    design = result.design
    if weights == RANDOM_WEIGHTS:
        net = random_integers(design, seed=seed)
        frames = seeded_frames(net, RANDOM_FRAMES, seed + 1)
        told = Told(note=f"Weights are random (seed {seed}): outputs mean nothing.")
    else:
        source = folder / WEIGHTS_FILE if weights is None else Path(weights)
        net = run_integers(folder) if weights is None else load_integers(source)
        evaluation = folder / EVALUATION_FILE
        told = Told(note=f"Weights are those of {source.name}.")
        found = recorded_quantization(folder) if weights is None else None
        if found is not None:
            fit = found.preparation.fit
            told = replace(told, fit=fit, classes=found.classes)
        if weights is None and evaluation.is_file():
            known = load_evaluation(evaluation, net)
            frames = known.covering(LEAST_FRAMES, MOST_FRAMES).codes
        else:
            frames = seeded_frames(net, RANDOM_FRAMES, seed + 1)
            told = replace(told, note=f"{told.note} The recorded frames are random.")
    project = render_project(design, net, result.cost, frames, told=told)
    # The simulation compares with the integers, so others than the run's lie there too.
    beside = {} if weights is None else {EMITTED_FILE: render_integers(net)}
    write_project(project, target, force=force, beside=beside)
    drop_records(folder)
    renew_run_page(folder)
    return Emission(
        project=target,
        digest=project.digest,
        files=len(project.files),
        steps=len(project.table.steps),
        batch=result.cost.frames,
        weights=told.note,
    )
