"""A unit with what the rules derive from it: tops, calls, instances and array shapes.

The constants of a function are those of its unit, its own and, in a template, the
arguments of each instance that the code calls, given as in `f<4, int>(...)` or deduced
from the types of the arguments. A template that is never called so has one
environment, in which its parameters are open.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from hao.lint.constants import (
    Constants,
    Value,
    aliases,
    constant_declarators,
    evaluate,
    evaluate_text,
)
from hao.lint.finding import Finding, Rule
from hao.lint.scopes import Function, Program, Variable
from hao.lint.source import Source, text_of, walk
from hao.lint.types import Types, VariableType

_MOST_INSTANCES = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the name called, template arguments, and arguments."""

    name: str
    node: Node
    template: tuple[Node, ...]
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """See the module. Made by `build_context`."""

    program: Program
    types: Types
    tops: frozenset[str]
    calls: Mapping[int, tuple[Call, ...]]
    instances: Mapping[int, tuple[Constants, ...]] = field(default_factory=dict)

    def at(self, source: Source, node: Node, rule: Rule, message: str) -> Finding:
        """Return a finding at a node."""
        return Finding(source.path, source.line(node), rule.value, message)

    def calls_of(self, function: Function) -> tuple[Call, ...]:
        """Return the calls in a function's body."""
        return self.calls.get(function.node.id, ())

    def environments(self, function: Function) -> tuple[Constants, ...]:
        """Return the constants of each known instance, at least one environment."""
        return self.instances.get(function.node.id) or (
            _local_constants(function, self.program.constants),
        )

    def compiled(self, variable: Variable) -> VariableType | None:
        """Return what the compiler knows of a variable."""
        return self.types.get((variable.path, variable.line, variable.name))

    def rank(self, variable: Variable) -> int:
        """Return the number of dimensions, 0 for what is no array."""
        known = self.compiled(variable)
        return max(len(variable.sizes), 0 if known is None else len(known.extents))

    def extents(
        self, variable: Variable, constants: Constants
    ) -> tuple[int | None, ...]:
        """Return the extent of each dimension, None where it is open."""
        written = tuple(evaluate(size, constants) for size in variable.sizes)
        known = self.compiled(variable)
        if known is None or len(known.extents) < len(written):
            return written
        padded = written + (None,) * (len(known.extents) - len(written))
        return tuple(
            own if own is not None else theirs
            for own, theirs in zip(padded, known.extents, strict=True)
        )

    def is_stream(self, variable: Variable) -> bool:
        """Return whether a variable is an `hls::stream`, or an array of them."""
        known = self.compiled(variable)
        return variable.is_stream or (
            known is not None and known.element.startswith("hls::stream<")
        )

    def is_open(self, variable: Variable) -> bool:
        """Return whether a template or a missing header leaves a type open."""
        known = self.compiled(variable)
        return known is None or "type-parameter" in known.element


def build_context(program: Program, types: Types, top: str | None) -> Context:
    """Return the context of a unit.

    Args:
        program: The unit.
        types: From `compile_unit`.
        top: Name of the top function; None takes those with an INTERFACE pragma that no
            other function calls.
    """
    calls = {
        function.node.id: tuple(find_calls(function.body))
        for function in program.functions
    }
    called = {
        call.name
        for function in program.functions
        for call in calls[function.node.id]
        if call.name != function.name
    }
    tops = {
        function.name
        for function in program.functions
        if function.name not in called
        and any(use.pragma.name == "interface" for use in function.pragmas)
    }
    return Context(
        program=program,
        types=types,
        tops=frozenset(tops if top is None else {top}),
        calls=calls,
        instances=_instances(program, calls),
    )


