"""From a run to measured accuracy: schemes of its network, on the user's own data.

    run directory -> request, candidates -> float weights, data -> saliency
        -> loop of measurements -> measured.json, measured-1/ ...

The run's own answer stays: it was chosen and proven by predicted accuracy. What was
measured stands beside it, each design in a folder that later commands take as a run.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hao.build import Method, QuantizeRequest, check_torch, float_inputs
from hao.errors import InputError
from hao.factory import is_factory
from hao.ir.change import bits_of
from hao.ir.network import Network
from hao.measure.loop import (
    Bench,
    Exploration,
    FrontChoice,
    LoopSettings,
    result_of,
    run_loop,
)
from hao.measure.predictors import Quality
from hao.measure.propose import Ask, make_encoder
from hao.measure.saliency import Kind, known_saliencies, mapped_to_loss
from hao.measure.sample import Part
from hao.measure.store import STORE_FILE, open_store, recorded_about
from hao.measure.subject import Subject, make_subject
from hao.page.files import renew_run_page
from hao.program.problem import Problem
from hao.quant.float_net import with_parameters
from hao.report.certificate import load_certificate
from hao.report.measured import (
    MEASURED_FILE,
    MEASURED_FOLDER,
    Measured,
    MeasuredDesign,
    PredictorScore,
    share_interval,
)
from hao.report.records import keep_record
from hao.report.result import Proof, SearchResult
from hao.report.run import write_run
from hao.report.run_files import held_run, opened_run
from hao.request import SearchRequest, asked_again, limits_of
from hao.search.candidates import Candidate
from hao.search.explore import budget_cycles
from hao.search.workers import open_workers

Progress = Callable[[str], None]

_ASKED = "asked"
"""Name under which a store remembers which data and weights were named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreRequest:
    """What to measure, and how much.

    Attributes:
        run: Run directory that a search for a frame rate left.
        source: Data and weights; `None` for those that the run's store remembers.
        settings: How to spend the measurements.
        saliency: What the first proposals go by.
        rates: Further frame rates at which the best scheme is sought.
        workers: Measurements side by side on this machine, at least 1.
        cluster: Address of a Dask scheduler instead; `None` for this machine.
    """

    run: Path
    source: QuantizeRequest | None
    settings: LoopSettings
    saliency: Kind = Kind.PLUG_IN
    rates: tuple[float, ...] = ()
    workers: int = 1
    cluster: str | None = None


