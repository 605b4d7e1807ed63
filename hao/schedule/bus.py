"""Which accesses to the bus can become bursts, and why the others cannot.

The tools join the beats of a pipelined loop into one burst when every iteration
accesses the port and the address goes up by one element; UG1399, "Preconditions and
Limitations of Burst Transfer", and message 214-232, "Access is in the conditional
branch".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hao.schedule.accesses import Access
from hao.schedule.built import BuiltLoop
from hao.schedule.ir import SourceLine
from hao.schedule.memory import Storage


@dataclass(frozen=True, slots=True)
class BusAccess:
    """An access to the bus.

    Attributes:
        port: Its pointer.
        place: Line of the source.
        writes: Whether it writes; else it reads.
        obstacle: Why it cannot be part of a burst; "" if it can.
    """

    port: str
    place: SourceLine
    writes: bool
    obstacle: str


def bus_accesses(built: BuiltLoop) -> Iterable[BusAccess]:
    """Yield the accesses of a loop to the bus."""
    for key, accesses in built.accesses.items():
        variable = built.variables[key]
        if variable.storage is not Storage.BUS:
            continue
        seen = set()
        for item in accesses:
            beat = (item.block, item.writes, item.address.terms)
            if beat in seen:  # the compiler moves a beat in halves
                continue
            seen.add(beat)
            operator = built.graph.operators[item.node]
            yield BusAccess(
                variable.name,
                operator.place,
                item.writes,
                _obstacle(built, item, variable.word),
            )


def _obstacle(built: BuiltLoop, item: Access, element: int) -> str:
    if built.loop.guards(item.block):
        return "access under a condition"
    inside = set(built.nodes)
    moving = [(name, f) for name, f in item.address.terms if name in inside]
    if not moving:
        return "address does not change"
    steps = built.steps
    if any(name not in steps for name, _ in moving):
        return "address is not sequential"
    stride = sum(steps[name] * factor for name, factor in moving)
    return "" if stride == element else "address is not sequential"
