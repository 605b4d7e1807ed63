"""Which words go, so that a network reaches a frame rate: ALCS on this engine.

    densities and engine, chosen together -> training towards pruned weights, whose
        projections are the same program -> words go for good

Source: ALCS (Zhao et al., arXiv:2109.00170): pruning under a limit on latency, solved
by ADMM. What differs: a block is what the engine takes a cycle for, so that its lanes
are part of the choice; the latency of a layer is no interpolation but the cost model's
count, with the cycle at which the DDR binds in it; and costs are losses that were
measured before they meet in an objective.

The shape of a word is the engine's, so costs are measured for the lanes of a design,
the program chooses anew, and so on; `ENGINE_ROUNDS` times. Training then keeps these
lanes, pixels at once and buffering, and the stage of each layer; depths of buffers, the
split between DSPs and LUTs, and the partition stay free.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from hao.answer.densities import Curves, energies, measured_curves, prunable, weights_of
from hao.answer.kept import Sparsified, load_kept, save_kept
from hao.answer.prune_task import PruneSettings, PruneTask
from hao.answer.workers import Progress
from hao.emission.weights import stage_words
from hao.engine.design import Design
from hao.ir.change import densities_of
from hao.ir.partition import Role
from hao.ir.sparsity import FULL, kept_words, with_densities
from hao.options.sparsity import DENSITIES, DensityCosts, density_options
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.space import Space
from hao.quant.admm import Arrays, Masks, Splitting, train_towards
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net

ENGINE_ROUNDS = 2
"""Times that densities and engine are chosen before training (chosen here)."""

PENALTY = 1.0
"""Of ADMM, relative to the measured loss of pruning a layer (chosen here)."""


def sparsify(
    task: PruneTask,
    settings: PruneSettings,
    progress: Progress = lambda _: None,
    *,
    checkpoint: Path | None = None,
) -> Sparsified:
    """Take words out of a network until its best design keeps a frame time.

    Args:
        task: The network and what it is to reach.
        settings: How.
        progress: Told of each step.
        checkpoint: File that keeps the state after every projection, and from which a
            killed run of the same task and settings goes on, with what is left at the
            end beside it; `None` keeps none.

    Raises:
        InputError: The network is fast enough as it is, no layer may be pruned, or the
            checkpoint is not readable.
        InfeasibleError: Not even the fewest words on offer reach the frame time.
    """
    place = None if checkpoint is None else checkpoint.with_suffix(".npz")
    found = None if place is None else load_kept(place, task.network, Sparsified)
    if found is not None:
        return found
    names = prunable(task.network, progress)
    start = task.started().cost.latency_cycles
    report = _fastest(task, names)
    fewest = f"{min(DENSITIES)} % of the words of every layer"
    task.check_reach(report.cost.latency_cycles, fewest)
    net = normed_net(task.network, task.dataset.train)
    for number in range(ENGINE_ROUNDS):
        costs = _weighed(task, net, names, report)[1]
        report = choose_most_accurate(sparse_problem(task, costs), budget=task.budget)
        progress(f"engine {number + 1}/{ENGINE_ROUNDS}: {_text(report, task.budget)}")
    curves, _ = _weighed(task, net, names, report)
    projection = _Projection(task, curves, report, progress)
    splitting = Splitting(
        rounds=settings.steps,
        steps=settings.iterations,
        training=settings.training,
        penalties=_penalties(net, curves),
        checkpoint=checkpoint,
    )
    train_towards(
        net, task.dataset.train, splitting, projection.masks, teacher=task.teacher
    )
    design = projection.report.design
    densities = densities_of(design.scheme)
    before = {n: w.count for n, w in stage_words(design).items() if n in names}
    found = Sparsified(
        network=with_densities(folded_network(net), densities),
        densities=densities,
        space=space_like(design, task.space),
        before=before,
        after={n: kept_words(w, densities.get(n, FULL)) for n, w in before.items()},
        cycles=projection.report.cost.latency_cycles,
        start_cycles=start,
    )
    if place is not None:
        save_kept(place, found)
    return found


def density_costs(
    task: PruneTask, net: FloatNet, progress: Progress = lambda _: None
) -> DensityCosts:
    """Return what fewer words of a net's layers cost, where it is not trained on.

    They are measured in words of the fastest design at the fewest words on offer.

    Args:
        task: What the design is for.
        net: With batch norms.
        progress: Told when it is done.

    Raises:
        InputError: No layer may be pruned.
        InfeasibleError: No design fits the board.
    """
    names = prunable(task.network, progress)
    _, costs = _weighed(task, net, names, _fastest(task, names))
    progress(f"sparsity: {len(costs)} layers weighed at {len(DENSITIES)} densities")
    return costs


def _fastest(task: PruneTask, names: Collection[str]) -> SolveReport:
    """Return the fastest design at the fewest words on offer."""
    fewest = {name: {min(DENSITIES): 0} for name in names}
    return choose_fastest(sparse_problem(task, fewest))


def _weighed(
    task: PruneTask, net: FloatNet, names: Collection[str], report: SolveReport
) -> tuple[Curves, DensityCosts]:
    """Return what fewer words of a design's stages cost, before any training.

    That is the curve of each layer, and the cost of every density on offer.
    """
    words = {n: own for n, own in stage_words(report.design).items() if n in names}
    scores = energies(weights_of(net, tuple(words)), words)
    curves = measured_curves(
        net, task.dataset, words, scores, DENSITIES, teacher=task.teacher
    )
    return curves, curves.costs(words, scores, DENSITIES)


def sparse_problem(
    task: PruneTask, costs: DensityCosts, space: Space | None = None
) -> Problem:
    """Return the problem of a task's network with densities on offer.

    Args:
        task: What is to be pruned.
        costs: Of the densities.
        space: Engines to choose from; `None` for those of the task.
    """
    made = task.problem(task.network)
    return replace(
        made,
        options=density_options(made.options, costs),
        space=made.space if space is None else space,
    )


def space_like(
    design: Design, space: Space, names: Collection[str] | None = None
) -> Space:
    """Return the engines in whose words the weights of a design are pruned.

    They have its lanes, pixels at once and buffering, and run its pruned layers on the
    same stages.

    Args:
        design: With layers that keep a part of their words.
        space: The engines that it was chosen from.
        names: Layers that are pruned; `None` for those of the design.
    """
    engine = design.engine
    pruned = densities_of(design.scheme) if names is None else names
    stages = ((Role.DENSE, engine.dense), (Role.POINTWISE, engine.pointwise))
    return replace(
        space,
        pixels=(engine.px,),
        buffering=(engine.double_buffered,),
        shapes=tuple(
            (role, (stage.simd, stage.pe))
            for role, stage in stages
            if stage is not None
        ),
        roles=tuple(
            (layer.name, role)
            for segment in design.segments
            for role, layer in segment.invocation.stages
            if layer.name in pruned
        ),
    )


class _Projection:
    """Weights to those nearest that keep the frame time, in words that are fixed.

    Args:
        task: The network and what it is to reach.
        curves: What fewer words cost.
        report: Of a design with these words: its lanes, and its stage of each layer.
        progress: Told of each projection.
    """

    def __init__(
        self,
        task: PruneTask,
        curves: Curves,
        report: SolveReport,
        progress: Progress,
    ) -> None:
        self._task, self._curves = task, curves
        self._words = stage_words(report.design)
        self._space = space_like(report.design, task.space, self._words)
        self._progress = progress
        self.report = report

    def masks(self, weights: Arrays) -> Masks:
        """Return which weights stay."""
        words = self._words
        scores = energies(weights, words)
        costs = self._curves.costs(words, scores, DENSITIES)
        self.report = choose_most_accurate(
            sparse_problem(self._task, costs, self._space), budget=self._task.budget
        )
        self._progress(f"projection: {_text(self.report, self._task.budget)}")
        densities = densities_of(self.report.design.scheme)
        return {
            name: words[name].mask(scores[name], densities[name], len(weight))
            if name in words and name in densities
            else np.ones(weight.shape, dtype=np.bool_)
            for name, weight in weights.items()
        }


def _penalties(net: FloatNet, curves: Curves) -> dict[str, float]:
    """Return the penalty of each layer: what pruning it costs, per square of weights.

    Half of it times the squares that go is the measured loss, where the most words go.
    """
    found = {}
    for name, curve in curves.of.items():
        weight = weights_of(net, (name,))[name]
        energy = float((weight**2).sum())
        lost = max((own for own, _ in curve.points), default=0.0)
        if energy > 0 and lost > 0:
            loss = curves.rise(curve.cost(lost))
            found[name] = 2 * PENALTY * loss / (lost * energy)
    return found


def _text(report: SolveReport, budget: int) -> str:
    densities = densities_of(report.design.scheme)
    return (
        f"{report.cost.latency_cycles} of {budget} cycles, {len(densities)} layers "
        "pruned"
    )
