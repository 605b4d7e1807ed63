"""Rules on code: what no HLS tool synthesizes, loops without bounds, multipliers.

Code inside `#ifndef __SYNTHESIS__` never gets here: the tool does not see it either.
"""

import re
from collections.abc import Iterator

from tree_sitter import Node

from hao.lint.constants import Constants, evaluate
from hao.lint.context import Context
from hao.lint.finding import Finding, Rule
from hao.lint.pragmas import DSP_CORES, FABRIC_CORES
from hao.lint.scopes import LOOPS, Function, PragmaUse
from hao.lint.source import Source, ancestors, declarator_name, text_of, walk

_MEMORY = frozenset({"malloc", "calloc", "realloc", "free", "alloca"})
_SYSTEM = frozenset(
    {
        *("printf", "fprintf", "puts", "putchar", "scanf", "fopen", "fclose", "fread"),
        *("fwrite", "exit", "abort", "system", "getenv", "time", "clock", "rand"),
        *("srand", "sleep", "usleep", "getc", "gets"),
    }
)
_SYSTEM_OBJECTS = frozenset({"cout", "cerr", "clog", "cin", "ifstream", "ofstream"})
_CONTAINERS = frozenset(
    {
        *("vector", "map", "set", "list", "deque", "queue", "stack", "string"),
        *("unordered_map", "unordered_set", "multimap", "multiset", "priority_queue"),
        *("function", "shared_ptr", "unique_ptr", "thread", "mutex", "forward_list"),
        *("stringstream", "ostringstream", "basic_string", "any"),
    }
)
_NODES = {
    "new_expression": (Rule.SYNTH_MEMORY, "new allocates at run time"),
    "delete_expression": (Rule.SYNTH_MEMORY, "delete frees at run time"),
    "throw_statement": (Rule.SYNTH_EXCEPTION, "throw needs exceptions"),
    "try_statement": (Rule.SYNTH_EXCEPTION, "try needs exceptions"),
    "goto_statement": (Rule.SYNTH_GOTO, "goto has no loop bounds; write a loop"),
    "virtual": (Rule.SYNTH_VIRTUAL, "virtual calls are decided at run time"),
    "virtual_function_specifier": (
        Rule.SYNTH_VIRTUAL,
        "virtual calls are decided at run time",
    ),
}


def check_code(context: Context) -> Iterator[Finding]:
    """Yield the findings on unsynthesizable code in every file of a unit."""
    for source in context.program.unit.sources:
        for node in _all_nodes(source.root):
            if node.type in _NODES:
                rule, message = _NODES[node.type]
                yield context.at(source, node, rule, message)
            yield from _names(context, source, node)
            yield from _pointers(context, source, node)
    for function in context.program.functions:
        yield from _dynamic_arrays(context, function)
    yield from _recursion(context)


def _all_nodes(root: Node) -> Iterator[Node]:
    """Yield all nodes, keywords included."""
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(node.children))


def _names(context: Context, source: Source, node: Node) -> Iterator[Finding]:
    """Find calls and types that are known by name."""
    if node.type == "call_expression":
        name = text_of(node.child_by_field_name("function")).removeprefix("std::")
        if name in _MEMORY:
            message = f"{name} manages memory at run time; use an array"
            yield context.at(source, node, Rule.SYNTH_MEMORY, message)
        elif name in _SYSTEM:
            yield context.at(source, node, Rule.SYNTH_SYSTEM_CALL, _guard(name))
    if node.type == "qualified_identifier":
        found = re.match(r"std::(\w+)", text_of(node))
        name = "" if found is None else found[1]
        if name in _CONTAINERS:
            message = (
                f"std::{name} needs memory at run time; use an array or hls::stream"
            )
            yield context.at(source, node, Rule.SYNTH_CONTAINER, message)
        elif name in _SYSTEM_OBJECTS:
            yield context.at(source, node, Rule.SYNTH_SYSTEM_CALL, _guard(name))


