"""What the tool's pragmas mean for a compiler: written into unoptimised LLVM IR.

- A process stays a function of its own: what a DATAFLOW function calls, what has INLINE
  off, and the top. All else is inlined into them, as the tool does by default.
- A pipelined loop stays a loop. What lies in it is unrolled, also in the functions that
  it calls; so is a loop with UNROLL. All other loops stay as they are.
- FIFO accesses have no effect but on their FIFO and their word; pointers into different
  processes' arguments never meet. Accesses to the bus stay where they stand.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hao.hls.source import Pragma, pragmas_of
from hao.schedule.ir import NOWHERE, IrFunction, Module, SourceLine, closing

FIFO = "@hao_fifo_"
"""What the names of FIFO accesses begin with: include/hls_stream.h."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What stays a function, and what becomes of every loop.

    Attributes:
        top: Functions that no other one calls, or the one that was asked for.
        processes: Functions that stay, by mangled name.
        regions: Those of them that call others side by side (DATAFLOW).
        pipelined: Pragma of every pipelined loop by its first line.
        unrolled: Copies of a loop's body by the first line of the loop; 0 for all.
    """

    top: tuple[str, ...]
    processes: frozenset[str]
    regions: frozenset[str]
    pipelined: Mapping[SourceLine, Pragma]
    unrolled: Mapping[SourceLine, int]


def make_plan(module: Module, pragmas: Iterable[Pragma], top: str | None) -> Plan:
    """Return what the pragmas ask for.

    Args:
        module: As the front end emits it.
        pragmas: Of its source.
        top: Name of the top function; `None` takes those with an INTERFACE pragma, or
            else all that no other function calls.
    """
    every = list(pragmas)
    calls = {name: _called(module, function) for name, function in _own(module)}
    regions = _functions(module, pragmas_of(every, "dataflow"))
    apart = [item for item in pragmas_of(every, "inline") if "off" in item.options]
    tops = _tops(module, every, top, calls)
    processes = set(tops) | _functions(module, apart) | regions
    for region in regions:
        processes |= calls.get(region, set())
    ranges = _ranges(module)
    pipelined = {
        loop[0]: item
        for item in pragmas_of(every, "pipeline")
        if "off" not in item.options and (loop := _around(ranges, item)) is not None
    }
    return Plan(
        tuple(sorted(tops)),
        frozenset(processes),
        frozenset(regions),
        pipelined,
        _unrolled(module, every, pipelined, calls),
    )


def _own(module: Module) -> list[tuple[str, IrFunction]]:
    """Return the functions of the project, those of the analysis' headers left out."""
    debug = module.debug
    return [
        (name, function)
        for name, function in module.functions.items()
        if function.program >= 0 and not debug.in_headers(function.program)
    ]


def _called(module: Module, function: IrFunction) -> set[str]:
    own = {name for name, _ in _own(module)}
    return {
        callee
        for item in function.instructions()
        if item.op == "call" and (callee := item.detail[1:].strip('"')) in own
    }


def _functions(module: Module, pragmas: Iterable[Pragma]) -> set[str]:
    """Return the functions whose bodies hold one of the pragmas."""
    braces = {brace for item in pragmas for brace in item.braces}
    debug = module.debug
    return {
        name
        for name, function in _own(module)
        if (debug.path(function.program), debug.number(function.program, "scopeLine"))
        in braces
    }


def _tops(
    module: Module,
    pragmas: list[Pragma],
    top: str | None,
    calls: Mapping[str, set[str]],
) -> set[str]:
    debug = module.debug
    if top is not None:
        named = {
            name
            for name, function in _own(module)
            if re.search(
                rf'\(name: "{re.escape(top)}"', debug.nodes.get(function.program, "")
            )
        }
        if named:
            return named
    interface = _functions(module, pragmas_of(pragmas, "interface"))
    called = set().union(*calls.values()) if calls else set()
    return interface or set(calls) - called


def _ranges(module: Module) -> set[tuple[SourceLine, SourceLine]]:
    """Return first and last line of every loop."""
    debug = module.debug
    found = {
        debug.loop_range(item.loop)
        for _, function in _own(module)
        for item in function.instructions()
        if item.loop >= 0
    }
    return {pair for pair in found if pair[0] != NOWHERE}


def _around(
    ranges: Iterable[tuple[SourceLine, SourceLine]], item: Pragma
) -> tuple[SourceLine, SourceLine] | None:
    """Return the innermost loop that holds a pragma."""
    holding = [
        pair
        for pair in ranges
        if pair[0].path == item.path and pair[0].line <= item.line <= pair[1].line
    ]
    return max(holding, default=None)


def _unrolled(
    module: Module,
    pragmas: list[Pragma],
    pipelined: Mapping[SourceLine, Pragma],
    calls: Mapping[str, set[str]],
) -> dict[SourceLine, int]:
    ranges = _ranges(module)
    inside = [pair for pair in ranges if pair[0] in pipelined]
    found: dict[SourceLine, int] = {}
    for first, last in ranges:
        if any(
            first.path == outer[0].path
            and outer[0] < first
            and last.line <= outer[1].line
            for outer in inside
        ):
            found[first] = 0
    debug = module.debug
    waiting = {
        callee
        for _, function in _own(module)
        for item in function.instructions()
        if item.op == "call" and item.location >= 0
        for callee in (item.detail[1:].strip('"'),)
        if callee in calls and _within(debug.plain_place(item.location), inside)
    }
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= calls[name]
    for name in reached:
        for item in module.functions[name].instructions():
            first = debug.loop_range(item.loop)[0] if item.loop >= 0 else NOWHERE
            if first not in pipelined:
                found[first] = 0
    for pragma in pragmas_of(pragmas, "unroll"):
        loop = _around(ranges, pragma)
        if loop is not None and loop[0] not in pipelined:
            off = "off" in pragma.options
            found[loop[0]] = 1 if off else pragma.number("factor", 0)
    return found


