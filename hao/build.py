"""From a run to hardware: quantize, emit, simulate, check, read reports back.

    run directory -> float weights -> Brevitas -> integers -> HLS project
        -> simulation, replay, synthesis reports

The second half of the flow (`hao.flow` is the first). What it leaves in a run
directory is listed in `hao.report.run_files`.

torch, Brevitas and the parsers of the lint are optional, and torch takes seconds to
load, so what needs them is imported where it is used. Longer than other modules, since
the order of steps, and of what each leaves in the run, reads best in one place.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hao.arguments import take_fields
from hao.cost.evaluate import CostReport
from hao.emit.check import (
    Build,
    Replay,
    check_emitted,
    compile_project,
    find_ap_types,
    find_compiler,
    run_replay,
    run_simulation,
)
from hao.emit.check_input import check_match
from hao.emit.project import (
    Told,
    check_origin,
    check_project_target,
    render_project,
    write_project,
)
from hao.emit.steps import Table, make_table
from hao.emit.stored import frame_bytes, map_bytes, map_codes, step_maps
from hao.emit.weights import pruned_network
from hao.errors import ArgumentError, InputError, RefusedError, ToolError
from hao.factory import is_factory
from hao.files import held, write_files
from hao.handoff.compare import compare, render_comparison
from hao.handoff.load import load_report
from hao.ir.integer import IntegerNetwork
from hao.ir.integer_run import run_integer, run_integer_layers
from hao.ir.interpret import run_float
from hao.ir.network import Network
from hao.ir.picture import UNPREPARED, Preparation
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.model import load_buildable
from hao.quant.parameters import frame_parameters
from hao.quant.weights_file import load_integers, render_integers
from hao.report.design_file import FILE_NAME, load_design
from hao.report.hardware import (
    Emission,
    InvocationCycles,
    Quantization,
    SimulationResult,
    quantization_json,
    simulation_json,
)
from hao.report.records import (
    PROJECT_RECORDS,
    SCHEDULE_FILE,
    SIMULATION_FILE,
    SYNTHESIS_FILE,
    drop_records,
    keep_record,
    synthesis_json,
)
from hao.report.result import SearchResult
from hao.report.run_files import (
    EMITTED_FILE,
    EVALUATION_FILE,
    FLOAT_FILE,
    PROGRAM_FOLDER,
    PROJECT_FOLDER,
    QUANTIZATION_FILE,
    TRAINING_FOLDER,
    WEIGHTS_FILE,
    Evaluation,
    check_absent,
    held_run,
    load_evaluation,
    opened_run,
    recorded_frames,
    recorded_quantization,
    render_evaluation,
    run_integers,
)
from hao.zoo.registry import network_names

if TYPE_CHECKING:
    from hao.lint.finding import Finding
    from hao.quant.agreement import Agreement
    from hao.quant.dataset import Dataset
    from hao.quant.quant_net import QuantNet
    from hao.schedule.result import ScheduleFinding, ScheduleReport

Progress = Callable[[str], None]

TELL_SECONDS = 2
"""From one line about a long step to the next, at least [s]."""

DEFAULT_DATA = "digits"
"""Data set that comes with a dependency, so that everything works offline."""

RANDOM_WEIGHTS = "random"
"""Name of the seeded random weights, in place of a file."""

RECORDED_FRAMES = 4
"""Frames that a project's test bench carries with it (chosen here)."""

RANDOM_FRAMES = 2
"""The same with random weights, where frames mean nothing."""


