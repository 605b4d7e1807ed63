"""Is a run's answer what it claims to be? The certificate, checked again.

What is checked, in this order; the first thing that differs is the answer:

1. Design file, request and certificate belong together. The design, priced again, fits
   the board, keeps the limits, and its accuracy cost is the sum of its options' costs.
2. The network and the options are what hao makes of the request: of the zoo by name; an
   imported network is the recorded one.
3. The problem, solved again with the other solver, comes to the same optimum.
4. Random legal designs (`hao.answer.rivals`), priced by the cost model alone: none
   beats the answer.
5. Every other network: its most possible top-1 is below the answer's, or solved again
   it has no better design.

Shared with the search: the cost model, the accuracy tables, and in 3 and 5 the code of
the exact search, which gives the integer program what it has to confirm. Not checked:
the front, and that of networks whose best designs are equal the right one was named.
"""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from hao.answer.candidates import Candidate
from hao.answer.ledger import Fate
from hao.answer.objective import Objective, measure_of
from hao.answer.rivals import rivals, settled
from hao.answer.workers import Progress, Task, Workers, open_workers, solve_task
from hao.arguments import AtLeast0, AtLeast1, takes_words
from hao.errors import InfeasibleError, InputError, SolverError
from hao.options.option import MICRO
from hao.program.codesign import Measure, SolveReport
from hao.program.problem import Problem
from hao.program.solver import SolverName, Status
from hao.report.goal import blocks_in_words
from hao.report.result import SearchResult
from hao.report.verification import Verification
from hao.request import SearchRequest, asked_again, limits_of
from hao.runs.certificate import (
    CERTIFICATE_FILE,
    Certificate,
    NetworkEntry,
    digest,
    load_certificate,
)
from hao.runs.design_file import FILE_NAME, load_design
from hao.runs.recorded import recorded_problem

SAMPLES = 100
"""Random designs that are priced unless asked otherwise: seconds (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A run with its certificate, and what hao makes of the request."""

    run: Path
    result: SearchResult
    certificate: Certificate
    request: SearchRequest
    candidates: dict[str, Candidate]

    @property
    def answer(self) -> Candidate:
        return self.candidates[self.certificate.label]

    @property
    def problem(self) -> Problem:
        return self.answer.problem(self.result.design.board)

    @property
    def by_accuracy(self) -> bool:
        """Return whether top-1 decided between the networks."""
        objective = self.request.objective
        return objective is Objective.ACCURACY or (
            objective.is_smallest and self.certificate.least_top1_micro is None
        )

    @property
    def measure(self) -> Measure | None:
        """Return how blocks are counted, where the smallest design was asked for."""
        return measure_of(self.request.objective, self.result.design.board)

    @property
    def loss(self) -> int:
        """Return the answer's top-1 with the opposite sign [micro-points]."""
        return self.certificate.cost_micro - self.answer.top1_micro


