"""Rules on pragmas: grammar, place, the variable they name, and partitions."""

from collections.abc import Iterator

from hao.lint.constants import Constants, evaluate_text
from hao.lint.context import Context
from hao.lint.finding import Finding, Rule
from hao.lint.pragma_parse import is_hls, is_misspelt
from hao.lint.pragmas import GRAMMARS, Kind, Place
from hao.lint.scopes import Function, PragmaUse, Variable, pragma_text
from hao.lint.source import walk

_SPLITS = frozenset({"array_partition", "array_reshape"})
# Pragmas that exclude each other in one function or loop.
_EXCLUSIVE = (
    ("pipeline", "dataflow"),
    ("unroll", "dataflow"),
    ("loop_flatten", "dataflow"),
)


def check_pragmas(context: Context) -> Iterator[Finding]:
    """Yield the findings on every pragma of a unit."""
    program = context.program
    for source in program.unit.sources:
        for node in walk(source.root):
            text = pragma_text(node) if node.type == "preproc_call" else ""
            if not is_hls(text) and is_misspelt(text):
                yield context.at(
                    source, node, Rule.PRAGMA_NAMESPACE, f"{text}: write HLS"
                )
    for use in program.stray:
        yield from _grammar(context, use)
        yield _finding(use, Rule.SCOPE_PLACE, "stands outside a function; move it in")
    for function in program.functions:
        for use in function.pragmas:
            yield from _grammar(context, use)
            yield from _place(use)
            yield from _integers(context, function, use)
            yield from _subject(context, function, use)
        yield from _conflicts(function)


def _finding(use: PragmaUse, rule: Rule, message: str) -> Finding:
    name = use.pragma.name.upper()
    return Finding(use.source.path, use.line, rule.value, f"{name} {message}")


def _grammar(context: Context, use: PragmaUse) -> Iterator[Finding]:
    for rule, message in use.faults:
        yield Finding(use.source.path, use.line, rule.value, message)


def _place(use: PragmaUse) -> Iterator[Finding]:
    grammar = GRAMMARS[use.tool].get(use.pragma.name)
    if grammar is None:
        return
    places = grammar.places
    if use.pragma.name == "inline" and "region" not in use.pragma.flags:
        places = places - {Place.REGION}
    if use.place not in places:
        allowed = " or ".join(sorted(place.value for place in places))
        yield _finding(
            use,
            Rule.SCOPE_PLACE,
            f"stands directly in {use.place.value}; must stand in {allowed}",
        )


def _integers(
    context: Context, function: Function, use: PragmaUse
) -> Iterator[Finding]:
    """Check operands that are names of constants, which grammar cannot."""
    grammar = GRAMMARS[use.tool].get(use.pragma.name)
    for key, value in use.pragma.options.items():
        option = None if grammar is None else grammar.options.get(key)
        if option is None or option.kind is not Kind.INTEGER:
            continue
        if value.lstrip("+-").isdigit():
            continue
        for constants in context.environments(function):
            number = evaluate_text(value, constants)
            if number is not None and number < option.minimum:
                yield _finding(
                    use,
                    Rule.PRAGMA_VALUE,
                    f"{key}={value} is {number}; must be at least {option.minimum}",
                )
                break
        if not _names_known(context, function, use, value):
            yield _finding(
                use, Rule.PRAGMA_VALUE, f"{key}={value} is no constant of the code"
            )


def _names_known(
    context: Context, function: Function, use: PragmaUse, value: str
) -> bool:
    """Return whether an operand could be a constant: each name in it is one."""
    if any(
        evaluate_text(value, constants) is not None
        for constants in context.environments(function)
    ):
        return True
    if "::" in value or any(mark in value for mark in "(<"):
        return True  # a member or a call, left to the compiler
    return any(
        name in function.template or name in context.program.constants
        for name in value.replace("*", " ").replace("+", " ").replace("/", " ").split()
    )


