"""From float weights to integers: calibrate, train with the design's bits, compare.

    run directory -> float weights -> Brevitas -> integers

What it leaves in a run directory is listed in `hao.runs.run_files`. torch takes
seconds to load, so what needs it is imported where it is used.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hao.answer.workers import Progress
from hao.arguments import takes_words
from hao.emission.check_input import check_match
from hao.emission.weights import pruned_network
from hao.errors import InputError
from hao.files import check_absent, write_files
from hao.frontends.model_file import load_model
from hao.ir.classes import classes_of
from hao.ir.integer import IntegerNetwork
from hao.ir.integer_run import run_integer
from hao.ir.interpret import run_float
from hao.ir.network import Network
from hao.page.files import renew_run_page
from hao.quant.weights_file import render_integers
from hao.report.hardware import Quantization, values_json
from hao.report.result import SearchResult
from hao.runs.records import PROJECT_RECORDS
from hao.runs.run_files import (
    EVALUATION_FILE,
    QUANTIZATION_FILE,
    WEIGHTS_FILE,
    Evaluation,
    held_run,
    opened_run,
    recorded_frames,
    render_evaluation,
    run_integers,
)
from hao.steps.common import (
    RANDOM_FRAMES,
    check_torch,
    checkpoint_path,
    epoch_line,
    in_batches,
    share,
    told,
)
from hao.steps.floats import (
    LoadedData,
    Method,
    QuantizeRequest,
    float_inputs,
    loaded_data,
    model_network,
)

if TYPE_CHECKING:
    from hao.quant.dataset import Dataset
    from hao.quant.imported import ImportedIntegers
    from hao.quant.quant_net import QuantNet


@takes_words
def quantize(
    request: QuantizeRequest, *, progress: Progress = lambda _: None
) -> Quantization:
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
        renew_run_page(folder)
    return quantized.quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantized:
    """Integers, what was found about them, and the frames and labels that it is of."""

    net: IntegerNetwork
    quantization: Quantization
    evaluation: Evaluation | None


def _quantized(
    request: QuantizeRequest, result: SearchResult, folder: Path, progress: Progress
) -> _Quantized:
    """Return the integers of a run's network; only checkpoints are written."""
    from hao.quant.ptq import PtqSettings, quantize_network
    from hao.quant.scheme import Scheme

    design = result.design
    request.preparation.check_channels(design.network.input.ofm.channels)
    if request.weights is not None and request.weights.suffix == ".onnx":
        network = model_network(request.weights, design.network)
        if any(layer.weight is not None for layer in network.compute_layers):
            return _take_integers(request, result, network, progress)
    labels_for = ""
    if request.method is Method.QAT:
        labels_for = "to train with; `method` = ptq calibrates without"
    network, data = float_inputs(
        request, design.network, folder, progress, own=folder, labels_for=labels_for
    )
    dataset = data.dataset
    network = pruned_network(network, design)
    scheme = Scheme(weight_bits=design.weight_bits, act_bits=design.engine.act_bits)
    progress("calibrating")
    model = quantize_network(
        network,
        scheme,
        dataset.train.frames,
        PtqSettings(fit_rounding=request.method is Method.PTQ),
        counted=told("calibrating", "steps", progress),
    )
    if request.method is Method.QAT:
        model = _trained(request, network, model, dataset, folder, progress)
    return _measured(request, data, network, model, progress)