def explore(request: ExploreRequest, *, progress: Progress) -> Measured:
    """Measure schemes of a run's network and leave the best in the run.

    What an earlier command measured there, killed or not, is not measured again.

    Raises:
        InputError: The run has no certificate or frame rate; its data or weights are
            wrong, not named, or others than those that were measured before; or the
            store cannot be read or written.
        InfeasibleError: No scheme reaches one of the frame rates.
        UnsupportedError: A layer or a change that cannot be measured.
        SolverError: The workers died, or their cluster went away.
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    result, folder = opened_run(request.run)
    with held_run(folder) as held:
        asked, candidates = _candidates(folder, result)
        budgets = _budgets(request, asked, result)
        source = _source(request, folder)
        subject = _subject(source, candidates, folder, progress)
        problems = {
            width: candidate.problem(result.design.board)
            for width, candidate in candidates.items()
        }
        remembered = {_ASKED: _remembered(source)}
        path = folder / STORE_FILE
        with (
            open_store(path, subject.about(), remembered) as store,
            open_workers(request.workers, request.cluster) as workers,
        ):
            bench = Bench(
                subject=subject, store=store, workers=workers, progress=progress
            )
            found = _explored(request, bench, problems, budgets, asked)
        held.check()
        measured = measured_of(found, subject)
        _leave(result, found, folder)
        keep_record(folder, MEASURED_FILE, asdict(measured))
        renew_run_page(folder)
    return measured


def _candidates(
    folder: Path, result: SearchResult
) -> tuple[SearchRequest, dict[int, Candidate]]:
    """Return what was asked of a run, and its network by width of the activations."""
    certificate = load_certificate(folder)
    asked, every = asked_again(certificate, result.design.board.name)
    answer = every[certificate.label]
    same = (answer.network.name, answer.image_size)
    found = {
        one.rules.act_bits: one
        for one in every.values()
        if (one.network.name, one.image_size) == same
    }
    return asked, found


def _budgets(
    request: ExploreRequest, asked: SearchRequest, result: SearchResult
) -> tuple[int, ...]:
    """Return the latencies at which the best scheme is sought, longest first."""
    board = result.design.board
    own, _ = limits_of(asked, board)
    if own is None and not request.rates:
        raise InputError(
            f"{request.run}: a search for no frame rate; --rates gives those at which "
            "schemes are measured"
        )
    budgets = [] if own is None else [own]
    for rate in request.rates:
        if not 0 < rate < 1e6:
            raise InputError(f"--rates {rate:g}; must be above 0 and below 1000000")
        budgets.append(budget_cycles(board, rate / asked.promised_share))
    return tuple(sorted(set(budgets), reverse=True))


def _source(request: ExploreRequest, folder: Path) -> QuantizeRequest:
    """Return which data and weights to measure with."""
    if request.source is not None:
        return replace(request.source, run=folder, method=Method.PTQ)
    text = recorded_about(folder / STORE_FILE).get(_ASKED)
    if text is None:
        raise InputError(
            f"{folder}: nothing was measured in it yet; --data names what to measure on"
        )
    try:
        values = {**json.loads(text), "run": str(folder)}
        return TypeAdapter(QuantizeRequest).validate_json(json.dumps(values))
    except (ValueError, TypeError, ValidationError) as error:
        raise InputError(
            f"{folder / STORE_FILE}: which data were measured on is not readable; "
            "--data names them"
        ) from error


def _remembered(source: QuantizeRequest) -> str:
    """Return data and weights as a later command can find them."""
    weights = _kept_path(source.weights)
    labels, mapping = _kept_path(source.labels), _kept_path(source.mapping)
    values = TypeAdapter(QuantizeRequest).dump_python(
        replace(source, weights=weights, labels=labels, mapping=mapping),
        mode="json",
        exclude={"run"},
    )
    return json.dumps(values)


def _kept_path(path: Path | None) -> Path | None:
    """Return a path that holds in other folders too; that of a function stays."""
    if path is None or is_factory(str(path)):
        return path
    return path.resolve()


def _subject(
    source: QuantizeRequest,
    candidates: dict[int, Candidate],
    folder: Path,
    progress: Progress,
) -> Subject:
    """Return the float network at every width of the activations, and its frames."""
    widest = max(candidates)
    whole, data = float_inputs(source, candidates[widest].network, folder, progress)
    networks: dict[int, Network] = {widest: whole}
    for width, candidate in candidates.items():
        if width != widest:
            networks[width] = with_parameters(candidate.network, whole.params)
    return make_subject(networks, data.dataset)


def _explored(
    request: ExploreRequest,
    bench: Bench,
    problems: dict[int, Problem],
    budgets: tuple[int, ...],
    asked: SearchRequest,
) -> Exploration:
    saliencies = {}
    for width, problem in problems.items():
        bench.progress(f"saliency of every option ({request.saliency.value})")
        values = known_saliencies(
            bench.store, bench.subject, problem.options, width, request.saliency
        )
        if request.saliency is not Kind.PLUG_IN:
            values = mapped_to_loss(values, bench.subject, problem.options, width)
        saliencies[width] = values.values
    return run_loop(
        bench,
        Ask(
            problems=problems,
            budgets=budgets,
            overlap_percent=asked.overlap_percent,
            solver=asked.solver,
        ),
        make_encoder(problems, saliencies),
        request.settings,
    )


def _leave(result: SearchResult, found: Exploration, folder: Path) -> None:
    """Write the measured designs, each a run in a folder of the run."""
    for number, choice in enumerate(found.front, start=1):
        write_run(
            _as_result(result, choice),
            folder / f"{MEASURED_FOLDER}{number}",
            force=True,
        )


def _as_result(result: SearchResult, choice: FrontChoice) -> SearchResult:
    """Return a measured design as a result; nothing is predicted of its accuracy."""
    report = choice.report
    return replace(
        result,
        design=report.design,
        cost=report.cost,
        float_top1=None,
        float_source="",
        accuracy=None,
        basis=None,
        front=(),
        others=(),
        proof=Proof(
            status=report.status,
            gap=report.gap,
            solver=report.solver,
            variables=report.variables,
            constraints=report.constraints,
            nodes=report.nodes,
            priced=report.priced,
            candidates=1,
            solved=1,
        ),
        run=None,
    )


def measured_of(found: Exploration, subject: Subject) -> Measured:
    """Return the record of a loop.

    Args:
        found: What it came to.
        subject: What it measured on.

    Raises:
        InputError: A final scheme could not be measured.
    """
    search, test = subject.parts[Part.SEARCH], subject.parts[Part.TEST]
    scores = []
    if found.predictor is not None:
        scores = [
            _score(f"{learner.value}, cross-validated", quality)
            for learner, quality in found.predictor.quality.items()
        ]
    if found.ahead is not None:
        scores.append(_score("of later turns, ahead", found.ahead))
    return Measured(
        network=subject.network.name,
        data=subject.dataset.name,
        labelled=subject.dataset.labelled,
        search_frames=len(search.labels),
        test_frames=len(test.labels),
        float_search_top1=search.top1,
        float_test_top1=test.top1,
        schemes=len(found.samples),
        failed=sum(sample.result is None for sample in found.samples),
        turns=found.turns,
        rested=found.rested,
        final_epochs=found.front[0].test.trial.epochs,
        seconds_measuring=found.seconds_measuring,
        seconds_own=found.seconds_own,
        learner="" if found.predictor is None else found.predictor.learner.value,
        scores=tuple(scores),
        designs=tuple(
            _design(choice, number) for number, choice in enumerate(found.front, 1)
        ),
    )


def _score(name: str, quality: Quality) -> PredictorScore:
    return PredictorScore(
        name=name,
        rows=quality.rows,
        spearman=quality.spearman,
        spearman_top1=quality.spearman_top1,
        mae=quality.mae,
        coverage=quality.coverage,
    )


def _design(choice: FrontChoice, number: int) -> MeasuredDesign:
    cost, test = choice.report.cost, result_of(choice.test)
    counts = Counter(bits_of(choice.report.design.scheme).values())
    low, high = share_interval(test.top1, test.frames)
    return MeasuredDesign(
        folder=f"{MEASURED_FOLDER}{number}",
        fps=cost.fps,
        cycles=cost.latency_cycles,
        cycles_limit=choice.budget,
        act_bits=choice.search.trial.act_bits,
        bits=", ".join(f"{counts[b]} at {b}" for b in sorted(counts, reverse=True)),
        search_top1=result_of(choice.search).top1,
        test_top1=test.top1,
        test_low=low,
        test_high=high,
    )
