"""A network with its parameters and frames: all that measuring a scheme needs.

`network_under` is the one place that says what a scheme does to the float network, and
`evaluate` how the outcome is measured.
"""

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.distillation.choose import statistics_with
from hao.distillation.pool import Params, assembled
from hao.emission.weights import pruned_network, stage_words
from hao.engine.design import Design
from hao.errors import HaoError, InputError, UnsupportedError
from hao.ir.blocks import Block, residual_blocks
from hao.ir.change import (
    Scheme,
    bits_of,
    densities_of,
    kept_channels,
    left_out,
    replaced,
)
from hao.ir.channels import channel_groups, without_channels
from hao.ir.layer import Layer
from hao.ir.network import Network
from hao.ir.parts import replaceable_blocks
from hao.ir.sparsity import with_densities
from hao.measure.sample import Part, Result, Sample, Trial
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet
from hao.quant.modules import choose_device
from hao.quant.outputs import cross_entropy, divergence, guess_note, log_probabilities
from hao.quant.ptq import PtqSettings, quantize_network
from hao.quant.quant_net import QuantNet
from hao.quant.scheme import Scheme as QuantScheme
from hao.quant.statistics import with_statistics
from hao.quant.train import QUANTIZED_SETTINGS, check_fit, train_quantized

Floats = NDArray[np.float64]

CALIBRATION_FRAMES = 256
"""Training frames that calibrate, and that batch statistics are of (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFrames:
    """Frames that schemes are measured on.

    Attributes:
        frames: float32 of shape (frames, channels, height, width).
        labels: Shape (frames,).
        exact: Logarithms of the probabilities that the float network gives, shape
            (frames, classes).
        unseen: How many of them, from the first on, no weights were trained with. What
            is right or wrong is counted on these alone: a trained network is right on
            what it was trained with, and what it loses there is not what it loses
            elsewhere.
    """

    frames: NDArray[np.float32]
    labels: NDArray[np.int64]
    exact: Floats
    unseen: int

    @property
    def top1(self) -> float:
        """Return the top-1 of the float network on the unseen frames [percent]."""
        right = self.exact.argmax(1) == self.labels
        return 100 * float(np.mean(right[: self.unseen]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What schemes are measured on.

    Attributes:
        networks: The float network as it runs at a width of the activations.
        calibration: Training frames that post-training quantization looks at.
        parts: Frames by what they are for.
        dataset: Of which the frames are; trained on where a trial has epochs.
        words: Design whose stages say what the words of a layer hold; `None` where no
            scheme prunes any.
        operations: Parameters of what may stand in the place of blocks, by
            "layer.weight" and "layer.bias".
    """

    networks: Mapping[int, Network]
    calibration: NDArray[np.float32]
    parts: Mapping[Part, MeasuredFrames]
    dataset: Dataset
    words: Design | None = None
    operations: Params = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """Return the float network at its widest activations."""
        return self.networks[max(self.networks)]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what must be known of the float network; nothing, as a rule."""
        search = self.parts[Part.SEARCH]
        labels = search.labels[: search.unseen] if self.dataset.labelled else None
        classes = search.exact.argmax(1)[: search.unseen]
        note = guess_note(self.network.name, classes, labels)
        return (note,) if note else ()

    def about(self) -> dict[str, str]:
        """Return digests of what measurements are of, by name."""
        data = hashlib.sha256()
        for split in (self.dataset.train, self.dataset.validation, self.dataset.test):
            data.update(split.fingerprint())
        search = self.parts[Part.SEARCH]
        data.update(search.frames.tobytes() + self.calibration.tobytes())
        more = {}
        if self.words is not None:
            words = {n: (w.count, w.pe) for n, w in stage_words(self.words).items()}
            more["words"] = hashlib.sha256(repr(words).encode()).hexdigest()[:16]
        if self.operations:
            more["operations"] = _digest_of(self.operations)
        return more | {
            "network": _digest(self.network, parameters=False),
            "parameters": _digest(self.network, parameters=True),
            "data set": f"{self.dataset.name} {data.hexdigest()[:16]}",
        }


def _digest(network: Network, *, parameters: bool) -> str:
    params = network.params if parameters else {}
    return f"{network.name} {_digest_of(params, repr(network.layers))}"


def _digest_of(params: Params, layers: str = "") -> str:
    digest = hashlib.sha256(layers.encode())
    for key, array in sorted(params.items()):
        digest.update(key.encode() + array.tobytes())
    return digest.hexdigest()[:16]


def make_subject(
    networks: Mapping[int, Network],
    dataset: Dataset,
    *,
    calibration: int = CALIBRATION_FRAMES,
    search: int = 1024,
) -> Subject:
    """Return a subject with its frames divided.

    Post-training quantization looks at the first training frames. Schemes are chosen by
    the validation frames, which no weights of hao were trained with, and by training
    frames after those, as LANA does. The test frames are for the last word alone.

    Without labels, the classes of the float network stand in their place: top-1 is then
    the agreement with it.

    Args:
        networks: With float parameters, by the width of the activations.
        dataset: Frames.
        calibration: Training frames that calibrate, at least 1.
        search: Frames that schemes are chosen by, at least 1, as far as there are.

    Raises:
        InputError: A number is below 1, the data do not fit the network, or its
            outputs are not finite or the same for all frames.
    """
    if calibration < 1 or search < 1:
        raise InputError(
            f"{calibration} calibration and {search} search frames; must be at least 1"
        )
    for network in networks.values():
        check_fit(network, dataset)
    net = FloatNet(networks[max(networks)], batch_norm=False)
    train, held = dataset.train, dataset.validation
    more = train.frames[calibration : calibration + max(0, search - len(held))]
    frames = np.concatenate([held.frames[:search], more])
    labels = np.concatenate([held.labels[:search], train.labels[calibration:]])
    test = dataset.test
    parts = {
        Part.SEARCH: (frames, labels[: len(frames)], min(len(held), search)),
        Part.TEST: (test.frames[:], test.labels, len(test)),
    }
    subject = Subject(
        networks=dict(networks),
        calibration=train.frames[:calibration],
        parts={
            part: _frames(net, some, given if dataset.labelled else None, unseen)
            for part, (some, given, unseen) in parts.items()
        },
        dataset=dataset,
    )
    _check_outputs(subject)
    return subject


def _check_outputs(subject: Subject) -> None:
    """Check that the float network's outputs tell frames apart."""
    name = subject.network.name
    exact = subject.parts[Part.SEARCH].exact
    if len(exact) > 1 and not np.ptp(exact, axis=0).any():
        raise InputError(
            f"network {name!r}: its outputs are the same for all {len(exact)} frames, "
            "so that nothing can be measured; are the weights its own, and the frames "
            "prepared as in its training?"
        )


