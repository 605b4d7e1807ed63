"""Which schemes to measure next: the integer program's answers under what is known.

The additive predictor gives every option its cost, so that the program's answer at a
latency is the scheme that it predicts to be best, with proof. Around it:

- K best: answers that differ from it (LANA's overlap), which another predictor may rank
  higher.
- Exploration and random bits (`hao.measure.nearby`).

What is kept in the end is solved for: the fastest design of its scheme.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from hao.cost.evaluate import evaluate
from hao.engine.design import Design
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
from hao.measure.predictors import AdditivePredictor, Encoder, Predictor
from hao.measure.sample import Origin, scheme_key
from hao.options.option import MICRO, Option
from hao.program.codesign import (
    NO_LIMIT,
    SolveReport,
    choose_fastest,
    near_most_accurate,
)
from hao.program.problem import Problem
from hao.program.several import near_several
from hao.program.solver import SolverName

Costs = Mapping[tuple[int, str, str], float]
"""Cost [nats] by width of the activations, layer or block, and its change in words."""

POINTS_PER_NAT = 25.0
"""Top-1 that a nat of divergence costs, until samples tell [points] (chosen here); the
choice of the program at a latency does not depend on it."""

WITHIN = 1e-3
"""Share of its predicted cost by which a proposal may be beaten (chosen here): far less
than a predictor errs by."""


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

    @classmethod
    def of(cls, design: Design, act_bits: int, origin: Origin) -> "Proposal":
        """Return a design with its latency."""
        cycles = evaluate(design).latency_cycles
        return cls(design=design, cycles=cycles, act_bits=act_bits, origin=origin)

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

    Fewer bits never count as less than more bits of the same layer at the same density:
    where they measured less, that is taken for noise.

    Args:
        problems: By width of the activations.
        saliencies: Likewise, by layer and change in words [nats].
    """
    values: dict[tuple[int, str, str], float] = {}
    sites: dict[str, None] = {}
    for act_bits, problem in problems.items():
        for layer, changes in by_layer(problem.options).items():
            if len(changes) > 1:
                sites[layer] = None
            highest: dict[int, float] = {}
            for change in changes:
                text = change_text(change)
                value = saliencies[act_bits].get((layer, text), 0.0)
                if isinstance(change, Bits):
                    value = max(highest.get(change.density, 0.0), value)
                    highest[change.density] = value
                values[act_bits, layer, text] = value
    return Encoder(
        sites=tuple(sites),
        values=values,
        act_bits=tuple(sorted(problems, reverse=True)),
    )


def by_layer(options: Sequence[Option]) -> dict[str, list[Change]]:
    """Return the changes of every layer, most bits first, of these most words."""
    found: dict[str, list[Change]] = {}
    for option in options:
        changes = found.setdefault(option.layer, [])
        if bare(option.change) not in changes:
            changes.append(bare(option.change))
    for changes in found.values():
        changes.sort(
            key=lambda c: (
                (-c.weight_bits, -c.density) if isinstance(c, Bits) else (0, 0)
            )
        )
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


def priced(ask: Ask, costs: Costs) -> Ask:
    """Return what is asked with problems whose options cost what a predictor says.

    Args:
        ask: What is proposed for.
        costs: Of every change [nats].
    """
    micro = POINTS_PER_NAT * MICRO
    problems = {}
    for act_bits, problem in ask.problems.items():
        options = tuple(
            replace(
                option,
                cost_micro=round(
                    micro
                    * costs[act_bits, option.layer, change_text(bare(option.change))]
                ),
            )
            for option in problem.options
        )
        problems[act_bits] = problem.with_option_costs(options)
    return replace(ask, problems=problems)


class KnownCosts:
    """What schemes that are known to run cost by prediction: no optimum costs more.

    Args:
        ask: What is proposed for, its problems priced.
        runs: Schemes, each with the width of its activations and a latency [cycles].
    """

    def __init__(self, ask: Ask, runs: Sequence[tuple[Scheme, int, int]]) -> None:
        self._found: list[tuple[int, int, int]] = []
        for act_bits, problem in ask.problems.items():
            micro = {
                (option.layer, change_text(bare(option.change))): option.cost_micro
                for option in problem.options
            }
            sites = {layer for layer, _ in micro}
            for scheme, width, cycles in runs:
                if width != act_bits:
                    continue
                keys = ((n, change_text(bare(c))) for n, c in scheme.items())
                changes = [key for key in keys if key[0] in sites]  # not in operations
                if all(change in micro for change in changes):
                    spent = sum(micro[change] for change in changes)
                    self._found.append((act_bits, cycles, spent))

    def least(self, act_bits: int, budget: int) -> int:
        """Return what the cheapest within a latency costs [micro-points]."""
        return min(
            (
                cost
                for width, cycles, cost in self._found
                if width == act_bits and cycles <= budget
            ),
            default=NO_LIMIT,
        )