def _guard(name: str) -> str:
    return f"{name} belongs inside #ifndef __SYNTHESIS__"


def _pointers(context: Context, source: Source, node: Node) -> Iterator[Finding]:
    if node.type in {"pointer_declarator", "abstract_pointer_declarator"}:
        inner = node.child_by_field_name("declarator")
        if inner is not None and inner.type == node.type:
            message = "pointer to pointer; pass the array itself"
            yield context.at(source, node, Rule.SYNTH_POINTER, message)
    if node.type in {"function_declarator", "abstract_function_declarator"}:
        inner = node.child_by_field_name("declarator")
        if (
            inner is not None
            and "parenthesized_declarator" in inner.type
            and any(
                "pointer_declarator" in child.type for child in inner.named_children
            )
        ):
            message = "function pointer; make it a template parameter or a call"
            yield context.at(source, node, Rule.SYNTH_FUNCTION_POINTER, message)


def _dynamic_arrays(context: Context, function: Function) -> Iterator[Finding]:
    for variable in function.variables:
        for size in variable.sizes:
            if size is None or _could_be_constant(context, function, size):
                continue
            yield Finding(
                variable.path,
                variable.line,
                Rule.SYNTH_DYNAMIC_ARRAY.value,
                f"{variable.name}[{text_of(size)}]: the size must be a constant",
            )


def _could_be_constant(context: Context, function: Function, size: Node) -> bool:
    """Return whether no name in an expression is a variable of the function."""
    if evaluate(size, context.environments(function)[0]) is not None:
        return True
    for node in walk(size):
        variable = None
        if node.type == "identifier":
            variable = function.visible(text_of(node), size)
        if variable is not None and not variable.is_const:
            return False
        if variable is not None and variable.is_parameter:
            return False
    return True


def _recursion(context: Context) -> Iterator[Finding]:
    """Find functions that call themselves, through others or directly."""
    program = context.program
    graph = {
        function.name: {
            call.name
            for other in program.named(function.name)
            for call in context.calls_of(other)
            if program.named(call.name)
        }
        for function in program.functions
    }
    for function in program.functions:
        path = _way_back(graph, function.name)
        if path and not _is_overload(context, function):
            yield Finding(
                function.source.path,
                function.line,
                Rule.SYNTH_RECURSION.value,
                "recursion: " + " -> ".join(path) + "; write a loop",
            )


def _is_overload(context: Context, function: Function) -> bool:
    """Return whether a name stands for several functions, which names cannot tell."""
    return len(context.program.named(function.name)) > 1


def _way_back(graph: dict[str, set[str]], start: str) -> list[str]:
    """Return the names along a cycle through a function, empty for none."""
    todo = [[start]]
    seen: set[str] = set()
    while todo:
        path = todo.pop()
        for following in sorted(graph.get(path[-1], ())):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                todo.append([*path, following])
    return []


def check_loops(context: Context) -> Iterator[Finding]:
    """Yield the loops whose count the tool cannot tell and no pragma states."""
    for function in context.program.functions:
        stated = {
            use.holder.id
            for use in function.pragmas
            if use.pragma.name == "loop_tripcount"
            and use.holder is not None
            and "max" in use.pragma.options
        }
        for node in walk(function.body):
            if node.type not in LOOPS or node.id in stated or _is_once(node):
                continue
            if node.type == "for_statement" and _is_bounded(context, function, node):
                continue
            word = node.type.split("_")[0]
            yield context.at(
                function.source,
                node,
                Rule.LOOP_TRIPCOUNT,
                f"{word} without a constant bound; add LOOP_TRIPCOUNT max=",
            )


def _is_once(node: Node) -> bool:
    """Return whether a loop is `do ... while (0)`."""
    condition = text_of(node.child_by_field_name("condition"))
    return node.type == "do_statement" and condition in {"(0)", "(false)"}


def _is_bounded(context: Context, function: Function, loop: Node) -> bool:
    """Return whether the condition compares with a constant, if an open template's."""
    condition = loop.child_by_field_name("condition")
    return condition is not None and _bounds(context, function, loop, condition)