def find_calls(node: Node) -> Iterator[Call]:
    """Yield every call of a named function, methods by their last name."""
    for inner in walk(node):
        if inner.type != "call_expression":
            continue
        called = inner.child_by_field_name("function")
        listed = inner.child_by_field_name("arguments")
        while called is not None and called.type in {
            *("qualified_identifier", "field_expression"),
        }:
            key = "name" if called.type == "qualified_identifier" else "field"
            called = called.child_by_field_name(key)
        template: tuple[Node, ...] = ()
        if called is not None and called.type in {
            "template_function",
            "template_method",
        }:
            given = called.child_by_field_name("arguments")
            template = () if given is None else tuple(given.named_children)
            called = called.child_by_field_name("name")
        if called is not None and listed is not None:
            yield Call(text_of(called), inner, template, tuple(listed.named_children))


def _local_constants(function: Function, constants: Constants) -> dict[str, Value]:
    """Return the constants with those that stand in the function's body."""
    found = dict(constants)
    for node in walk(function.body):
        if node.type in {"type_definition", "alias_declaration"}:
            for name, kind in aliases(node).items():
                found[name] = found.get(kind, kind)
        if node.type == "declaration":
            for name, expression in constant_declarators(node):
                value = evaluate(expression, found)
                if value is None:
                    found.pop(name, None)
                else:
                    found[name] = value
    return found


def _instances(
    program: Program, calls: Mapping[int, tuple[Call, ...]]
) -> dict[int, tuple[Constants, ...]]:
    """Return the environments of each function, following template arguments."""
    found: dict[int, list[Constants]] = {}
    todo: list[tuple[Function, Constants]] = [
        (function, {}) for function in program.functions if not function.template
    ]
    while todo:
        function, arguments = todo.pop()
        known = found.setdefault(function.node.id, [])
        scope = _local_constants(function, {**program.constants, **arguments})
        if scope in known or len(known) >= _MOST_INSTANCES:
            continue
        known.append(scope)
        for call in calls[function.node.id]:
            for target in program.named(call.name):
                if target.template:
                    given = bind(program, function, target, call, scope)
                    if given:
                        todo.append((target, given))
    return {key: tuple(value) for key, value in found.items()}


def bind(
    program: Program, caller: Function, target: Function, call: Call, scope: Constants
) -> dict[str, Value]:
    """Return the template arguments of a call, given or deduced from its arguments.

    Args:
        program: The unit.
        caller: Function that holds the call.
        target: Function that is called.
        call: The call.
        scope: Constants at the call.

    Returns:
        By template parameter; those that stay open are absent.
    """
    texts = dict(zip(target.template, map(text_of, call.template), strict=False))
    for parameter, argument in zip(target.parameters, call.arguments, strict=False):
        root = argument
        while root.type == "subscript_expression":
            root = root.named_children[0]
        variable = program.variable(caller, text_of(root), argument)
        if variable is not None:
            open_names = set(target.template) - set(texts)
            texts |= _unify(parameter.type_text, variable.type_text, open_names)
    bound: dict[str, Value] = {}
    for name in target.template:
        text = texts.get(name) or text_of(target.defaults.get(name))
        if text:
            value = evaluate_text(text, {**scope, **bound})
            bound[name] = scope.get(text, text) if value is None else value
    return bound


def _unify(pattern: str, text: str, names: set[str]) -> dict[str, str]:
    """Return what each name in a type must stand for to make it another type."""
    wanted, given = (
        [
            token
            for token in re.findall(r"\w+|::|[<>,]|[^\s\w]", item)
            if token not in {"const", "static", "&", "*", "hls", "::"}
        ]
        for item in (pattern, text)
    )
    found: dict[str, str] = {}
    at = 0
    for token in wanted:
        if at >= len(given):
            return {}
        if token not in names:
            if given[at] != token:
                return {}
            at += 1
            continue
        start, depth = at, 0
        while at < len(given) and (depth or given[at] not in {",", ">"}):
            depth += {"<": 1, ">": -1}.get(given[at], 0)
            at += 1
        found[token] = " ".join(given[start:at])
    return found
