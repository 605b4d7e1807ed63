"""Functions, variables and pragmas of a unit, and what encloses what.

A pragma belongs to the nearest block around it. A variable is visible from its
declaration to the end of the block that declares it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from hao.lint.constants import Value, collect_constants
from hao.lint.finding import Tool
from hao.lint.pragma_parse import Fault, Pragma, is_hls, parse_pragma
from hao.lint.pragmas import Place
from hao.lint.source import (
    Source,
    Unit,
    ancestors,
    declarator_name,
    text_of,
    walk,
)

LOOPS = frozenset(
    {"for_statement", "while_statement", "do_statement", "for_range_loop"}
)
_BLOCKS = LOOPS | {"compound_statement"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable, parameter or member.

    Attributes:
        sizes: Nodes of the sizes between its brackets, None where left open.
        type_text: Type as written, with `*` and `&` of the declarator.
        scope: Block that declares it; None at file scope and in classes.
        position: Offset of the declaration in the text.
    """

    name: str
    sizes: tuple[Node | None, ...]
    type_text: str
    scope: Node | None
    position: int
    line: int
    path: str
    is_parameter: bool = False
    is_member: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether the type as written is an `hls::stream`."""
        return re.search(r"\bstream\s*<", self.type_text) is not None

    @property
    def is_const(self) -> bool:
        """Whether the type as written is constant."""
        return re.search(r"\bconst(expr)?\b", self.type_text) is not None

    @property
    def is_shared(self) -> bool:
        """Whether a call that gets it can change it: array, pointer or reference."""
        return bool(self.sizes) or "*" in self.type_text or "&" in self.type_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PragmaUse:
    """A pragma at its place; `holder` is the function or loop node that encloses it."""

    pragma: Pragma
    faults: tuple[Fault, ...]
    node: Node
    place: Place
    holder: Node | None
    source: Source
    tool: Tool

    @property
    def line(self) -> int:
        """Line in the file, from 1."""
        return self.source.line(self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function definition.

    Attributes:
        template: Names of its template parameters, those of its class included.
        defaults: Default arguments of template parameters.
    """

    name: str
    node: Node
    body: Node
    source: Source
    parameters: tuple[Variable, ...]
    variables: tuple[Variable, ...]
    pragmas: tuple[PragmaUse, ...]
    template: tuple[str, ...] = ()
    defaults: Mapping[str, Node] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """Line in the file, from 1."""
        return self.source.line(self.node)

    def visible(self, name: str, at: Node) -> Variable | None:
        """Return the innermost variable of that name that a place inside sees."""
        around = {node.id for node in ancestors(at)}
        best: Variable | None = None
        for variable in self.variables:
            seen = variable.scope is None or variable.scope.id in around
            if variable.name == name and seen and variable.position <= at.start_byte:
                best = variable
        if best is None:
            best = next((p for p in self.parameters if p.name == name), None)
        return best


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """All that the rules need to know of one unit, for one tool."""

    tool: Tool
    unit: Unit
    functions: tuple[Function, ...]
    globals: Mapping[str, Variable]
    members: Mapping[str, Variable]
    constants: Mapping[str, Value]
    stray: tuple[PragmaUse, ...]

    def named(self, name: str) -> tuple[Function, ...]:
        """Return the functions of a name; more than one where it is overloaded."""
        return tuple(item for item in self.functions if item.name == name)

    def variable(self, function: Function, name: str, at: Node) -> Variable | None:
        """Return what a name means at a place inside a function."""
        return (
            function.visible(name, at)
            or self.members.get(name)
            or self.globals.get(name)
        )


def build_program(unit: Unit, tool: Tool) -> Program:
    """Return the functions, variables and constants of a unit."""
    functions: list[Function] = []
    outer: dict[str, Variable] = {}
    members: dict[str, Variable] = {}
    stray: list[PragmaUse] = []
    for source in unit.sources:
        bodies: list[Node] = []
        for node in walk(source.root):
            if node.type == "function_definition":
                body = node.child_by_field_name("body")
                if body is not None:
                    functions.append(_function(node, body, source, tool))
                    bodies.append(body)
            inside = any(_within(node, body) for body in bodies)
            if inside:
                continue
            if node.type == "declaration":
                outer.update({v.name: v for v in _declared(node, source, None)})
            elif node.type == "field_declaration":
                for variable in _declared(node, source, None):
                    members[variable.name] = variable
            elif _is_pragma(node):
                stray += _pragma_use(node, source, tool)
    return Program(
        tool=tool,
        unit=unit,
        functions=tuple(functions),
        globals=outer,
        members=members,
        constants=collect_constants(unit.sources, unit.macros),
        stray=tuple(stray),
    )


def pragma_text(node: Node) -> str:
    """Return what follows `#pragma` in a pragma node."""
    return text_of(node.child_by_field_name("argument")).strip()


def loop_of(node: Node, within: Node) -> Node | None:
    """Return the innermost loop around a node, inside another node."""
    for parent in ancestors(node):
        if parent.id == within.id:
            return None
        if parent.type in LOOPS:
            return parent
    return None


