"""The pipelined loops of a module, each with what it allows and costs."""

import re
from collections.abc import Iterable, Sequence

from hao.hls.source import Pragma
from hao.schedule.area import loop_area, product_slices
from hao.schedule.build import build_graph
from hao.schedule.built import Surroundings
from hao.schedule.bus import bus_accesses
from hao.schedule.graph import Operator, OperatorGraph, OperatorKind
from hao.schedule.ir import SourceLine, source_lines
from hao.schedule.pipeline import find_pipeline
from hao.schedule.ports import find_port_limit
from hao.schedule.prepare import Plan
from hao.schedule.recurrence import Recurrence, find_recurrences
from hao.schedule.regions import Loop, find_loops
from hao.schedule.result import CycleStep, LoopSchedule, OperatorCounts, Uncertainty
from hao.schedule.structure import process_title

WIDE_SHIFTER = 64
"""Bits from which a variable shifter is named: chosen here."""

WIDE_MULTIPLEXER = 16
"""Inputs from which a multiplexer is named: chosen here."""

_LABEL = re.compile(r"(?:HAO_LOOP\((\w+)|\b(\w+)\s*:\s*(?:for|while|do)?\b)")


def analyse_loops(
    around: Surroundings, plan: Plan, settings: Sequence[Uncertainty]
) -> tuple[LoopSchedule, ...]:
    """Return the pipelined loops by place."""
    module = around.module
    found = []
    for function in module.functions.values():
        loops = find_loops(function)
        for loop in loops:
            first = module.debug.loop_range(loop.latch)[0]
            pragma = plan.pipelined.get(first)
            if pragma is not None:
                inner = [other for other in loops if other.head in loop.succ]
                found.append(_analyse(around, settings, inner, loop, pragma))
    return tuple(sorted(found, key=lambda item: (item.place, item.process)))


def _analyse(
    around: Surroundings,
    settings: Sequence[Uncertainty],
    loops: Iterable[Loop],
    loop: Loop,
    pragma: Pragma,
) -> LoopSchedule:
    built = build_graph(loop, around)
    graph = built.graph
    recurrences = find_recurrences(graph, [item.budget_ns for item in settings])
    pipeline = find_pipeline(graph, settings[0].budget_ns)
    debug = around.module.debug
    place = debug.loop_range(loop.latch)[0]
    inner = {debug.loop_range(other.latch)[0] for other in loops} - {place}
    return LoopSchedule(
        process_title(around.module, loop.function.name),
        loop_label(place),
        place,
        pragma.number("ii", 1),
        recurrences,
        _steps(graph, recurrences[0]),
        find_port_limit(built, around.layout),
        pipeline.depth,
        _counts(graph.operators),
        loop_area(graph.operators, pipeline.registers),
        tuple(bus_accesses(built)),
        tuple(sorted(inner)),
    )


def _steps(graph: OperatorGraph, recurrence: Recurrence) -> tuple[CycleStep, ...]:
    """Return the operators of a recurrence that take time."""
    found = []
    for node in recurrence.cycle:
        operator = graph.operators[node]
        delay = operator.delay + operator.out
        if delay > 0 or operator.latency:
            found.append(CycleStep(_words(operator), delay, operator.place))
    return tuple(found)


def _words(operator: Operator) -> str:
    if operator.kind is OperatorKind.MUX:
        return f"multiplexer of {operator.width} inputs"
    return f"{operator.kind.value} of {operator.width} bits"


def _counts(operators: Iterable[Operator]) -> OperatorCounts:
    every = list(operators)
    products = [item for item in every if item.kind is OperatorKind.MULTIPLY]
    dividers = [item for item in every if item.kind is OperatorKind.DIVIDE]
    shifters = [item.width for item in every if item.kind is OperatorKind.SHIFT]
    muxes = [item.width for item in every if item.kind is OperatorKind.MUX]
    in_dsp = sum(product_slices(item) > 0 for item in products)
    constant = sum(item.by_constant for item in dividers)
    return OperatorCounts(
        in_dsp,
        len(products) - in_dsp,
        len(dividers) - constant,
        constant,
        tuple(sorted(width for width in shifters if width > WIDE_SHIFTER)),
        tuple(sorted(inputs for inputs in muxes if inputs >= WIDE_MULTIPLEXER)),
        sum(item.kind is OperatorKind.FLOAT for item in every),
    )


def loop_label(place: SourceLine) -> str:
    """Return the label of a loop: a C++ one, or hao's HAO_LOOP in front of it."""
    lines = source_lines(place.path)
    # HAO_FOLLOW may stand between the two.
    for row in (place.line - 1, place.line - 2, place.line - 3):
        if 0 <= row < len(lines):
            found = _LABEL.search(lines[row])
            if found and "?" not in lines[row] and "::" not in lines[row]:
                return found.group(1) or found.group(2) or ""
    return ""
