"""The loop: propose by the program, measure, fit, propose again.

Turn 0 takes the proven optima under the saliencies, schemes next to them, and random
ones. Later turns take the optima under the additive predictor and its K best, re-ranked
by whichever predictor does best in cross-validation, and schemes next to these. The
loop ends with its budget of measurements, or when the front rests: two turns in a row
have found nothing better at any latency. Of every latency, the best by measurement is
then measured on test frames, which nothing was chosen by, trained first if wished.

What a turn proposes follows from the samples of the turns before it and from the seed.
So a loop that was killed goes on as if it had not been: the turn that it was in is
proposed again, and what was measured of it is not measured again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from hao.answer.workers import Farm, Progress
from hao.errors import InputError
from hao.measure.predictors import (
    LEAST_SAMPLES,
    Encoder,
    Predictor,
    fit_predictor,
    score,
)
from hao.measure.propose import Ask, design_of_scheme
from hao.measure.sample import Origin, Part, Quality, Result, Sample, Trial
from hao.measure.settings import LoopSettings
from hao.measure.store import Store
from hao.measure.subject import Subject, evaluate
from hao.measure.turn import Turn, propose
from hao.program.codesign import SolveReport

RESTING_TURNS = 2
"""Turns without a better scheme at any latency after which the front rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontChoice:
    """The best scheme at a latency, by measurement.

    Attributes:
        budget: Most latency [cycles].
        search: Its sample on the frames that it was chosen by.
        report: A design that runs it.
        test: Its sample on frames that nothing was chosen by.
    """

    budget: int
    search: Sample
    report: SolveReport
    test: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What a loop came to.

    Attributes:
        samples: Measured on the search frames, in order.
        front: The best scheme at every latency that has one, longest first.
        predictor: Fitted to all samples; `None` where there were too few.
        ahead: How well predictors did on schemes measured after they were fitted.
        turns: Of the loop.
        rested: Whether it ended because the front rests.
        seconds_measuring: Sum of all measurements [s].
        seconds_own: What the loop itself took beside them, in this process [s].
    """

    samples: tuple[Sample, ...]
    front: tuple[FrontChoice, ...]
    predictor: Predictor | None
    ahead: Quality | None
    turns: int
    rested: bool
    seconds_measuring: float
    seconds_own: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a loop works with.

    Attributes:
        subject: What is measured on.
        store: Where samples are kept.
        workers: Who measures.
        progress: Told of each step.
    """

    subject: Subject
    store: Store
    workers: Farm
    progress: Progress


@dataclass(slots=True)
class _Clock:
    """Seconds of measuring, and of all that is not."""

    started: float = field(default_factory=time.perf_counter)
    waiting: float = 0.0

    @property
    def own(self) -> float:
        return time.perf_counter() - self.started - self.waiting


def run_loop(
    bench: Bench, ask: Ask, encoder: Encoder, settings: LoopSettings
) -> Exploration:
    """Return the best schemes by measurement.

    Args:
        bench: Frames, store, workers.
        ask: Problems and latencies.
        encoder: Of their schemes.
        settings: How to spend the measurements.

    Raises:
        InfeasibleError: No scheme is within any of the latencies.
        InputError: No scheme could be measured, or the store cannot be written.
        SolverError: The workers died.
    """
    clock = _Clock()
    known = _searched(bench.store, settings)
    turn = max((sample.trial.turn for sample in known), default=0)
    ahead: list[tuple[Predictor, Sample]] = []
    rested = False
    while True:
        before = [sample for sample in known if sample.trial.turn < turn]
        within = [sample for sample in known if sample.trial.turn == turn]
        if len(known) >= settings.measure:
            break
        room = settings.measure - len(before)
        rested = _rests(before, ask.budgets, turn)
        if rested:
            break
        bench.progress(f"turn {turn}: choosing schemes, {len(known)} measured")
        predictor = _fitted(encoder, before)
        proposed = propose(
            Turn(
                ask=ask,
                encoder=encoder,
                settings=settings,
                before=before,
                predictor=predictor,
                number=turn,
            )
        )
        proposals = proposed.schemes[:room]
        for one in proposed.faster:
            bench.store.quicken(one.key, one.cycles)
        if not proposals:
            rested = turn > 0
            known = _searched(bench.store, settings)
            break
        have = {sample.trial.key for sample in within}
        todo = [
            Trial(
                scheme=one.scheme,
                act_bits=one.act_bits,
                epochs=settings.epochs,
                seed=settings.seed,
                origin=one.origin,
                turn=turn,
                cycles=one.cycles,
            )
            for one in proposals
            if one.key not in have
        ]
        _measure(bench, todo, clock)
        known = _searched(bench.store, settings)
        if predictor is not None:
            ahead += [
                (predictor, sample) for sample in known if sample.trial.turn == turn
            ]
        turn += 1
    front = _front(bench, ask, settings, known, clock)
    return Exploration(
        samples=tuple(known),
        front=front,
        predictor=_fitted(encoder, known),
        ahead=_ahead(ahead),
        turns=1 + max(sample.trial.turn for sample in known),
        rested=rested,
        seconds_measuring=sum(
            sample.result.seconds
            for sample in bench.store.samples()
            if sample.result is not None
        ),
        seconds_own=clock.own,
    )


