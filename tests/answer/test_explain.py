"""Why there is no answer, and why another solver gave it."""

from dataclasses import replace

import pytest

from hao.answer import explain
from hao.answer.explain import explained, why_not_gurobi
from hao.errors import SolverError
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.hw.budget import with_budget
from hao.program.solver import SolverName
from tests.answer.samples import BOARD, candidates, small_space


def test_the_fastest_design_is_looked_for_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_space(monkeypatch)
    low = candidates()[0]
    steps: list[str] = []
    error = explained(low, BOARD, fps=1e5, margin_percent=10, progress=steps.append)
    assert steps[0] == "explaining: the fastest design of low@7"
    assert steps[1] == "explaining: without the limits of the board"
    assert len(steps) == 7
    # "low" takes 412 cycles at best, of which 10 % of the frame rate stay free.
    most = int(0.9 * 1000 * BOARD.clock_khz / 412)
    assert f"; the most it reaches is {most} fps at the fewest bits" in str(error)
    assert (
        "low@7 does not reach 100000 fps with a margin of 10 % (`margin_percent`)"
        in str(error)
    )


def test_starts_of_several_frames_are_offered_back_to_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_space(monkeypatch)
    offered = "; more with starts of several frames (`batch`)"
    board = replace(BOARD, frames=Frames.BACK_TO_BACK)
    for batch in (1, 2):
        several = replace(board, batch=batch)
        error = explained(candidates()[0], several, fps=1e6, margin_percent=0)
        assert str(error).endswith(offered) == (batch == 1)
    error = explained(candidates()[0], BOARD, fps=1e6, margin_percent=0)
    assert BOARD.frames is Frames.ONE_AT_A_TIME
    assert not str(error).endswith(offered)


def test_the_least_time_of_a_start_is_told_where_that_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_space(monkeypatch)
    board = replace(BOARD, most_start_us=1)
    error = explained(candidates()[0], board, fps=1, margin_percent=0)
    least = 412 / BOARD.clock_khz
    assert f"; a start takes {least:.3g} ms at least (`max_latency_ms`)" in str(error)


def test_a_budget_is_a_limit_that_may_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    small_space(monkeypatch)
    board = with_budget(load_board("zu3eg"), {"lut": "5000"})
    error = explained(candidates()[0], board, fps=10, margin_percent=0)
    assert error.conflicts == ("lut",)
    assert "10 fps on zu3eg: the limit on lut is too tight; no engine" in str(error)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("gurobipy is not installed (x); use", "gurobipy is not installed"),
        ("no Gurobi licence that works (GRB=/home): x", "no Gurobi licence that works"),
        ("no Gurobi licence that works: x; use", "no Gurobi licence that works"),
        (None, "the program is larger than its licence takes"),
    ],
)
def test_gurobi_is_missed_for_a_reason_without_paths(
    monkeypatch: pytest.MonkeyPatch, fault: str | None, words: str
) -> None:
    def check(_: SolverName) -> None:
        if fault is not None:
            raise SolverError(fault)

    monkeypatch.setattr(explain, "check_solver", check)
    assert why_not_gurobi(SolverName.AUTO, SolverName.HIGHS) == words
    assert why_not_gurobi(SolverName.AUTO, SolverName.GUROBI) == ""
    assert why_not_gurobi(SolverName.HIGHS, SolverName.HIGHS) == ""
