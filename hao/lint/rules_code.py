"""Rules on code: what no HLS tool synthesizes, loops without bounds, multipliers.

Code inside `#ifndef __SYNTHESIS__` never gets here: the tool does not see it either.
"""

import re
from collections.abc import Iterator

from tree_sitter import Node

from hao.lint.finding import Finding, LintRule
from hao.lint.pragmas import DSP_CORES, FABRIC_CORES
from hao.lint.program import CodeFunction, CodeUnit, PragmaUse
from hao.lint.source import MISSING
from hao.lint.tree import LOOPS, child, declared_name, search, text_of, walk

_MEMORY = "malloc|calloc|realloc|free|alloca"
_SYSTEM = (
    "printf|fprintf|puts|putchar|scanf|fopen|fclose|fread|fwrite|exit|abort|system|"
    "getenv|time|clock|rand|srand|sleep|usleep|getc|gets"
)
_SYSTEM_OBJECTS = "cout|cerr|clog|cin|ifstream|ofstream"
_CONTAINERS = (
    "vector|map|set|list|deque|queue|stack|string|unordered_map|unordered_set|multimap|"
    "multiset|priority_queue|function|shared_ptr|unique_ptr|thread|mutex|forward_list|"
    "stringstream|ostringstream|basic_string|any"
)
_CALL = '((call_expression function: (_) @name) @at (#match? @name "^(std::)?({})$"))'
_NAME = '((qualified_identifier) @at (#match? @at "^std::({})\\\\b"))'
_POINTERS = ("pointer_declarator", "abstract_pointer_declarator")
# Pattern of the tree, rule, message; {0} is the name of what is called or used.
_PATTERNS = (
    ("(new_expression) @at", LintRule.SYNTH_MEMORY, "new allocates at run time"),
    ("(delete_expression) @at", LintRule.SYNTH_MEMORY, "delete frees at run time"),
    ("(throw_statement) @at", LintRule.SYNTH_EXCEPTION, "throw needs exceptions"),
    ("(try_statement) @at", LintRule.SYNTH_EXCEPTION, "try needs exceptions"),
    (
        *("(goto_statement) @at", LintRule.SYNTH_GOTO),
        "goto has no loop bounds; write a loop",
    ),
    ('"virtual" @at', LintRule.SYNTH_VIRTUAL, "virtual calls are decided at run time"),
    (
        *(_CALL.replace("{}", _MEMORY), LintRule.SYNTH_MEMORY),
        "{0} manages memory at run time; use an array",
    ),
    (
        *(_CALL.replace("{}", _SYSTEM), LintRule.SYNTH_SYSTEM_CALL),
        "{0} belongs inside #ifndef __SYNTHESIS__",
    ),
    (
        *(_NAME.replace("{}", _SYSTEM_OBJECTS), LintRule.SYNTH_SYSTEM_CALL),
        "{0} belongs inside #ifndef __SYNTHESIS__",
    ),
    (
        *(_NAME.replace("{}", _CONTAINERS), LintRule.SYNTH_CONTAINER),
        "std::{0} needs memory at run time; use an array or hls::stream",
    ),
    *(
        (
            *(f"({kind} declarator: ({kind})) @at", LintRule.SYNTH_POINTER),
            "pointer to pointer; pass the array itself",
        )
        for kind in _POINTERS
    ),
    *(
        (
            f"({prefix}function_declarator declarator: "
            f"({prefix}parenthesized_declarator ({prefix}pointer_declarator))) @at",
            LintRule.SYNTH_FUNCTION_POINTER,
            "function pointer; make it a template parameter or a call",
        )
        for prefix in ("", "abstract_")
    ),
)
_SEARCH = "\n".join(pattern for pattern, _, _ in _PATTERNS)


def check_code(program: CodeUnit) -> Iterator[Finding]:
    """Yield the findings on what cannot be read and on unsynthesizable code."""
    unit = program.unit
    for _, node in search(unit.root, "(preproc_call) @at"):
        if text_of(node).startswith(MISSING):
            name = text_of(node).removeprefix(MISSING).strip()
            message = f"{name}: no such file among the sources"
            yield unit.at(node, LintRule.MISSING_HEADER, message)
    for node in _unparsed(unit.root):
        text = " ".join(text_of(node).split())[:40]
        what = f"{node.type!r} is missing" if node.is_missing else f"{text!r} is odd"
        message = f"cannot be parsed, {what}; what it is about is not checked"
        yield unit.at(node, LintRule.SYNTAX, message)
    for index, node in search(unit.root, _SEARCH):
        _, rule, message = _PATTERNS[index]
        found = re.match(r"(?:std::)?(\w+)", text_of(node))
        yield unit.at(node, rule, message.format(found and found[1]))
    for function in program.functions:
        for variable in function.variables:
            for size in variable.sizes:
                if size and not program.is_constant(size, function, unknown=True):
                    message = f"{variable.name}[{text_of(size)}]: must be a constant"
                    yield unit.at(size, LintRule.SYNTH_DYNAMIC_ARRAY, message)
    yield from _recursion(program)


