"""Rules on pragmas: grammar, place, the variable they name, and partitions."""

import re
from collections.abc import Iterator

from hao.lint.declared import DeclaredName
from hao.lint.finding import Finding, LintRule
from hao.lint.grammar import is_misspelt
from hao.lint.pragmas import GRAMMARS, PragmaPlace, ValueKind
from hao.lint.program import CodeFunction, CodeUnit, PragmaUse
from hao.lint.tree import child, parse_expression, search, text_of

# Pragmas that exclude each other in one function or loop.
_EXCLUSIVE = (
    {"pipeline", "dataflow"},
    {"unroll", "dataflow"},
    {"loop_flatten", "dataflow"},
)
_SINGLE = frozenset({"pipeline", "unroll", "loop_tripcount"})

Faults = Iterator[tuple[LintRule, str]]


def check_pragmas(program: CodeUnit) -> Iterator[Finding]:
    """Yield the findings on every pragma of a unit."""
    unit = program.unit
    for _, node in search(unit.root, "(preproc_call) @at"):
        text = text_of(child(node, "argument"))
        if unit.pragma(node) is None and is_misspelt(text):
            message = f"{text.strip()}: write HLS"
            yield unit.at(node, LintRule.PRAGMA_NAMESPACE, message)
    for function in (None, *program.functions):
        seen: dict[tuple[int, str], PragmaUse] = {}
        for use in program.stray if function is None else function.pragmas:
            name = use.reading.name.upper() or "a pragma without a name"
            for rule, message in use.reading.faults:
                yield unit.at(use.node, rule, f"{name}: {message}")
            faults = [*_place(program, use)]
            if function is not None:
                faults += _integers(program, function, use)
                faults += _subject(program, function, use)
                faults += _conflicts(use, seen)
            for rule, message in faults:
                yield unit.at(use.node, rule, f"{name} {message}")


def _place(program: CodeUnit, use: PragmaUse) -> Faults:
    if use.place is PragmaPlace.FILE:
        yield LintRule.SCOPE_PLACE, "stands outside a function; move it in"
        return
    grammar = GRAMMARS[program.unit.tool].get(use.reading.name)
    if grammar is None:
        return
    places = grammar.places
    if use.reading.name == "inline" and "region" not in use.reading.flags:
        places = places - {PragmaPlace.REGION}
    if use.place not in places:
        allowed = " or ".join(sorted(place.value for place in places))
        message = f"stands directly in {use.place.value}; must stand in {allowed}"
        yield LintRule.SCOPE_PLACE, message


def _integers(program: CodeUnit, function: CodeFunction, use: PragmaUse) -> Faults:
    """Check operands that are names of constants, which grammar cannot."""
    grammar = GRAMMARS[program.unit.tool].get(use.reading.name)
    for key, value in use.reading.options.items():
        option = None if grammar is None else grammar.options.get(key)
        if option is None or option.kind is not ValueKind.INTEGER:
            continue
        if re.fullmatch(r"[-+]?\d+", value):
            continue
        number = program.number(value, function, use.node)
        if number is not None and number < option.minimum:
            message = f"{key}={value} is {number}; must be at least {option.minimum}"
            yield LintRule.PRAGMA_VALUE, message
        node = parse_expression(value)
        # A member or a call is left to the compiler.
        left_open = any(mark in value for mark in ("::", "(", "<"))
        if not left_open and (
            node is None or not program.is_constant(node, function, use.node)
        ):
            yield LintRule.PRAGMA_VALUE, f"{key}={value} is no constant of the code"


def _subject(program: CodeUnit, function: CodeFunction, use: PragmaUse) -> Faults:
    base = use.reading.base
    if use.reading.name == "interface":
        if function.name not in program.tops:
            message = (
                f"in {function.name}, which is not the top function; move it there"
            )
            yield LintRule.INTERFACE_TOP, message
        if base not in {"", "return", *(item.name for item in function.parameters)}:
            message = f"names {base}; must be return or a parameter of {function.name}"
            yield LintRule.INTERFACE_PORT, message
        return
    if base in {"", "return", "this"}:
        return
    variable = program.variable(function, base, use.node)
    if variable is None:
        later = [item for item in function.variables if item.name == base]
        if later and later[0].position > use.node.start_byte:
            message = f"names {base}, declared later in line {later[0].line}"
            yield LintRule.SCOPE_ORDER, f"{message}; move it below"
        else:
            message = f"names {base}, which {function.name} does not see here"
            yield LintRule.SCOPE_VARIABLE, message
    elif use.reading.subject == base:
        # The type of a field or an element stays with the compiler.
        yield from _variable(program, function, use, variable)


def _variable(
    program: CodeUnit, function: CodeFunction, use: PragmaUse, variable: DeclaredName
) -> Faults:
    what = f"names {variable.name}, a {variable.type_text}; must be an "
    plain = not program.sizes(variable) and not program.is_open(variable)
    if use.reading.name == "stream" and plain and not program.is_stream(variable):
        yield LintRule.STREAM_TYPE, f"{what}hls::stream or an array"
    if use.reading.name in {"array_partition", "array_reshape"}:
        if program.sizes(variable):
            yield from _split(program, function, use, variable)
        elif plain and "*" not in variable.type_text:
            yield LintRule.PARTITION_ARRAY, f"{what}array"


def _split(
    program: CodeUnit, function: CodeFunction, use: PragmaUse, variable: DeclaredName
) -> Faults:
    options, sizes = use.reading.options, program.sizes(variable)
    dim = program.number(options.get("dim", "1"), function, use.node)
    if dim is not None and not 0 <= dim <= len(sizes):
        message = (
            f"dim={dim}; {variable.name} has dimensions 1 to {len(sizes)} (0: all)"
        )
        yield LintRule.PARTITION_DIM, message
        return
    factor = program.number(options.get("factor", ""), function, use.node)
    if factor is None or dim is None:
        return
    if factor < 2:
        yield LintRule.PARTITION_FACTOR, f"factor={factor}; must be 2 or more"
    for size in sizes[dim - 1 : dim] if dim else sizes:
        extent = program.value(size, function)
        if extent is not None and factor > extent:
            message = f"factor={factor}; {variable.name} has {extent} elements there"
            yield LintRule.PARTITION_FACTOR, message


def _conflicts(use: PragmaUse, seen: dict[tuple[int, str], PragmaUse]) -> Faults:
    """Compare a pragma with those before it in its function or loop."""
    if use.holder is None or use.place not in {PragmaPlace.FUNCTION, PragmaPlace.LOOP}:
        return
    name, holder = use.reading.name, use.holder.id
    for pair in _EXCLUSIVE:
        if name in pair:
            (partner,) = pair - {name}
            other = seen.get((holder, partner))
            if other is not None and "off" not in other.reading.flags:
                message = f"excludes {partner.upper()} in line {other.line}"
                yield LintRule.SCOPE_CONFLICT, message
    first = seen.setdefault((holder, name), use)
    if first is not use and name in _SINGLE:
        yield LintRule.SCOPE_CONFLICT, f"stands already in line {first.line}"
