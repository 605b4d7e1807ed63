"""Points of a front: the figures of their design, with the power of its board."""

from dataclasses import replace

import pytest

from hao.accuracy.drops import load_drop_law
from hao.answer.candidates import BitRules, make_candidate
from hao.answer.front import FrontPoint, front_point
from hao.cost.evaluate import evaluate
from hao.cost.power import estimate_power
from hao.ir.change import scheme_of
from hao.program.codesign import SolveReport
from hao.program.solver import SolverName, Status
from tests.report.samples import small_design


def point_of(board: str) -> tuple[FrontPoint, SolveReport]:
    """Return the point of the sample design on a board, and its report."""
    design = small_design(board)
    candidate = make_candidate(
        design.network,
        top1=70.0,
        source="made up",
        law=load_drop_law(),
        rules=BitRules(),
    )
    # What a front point does not look at is zero.
    report = SolveReport(
        design=replace(design, scheme=scheme_of(dict.fromkeys(design.scheme, 8))),
        cost=evaluate(design),
        choice=(),
        cost_micro=250_000,
        status=Status.OPTIMAL,
        objective=0,
        bound=0,
        solver=SolverName.HIGHS,
        variables=0,
        constraints=0,
        nodes=0,
        priced=0,
    )
    return front_point(candidate, report), report


def test_a_point_has_the_power_of_its_design() -> None:
    point, report = point_of("zu3eg")
    power = estimate_power(report.cost, report.design.board)
    assert power is not None
    assert point.power_mw == power.total_mw
    assert point.fps_per_watt == pytest.approx(1000 * point.fps / power.total_mw)
    assert (point.fps, point.mean_bits) == (report.cost.fps, 8)


def test_a_point_of_a_board_without_idle_power_has_none() -> None:
    point, _ = point_of("zcu102")
    assert point.power_mw is None
    assert point.fps_per_watt is None