class Method(Enum):
    """How integers are made."""

    PTQ = "ptq"
    """Calibration, equalisation and bias correction; no training."""
    QAT = "qat"
    """Training with the design's bits, from a calibrated start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeRequest:
    """What to quantize, and how.

    Attributes:
        run: Run directory.
        data: What `hao.quant.dataset.load_dataset` reads; `None` for the digits, or
            for no data with weights that a file quantized.
        weights: Float weights: a file that `hao.quant.weights` reads, an ONNX file, or
            `package.module:function` that makes a torch module; `None`
            takes the run's own, where its network was changed, or trains here.
            From a QONNX or QCDQ file its integers are taken as they are.
        method: PTQ or QAT.
        float_epochs: Of training in floating point; `None` for the default.
        epochs: Of quantization-aware training; `None` for the default.
        seed: Of all training, at least 0.
        force: Replace earlier integers.
        preparation: What pictures go through before the network reads them.
        labels: A file with the names of the network's outputs, a line each.
        bn_eps: What batch norms of `weights` add to variances, above 0; `None` for the
            default of the library that named them.
        mapping: As `hao.quant.weights.WeightSource` has it.

    Words stand for the members of enumerations, such as "ptq", and text for paths.

    Raises:
        ArgumentError: A field is of a type that it cannot take, the seed is negative,
            or `bn_eps` is not above 0.
    """

    run: Path
    data: str | None = None
    weights: Path | None = None
    method: Method = Method.QAT
    float_epochs: int | None = None
    epochs: int | None = None
    seed: int = 0
    force: bool = False
    preparation: Preparation = UNPREPARED
    labels: Path | None = None
    bn_eps: float | None = None
    mapping: Path | None = None

    def __post_init__(self) -> None:
        take_fields(self)
        _check_seed(self.seed)
        if self.bn_eps is not None and not 0 < self.bn_eps < 1:
            raise ArgumentError(f"`bn_eps` = {self.bn_eps:g}; must be from 0 to 1")


def quantize(request: QuantizeRequest, *, progress: Progress) -> Quantization:
    """Quantize a run's network to its design's bits and leave the integers in the run.

    Raises:
        InputError: Run, data or weights are wrong, or integers are there already.
        UnsupportedError: A layer cannot be quantized.
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    result, folder = opened_run(request.run)
    with held_run(folder) as run:
        check_absent(folder / WEIGHTS_FILE, force=request.force)
        quantized = _quantized(request, result, folder, progress)
        run.check()
        _leave_integers(folder, quantized)
    return quantized.quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantized:
    """Integers, what was found about them, and the frames and labels that it is of."""

    net: IntegerNetwork
    quantization: Quantization
    evaluation: Evaluation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedData:
    """A data set, the names of the network's outputs, and what must be known of it."""

    dataset: "Dataset"
    names: tuple[str, ...]
    notes: tuple[str, ...]


def _quantized(
    request: QuantizeRequest, result: SearchResult, folder: Path, progress: Progress
) -> _Quantized:
    """Return the integers of a run's network; only checkpoints are written."""
    from hao.quant.frame_scale import normalised_network
    from hao.quant.ptq import quantize_network
    from hao.quant.scheme import Scheme

    design = result.design
    request.preparation.check_channels(design.network.input.ofm.channels)
    if request.weights is not None and request.weights.suffix == ".onnx":
        network = _model_network(request.weights, design.network)
        if any(layer.weight is not None for layer in network.compute_layers):
            network = normalised_network(network, request.preparation)
            return _take_integers(request, result, network, progress)
    network, data = float_inputs(request, design.network, folder, progress)
    dataset = data.dataset
    network = pruned_network(network, design)
    scheme = Scheme(weight_bits=design.weight_bits, act_bits=design.engine.act_bits)
    progress("calibrating")
    model = quantize_network(
        network,
        scheme,
        dataset.train.frames,
        counted=_told("calibrating", "steps", progress),
    )
    if request.method is Method.QAT:
        model = _trained(request, model, dataset, folder, progress)
    return _measured(request, data, network, model, progress)


def float_inputs(
    request: QuantizeRequest, network: Network, folder: Path, progress: Progress
) -> tuple[Network, LoadedData]:
    """Return a network with float weights, loaded or trained here, and its data set.

    Args:
        request: Which data and weights.
        network: Layers.
        folder: Run directory, where checkpoints of the training lie.
        progress: Told of each step.

    Raises:
        InputError: Data or weights are wrong.
        UnsupportedError: A layer cannot be trained.
    """
    from hao.quant.frame_scale import folded_frames

    data = _data(request, network, progress)
    frames = data.dataset.train.frames
    network = _float_network(request, network, data.dataset, folder, progress)
    if not isinstance(frames, np.ndarray) and frame_parameters(network):
        network = folded_frames(network)
    return network, data