def _searched(store: Store, settings: LoopSettings) -> list[Sample]:
    """Return the samples that the loop chooses by."""
    wanted = (Part.SEARCH, settings.epochs, settings.seed)
    return [
        sample
        for sample in store.samples()
        if (sample.trial.part, sample.trial.epochs, sample.trial.seed) == wanted
    ]


def _measure(bench: Bench, trials: Sequence[Trial], clock: _Clock) -> None:
    """Measure schemes and keep each sample as it comes."""
    started = time.perf_counter()
    found = bench.workers.each(evaluate, bench.subject, trials, bench.progress)
    with closing(found) as samples:
        for sample in samples:
            bench.store.add(sample)
    clock.waiting += time.perf_counter() - started


def _fitted(encoder: Encoder, samples: Sequence[Sample]) -> Predictor | None:
    useful = [sample for sample in samples if sample.result is not None]
    if len(useful) < LEAST_SAMPLES:
        return None
    return fit_predictor(encoder, useful)


def _best(samples: Sequence[Sample], budget: int) -> Sample | None:
    """Return the sample of least divergence within a latency."""
    fitting = [
        sample
        for sample in samples
        if sample.result is not None
        and sample.trial.cycles is not None
        and sample.trial.cycles <= budget
    ]
    return min(fitting, key=_divergence, default=None)


def _divergence(sample: Sample) -> float:
    assert sample.result is not None
    return sample.result.divergence


def _rests(samples: Sequence[Sample], budgets: Sequence[int], turn: int) -> bool:
    """Return whether the last turns found nothing better at any latency."""
    if turn <= RESTING_TURNS:
        return False
    earlier = [s for s in samples if s.trial.turn < turn - RESTING_TURNS]
    return all(_best(samples, budget) == _best(earlier, budget) for budget in budgets)


def _front(
    bench: Bench,
    ask: Ask,
    settings: LoopSettings,
    samples: Sequence[Sample],
    clock: _Clock,
) -> tuple[FrontChoice, ...]:
    """Return the best of every latency, measured on the test frames."""
    best: dict[int, Sample] = {}
    for budget in sorted(ask.budgets, reverse=True):
        found = _best(samples, budget)
        if found is not None:
            best[budget] = found
    if not best:
        failures = [sample.failure for sample in samples if sample.failure]
        raise InputError(
            f"none of {len(samples)} schemes could be measured: "
            f"{failures[0] if failures else 'none was within the latencies'}"
        )
    finals = {
        budget: replace(
            sample.trial,
            part=Part.TEST,
            epochs=max(settings.epochs, settings.final_epochs),
            origin=Origin.FINAL,
        )
        for budget, sample in best.items()
    }
    have = {sample.trial.identity for sample in bench.store.samples()}
    wanted = {trial.identity: trial for trial in finals.values()}
    todo = [trial for identity, trial in wanted.items() if identity not in have]
    _measure(bench, todo, clock)
    tested = {sample.trial.identity: sample for sample in bench.store.samples()}
    return tuple(
        FrontChoice(
            budget=budget,
            search=sample,
            report=design_of_scheme(
                ask.problems[sample.trial.act_bits],
                sample.trial.scheme,
                budget=budget,
                solver=ask.solver,
            ),
            test=tested[finals[budget].identity],
        )
        for budget, sample in best.items()
    )


def _ahead(pairs: Sequence[tuple[Predictor, Sample]]) -> Quality | None:
    """Return how well predictors did on what was measured after they were fitted."""
    by_predictor: dict[int, tuple[Predictor, list[Sample]]] = {}
    for predictor, sample in pairs:
        if sample.result is not None:
            by_predictor.setdefault(id(predictor), (predictor, []))[1].append(sample)
    scores = [
        score(predictor, some)
        for predictor, some in by_predictor.values()
        if len(some) > 1
    ]
    if not scores:
        return None
    rows = sum(one.rows for one in scores)

    def mean(of: Callable[[Quality], float]) -> float:
        return sum(one.rows * of(one) for one in scores) / rows

    return Quality(
        rows=rows,
        spearman=mean(lambda one: one.spearman),
        spearman_top1=mean(lambda one: one.spearman_top1),
        mae=mean(lambda one: one.mae),
        coverage=mean(lambda one: one.coverage or 0.0),
    )


def result_of(sample: Sample) -> Result:
    """Return the result of a sample.

    Raises:
        InputError: It has none.
    """
    if sample.result is None:
        less = "; fewer `final_epochs` train it less" if sample.trial.epochs else ""
        raise InputError(f"a scheme could not be measured: {sample.failure}{less}")
    return sample.result
