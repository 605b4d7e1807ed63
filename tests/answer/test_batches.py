"""The frames of a start that a search chooses are those of the best design of any."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hao.answer import workers as workers_module
from hao.answer.candidates import Candidate
from hao.answer.explore import budget_cycles, search_accuracy, search_smallest
from hao.answer.ledger import Outcome
from hao.answer.objective import Objective
from hao.errors import ArgumentError, InfeasibleError
from hao.hw.board import Board, Frames
from hao.program.codesign import Measure, choose_most_accurate, choose_smallest
from hao.request import SearchRequest, with_batches
from hao.runs.certificate import CERTIFICATE_FILE
from hao.steps.search import search
from hao.steps.verify import verify
from tests.answer.samples import BOARD, candidates, remembered, small_space

BACK_TO_BACK = replace(BOARD, frames=Frames.BACK_TO_BACK)
AUTO = SearchRequest(board="small", fps=1, batch=None, frames=Frames.BACK_TO_BACK)
LUTS = Measure(lut=1)
THOROUGH = pytest.mark.thorough


@pytest.fixture(autouse=True)
def _small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    small_space(monkeypatch)
    monkeypatch.setattr(workers_module, "solve_task", remembered)


def offered() -> list[Candidate]:
    chosen = [c for c in candidates() if c.network.name in ("first", "second")]
    return with_batches(AUTO, chosen)


def fps_of(cycles: int) -> float:
    """Return a frame rate that allows so many cycles a frame, at any batch."""
    fps = BOARD.clock_khz * 1000 / (cycles + 0.05)
    assert budget_cycles(replace(BACK_TO_BACK, batch=8), fps) == 8 * cycles
    return fps


def limited(cycles: int | None) -> Board:
    """Return the board where a start may take so many cycles, roughly."""
    most = None if cycles is None else cycles * 1000 // BOARD.clock_khz
    return replace(BACK_TO_BACK, most_start_us=most)


def seen(outcome: Outcome) -> tuple[int, int, int, str]:
    found, report = outcome.candidate, outcome.report
    return (
        *(report.cost_micro - found.top1_micro, report.cost.frames),
        *(report.cost.latency_cycles, found.label),
    )


@pytest.mark.parametrize(
    ("cycles", "most", "label"),
    [
        (1970, None, "first@10"),
        # At one frame a start it takes 1962 cycles, at any bits.
        (1948, None, "first@10, 2 frames"),
        (1948, 3000, "second@10"),
        pytest.param(1830, None, "first@10, 8 frames", marks=THOROUGH),
        pytest.param(1830, 9000, "second@10", marks=THOROUGH),
        pytest.param(1065, None, "second@10, 4 frames", marks=THOROUGH),
    ],
)
def test_the_most_accurate_has_the_fewest_frames_of_all_solved_alone(
    cycles: int, most: int | None, label: str
) -> None:
    board, fps = limited(most), fps_of(cycles)
    outcome = search_accuracy(offered(), board, fps=fps)
    found = []
    for c in offered():
        budget = budget_cycles(c.on(board), fps)
        with suppress(InfeasibleError):
            report = choose_most_accurate(c.problem(board), budget=budget)
            loss = report.cost_micro - c.top1_micro
            found.append((loss, c.batch, report.cost.latency_cycles, c.label))
    assert seen(outcome) == min(found)
    assert outcome.candidate.label == label
    assert outcome.proven
    start = outcome.report.cost.latency_cycles
    assert start <= outcome.candidate.batch * cycles  # type: ignore[operator]  # of a choice of batches it is a number
    assert most is None or start <= most


@THOROUGH
def test_the_smallest_has_the_fewest_frames_of_all_solved_alone() -> None:
    fps, top1 = fps_of(1980), 79.0
    outcome = search_smallest(offered(), BACK_TO_BACK, measure=LUTS, fps=fps, top1=top1)
    found = []
    for c in offered():
        report = choose_smallest(
            c.problem(BACK_TO_BACK),
            measure=LUTS,
            budget=budget_cycles(c.on(BACK_TO_BACK), fps),
            cost_limit=c.top1_micro - round(top1 * 1e6),
        )
        found.append((report.objective, c.batch))
    assert (outcome.report.objective, outcome.candidate.batch) == min(found)


@THOROUGH
def test_a_chosen_number_of_frames_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [c for c in candidates() if c.network.name in ("first", "second")]
    monkeypatch.setattr("hao.steps.search.board_of", lambda _: BACK_TO_BACK)
    for module in ("hao.steps.search", "hao.request"):
        monkeypatch.setattr(f"{module}.candidates_of", lambda *_: chosen)
    request = replace(AUTO, fps=fps_of(1935), margin_percent=0, front_points=0)
    result = search(request, run_path=tmp_path / "run")
    assert result.design.board.batch == result.cost.frames == 2
    found = verify(tmp_path / "run", samples=10)
    assert (found.reason, found.networks, found.skipped) == ("", 8, 0)
    # The same answer, posing as one of another number of frames.
    path = tmp_path / "run" / CERTIFICATE_FILE
    path.write_text(
        path.read_text().replace("first@10, 2 frames", "first@10, 4 frames")
    )
    assert "networks" in verify(tmp_path / "run", samples=0).reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": Frames.ONE_AT_A_TIME}, "`batch` = auto: several frames of a start"),
        (
            {"fps": None, "objective": Objective.LATENCY},
            "`batch` = auto is the fewest frames that reach `fps`",
        ),
        ({"objective": Objective.AREA}, "the objective 'area' needs `min_top1`"),
        ({"max_latency_ms": 0.0}, "`max_latency_ms` = 0 ms; must be from 0.001"),
        (
            {
                "max_latency_ms": 5.0,
                "batch": 2,
                "fps": None,
                "objective": Objective.LATENCY,
            },
            "`max_latency_ms` belongs to searches at `fps`",
        ),
    ],
)
def test_what_cannot_be_asked_of_starts(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        replace(AUTO, **changes)  # type: ignore[arg-type]  # fields by name