def _frames(
    net: FloatNet,
    frames: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    unseen: int,
) -> MeasuredFrames:
    exact = log_probabilities(net, frames)
    given = exact.argmax(1).astype(np.int64) if labels is None else labels
    return MeasuredFrames(frames=frames, labels=given, exact=exact, unseen=unseen)


def network_under(subject: Subject, network: Network, scheme: Scheme) -> Network:
    """Return a float network with the changes of a scheme but for its bits.

    Channels go first, blocks next, then the words of least energy of what is left, as
    in the network that a design of the scheme runs. Batch statistics are estimated anew
    on the calibration frames.

    Args:
        subject: What a word is, and the parameters of operations.
        network: With float parameters: one of the subject's, or equalized.
        scheme: Of its layers and blocks.

    Raises:
        InputError: The scheme names a block that may not be left out, or channels that
            the network does not have.
        UnsupportedError: It replaces operations that were not trained, or prunes words
            of which nobody said what they hold.
    """
    kept, dense = kept_channels(scheme), densities_of(scheme)
    if not (kept or dense or left_out(scheme) or replaced(scheme)):
        return network
    chosen = _chosen(subject, network, scheme)
    left = without_channels(network, kept) if kept else network
    if chosen:
        left = assembled(left, chosen, subject.operations)
    if dense:
        if subject.words is None:
            raise UnsupportedError(
                f"layer {next(iter(dense))!r}: keeps a part of its words, and no "
                "design says what a word holds; handled: bits, channels and blocks"
            )
        left = with_densities(left, dense)
        left = pruned_network(left, subject.words, dense)
    statistics = dict(
        statistics_with(network, chosen, subject.operations, subject.calibration)
    )
    for group in channel_groups(network):
        if group.name not in kept:
            continue
        index = np.array(kept[group.name], dtype=np.int64)
        for layer in (*group.makers, *group.passing):
            mean, spread = statistics[layer]
            statistics[layer] = mean[index], spread[index]
    return with_statistics(left, statistics, subject.calibration)


