"""The answer of a search as one value: what is printed, written and reopened."""

from dataclasses import dataclass, replace
from pathlib import Path

from hao.accuracy.drops import Basis, Evidence
from hao.answer.candidates import Accuracy, Stance
from hao.answer.front import FrontPoint
from hao.answer.ledger import Outcome
from hao.answer.objective import Objective
from hao.cost.evaluate import CostReport
from hao.cost.power import Power, estimate_power
from hao.engine.design import Design
from hao.hw.board import Board
from hao.ir.change import Replace, Scheme
from hao.ir.network import Network
from hao.program.codesign import SolveReport
from hao.program.solver import SolverName, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How well the answer is proven.

    Attributes:
        status: Whether optimality was proven.
        gap: Distance of the answer and `bound`, relative to the answer.
        solver: Who solved the integer programs.
        variables: Of the largest one.
        constraints: Of the same.
        nodes: Branch-and-bound nodes.
        priced: Engines priced by the enumeration.
        candidates: Networks that were considered.
        solved: Of these, networks for which a program was solved or found infeasible.
        open: Of these, networks that may have a better design, which was not found.
        bound: No network has a better design: micro-points of top-1 left, negated;
            cycles; or blocks as the objective counts them. `None` if not recorded.
        solver_reason: Why it was not Gurobi, where that was tried first.
    """

    status: Status
    gap: float
    solver: SolverName
    variables: int
    constraints: int
    nodes: int
    priced: int
    candidates: int
    solved: int
    open: tuple[str, ...] = ()
    bound: int | None = None
    solver_reason: str = ""

    @property
    def as_asked(self) -> bool:
        """Return whether no design is better, by more than was allowed."""
        return self.status is not Status.LIMIT and not self.open


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        design: Network, bits, engine, partition, board.
        cost: What it costs.
        image_size: Height and width of the frame [pixels].
        float_top1: Published or given float top-1 [percent], or `None`.
        float_source: Where it comes from.
        accuracy: Predicted top-1 under the scheme, or `None` if the float one is
            unknown.
        evidence: What the prediction rests on.
        out_of_range: The scheme is outside what was measured for its family.
        proof: How well it is proven.
        objective: What was optimised.
        fps_asked: Frame rate that was asked for, if any.
        margin_percent: Part of its frame time that the prediction had to leave free.
        front: Points of the front, most accurate first; empty if not asked for.
        basis: Published results that the prediction is nearest to, with the recipe;
            `None` where nothing is predicted.
        stance: What of the predicted drop was ranked by, if that is known.
        block_points: Top-1 that leaving out a block was reckoned to cost [points], as
            given; `None` if all blocks were kept.
        others: Further designs of the network that were asked for, best first, each the
            most accurate of those that differ enough from all before it.
        run: Directory that holds the run, or `None`.
    """

    design: Design
    cost: CostReport
    image_size: int
    float_top1: float | None
    float_source: str
    accuracy: Accuracy | None
    evidence: Evidence
    out_of_range: bool
    proof: Proof
    objective: Objective
    fps_asked: float | None
    margin_percent: float = 0.0
    front: tuple[FrontPoint, ...] = ()
    basis: Basis | None = None
    stance: Stance | None = None
    block_points: float | None = None
    others: tuple["SearchResult", ...] = ()
    run: Path | None = None

    def __repr__(self) -> str:
        """Return the summary of the report: what Python shows."""
        from hao.report.tables import render_summary

        return render_summary(self)

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        from hao.report.notebook import search_html

        return search_html(self)

    @property
    def power(self) -> Power | None:
        """Return the estimated power, or `None` where the board lacks figures."""
        return estimate_power(self.cost, self.design.board)

    @property
    def utilisation(self) -> dict[str, float]:
        """Return the share of the device that each kind of resource takes, 0 to 1."""
        have = self.design.board.resources.as_dict()
        used = self.cost.resources.as_dict()
        return {
            name: round(used[name] / have[name], 4)
            for name in ("dsp", "bram_18k", "uram", "lut", "ff")
            if have[name]
        }


def make_result(
    outcome: Outcome,
    *,
    board: Board,
    front: tuple[FrontPoint, ...] = (),
    others: tuple[SolveReport, ...] = (),
    fps_asked: float | None,
    margin_percent: float,
    objective: Objective,
    solver_reason: str = "",
) -> SearchResult:
    """Return the result that an outcome amounts to.

    Args:
        outcome: Of the search.
        board: Where the design is to run.
        front: Points of the front, most accurate first.
        others: Further designs of the chosen network, best first.
        fps_asked: Frame rate that was asked for, if any.
        margin_percent: Part of its frame time that the prediction had to leave free.
        objective: What was optimised.
        solver_reason: Why it was not Gurobi, where that was tried first.
    """
    candidate, report = outcome.candidate, outcome.report
    assert report.design.board == board
    design, scheme = report.design, report.design.scheme
    if candidate.changes:
        changes = _as_built(candidate.changes, design.network)
        design = replace(design, scheme={**scheme, **changes})
    lowest = min(design.weight_bits.values())
    used = [drop for bits, drop in candidate.drops.items() if bits >= lowest]
    basis = candidate.basis(scheme)
    return SearchResult(
        design=design,
        cost=report.cost,
        image_size=candidate.image_size,
        float_top1=candidate.top1,
        float_source=candidate.source,
        accuracy=candidate.accuracy(scheme),
        evidence=basis.evidence,
        basis=basis,
        stance=candidate.rules.stance,
        out_of_range=any(drop.out_of_range for drop in used),
        proof=Proof(
            status=Status.LIMIT if outcome.open else report.status,
            gap=outcome.gap,
            solver=report.solver,
            variables=report.variables,
            constraints=report.constraints,
            nodes=report.nodes,
            priced=report.priced,
            candidates=len(outcome.verdicts),
            solved=sum(verdict.looked_at for verdict in outcome.verdicts),
            open=outcome.open,
            bound=outcome.bound,
            solver_reason=solver_reason,
        ),
        objective=objective,
        fps_asked=fps_asked,
        margin_percent=margin_percent,
        front=front,
        others=tuple(
            make_result(
                replace(
                    outcome,
                    report=other,
                    loss=other.cost_micro - candidate.top1_micro,
                    bound=other.bound - candidate.top1_micro,
                ),
                board=board,
                fps_asked=fps_asked,
                margin_percent=margin_percent,
                objective=objective,
                solver_reason=solver_reason,
            )
            for other in others
        ),
        block_points=candidate.rules.block_points,
    )


def _as_built(changes: Scheme, network: Network) -> Scheme:
    """Return changes whose layers are those that a design runs, passes included."""
    layers = {layer.name: layer for layer in network.layers}
    return {
        name: replace(change, layers=tuple(layers[x.name] for x in change.layers))
        if isinstance(change, Replace)
        else change
        for name, change in changes.items()
    }