def _data(request: QuantizeRequest, network: Network, progress: Progress) -> LoadedData:
    """Return the data set of a request, and what must be known about it."""
    from hao.quant.class_names import load_class_names, named_outputs
    from hao.quant.dataset import load_dataset
    from hao.quant.train import check_fit

    outputs = network.output.ofm.elements
    names: tuple[str, ...] = ()
    if request.labels is not None:
        names = load_class_names(request.labels, outputs)
    fit = request.preparation.fit
    dataset = load_dataset(request.data or DEFAULT_DATA, network.input.ofm, fit)
    dataset, names = named_outputs(
        dataset, outputs, names, trained=request.weights is not None
    )
    check_fit(network, dataset)
    if not dataset.labelled and request.weights is None:
        raise InputError(
            f"data set {dataset.name!r} has no labels to train with; --weights FILE "
            "brings trained weights"
        )
    if not dataset.labelled and request.method is Method.QAT:
        raise InputError(
            f"data set {dataset.name!r} has no labels to train with; --method ptq "
            "calibrates without"
        )
    progress(
        f"data {dataset.name}: {len(dataset.train)} training, "
        f"{len(dataset.validation)} validation, {len(dataset.test)} test frames; "
        f"{request.preparation}"
    )
    notes = _data_notes(request, dataset)
    for note in notes:
        progress(f"note: {note}")
    return LoadedData(dataset=dataset, names=names, notes=notes)


def _trained(
    request: QuantizeRequest,
    model: "QuantNet",
    dataset: "Dataset",
    folder: Path,
    progress: Progress,
) -> "QuantNet":
    """Return a calibrated model after training with its bits."""
    from hao.quant.train import QUANTIZED_SETTINGS, accuracy_of_net, train_quantized

    top1 = 100 * accuracy_of_net(model, dataset.test)
    progress(f"post-training quantization: {top1:.2f} %")
    settings = replace(QUANTIZED_SETTINGS, seed=request.seed)
    if request.epochs is not None:
        settings = replace(settings, epochs=request.epochs)
    start = (settings, model.scheme, model.network, dataset)
    return train_quantized(
        model,
        dataset,
        settings,
        checkpoint=checkpoint_path(folder, "quantized", *start),
        progress=epoch_line("quantized", progress),
    )


def _measured(
    request: QuantizeRequest,
    data: LoadedData,
    network: Network,
    model: "QuantNet",
    progress: Progress,
) -> _Quantized:
    """Return the integers of a model, and how all forms do on the test frames."""
    from hao.quant.float_net import FloatNet
    from hao.quant.integers import (
        classes_of_integers,
        count_differences,
        integer_network,
    )
    from hao.quant.train import classes_of_net

    test, net = data.dataset.test, integer_network(model)
    floats, quantized = (
        classes_of_net(form, test, _told(word, "frames", progress))
        for form, word in (
            (FloatNet(network, batch_norm=False), "float"),
            (model, "quantized"),
        )
    )
    integers = classes_of_integers(
        net, test.frames, _told("integers", "frames", progress)
    )
    compared = _told("comparing every integer", "frames", progress)
    agreement = count_differences(model, net, test.frames, compared)
    labels = test.labels if data.dataset.labelled else None
    quantization = Quantization(
        network=network.name,
        data=data.dataset.name,
        method=request.method.value,
        frames=len(test),
        float_top1=_share(floats, labels),
        quantized_top1=_share(quantized, labels),
        integer_top1=_share(integers, labels),
        quantized_agreement=_share(quantized, floats),
        integer_agreement=_share(integers, floats),
        compared=agreement.total,
        differing=agreement.differences,
        notes=data.notes,
        preparation=request.preparation,
        classes=data.names,
    )
    count = recorded_frames(network.input.ofm)
    evaluation = Evaluation(
        codes=net.frame_codes(test.frames[:count]),
        labels=None if labels is None else labels[:count],
        float_class=floats[:count],
        quantized_class=quantized[:count],
    )
    return _Quantized(net=net, quantization=quantization, evaluation=evaluation)


def _told(word: str, unit: str, progress: Progress) -> Callable[[int, int], None]:
    """Return what tells of a long step, every few seconds."""
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            progress(f"{word}: {done} of {total} {unit}")

    return tell


