"""What the schedule analysis says of a project: values, nothing is computed here."""

from dataclasses import dataclass
from enum import Enum

from hao.schedule.area import LoopArea
from hao.schedule.bus import BusAccess
from hao.schedule.ir import SourceLine
from hao.schedule.ports import PortLimit
from hao.schedule.recurrence import Recurrence


class ScheduleRule(Enum):
    """What a finding is about; the value is what prints."""

    RECURRENCE = "schedule-recurrence"
    DOUBTFUL = "schedule-doubtful"
    PORTS = "schedule-ports"
    DIVIDER = "schedule-divider"
    BURST = "schedule-burst"
    SHIFTER = "schedule-shifter"
    INNER_LOOP = "schedule-inner-loop"
    SHARED = "schedule-shared-static"
    WORD = "schedule-word"
    FLOAT = "schedule-float"
    COMPILE = "schedule-compile"

    @property
    def is_fault(self) -> bool:
        """Return whether it breaks the design's cycle count or the build.

        The others cost speed or area, or may turn out well.
        """
        return self not in (
            ScheduleRule.DOUBTFUL,
            ScheduleRule.BURST,
            ScheduleRule.SHIFTER,
            ScheduleRule.FLOAT,
        )


@dataclass(frozen=True, slots=True, order=True)
class ScheduleFinding:
    """Something that the tool would build slower, larger or not at all.

    Attributes:
        place: Line of the source.
        rule: Value of a `ScheduleRule`.
        message: On one line.
    """

    place: SourceLine
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """A clock uncertainty, and who sets it.

    Attributes:
        title: The tool whose default it is, or the script.
        uncertainty: Share of the period that is kept from the logic.
        budget_ns: What is left for logic [ns].
    """

    title: str
    uncertainty: float
    budget_ns: float


@dataclass(frozen=True, slots=True)
class CycleStep:
    """An operator of a recurrence, as it prints: "add of 32 bits", with its delay."""

    text: str
    delay_ns: float
    place: SourceLine


@dataclass(frozen=True, slots=True)
class OperatorCounts:
    """Operators of a loop that cost much.

    Attributes:
        dsp_products: Products in DSP slices.
        lut_products: Products in LUTs.
        dividers: Divisions and remainders by a variable.
        constant_dividers: The same by a constant other than a power of two.
        shifters: Widths of the variable shifters of more than 64 bits.
        multiplexers: Inputs of the multiplexers of 16 inputs and more.
        floats: Floating-point operators, which have no delay here.
    """

    dsp_products: int
    lut_products: int
    dividers: int
    constant_dividers: int
    shifters: tuple[int, ...]
    multiplexers: tuple[int, ...]
    floats: int


@dataclass(frozen=True, slots=True)
class LoopSchedule:
    """A pipelined loop.

    Attributes:
        process: Function that it is in.
        label: Its label, or "".
        place: Its first line.
        target: Initiation interval that its pragma asks for [cycles].
        recurrences: Its worst recurrence under every setting.
        steps: Operators along that of the first setting.
        ports: What its accesses need.
        depth: Of its pipeline, under the first setting [cycles].
        counts: Operators that cost much.
        area: Blocks of its operators.
        bus: Its accesses to the bus.
        inner: Lines of loops in it that could not be unrolled.
    """

    process: str
    label: str
    place: SourceLine
    target: int
    recurrences: tuple[Recurrence, ...]
    steps: tuple[CycleStep, ...]
    ports: PortLimit
    depth: int
    counts: OperatorCounts
    area: LoopArea
    bus: tuple[BusAccess, ...]
    inner: tuple[SourceLine, ...]


@dataclass(frozen=True, slots=True)
class ScheduleReport:
    """A project.

    Attributes:
        part: Part of the FPGA.
        family: Whose delays were taken.
        clock_ns: Clock period [ns].
        compiler: Clang that compiled.
        settings: Clock uncertainties, the deciding one first.
        loops: Pipelined loops by place.
        findings: By place.
    """

    part: str
    family: str
    clock_ns: float
    compiler: str
    settings: tuple[Uncertainty, ...]
    loops: tuple[LoopSchedule, ...]
    findings: tuple[ScheduleFinding, ...]

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        from hao.schedule.text import render_schedule

        return render_schedule(self)