def _chosen(
    subject: Subject, network: Network, scheme: Scheme
) -> dict[Block, tuple[Layer, ...]]:
    """Return the layers in the place of blocks; none leaves a block out."""
    instead: dict[str, tuple[Layer, ...]] = {name: () for name in left_out(scheme)}
    for name, change in replaced(scheme).items():
        missing = change.bits.keys() - {
            key.rpartition(".")[0] for key in subject.operations
        }
        if missing:
            raise UnsupportedError(
                f"block {name!r}: operation {change.operation!r} has no trained "
                "weights; handled: bits, channels, words, and blocks left out"
            )
        instead[name] = change.layers
    if not instead:
        return {}
    blocks = {block.name: block for block in residual_blocks(network)}
    if not instead.keys() <= blocks.keys():
        blocks |= {block.name: block for block in replaceable_blocks(network)}
    if unknown := [name for name in instead if name not in blocks]:
        raise InputError(
            f"scheme: network {network.name!r} has no block {unknown[0]!r} that may "
            "be left out or replaced"
        )
    return {blocks[name]: layers for name, layers in instead.items()}


def weight_bits(scheme: Scheme) -> dict[str, int]:
    """Return the weight bits by layer of a scheme, those of its operations too."""
    found = bits_of(scheme)
    for change in replaced(scheme).values():
        found |= bits_of(change.bits)
    return found


def quantized(subject: Subject, trial: Trial) -> QuantNet:
    """Return the Brevitas model of a trial.

    Raises:
        InputError: The scheme is of another network, or training diverges.
        UnsupportedError: A layer that cannot be quantized.
    """
    whole = subject.networks.get(trial.act_bits)
    if whole is None:
        raise InputError(
            f"activations of {trial.act_bits} bits; this subject has "
            f"{', '.join(map(str, sorted(subject.networks)))}"
        )
    network = network_under(subject, whole, trial.scheme)
    names = {layer.name for layer in network.compute_layers}
    bits = {n: b for n, b in weight_bits(trial.scheme).items() if n in names}
    model = quantize_network(
        network,
        QuantScheme(weight_bits=bits, act_bits=trial.act_bits),
        subject.calibration,
        PtqSettings(frames=len(subject.calibration), fit_rounding=trial.epochs == 0),
    )
    if trial.epochs == 0:
        return model
    settings = replace(QUANTIZED_SETTINGS, epochs=trial.epochs, seed=trial.seed)
    exact = FloatNet(whole, batch_norm=False).eval().to(choose_device())
    teacher = Teacher(net=exact, labels=subject.dataset.labelled)
    return train_quantized(model, subject.dataset, settings, teacher=teacher)


def evaluate(subject: Subject, trial: Trial) -> Sample:
    """Return what a trial comes to: the unit of work that workers do.

    A scheme that cannot be measured is a sample without a result.
    """
    started = time.perf_counter()
    part = subject.parts[trial.part]
    try:
        outputs = log_probabilities(quantized(subject, trial), part.frames)
    except HaoError as error:
        return Sample(trial=trial, result=None, failure=str(error))
    unseen = part.unseen
    loss = cross_entropy(outputs[:unseen], part.labels[:unseen])
    apart = divergence(part.exact, outputs)
    if not (math.isfinite(loss) and math.isfinite(apart)):
        return Sample(trial=trial, result=None, failure="its loss is not finite")
    classes = outputs.argmax(1)[:unseen]
    return Sample(
        trial=trial,
        result=Result(
            frames=unseen,
            top1=100 * float(np.mean(classes == part.labels[:unseen])),
            loss=loss,
            divergence=apart,
            agreement=100 * float(np.mean(classes == part.exact.argmax(1)[:unseen])),
            seconds=time.perf_counter() - started,
        ),
    )
