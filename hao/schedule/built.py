"""What a loop is looked at with, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hao.hls.source import Pragma
from hao.schedule.accesses import Access
from hao.schedule.delays import Delays
from hao.schedule.graph import OperatorGraph
from hao.schedule.ir import Module
from hao.schedule.layout import Layout
from hao.schedule.memory import IrVariable
from hao.schedule.regions import Loop
from hao.schedule.variables import IrVariables
from hao.schedule.widths import ValueWidths


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a loop is looked at with.

    Attributes:
        module: That it is in.
        layout: Sizes of its types.
        variables: Of the module.
        pragmas: Of the source.
        delays: Of the part.
        budget: Time for logic in a clock period [ns].
        clock: The clock period [ns].
    """

    module: Module
    layout: Layout
    variables: IrVariables
    pragmas: Sequence[Pragma]
    delays: Delays
    budget: float
    clock: float


@dataclass(slots=True)
class BuiltLoop:
    """A loop and what was made of it.

    Attributes:
        loop: The loop.
        graph: Its operators.
        widths: Bits of its values.
        steps: What every iteration adds to the values that only count.
        starts: What these begin with, where that is a constant.
        nodes: Operator by value.
        accesses: Accesses by variable.
        variables: The variables by key.
    """

    loop: Loop
    graph: OperatorGraph
    widths: ValueWidths
    steps: dict[str, int]
    starts: dict[str, int]
    nodes: dict[str, int] = field(default_factory=dict)
    accesses: dict[tuple[str, str], list[Access]] = field(default_factory=dict)
    variables: dict[tuple[str, str], IrVariable] = field(default_factory=dict)
