"""Designs to measure whole: on the engine that is found in the whole catalogue."""

from dataclasses import replace
from typing import cast

import pytest

from hao.distillation.propose import TOLERANCE, promising, propose
from hao.ir.blocks import with_operations
from hao.ir.change import Bits, Keep, LeaveOut, Replace
from hao.ir.layer import Conv, Layer, Padding
from hao.ir.parts import replaceable_blocks
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    field_of,
)
from hao.program.problem import Problem
from hao.program.search import seek
from hao.program.several import OVERLAP_PERCENT
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


def proposed(problem: Problem, budget: int, count: int = 1) -> tuple[SolveReport, ...]:
    return propose(
        problem,
        budget=budget,
        count=count,
        solver=SolverName.AUTO,
        progress=lambda _: None,
    )


def test_what_is_proposed_is_as_good_as_any_engine_allows(
    problem: Problem, budgets: list[int]
) -> None:
    for budget in budgets:
        (found,) = proposed(problem, budget)
        assert found.cost.latency_cycles <= budget
        exact = choose_most_accurate(problem, budget=budget).cost_micro
        assert exact <= found.cost_micro <= exact / (1 - TOLERANCE) ** 2 + 2


def test_proposals_differ_in_options_that_they_reach(
    problem: Problem, budgets: list[int]
) -> None:
    reports = proposed(problem, budgets[1], count=4)
    assert len(reports) == 4
    schemes = [dict(report.design.scheme) for report in reports]
    for number, later in enumerate(schemes):
        for earlier in schemes[:number]:
            assert later != earlier
            same = sum(later.get(name) == change for name, change in earlier.items())
            assert same <= len(earlier) * OVERLAP_PERCENT // 100


def test_where_no_design_is_fast_enough_the_fastest_is_returned(
    problem: Problem, budgets: list[int]
) -> None:
    (found,) = proposed(problem, budgets[0] - 1, count=4)
    assert found.cost.latency_cycles == budgets[0]


def test_what_is_sought_is_close_to_the_best(
    problem: Problem, budgets: list[int]
) -> None:
    found = seek(field_of(problem), budgets[1], TOLERANCE)
    assert found is not None
    assert found.way.cycles <= budgets[1]
    exact = choose_most_accurate(problem, budget=budgets[1]).cost_micro
    assert exact <= found.way.cost <= exact / (1 - TOLERANCE) + 1


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
