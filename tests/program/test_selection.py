"""choose_options: published optima, exhaustive enumeration, K best, refusals."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from hao.data import data_path
from hao.errors import InfeasibleError
from hao.ir.change import Bits
from hao.options.option import Option
from hao.program.selection import choose_options
from hao.program.solver import SolverName
from tests.options.widths import width

SOLVERS = (SolverName.GUROBI, SolverName.HIGHS)
SCALE = 10**8
"""Cost units per unit of perturbation; rounding 52 layers errs by less than 1e-6."""


@dataclass(frozen=True, slots=True)
class Published:
    """One instance of the HAWQ-V3 bit selection with its published optimum."""

    label: str
    options: tuple[Option, ...]
    prices: tuple[float, ...]
    limit: float
    ties: tuple[tuple[str, str], ...]
    perturbation: float
    bits: tuple[int, ...]


def published() -> Iterator[Published]:
    """Yield all instances of data/hawq_v3_bit_selection.json.

    Perturbation is trace times the squared change of the weights; a parameter takes
    half a byte or one; BOPs count 1/64 at 4 bits and 1/16 at 8.
    """
    networks = json.loads(data_path("data", "hawq_v3_bit_selection.json").read_text())
    for name, data in networks["networks"].items():
        layers = range(len(data["parameters"]))
        price = {
            ("model_size", 4): [0.5 * p for p in data["parameters"]],
            ("model_size", 8): data["parameters"],
            ("bops", 4): [b / 64 for b in data["bops"]],
            ("bops", 8): [b / 16 for b in data["bops"]],
            ("latency", 4): data["latency_int4"],
            ("latency", 8): data["latency_int8"],
        }
        options, order = [], []
        for layer, bits in product(layers, (8, 4)):
            change = data[f"delta_weights_{bits}bit_square"][layer]
            cost = round(SCALE * data["Hutchinson_trace"][layer] * change)
            options.append(
                Option(layer=str(layer), change=Bits(weight_bits=bits), cost_micro=cost)
            )
            order.append((layer, bits))
        for optimum in data["optimal"]:
            yield Published(
                label=f"{name} {optimum['budget']} {optimum['alpha']}",
                options=tuple(options),
                prices=tuple(price[optimum["budget"], b][layer] for layer, b in order),
                limit=optimum["limit"],
                ties=tuple((str(a), str(b)) for a, b in data["ties"]),
                perturbation=optimum["optimal_perturbation"],
                bits=tuple(optimum["bits"]),
            )


PUBLISHED = tuple(published())


def test_all_published_instances_are_there() -> None:
    assert len(PUBLISHED) == 18


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.label)
def test_published_optima_are_reproduced(case: Published, solver: SolverName) -> None:
    answer = choose_options(
        case.options, case.prices, case.limit, ties=case.ties, solver=solver
    )
    assert tuple(width(o) for o in answer.values()) == case.bits
    spent = sum(option.cost_micro for option in answer.values())
    assert spent / SCALE == pytest.approx(case.perturbation, abs=1e-6)


def _random(seed: int) -> tuple[list[Option], list[float], float]:
    rng = np.random.default_rng(seed)
    options, prices = [], []
    for layer in range(int(rng.integers(1, 6))):
        count = int(rng.integers(1, 4))
        for bits in rng.choice([2, 4, 6, 8], count, replace=False):
            options.append(
                Option(
                    layer=f"l{layer}",
                    change=Bits(weight_bits=int(bits)),
                    cost_micro=int(rng.integers(0, 50)),
                )
            )
            prices.append(float(rng.integers(1, 60)))
    return options, prices, float(rng.integers(10, 160))


def _ways(
    options: Sequence[Option],
    prices: Sequence[float],
    limit: float,
    ties: Sequence[tuple[str, str]] = (),
) -> list[tuple[int, dict[str, Option]]]:
    """Return all choices within the budget with their costs, cheapest first."""
    layers = list(dict.fromkeys(option.layer for option in options))
    groups = [
        [(o, p) for o, p in zip(options, prices, strict=True) if o.layer == layer]
        for layer in layers
    ]
    result = []
    for pairs in product(*groups):
        chosen = {option.layer: option for option, _ in pairs}
        if sum(price for _, price in pairs) <= limit and all(
            chosen[a].change == chosen[b].change for a, b in ties
        ):
            result.append((sum(o.cost_micro for o in chosen.values()), chosen))
    return sorted(result, key=lambda way: way[0])


@pytest.mark.parametrize("seed", range(40))
def test_random_instances_equal_enumeration(seed: int) -> None:
    options, prices, limit = _random(seed)
    layers = list(dict.fromkeys(option.layer for option in options))
    ties = [(layers[0], layers[-1])] if seed % 3 == 0 and len(layers) > 1 else []
    ways = _ways(options, prices, limit, ties)
    solver = SOLVERS[seed % 2]
    if not ways:
        with pytest.raises(InfeasibleError):
            choose_options(options, prices, limit, ties=ties, solver=solver)
        return
    answer = choose_options(options, prices, limit, ties=ties, solver=solver)
    assert list(answer) == layers
    assert sum(o.cost_micro for o in answer.values()) == ways[0][0]
    assert any(answer == chosen for _, chosen in ways)


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_k_best_stay_away_from_earlier_answers(overlap: int) -> None:
    rng = np.random.default_rng(0)
    options = [
        Option(
            layer=f"l{layer}",
            change=Bits(weight_bits=bits),
            cost_micro=int(rng.integers(0, 100)),
        )
        for layer, bits in product(range(4), (2, 4, 8))
    ]
    prices = [float(rng.integers(1, 20)) for _ in options]
    ways = _ways(options, prices, 60)
    answers: list[dict[str, Option]] = []
    for _ in range(3):
        allowed = [
            cost
            for cost, chosen in ways
            if all(
                sum(chosen[layer] == before[layer] for layer in chosen) <= overlap
                for before in answers
            )
        ]
        answer = dict(
            choose_options(options, prices, 60, others=answers, overlap=overlap)
        )
        assert sum(o.cost_micro for o in answer.values()) == allowed[0]
        answers.append(answer)
    assert len({tuple(sorted(map(repr, a.values()))) for a in answers}) == 3


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_budget_that_nothing_keeps_is_refused_with_its_rows(
    solver: SolverName,
) -> None:
    options = [
        Option(layer=layer, change=Bits(weight_bits=bits), cost_micro=0)
        for layer, bits in product("ab", (4, 8))
    ]
    with pytest.raises(
        InfeasibleError, match=r"no choice of options keeps the budget of 5$"
    ) as caught:
        choose_options(options, [3, 4, 3, 4], 5, solver=solver)
    # Each layer alone is within the budget, so neither row can be left out.
    assert set(caught.value.conflicts) == {"one[a]", "one[b]", "budget"}


@pytest.mark.parametrize("solver", SOLVERS)
def test_ties_of_layers_without_a_common_change_clash(solver: SolverName) -> None:
    options = [
        Option(layer="a", change=Bits(weight_bits=4), cost_micro=0),
        Option(layer="b", change=Bits(weight_bits=8), cost_micro=0),
    ]
    with pytest.raises(InfeasibleError) as caught:
        choose_options(options, [1, 1], 5, ties=[("a", "b")], solver=solver)
    names = {name.split("[")[0] for name in caught.value.conflicts}
    assert names == {"one", "tie"}
