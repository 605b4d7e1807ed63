"""Train every operation to make the map that the teacher's block makes (LANA).

Each one is trained by itself, on the maps that the teacher reads and makes there
(layer-wise feature-map distillation, Molchanov et al., arXiv:2107.10624, section 3.1):
the squared error relative to the spread of the teacher's map. A *pass* trains some
operations of every block side by side on one run of the teacher. What a pass trained is
kept in a file, so that a killed distillation goes on with the pass that it was in.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.distillation.pool import Params, Place, alone
from hao.errors import InputError
from hao.ir.layer import Layer
from hao.ir.network import Network
from hao.quant.checkpoint import read_checkpoint, write_checkpoint
from hao.quant.dataset import Split
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.modules import choose_device
from hao.quant.train import rate_share

SCHEMA = "hao.distillation/1"

Key = tuple[str, str]
"""Names of a block and of an operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """How operations are trained.

    Attributes:
        epochs: Passes over the frames for every operation, at least 1.
        learning_rate: Largest step of Adam.
        batch: Frames per step, at least 2.
        frames: Most training frames.
        side_by_side: Operations of every block that one pass trains, at least 1.
        seed: Of initial weights and of the order of the frames.

    Raises:
        InputError: A number outside these ranges.
    """

    epochs: int = 4
    learning_rate: float = 1e-2
    batch: int = 64
    frames: int = 10_000
    side_by_side: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.side_by_side) < 1 or min(self.batch, self.frames) < 2:
            raise InputError(
                f"distillation: epochs {self.epochs}, batch {self.batch}, frames "
                f"{self.frames}, side by side {self.side_by_side}; must be at least 1, "
                "2, 2 and 1"
            )
        if not 0 < self.learning_rate < 1:
            raise InputError(
                f"distillation: learning rate {self.learning_rate:g}; must be between "
                "0 and 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distilled:
    """Operations after training.

    Attributes:
        params: Of all their layers, batch norms folded in.
        errors: Squared error of each relative to the spread of the teacher's map.
    """

    params: Params
    errors: Mapping[Key, float]


def distill(
    network: Network,
    places: tuple[Place, ...],
    split: Split,
    settings: DistillSettings,
    *,
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Distilled:
    """Return all operations, each trained to do what its block does.

    Args:
        network: The teacher, with float parameters.
        places: Blocks with their operations.
        split: Frames; labels are not looked at.
        settings: How to train.
        folder: Where finished passes are kept and taken up from; `None` keeps none.
        progress: Told of every pass.

    Raises:
        InputError: Training diverges, or a kept pass is not readable.
    """
    params: dict[str, NDArray[np.generic]] = {}
    errors: dict[Key, float] = {}
    run = _run_name(network, places, split, settings)
    most = max(len(place.operations) for place in places)
    count = math.ceil(most / settings.side_by_side)
    for number in range(count):
        first = number * settings.side_by_side
        chosen = {
            (place.block.name, name): (place, layers)
            for place in places
            for name, layers in list(place.operations.items())[
                first : first + settings.side_by_side
            ]
        }
        path = None if folder is None else folder / f"{run[:12]}-{number:03}.pt"
        found = _kept(path, run)
        if found is None:
            found = _Pass(network, chosen, settings).run(split)
            _keep(path, run, found)
        params |= found[0]
        errors |= found[1]
        mean = sum(found[1].values()) / len(found[1])
        progress(
            f"distillation: pass {number + 1} of {count}, {len(chosen)} operations, "
            f"mean relative error {mean:.3f}"
        )
    return Distilled(params=MappingProxyType(params), errors=MappingProxyType(errors))


Found = tuple[dict[str, NDArray[np.generic]], dict[Key, float]]
"""Parameters and errors of a pass."""


class _Pass:
    """Operations that are trained side by side."""

    def __init__(
        self,
        network: Network,
        chosen: Mapping[Key, tuple[Place, tuple[Layer, ...]]],
        settings: DistillSettings,
    ) -> None:
        self._settings = settings
        self._device = choose_device()
        self._teacher = FloatNet(network, batch_norm=False).eval().to(self._device)
        self._ends = {
            key: (place.block.entry, place.block.result)
            for key, (place, _) in chosen.items()
        }
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self._nets = {
                key: FloatNet(alone(layers), batch_norm=True).to(self._device)
                for key, (_, layers) in chosen.items()
            }

    def run(self, split: Split) -> Found:
        """Train on the first frames of a split; return parameters and errors."""
        settings = self._settings
        count = min(len(split), settings.frames)
        batch = min(settings.batch, count)
        steps = max(1, count // batch)
        weights = [p for net in self._nets.values() for p in net.parameters()]
        optimizer = torch.optim.Adam(weights, lr=settings.learning_rate)
        errors = dict.fromkeys(self._nets, math.nan)
        for epoch in range(settings.epochs):
            order = np.random.default_rng((settings.seed, epoch)).permutation(count)
            totals = dict.fromkeys(self._nets, 0.0)
            for step in range(steps):
                share = rate_share(epoch * steps + step, steps * settings.epochs)
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * share
                taken = np.sort(order[step * batch : (step + 1) * batch])
                for key, error in self._step(split, taken, optimizer).items():
                    totals[key] += error
            errors = {key: total / steps for key, total in totals.items()}
        for (block, name), error in errors.items():
            if not math.isfinite(error):
                raise InputError(
                    f"distillation of {name!r} in the place of {block!r} diverged; "
                    f"lower the learning rate ({settings.learning_rate:g})"
                )
        params: dict[str, NDArray[np.generic]] = {}
        for net in self._nets.values():
            params |= folded_network(net.eval().cpu()).params
        return params, errors

    def _step(
        self, split: Split, taken: NDArray[np.int64], optimizer: torch.optim.Optimizer
    ) -> dict[Key, float]:
        """Take one step of all operations; return their errors before it."""
        maps = teacher_maps(
            self._teacher,
            torch.from_numpy(split.frames[taken].copy()).to(self._device),
            {name for ends in self._ends.values() for name in ends},
        )
        losses = {}
        for key, net in self._nets.items():
            entry, result = (maps[name] for name in self._ends[key])
            spread = result.var().clamp_min(1e-12)
            made = net.train().visit(entry, lambda layer, ofm: None)
            losses[key] = nn.functional.mse_loss(made, result) / spread
        optimizer.zero_grad()
        total = torch.stack(list(losses.values())).sum()
        total.backward()  # type: ignore[no-untyped-call] # torch has it untyped
        optimizer.step()
        return {key: float(loss.detach()) for key, loss in losses.items()}


def teacher_maps(net: FloatNet, frames: Tensor, names: set[str]) -> dict[str, Tensor]:
    """Return the maps that some layers of a net make of frames."""
    maps: dict[str, Tensor] = {}

    def see(layer: Layer, ofm: Tensor) -> None:
        if layer.name in names:
            maps[layer.name] = ofm

    with torch.no_grad():
        net.visit(frames, see)
    return maps


def _run_name(
    network: Network, places: tuple[Place, ...], split: Split, settings: DistillSettings
) -> str:
    """Return a digest of all that training starts from."""
    digest = hashlib.sha256(repr(sorted(asdict(settings).items())).encode())
    digest.update(repr(network.layers).encode())
    for key, array in sorted(network.params.items()):
        digest.update(key.encode() + array.tobytes())
    for place in places:
        digest.update(repr(sorted(place.operations.items())).encode())
    digest.update(split.fingerprint())
    return digest.hexdigest()


def _keep(path: Path | None, run: str, found: Found) -> None:
    params, errors = found
    state = {
        "params": {k: torch.from_numpy(v.copy()) for k, v in params.items()},
        "errors": [[*key, error] for key, error in errors.items()],
    }
    write_checkpoint(path, state, schema=SCHEMA, run=run)


def _kept(path: Path | None, run: str) -> Found | None:
    """Return what a finished pass trained, or `None` if it is not there."""
    state = read_checkpoint(path, schema=SCHEMA, run=run)
    if state is None:
        return None
    params = {k: v.cpu().numpy() for k, v in state["params"].items()}
    errors = {(block, name): error for block, name, error in state["errors"]}
    return params, errors
