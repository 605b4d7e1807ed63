"""The value of a constant expression, given what the names in it stand for."""

import operator
from collections.abc import Callable

from tree_sitter import Node

from hao.lint.tree import child, text_of

_BINARY: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "&&": lambda left, right: int(bool(left and right)),
    "||": lambda left, right: int(bool(left or right)),
}
_CASTS = frozenset({"int", "unsigned", "long", "short", "char", "bool", "size_t"})


def evaluate(node: Node | None, value_of: Callable[[Node], int | None]) -> int | None:
    """Return the value of an expression, or None where it is left open.

    Args:
        node: The expression; None is open.
        value_of: Value of a name, as `identifier` or `qualified_identifier`.
    """
    if node is None:
        return None

    def of(field: str) -> int | None:
        return evaluate(child(node, field), value_of)

    match node.type:
        case "number_literal":
            return _literal(text_of(node))
        case "true" | "false":
            return int(node.type == "true")
        case "identifier" | "qualified_identifier":
            return value_of(node)
        case "parenthesized_expression" | "initializer_list" | "argument_list":
            inner = node.named_children
            return evaluate(inner[0], value_of) if len(inner) == 1 else None
        case "unary_expression":
            return _unary(text_of(child(node, "operator")), of("argument"))
        case "binary_expression":
            return _binary(text_of(child(node, "operator")), of("left"), of("right"))
        case "conditional_expression":
            test = of("condition")
            return (
                None if test is None else of("consequence" if test else "alternative")
            )
        case "cast_expression":
            return of("value")
        case "call_expression" if is_cast(node):
            return of("arguments")
    return None


def is_cast(call: Node) -> bool:
    """Return whether a call is a cast: `int(x)`, `static_cast<int>(x)`."""
    called = text_of(child(call, "function"))
    return called.startswith("static_cast<") or called in _CASTS


def _literal(text: str) -> int | None:
    plain = text.replace("'", "").rstrip("uUlL").lower()
    try:
        return int(plain, 8 if plain.startswith("0") and plain.isdigit() else 0)
    except ValueError:
        return None


def _unary(sign: str, value: int | None) -> int | None:
    if value is None:
        return None
    return {"-": -value, "+": value, "!": int(not value), "~": ~value}.get(sign)


def _binary(sign: str, left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return None
    if sign in {"/", "%"} and right:
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if sign == "/" else left - quotient * right
    if sign not in _BINARY or (sign in {"<<", ">>"} and not 0 <= right < 64):
        return None
    return int(_BINARY[sign](left, right))
