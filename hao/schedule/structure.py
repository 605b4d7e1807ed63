"""What concerns several processes: static memories that two reach, and wide words.

An array may be accessed by one process of a dataflow region only (UG1399, "Canonical
Forms"). Words of FIFOs and memories have at most 4096 bits ([HLS 207-2163]; Xilinx
Vitis-Tutorials #426).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hao.hls.source import Pragma, pragmas_of
from hao.schedule.ir import NOWHERE, IrFunction, Module, SourceLine
from hao.schedule.layout import Layout
from hao.schedule.memory import source_name
from hao.schedule.prepare import Plan
from hao.schedule.result import ScheduleFinding, ScheduleRule

WIDEST_WORD = 4096
"""Bits of a FIFO's or a memory's word that the tools take."""

_GLOBAL = re.compile(r'@("[^"]+"|[-\w.$]+)')


def shared_statics(module: Module, plan: Plan) -> Iterable[ScheduleFinding]:
    """Yield the variables that two processes of a region reach."""
    for region in sorted(plan.regions):
        users: dict[str, dict[str, SourceLine]] = defaultdict(dict)
        for process in _called(module, module.functions.get(region)):
            for name, place in _reached(module, process).items():
                users[name][process] = place
        for name, places in sorted(users.items()):
            if len(places) > 1:
                titles = sorted(process_title(module, p) for p in places)
                yield ScheduleFinding(
                    min(places.values()),
                    ScheduleRule.SHARED.value,
                    f"static {source_name(name)} is reached by {' and '.join(titles)}; "
                    "a dataflow process needs an array of its own",
                )


def wide_words(
    module: Module, layout: Layout, pragmas: Sequence[Pragma]
) -> Iterable[ScheduleFinding]:
    """Yield FIFOs and joined memories whose words are too wide."""
    for function in module.functions.values():
        for item in function.instructions():
            if item.op == "alloca" and "hls::stream" in item.detail:
                bits = _stream_bits(layout, item.detail)
                if bits > WIDEST_WORD:
                    yield ScheduleFinding(
                        _first_use(module, function, item.name),
                        ScheduleRule.WORD.value,
                        f"FIFO {item.name[1:]} has words of {bits} bits; the tools "
                        f"take up to {WIDEST_WORD}",
                    )
    joined = {
        item.variable: item for item in pragmas_of(pragmas, "aggregate", "data_pack")
    }
    for name, kind in module.globals.items():
        pragma = joined.get(source_name(name))
        bits = layout.bits(layout.element(kind)) if pragma is not None else 0
        if pragma is not None and bits > WIDEST_WORD:
            yield ScheduleFinding(
                SourceLine(pragma.path, pragma.line),
                ScheduleRule.WORD.value,
                f"memory {source_name(name)} has words of {bits} bits; the tools take "
                f"up to {WIDEST_WORD}",
            )


def process_title(module: Module, name: str) -> str:
    """Return what a function is called in the source."""
    text = module.debug.nodes.get(module.functions[name].program, "")
    found = re.search(r'name: "((?:[^"\\]|\\.)*)"', text)
    return found.group(1) if found else name


def _called(module: Module, function: IrFunction | None) -> list[str]:
    if function is None:
        return []
    names = [
        item.detail[1:].strip('"')
        for item in function.instructions()
        if item.op == "call"
    ]
    return [name for name in dict.fromkeys(names) if name in module.functions]


def _reached(module: Module, process: str) -> dict[str, SourceLine]:
    """Return the variables that a process and what it calls reach, with a line each."""
    found: dict[str, SourceLine] = {}
    waiting, seen = [process], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        function = module.functions[name]
        waiting += _called(module, function)
        for item in function.instructions():
            for value in item.ops:
                for text in _GLOBAL.findall(value) if "@" in value else ():
                    variable = text.strip('"')
                    changes = variable not in module.constants
                    if variable in module.globals and changes:
                        place = module.debug.place(item.location)
                        old = found.get(variable, NOWHERE)
                        if old == NOWHERE or (place != NOWHERE and place < old):
                            found[variable] = place
    return found


def _first_use(module: Module, function: IrFunction, name: str) -> SourceLine:
    for item in function.instructions():
        if name in item.ops and item.location >= 0:
            place = module.debug.place(item.location)
            if place.line:
                return place
    return NOWHERE


def _stream_bits(layout: Layout, kind: str) -> int:
    """Return the bits of a FIFO's words: its empty array of them says."""
    for item in reversed(layout.fields(kind)):
        if item.type.startswith("[0 x "):
            return layout.bits(item.type[5:-1])
    return 0
