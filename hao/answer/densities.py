"""What leaving out words costs, layer by layer, mapped to measured loss.

Every density of every layer is measured alone, on the validation frames, before any
training without the words: it is more than they will cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.answer.prune import SLOPE_CHOICES, measured_folds
from hao.errors import InputError
from hao.ir.network import Network
from hao.ir.sparsity import Words, kept_words
from hao.options.sparsity import DensityCosts, LossCurve, why_whole
from hao.quant.admm import Arrays
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet
from hao.quant.saliency import layer_weight, pruned_losses

Scores = Mapping[str, NDArray[np.float64]]
"""Score of every word, shape (groups, words), by layer."""

LEAST_OF_MEDIAN = 0.1
"""No layer costs less than so much of what layers cost in the middle, share for share
of the scores (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What leaving out words costs, layer by layer.

    Attributes:
        of: The curve of each layer.
        points_per_fold: Top-1 that the loss e times as high is [points].
        loss: Of the whole network [nats].
    """

    of: Mapping[str, LossCurve]
    points_per_fold: float
    loss: float

    def rise(self, cost: float) -> float:
        """Return the rise of the loss that costs so much top-1 [nats]."""
        return self.loss * float(np.expm1(cost / self.points_per_fold))

    def costs(
        self, words: Mapping[str, Words], scores: Scores, densities: Sequence[int]
    ) -> DensityCosts:
        """Return the cost of every density, of layers with words.

        A density that keeps no fewer words than the one before is left out.
        """
        found = {}
        for name, curve in self.of.items():
            if name not in words:
                continue
            own, fewest, costs = words[name], words[name].count, {}
            for density in densities:
                kept = kept_words(own.count, density)
                if kept < fewest:
                    lost = own.lost(scores[name], density)
                    costs[density], fewest = curve.cost_micro(lost), kept
            found[name] = costs
        return found


def energies(weights: Arrays, words: Mapping[str, Words]) -> Scores:
    """Return the energy of every word: the sum of the squares of its weights."""
    return {n: own.sums(weights[n] ** 2) for n, own in words.items() if n in weights}


def weights_of(net: FloatNet, names: Sequence[str]) -> Arrays:
    """Return the weights of some layers of a net."""
    return {
        name: layer_weight(net, name).detach().cpu().double().numpy() for name in names
    }


def prunable(
    network: Network, progress: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """Return the names of the layers that may be pruned.

    Args:
        network: Its layers.
        progress: Told which may not, and why.

    Raises:
        InputError: None may.
    """
    reasons = {layer.name: why_whole(layer) for layer in network.compute_layers}
    names = tuple(name for name, reason in reasons.items() if reason is None)
    for why in dict.fromkeys(reason for reason in reasons.values() if reason):
        whole = [name for name, reason in reasons.items() if reason == why]
        progress(f"kept whole: {', '.join(whole)} ({why})")
    if not names:
        raise InputError(
            f"network {network.name!r}: no words may be left out: "
            f"{'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}"
        )
    return names


def measured_curves(
    net: FloatNet,
    dataset: Dataset,
    words: Mapping[str, Words],
    scores: Scores,
    densities: Sequence[int],
    *,
    teacher: Teacher | None = None,
) -> Curves:
    """Return what fewer words cost, layer by layer, mapped to measured loss.

    Every density of every layer is measured alone, on the validation frames. Losses of
    layers multiply: a cost is the logarithm of how many times the whole network's loss
    one is (`hao.answer.prune.measured_costs`). What that is in top-1 comes from
    `SLOPE_CHOICES` random choices of all layers at once.

    Args:
        net: With batch norms.
        dataset: Only its validation frames are used.
        words: How the weights of layers lie in words.
        scores: Of the words, which say what stays.
        densities: On offer [%].
        teacher: Whose classes stand for labels where these mean nothing.
    """
    rng = np.random.default_rng(0)

    def mask(name: str, density: int) -> NDArray[np.bool_]:
        channels = len(layer_weight(net, name))
        return words[name].mask(scores[name], density, channels)

    alone = [(name, density) for name in words for density in densities]
    choices: list[dict[str, NDArray[np.bool_]]] = [{}]
    choices += [{name: mask(name, density)} for name, density in alone]
    choices += [
        {name: mask(name, int(rng.choice(densities))) for name in words}
        for _ in range(SLOPE_CHOICES)
    ]
    loss, folds, slope = measured_folds(
        pruned_losses(net, dataset.validation, choices, teacher=teacher)
    )
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in words}
    for (name, density), fold in zip(alone, folds, strict=True):
        lost = words[name].lost(scores[name], density)
        if lost > max((own for own, _ in points[name]), default=0.0):
            points[name].append((lost, float(fold) * slope))
    steep = [max(cost, 0) / lost for own in points.values() for lost, cost in own]
    least = LEAST_OF_MEDIAN * float(np.median(steep)) if steep else 0.0
    return Curves(
        of={n: LossCurve(points=tuple(own), least=least) for n, own in points.items()},
        points_per_fold=slope,
        loss=loss,
    )