def _data_notes(request: QuantizeRequest, dataset: "Dataset") -> tuple[str, ...]:
    """Return what a reader of the figures must know about the test frames."""
    notes: list[str] = []
    if request.weights is not None and dataset.drawn and dataset.labelled:
        notes.append(
            f"the weights come from {request.weights.name} and the test frames were "
            "drawn here from all frames: if the weights were trained with some of "
            "them, top-1 is too high. Folders train/ and test/ keep them apart"
        )
    if dataset.left_out:
        notes.append(
            f"{dataset.left_out} training frames that equal a test frame are left out"
        )
    if not dataset.labelled:
        notes.append(
            "the frames have no labels: agreement with the float network is what is "
            "measured"
        )
    return (*notes, *dataset.notes)


def _share(
    classes: NDArray[np.int64], labels: NDArray[np.int64] | None
) -> float | None:
    """Return how many classes are those of the labels [percent]; `None` without."""
    if labels is None:
        return None
    return 100 * float(np.mean(classes == labels))


def _model_network(path: Path, designed: Network) -> Network:
    """Return the network of a model file, at the image size of a design."""
    return load_buildable(path, image_size=designed.input.ofm.height).network


def _file_classes(
    network: Network, frames: NDArray[np.float32], size: int = 64
) -> NDArray[np.int64]:
    """Return the class of every frame as the file's own arithmetic has it."""
    outputs = [
        run_float(network, frames[start : start + size].astype(np.float64))
        for start in range(0, len(frames), size)
    ]
    return np.concatenate([part.reshape(len(part), -1).argmax(1) for part in outputs])


def _output_note(
    output: str,
    agreement: "Agreement",
    ours: NDArray[np.int64],
    theirs: NDArray[np.int64],
) -> str:
    """Return how far the outputs of a file and of its integers agree, in words."""
    return (
        f"{agreement.differing[output]} of {agreement.compared[output]} output codes "
        f"differ from the file's; the class agrees in {_share(ours, theirs):.2f} % of "
        "the frames"
    )


def _take_integers(
    request: QuantizeRequest,
    result: SearchResult,
    network: Network,
    progress: Progress,
) -> _Quantized:
    """Return the integers of a file that is quantized already."""
    from hao.quant.imported import count_rounding, imported_integers

    shape = result.design.network.input.ofm
    notes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    if request.data is not None:
        # Nothing is trained, so labels are not needed.
        ptq = replace(request, method=Method.PTQ)
        data = _data(ptq, result.design.network, progress)
        notes, names = data.notes, data.names
        count = recorded_frames(shape)
        frames = data.dataset.test.frames[:count]
        if data.dataset.labelled:
            labels = data.dataset.test.labels[:count]
    else:
        progress("no --data: frames are random, from 0 to 1")
        size = (RANDOM_FRAMES, shape.channels, shape.height, shape.width)
        frames = np.random.default_rng(request.seed).random(size, dtype=np.float32)
    imported = imported_integers(network, frames)
    check_match(result.design, imported.net)
    if imported.rounded:
        progress(
            f"{len(imported.rounded)} layers, such as {imported.rounded[0]}, may "
            "differ from the file by a rounding"
        )
    agreement = count_rounding(network, imported, frames)
    codes = imported.net.frame_codes(frames)
    outputs, best = _in_batches(imported.net, codes), _file_classes(network, frames)
    classes = outputs.reshape(len(outputs), -1).argmax(1)
    output = imported.net.network.output.name
    notes += (_output_note(output, agreement, classes, best),)
    quantized = integers = evaluation = None
    if labels is not None:
        quantized = _share(best, labels)
        integers = _share(classes, labels)
        evaluation = Evaluation(codes=codes, labels=labels, quantized_class=best)
    quantization = Quantization(
        network=network.name,
        data=request.data or "random frames",
        method="imported",
        frames=len(frames),
        float_top1=None,
        quantized_top1=quantized,
        integer_top1=integers,
        quantized_agreement=None,
        integer_agreement=_share(classes, best),
        compared=agreement.total,
        differing=agreement.differences,
        notes=notes,
        preparation=request.preparation,
        classes=names,
    )
    return _Quantized(
        net=imported.net, quantization=quantization, evaluation=evaluation
    )


def _leave_integers(folder: Path, found: _Quantized) -> None:
    """Leave integers and what was found about them in a run, all or nothing."""
    frames = None
    if found.evaluation is not None:
        frames = render_evaluation(found.evaluation)
    text = json.dumps(quantization_json(found.quantization), indent=1) + "\n"
    files: dict[str, bytes | None] = {
        EVALUATION_FILE: frames,
        QUANTIZATION_FILE: text.encode(),
        WEIGHTS_FILE: render_integers(found.net),
        **dict.fromkeys(PROJECT_RECORDS),
    }
    write_files(folder, files)