def best_proposals(
    ask: Ask, budget: int, *, known: KnownCosts, origin: Origin, count: int
) -> list[Proposal]:
    """Return the most accurate designs within a latency, the best of each width first.

    Args:
        ask: What is proposed for, its problems priced.
        budget: Most latency [cycles].
        known: Schemes that run, which the search need not come to.
        origin: Why they are proposed.
        count: Designs of a width of the activations, at least 1; those after the first
            differ.
    """
    proposals = []
    for act_bits, problem in ask.problems.items():
        # A scheme that was measured may be of another version's prices.
        for most in dict.fromkeys((known.least(act_bits, budget), NO_LIMIT)):
            first = near_most_accurate(
                problem, budget=budget, tolerance=WITHIN, most=most
            )
            if first is not None:
                break
        else:
            continue
        designs = [first[0]]
        if count > 1:
            designs += near_several(
                problem,
                first[1],
                count=count - 1,
                budget=budget,
                overlap_percent=ask.overlap_percent,
                tolerance=WITHIN,
                solver=ask.solver,
            )
        proposals += [Proposal.of(design, act_bits, origin) for design in designs]
    return proposals


def uniform_proposals(ask: Ask) -> list[Proposal]:
    """Return the schemes of the most uniform bits that run within each latency.

    Layers that do not offer the bits have the fewest above them that they offer, and
    nothing else changes.

    Args:
        ask: What is proposed for.
    """
    found = []
    for act_bits, problem in ask.problems.items():
        offers = {
            layer: [one.weight_bits for one in changes if isinstance(one, Bits)]
            for layer, changes in by_layer(problem.options).items()
        }
        every = sorted({b for bits in offers.values() for b in bits}, reverse=True)
        for budget in sorted(ask.budgets, reverse=True):
            while every:
                wanted = {n: _at_least(b, every[0]) for n, b in offers.items() if b}
                one = _run_within(problem, wanted, act_bits, budget)
                if one is not None:
                    found.append(one)
                    break
                every = every[1:]
    return found


def _at_least(bits: Sequence[int], wanted: int) -> int:
    return min((b for b in bits if b >= wanted), default=max(bits))


def _run_within(
    problem: Problem, bits: Mapping[str, int], act_bits: int, budget: int
) -> Proposal | None:
    """Return a design of given bits of all layers within a latency, if there is one."""
    widths: dict[str, int] = {}
    for option in problem.options:
        if isinstance(option.change, Channels):
            most = max(widths.get(option.layer, 0), len(option.change.kept))
            widths[option.layer] = most
    even = _free(problem, lambda option: _has_bits(option, bits, widths))
    found = near_most_accurate(even, budget=budget, tolerance=WITHIN, most=0)
    if found is None:
        return None
    return Proposal.of(found[0], act_bits, Origin.START)


def _has_bits(
    option: Option, bits: Mapping[str, int], widths: Mapping[str, int]
) -> bool:
    """Return whether an option has given bits of its layer, or takes nothing away."""
    match option.change:
        case Bits():
            return bare(option.change) == Bits(weight_bits=bits[option.layer])
        case Keep():
            return True
        case Channels():
            return len(option.change.kept) == widths[option.layer]
        case LeaveOut() | Replace():
            return False
        case _:
            assert_never(option.change)


def design_of_scheme(
    problem: Problem, scheme: Scheme, *, budget: int, solver: SolverName
) -> SolveReport:
    """Return the fastest design that runs a scheme.

    What was priced for the problem serves again.

    Args:
        problem: Of the network; its costs are not looked at.
        scheme: A change that is on offer for every layer, and the blocks left out.
        budget: Most latency [cycles].
        solver: Who solves the integer programs.

    Raises:
        InfeasibleError: None is within the budget.
    """
    alone = _free(problem, lambda option: _is_of(option, scheme))
    return choose_fastest(alone, cost_limit=0, latency_limit=budget, solver=solver)


def _free(problem: Problem, fine: Callable[[Option], bool]) -> Problem:
    """Return the problem with some options for nothing and all others at a cost."""
    options = [replace(o, cost_micro=int(not fine(o))) for o in problem.options]
    return problem.with_option_costs(options)


def _is_of(option: Option, scheme: Scheme) -> bool:
    """Return whether a scheme takes an option, or leaves it open."""
    taken = scheme.get(option.layer)
    if taken is not None:
        # Layers of an operation are told by its name: a design has them in passes.
        return change_text(bare(option.change)) == change_text(bare(taken))
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