def _is_pragma(node: Node) -> bool:
    directive = node.child_by_field_name("directive")
    return node.type == "preproc_call" and text_of(directive) == "#pragma"


def _within(node: Node, body: Node) -> bool:
    return body.start_byte <= node.start_byte and node.end_byte <= body.end_byte


def _pragma_use(node: Node, source: Source, tool: Tool) -> Iterator[PragmaUse]:
    text = pragma_text(node)
    if is_hls(text):
        pragma, faults = parse_pragma(text, tool)
        place, holder = _place(node)
        yield PragmaUse(
            pragma=pragma,
            faults=faults,
            node=node,
            place=place,
            holder=holder,
            source=source,
            tool=tool,
        )


def _place(node: Node) -> tuple[Place, Node | None]:
    for parent in ancestors(node):
        if parent.type in LOOPS:
            return Place.LOOP, parent
        if parent.type == "compound_statement":
            owner = parent.parent
            if owner is not None and owner.type == "function_definition":
                return Place.FUNCTION, owner
            if owner is not None and owner.type in LOOPS:
                return Place.LOOP, owner
            return Place.REGION, parent
    return Place.FILE, None


def _function(node: Node, body: Node, source: Source, tool: Tool) -> Function:
    names, defaults = _template(node)
    variables: list[Variable] = []
    pragmas: list[PragmaUse] = []
    for inner in walk(body):
        if inner.type == "declaration":
            scope = next(p for p in ancestors(inner) if p.type in _BLOCKS)
            variables += _declared(inner, source, scope)
        elif _is_pragma(inner):
            pragmas += _pragma_use(inner, source, tool)
    declarator = node.child_by_field_name("declarator")
    return Function(
        name=text_of(declarator_name(declarator)),
        node=node,
        body=body,
        source=source,
        parameters=tuple(_parameters(declarator, source)),
        variables=tuple(variables),
        pragmas=tuple(pragmas),
        template=names,
        defaults=defaults,
    )


def _template(node: Node) -> tuple[tuple[str, ...], dict[str, Node]]:
    names: list[str] = []
    defaults: dict[str, Node] = {}
    for parent in ancestors(node):
        listed = parent.child_by_field_name("parameters")
        if parent.type != "template_declaration" or listed is None:
            continue
        for item in listed.named_children:
            named = declarator_name(item.child_by_field_name("declarator"))
            if named is None:
                named = next(
                    (c for c in item.named_children if c.type == "type_identifier"),
                    None,
                )
            name = text_of(named)
            names.append(name)
            default = item.child_by_field_name("default_value")
            if default is None:
                default = item.child_by_field_name("default_type")
            if default is not None:
                defaults[name] = default
    return tuple(names), defaults


def _parameters(declarator: Node | None, source: Source) -> Iterator[Variable]:
    while declarator is not None and declarator.type != "function_declarator":
        inner = declarator.child_by_field_name("declarator")
        if inner is None and declarator.named_children:
            inner = declarator.named_children[-1]
        declarator = inner
    listed = (
        None if declarator is None else declarator.child_by_field_name("parameters")
    )
    for item in [] if listed is None else listed.named_children:
        if "parameter_declaration" in item.type:
            for variable in _declared(item, source, None, is_parameter=True):
                if variable.name:
                    yield variable


def _declared(
    node: Node, source: Source, scope: Node | None, *, is_parameter: bool = False
) -> Iterator[Variable]:
    """Yield the variables of a declaration, functions left out."""
    words = [
        text_of(child)
        for child in node.children
        if child.type in {"type_qualifier", "storage_class_specifier"}
    ]
    base = " ".join([*words, text_of(node.child_by_field_name("type"))])
    for item in node.children_by_field_name("declarator"):
        sizes, marks, inner = _shape(item)
        if inner is None or inner.type == "function_declarator":
            continue
        yield Variable(
            name=text_of(inner),
            sizes=sizes,
            type_text=base + marks,
            scope=scope,
            position=inner.start_byte,
            line=source.line(inner),
            path=source.path,
            is_parameter=is_parameter,
            is_member=node.type == "field_declaration",
        )


def _shape(node: Node | None) -> tuple[tuple[Node | None, ...], str, Node | None]:
    """Return sizes from the outermost, pointer and reference marks, and the name."""
    sizes: list[Node | None] = []
    marks = ""
    while node is not None and node.type not in {"identifier", "field_identifier"}:
        if node.type == "function_declarator":
            inner = node.child_by_field_name("declarator")
            if inner is None or inner.type != "parenthesized_declarator":
                return (), "", node
        if node.type == "array_declarator":
            sizes.insert(0, node.child_by_field_name("size"))
        elif node.type == "pointer_declarator":
            marks += "*"
        elif node.type == "reference_declarator":
            marks += "&"
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in {
            *("reference_declarator", "parenthesized_declarator"),
        }:
            inner = next(iter(node.named_children), None)
        node = inner
    return tuple(sizes), marks, node
