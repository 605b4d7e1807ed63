"""Counters of a loop: values that do nothing but go up, and what their ends tell."""

from collections.abc import Mapping, Sequence

from hao.schedule.ir import Instruction, constant, type_bits
from hao.schedule.regions import Loop


def counter_steps(
    body: Sequence[Instruction], carried: frozenset[str]
) -> dict[str, int]:
    """Return what every iteration adds to the values that do nothing but count."""
    by_name = {item.name: item for item in body}
    found: dict[str, int] = {}
    for name in carried:
        for value in by_name[name].ops:
            item = by_name.get(value)
            if item is not None and item.op == "add" and item.ops[0] == name:
                step = constant(item.ops[1])
                if step is not None:
                    found[name] = step
    return found


def counter_starts(
    by_name: Mapping[str, Instruction], steps: Mapping[str, int]
) -> dict[str, int]:
    """Return what the counters begin with, where that is a constant."""
    return {
        name: first
        for name in steps
        for first in map(constant, by_name[name].ops)
        if first is not None
    }


def counter_bits(
    loop: Loop,
    by_name: Mapping[str, Instruction],
    outside: Mapping[str, Instruction],
    steps: Mapping[str, int],
) -> dict[str, int]:
    """Return the bits of the counters, and of their sums, that the loop's end compares.

    They reach the bound and no more: a constant, or what a narrower type holds.
    """
    blocks = set(loop.order)
    found: dict[str, int] = {}
    for block in loop.order:
        end = loop.end(block)
        leaves = any(label not in blocks for label in end.labels)
        compare = by_name.get(end.ops[0]) if end.ops and leaves else None
        if compare is None or compare.op != "icmp":
            continue
        value, bound = compare.ops
        item = by_name.get(value)
        name = item.ops[0] if item is not None and item.op == "add" else value
        limit = constant(bound)
        source = outside.get(bound)
        bits = 0
        if limit is not None and limit > 0:
            bits = limit.bit_length()
        elif source is not None and source.op == "zext":
            bits = type_bits(source.types[0])
        if bits and steps.get(name, 0) > 0:
            found[name] = found[value] = bits
    return found
