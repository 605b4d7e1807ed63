"""Designs to measure whole: on engines of the whole catalogue, unless too large."""

from dataclasses import replace
from typing import cast

import pytest

from hao.distillation import propose as proposals
from hao.distillation.propose import TOLERANCE, promising, propose
from hao.errors import InfeasibleError
from hao.ir.blocks import with_operations
from hao.ir.change import Bits, Keep, LeaveOut, Replace
from hao.ir.layer import Conv, Layer, Padding
from hao.ir.parts import replaceable_blocks
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.codesign import (
    NO_LIMIT,
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    field_of,
)
from hao.program.problem import Problem
from hao.program.search import seek
from hao.program.solver import SolverName
from hao.program.space import Space
from tests.program.instances import Builder, board

SHAPE = Shape(channels=8, height=6, width=6)


def conv(name: str, entry: str, ifm: int, ofm: int, kernel: int) -> Conv:
    return Conv(
        name=name,
        input=entry,
        ifm=replace(SHAPE, channels=ifm),
        ofm=replace(SHAPE, channels=ofm),
        kernel=kernel,
        padding=Padding.same(kernel),
    )


@pytest.fixture(scope="module")
def problem() -> Problem:
    made = Builder(SHAPE).conv(8, 1)
    start = made.last
    network = made.conv(8, 3).add(start).conv(16, 3).conv(8, 3).network()
    (block,) = [b for b in replaceable_blocks(network) if b.entry == start]
    instead: dict[str, tuple[Layer, ...]] = {
        "one": (conv("new.a", start, 8, 8, 1),),
        "two": (
            conv("new.b1", start, 8, 4, 1),
            conv("new.b2", "new.b1", 4, 8, 3),
        ),
    }
    for layers in instead.values():
        assert with_operations(network, {block: layers}).compute_layers
    options = [
        Option(layer=layer.name, change=Bits(weight_bits=bits), cost_micro=cost)
        for layer in network.compute_layers
        for bits, cost in ((8, 0), (4, 30_000))
    ]
    options += [
        Option(layer=block.name, change=Keep(), cost_micro=0),
        Option(layer=block.name, change=LeaveOut(), cost_micro=400_000),
    ]
    options += [
        Option(
            layer=block.name,
            change=Replace(operation=name, layers=layers, weight_bits=bits),
            cost_micro=cost + 8 - bits,
        )
        for (name, layers), cost in zip(instead.items(), (90_000, 70_000), strict=True)
        for bits in (8, 4)
    ]
    return Problem(
        network=network,
        options=tuple(options),
        board=board(dsp=12, lut=16_000, ddr_kbytes_per_s=400_000),
        act_bits=8,
        space=Space(pixels=(1, 2), lanes=(2, 4, 8), taps=(1,), depths=(64, 512, 2048)),
    )


@pytest.fixture(scope="module")
def budgets(problem: Problem) -> list[int]:
    """Return latencies from that of the fastest design on, the fastest of a choice."""
    fastest = choose_fastest(problem).cost.latency_cycles
    slowest = choose_fastest(problem, cost_limit=0).cost.latency_cycles
    assert fastest < slowest
    return [fastest, (2 * fastest + slowest) // 3, (fastest + 2 * slowest) // 3]


def proposed(problem: Problem, budget: int) -> tuple[int, list[str]]:
    told: list[str] = []
    (found,) = propose(
        problem,
        budget=budget,
        count=1,
        solver=SolverName.AUTO,
        progress=told.append,
    )
    assert found.cost.latency_cycles <= budget
    return found.cost_micro, told


def test_what_is_proposed_is_as_good_as_any_engine_allows(
    problem: Problem, budgets: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Space(pixels=(1,), lanes=(2,), taps=(1,), depths=(2048,))

    def slow(asked: Problem, *, solver: SolverName) -> SolveReport:
        return choose_fastest(
            replace(asked, space=small).with_frame(asked.frame), solver=solver
        )

    monkeypatch.setattr(proposals, "choose_fastest", slow)
    budget = budgets[1]
    exact = choose_most_accurate(problem, budget=budget).cost_micro
    cost, told = proposed(problem, budget)
    assert exact <= cost <= exact / (1 - TOLERANCE) ** 2 + 2
    assert "engines of the whole catalogue" in told[-1]
    # Engines around a slow one alone do not do.
    monkeypatch.setattr(proposals, "MOST_RUNS", 0)
    with pytest.raises(InfeasibleError, match=f"no design within {budget} cycles"):
        proposed(problem, budget)


def test_only_what_is_cheap_enough_is_found(
    problem: Problem, budgets: list[int]
) -> None:
    field = field_of(problem)
    found = seek(field, budgets[1], NO_LIMIT, TOLERANCE)
    assert found is not None
    assert found.way.cycles <= budgets[1]
    exact = choose_most_accurate(problem, budget=budgets[1]).cost_micro
    assert found.way.cost <= exact / (1 - TOLERANCE) + 1
    assert seek(field, budgets[1], exact - 1, TOLERANCE) is None


def test_an_operation_that_another_beats_is_not_sought(problem: Problem) -> None:
    operations = [o for o in problem.options if isinstance(o.change, Replace)]
    one, same_at_4, *_ = operations
    change = cast(Replace, one.change)
    worse = replace(one, change=replace(change, operation="x"), cost_micro=99_999)
    kept = promising((*problem.options, worse))
    assert kept == promising(problem.options)
    assert worse not in kept
    assert {one, same_at_4} <= set(
        kept
    )  # fewer bits cost more: neither beats the other
    elsewhere = replace(worse, layer="elsewhere")
    assert elsewhere in promising((*problem.options, elsewhere))
