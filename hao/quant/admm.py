"""Training towards pruned weights: the weights and their pruned copies, split by ADMM.

    min L(W) + g(Z)  so that  W = Z,    g(Z) = 0 where Z keeps the frame time, else far

    Z <- projection of W + U:  the pruned weights nearest to W + U that keep the time
    U <- U + W - Z
    W <- steps of training on L(W) + sum over layers of p/2 ||W - Z + U||^2

Which weights a projection keeps is the caller's affair: a choice of densities under a
limit on cycles, hence an integer program. The penalty p of a layer is in units of the
loss per square of its weights; layers whose weights differ in scale have their own.

Source: Boyd et al., Distributed Optimization and Statistical Learning via the
Alternating Direction Method of Multipliers (2011), sections 3.1.1 and 9; for pruning
under a limit on latency ALCS (Zhao et al., arXiv:2109.00170), whose updates are not
known here in detail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.quant.checkpoint import read_checkpoint, write_checkpoint
from hao.quant.dataset import Split
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet
from hao.quant.modules import doubles
from hao.quant.normed import settle_norms
from hao.quant.saliency import layer_weight
from hao.quant.train import Steps, TrainSettings

SCHEMA = "hao.admm/1"

Arrays = Mapping[str, NDArray[np.float64]]
"""Weights by layer."""

Masks = Mapping[str, NDArray[np.bool_]]
"""Which weights stay, by layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """How weights are trained towards their projections.

    Attributes:
        rounds: Projections with training behind them, at least 1.
        steps: Of training behind each, at least 1.
        training: Learning rate, batch and seed.
        penalties: p of each layer that may be pruned.
        checkpoint: File that keeps the state after every round, and from which a killed
            training goes on; `None` keeps none.
    """

    rounds: int
    steps: int
    training: TrainSettings
    penalties: Mapping[str, float]
    checkpoint: Path | None = None

    @property
    def run(self) -> str:
        """Return what tells trainings apart."""
        return repr(replace(self, checkpoint=None))


def train_towards(
    net: FloatNet,
    split: Split,
    splitting: Splitting,
    project: Callable[[Arrays], Masks],
    *,
    teacher: Teacher | None = None,
) -> Masks:
    """Train a net towards pruned weights, in place, and prune it.

    Args:
        net: With batch norms.
        split: What it is trained on.
        splitting: How.
        project: Says which weights stay, of those of all layers with a penalty. It
            depends on these weights alone.
        teacher: Whose outputs count beside the labels, if any.

    Returns:
        The weights that stay; others of these layers are 0 now.

    Raises:
        InputError: The checkpoint is not readable, of another training, or cannot be
            written.
    """
    names = tuple(splitting.penalties)
    dual, target = dict[str, Tensor](), dict[str, Tensor]()
    path, run = splitting.checkpoint, splitting.run
    state = read_checkpoint(path, schema=SCHEMA, run=run)
    done = 0 if state is None else int(state["rounds"])
    steps = Steps(
        *(net, split, splitting.training),
        first=done * splitting.steps,
        teacher=teacher,
        penalty=lambda: _penalty(net, splitting.penalties, target),
    )
    if state is not None:
        steps.restore(state["steps"])
        dual |= state["dual"]
    for number in range(done, splitting.rounds):
        weights = {name: layer_weight(net, name).detach() for name in names}
        moved = {n: w + dual[n] if dual else w.clone() for n, w in weights.items()}
        kept = project({name: doubles(value) for name, value in moved.items()})
        for name, value in moved.items():
            pruned = value * _tensor(kept[name], value)
            dual[name] = value - pruned
            target[name] = pruned - dual[name]
        list(steps.take(splitting.steps))  # trains as it is gone through
        left = {"rounds": number + 1, "steps": steps.state(), "dual": dual}
        write_checkpoint(path, left, schema=SCHEMA, run=run)
    with torch.no_grad():
        weights = {name: layer_weight(net, name) for name in names}
        kept = project({name: doubles(value) for name, value in weights.items()})
        for name, weight in weights.items():
            weight.mul_(_tensor(kept[name], weight))
    settle_norms(net, split)
    return kept


def _penalty(
    net: FloatNet, factors: Mapping[str, float], target: Mapping[str, Tensor]
) -> Tensor:
    terms = [
        factor / 2 * (layer_weight(net, name) - target[name]).square().sum()
        for name, factor in factors.items()
    ]
    return torch.stack(terms).sum()


def _tensor(kept: NDArray[np.bool_], like: Tensor) -> Tensor:
    return torch.from_numpy(kept).to(like)
