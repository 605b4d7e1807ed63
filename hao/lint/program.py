"""A unit with its functions, variables, pragmas and calls, and what names mean in it.

A pragma belongs to the nearest block around it. Names resolve from the inner block
outwards, then to members of any class and to file scope; a template's parameters stay
open.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tree_sitter import Node

from hao.lint.constants import evaluate, is_cast
from hao.lint.declared import DeclaredName, declared, parameters
from hao.lint.grammar import Reading, read_pragma
from hao.lint.pragmas import PragmaPlace
from hao.lint.source import Unit
from hao.lint.tree import (
    LOOPS,
    ancestors,
    child,
    declared_name,
    parse_expression,
    text_of,
    walk,
)

_BLOCKS = LOOPS | {"compound_statement"}
_CLASSES = frozenset({"struct_specifier", "class_specifier", "enum_specifier"})
_KNOWN_TYPES = frozenset(
    {"ap_int", "ap_uint", "ap_fixed", "ap_ufixed", "half", "float", "double", "size_t"}
)


@dataclass(frozen=True, slots=True)
class CodeCall:
    """A call: the name called, methods by their own, and arguments."""

    name: str
    node: Node
    arguments: tuple[Node, ...]
    is_method: bool


@dataclass(frozen=True, slots=True)
class PragmaUse:
    """A pragma at its place; `holder` is the function or loop node that encloses it."""

    reading: Reading
    node: Node
    place: PragmaPlace
    holder: Node | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFunction:
    """A function definition; `template` names the parameters of its templates."""

    name: str
    node: Node
    body: Node
    parameters: tuple[DeclaredName, ...]
    variables: tuple[DeclaredName, ...]
    pragmas: tuple[PragmaUse, ...]
    calls: tuple[CodeCall, ...]
    template: frozenset[str]

    def visible(self, name: str, at: Node) -> DeclaredName | None:
        """Return the innermost variable of that name that a place inside sees."""
        around = {node.id for node in ancestors(at)}
        own = (
            item
            for item in reversed(self.variables)
            if item.name == name
            and (item.scope is None or item.scope.id in around)
            and item.position <= at.start_byte
        )
        given = (item for item in self.parameters if item.name == name)
        return next(own, None) or next(given, None)


@dataclass(slots=True)
class CodeUnit:
    """All that the rules need to know of one unit. Made by `build_program`.

    Attributes:
        variables: Of file scope.
        members: Of classes, by name and as `Class::name`.
        types: What names of types stand for.
        classes: Names of the classes.
        constants: Macros and enumerators with a value.
        stray: Pragmas outside of functions.
        tops: Functions with an INTERFACE pragma that no other function calls.
    """

    unit: Unit
    functions: list[CodeFunction] = field(default_factory=list)
    variables: dict[str, DeclaredName] = field(default_factory=dict)
    members: dict[str, DeclaredName] = field(default_factory=dict)
    types: dict[str, DeclaredName] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    constants: dict[str, int] = field(default_factory=dict)
    stray: list[PragmaUse] = field(default_factory=list)
    tops: frozenset[str] = frozenset()

    def named(self, name: str) -> list[CodeFunction]:
        """Return the functions of a name; more than one where it is overloaded."""
        return [item for item in self.functions if item.name == name]

    def variable(
        self, function: CodeFunction | None, name: str, at: Node
    ) -> DeclaredName | None:
        """Return what a name means at a place inside a function, or at file scope."""
        local = None if function is None else function.visible(name, at)
        return local or self.members.get(name) or self.variables.get(name)

    def value(
        self, node: Node | None, function: CodeFunction | None, at: Node | None = None
    ) -> int | None:
        """Return the value of an expression, None where constants leave it open.

        Args:
            node: The expression.
            function: That it stands in.
            at: Where its names are looked up; None for its own place.
        """

        def value_of(name: Node) -> int | None:
            text = text_of(name)
            if name.type == "qualified_identifier":
                owner, _, member = text.rpartition("::")
                kind = self.types.get(owner)
                owner = owner if kind is None else text_of(kind.kind)
                found = self.members.get(f"{owner}::{member}")
                number = self.constants.get(f"{owner}::{member}")
            else:
                found = self.variable(function, text, at or name)
                number = self.constants.get(text)
            if found is None:
                return number
            value = self._initial(found, at or name)
            return None if value is None else self.value(value, function)

        return evaluate(node, value_of)

    def number(self, text: str, function: CodeFunction, at: Node) -> int | None:
        """Return the value of an operand of a pragma, which stands at a place."""
        return self.value(parse_expression(text), function, at)

    def is_constant(
        self,
        node: Node,
        function: CodeFunction,
        at: Node | None = None,
        *,
        unknown: bool = False,
    ) -> bool:
        """Return whether constants and template parameters alone decide an expression.

        Args:
            node: The expression.
            function: That it stands in.
            at: Where its names are looked up; None for its own place.
            unknown: Whether names and functions that are not known may be constant.
        """
        for inner in walk(node):
            parent = inner.parent
            if inner.type == "call_expression" and not (unknown or is_cast(inner)):
                return False
            if inner.type != "identifier" or (
                parent is not None
                and parent.type in {"qualified_identifier", "template_function"}
            ):
                continue
            name = text_of(inner)
            found = self.variable(function, name, at or inner)
            if found is None:
                known = (function.template, self.constants, self.types, self.classes)
                if not (unknown or any(name in names for names in known)):
                    return False
                continue
            if found.is_parameter or not found.is_const:
                return False
            value = self._initial(found, at or inner)
            if value is not None and not self.is_constant(
                value, function, unknown=unknown
            ):
                return False
        return True

    def _initial(self, variable: DeclaredName, at: Node) -> Node | None:
        """Return what a constant begins with; it ends before the place that asks."""
        value = variable.value
        if value is None or variable.is_parameter or not variable.is_const:
            return None
        return value if value.end_byte <= at.start_byte else None

    def sizes(self, variable: DeclaredName) -> tuple[Node | None, ...]:
        """Return the sizes of all dimensions, those of its type's name included."""
        return variable.sizes + tuple(
            size for kind in self._chain(variable) for size in kind.sizes
        )

    def is_stream(self, variable: DeclaredName) -> bool:
        """Return whether a variable is an `hls::stream`, or an array of them."""
        texts = [item.type_text for item in (variable, *self._chain(variable))]
        return any(re.search(r"\bstream\s*<", text) for text in texts)

    def is_open(self, variable: DeclaredName) -> bool:
        """Return whether a template or a header leaves open what a type is."""
        kind = (variable, *self._chain(variable))[-1].kind
        if kind is None or kind.type in {"primitive_type", "sized_type_specifier"}:
            return kind is None
        name = text_of(child(kind, "name") or kind)
        return name not in self.classes | _KNOWN_TYPES

    def _chain(self, variable: DeclaredName) -> list[DeclaredName]:
        """Return what the name of a variable's type stands for, and so on."""
        found: list[DeclaredName] = []
        following = self.types.get(text_of(variable.kind))
        while following is not None and following not in found:
            found.append(following)
            following = self.types.get(text_of(following.kind))
        return found


