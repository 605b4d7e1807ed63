"""Which schemes to measure next: the integer program's answers under what is known.

The additive predictor gives every option its cost, so that the program's answer at a
latency is the scheme that it predicts to be best, with proof. Around it:

- K best: answers that differ from it (LANA's overlap), which another predictor may rank
  higher.
- Exploration: schemes next to it, a few layers a step to either side, that its engine
  runs within the latency.
- Random bits within what its engine runs, so that the predictor also knows what is bad.

The last two take milliseconds, since they are priced and not searched for. What is kept
in the end is solved for: the fastest design of its scheme.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.cost.evaluate import evaluate
from hao.engine.design import Design
from hao.errors import InputError
from hao.ir.change import (
    Bits,
    Change,
    Channels,
    Keep,
    LeaveOut,
    Replace,
    Scheme,
    bare,
    change_text,
)
from hao.ir.passes import DIGIT_BITS
from hao.measure.predictors import AdditivePredictor, Encoder, Predictor
from hao.measure.sample import Origin, scheme_key
from hao.options.option import MICRO, Option
from hao.program.codesign import SolveReport, choose_fastest, near_most_accurate
from hao.program.problem import Problem
from hao.program.several import near_several
from hao.program.solver import SolverName

Floats = NDArray[np.float64]

Costs = Mapping[tuple[int, str, str], float]
"""Cost [nats] by width of the activations, layer or block, and its change in words."""

POINTS_PER_NAT = 25.0
"""Top-1 that a nat of divergence costs, until samples tell [points] (chosen here); the
choice of the program at a latency does not depend on it."""

WITHIN = 1e-3
"""Share of its predicted cost by which a proposal may be beaten (chosen here): far less
than a predictor errs by."""

MOST_STEPS = 3
"""Most sites in which exploration differs from where it starts (chosen here)."""


_DRAWS = 20
"""Schemes that are drawn until one fits (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A scheme with a design that runs it.

    Attributes:
        design: A design of the scheme.
        cycles: Its latency.
        act_bits: Width of the activations.
        origin: Why it is proposed.
    """

    design: Design
    cycles: int
    act_bits: int
    origin: Origin

    @property
    def scheme(self) -> Scheme:
        """Return the scheme of the design."""
        return self.design.scheme

    @property
    def key(self) -> str:
        """Return the key of the scheme."""
        return scheme_key(self.scheme, self.act_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is proposed for.

    Attributes:
        problems: By width of the activations; their costs are not looked at.
        budgets: Latencies [cycles] at which the most accurate scheme is wanted.
        overlap_percent: Share of their options in which two of the K best may agree.
        solver: Who solves the integer programs.
    """

    problems: Mapping[int, Problem]
    budgets: tuple[int, ...]
    overlap_percent: int
    solver: SolverName = SolverName.AUTO


def make_encoder(
    problems: Mapping[int, Problem],
    saliencies: Mapping[int, Mapping[tuple[str, str], float]],
) -> Encoder:
    """Return how schemes of the problems become numbers.

    Fewer bits never count as less than more bits of the same layer: where they measured
    less, that is taken for noise.

    Args:
        problems: By width of the activations.
        saliencies: Likewise, by layer and change in words [nats].
    """
    values: dict[tuple[int, str, str], float] = {}
    sites: dict[str, None] = {}
    for act_bits, problem in problems.items():
        for layer, changes in _by_layer(problem.options).items():
            if len(changes) > 1:
                sites[layer] = None
            highest = 0.0
            for change in changes:
                text = change_text(change)
                value = saliencies[act_bits].get((layer, text), 0.0)
                if isinstance(change, Bits):
                    highest = value = max(highest, value)
                values[act_bits, layer, text] = value
    return Encoder(
        sites=tuple(sites),
        values=values,
        act_bits=tuple(sorted(problems, reverse=True)),
    )


def _by_layer(options: Sequence[Option]) -> dict[str, list[Change]]:
    """Return the changes of every layer, most bits first."""
    found: dict[str, list[Change]] = {}
    for option in options:
        changes = found.setdefault(option.layer, [])
        if bare(option.change) not in changes:
            changes.append(bare(option.change))
    for changes in found.values():
        changes.sort(key=lambda c: -c.weight_bits if isinstance(c, Bits) else 0)
    return found


def additive_costs(
    encoder: Encoder, linear: AdditivePredictor | None
) -> dict[tuple[int, str, str], float]:
    """Return what every change costs by the additive predictor [nats].

    Args:
        encoder: Of schemes.
        linear: `None` for the saliencies alone.
    """
    weight = dict.fromkeys(encoder.sites, 1.0)
    if linear is not None:
        weight = dict(zip(encoder.sites, linear.weights.tolist(), strict=False))
    return {
        key: value * weight.get(key[1], 0.0) for key, value in encoder.values.items()
    }


def priced(
    problem: Problem,
    act_bits: int,
    costs: Costs,
    points_per_nat: float,
) -> Problem:
    """Return a problem whose options cost what a predictor says.

    Args:
        problem: Whose options are priced.
        act_bits: Width of its activations.
        costs: Of every change [nats].
        points_per_nat: Top-1 that a nat costs [points].
    """
    micro = points_per_nat * MICRO
    options = tuple(
        replace(
            option,
            cost_micro=round(
                micro * costs[act_bits, option.layer, change_text(bare(option.change))]
            ),
        )
        for option in problem.options
    )
    return problem.with_option_costs(options)


def best_proposals(
    ask: Ask, costs: Costs, budget: int, *, origin: Origin, count: int
) -> list[Proposal]:
    """Return the most accurate designs within a latency, the best of each width first.

    Args:
        ask: What is proposed for.
        costs: Of every change [nats].
        budget: Most latency [cycles].
        origin: Why they are proposed.
        count: Designs of a width of the activations, at least 1; those after the first
            differ.
    """
    proposals = []
    for act_bits, problem in ask.problems.items():
        one = priced(problem, act_bits, costs, POINTS_PER_NAT)
        first = near_most_accurate(one, budget=budget, tolerance=WITHIN)
        if first is None:
            continue
        designs = [first[0]]
        if count > 1:
            designs += near_several(
                one,
                first[1],
                count=count - 1,
                budget=budget,
                overlap_percent=ask.overlap_percent,
                tolerance=WITHIN,
                solver=ask.solver,
            )
        proposals += [
            Proposal(
                design=design,
                cycles=evaluate(design).latency_cycles,
                act_bits=act_bits,
                origin=origin,
            )
            for design in designs
        ]
    return proposals


def neighbour(
    ask: Ask, start: Proposal, budget: int, generator: np.random.Generator
) -> Proposal | None:
    """Return a scheme next to another one, on the same engine.

    Args:
        ask: What is proposed for.
        start: Where the steps begin.
        budget: Most latency [cycles].
        generator: Of the draws.

    Returns:
        `None` where none of some draws runs within the latency.
    """
    by_layer = _free_bits(ask, start)
    if not by_layer:
        return None
    layers = sorted(by_layer)
    for _ in range(_DRAWS):
        steps = min(len(layers), int(generator.integers(1, MOST_STEPS + 1)))
        scheme = dict(start.scheme)
        for layer in generator.choice(layers, size=steps, replace=False):
            offers = by_layer[layer]
            place = offers.index(bare(scheme[layer]))
            place += 1 if generator.random() < 0.5 else -1
            scheme[layer] = offers[min(max(place, 0), len(offers) - 1)]
        found = _on_engine(start, scheme, budget, Origin.EXPLORE)
        if found is not None:
            return found
    return None


def random_bits(
    ask: Ask, start: Proposal, budget: int, generator: np.random.Generator
) -> Proposal | None:
    """Return a scheme of random bits, on the engine of another one.

    How many bits are likely is drawn too, so that schemes are good and bad as wholes.

    Args:
        ask: What is proposed for.
        start: Whose engine and other changes are kept.
        budget: Most latency [cycles].
        generator: Of the draws.

    Returns:
        `None` where none of some draws runs within the latency.
    """
    by_layer = _free_bits(ask, start)
    for _ in range(_DRAWS):
        skew = generator.normal()
        scheme = dict(start.scheme)
        for layer, offers in sorted(by_layer.items()):
            weights = np.exp(skew * np.linspace(-1, 1, len(offers)))
            place = generator.choice(len(offers), p=weights / weights.sum())
            scheme[layer] = offers[int(place)]
        found = _on_engine(start, scheme, budget, Origin.RANDOM)
        if found is not None:
            return found
    return None


def _free_bits(ask: Ask, start: Proposal) -> dict[str, list[Change]]:
    """Return the bits that layers with a choice may have, most first."""
    options = ask.problems[start.act_bits].options
    return {
        layer: changes
        for layer, changes in _by_layer(options).items()
        if len(changes) > 1 and isinstance(start.scheme.get(layer), Bits)
    }


def _on_engine(
    start: Proposal, scheme: Scheme, budget: int, origin: Origin
) -> Proposal | None:
    """Return a scheme on the engine of another one, if that runs it in time."""
    kept = dict(scheme)
    for layer, change in scheme.items():
        old = start.scheme[layer]
        if isinstance(change, Bits) and isinstance(old, Bits):
            # The network of the design has its layers in these passes.
            passes = old.passes if change.weight_bits > DIGIT_BITS else 1
            kept[layer] = replace(change, passes=passes)
    try:
        design = replace(start.design, scheme=kept)
        cycles = evaluate(design).latency_cycles
    except InputError:
        return None  # more bits than a stage of the engine takes, or fewer passes
    if cycles > budget:
        return None
    return Proposal(
        design=design, cycles=cycles, act_bits=start.act_bits, origin=origin
    )


def design_of_scheme(
    problem: Problem, scheme: Scheme, *, budget: int, solver: SolverName
) -> SolveReport:
    """Return the fastest design that runs a scheme.

    Args:
        problem: Of the network.
        scheme: A change that is on offer for every layer, and the blocks left out.
        budget: Most latency [cycles].
        solver: Who solves the integer programs.

    Raises:
        InfeasibleError: None is within the budget.
    """
    options = tuple(o for o in problem.options if _is_of(o, scheme))
    return choose_fastest(
        replace(problem, options=options), latency_limit=budget, solver=solver
    )


def _is_of(option: Option, scheme: Scheme) -> bool:
    """Return whether a scheme takes an option, or leaves it open."""
    taken = scheme.get(option.layer)
    if taken is not None:
        return bare(option.change) == bare(taken)
    match option.change:
        case Bits() | Keep() | Channels():
            return True  # of a layer or a group in a block that is left out
        case LeaveOut() | Replace():
            return False
        case _:
            assert_never(option.change)


def reranked(predictor: Predictor, proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return proposals, those that a predictor takes for the best first."""
    if not proposals:
        return []
    schemes = [(one.scheme, one.act_bits) for one in proposals]
    order = np.argsort(predictor.divergence(schemes), kind="stable")
    return [proposals[int(place)] for place in order]