@takes_words
def verify(
    path: Path,
    *,
    quick: bool = False,
    samples: AtLeast0 = SAMPLES,
    workers: AtLeast1 = 1,
    progress: Progress = lambda _: None,
) -> Verification:
    """Return whether a run's answer is what its certificate says.

    Args:
        path: A run directory.
        quick: Believe the certificate on the other networks where solving them again
            would be needed.
        samples: Random designs to price, at least 0.
        workers: Networks that are solved again side by side, at least 1.
        progress: Told of each step.

    Raises:
        InputError: The run lacks a certificate or a design, or one of them is
            malformed or of another schema.
        UnsupportedError: A network has a layer that the engine cannot run.
        SolverError: The workers died.
    """
    result = load_design(path, check=False)
    certificate = load_certificate(path)
    try:
        load_design(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return Verification(run=path, reason=f"{FILE_NAME}: {reason}")
    try:
        case = _opened(path, certificate, result)
        reason = _records_differ(case) or _price_differs(case) or _problem_differs(case)
    except InputError as error:
        raise InputError(f"{path}: {CERTIFICATE_FILE}: {error}") from error
    if reason:
        return Verification(run=path, reason=reason)
    seen = Verification(
        run=path, claim=_claim(case), networks=len(certificate.networks)
    )
    progress("solving the answer's problem again")
    seen = _solved_again(case, seen)
    if seen.verified:
        progress(f"pricing {samples} random designs")
        seen = _sampled(case, seen, samples)
    if seen.verified:
        with open_workers(workers) as solving:
            seen = _others_checked(case, seen, quick, solving, progress)
    return seen


def _opened(path: Path, certificate: Certificate, result: SearchResult) -> _Case:
    """Return a run with its request read and its candidates made anew."""
    request, candidates = asked_again(certificate, result.design.board.name)
    return _Case(
        run=path,
        result=result,
        certificate=certificate,
        request=request,
        candidates=candidates,
    )


def _differs(what: str, recorded: object, found: object) -> str:
    """Return that something differs from the record, or nothing."""
    return "" if recorded == found else f"{what}: recorded {recorded}, found {found}"


def _records_differ(case: _Case) -> str:
    """Return how design file, request and certificate differ from each other."""
    certificate, result, request = case.certificate, case.result, case.request
    margin = request.margin_percent if request.fps is not None else 0.0
    cycles, top1 = limits_of(request, result.design.board)
    chosen = [e.label for e in certificate.networks if e.fate is Fate.CHOSEN]
    return (
        _differs("objective asked for", request.objective.value, result.objective.value)
        or _differs("fps asked for", request.fps, result.fps_asked)
        or _differs("margin", margin, result.margin_percent)
        or _differs("limit on cycles", certificate.cycles_limit, cycles)
        or _differs("least top-1 [micro-points]", certificate.least_top1_micro, top1)
        or _differs("chosen network", chosen, [certificate.label])
        or _differs("status", certificate.status.value, result.proof.status.value)
    )


def _price_differs(case: _Case) -> str:
    """Return what the design, priced again, does not keep."""
    certificate, design, cost = case.certificate, case.result.design, case.result.cost
    over = cost.resources.shortfall(design.board.usable)
    if over:
        kind = next(iter(over))
        used, usable = cost.resources.as_dict(), design.board.usable.as_dict()
        return f"{kind}: the design takes {used[kind]}, usable are {usable[kind]}"
    limit = certificate.cycles_limit
    if limit is not None and cost.latency_cycles > limit:
        return f"latency: {cost.latency_cycles} cycles, the limit is {limit}"
    value = cost.latency_cycles
    if case.measure is not None:
        value = case.measure.of(cost.resources)
    elif case.by_accuracy:
        value = certificate.cost_micro
    content = (case.run / FILE_NAME).read_bytes()
    return (
        _differs("latency [cycles]", certificate.latency_cycles, cost.latency_cycles)
        or _differs("objective", certificate.objective, value)
        or _bound_differs(case)
        or _differs(f"SHA-256 of {FILE_NAME}", certificate.design, digest(content))
    )


def _bound_differs(case: _Case) -> str:
    """Return how the recorded bound is farther from the objective than was allowed."""
    objective, bound = case.certificate.objective, case.certificate.bound
    allowed = int(case.request.within_percent / 100 * objective)
    if objective - allowed <= bound <= objective:
        return ""
    return _differs("bound", bound, objective - allowed)


def _problem_differs(case: _Case) -> str:
    """Return how the recorded problem differs from what hao makes of the request."""
    certificate, design = case.certificate, case.result.design
    labels = sorted(entry.label for entry in certificate.networks)
    differ = _differs("networks", labels, sorted(case.candidates))
    if differ:
        known = set(labels) ^ set(case.candidates)
        return f"networks: {', '.join(sorted(known)) or 'one stands twice'} differ"
    problem = case.problem
    recorded = recorded_problem(certificate.problem, problem)
    if recorded.network.layers != problem.network.layers:
        return f"network {recorded.network.name!r}: not the one that was asked for"
    for then, now in zip(recorded.options, problem.options, strict=False):
        if then != now:
            return (
                f"option of layer {then.layer!r}: recorded {then.change}, "
                f"{then.cost_micro} micro-points; found {now.change}, {now.cost_micro}"
            )
    taken = settled(problem, design.scheme)
    spent = sum(
        site.costs[index]
        for site, index in zip(problem.frame.sites, taken, strict=True)
        if index is not None
    )
    changed, _, _ = problem.frame.changed([index or 0 for index in taken], ())
    if changed.layers != design.network.layers:
        return "network of the design: not what its options make of the one asked for"
    least = certificate.least_top1_micro
    if least is not None and case.answer.top1_micro - spent < least:
        return f"top-1: {case.answer.top1_micro - spent} micro-points, least is {least}"
    return (
        _differs("options", len(recorded.options), len(problem.options))
        or _differs("ties", recorded.ties, problem.ties)
        or _differs("act_bits", recorded.act_bits, problem.act_bits)
        or _differs("accuracy cost [micro-points]", certificate.cost_micro, spent)
    )


def _limits(case: _Case, candidate: Candidate, *, better: bool) -> Task:
    """Return the task of a network under the request, or of what beats the answer."""
    certificate, board = case.certificate, case.result.design.board
    cost_limit = None
    if certificate.least_top1_micro is not None:
        cost_limit = candidate.top1_micro - certificate.least_top1_micro
    task = Task(
        label=candidate.label,
        problem=candidate.problem(board),
        cost_limit=cost_limit,
        tolerance=case.request.within_percent / 100,
    )
    cycles, _ = limits_of(case.request, candidate.on(board))
    if cycles is None:
        limit = certificate.latency_cycles - 1 if better else task.latency_limit
        return replace(task, latency_limit=limit)
    task = replace(task, budget=cycles)
    if better and case.by_accuracy:
        return replace(task, cost_limit=candidate.top1_micro + case.loss - 1)
    task = replace(task, measure=case.measure)
    return replace(task, most_blocks=certificate.objective - 1) if better else task


def _solved_again(case: _Case, seen: Verification) -> Verification:
    """Return what the other solver makes of the answer's problem."""
    other = SolverName.HIGHS
    if case.certificate.solver is SolverName.HIGHS:
        # Gurobi where it runs and takes a model of this size.
        other = SolverName.AUTO
    answer = solve_task(replace(_limits(case, case.answer, better=False), solver=other))
    if isinstance(answer, InfeasibleError | SolverError):
        return replace(seen, reason=f"solved again: {answer}")
    certificate = case.certificate
    gap = (certificate.objective - answer.bound) / max(certificate.objective, 1)
    reason = _differs("bound", certificate.bound, answer.bound)
    if not case.request.within_percent:
        # Else any design above the bound and near enough may be picked.
        own = _differs("objective", certificate.objective, answer.objective)
        reason = own or reason or _ties_differ(case, answer)
    if reason:
        reason = f"solved again with {answer.solver.value}: {reason}"
    return replace(
        seen,
        reason=reason,
        gap=gap,
        solver=answer.solver,
        again=answer.solver is certificate.solver,
    )


def _ties_differ(case: _Case, answer: SolveReport) -> str:
    """Return how a second answer of one objective differs in what breaks ties.

    Of equally small designs any may be named; without a least top-1 all are as accurate
    as the most accurate one.
    """
    certificate, differs = case.certificate, ""
    if case.measure is None:
        cycles = answer.cost.latency_cycles
        differs = _differs("latency", certificate.latency_cycles, cycles)
    if case.measure is None or case.by_accuracy:
        cost = _differs("accuracy cost", certificate.cost_micro, answer.cost_micro)
        differs = differs or cost
    return differs


def _sampled(case: _Case, seen: Verification, count: int) -> Verification:
    """Return whether a random design is better than the answer."""
    certificate, measure = case.certificate, case.measure
    own = certificate.cost_micro, certificate.latency_cycles
    if case.request.within_percent:
        own = certificate.bound, 0
    limit = _limits(case, case.answer, better=False).cost_limit
    if case.by_accuracy:
        limit = certificate.cost_micro
    elif limit is None:
        limit = sum(option.cost_micro for option in case.problem.options)
    priced = 0
    for rival in rivals(
        case.problem, case.result.design, cost_limit=limit, count=count
    ):
        priced += 1
        its = rival.cost_micro, rival.cost.latency_cycles
        if certificate.cycles_limit is not None and its[1] > certificate.cycles_limit:
            continue
        if measure is not None:
            blocks = measure.of(rival.cost.resources)
            if blocks < certificate.objective:
                reason = (
                    f"a random design is smaller: {blocks}; recorded "
                    f"{certificate.objective}"
                )
                return replace(seen, reason=reason, samples=priced)
        elif (its < own) if case.by_accuracy else (its[::-1] < own[::-1]):
            reason = (
                f"a random design is better: {its[0]} micro-points, {its[1]} cycles; "
                f"recorded {own[0]}, {own[1]}"
            )
            return replace(seen, reason=reason, samples=priced)
    return replace(seen, samples=priced)


def _others_checked(
    case: _Case, seen: Verification, quick: bool, workers: Workers, progress: Progress
) -> Verification:
    """Return whether each other network is excluded, solved again where needed."""
    waiting = []
    for entry in case.certificate.networks:
        candidate = case.candidates[entry.label]
        differ = _entry_differs(case, entry, candidate)
        if differ:
            return replace(seen, reason=f"{entry.label}: {differ}")
        if entry.fate is not Fate.CHOSEN and not _bounded(case, candidate):
            waiting.append(candidate)
    if quick:
        left = [e.label for e in case.certificate.networks if e.fate is Fate.OPEN]
        reason = f"not excluded when it was searched: {', '.join(left)}" if left else ""
        return replace(seen, reason=reason, skipped=len(waiting))
    tasks = [_limits(case, candidate, better=True) for candidate in waiting]
    with closing(workers.solve(tasks, progress)) as answers:
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, SolverError):
                return replace(seen, reason=f"{task.label}: not excluded: {answer}")
            if not isinstance(answer, InfeasibleError):
                found = (
                    f"{task.label}: a better design: {answer.cost_micro} micro-points, "
                    f"{answer.cost.latency_cycles} cycles"
                )
                return replace(seen, reason=found)
    limited = case.certificate.status is Status.LIMIT
    return replace(seen, reason="recorded as not proven" if limited else "")


