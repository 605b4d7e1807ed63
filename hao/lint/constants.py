"""The value of a constant expression, where the sources alone decide it.

Names resolve in layers: template arguments of an instance, local constants, then file
scope with macros, `const` and `constexpr` variables, enumerators and static members of
structs (under `Struct::member`). A value that needs the compiler is None.
"""

import operator
from collections.abc import Callable, Iterable, Mapping

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

from hao.lint.preprocess import Macro
from hao.lint.source import Source, declarator_name, text_of, walk

# An integer, or the name of the type that a template parameter stands for.
Value = int | str
Constants = Mapping[str, Value]

_PARSER = Parser(Language(tree_sitter_cpp.language()))
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
}


def evaluate(node: Node | None, constants: Constants) -> int | None:
    """Return the value of an expression, or None where the constants leave it open."""
    if node is None:
        return None
    match node.type:
        case "number_literal":
            return _literal(text_of(node))
        case "true" | "false":
            return int(node.type == "true")
        case "identifier" | "type_identifier":
            value = constants.get(text_of(node))
            return value if isinstance(value, int) else None
        case "qualified_identifier":
            return _qualified(text_of(node), constants)
        case "parenthesized_expression" | "initializer_list" | "type_descriptor":
            inner = node.named_children
            return evaluate(inner[0], constants) if len(inner) == 1 else None
        case "unary_expression":
            return _unary(node, constants)
        case "binary_expression":
            return _binary(node, constants)
        case "conditional_expression":
            test = evaluate(node.child_by_field_name("condition"), constants)
            if test is None:
                return None
            side = "consequence" if test else "alternative"
            return evaluate(node.child_by_field_name(side), constants)
        case "cast_expression":
            return evaluate(node.child_by_field_name("value"), constants)
        case "call_expression":
            return _cast(node, constants)
        case _:
            return None


def evaluate_text(text: str, constants: Constants) -> int | None:
    """Return the value of an expression given as text, such as a pragma operand."""
    if text.isdigit():
        return _literal(text)
    tree = _PARSER.parse(f"int x = {text};".encode())
    for node in walk(tree.root_node):
        if node.type == "init_declarator" and not tree.root_node.has_error:
            return evaluate(node.child_by_field_name("value"), constants)
    return None


def collect_constants(
    sources: Iterable[Source], macros: Mapping[str, Macro]
) -> dict[str, Value]:
    """Return the constants of file scope and of structs, in order of declaration."""
    found: dict[str, Value] = {}
    for name, macro in macros.items():
        if macro.parameters is None and macro.body:
            value = evaluate_text(macro.body, found)
            if value is not None:
                found[name] = value
    for source in sources:
        for node in walk(source.root):
            if _is_local(node):
                continue
            if node.type in {"declaration", "field_declaration"}:
                _add_constant(node, found)
            elif node.type in {"type_definition", "alias_declaration"}:
                found.update(aliases(node))
            elif node.type == "enum_specifier":
                _add_enumerators(node, found)
    return found


def constant_declarators(node: Node) -> list[tuple[str, Node]]:
    """Return name and value of each constant that a declaration defines."""
    qualifiers = {
        text_of(child) for child in node.children if child.type == "type_qualifier"
    }
    if not qualifiers & {"const", "constexpr"}:
        return []
    found = []
    for child in node.children_by_field_name("declarator"):
        if child.type == "init_declarator":
            name = child.child_by_field_name("declarator")
            value = child.child_by_field_name("value")
        else:
            name, value = child, node.child_by_field_name("default_value")
        if name is not None and value is not None and "identifier" in name.type:
            found.append((text_of(declarator_name(name)), value))
    return found


def aliases(node: Node) -> dict[str, str]:
    """Return the type that each name of a `typedef` or `using` stands for."""
    kind = text_of(node.child_by_field_name("type"))
    if node.type == "alias_declaration":
        return {text_of(node.child_by_field_name("name")): kind}
    return {
        text_of(child): kind
        for child in node.children_by_field_name("declarator")
        if child.type == "type_identifier"
    }


def _is_local(node: Node) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.type == "compound_statement":
            return True
        parent = parent.parent
    return False


def _owner(node: Node) -> str:
    """Return the prefix `Struct::` of a member, empty outside of one."""
    parent = node.parent
    while parent is not None:
        if parent.type in {"struct_specifier", "class_specifier"}:
            return text_of(parent.child_by_field_name("name")) + "::"
        parent = parent.parent
    return ""


def _add_constant(node: Node, found: dict[str, Value]) -> None:
    owner = _owner(node)
    members = {
        key.removeprefix(owner): value
        for key, value in found.items()
        if owner and key.startswith(owner)
    }
    for name, expression in constant_declarators(node):
        value = evaluate(expression, found | members)
        if value is not None:
            found[owner + name] = value
            members[name] = value


def _add_enumerators(node: Node, found: dict[str, Value]) -> None:
    owner = _owner(node)
    following: int | None = 0
    for item in walk(node):
        if item.type == "enumerator":
            value = item.child_by_field_name("value")
            number = following if value is None else evaluate(value, found)
            if number is not None:
                found[owner + text_of(item.child_by_field_name("name"))] = number
            following = None if number is None else number + 1


def _literal(text: str) -> int | None:
    plain = text.replace("'", "").rstrip("uUlL").lower()
    try:
        if plain.startswith("0") and plain.isdigit():
            return int(plain, 8)
        return int(plain, 0)
    except ValueError:
        return None


def _qualified(text: str, constants: Constants) -> int | None:
    owner, _, member = text.rpartition("::")
    stood_for = constants.get(owner)
    if isinstance(stood_for, str):
        owner = stood_for
    for key in (f"{owner}::{member}", f"{owner.rpartition('::')[2]}::{member}", member):
        value = constants.get(key)
        if isinstance(value, int):
            return value
    return None


def _unary(node: Node, constants: Constants) -> int | None:
    value = evaluate(node.child_by_field_name("argument"), constants)
    sign = text_of(node.child_by_field_name("operator"))
    if value is None:
        return None
    return {"-": -value, "+": value, "!": int(not value), "~": ~value}.get(sign)


def _binary(node: Node, constants: Constants) -> int | None:
    sign = text_of(node.child_by_field_name("operator"))
    left = evaluate(node.child_by_field_name("left"), constants)
    right = evaluate(node.child_by_field_name("right"), constants)
    if sign in {"&&", "||"}:
        decisive = int(sign == "||")
        known = [int(bool(side)) for side in (left, right) if side is not None]
        if decisive in known:
            return decisive
        return 1 - decisive if len(known) == 2 else None
    if left is None or right is None:
        return None
    if sign in {"/", "%"}:
        if right == 0:
            return None
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if sign == "/" else left - quotient * right
    if sign in {"<<", ">>"} and not 0 <= right < 64:
        return None
    return int(_BINARY[sign](left, right)) if sign in _BINARY else None


def _cast(node: Node, constants: Constants) -> int | None:
    """Return the value of a cast written as a call: `int(x)`, `static_cast<int>(x)`."""
    called = text_of(node.child_by_field_name("function"))
    arguments = node.child_by_field_name("arguments")
    if arguments is None or len(arguments.named_children) != 1:
        return None
    if called.startswith("static_cast<") or called in {"int", "unsigned", "long"}:
        return evaluate(arguments.named_children[0], constants)
    return None
