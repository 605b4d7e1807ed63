"""What declarations declare: variables, and names of types.

A variable is visible from its declaration to the end of the block that declares it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from hao.lint.source import Unit
from hao.lint.tree import child, inner_declarator, text_of

_NAMES = frozenset({"identifier", "field_identifier", "type_identifier"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredName:
    """A variable, parameter or member; or a name for a type.

    Attributes:
        sizes: Nodes of the sizes between its brackets, None where left open.
        kind: Node of the type, without qualifiers.
        type_text: Type as written, with `*` and `&` of the declarator.
        value: What it begins with.
        scope: Block that declares it; None at file scope and in classes.
        position: Offset of the declaration in the text.
    """

    name: str
    sizes: tuple[Node | None, ...]
    kind: Node | None
    type_text: str
    value: Node | None
    scope: Node | None
    position: int
    path: str
    line: int
    is_parameter: bool = False

    @property
    def is_const(self) -> bool:
        """Whether the type as written is constant."""
        return re.search(r"\bconst(expr)?\b", self.type_text) is not None

    @property
    def is_shared(self) -> bool:
        """Whether a call that gets it can change it: array, pointer or reference."""
        return bool(self.sizes) or "*" in self.type_text or "&" in self.type_text


def declared(
    unit: Unit, node: Node, scope: Node | None, *, is_parameter: bool = False
) -> Iterator[DeclaredName]:
    """Yield the variables or types of a declaration, functions left out."""
    kind = child(node, "type")
    if node.type == "alias_declaration":
        items = [(child(kind, "declarator"), child(node, "name"))]
        kind = child(kind, "type")
    else:
        items = [(item, None) for item in node.children_by_field_name("declarator")]
    words = [
        text_of(part)
        for part in node.children
        if part.type in {"type_qualifier", "storage_class_specifier"}
    ]
    for item, named in items:
        sizes, marks, inner = _shape(item)
        name = named or inner
        if name is None or name.type == "function_declarator":
            continue
        path, line = unit.place(name)
        yield DeclaredName(
            name=text_of(name),
            sizes=sizes,
            kind=kind,
            type_text=" ".join([*words, text_of(kind)]) + marks,
            value=child(item, "value") or child(node, "default_value"),
            scope=scope,
            position=name.start_byte,
            path=path,
            line=line,
            is_parameter=is_parameter,
        )


def parameters(unit: Unit, declarator: Node | None) -> Iterator[DeclaredName]:
    """Yield the parameters with a name of a function's declarator."""
    while declarator is not None and declarator.type != "function_declarator":
        declarator = inner_declarator(declarator)
    listed = child(declarator, "parameters")
    for item in [] if listed is None else listed.named_children:
        if "parameter_declaration" in item.type:
            yield from declared(unit, item, None, is_parameter=True)


def _shape(node: Node | None) -> tuple[tuple[Node | None, ...], str, Node | None]:
    """Return sizes from the outermost, pointer and reference marks, and the name."""
    sizes: list[Node | None] = []
    marks = ""
    while node is not None and node.type not in _NAMES:
        inner = inner_declarator(node)
        if node.type == "function_declarator" and (
            inner is None or inner.type != "parenthesized_declarator"
        ):
            return (), "", node
        if node.type in {"array_declarator", "abstract_array_declarator"}:
            sizes.insert(0, child(node, "size"))
        marks += {"pointer_declarator": "*", "reference_declarator": "&"}.get(
            node.type, ""
        )
        node = inner
    return tuple(sizes), marks, node
