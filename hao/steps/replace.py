"""From a network to one whose blocks run faster: distil, score, choose, fine-tune.

    teacher -> operations distilled -> plug-in losses -> program -> K designs
        -> measured whole -> the best one fine-tuned -> run directory

The run goes on through `hao quantize`, `hao emit-hls` and `hao simulate` as any other
does; its float weights lie in it. torch takes seconds to load, so what needs it is
imported where it is used.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter

from hao.answer.candidates import BitRules
from hao.answer.workers import Progress
from hao.arguments import AtLeast1, takes_words
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.ir.change import Change, LeaveOut, Replace
from hao.program.codesign import SolveReport
from hao.program.problem import Problem
from hao.report.result import SearchResult
from hao.report.tables import render_summary, result_json
from hao.request import limits_of
from hao.steps.changed import (
    Changed,
    ChangeRequest,
    Trained,
    load_trained,
    tuned_on,
    work_beside,
    write_changed,
)
from hao.steps.common import check_torch
from hao.steps.operations import Pooled, distilled, offered_places

if TYPE_CHECKING:
    from hao.distillation.choose import BlockTeacher, Finalist

RECORD_FILE = "replacement.json"

FINE_TUNING_EPOCHS = 20
"""Of training after operations were replaced (chosen here; LANA takes 100)."""

USUAL_RULES = BitRules(choices=(4, 8))
"""Bits on offer beside operations, unless asked otherwise (chosen here)."""

MOST_FINALISTS = 20
"""Most designs that are measured whole (chosen here; LANA takes about 100)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRequest(ChangeRequest):
    """What to replace, and where it is to run.

    `epochs` may be 0, and `search.rules` left open are `USUAL_RULES`.

    Attributes:
        pooled: Which operations are offered, and how they are trained and measured.
        operations_only: Whether the teacher's own layers keep the most bits.
        best: Designs whose networks are put together and measured.

    Raises:
        ArgumentError: A field is out of range, or there is no frame rate.
    """

    pooled: Pooled = field(default_factory=Pooled)
    operations_only: bool = False
    best: Annotated[AtLeast1, Field(le=MOST_FINALISTS)] = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What replacing operations came to.

    Attributes:
        teacher_top1: Of the teacher on the test frames [percent].
        plain_top1: Of the changed network before fine-tuning [percent].
        float_top1: Of the changed network after it [percent].
        finalists: Designs that were measured whole, the best first.
        result: The design, proven for the network with the operations of the first.
    """

    teacher_top1: float
    plain_top1: float
    float_top1: float
    finalists: tuple["Finalist", ...]
    result: SearchResult

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_replacement(self)

    def as_json(self) -> dict[str, object]:
        """Return the design and what was measured as JSON values."""
        return {
            "teacher_top1": self.teacher_top1,
            "plain_top1": self.plain_top1,
            "float_top1": self.float_top1,
            "finalists": [
                {"predicted": each.predicted, "measured": each.measured}
                for each in self.finalists
            ],
            "result": result_json(self.result, seconds=None),
        }


@takes_words
def replace_operations(
    request: ReplaceRequest,
    *,
    run_path: Path,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> Replacement:
    """Return the best design with replaced operations, and leave it in a run directory.

    A killed command goes on where it was: after the last epoch, or the last pass.

    Args:
        request: What to replace.
        run_path: Directory to create.
        force: Replace an existing run directory.
        progress: Told of each step, one line at a time.

    Raises:
        InputError: The request, a file or a name is wrong.
        UnsupportedError: The network cannot be changed or trained.
        InfeasibleError: No choice of operations reaches the frame rate.
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    with work_beside(run_path, force=force) as folder:
        check = partial(offered_places, request.pooled)
        trained = load_trained(
            request, folder, progress, usual=USUAL_RULES, check=check
        )
        teacher = distilled(trained, request.pooled, folder, request.seed, progress)
        finalists = _finalists(request, trained, teacher, progress)
        scheme = finalists[0].report.design.scheme
        plain = teacher.under(scheme)
        tuned = tuned_on(
            request, trained, plain, folder, progress, epochs=FINE_TUNING_EPOCHS
        )
        top1 = {
            "teacher_top1": trained.top1(teacher.network),
            "plain_top1": trained.top1(plain),
            "float_top1": trained.top1(tuned),
        }
        record = json.dumps(_record(request, top1, finalists), indent=1) + "\n"
        changed = Changed(
            network=tuned,
            changes=_replaced(scheme),
            top1=top1["float_top1"] if trained.dataset.labelled else None,
            files=lambda _: {RECORD_FILE: record.encode()},
        )
        if request.operations_only:
            trained = _at_bits(trained, finalists[0].report)
        result = write_changed(
            trained, changed, run_path, folder, force=force, progress=progress
        )
    return Replacement(**top1, finalists=finalists, result=result)