def _float_network(
    request: QuantizeRequest,
    network: Network,
    dataset: "Dataset",
    folder: Path,
    progress: Progress,
) -> Network:
    """Return the network with float weights: loaded, or trained here."""
    from hao.quant.frame_scale import normalised_network
    from hao.quant.train import FLOAT_SETTINGS, train_float

    weights = request.weights
    if weights is None and (folder / FLOAT_FILE).is_file():
        progress(f"float weights are the run's own, {FLOAT_FILE}")
        weights = folder / FLOAT_FILE
    if weights is not None:
        loaded = _loaded_network(request, weights, network, progress)
        return normalised_network(loaded, request.preparation)
    settings = replace(FLOAT_SETTINGS, seed=request.seed)
    if request.float_epochs is not None:
        settings = replace(settings, epochs=request.float_epochs)
    network = normalised_network(network, request.preparation)
    return train_float(
        network,
        dataset,
        settings,
        checkpoint=checkpoint_path(folder, "float", settings, network, dataset),
        progress=epoch_line("float", progress),
    )


def _loaded_network(
    request: QuantizeRequest, weights: Path, network: Network, progress: Progress
) -> Network:
    """Return the network with the float weights of a file, or of a module."""
    from hao.quant.float_net import with_parameters
    from hao.quant.weights import WeightSource, load_weights

    own = is_factory(str(weights)) and network.name not in network_names()
    if weights.suffix == ".onnx" or own:
        imported = _model_network(weights, network)
        try:
            return with_parameters(network, dict(imported.params))
        except InputError as error:
            raise InputError(f"{weights}: {error}") from error
    source = WeightSource(path=weights, eps=request.bn_eps, mapping=request.mapping)
    loaded = load_weights(network, source)
    for note in loaded.notes:
        progress(f"weights: {note}")
    return loaded.network


def checkpoint_path(folder: Path, word: str, *start: object) -> Path:
    """Return the file that keeps the state of a training.

    Another start (settings, bits, layers, parameters, data) has another file, so that
    one run may train again with other settings, and still resume.
    """
    from hao.quant.dataset import Dataset

    digest = hashlib.sha256()
    for part in start:
        if isinstance(part, Network):
            digest.update(repr(part.layers).encode())
            for key, array in sorted(part.params.items()):
                digest.update(key.encode() + array.tobytes())
        elif isinstance(part, Dataset):
            digest.update(part.train.fingerprint())
        else:
            digest.update(repr(part).encode())
    return folder / TRAINING_FOLDER / f"{word}-{digest.hexdigest()[:12]}.pt"


def epoch_line(word: str, progress: Progress) -> Callable[..., None]:
    """Return what tells of every epoch of a training."""
    from hao.quant.train import EpochReport

    def show(report: EpochReport) -> None:
        progress(
            f"{word} epoch {report.epoch}/{report.epochs}: loss {report.loss:.3f}, "
            f"{100 * report.accuracy:.2f} % of the validation frames"
        )

    return show


def export(run: Path, path: Path, *, force: bool) -> tuple[str, ...]:
    """Write a run's integer network as a QONNX file.

    Returns:
        Layers whose sums may exceed what single precision holds exactly.

    Raises:
        InputError: The run has no integers, or the file is there already.
        UnsupportedError: The network is not in power-of-two mode.
    """
    if path.is_dir():
        raise InputError(f"{path}: a directory; must be a file to write")
    from hao.quant.export import export_qonnx

    net = run_integers(opened_run(run)[1])
    return export_qonnx(net, path, force=force)


