"""What one turn of the loop measures.

Half of a turn are the best by prediction: the proven optimum at every latency, each of
these first in its turn, and K best at one of them. In turn 0 the most uniform bits that
run within each latency come next, which all else has to beat. The rest explores schemes
next to the optima: in turn 0 as they are drawn, with random ones between them, later
those that the predictor likes best of a few; and, where channels, words or blocks may
change too, optima under costs that are drawn. The most accurate scheme at one latency
often keeps a shorter one: of a scheme that comes several times, the fastest design
counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from hao.errors import InfeasibleError
from hao.ir.change import Bits, Scheme
from hao.ir.sparsity import FULL
from hao.measure.nearby import Around, worth_pricing
from hao.measure.predictors import Encoder, Predictor
from hao.measure.propose import (
    Ask,
    KnownCosts,
    Proposal,
    additive_costs,
    best_proposals,
    priced,
    reranked,
    uniform_proposals,
)
from hao.measure.sample import Origin, Sample, scheme_key
from hao.measure.settings import LoopSettings
from hao.options.option import Option

_ATTEMPTS = 3
"""Times that exploration draws for a scheme that a turn has room for (chosen here)."""

_DRAWN = 20
"""Schemes that are drawn next to an optimum, until one runs in time; where there is a
predictor, those that it likes best are tried first (chosen here)."""

_SPREAD = 1.0
"""Standard deviation of the logarithm of a drawn cost's factor (chosen here)."""