def build_program(unit: Unit) -> CodeUnit:
    """Return what is in a unit, as one tool sees it."""
    program = CodeUnit(unit)
    for name, text in unit.macros.items():
        number = program.value(parse_expression(text), None)
        if number is not None:
            program.constants[name] = number
    end = 0  # of the function that the walk is in
    for node in walk(unit.root):
        body = child(node, "body")
        if node.type == "function_definition" and body is not None:
            program.functions.append(_function(unit, node, body))
            end = max(end, body.end_byte)
        if node.type in {"type_definition", "alias_declaration"}:
            program.types |= {item.name: item for item in declared(unit, node, None)}
        elif node.type in _CLASSES:
            program.classes.add(text_of(child(node, "name")))
            if node.type == "enum_specifier":
                _add_enumerators(program, node)
        elif node.start_byte < end:
            continue
        elif node.type == "declaration":
            program.variables |= {v.name: v for v in declared(unit, node, None)}
        elif node.type == "field_declaration":
            for item in declared(unit, node, None):
                program.members[item.name] = item
                program.members[_owner(node) + item.name] = item
        elif node.type == "preproc_call":
            program.stray += _pragma_uses(unit, node)
    program.tops = frozenset(_tops(program))
    return program


def _tops(program: CodeUnit) -> Iterator[str]:
    called = {
        call.name
        for function in program.functions
        for call in function.calls
        if call.name != function.name
    }
    for function in program.functions:
        uses = (use.reading.name for use in function.pragmas)
        if function.name not in called and "interface" in uses:
            yield function.name


