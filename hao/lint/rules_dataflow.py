"""Rules on DATAFLOW regions: the canonical form, as far as the text shows it.

A region holds declarations, pragmas and calls. Every stream or array declared in it has
one call that writes and one that reads. What comes from outside goes to one call,
unless it is constant or passed by value. Source: UG1399, "Canonical Forms"; UG902,
"Dataflow Optimization".
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from hao.lint.declared import DeclaredName
from hao.lint.finding import Finding, LintRule
from hao.lint.program import CodeCall, CodeFunction, CodeUnit
from hao.lint.tree import child, is_statement_of, text_of, walk

_FORMS = frozenset(
    {
        *("declaration", "preproc_call", "comment", "empty_statement"),
        *("type_definition", "alias_declaration", "static_assert_declaration"),
        *("using_declaration"),
    }
)
_PLAIN = frozenset({"identifier", "template_function", "qualified_identifier"})
_DEEPEST = 8  # calls followed to see what a parameter is used for
_METHODS = {
    **dict.fromkeys(("write", "write_nb"), (False, True)),
    **dict.fromkeys(("read", "read_nb", "peek"), (True, False)),
    **dict.fromkeys(("empty", "full", "size"), (False, False)),
}


@dataclass(frozen=True, slots=True)
class Use:
    """What a process does with an argument; both False where that is unknown."""

    call: CodeCall
    reads: bool
    writes: bool


def check_dataflow(program: CodeUnit) -> Iterator[Finding]:
    """Yield the findings on every region with a DATAFLOW pragma."""
    for function in program.functions:
        for use in function.pragmas:
            region = child(use.holder, "body")
            if use.reading.name == "dataflow" and region is not None:
                yield from _form(program, region)
                yield from _channels(program, function, region)


def _form(program: CodeUnit, region: Node) -> Iterator[Finding]:
    for node in region.named_children:
        inner = next(iter(node.named_children), None)
        if node.type == "expression_statement":
            called = child(inner, "function")
            legal = inner is None or (called is not None and called.type in _PLAIN)
        elif node.type == "return_statement":
            legal = inner is None
        else:
            legal = node.type in _FORMS
        if not legal:
            what = node.type.replace("_", " ")
            message = f"{what} in a DATAFLOW region; must be a declaration or a call"
            yield program.unit.at(node, LintRule.DATAFLOW_FORM, message)


def _channels(
    program: CodeUnit, function: CodeFunction, region: Node
) -> Iterator[Finding]:
    """Find what does not go from one process to one other."""
    passed: dict[str, dict[str, list[Use]]] = defaultdict(lambda: defaultdict(list))
    variables: dict[str, DeclaredName] = {}
    for call in function.calls:
        if not is_statement_of(call.node, region):
            continue
        for index, argument in enumerate(call.arguments):
            root = argument
            while root.type in {"subscript_expression", "pointer_expression"}:
                root = child(root, "argument") or root.named_children[0]
            variable = program.variable(function, text_of(root), argument)
            if root.type == "identifier" and variable is not None:
                variables[variable.name] = variable
                use = Use(call, *_argument_use(program, call, index))
                passed[variable.name][text_of(argument)].append(use)
    own = {
        item.name: item
        for item in function.variables
        if item.scope is not None and item.scope.id == region.id
    }
    for name, variable in (variables | own).items():
        is_stream = program.is_stream(variable)
        if variable.is_const:
            continue
        if name not in own:
            if variable.is_shared or is_stream or program.sizes(variable):
                for text, uses in passed[name].items():
                    yield from _outer(program, text, uses, is_stream=is_stream)
        elif is_stream or program.sizes(variable):
            faults = [f for item in passed[name].items() if (f := _channel(*item))]
            if not passed[name]:
                faults = [f"{name} is passed to no call; remove it"]
            rule = LintRule.DATAFLOW_CHANNEL.value
            for fault in faults:
                yield Finding(variable.path, variable.line, rule, fault)


def _channel(text: str, uses: Sequence[Use]) -> str:
    """Return what is wrong with a channel inside a region, empty for nothing."""
    writers = [use.call.name for use in uses if use.writes]
    readers = [use.call.name for use in uses if use.reads]
    unknown = [use for use in uses if not (use.writes or use.reads)]
    ends = len(writers) + len(readers) + len(unknown)
    if len(writers) > 1 or len(readers) > 1 or ends != 2:
        return (
            f"{text} is written by {', '.join(writers) or 'none'} and read by "
            f"{', '.join(readers) or 'none'}; needs one call each"
        )
    if writers and len(uses) == 1:
        return f"{text} is written and read by {writers[0]} alone; declare it there"
    return ""


def _outer(
    program: CodeUnit, text: str, uses: Sequence[Use], *, is_stream: bool
) -> Iterator[Finding]:
    """Find what comes from outside of a region and goes to several processes."""
    if len(uses) > 1:
        names = ", ".join(use.call.name for use in uses)
        read_only = not is_stream and all(u.reads and not u.writes for u in uses)
        remedy = "only constants may go to several calls"
        if read_only:
            remedy = "declare it const or give each its own"
        message = f"{text} goes to {names}; {remedy}"
        yield program.unit.at(uses[1].call.node, LintRule.DATAFLOW_ARGUMENT, message)


def _argument_use(
    program: CodeUnit, call: CodeCall, index: int, depth: int = 0
) -> tuple[bool, bool]:
    """Return whether a call reads and writes its argument of an index."""
    reads = writes = False
    for target in program.named(call.name) if depth < _DEEPEST else ():
        if index < len(target.parameters):
            parameter = target.parameters[index]
            read, write = _parameter_use(program, target, parameter, depth)
            reads, writes = reads or read, writes or write
    return reads, writes


def _parameter_use(
    program: CodeUnit, function: CodeFunction, parameter: DeclaredName, depth: int
) -> tuple[bool, bool]:
    reads = writes = False
    calls = {call.node.id: call for call in function.calls}
    for node in walk(function.body):
        if node.type != "identifier" or text_of(node) != parameter.name:
            continue
        top = node
        while top.parent is not None and (
            top.parent.type in {"subscript_expression", "parenthesized_expression"}
            and top.parent.named_children[0].id == top.id
        ):
            top = top.parent
        listed = top.parent
        call = calls.get(listed.parent.id) if listed and listed.parent else None
        if call is not None and top in call.arguments:
            at = call.arguments.index(top)
            read, write = _argument_use(program, call, at, depth + 1)
            if not (read or write) and not program.is_stream(parameter):
                read, write = True, parameter.is_shared
        else:
            read, write = _access(top)
        reads, writes = reads or read, writes or write
    return reads, writes and not parameter.is_const


def _access(node: Node) -> tuple[bool, bool]:
    """Return whether a variable or element, at its place, is read and written."""
    parent = node.parent
    if parent is None:
        return True, False
    sign = text_of(child(parent, "operator"))
    is_left = child(parent, "left") == node
    match parent.type:
        case "field_expression":
            method = text_of(child(parent, "field"))
            return _METHODS.get(method) or _access(parent)
        case "assignment_expression" if is_left:
            return sign != "=", True
        case "update_expression":
            return True, True
        case "binary_expression" if is_left and sign in {"<<", ">>"}:
            # `stream << x;` and `stream >> x;` stand alone.
            statement = parent.parent
            if statement is not None and statement.type == "expression_statement":
                return sign == ">>", sign == "<<"
    return True, False
