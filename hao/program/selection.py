"""The bare option program: one option per layer under one linear budget.

Sets        layers l, options o of l
Variables   y[l,o] in {0,1}
Minimise    sum cost[l,o] y[l,o]
Subject to  one[l]     sum_o y[l,o] = 1
            budget     sum price[l,o] y[l,o] <= limit
            tie[..]    tied layers take the same change
            other[k]   at most `overlap` layers as in an earlier answer k

A multiple-choice knapsack: what HAWQ-V3 solves for bits and LANA for operations, and
the frame that the co-design program puts an accelerator around. Size: one variable per
option, one row per layer, tie and option, and earlier answer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from hao.errors import InfeasibleError
from hao.options.option import Option
from hao.program.solver import LinearModel, SolverName, solve

Answer = Mapping[str, Option]
"""The chosen option of every layer."""


def choose_options(
    options: Sequence[Option],
    prices: Sequence[float],
    limit: float,
    *,
    ties: Sequence[tuple[str, str]] = (),
    others: Sequence[Answer] = (),
    overlap: int = 0,
    solver: SolverName = SolverName.AUTO,
) -> Answer:
    """Return the cheapest options within the budget.

    Args:
        options: All options; layers in the order of their first.
        prices: Price of each option, in any one unit.
        limit: Most that the prices may sum to.
        ties: Pairs of layers that must take the same change.
        others: Earlier answers to stay away from.
        overlap: Most layers that may agree with each of them.
        solver: Who solves it.

    Raises:
        InfeasibleError: No choice is within the budget.
    """
    layers = list(dict.fromkeys(option.layer for option in options))
    rows: list[str] = []
    entries: list[tuple[int, int, float]] = []
    sense: list[str] = []
    rhs: list[float] = []

    def add(name: str, kind: str, value: float, terms: dict[int, float]) -> None:
        entries.extend((len(rows), column, v) for column, v in terms.items())
        rows.append(name)
        sense.append(kind)
        rhs.append(value)

    for layer in layers:
        members = [i for i, option in enumerate(options) if option.layer == layer]
        add(f"one[{layer}]", "=", 1, dict.fromkeys(members, 1.0))
    add("budget", "<", limit, dict(enumerate(prices)))
    for left, right in ties:
        changes = {o.change for o in options if o.layer in (left, right)}
        for number, change in enumerate(sorted(changes, key=repr)):
            terms = {
                i: 1.0 if option.layer == left else -1.0
                for i, option in enumerate(options)
                if option.layer in (left, right) and option.change == change
            }
            add(f"tie[{left},{right},{number}]", "=", 0, terms)
    for number, answer in enumerate(others):
        same = [i for i, o in enumerate(options) if answer[o.layer].change == o.change]
        add(f"other[{number}]", "<", overlap, dict.fromkeys(same, 1.0))
    matrix = sparse.csr_matrix(
        (
            [value for _, _, value in entries],
            ([row for row, _, _ in entries], [column for _, column, _ in entries]),
        ),
        shape=(len(rows), len(options)),
    )
    try:
        solution = solve(
            LinearModel(
                names=tuple(f"y[{i}]" for i in range(len(options))),
                objective=np.array([float(o.cost_micro) for o in options]),
                upper=np.ones(len(options)),
                integer=np.ones(len(options), dtype=np.bool_),
                row_names=tuple(rows),
                matrix=matrix,
                sense=tuple(sense),
                rhs=np.array(rhs),
            ),
            solver=solver,
        )
    except InfeasibleError as error:
        raise InfeasibleError(
            f"no choice of options keeps the budget of {limit:g}",
            conflicts=error.conflicts,
        ) from error
    return {
        option.layer: option
        for option, value in zip(options, solution.values, strict=True)
        if value > 0.5
    }