def _owner(node: Node) -> str:
    """Return the prefix `Class::` of a member, empty outside of one."""
    owner = next((p for p in ancestors(node) if p.type in _CLASSES), None)
    return "" if owner is None else text_of(child(owner, "name")) + "::"


def _add_enumerators(program: CodeUnit, node: Node) -> None:
    following: int | None = 0
    for item in walk(node):
        if item.type == "enumerator":
            name, given = text_of(child(item, "name")), child(item, "value")
            number = following if given is None else program.value(given, None)
            following = None if number is None else number + 1
            if number is not None:
                program.constants[name] = number
                program.constants[_owner(node) + name] = number


def _function(unit: Unit, node: Node, body: Node) -> CodeFunction:
    variables: list[DeclaredName] = []
    pragmas: list[PragmaUse] = []
    calls: list[CodeCall] = []
    for inner in walk(body):
        if inner.type == "declaration":
            scope = next(p for p in ancestors(inner) if p.type in _BLOCKS)
            variables += declared(unit, inner, scope)
        elif inner.type == "preproc_call":
            pragmas += _pragma_uses(unit, inner)
        elif inner.type == "call_expression":
            calls.append(_call(inner))
    declarator = child(node, "declarator")
    return CodeFunction(
        name=declared_name(declarator),
        node=node,
        body=body,
        parameters=tuple(parameters(unit, declarator)),
        variables=tuple(variables),
        pragmas=tuple(pragmas),
        calls=tuple(calls),
        template=_template(node),
    )


def _template(node: Node) -> frozenset[str]:
    lists = (
        child(parent, "parameters")
        for parent in ancestors(node)
        if parent.type == "template_declaration"
    )
    return frozenset(
        declared_name(child(item, "declarator"))
        or next((text_of(c) for c in item.children if c.type == "type_identifier"), "")
        for listed in lists
        if listed is not None
        for item in listed.named_children
    )


def _call(node: Node) -> CodeCall:
    called, listed = child(node, "function"), child(node, "arguments")
    is_method = called is not None and called.type == "field_expression"
    while called is not None and called.type not in {"identifier", "field_identifier"}:
        called = child(called, "field" if called.type == "field_expression" else "name")
    arguments = () if listed is None else tuple(listed.named_children)
    return CodeCall(text_of(called), node, arguments, is_method)


def _pragma_uses(unit: Unit, node: Node) -> Iterator[PragmaUse]:
    pragma = unit.pragma(node)
    if pragma is not None:
        place, holder = _place(node)
        reading = read_pragma(pragma, unit.tool)
        yield PragmaUse(reading, node, place, holder, unit.place(node)[1])


def _place(node: Node) -> tuple[PragmaPlace, Node | None]:
    for parent in ancestors(node):
        if parent.type in LOOPS:
            return PragmaPlace.LOOP, parent
        if parent.type == "compound_statement":
            owner = parent.parent
            if owner is not None and owner.type == "function_definition":
                return PragmaPlace.FUNCTION, owner
            if owner is not None and owner.type in LOOPS:
                return PragmaPlace.LOOP, owner
            return PragmaPlace.REGION, parent
    return PragmaPlace.FILE, None