def _within(place: SourceLine, ranges: Iterable[tuple[SourceLine, SourceLine]]) -> bool:
    return any(
        place.path == first.path and first.line <= place.line <= last.line
        for first, last in ranges
    )


# ---- Into the text -------------------------------------------------------------------

_EFFECT = "nounwind willreturn memory(argmem: readwrite, inaccessiblemem: readwrite)"
_INLINING = re.compile(r"\b(noinline|optnone|inlinehint|alwaysinline|nounwind)\b")
_QUOTED = re.compile(r'"[^"]*"(?:="[^"]*")?')


def apply_plan(text: str, module: Module, plan: Plan) -> str:
    """Return unoptimised IR with the plan in its attributes and loops."""
    lines = text.splitlines()
    for name, function in module.functions.items():
        lines[function.row] = _header(lines[function.row], name in plan.processes)
    loops = _loop_nodes(module, plan)
    extra = max(module.debug.nodes, default=0) + 1
    for row, line in enumerate(lines):
        if line.startswith("attributes #"):
            # What is left of a group must not be empty.
            plain = _INLINING.sub("", _QUOTED.sub("", line))
            lines[row] = plain.replace("{", "{ nounwind", 1)
        elif line.startswith("declare ") and FIFO in line:
            lines[row] = _fifo(line)
        elif line.startswith("@"):
            lines[row] = (
                re.sub(r", comdat\b", "", line)
                .replace("linkonce_odr dso_local global", "dso_local global")
                .replace("linkonce_odr global", "global")
            )
        elif line.startswith("!"):
            number = int(line[1 : line.index(" ")]) if line[1].isdigit() else -1
            if number in loops:
                copies = loops[number]
                note = extra + (0 if copies == 1 else 1 if copies == 0 else 2 + copies)
                kept = _kept_notes(line, module)
                lines[row] = f"!{number} = distinct !{{{kept}, !{note}}}"
    lines += [
        f'!{extra} = !{{!"llvm.loop.unroll.disable"}}',
        f'!{extra + 1} = !{{!"llvm.loop.unroll.full"}}',
    ]
    lines += [
        f'!{extra + 2 + copies} = !{{!"llvm.loop.unroll.count", i32 {copies}}}'
        for copies in sorted(set(loops.values()) - {0, 1})
    ]
    return "\n".join(lines) + "\n"


def _header(line: str, stays: bool) -> str:
    line = re.sub(r" comdat\b", "", line)
    line = re.sub(
        r"^define (?:internal |linkonce_odr |weak_odr |dso_local )*", "", line
    )
    how = "noinline" if stays else "alwaysinline"
    end = closing(line, line.index("(", line.index("@")))
    after = re.match(r" (?:local_)?unnamed_addr", line[end:])
    at = end + (after.end() if after else 0)
    line = f"{line[:at]} {how}{line[at:]}"
    if stays:
        return "define " + re.sub(
            r"\bptr noundef (?!byval)", "ptr noalias noundef ", line
        )
    return "define internal " + line


def _fifo(line: str) -> str:
    end = line.index(")")
    start = line.index("(")
    arguments = line[start + 1 : end].split(", ")
    arguments[0] = "ptr captures(none)"
    if len(arguments) > 1:
        arguments[1] = "ptr captures(none)" + (" readonly" if "_write" in line else "")
    head = re.sub(r"!dbg !\d+ ", "", line[:start])
    return f"{head}({', '.join(arguments)}) {_EFFECT}"


def _loop_nodes(module: Module, plan: Plan) -> dict[int, int]:
    """Return how often every loop is unrolled, by the number of its node."""
    debug = module.debug
    return {
        item.loop: plan.unrolled.get(debug.loop_range(item.loop)[0], 1)
        for function in module.functions.values()
        for item in function.instructions()
        if item.loop >= 0
    }


def _kept_notes(line: str, module: Module) -> str:
    references = re.findall(r"!\d+", line[line.index("{") :])
    kept = [
        ref
        for ref in references
        if "llvm.loop.unroll" not in module.debug.nodes.get(int(ref[1:]), "")
    ]
    return ", ".join(kept)


def keep_bus_accesses(text: str, rows: Iterable[int]) -> str:
    """Return IR in which the accesses on some lines stay exactly where they stand."""
    lines = text.splitlines()
    for row in rows:
        line = lines[row]
        if "@llvm.memcpy" in line or "@llvm.memmove" in line:
            lines[row] = line.replace("i1 false)", "i1 true)")
        else:
            lines[row] = re.sub(
                r"\b(load|store) (?!volatile)", r"\1 volatile ", line, count=1
            )
    return "\n".join(lines) + "\n"
