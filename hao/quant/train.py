"""Training, in floating point or quantized: one loop, which resumes after a kill.

Adam with a cosine learning rate. The order of the frames depends only on the seed and
the epoch, so that a run which was stopped and resumed leaves the same weights as one
which was not (same machine, same number of threads). A checkpoint is written after
every epoch, first beside its place and then moved there.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import InputError
from hao.ir.network import Network
from hao.quant.checkpoint import read_checkpoint, write_checkpoint
from hao.quant.counted import Counted, batch_size, uncounted
from hao.quant.dataset import Dataset, Split
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.modules import LayerwiseModule, choose_device, class_scores
from hao.quant.parameters import frame_parameters
from hao.quant.quant_net import QuantNet

CHECKPOINT_SCHEMA = "hao.training/1"

EVALUATION_BATCH = 256
"""Frames evaluated at a time, at most."""

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
        smoothing: Of the labels, 0 to below 1.
        seed: Of the order of the frames and of the initial weights.
    """

    epochs: int
    learning_rate: float
    batch: int = 64
    weight_decay: float = 1e-4
    smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise InputError(
                f"epochs = {self.epochs}, batch = {self.batch}; must be at least 1 "
                "and 2"
            )
        if not 0 < self.learning_rate < 1 or not 0 <= self.smoothing < 1:
            raise InputError(
                f"learning rate = {self.learning_rate}, smoothing = {self.smoothing}; "
                "must be above 0, from 0, and both below 1"
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
    net = QuantNet(model.network, model.scheme, model.scales)
    net.load_state_dict({k: v.cpu() for k, v in model.state_dict().items()})
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
    device = choose_device()
    run = _run_name(net, dataset, settings, teacher)
    net.to(device)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    first = 0
    if checkpoint is not None and checkpoint.exists():
        first = _resumed(checkpoint, run, net, optimizer)
    for epoch in range(first, settings.epochs):
        loss = _run_epoch(
            net, optimizer, dataset.train, settings, epoch=epoch, teacher=teacher
        )
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged in epoch {epoch + 1}; bring the frames to about -1 "
                f"to 1, or train at less than {settings.learning_rate} or not at all"
            )
        if checkpoint is not None:
            _save(checkpoint, run, net, optimizer, epoch + 1)
        accuracy = accuracy_of_net(net, dataset.validation)
        progress(
            EpochReport(
                epoch=epoch + 1, epochs=settings.epochs, loss=loss, accuracy=accuracy
            )
        )
    net.eval().cpu()


def _run_epoch(
    net: LayerwiseModule,
    optimizer: torch.optim.Optimizer,
    data: Split,
    settings: TrainSettings,
    *,
    epoch: int,
    teacher: Teacher | None,
) -> float:
    """Train for one epoch and return the mean loss; a last partial batch is left out.

    Args:
        net: Trained in place.
        optimizer: Of its parameters.
        data: What it is trained on; a batch is read at a time.
        settings: How to train.
        epoch: From 0.
        teacher: Whose outputs count beside the labels, if any.
    """
    net.train()
    device = next(net.parameters()).device
    order = np.random.default_rng((settings.seed, epoch)).permutation(len(data))
    steps = max(1, len(data) // settings.batch)
    total = 0.0
    for step in range(steps):
        share = rate_share(epoch * steps + step, steps * settings.epochs)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        chosen = order[step * settings.batch : (step + 1) * settings.batch]
        frames = torch.from_numpy(data.frames[chosen]).to(device)
        labels = torch.from_numpy(data.labels[chosen]).to(device)
        loss = loss_of(net, frames, labels, settings, teacher)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has it untyped
        optimizer.step()
        total += float(loss.detach())
    return total / steps


def loss_of(
    net: LayerwiseModule,
    frames: Tensor,
    labels: Tensor,
    settings: TrainSettings,
    teacher: Teacher | None,
) -> Tensor:
    """Return the loss of a batch, with gradients."""
    outputs = class_scores(net(frames))
    loss = nn.functional.cross_entropy(
        outputs, labels, label_smoothing=settings.smoothing
    )
    return loss if teacher is None else teacher.blended(loss, outputs, frames)


def accuracy_of_net(net: LayerwiseModule, split: Split) -> float:
    """Return the share of frames that a net classifies correctly, from 0 to 1."""
    return float(np.mean(classes_of_net(net, split) == split.labels))


def classes_of_net(
    net: LayerwiseModule, split: Split, counted: Counted = uncounted
) -> NDArray[np.int64]:
    """Return the class that a net gives every frame, shape (frames,)."""
    net.eval()
    parameter = next(net.parameters())
    found = np.empty(len(split), dtype=np.int64)
    with torch.no_grad():
        size = batch_size(net.network, EVALUATION_BATCH)
        for start in range(0, len(split), size):
            chosen = slice(start, start + size)
            batch = torch.from_numpy(split.frames[chosen].copy())
            scores = class_scores(net(batch.to(parameter.device, parameter.dtype)))
            found[chosen] = scores.argmax(1).cpu().numpy()
            counted(start + len(batch), len(split))
    return found


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
        digest.update(repr((teacher.share, teacher.temperature)).encode())
        states.append(teacher.net.state_dict())
    for key, value in (item for state in states for item in state.items()):
        digest.update(key.encode())
        array: NDArray[np.float64] = value.detach().cpu().double().numpy()
        digest.update(array.tobytes())
    for key, scaling in sorted(frame_parameters(net.network).items()):
        digest.update(key.encode() + scaling.tobytes())
    digest.update(dataset.train.fingerprint())
    return digest.hexdigest()


def _save(
    path: Path,
    run: str,
    net: LayerwiseModule,
    optimizer: torch.optim.Optimizer,
    epoch: int,
) -> None:
    state = {
        "schema": CHECKPOINT_SCHEMA,
        "run": run,
        "epoch": epoch,
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    write_checkpoint(path, state)


def _resumed(
    path: Path, run: str, net: LayerwiseModule, optimizer: torch.optim.Optimizer
) -> int:
    """Load a checkpoint and return how many epochs it has behind it."""
    device = next(net.parameters()).device
    state = read_checkpoint(path, schema=CHECKPOINT_SCHEMA, run=run, device=device)
    net.load_state_dict(state["net"])
    net.to(device)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])
