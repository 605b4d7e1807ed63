"""What a measured search runs: its subject, its loop, and what it leaves.

Loads torch and scikit-learn, and is imported when `hao.steps.explore` runs.
"""

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hao.answer.candidates import Candidate
from hao.answer.workers import Progress
from hao.ir.change import (
    Change,
    Replace,
    bits_of,
    change_text,
    densities_of,
    kept_channels,
    left_out,
    replaced,
)
from hao.ir.channels import channel_groups
from hao.ir.network import Network
from hao.measure.loop import Bench, Exploration, FrontChoice, result_of, run_loop
from hao.measure.propose import Ask, make_encoder
from hao.measure.saliency import known_saliencies, mapped_to_loss
from hao.measure.sample import Part
from hao.measure.settings import Kind
from hao.measure.subject import Subject, make_subject, network_under
from hao.program.problem import Problem
from hao.quant.export_float import float_files
from hao.quant.float_net import with_parameters
from hao.report.measured import (
    MEASURED_FOLDER,
    Measured,
    MeasuredDesign,
    PredictorScore,
    share_interval,
)
from hao.report.result import Proof, SearchResult
from hao.request import SearchRequest
from hao.runs.run import write_run
from hao.runs.run_files import FLOAT_STEM, load_operations
from hao.steps.floats import Source, float_inputs

if TYPE_CHECKING:
    from hao.steps.explore import ExploreRequest


def make_float_subject(
    source: Source,
    candidates: dict[int, Candidate],
    result: SearchResult,
    folder: Path,
    progress: Progress,
) -> Subject:
    """Return the float network at every width of the activations, and its frames.

    Args:
        source: Data and weights.
        candidates: By width of the activations.
        result: Of the run: in the words of its design are weights pruned.
        folder: Of the run, whose float weights lack what its design left out.
        progress: Told of each step.

    Raises:
        InputError: Data or weights are wrong, or the run lacks those of operations.
        UnsupportedError: A layer cannot be trained.
    """
    widest = max(candidates)
    network, more = candidates[widest].network, candidates[widest]
    cut = more.channels or more.densities or more.operations
    own = None if cut else folder
    whole, data = float_inputs(source, network, folder, progress, own=own)
    networks: dict[int, Network] = {widest: whole}
    for width, candidate in candidates.items():
        if width != widest:
            networks[width] = with_parameters(candidate.network, whole.params)
    subject = make_subject(networks, data.dataset)
    for note in subject.notes:
        progress(f"note: {note}")
    return replace(
        subject,
        words=result.design if more.densities else None,
        operations=load_operations(folder) if more.operations else {},
    )


def operations_of(candidates: dict[int, Candidate]) -> dict[tuple[str, str], Change]:
    """Return the operations on offer, by block and word."""
    return {
        (option.layer, change_text(option.change)): option.change
        for candidate in candidates.values()
        for option in candidate.operations
        if isinstance(option.change, Replace)
    }


def explored(
    request: "ExploreRequest",
    bench: Bench,
    problems: dict[int, Problem],
    budgets: tuple[int, ...],
    asked: SearchRequest,
) -> Exploration:
    """Return what the loop of measurements comes to, from saliencies on."""
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


def leave_designs(
    result: SearchResult, found: Exploration, subject: Subject, folder: Path
) -> None:
    """Write the measured designs, each a run in a folder of the run.

    Where more than bits changed, it has the float weights of what is left.
    """
    for number, choice in enumerate(found.front, start=1):
        trial = choice.search.trial
        whole = subject.networks[trial.act_bits]
        left = network_under(subject, whole, trial.scheme)
        files = {} if left is whole else float_files(left)
        write_run(
            _as_result(result, choice),
            folder / f"{MEASURED_FOLDER}{number}",
            force=True,
            more={FLOAT_STEM + end: text for end, text in files.items()},
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
            PredictorScore(name=f"{learner.value}, cross-validated", **asdict(quality))
            for learner, quality in found.predictor.quality.items()
        ]
    if found.ahead is not None:
        scores.append(
            PredictorScore(name="of later turns, ahead", **asdict(found.ahead))
        )
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
            _design(choice, number, subject)
            for number, choice in enumerate(found.front, 1)
        ),
        notes=subject.notes,
    )


def _design(choice: FrontChoice, number: int, subject: Subject) -> MeasuredDesign:
    cost, test = choice.report.cost, result_of(choice.test)
    scheme = choice.report.design.scheme
    counts = Counter(bits_of(scheme).values())
    words = [f"{counts[b]} at {b}" for b in sorted(counts, reverse=True)]
    whole = {g.name: g.channels for g in channel_groups(subject.network)}
    for count, word in (
        (len(densities_of(scheme)), "pruned"),
        (
            sum(len(own) < whole[n] for n, own in kept_channels(scheme).items()),
            "groups narrower",
        ),
        (len(replaced(scheme)), "blocks replaced"),
        (len(left_out(scheme)), "blocks left out"),
    ):
        if count:
            words.append(f"{count} {word}")
    low, high = share_interval(test.top1, test.frames)
    return MeasuredDesign(
        folder=f"{MEASURED_FOLDER}{number}",
        fps=cost.fps,
        cycles=cost.latency_cycles,
        cycles_limit=choice.budget,
        act_bits=choice.search.trial.act_bits,
        bits=", ".join(words),
        search_top1=result_of(choice.search).top1,
        test_top1=test.top1,
        test_low=low,
        test_high=high,
    )
