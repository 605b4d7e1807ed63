"""What an outcome amounts to, and its further designs in their order."""

from dataclasses import replace

from hao.accuracy.drops import load_drop_law
from hao.answer.candidates import BitRules, make_candidate
from hao.answer.ledger import Outcome
from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.program.codesign import SolveReport
from hao.program.solver import SolverName, Status
from hao.report.others import render_others
from hao.report.result import make_result
from tests.report.samples import small_design, small_network, small_result

RESULT = small_result()
REPORT = SolveReport(
    design=small_design(),
    cost=evaluate(small_design()),
    cost_micro=250_000,
    choice=(),
    status=Status.OPTIMAL,
    objective=250_000,
    bound=250_000,
    solver=SolverName.HIGHS,
    variables=1,
    constraints=1,
    nodes=0,
    priced=1,
)


def test_further_designs_stay_in_the_order_in_which_they_were_found() -> None:
    network = small_network()
    candidate = make_candidate(
        network, top1=70.0, source="", law=load_drop_law(), rules=BitRules()
    )
    outcome = Outcome(
        candidate=candidate,
        report=REPORT,
        verdicts=(),
        loss=250_000 - candidate.top1_micro,
        bound=250_000 - candidate.top1_micro,
    )
    result = make_result(
        outcome,
        board=REPORT.design.board,
        others=(replace(REPORT, priced=2), replace(REPORT, priced=3)),
        fps_asked=50.0,
        margin_percent=17.0,
        objective=Objective.ACCURACY,
    )
    assert [each.proof.priced for each in (result, *result.others)] == [1, 2, 3]


def test_the_table_numbers_further_designs_in_their_order() -> None:
    cost, used = RESULT.cost, RESULT.cost.resources
    several = replace(
        RESULT,
        others=tuple(
            replace(RESULT, cost=replace(cost, resources=replace(used, dsp=dsp)))
            for dsp in (111, 222)
        ),
    )
    rows = render_others(several).splitlines()[3:5]
    assert [row.split()[0] for row in rows] == ["2", "3"]
    assert [" 111 " in rows[0], " 222 " in rows[1]] == [True, True]