def emit(
    run: Path, *, weights: str | None = None, seed: int = 0, force: bool = False
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
    _check_seed(seed)
    result, folder = opened_run(run)
    with held_run(folder):
        return _emit(result, folder, weights=weights, seed=seed, force=force)


def _emit(
    result: SearchResult, folder: Path, *, weights: str | None, seed: int, force: bool
) -> Emission:
    """Render the project of an opened run that is held."""
    target = folder / PROJECT_FOLDER
    check_project_target(target, force=force)
    design = result.design
    if weights == RANDOM_WEIGHTS:
        net = seeded_integers(
            design.network,
            design.weight_bits,
            act_bits=design.engine.act_bits,
            seed=seed,
        )
        net = replace(net, network=pruned_network(net.network, design))
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
            frames = load_evaluation(evaluation, net).codes[:RECORDED_FRAMES]
        else:
            frames = seeded_frames(net, RANDOM_FRAMES, seed + 1)
            told = replace(told, note=f"{told.note} The recorded frames are random.")
    project = render_project(design, net, result.cost, frames, told=told)
    # The simulation compares with the integers, so others than the run's lie there too.
    beside = {} if weights is None else {EMITTED_FILE: render_integers(net)}
    write_project(project, target, force=force, beside=beside)
    drop_records(folder)
    return Emission(
        project=target,
        digest=project.digest,
        files=len(project.files),
        steps=len(project.table.steps),
        weights=told.note,
    )


def simulate(
    run: Path,
    *,
    build: Build = Build.NATIVE,
    images: int | None = None,
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
    if images is not None and images < 1:
        raise InputError(f"{images} images; must be at least 1")
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
    expected = _in_batches(net, frames)
    port, bits = design.board.port_bytes, design.engine.act_bits
    source = table.arena.maps[design.network.input.name]
    output = design.segments[-1].invocation.output_name
    stored = table.arena.maps[output]
    maps = b""
    if debug:
        names = frozenset(layer.name for layer in net.network.layers)
        maps = step_maps(
            table,
            run_integer_layers(net, frames[:1], names),
            port_bytes=port,
            act_bits=bits,
        )
    progress(f"simulating {len(frames)} frames")
    said = run_simulation(
        programs / build.value,
        project,
        frames=frame_bytes(
            frames,
            source,
            design=design,
            signed=net.maps[net.network.input.name].quant.signed,
        ),
        expected=map_bytes(expected, stored, port_bytes=port, act_bits=bits),
        maps=maps,
    )
    progress("replaying the cycles of one frame")
    compile_project(project, Build.TRACE, programs / Build.TRACE.value)
    replay = run_replay(programs / Build.TRACE.value, project, size_fifos=size_fifos)
    simulated = map_codes(
        said.outputs,
        stored,
        port_bytes=port,
        act_bits=bits,
        signed=net.maps[output].quant.signed,
    )
    simulated_result = SimulationResult(
        build=build.value,
        images=said.images,
        mismatches=said.mismatches,
        wrong_images=said.wrong_images,
        wrong_steps=said.wrong_steps if debug else None,
        cycles_model=result.cost.latency_cycles,
        cycles_replayed=replay.cycles,
        seconds=said.seconds,
        invocations=compared_cycles(
            result.cost,
            table,
            replay,
            double_buffered=design.engine.double_buffered,
        ),
        fifos=tuple(
            (fifo.name, fifo.depth, fifo.smallest)
            for fifo in replay.fifos
            if fifo.smallest is not None
        ),
        float_top1=evaluation.float_top1,
        quantized_top1=evaluation.quantized_top1,
        simulated_top1=_top1(simulated, labels),
        integer_top1=_top1(expected, labels),
        quantization=found,
        simulated_agreement=_top1(simulated, evaluation.float_class),
    )
    keep_record(folder, SIMULATION_FILE, simulation_json(simulated_result))
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


def lint_run(run: Path) -> dict[str, tuple["Finding", ...]]:
    """Return what the lint finds in a run's project, by tool generation.

    Raises:
        InputError: There is no project.
        ToolError: The parser or a C++ compiler is missing.
    """
    _check_installed("lint", "tree_sitter", "tree_sitter_cpp")
    from hao.lint.check import lint
    from hao.lint.finding import Tool

    project = opened_run(run)[1] / PROJECT_FOLDER
    check_emitted(project)
    return {tool.value: lint(project / "src", tool=tool) for tool in Tool}


def lint_schedule(run: Path) -> "tuple[ScheduleFinding, ...] | str":
    """Return what the schedule of a run's project shows; in words why it is unknown.

    Code that clang refuses is a finding.

    Raises:
        InputError: There is no project, or its script names no part or clock.
    """
    from hao.hls.compiler import find_clang
    from hao.schedule.ir import Place
    from hao.schedule.result import Rule, ScheduleFinding

    try:
        find_clang()
        return schedule_run(run).findings
    except ToolError as error:
        return str(error)
    except RefusedError as error:
        place = Place(error.path, error.line)
        return (ScheduleFinding(place, Rule.COMPILE.value, error.fault),)


def schedule_run(
    run: Path, *, clock_mhz: float | None = None, uncertainty: float | None = None
) -> "ScheduleReport":
    """Return what the pipelined loops of a project allow, and what they cost.

    Args:
        run: A run directory, or the folder of a project, edited by hand or not.
        clock_mhz: Clock instead of the project's [MHz].
        uncertainty: Share of the clock period that the logic may not use, between 0
            and 1; `None` for what the project's script and the tools set.

    Raises:
        InputError: There is no project, or it does not compile.
        ToolError: There is no clang, or llvmlite is missing.
    """
    _check_installed("lint", "llvmlite")
    from hao.report.schedule import schedule_json
    from hao.schedule.analyse import analyse_project
    from hao.schedule.project import SCRIPT, load_project

    project = run if (run / SCRIPT).is_file() else run / PROJECT_FOLDER
    if not (project / SCRIPT).is_file():
        project = opened_run(run)[1] / PROJECT_FOLDER
        check_emitted(project)
    report = analyse_project(
        load_project(project, clock_mhz=clock_mhz), uncertainty=uncertainty
    )
    own = project == run / PROJECT_FOLDER and clock_mhz is None and uncertainty is None
    if own and (run / FILE_NAME).is_file():
        keep_record(run, SCHEDULE_FILE, schedule_json(report))
    return report


def read_reports(run: Path, reports: list[Path]) -> str:
    """Return synthesis reports beside the run's predictions, as a table.

    Raises:
        InputError: A report cannot be read, or is for another device.
    """
    result = load_design(run)
    loaded = [load_report(path) for path in reports]
    rows = compare(result.design, result.cost, loaded)
    if result.run is not None:
        keep_record(result.run, SYNTHESIS_FILE, synthesis_json(rows))
    return render_comparison(rows)


def check_torch() -> None:
    """Check that what quantization needs is installed.

    Raises:
        ToolError: torch or Brevitas is not.
    """
    _check_installed("torch", "torch", "brevitas")


def _check_installed(extra: str, *packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ToolError(
            f"{missing[0]}: not installed; `pip install 'hao[{extra}]'` brings it",
            command=(missing[0],),
        )


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed {seed}; must be at least 0")


def _emitted_integers(folder: Path, project: Path) -> tuple[IntegerNetwork, bool]:
    """Return the integers that the run's project was emitted with; if its own."""
    check_emitted(project)
    other = project / EMITTED_FILE
    if other.is_file():
        return load_integers(other), False
    return run_integers(folder), True


def _check_weights(project: Path, table: Table) -> None:
    """Check that a project holds the packed weights that it was emitted with."""
    if _project_bytes(project, "weights/weights.bin") != table.weights.tobytes():
        raise InputError(
            f"{project / 'weights' / 'weights.bin'}: not what was emitted; "
            "`hao emit-hls --force` renders it anew"
        )


def _project_bytes(project: Path, name: str) -> bytes:
    try:
        return (project / name).read_bytes()
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
    data = np.frombuffer(_project_bytes(project, "tb/frames.bin"), dtype=np.uint8)
    size = source.beats * port
    if data.size == 0 or data.size % size:
        raise InputError(
            f"{project / 'tb' / 'frames.bin'}: {data.size} bytes; must be frames of "
            f"{size}. `hao emit-hls --force` renders it anew"
        )
    codes = map_codes(
        data.reshape(-1, size),
        source,
        port_bytes=port,
        act_bits=design.engine.act_bits,
        signed=net.maps[design.network.input.name].quant.signed,
    )
    return Evaluation(codes=codes)


def _in_batches(
    net: IntegerNetwork, frames: NDArray[np.int64], size: int = 64
) -> NDArray[np.int64]:
    parts = [
        run_integer(net, frames[start : start + size])
        for start in range(0, len(frames), size)
    ]
    return np.concatenate(parts)


def _top1(outputs: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float | None:
    if labels is None:
        return None
    best = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return 100 * float(np.mean(best == labels))
