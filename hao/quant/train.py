"""Training, in floating point or quantized: one loop, which resumes after a kill.

Adam with a cosine learning rate. The order of the frames depends only on the seed and
the epoch, so that a run which was stopped and resumed leaves the same weights as one
which was not (same machine, same number of threads). A checkpoint is written after
every epoch, first beside its place and then moved there.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import InputError
from hao.ir.network import Network
from hao.quant.checkpoint import read_checkpoint, write_checkpoint
from hao.quant.dataset import Dataset, Split
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.modules import LayerwiseModule, choose_device, class_scores
from hao.quant.normed import normed_net
from hao.quant.outputs import classes_of_net
from hao.quant.parameters import frame_parameters
from hao.quant.quant_net import QuantNet

CHECKPOINT_SCHEMA = "hao.training/1"

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises to its full value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train.

    Attributes:
        epochs: Passes over the training frames, at least 1.
        learning_rate: Largest step of Adam.
        batch: Frames per step, at least 2.
        weight_decay: Of AdamW, on all parameters.
        seed: Of the order of the frames and of the initial weights.
    """

    epochs: int
    learning_rate: float
    batch: int = 64
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise InputError(
                f"epochs = {self.epochs}, batch = {self.batch}; must be at least 1 "
                "and 2"
            )
        if not 0 < self.learning_rate < 1:
            raise InputError(
                f"learning rate = {self.learning_rate}; must be above 0 and below 1"
            )


FLOAT_SETTINGS = TrainSettings(epochs=20, learning_rate=5e-3)
QUANTIZED_SETTINGS = TrainSettings(epochs=8, learning_rate=4e-3)
"""What trains the digits in a minute; measured in tests/quant/test_digits.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch of training did.

    Attributes:
        epoch: Of `epochs`, from 1.
        epochs: How many there are.
        loss: Mean over the training frames.
        accuracy: Share of the validation frames that are classified correctly.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float


Progress = Callable[[EpochReport], None]


def ignore_progress(report: EpochReport) -> None:
    """Do nothing with the report of an epoch."""


def train_float(
    network: Network,
    dataset: Dataset,
    settings: TrainSettings = FLOAT_SETTINGS,
    *,
    checkpoint: Path | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Return the network with trained floating-point parameters.

    Args:
        network: Its parameters, if any, are where training starts.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.

    Raises:
        InputError: Data and network do not fit, or the checkpoint is of another run.
        UnsupportedError: A layer cannot be trained.
    """
    check_fit(network, dataset)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        net = FloatNet(network, batch_norm=True)
    run_epochs(net, dataset, settings, checkpoint=checkpoint, progress=progress)
    return folded_network(net)


