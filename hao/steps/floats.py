"""Data and float weights of a network: loaded, or trained here; for all steps.

torch takes seconds to load, so what needs it is imported where it is used.
"""

from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hao.answer.workers import Progress
from hao.arguments import AtLeast0, AtLeast1, take_fields
from hao.errors import ArgumentError, InputError
from hao.factory import is_factory
from hao.ir.network import Network
from hao.ir.picture import UNPREPARED, Preparation
from hao.model import load_buildable
from hao.quant.parameters import frame_parameters, parameters_named_as
from hao.runs.run_files import FLOAT_FILE
from hao.steps.common import checkpoint_path, epoch_line
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
class Source:
    """Which data and which float weights a step works with.

    Attributes:
        data: What `hao.quant.dataset.load_dataset` reads; `None` for the digits.
        weights: Float weights: a file that `hao.quant.weights` reads, an ONNX file, or
            `package.module:function` that makes a torch module; `None`
            takes those that a run or model file has, or trains here.
        float_epochs: Of training in floating point; `None` for the default.
        seed: Of all training, at least 0.
        preparation: What pictures go through before the network reads them.
        labels: A file with the names of the network's outputs, a line each.
        bn_eps: What batch norms of `weights` add to variances, above 0; `None` for the
            default of the library that named them.
        mapping: As `hao.quant.weights.WeightSource` has it.

    Words stand for the members of enumerations, such as "ptq", and text for paths.

    Raises:
        ArgumentError: A field is of a type that it cannot take, the seed is negative,
            `bn_eps` is not above 0, it or `mapping` is there without `weights`, or
            `float_epochs` with them.
    """

    data: str | None = None
    weights: Path | None = None
    float_epochs: AtLeast1 | None = None
    seed: AtLeast0 = 0
    preparation: Preparation = UNPREPARED
    labels: Path | None = None
    bn_eps: float | None = None
    mapping: Path | None = None

    def __post_init__(self) -> None:
        take_fields(self)
        if self.bn_eps is not None and not 0 < self.bn_eps < 1:
            raise ArgumentError(f"`bn_eps` = {self.bn_eps:g}; must be from 0 to 1")
        for word in ("bn_eps", "mapping"):
            if getattr(self, word) is not None and self.weights is None:
                raise ArgumentError(f"`{word}` belongs to `weights`; none were given")
        if self.weights is not None:
            self.check_untrained(str(self.weights))

    def check_untrained(self, holder: str) -> None:
        """Check that no training of float weights is asked for that are there.

        Raises:
            ArgumentError: It is.
        """
        if self.float_epochs is not None:
            raise ArgumentError(
                f"`float_epochs` = {self.float_epochs}: {holder} has float weights, "
                "which are not trained again; leave it out"
            )

    @property
    def named(self) -> dict[str, Any]:
        """Return data and weights as the keywords of a request that has them."""
        return {each.name: getattr(self, each.name) for each in fields(Source)}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeRequest(Source):
    """What to quantize, and how.

    Attributes:
        run: Run directory.
        method: PTQ or QAT.
        epochs: Of quantization-aware training; `None` for the default.
        force: Replace earlier integers.

    Without `data`, weights that a file quantized are taken with no data at all. From a
    QONNX or QCDQ file as `weights` its integers are taken as they are.

    Raises:
        ArgumentError: As `Source`, or `epochs` are asked of calibration alone.
    """

    run: Path
    method: Method = Method.QAT
    epochs: AtLeast1 | None = None
    force: bool = False

    def __post_init__(self) -> None:
        Source.__post_init__(self)
        if self.epochs is not None and self.method is Method.PTQ:
            raise ArgumentError(
                f"`epochs` = {self.epochs}: `method` = 'ptq' trains nothing; leave it "
                "out, or 'qat' trains"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedData:
    """A data set, the names of the network's outputs, and what must be known of it."""

    dataset: "Dataset"
    names: tuple[str, ...]
    notes: tuple[str, ...]


def float_inputs(
    source: Source,
    network: Network,
    folder: Path | None,
    progress: Progress,
    *,
    own: Path | None = None,
    labels_for: str = "",
) -> tuple[Network, LoadedData]:
    """Return a network with float weights, loaded or trained here, and its data set.

    Args:
        source: Which data and weights.
        network: Layers; its own parameters, if it has any, are what `source` may leave
            out.
        folder: Where checkpoints of the training lie; `None` keeps none.
        progress: Told of each step.
        own: Run directory whose float weights are taken, if it has some and `source`
            names none.
        labels_for: As for `loaded_data`.

    Raises:
        InputError: Data or weights are wrong.
        UnsupportedError: A layer cannot be trained.
    """
    from hao.quant.float_net import with_parameters
    from hao.quant.frame_scale import folded_frames, normalised_network

    weights = source.weights
    if weights is None and own is not None and (own / FLOAT_FILE).is_file():
        progress(f"float weights are the run's own, {FLOAT_FILE}")
        weights = own / FLOAT_FILE
    held = weights is not None or bool(network.params)
    if held:
        source.check_untrained(str(weights or network.name))
    data = loaded_data(source, network, progress, held=held, labels_for=labels_for)
    if weights is not None:
        network = _loaded_network(source, weights, network, progress)
    elif held:
        network = with_parameters(network, dict(network.params))
    network = normalised_network(network, source.preparation)
    if not held:
        network = _trained_network(source, network, data.dataset, folder, progress)
    frames = data.dataset.train.frames
    if not isinstance(frames, np.ndarray) and frame_parameters(network):
        network = folded_frames(network)
    return network, data


def loaded_data(
    source: Source,
    network: Network,
    progress: Progress,
    *,
    held: bool = True,
    labels_for: str = "",
) -> LoadedData:
    """Return the data set of a request, and what must be known about it.

    Args:
        source: Which data.
        network: What reads them.
        progress: Told what they are.
        held: Whether there are weights; else they are trained with the labels.
        labels_for: What else labels are needed for, and what to do without; empty if
            for nothing.

    Raises:
        InputError: They cannot be read, do not fit, or lack labels.
    """
    from hao.quant.class_names import load_class_names, named_outputs
    from hao.quant.dataset import load_dataset
    from hao.quant.frame_scale import check_unit_frames
    from hao.quant.train import check_fit

    outputs = network.output.ofm.elements
    names: tuple[str, ...] = ()
    if source.labels is not None:
        names = load_class_names(source.labels, outputs)
    fit = source.preparation.fit
    dataset = load_dataset(source.data or DEFAULT_DATA, network.input.ofm, fit)
    trained = source.weights is not None or bool(network.params)
    dataset, names = named_outputs(dataset, outputs, names, trained=trained)
    check_fit(network, dataset)
    for split in (dataset.train, dataset.test):
        if isinstance(split.frames, np.ndarray):
            check_unit_frames(split.frames, source.preparation)
    if not held and not labels_for:
        labels_for = "to train with; `weights` = FILE brings trained weights"
    if not dataset.labelled and labels_for:
        raise InputError(f"data set {dataset.name!r} has no labels {labels_for}")
    progress(
        f"data {dataset.name}: {len(dataset.train)} training, "
        f"{len(dataset.validation)} validation, {len(dataset.test)} test frames; "
        f"{source.preparation}"
    )
    notes = data_notes(source, dataset)
    for note in notes:
        progress(f"note: {note}")
    return LoadedData(dataset=dataset, names=names, notes=notes)


def data_notes(source: Source, dataset: "Dataset") -> tuple[str, ...]:
    """Return what a reader of the figures must know about the test frames."""
    notes: list[str] = []
    if source.weights is not None and dataset.drawn and dataset.labelled:
        notes.append(
            f"the weights come from {source.weights.name} and the test frames were "
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


def _trained_network(
    source: Source,
    network: Network,
    dataset: "Dataset",
    folder: Path | None,
    progress: Progress,
) -> Network:
    """Return a network with float weights that are trained here."""
    from hao.quant.train import FLOAT_SETTINGS, train_float

    settings = replace(FLOAT_SETTINGS, seed=source.seed)
    if source.float_epochs is not None:
        settings = replace(settings, epochs=source.float_epochs)
    progress("no weights: training the network in floating point")
    checkpoint = None
    if folder is not None:
        checkpoint = checkpoint_path(folder, "float", settings, network, dataset)
    return train_float(
        network,
        dataset,
        settings,
        checkpoint=checkpoint,
        progress=epoch_line("float", progress),
    )


def _loaded_network(
    source: Source, weights: Path, network: Network, progress: Progress
) -> Network:
    """Return the network with the float weights of a file, or of a module."""
    from hao.quant.float_net import with_parameters
    from hao.quant.weights import WeightSource, load_weights

    own = is_factory(str(weights)) and network.name not in network_names()
    if weights.suffix == ".onnx" or own:
        imported = model_network(weights, network)
        try:
            return with_parameters(network, parameters_named_as(imported, network))
        except InputError as error:
            raise InputError(f"{weights}: {error}") from error
    given = WeightSource(path=weights, eps=source.bn_eps, mapping=source.mapping)
    loaded = load_weights(network, given)
    for note in loaded.notes:
        progress(f"weights: {note}")
    return loaded.network


def model_network(path: Path, designed: Network) -> Network:
    """Return the network of a model file, at the image size of a design."""
    frame = designed.input.ofm
    return load_buildable(path, image_size=(frame.height, frame.width)).network