def _bounded(case: _Case, candidate: Candidate) -> bool:
    """Return whether the most top-1 of a network rules it out."""
    least = case.certificate.least_top1_micro
    if case.by_accuracy:
        return -candidate.bound_micro >= case.loss
    return least is not None and candidate.bound_micro < least


def _entry_differs(case: _Case, entry: NetworkEntry, candidate: Candidate) -> str:
    """Return how the record of a network differs from what is known of it."""
    cycles = cost = None
    if entry.fate is Fate.BOUNDED and not _bounded(case, candidate):
        return "recorded as excluded by its most top-1, which is not below the answer's"
    if entry.fate not in (Fate.BOUNDED, Fate.CHOSEN):
        task = _limits(case, candidate, better=True)
        cycles = task.latency_limit if task.budget is None else task.budget
        cost = task.cost_limit
    known = candidate.top1_micro, candidate.bound_micro
    return (
        _differs("float top-1 [micro-points]", entry.float_top1_micro, known[0])
        or _differs("most top-1 [micro-points]", entry.most_top1_micro, known[1])
        or _differs("limit on cycles", entry.cycles_limit, cycles)
        or _differs("limit on cost [micro-points]", entry.cost_limit, cost)
    )


def _claim(case: _Case) -> str:
    """Return what the answer is the best of."""
    request, answer = case.request, case.answer
    spent = case.certificate.cost_micro / MICRO
    left = f"{answer.top1_micro / MICRO - spent:.2f} %"
    fps = f"{case.result.cost.fps:.1f} fps"
    match request.objective:
        case Objective.ACCURACY:
            most = f"{left} is the most"
            if answer.top1 is None:
                most = f"a drop of {spent:.2f} points is the least"
            if within := request.within_percent:
                most = (
                    f"a drop of {spent:.2f} points is within {within:g} % of the least"
                )
            return f"{most} at {request.fps:g} fps"
        case Objective.FPS:
            return f"{fps} is the most at {request.min_top1:g} % top-1"
        case Objective.LATENCY:
            return f"{fps} is the most at any accuracy"
        case Objective.AREA | Objective.POWER:
            blocks = blocks_in_words(case.result, case.certificate.objective)
            at = f"{request.fps:g} fps"
            if request.min_top1 is not None:
                at += f" and {request.min_top1:g} % top-1"
            name = request.objective.value
            return f"{blocks} is the least {name} at {at}"
        case _:
            assert_never(request.objective)
