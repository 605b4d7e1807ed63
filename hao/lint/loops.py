"""The values of a loop counter, where constants decide them."""

from tree_sitter import Node

from hao.lint.constants import Value, evaluate
from hao.lint.source import declarator_name, text_of

MOST_COPIES = 4096  # of loop bodies; more would make the lint slow


def loop_values(
    node: Node, values: dict[str, Value]
) -> tuple[str, tuple[int, ...]] | None:
    """Return counter and values of a `for` with constant bounds and step, else None."""
    initial = node.child_by_field_name("initializer")
    declared = None if initial is None else initial.child_by_field_name("declarator")
    condition = node.child_by_field_name("condition")
    update = node.child_by_field_name("update")
    if declared is None or condition is None or update is None:
        return None
    name = text_of(declarator_name(declared))
    start = evaluate(declared.child_by_field_name("value"), values)
    step = _step(update, name, values)
    if start is None or not step:
        return None
    numbers: list[int] = []
    while len(numbers) <= MOST_COPIES:
        holds = evaluate(condition, {**values, name: start})
        if holds is None:
            return None
        if not holds:
            return name, tuple(numbers)
        numbers.append(start)
        start += step
    return name, tuple(numbers)


def _step(update: Node, name: str, values: dict[str, Value]) -> int | None:
    sign = text_of(update.child_by_field_name("operator"))
    if update.type == "update_expression":
        return {"++": 1, "--": -1}.get(sign)
    if text_of(update.child_by_field_name("left")) != name:
        return None
    amount = evaluate(update.child_by_field_name("right"), values)
    if amount is None:
        return None
    return {"+=": amount, "-=": -amount}.get(sign)
