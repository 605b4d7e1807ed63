"""The emitted C++ compiled, run on frames, and its cycles replayed."""

from functools import partial
from pathlib import Path

import numpy as np

from hao.answer.workers import Progress
from hao.arguments import AtLeast1, takes_words
from hao.cost.evaluate import CostReport
from hao.emission.check import Replay, run_replay, run_simulation
from hao.emission.compiling import (
    Build,
    check_emitted,
    compile_project,
    find_ap_types,
    find_compiler,
)
from hao.emission.project import check_origin
from hao.emission.steps import Table, make_table
from hao.emission.stored import (
    frame_bytes,
    frame_codes,
    map_bytes,
    map_codes,
    step_maps,
)
from hao.errors import InputError
from hao.files import held, read_file
from hao.ir.classes import classes_of
from hao.ir.integer import IntegerNetwork
from hao.ir.integer_run import run_integer, run_integer_layers
from hao.npz import MAX_UNPACKED_BYTES
from hao.page.files import renew_run_page
from hao.quant.weights_file import load_integers
from hao.report.hardware import InvocationCycles, SimulationResult, simulation_json
from hao.report.result import SearchResult
from hao.report.words import start_in_words
from hao.runs.records import SIMULATION_FILE, keep_record
from hao.runs.run_files import (
    EMITTED_FILE,
    EVALUATION_FILE,
    PROGRAM_FOLDER,
    PROJECT_FOLDER,
    Evaluation,
    load_evaluation,
    opened_run,
    recorded_quantization,
    run_integers,
)
from hao.steps.common import in_batches, share


@takes_words
def simulate(
    run: Path,
    *,
    build: Build = Build.NATIVE,
    images: AtLeast1 | None = None,
    debug: bool = False,
    size_fifos: bool = False,
    progress: Progress = lambda _: None,
) -> SimulationResult:
    """Compile a run's project, run it, and compare it with the interpreter.

    Args:
        run: Run directory with an emitted project.
        build: Number types of the comparison; cycles always come from a trace.
        images: Test frames to run, at least 1; `None`, or more than there are, for
            all that the run has.
        debug: Also compare the map that every step leaves, for the first frame.
        size_fifos: Also seek the least depth of every stream.
        progress: Told of each step.

    Raises:
        InputError: There is no project, or its design or weights have changed since, or
            a file of the run is not readable.
        ToolError: The compiler is missing or fails, or the simulation crashes.
    """
    result, folder = opened_run(run)
    # Several may simulate at once, but nobody emits or quantizes meanwhile.
    with held(folder, shared=True):
        return _simulated(
            result,
            folder,
            build=build,
            images=images,
            debug=debug,
            size_fifos=size_fifos,
            progress=progress,
        )


def _simulated(
    result: SearchResult,
    folder: Path,
    *,
    build: Build,
    images: int | None,
    debug: bool,
    size_fifos: bool,
    progress: Progress,
) -> SimulationResult:
    """Compile, run and compare the project of an opened run that is held."""
    design, project = result.design, folder / PROJECT_FOLDER
    find_compiler()
    if build is Build.AP_INT:
        find_ap_types()
    net, own = _emitted_integers(folder, project)
    check_origin(project, design, net)
    table = make_table(design, net)
    _check_weights(project, table)
    found = recorded_quantization(folder) if own else None
    evaluation = _evaluation(folder, project, table, result, net, own=own)
    evaluation = evaluation.first(images)
    frames, labels = evaluation.codes, evaluation.labels
    programs = folder / PROGRAM_FOLDER
    progress(f"compiling the {build.value} build")
    compile_project(project, build, programs / build.value)
    expected = in_batches(partial(run_integer, net), frames)
    source = table.arena.maps[design.network.input.name]
    output = design.segments[-1].invocation.output_name
    stored = table.arena.maps[output]
    maps = b""
    if debug:
        names = frozenset(layer.name for layer in net.network.layers)
        maps = step_maps(table, run_integer_layers(net, frames[:1], names))
    progress(f"simulating {len(frames)} frames")
    said = run_simulation(
        programs / build.value,
        project,
        frames=frame_bytes(
            frames,
            source,
            network=net.network,
            signed=net.maps[net.network.input.name].quant.signed,
        ),
        expected=map_bytes(expected, stored),
        maps=maps,
    )
    progress(f"replaying the cycles of {start_in_words(result.cost.frames)}")
    compile_project(project, Build.TRACE, programs / Build.TRACE.value)
    replay = run_replay(programs / Build.TRACE.value, project, size_fifos=size_fifos)
    signed = net.maps[output].quant.signed
    simulated = map_codes(said.outputs, stored, signed=signed)
    zero = net.maps[output].zero
    simulated_result = SimulationResult(
        build=build.value,
        images=said.images,
        batch=result.cost.frames,
        mismatches=said.mismatches,
        wrong_images=said.wrong_images,
        wrong_steps=said.wrong_steps if debug else None,
        cycles_model=result.cost.latency_cycles,
        cycles_replayed=replay.cycles,
        seconds=said.seconds,
        invocations=compared_cycles(
            result.cost, table, replay, double_buffered=design.engine.double_buffered
        ),
        fifos=tuple(
            (fifo.name, fifo.depth, fifo.smallest)
            for fifo in replay.fifos
            if fifo.smallest is not None
        ),
        float_top1=evaluation.float_top1,
        quantized_top1=evaluation.quantized_top1,
        simulated_top1=share(classes_of(simulated, zero=zero), labels),
        integer_top1=share(classes_of(expected, zero=zero), labels),
        quantization=found,
        simulated_agreement=share(
            classes_of(simulated, zero=zero), evaluation.float_class
        ),
    )
    keep_record(folder, SIMULATION_FILE, simulation_json(simulated_result))
    renew_run_page(folder)
    return simulated_result