def _trained(
    request: QuantizeRequest,
    network: Network,
    model: "QuantNet",
    dataset: "Dataset",
    folder: Path,
    progress: Progress,
) -> "QuantNet":
    """Return a calibrated model of a network after training with its bits.

    The float network is the teacher: its outputs count beside the labels.
    """
    from hao.quant.distill import teacher_of
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
        teacher=teacher_of(network),
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
    from hao.quant.outputs import classes_of_net, guess_note

    test, net = data.dataset.test, integer_network(model)
    floats, quantized = (
        classes_of_net(form, test, told(word, "frames", progress))
        for form, word in (
            (FloatNet(network, batch_norm=False), "float"),
            (model, "quantized"),
        )
    )
    integers = classes_of_integers(
        net, test.frames, told("integers", "frames", progress)
    )
    compared = told("comparing every integer", "frames", progress)
    agreement = count_differences(model, net, test.frames, compared)
    labels = test.labels if data.dataset.labelled else None
    guess = guess_note(network.name, floats, labels)
    quantization = Quantization(
        network=network.name,
        data=data.dataset.name,
        method=request.method.value,
        frames=len(test),
        float_top1=share(floats, labels),
        quantized_top1=share(quantized, labels),
        integer_top1=share(integers, labels),
        quantized_agreement=share(quantized, floats),
        integer_agreement=share(integers, floats),
        compared=agreement.total,
        differing=agreement.differences,
        notes=(*data.notes, *filter(None, (guess,))),
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


def _output_note(
    imported: "ImportedIntegers", ours: NDArray[np.int64], theirs: NDArray[np.float64]
) -> str:
    """Return how far the outputs of a file and of its integers agree, in words."""
    from hao.quant.imported import output_differences

    apart = output_differences(imported, ours, theirs)
    most = f", by {apart.max()} at most" if apart.any() else ""
    zero = imported.net.maps[imported.net.network.output.name].zero
    agree = share(classes_of(ours, zero=zero), classes_of(theirs))
    return (
        f"{np.count_nonzero(apart)} of {ours.size} output codes differ from the "
        f"file's{most}; the class agrees in {agree:.2f} % of the frames"
    )


def _take_integers(
    request: QuantizeRequest, result: SearchResult, network: Network, progress: Progress
) -> _Quantized:
    """Return the integers of a file that is quantized already."""
    from hao.quant.frame_scale import normalised_network
    from hao.quant.imported import count_rounding, imported_integers

    network = normalised_network(network, request.preparation)
    assert request.weights is not None
    shape = result.design.network.input.ofm
    # Outputs are compared with those of the file, before anything was respelled.
    pixels = (shape.height, shape.width)
    file = load_model(request.weights, image_size=pixels).network
    file = normalised_network(file, request.preparation)
    notes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    if request.data is not None:
        data = loaded_data(request, result.design.network, progress)
        notes, names = data.notes, data.names
        count = recorded_frames(shape)
        frames = data.dataset.test.frames[:count]
        if data.dataset.labelled:
            labels = data.dataset.test.labels[:count]
    else:
        progress("no data: frames are random, from 0 to 1")
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
    outputs = in_batches(partial(run_integer, imported.net), codes)
    theirs = in_batches(lambda part: run_float(file, part.astype(np.float64)), frames)
    zero = imported.net.maps[imported.net.network.output.name].zero
    classes, best = classes_of(outputs, zero=zero), classes_of(theirs)
    notes += (_output_note(imported, outputs, theirs),)
    quantized = integers = evaluation = None
    if labels is not None:
        quantized = share(best, labels)
        integers = share(classes, labels)
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
        integer_agreement=share(classes, best),
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
    text = json.dumps(values_json(found.quantization), indent=1) + "\n"
    files: dict[str, bytes | None] = {
        EVALUATION_FILE: frames,
        QUANTIZATION_FILE: text.encode(),
        WEIGHTS_FILE: render_integers(found.net),
        **dict.fromkeys(PROJECT_RECORDS),
    }
    write_files(folder, files)


@takes_words
def export(run: Path, path: Path, *, force: bool = False) -> tuple[str, ...]:
    """Write a run's integer network as a QONNX file.

    Returns:
        Layers whose sums may exceed what single precision holds exactly.

    Raises:
        InputError: The run has no integers, or the file is there already.
        UnsupportedError: A map's scale is no power of two.
    """
    if path.is_dir():
        raise InputError(f"{path}: a directory; must be a file to write")
    from hao.quant.export import export_qonnx

    net = run_integers(opened_run(run)[1])
    return export_qonnx(net, path, force=force)
