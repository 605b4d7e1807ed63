"""Data and float weights of a run's network: loaded, or trained here.

torch takes seconds to load, so what needs it is imported where it is used.
"""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hao.arguments import take_fields
from hao.errors import ArgumentError, InputError
from hao.factory import is_factory
from hao.ir.network import Network
from hao.ir.picture import UNPREPARED, Preparation
from hao.model import load_buildable
from hao.quant.parameters import frame_parameters
from hao.report.run_files import (
    FLOAT_FILE,
)
from hao.steps.common import Progress, check_seed, checkpoint_path, epoch_line
from hao.zoo.registry import network_names

if TYPE_CHECKING:
    from hao.quant.dataset import Dataset


DEFAULT_DATA = "digits"
"""Data set that comes with a dependency, so that everything works offline."""


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
        check_seed(self.seed)
        if self.bn_eps is not None and not 0 < self.bn_eps < 1:
            raise ArgumentError(f"`bn_eps` = {self.bn_eps:g}; must be from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedData:
    """A data set, the names of the network's outputs, and what must be known of it."""

    dataset: "Dataset"
    names: tuple[str, ...]
    notes: tuple[str, ...]


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

    data = loaded_data(request, network, progress)
    frames = data.dataset.train.frames
    network = _float_network(request, network, data.dataset, folder, progress)
    if not isinstance(frames, np.ndarray) and frame_parameters(network):
        network = folded_frames(network)
    return network, data


def loaded_data(
    request: QuantizeRequest, network: Network, progress: Progress
) -> LoadedData:
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
    notes = data_notes(request, dataset)
    for note in notes:
        progress(f"note: {note}")
    return LoadedData(dataset=dataset, names=names, notes=notes)


def data_notes(request: QuantizeRequest, dataset: "Dataset") -> tuple[str, ...]:
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
        imported = model_network(weights, network)
        try:
            return with_parameters(network, dict(imported.params))
        except InputError as error:
            raise InputError(f"{weights}: {error}") from error
    source = WeightSource(path=weights, eps=request.bn_eps, mapping=request.mapping)
    loaded = load_weights(network, source)
    for note in loaded.notes:
        progress(f"weights: {note}")
    return loaded.network


def model_network(path: Path, designed: Network) -> Network:
    """Return the network of a model file, at the image size of a design."""
    return load_buildable(path, image_size=designed.input.ofm.height).network