def tune_float(
    network: Network,
    dataset: Dataset,
    settings: TrainSettings = FLOAT_SETTINGS,
    *,
    teacher: Teacher,
    checkpoint: Path | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Return a trained network after more training, from the outputs of a teacher.

    Args:
        network: Its parameters are where training starts; batch norms are put back.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        teacher: Whose outputs count beside the labels.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.

    Raises:
        InputError: Data and network do not fit, or the checkpoint is of another run.
        UnsupportedError: A layer cannot be trained.
    """
    check_fit(network, dataset)
    net = normed_net(network, dataset.train)
    run_epochs(
        net,
        dataset,
        settings,
        checkpoint=checkpoint,
        progress=progress,
        teacher=teacher,
    )
    return folded_network(net)


def train_quantized(
    model: QuantNet,
    dataset: Dataset,
    settings: TrainSettings = QUANTIZED_SETTINGS,
    *,
    checkpoint: Path | None = None,
    progress: Progress = ignore_progress,
    teacher: Teacher | None = None,
) -> QuantNet:
    """Return a Brevitas model after quantization-aware training.

    Weights and biases move; scales stay, so that the result is as legal as the start.
    Its `network` still has the float parameters that training started from.

    Args:
        model: Where training starts; it is left as it is.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.
        teacher: Whose outputs count beside the labels, if any.

    Raises:
        InputError: Data and network do not fit, or the checkpoint is of another run.
    """
    check_fit(model.network, dataset)
    net = model.copied()
    run_epochs(
        net,
        dataset,
        settings,
        checkpoint=checkpoint,
        progress=progress,
        teacher=teacher,
    )
    return net


def run_epochs(
    net: LayerwiseModule,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    checkpoint: Path | None,
    progress: Progress,
    teacher: Teacher | None = None,
) -> None:
    """Train a net, which the caller has just made, in place.

    Args:
        net: Trained in place.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.
        teacher: Whose outputs count beside the labels, if any.

    Raises:
        InputError: The checkpoint is unreadable or of another run.
    """
    run = _run_name(net, dataset, settings, teacher)
    state = read_checkpoint(checkpoint, schema=CHECKPOINT_SCHEMA, run=run)
    first = 0 if state is None else int(state["epoch"])
    each = steps_of(dataset.train, settings)
    training = Steps(
        net, dataset.train, settings, first=first * each, teacher=teacher, decays=True
    )
    if state is not None:
        training.restore(state)
    for epoch in range(first, settings.epochs):
        loss = sum(training.take(each)) / each
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged in epoch {epoch + 1}; bring the frames to about -1 "
                f"to 1, or train at less than {settings.learning_rate} or not at all"
            )
        kept = {"epoch": epoch + 1, **training.state()}
        write_checkpoint(checkpoint, kept, schema=CHECKPOINT_SCHEMA, run=run)
        accuracy = accuracy_of_net(net, dataset.validation)
        progress(
            EpochReport(
                epoch=epoch + 1, epochs=settings.epochs, loss=loss, accuracy=accuracy
            )
        )
    net.eval().cpu()


def steps_of(split: Split, settings: TrainSettings) -> int:
    """Return the steps of an epoch; a last partial batch is left out."""
    return max(1, len(split) // settings.batch)


class Steps:
    """Training of a net, step by step, in place.

    Args:
        net: What is trained.
        split: What it is trained on; a batch is read at a time.
        settings: Learning rate, batch and seed.
        first: Number of the first step: which batches come.
        teacher: Whose outputs count beside the labels, if any.
        penalty: What is added to the loss, if anything.
        decays: Whether the learning rate rises and falls over the epochs of the
            settings (`rate_share`); else it stays.
    """

    def __init__(
        self,
        net: LayerwiseModule,
        split: Split,
        settings: TrainSettings,
        *,
        first: int = 0,
        teacher: Teacher | None = None,
        penalty: Callable[[], Tensor] | None = None,
        decays: bool = False,
    ) -> None:
        self._net, self._split, self._settings = net, split, settings
        self._teacher, self._penalty, self._decays = teacher, penalty, decays
        self._device = choose_device()
        net.to(self._device).train()
        self._optimizer = torch.optim.AdamW(
            net.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._number, self._order = first, np.empty(0, dtype=np.int64)

    def state(self) -> dict[str, object]:
        """Return what the next step goes on from, but for the frames."""
        return {
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._net.load_state_dict(state["net"])
        self._optimizer.load_state_dict(dict(state["optimizer"]))

    def take(self, steps: int) -> Iterator[float]:
        """Train on, and yield each step's loss where its gradients are at hand."""
        self._net.train()
        each = steps_of(self._split, self._settings)
        for _ in range(steps):
            epoch, place = divmod(self._number, each)
            if self._decays:
                share = rate_share(self._number, each * self._settings.epochs)
                for group in self._optimizer.param_groups:
                    group["lr"] = self._settings.learning_rate * share
            if place == 0 or not self._order.size:
                generator = np.random.default_rng((self._settings.seed, epoch))
                self._order = generator.permutation(len(self._split))
            begin = place * self._settings.batch
            loss = self._loss(self._order[begin : begin + self._settings.batch])
            self._number += 1
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has it untyped
            yield float(loss.detach())
            self._optimizer.step()

    def _loss(self, chosen: NDArray[np.int64]) -> Tensor:
        """Return the loss of a batch, with gradients."""
        frames = torch.from_numpy(self._split.frames[chosen]).to(self._device)
        labels = torch.from_numpy(self._split.labels[chosen]).to(self._device)
        outputs = class_scores(self._net(frames))
        loss = nn.functional.cross_entropy(outputs, labels)
        if self._teacher is not None:
            loss = self._teacher.blended(loss, outputs, frames)
        return loss if self._penalty is None else loss + self._penalty()


def accuracy_of_net(net: LayerwiseModule, split: Split) -> float:
    """Return the share of frames that a net classifies correctly, from 0 to 1."""
    return float(np.mean(classes_of_net(net, split) == split.labels))


def check_fit(network: Network, dataset: Dataset) -> None:
    """Check that a network reads the frames and has an output per class.

    Raises:
        InputError: It does not.
    """
    if network.input.ofm != dataset.shape:
        raise InputError(
            f"data set {dataset.name!r}: frames of {dataset.shape}; network "
            f"{network.name!r} reads {network.input.ofm}; bring the frames to that size"
        )
    outputs = network.output.ofm.elements
    if max(outputs, 2) < dataset.classes:
        raise InputError(
            f"data set {dataset.name!r} has {dataset.classes} classes; network "
            f"{network.name!r} gives {outputs} outputs; leave classes out of the data"
        )


def rate_share(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine.

    Args:
        step: Which, from 0.
        steps: In all, at least 1.
    """
    rise = max(1, int(steps * _WARM_UP))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _run_name(
    net: LayerwiseModule,
    dataset: Dataset,
    settings: TrainSettings,
    teacher: Teacher | None,
) -> str:
    """Return a digest of all that training starts from."""
    digest = hashlib.sha256(repr(sorted(asdict(settings).items())).encode())
    digest.update(repr(net.network.layers).encode())
    states = [net.state_dict()]
    if teacher is not None:
        states.append(teacher.net.state_dict())
    for key, value in (item for state in states for item in state.items()):
        digest.update(key.encode())
        array: NDArray[np.float64] = value.detach().cpu().double().numpy()
        digest.update(array.tobytes())
    for key, scaling in sorted(frame_parameters(net.network).items()):
        digest.update(key.encode() + scaling.tobytes())
    digest.update(dataset.train.fingerprint())
    return digest.hexdigest()