def render_replacement(found: Replacement) -> str:
    """Return the design with replaced operations and what it measures, as text."""
    return (
        f"{render_summary(found.result)}\n"
        f"float top-1 on the test frames: teacher {found.teacher_top1:.2f} %, replaced "
        f"{found.plain_top1:.2f} %, fine-tuned {found.float_top1:.2f} %"
    )


def _replaced(scheme: Mapping[str, Change]) -> dict[str, Change]:
    """Return what leaves the network another one, bits aside."""
    return {n: c for n, c in scheme.items() if isinstance(c, LeaveOut | Replace)}


def _at_bits(trained: Trained, report: SolveReport) -> Trained:
    """Return a network that may have the bits of a design alone."""
    used = tuple(sorted(set(report.design.weight_bits.values())))
    rules = replace(trained.asked.bit_rules, choices=used)
    return replace(trained, asked=replace(trained.asked, rules=rules))


def _finalists(
    request: ReplaceRequest,
    trained: Trained,
    teacher: "BlockTeacher",
    progress: Progress,
) -> tuple["Finalist", ...]:
    """Return the designs that the program proposes, measured whole, the best first."""
    from hao.distillation.choose import measured_options, ranked
    from hao.distillation.score import score

    rules = trained.asked.bit_rules
    scores = score(
        teacher.network,
        teacher.places,
        teacher.params,
        teacher.frames,
        rules.choices,
        progress=progress,
    )
    problem = Problem(
        network=replace(teacher.network, params={}),
        options=measured_options(
            teacher.network,
            teacher.places,
            scores,
            rules.choices,
            bits=not request.operations_only,
        ),
        board=trained.board,
        act_bits=rules.act_bits,
    )
    reports = _proposed(request, trained.board, problem, progress)
    progress(f"measuring {len(reports)} networks whole")
    return ranked(teacher, reports)


def _proposed(
    request: ReplaceRequest, board: Board, problem: Problem, progress: Progress
) -> tuple[SolveReport, ...]:
    from hao.distillation.propose import propose

    search = request.search
    cycles, _ = limits_of(search, board)
    assert cycles is not None
    reports = propose(
        problem,
        budget=cycles,
        count=request.best,
        solver=search.solver,
        progress=progress,
    )
    fastest = reports[0].cost.latency_cycles
    if fastest > cycles:
        most = board.frames_per_s(fastest) * search.promised_share
        raise InfeasibleError(
            f"no choice of operations of {problem.network.name} was found that reaches "
            f"{search.fps:g} fps with {search.margin_percent:g} % to spare on "
            f"{board.name}; the most that one reaches is {most:.1f} fps",
            conflicts=("latency",),
        )
    return reports


def _record(
    request: ReplaceRequest, top1: Mapping[str, float], finalists: Sequence["Finalist"]
) -> dict[str, object]:
    return {
        "schema": "hao.replacement/2",
        "asked": TypeAdapter(ReplaceRequest).dump_python(request, mode="json"),
        **top1,
        "finalists": [
            {
                "latency_cycles": each.report.cost.latency_cycles,
                "predicted_nats": each.predicted,
                "measured_nats": each.measured,
            }
            for each in finalists
        ],
    }