def _unparsed(root: Node) -> Iterator[Node]:
    """Yield what cannot be parsed; a pragma may stand before a body without braces."""
    for _, node in search(root, "(ERROR) @at (MISSING) @at"):
        parent = node.parent
        if not node.is_missing or (parent and parent.type != "expression_statement"):
            yield node


def _recursion(program: CodeUnit) -> Iterator[Finding]:
    """Find functions that call themselves, through others or directly.

    Names cannot tell overloads apart, nor whose method is called.
    """
    graph = {
        function.name: sorted({c.name for c in function.calls if not c.is_method})
        for function in program.functions
        if len(program.named(function.name)) == 1
    }
    for function in program.functions:
        path = _way_back(graph, function.name)
        if path:
            message = f"recursion: {' -> '.join(path)}; write a loop"
            yield program.unit.at(function.node, LintRule.SYNTH_RECURSION, message)


def _way_back(graph: dict[str, list[str]], start: str) -> list[str]:
    """Return the names along a cycle through a function, empty for none."""
    todo, seen = [[start]], {""}
    while todo:
        path = todo.pop()
        for following in graph.get(path[-1], ()):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                todo.append([*path, following])
    return []


def check_loops(program: CodeUnit) -> Iterator[Finding]:
    """Yield the loops whose count the tool cannot tell and no pragma states."""
    for function in program.functions:
        stated = {
            use.holder.id
            for use in function.pragmas
            if use.reading.name == "loop_tripcount"
            and use.holder is not None
            and "max" in use.reading.options
        }
        for node in walk(function.body):
            if node.type not in LOOPS or node.id in stated:
                continue
            condition = child(node, "condition")
            once = node.type == "do_statement" and text_of(condition) in _NEVER
            bounded = node.type == "for_statement" and _ends(
                program, function, node, condition
            )
            if not once and not bounded:
                word = node.type.split("_")[0]
                message = f"{word} without a constant bound; add LOOP_TRIPCOUNT max="
                yield program.unit.at(node, LintRule.LOOP_TRIPCOUNT, message)


_NEVER = frozenset({"(0)", "(false)"})


def _ends(
    program: CodeUnit, function: CodeFunction, loop: Node, condition: Node | None
) -> bool:
    """Return whether a condition, or one side of `&&`, compares with a constant."""
    left, right = child(condition, "left"), child(condition, "right")
    if left is None or right is None:
        return False
    if text_of(child(condition, "operator")) == "&&":
        return any(_ends(program, function, loop, side) for side in (left, right))
    initial = child(child(loop, "initializer"), "declarator")
    bound = left if text_of(right) == declared_name(initial) else right
    return program.is_constant(bound, function)


def check_multipliers(program: CodeUnit) -> Iterator[Finding]:
    """Yield the functions `lut_*` and `dsp_*` whose products are bound otherwise.

    The pragma names the variable that takes the product; without it the tool puts
    product and sum on a slice together. A product that is bound to a slice is parted
    from its sum (UG1399, BIND_OP), so products for slices are left unbound.
    """
    for function in program.functions:
        wanted = function.name.partition("_")[0]
        bound = {_binding(use) for use in function.pragmas} - {""}
        if wanted == "lut" and bound != {"lut"} and (bound or _multiplies(function)):
            remedy = "bind each to the fabric"
        elif wanted == "dsp" and bound:
            remedy = "leave them unbound"
        else:
            continue
        found = ", ".join(sorted(bound)) or "nothing"
        yield program.unit.at(
            function.node,
            LintRule.MULTIPLY_BINDING,
            f"{function.name} binds its products to {found}; {remedy}",
        )


def _multiplies(function: CodeFunction) -> bool:
    products = '(binary_expression "*") @at (assignment_expression "*=") @at'
    return any(True for _ in search(function.body, products))


def _binding(use: PragmaUse) -> str:
    """Return `lut` or `dsp` for a pragma that binds multiplications, else nothing."""
    options = {key: value.lower() for key, value in use.reading.options.items()}
    if use.reading.name == "bind_op" and options.get("op") == "mul":
        return {"fabric": "lut", "dsp": "dsp"}.get(options.get("impl", ""), "")
    if use.reading.name == "resource":
        core = options.get("core", "")
        return "lut" if core in FABRIC_CORES else "dsp" if core in DSP_CORES else ""
    return ""
