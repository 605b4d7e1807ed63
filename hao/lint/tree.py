"""The syntax tree of a C++ text, by tree-sitter, and how to find one's way in it.

tree-sitter keeps pragmas as nodes at their place, which a compiler drops, and goes on
behind what it cannot parse. Only this module touches its parser.
"""

from collections.abc import Iterator
from functools import cache

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser, Query, QueryCursor

LOOPS = frozenset(
    {"for_statement", "while_statement", "do_statement", "for_range_loop"}
)
_NAMES = frozenset({"identifier", "field_identifier", "type_identifier"})


@cache
def _language() -> Language:
    return Language(tree_sitter_cpp.language())


def parse(text: str) -> Node:
    """Return the root of the tree of a text."""
    return Parser(_language()).parse(text.encode()).root_node


@cache
def parse_expression(text: str) -> Node | None:
    """Return the tree of an expression, or None for a text that is none."""
    root = parse(f"int x = {text};")
    found = next((n for n in walk(root) if n.type == "init_declarator"), None)
    if root.has_error or found is None:
        return None
    return found.child_by_field_name("value")


@cache
def _query(pattern: str) -> Query:
    return Query(_language(), pattern)


def search(root: Node, patterns: str) -> Iterator[tuple[int, Node]]:
    """Yield which of several patterns matches, from 0, and its node `@at`."""
    for index, captures in QueryCursor(_query(patterns)).matches(root):
        for node in captures.get("at", ()):
            yield index, node


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all named ones below it, in order of the text."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        todo.extend(reversed(current.named_children))


def text_of(node: Node | None) -> str:
    """Return the text of a node, empty for None."""
    return "" if node is None or node.text is None else node.text.decode()


def child(node: Node | None, field: str) -> Node | None:
    """Return the child of a field, None for None."""
    return None if node is None else node.child_by_field_name(field)


def ancestors(node: Node) -> Iterator[Node]:
    """Yield the parents of a node, the nearest first."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def inner_declarator(node: Node) -> Node | None:
    """Return what a declarator holds: the name, or a declarator again."""
    inner = node.child_by_field_name("declarator")
    if inner is None and node.type in {
        *("reference_declarator", "parenthesized_declarator"),
        *("variadic_declarator", "attributed_declarator"),
    }:
        inner = next(iter(node.named_children), None)
    return inner


def declared_name(node: Node | None) -> str:
    """Return the name inside a declarator, empty for none."""
    while node is not None and node.type not in _NAMES:
        if node.type in {"qualified_identifier", "template_function"}:
            node = node.child_by_field_name("name")
        else:
            node = inner_declarator(node)
    return text_of(node)


def is_statement_of(node: Node, block: Node) -> bool:
    """Return whether a node, with a semicolon, is a statement of a block itself."""
    statement = node.parent
    return (
        statement is not None
        and statement.parent is not None
        and statement.parent.id == block.id
    )