def _bounds(context: Context, function: Function, loop: Node, condition: Node) -> bool:
    """Return whether a condition, or one side of `&&`, ends the loop."""
    if condition.type != "binary_expression":
        return False
    if text_of(condition.child_by_field_name("operator")) == "&&":
        return any(
            _bounds(context, function, loop, side) for side in condition.named_children
        )
    bound = condition.child_by_field_name("right")
    other = condition.child_by_field_name("left")
    if bound is None or other is None:
        return False
    counter = text_of(
        declarator_name(_first_declarator(loop.child_by_field_name("initializer")))
    )
    if counter and text_of(bound) == counter:
        bound = other
    return all(
        evaluate(bound, constants) is not None
        or _open_constant(context, function, bound, constants)
        for constants in context.environments(function)
    )


def _first_declarator(node: Node | None) -> Node | None:
    return None if node is None else node.child_by_field_name("declarator")


def _open_constant(
    context: Context, function: Function, bound: Node, constants: Constants
) -> bool:
    """Return whether every name in a bound is a constant or a template parameter."""
    for node in walk(bound):
        if node.type != "identifier":
            continue
        name = text_of(node)
        if any(p.type == "qualified_identifier" for p in ancestors(node)):
            continue  # a static member
        variable = context.program.variable(function, name, bound)
        known = name in function.template or name in constants
        if variable is None and not known:
            return False
        if variable is not None and not _constant_variable(context, function, variable):
            return False
    return not any(node.type == "call_expression" for node in walk(bound))


def _constant_variable(context: Context, function: Function, variable: object) -> bool:
    """Return whether a variable is a constant that only a template leaves open."""
    from_scope = [
        item
        for item in (*function.variables, *context.program.globals.values())
        if item is variable
    ]
    if not from_scope or not from_scope[0].is_const:
        return False
    for node in walk(function.body):
        if (
            node.type == "init_declarator"
            and node.start_byte <= (from_scope[0].position) < node.end_byte
        ):
            value = node.child_by_field_name("value")
            return value is not None and _open_constant(
                context, function, value, context.program.constants
            )
    return True


def check_multipliers(context: Context) -> Iterator[Finding]:
    """Yield the functions `lut_*` and `dsp_*` whose products are bound otherwise.

    The pragma names the variable that takes the product; without it the tool puts
    product and sum on a slice together. A product that is bound to a slice is parted
    from its sum (UG1399, BIND_OP), so products for slices are left unbound.
    """
    for function in context.program.functions:
        wanted = function.name.partition("_")[0]
        if wanted not in {"lut", "dsp"}:
            continue
        bound = {_binding(use) for use in function.pragmas} - {""}
        if not bound and not (wanted == "lut" and _multiplies(function.body)):
            continue
        if wanted == "lut" and bound == {"lut"}:
            continue
        found = ", ".join(sorted(bound)) or "none"
        remedy = "write HAO_FABRIC(name)" if wanted == "lut" else "leave them unbound"
        yield Finding(
            function.source.path,
            function.line,
            Rule.MULTIPLY_BINDING.value,
            f"{function.name} multiplies and binds its products to {found}; {remedy}",
        )


def _multiplies(body: Node) -> bool:
    return any(
        text_of(node.child_by_field_name("operator")) in {"*", "*="}
        for node in walk(body)
        if node.type in {"binary_expression", "assignment_expression"}
    )


def _binding(use: PragmaUse) -> str:
    """Return `lut` or `dsp` for a pragma that binds multiplications, else nothing."""
    options = {key: value.lower() for key, value in use.pragma.options.items()}
    if use.pragma.name == "bind_op" and options.get("op") == "mul":
        return {"fabric": "lut", "dsp": "dsp"}.get(options.get("impl", ""), "")
    if use.pragma.name == "resource":
        core = options.get("core", "")
        return "lut" if core in FABRIC_CORES else "dsp" if core in DSP_CORES else ""
    return ""