Found = dict[int, list[Proposal]]
"""Designs by latency, the most accurate by prediction first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn knows.

    Attributes:
        ask: What is proposed for.
        encoder: Of schemes.
        settings: How to spend the measurements.
        before: Samples of earlier turns.
        predictor: Fitted to them; `None` where they are too few.
        number: From 0.
    """

    ask: Ask
    encoder: Encoder
    settings: LoopSettings
    before: Sequence[Sample]
    predictor: Predictor | None
    number: int

    @property
    def runs(self) -> list[tuple[Scheme, int, int]]:
        """Return measured schemes with the widths of activations and latencies."""
        trials = [sample.trial for sample in self.before]
        return [
            (one.scheme, one.act_bits, one.cycles)
            for one in trials
            if one.cycles is not None
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """What a turn proposes.

    Attributes:
        schemes: To measure, the most wanted first; none was measured before.
        faster: Designs of measured schemes, faster than those that are known.
    """

    schemes: tuple[Proposal, ...]
    faster: tuple[Proposal, ...]


def propose(turn: Turn) -> Proposed:
    """Return what to measure in a turn.

    Raises:
        InfeasibleError: No scheme is within any of the latencies.
    """
    done = {sample.trial.key: sample.trial.cycles for sample in turn.before}
    fastest: dict[str, Proposal] = {}
    even = [] if turn.number else uniform_proposals(turn.ask)
    optima = _optima(turn, even)
    for found in optima.values():
        for one in found:
            _keep_faster(fastest, one)
    chosen: dict[str, None] = {}
    for one in _by_want(turn, optima):
        if one.key not in done and len(chosen) < max(1, turn.settings.per_turn // 2):
            chosen[one.key] = None
    fresh = [one for one in even if one.key not in done]
    for one in chain(fresh, _explored(turn, optima, (*done, *chosen))):
        if len(chosen) >= turn.settings.per_turn:
            break
        _keep_faster(fastest, one)
        chosen[one.key] = None
    return Proposed(
        schemes=tuple(fastest[key] for key in chosen),
        faster=tuple(
            one
            for key, one in fastest.items()
            if (known := done.get(key)) is not None and one.cycles < known
        ),
    )


def _optima(turn: Turn, even: Sequence[Proposal]) -> Found:
    """Return the best designs by prediction, K best at one of the latencies.

    Args:
        turn: What it knows.
        even: Designs of uniform bits, which may be the best already.
    """
    linear = None if turn.predictor is None else turn.predictor.linear
    ask = priced(turn.ask, additive_costs(turn.encoder, linear))
    runs = [(one.scheme, one.act_bits, one.cycles) for one in even]
    known = KnownCosts(ask, [*turn.runs, *runs])
    optima: Found = {}
    for place, budget in enumerate(turn.ask.budgets):
        many = turn.number > 0 and turn.number % len(turn.ask.budgets) == place
        found = best_proposals(
            ask,
            budget,
            known=known,
            origin=Origin.BEST if turn.number else Origin.START,
            count=turn.settings.best if many else 1,
        )
        if turn.predictor is not None:
            found = reranked(turn.predictor, found)
        if found:
            optima[budget] = found
    if not optima:
        name = turn.ask.problems[max(turn.ask.problems)].network.name
        raise InfeasibleError(
            f"no scheme of {name} runs within {max(turn.ask.budgets)} cycles; ask for "
            "a lower frame rate",
            conflicts=("latency",),
        )
    return optima


def _by_want(turn: Turn, optima: Found) -> Iterator[Proposal]:
    """Yield the best designs of all latencies, then the second best, and so on."""
    ranked = list(optima.values())
    first = turn.number % len(ranked)
    for place in range(max(map(len, ranked))):
        for found in (*ranked[first:], *ranked[:first]):
            if place < len(found):
                yield found[place]


def _explored(turn: Turn, optima: Found, done: Iterable[str]) -> Iterator[Proposal]:
    """Yield what is measured besides the best by prediction.

    Where other things than bits may change, every other one is an optimum under drawn
    costs, since schemes next to an optimum differ from it in bits alone.

    Args:
        turn: What it knows.
        optima: By latency.
        done: Keys of what is not wanted.
    """
    known = set(done)
    near = _next_to(turn, optima, known)
    if not any(_is_mixed(problem.options) for problem in turn.ask.problems.values()):
        return near
    drawn = _under_drawn_costs(turn, optima, known)
    every = chain.from_iterable(zip_longest(drawn, near))
    return (one for one in every if one is not None)


def _is_mixed(options: Iterable[Option]) -> bool:
    """Return whether options are of more than bits."""
    return any(
        not isinstance(o.change, Bits) or o.change.density < FULL for o in options
    )


def _under_drawn_costs(
    turn: Turn, optima: Found, done: Iterable[str]
) -> Iterator[Proposal]:
    """Yield optima under costs that are each off by a factor that is drawn.

    Args:
        turn: What it knows.
        optima: By latency.
        done: Keys of what is not wanted.
    """
    generator = np.random.default_rng((turn.settings.seed, turn.number, 1))
    known = set(done)
    linear = None if turn.predictor is None else turn.predictor.linear
    costs = additive_costs(turn.encoder, linear)
    for number in range(_ATTEMPTS * turn.settings.per_turn):
        factors = np.exp(_SPREAD * generator.normal(size=len(costs)))
        drawn = dict(zip(costs, factors * list(costs.values()), strict=True))
        ask = priced(turn.ask, drawn)
        found = best_proposals(
            ask,
            list(optima)[number % len(optima)],
            known=KnownCosts(ask, turn.runs),
            origin=Origin.EXPLORE if turn.number else Origin.RANDOM,
            count=1,
        )
        for one in found:
            if one.key not in known:
                known.add(one.key)
                yield one


def _next_to(turn: Turn, optima: Found, done: Iterable[str]) -> Iterator[Proposal]:
    """Yield schemes next to the optima, in turn 0 every other one at random.

    Args:
        turn: What it knows.
        optima: By latency.
        done: Keys of what is not wanted.
    """
    generator = np.random.default_rng((turn.settings.seed, turn.number))
    known = set(done)
    around = {b: Around(turn.ask, found[0], b) for b, found in optima.items()}
    budgets = list(optima)
    for number in range(_ATTEMPTS * turn.settings.per_turn):
        budget = budgets[number % len(budgets)]
        random = turn.number == 0 and number % 2 == 1
        draw = around[budget].random if random else around[budget].step
        drawn = [draw(generator) for _ in range(_DRAWN)]
        act_bits = optima[budget][0].act_bits
        drawn = [one for one in drawn if scheme_key(one, act_bits) not in known]
        if turn.predictor is not None:
            drawn = worth_pricing(turn.predictor, drawn, optima[budget])
        origin = Origin.RANDOM if random else Origin.EXPLORE
        for scheme in drawn:
            found = around[budget].run(scheme, origin)
            if found is not None:
                known.add(found.key)
                yield found
                break


def _keep_faster(fastest: dict[str, Proposal], one: Proposal) -> None:
    """Keep a design of a scheme if none is known that is as fast."""
    known = fastest.get(one.key)
    if known is None or one.cycles < known.cycles:
        fastest[one.key] = one
