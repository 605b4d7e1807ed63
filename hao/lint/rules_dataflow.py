"""Rules on DATAFLOW regions: the canonical form, as far as the text shows it.

A region holds declarations, pragmas and calls. Every stream or array declared in it has
one call that writes and one that reads. What comes from outside goes to one call,
unless it is constant or passed by value; so does what a function keeps in a static
variable. Source: UG1399, "Canonical Forms"; UG902,
"Dataflow Optimization".
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from hao.lint.context import Call, Context, find_calls
from hao.lint.finding import Finding, Rule
from hao.lint.scopes import Function, Variable
from hao.lint.source import ancestors, text_of, walk

_FORMS = frozenset(
    {
        *(
            "declaration",
            "preproc_call",
            "comment",
            "empty_statement",
            "type_definition",
        ),
        *("alias_declaration", "static_assert_declaration", "using_declaration"),
    }
)
_DEEPEST = 8  # calls followed to see what a parameter is used for


@dataclass(frozen=True, slots=True)
class Use:
    """What a call does with an argument; both False where the callee is unknown."""

    reads: bool
    writes: bool


def check_dataflow(context: Context) -> Iterator[Finding]:
    """Yield the findings on every region with a DATAFLOW pragma."""
    for function in context.program.functions:
        for use in function.pragmas:
            if use.pragma.name == "dataflow" and use.holder is not None:
                region = use.holder.child_by_field_name("body")
                if region is not None:
                    yield from _form(context, function, region)
                    yield from _channels(context, function, region)
                    yield from _statics(context, region)


def _form(context: Context, function: Function, region: Node) -> Iterator[Finding]:
    for node in region.named_children:
        if node.type in _FORMS:
            continue
        inner = node.named_children[0] if node.named_children else None
        if node.type == "expression_statement" and (
            inner is None or _is_plain_call(inner)
        ):
            continue
        if node.type == "return_statement" and inner is None:
            continue
        what = node.type.replace("_", " ")
        yield context.at(
            function.source,
            node,
            Rule.DATAFLOW_FORM,
            f"{what} in a DATAFLOW region; only declarations and calls may stand there",
        )


def _statics(context: Context, region: Node) -> Iterator[Finding]:
    """Yield the static variables that several processes of a region share.

    A function keeps one copy, and so does a template for each list of arguments, which
    two processes may have alike.
    """
    users: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    for call in find_calls(region):
        if not _is_statement_call(call, region):
            continue
        for function in _reached(context, call.name):
            for variable in function.variables:
                if "static" in variable.type_text.split() and not variable.is_const:
                    place = (variable.path, variable.line, variable.name)
                    users[place].add(call.name)
    for (path, line, name), processes in sorted(users.items()):
        if len(processes) > 1:
            message = (
                f"static {name} is shared by the processes {_list(sorted(processes))}; "
                "each needs its own: declare it in each and pass it"
            )
            yield Finding(path, line, Rule.DATAFLOW_STATIC.value, message)


def _reached(context: Context, name: str) -> list[Function]:
    """Return the functions of a name and all that they call, each once."""
    found: list[Function] = []
    names, seen = [name], {name}
    while names:
        for function in context.program.named(names.pop()):
            found.append(function)
            called = {call.name for call in context.calls_of(function)} - seen
            seen |= called
            names += sorted(called)
    return found


def _is_plain_call(node: Node) -> bool:
    called = node.child_by_field_name("function")
    return (
        node.type == "call_expression"
        and called is not None
        and called.type in {"identifier", "template_function", "qualified_identifier"}
    )


def _channels(context: Context, function: Function, region: Node) -> Iterator[Finding]:
    passed: dict[tuple[str, str], list[tuple[Call, Use]]] = defaultdict(list)
    variables: dict[str, Variable] = {}
    for call in find_calls(region):
        for index, argument in enumerate(call.arguments):
            root = argument
            while root.type in {"subscript_expression", "pointer_expression"}:
                root = root.child_by_field_name("argument") or root.named_children[0]
            if root.type != "identifier":
                continue
            variable = context.program.variable(function, text_of(root), argument)
            if variable is not None and not _is_statement_call(call, region):
                continue
            if variable is not None:
                key = (variable.name, text_of(argument))
                variables[variable.name] = variable
                passed[key].append((call, argument_use(context, call, index)))
    for variable in function.variables:
        local = variable.scope is not None and variable.scope.id == region.id
        if local and (context.is_stream(variable) or context.rank(variable)):
            uses = {key: v for key, v in passed.items() if key[0] == variable.name}
            yield from _channel(context, function, variable, uses)
    for key, uses_of in passed.items():
        yield from _outer(context, function, region, variables[key[0]], key, uses_of)


def _is_statement_call(call: Call, region: Node) -> bool:
    """Return whether a call is a process: a statement of the region itself."""
    statement = next(iter(ancestors(call.node)), None)
    return (
        statement is not None
        and statement.parent is not None
        and (statement.parent.id == region.id)
    )


def _channel(
    context: Context,
    function: Function,
    variable: Variable,
    uses: dict[tuple[str, str], list[tuple[Call, Use]]],
) -> Iterator[Finding]:
    if variable.is_const:
        return
    path, line = variable.path, variable.line
    if not uses:
        message = f"{variable.name} is passed to no call; remove it"
        yield Finding(path, line, Rule.DATAFLOW_CHANNEL.value, message)
    for (_, text), calls in uses.items():
        writers = [call.name for call, use in calls if use.writes]
        readers = [call.name for call, use in calls if use.reads]
        unknown = [call.name for call, use in calls if not (use.writes or use.reads)]
        total = len(writers) + len(readers) + len(unknown)
        if len(writers) > 1 or len(readers) > 1 or total != 2:
            yield Finding(
                path,
                line,
                Rule.DATAFLOW_CHANNEL.value,
                f"{text} is written by {_list(writers)} and read by {_list(readers)}; "
                "needs one call each",
            )
        elif writers and writers == readers and len(calls) == 1:
            yield Finding(
                path,
                line,
                Rule.DATAFLOW_CHANNEL.value,
                f"{text} is written and read by {writers[0]} alone; declare it there",
            )


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _outer(
    context: Context,
    function: Function,
    region: Node,
    variable: Variable,
    key: tuple[str, str],
    uses: list[tuple[Call, Use]],
) -> Iterator[Finding]:
    local = variable.scope is not None and variable.scope.id == region.id
    shared = variable.is_shared or context.is_stream(variable) or context.rank(variable)
    if local or not shared or variable.is_const or len(uses) < 2:
        return
    if all(use.reads and not use.writes for _, use in uses) and not context.is_stream(
        variable
    ):
        names = _list([call.name for call, _ in uses])
        message = f"{key[1]} goes to {names}; declare it const or give each its own"
    else:
        names = _list([call.name for call, _ in uses])
        message = f"{key[1]} goes to {names}; only constants may go to several calls"
    yield context.at(function.source, uses[1][0].node, Rule.DATAFLOW_ARGUMENT, message)


def argument_use(context: Context, call: Call, index: int, depth: int = 0) -> Use:
    """Return what a call does with its argument of an index."""
    reads = writes = False
    for target in context.program.named(call.name):
        if index < len(target.parameters) and depth < _DEEPEST:
            use = _parameter_use(context, target, target.parameters[index], depth)
            reads, writes = reads or use.reads, writes or use.writes
    return Use(reads, writes)


def _parameter_use(
    context: Context, function: Function, parameter: Variable, depth: int
) -> Use:
    reads = writes = False
    calls = {call.node.id: call for call in context.calls_of(function)}
    for node in walk(function.body):
        if node.type != "identifier" or text_of(node) != parameter.name:
            continue
        top = node
        while top.parent is not None and (
            top.parent.type in {"subscript_expression", "parenthesized_expression"}
            and top.parent.named_children[0].id == top.id
        ):
            top = top.parent
        parent = top.parent
        if parent is None:
            continue
        read, write = access_kind(top)
        listed = parent if parent.type == "argument_list" else None
        call = calls.get(listed.parent.id) if listed and listed.parent else None
        if call is not None:
            at = [argument.id for argument in call.arguments].index(top.id)
            use = argument_use(context, call, at, depth + 1)
            read, write = use.reads, use.writes
            if not (read or write):
                read, write = True, not parameter.is_const and parameter.is_shared
                if context.is_stream(parameter):
                    continue
        reads, writes = reads or read, writes or write
    if parameter.is_const:
        writes = False
    return Use(reads, writes)


def access_kind(node: Node) -> tuple[bool, bool]:
    """Return whether a variable or element, at its place, is read and written."""
    parent = node.parent
    if parent is None:
        return True, False
    if parent.type == "field_expression":
        method = text_of(parent.child_by_field_name("field"))
        if method in {"write", "write_nb"}:
            return False, True
        if method in {"read", "read_nb", "peek"}:
            return True, False
        if method in {"empty", "full", "size"}:
            return False, False
        return access_kind(parent)
    if parent.type == "assignment_expression" and (
        parent.child_by_field_name("left") == node
    ):
        return text_of(parent.child_by_field_name("operator")) != "=", True
    if parent.type == "update_expression":
        return True, True
    if parent.type == "binary_expression" and _is_shift_statement(parent, node):
        writes = text_of(parent.child_by_field_name("operator")) == "<<"
        return not writes, writes
    return True, False


def _is_shift_statement(node: Node, side: Node) -> bool:
    """Return whether `a << b;` or `a >> b;` stands alone, as streams are used."""
    return (
        text_of(node.child_by_field_name("operator")) in {"<<", ">>"}
        and node.child_by_field_name("left") == side
        and node.parent is not None
        and node.parent.type == "expression_statement"
    )