def compared_cycles(
    cost: CostReport, table: Table, replay: Replay, *, double_buffered: bool
) -> tuple[InvocationCycles, ...]:
    """Return the cycles of every invocation, priced and replayed."""
    replayed: dict[str, int] = {}
    first, waiting = 0, 0
    for run, step in zip(table.runs, replay.steps, strict=True):
        if run is None:
            waiting += step.cycles
            continue
        if double_buffered and not replayed:
            # All later loads run beside a computation; this one alone does not.
            first, waiting = waiting, 0
        name = run.invocation.name
        replayed[name] = replayed.get(name, 0) + waiting + step.cycles
        waiting = 0
    opening = InvocationCycles(
        name="(first weights)", tiles=1, model=cost.first_load_cycles, replayed=first
    )
    rest = tuple(
        InvocationCycles(
            name=item.name,
            tiles=item.tiles,
            model=item.period_cycles,
            replayed=replayed[item.name],
        )
        for item in cost.invocations
    )
    return (opening, *rest)


def _emitted_integers(folder: Path, project: Path) -> tuple[IntegerNetwork, bool]:
    """Return the integers that the run's project was emitted with; if its own."""
    check_emitted(project)
    other = project / EMITTED_FILE
    if other.is_file():
        return load_integers(other), False
    return run_integers(folder), True


def _check_weights(project: Path, table: Table) -> None:
    """Check that a project holds the packed weights that it was emitted with."""
    expected = table.weights.tobytes()
    name = "weights/weights.bin"
    if _project_bytes(project, name, len(expected)) != expected:
        raise InputError(
            f"{project / 'weights' / 'weights.bin'}: not what was emitted; "
            "`hao emit-hls --force` renders it anew"
        )


def _project_bytes(project: Path, name: str, most: int) -> bytes:
    try:
        return read_file(project / name, most)
    except OSError as error:
        raise InputError(
            f"{project / name}: cannot be read ({error.strerror}); "
            "`hao emit-hls --force` renders it anew"
        ) from error


def _evaluation(
    folder: Path,
    project: Path,
    table: Table,
    result: SearchResult,
    net: IntegerNetwork,
    *,
    own: bool,
) -> Evaluation:
    """Return the frames to simulate, and what is known of them."""
    evaluation = folder / EVALUATION_FILE
    if own and evaluation.is_file():
        return load_evaluation(evaluation, net)
    design = result.design
    source = table.arena.maps[design.network.input.name]
    port = design.board.port_bytes
    data = np.frombuffer(
        _project_bytes(project, "tb/frames.bin", MAX_UNPACKED_BYTES), dtype=np.uint8
    )
    size = source.beats * port
    if data.size == 0 or data.size % size:
        raise InputError(
            f"{project / 'tb' / 'frames.bin'}: {data.size} bytes; must be frames of "
            f"{size}. `hao emit-hls --force` renders it anew"
        )
    codes = frame_codes(
        data.reshape(-1, size),
        source,
        network=net.network,
        signed=net.maps[design.network.input.name].quant.signed,
    )
    return Evaluation(codes=codes)
