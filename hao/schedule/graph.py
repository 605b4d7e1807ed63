"""A pipelined loop as a graph of operators.

Branches become multiplexers: a phi behind a branch selects among what comes in, and
depends on the conditions that decide from where. Accesses to variables are joined to
those that they may depend on, in this iteration or a later one. Widening, narrowing and
shifting by a constant are wires.
"""

from dataclasses import dataclass, field
from enum import Enum

from hao.schedule.ir import SourceLine


class OperatorKind(Enum):
    """What an operator is; the value is how it prints."""

    ADD = "add"
    COMPARE = "compare"
    SELECT = "select"
    LOGIC = "logic"
    SHIFT = "shift"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    MUX = "multiplexer"
    REGISTER = "register write"
    LOAD = "memory read"
    STORE = "memory write"
    FIFO = "FIFO"
    BUS = "bus"
    FLOAT = "float"
    CARRIED = "carried value"
    WIRE = "wire"


@dataclass(slots=True)
class Operator:
    """An operator.

    Attributes:
        kind: What it is.
        width: Bits that set its delay and its size; inputs of a multiplexer.
        delay: From its input to its output [ns], or to the first clock edge.
        latency: Clock edges between input and output.
        out: From the last edge to the output [ns].
        place: Line of the source.
        bits: Bits of its result.
        sizes: Bits of both operands of a product or a division.
        fabric: Whether a product is asked to be built of LUTs; `None` for no word.
        by_constant: Whether an operand of a product or division is a constant.
    """

    kind: OperatorKind
    width: int
    delay: float
    latency: int
    out: float
    place: SourceLine
    bits: int
    sizes: tuple[int, int] = (0, 0)
    fabric: bool | None = None
    by_constant: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A dependence.

    Attributes:
        start: Operator that comes first.
        end: Operator that needs it.
        distance: Iterations between both.
        clocked: Whether `end` may begin at a clock edge behind `start` only.
    """

    start: int
    end: int
    distance: int
    clocked: bool = False


@dataclass(slots=True)
class OperatorGraph:
    """Operators and dependences of a loop."""

    operators: list[Operator] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def add(self, operator: Operator) -> int:
        """Add an operator and return its number."""
        self.operators.append(operator)
        return len(self.operators) - 1

    def join(self, start: int, end: int, distance: int = 0) -> None:
        """Let a result be used."""
        self.edges.append(Edge(start, end, distance))

    def order(self, start: int, end: int, distance: int) -> None:
        """Let an access come at least a clock edge behind another."""
        self.edges.append(Edge(start, end, distance, clocked=True))