def _subject(context: Context, function: Function, use: PragmaUse) -> Iterator[Finding]:
    base = use.pragma.base
    if use.pragma.name == "interface":
        yield from _interface(context, function, use)
        return
    if not base or base in {"return", "this"}:
        return
    variable = context.program.variable(function, base, use.node)
    if variable is None:
        later = next((v for v in function.variables if v.name == base), None)
        if later is not None and later.position > use.node.start_byte:
            yield _finding(
                use,
                Rule.SCOPE_ORDER,
                f"names {base}, declared later in line {later.line}; move it below",
            )
        else:
            yield _finding(
                use,
                Rule.SCOPE_VARIABLE,
                f"names {base}, which {function.name} does not see here",
            )
        return
    if use.pragma.subject != base:
        return  # a field or an element, whose type stays with the compiler
    if use.pragma.name in _SPLITS:
        yield from _split(context, function, use, variable)
    if use.pragma.name == "stream" and not (
        context.is_stream(variable) or context.rank(variable)
    ):
        yield _finding(
            use,
            Rule.STREAM_TYPE,
            f"names {base}, a {variable.type_text}; must be an hls::stream or an array",
        )


def _interface(
    context: Context, function: Function, use: PragmaUse
) -> Iterator[Finding]:
    if function.name not in context.tops:
        yield _finding(
            use,
            Rule.INTERFACE_TOP,
            f"in {function.name}, which is not the top function; move it there",
        )
    base = use.pragma.base
    names = {parameter.name for parameter in function.parameters}
    if base and base != "return" and base not in names:
        yield _finding(
            use,
            Rule.INTERFACE_PORT,
            f"names {base}; must be return or a parameter of {function.name}",
        )


def _split(
    context: Context, function: Function, use: PragmaUse, variable: Variable
) -> Iterator[Finding]:
    rank = context.rank(variable)
    if rank == 0:
        if "*" not in variable.type_text and not context.is_open(variable):
            yield _finding(
                use,
                Rule.PARTITION_ARRAY,
                f"names {variable.name}, a {variable.type_text}; must be an array",
            )
        return
    for constants in context.environments(function):
        faults = list(_split_values(context, use, variable, constants))
        yield from faults
        if faults:
            return


def _split_values(
    context: Context, use: PragmaUse, variable: Variable, constants: Constants
) -> Iterator[Finding]:
    options, rank = use.pragma.options, context.rank(variable)
    dim = evaluate_text(options.get("dim", "1"), constants)
    if dim is not None and not 0 <= dim <= rank:
        yield _finding(
            use,
            Rule.PARTITION_DIM,
            f"dim={dim}; {variable.name} has dimensions 1 to {rank} (0: all)",
        )
        return
    if "factor" not in options:
        return
    factor = evaluate_text(options["factor"], constants)
    if factor is None:
        return
    extents = context.extents(variable, constants)
    if dim:
        extents = extents[dim - 1 : dim]
    elif dim is None:
        extents = ()
    if factor < 2:
        yield _finding(
            use, Rule.PARTITION_FACTOR, f"factor={factor}; must be 2 or more"
        )
    for extent in extents:
        if extent is not None and factor > extent:
            yield _finding(
                use,
                Rule.PARTITION_FACTOR,
                f"factor={factor}; {variable.name} has {extent} elements there",
            )


def _conflicts(function: Function) -> Iterator[Finding]:
    seen: dict[tuple[int, str], PragmaUse] = {}
    for use in function.pragmas:
        if use.holder is None or use.place not in {Place.FUNCTION, Place.LOOP}:
            continue
        name = use.pragma.name
        for pair in _EXCLUSIVE:
            if name in pair:
                other = seen.get((use.holder.id, pair[pair[0] == name]))
                if other is not None and "off" not in other.pragma.flags:
                    yield _finding(
                        use,
                        Rule.SCOPE_CONFLICT,
                        f"excludes {other.pragma.name.upper()} in line {other.line}",
                    )
        first = seen.setdefault((use.holder.id, name), use)
        if first is not use and name in {"pipeline", "unroll", "loop_tripcount"}:
            yield _finding(
                use, Rule.SCOPE_CONFLICT, f"stands already in line {first.line}"
            )
