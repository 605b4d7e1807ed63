"""From a run to measured accuracy: schemes of its network, on the user's own data.

    run directory -> request, candidates -> float weights, data -> saliency
        -> loop of measurements -> measured.json, measured-1/ ...

The run's own answer stays: it was chosen and proven by predicted accuracy. What was
measured stands beside it, each design in a folder that later commands take as a run.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from hao.answer.candidates import Candidate
from hao.answer.explore import budget_cycles
from hao.answer.workers import Progress, open_workers
from hao.arguments import AtLeast1, take_fields, takes_words
from hao.engine.design import Design
from hao.errors import ArgumentError, InputError
from hao.factory import is_factory
from hao.measure.settings import Kind, LoopSettings
from hao.measure.store import STORE_FILE, open_store, recorded_about
from hao.page.files import renew_run_page
from hao.program.problem import DEFAULT_SPACE
from hao.report.measured import MEASURED_FILE, Measured
from hao.report.result import SearchResult
from hao.request import MOST_WORKERS, SearchRequest, asked_again, limits_of
from hao.runs.certificate import load_certificate
from hao.runs.records import keep_record
from hao.runs.run_files import held_run, opened_run
from hao.steps.common import check_torch
from hao.steps.floats import Source

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

    Raises:
        ArgumentError: A field is of a type that it cannot take, `workers` out of range,
            or beside a `cluster`.
    """

    run: Path
    source: Source | None = None
    settings: LoopSettings = field(default_factory=LoopSettings)
    saliency: Kind = Kind.PLUG_IN
    rates: tuple[float, ...] = ()
    workers: Annotated[AtLeast1, Field(le=MOST_WORKERS)] = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        take_fields(self)
        if self.cluster is not None and self.workers != 1:
            raise ArgumentError("`workers` and `cluster` exclude each other")


@takes_words
def explore(
    request: ExploreRequest, *, progress: Progress = lambda _: None
) -> Measured:
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
    from hao.measure.loop import Bench
    from hao.steps.measured import (
        explored,
        leave_designs,
        make_float_subject,
        measured_of,
        operations_of,
    )

    result, folder = opened_run(request.run)
    with held_run(folder) as held:
        asked, candidates = _candidates(folder, result)
        budgets = _budgets(request, asked, result)
        source = _source(request, folder)
        subject = make_float_subject(source, candidates, result, folder, progress)
        problems = {
            width: candidate.problem(result.design.board)
            for width, candidate in candidates.items()
        }
        remembered = {_ASKED: _remembered(source)}
        path, known = folder / STORE_FILE, operations_of(candidates)
        with (
            open_store(path, subject.about(), remembered, known=known) as store,
            open_workers(request.workers, request.cluster) as workers,
        ):
            bench = Bench(
                subject=subject, store=store, workers=workers, progress=progress
            )
            found = explored(request, bench, problems, budgets, asked)
        held.check()
        measured = measured_of(found, subject)
        leave_designs(result, found, subject, folder)
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
        one.rules.act_bits: _with_words_of(result.design, one)
        for one in every.values()
        if (one.network.name, one.image_size) == same
    }
    return asked, found


def _with_words_of(design: Design, candidate: Candidate) -> Candidate:
    """Return a candidate whose engines have the words of a design, if it prunes any.

    What a density does to a layer depends on what a word holds, so that the lanes of
    the run's own answer stay.
    """
    from hao.answer.sparsity import space_like

    if not candidate.densities:
        return candidate
    own = DEFAULT_SPACE if candidate.space is None else candidate.space
    return replace(candidate, space=space_like(design, own, candidate.densities))


def _budgets(
    request: ExploreRequest, asked: SearchRequest, result: SearchResult
) -> tuple[int, ...]:
    """Return the latencies at which the best scheme is sought, longest first."""
    board = result.design.board
    own, _ = limits_of(asked, board)
    if own is None and not request.rates:
        raise InputError(
            f"{request.run}: a search for no frame rate; `rates` gives those at which "
            "schemes are measured"
        )
    budgets = [] if own is None else [own]
    for rate in request.rates:
        if not 0 < rate < 1e6:
            raise InputError(f"`rates` = {rate:g}; must be above 0 and below 1000000")
        budgets.append(budget_cycles(board, rate / asked.promised_share))
    return tuple(sorted(set(budgets), reverse=True))


def _source(request: ExploreRequest, folder: Path) -> Source:
    """Return which data and weights to measure with."""
    if request.source is not None:
        return request.source
    text = recorded_about(folder / STORE_FILE).get(_ASKED)
    if text is None:
        raise InputError(
            f"{folder}: nothing was measured in it yet; `data` names what to measure on"
        )
    try:
        return TypeAdapter(Source).validate_json(text)
    except (ValueError, TypeError, ValidationError) as error:
        raise InputError(
            f"{folder / STORE_FILE}: which data were measured on is not readable; "
            "`data` names them"
        ) from error


def _remembered(source: Source) -> str:
    """Return data and weights as a later command can find them."""
    kept = replace(
        source,
        weights=_kept_path(source.weights),
        labels=_kept_path(source.labels),
        mapping=_kept_path(source.mapping),
    )
    return TypeAdapter(Source).dump_json(kept).decode()


def _kept_path(path: Path | None) -> Path | None:
    """Return a path that holds in other folders too; that of a function stays."""
    if path is None or is_factory(str(path)):
        return path
    return path.resolve()
