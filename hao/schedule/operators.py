"""What an instruction becomes in hardware, and how long it takes.

Latencies that no table holds: a division takes three cycles more than its dividend has
bits (csynth reports: 38 bits 41 cycles, 50 bits 53, 16 bits 19); a product longer than
the budget is cut into stages of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hao.schedule.delays import Delays, Timed
from hao.schedule.graph import Operator, OperatorKind
from hao.schedule.ir import Instruction, SourceLine, constant, undefined
from hao.schedule.memory import Storage
from hao.schedule.widths import ValueWidths

# fmt: off
_WIRES = frozenset({
    "zext", "sext", "trunc", "bitcast", "ptrtoint", "inttoptr", "freeze",
    "getelementptr", "extractvalue", "insertvalue", "extractelement", "insertelement",
    "addrspacecast", "ptrtoaddr",
})
_FLOATS = frozenset({
    "fadd", "fsub", "fmul", "fdiv", "frem", "fneg", "fcmp", "sitofp", "uitofp",
    "fptosi", "fptoui", "fpext", "fptrunc",
})
# fmt: on
_DIVIDER_EXTRA = 3
_MUX_FROM = 5
"""Inputs from which a choice is timed as a multiplexer instead of a select: the LUT of
the fabric holds four inputs (schedule reports print no `sparsemux` below five)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an instruction does not say itself: place, whether it hands on, binding."""

    place: SourceLine
    is_carried: bool
    fabric: bool | None


@dataclass(frozen=True, slots=True)
class Target:
    """What an access meets.

    Attributes:
        storage: What the variable is in hardware.
        in_luts: Whether that is a memory of LUTs.
        elements: Elements of the accessed size that it holds.
        writes: Whether it writes; else it reads.
        moves: Whether the address changes with the iterations.
        guarded: Whether a condition decides.
    """

    storage: Storage
    in_luts: bool
    elements: int
    writes: bool
    moves: bool
    guarded: bool


@dataclass(frozen=True, slots=True)
class DelayTable:
    """Operators with their delays.

    Attributes:
        delays: Of the part.
        budget: Time for logic in a clock period [ns].
        clock: The clock period [ns].
        widths: Bits of the loop's values.
    """

    delays: Delays
    budget: float
    clock: float
    widths: ValueWidths

    def plain(
        self,
        kind: OperatorKind,
        timed: Timed | None,
        width: int,
        place: SourceLine,
        bits: int,
    ) -> Operator:
        """Return an operator within a cycle."""
        delay = self.delays.delay(timed, width) if timed is not None else 0.0
        return Operator(kind, width, delay, 0, 0.0, place, bits)

    def compare(self, width: int, place: SourceLine) -> Operator:
        """Return a comparison; of single bits it is logic."""
        if width == 1:
            return self.plain(OperatorKind.LOGIC, Timed.LOGIC, 1, place, 1)
        return self.plain(OperatorKind.COMPARE, Timed.COMPARE, width, place, 1)

    def three(self, width: int) -> float:
        """Return the delay of an adder of three operands [ns]."""
        return self.delays.delay(Timed.ADD3, width)

    def fifo(self, callee: str, place: SourceLine) -> Operator:
        """Return an access to a FIFO; asking whether it is empty reads a flag."""
        if callee.endswith(("_empty", "_full")):
            return self.plain(OperatorKind.FIFO, Timed.LOGIC, 1, place, 1)
        return self.plain(OperatorKind.FIFO, Timed.FIFO, int(self.clock), place, 1)

    def access(self, where: "Target", place: SourceLine, bits: int) -> Operator:
        """Return an access to a variable."""
        if where.storage is Storage.BUS:
            # Schedule reports give a beat the whole budget: nothing is chained to it.
            out = 0.0 if where.writes else self.budget
            return Operator(OperatorKind.BUS, bits, self.budget, 1, out, place, bits)
        if where.storage is Storage.MEMORY or (
            where.storage is Storage.TABLE and where.moves
        ):
            kind = Timed.LUTRAM if where.in_luts else Timed.MEMORY
            time = self.delays.delay(kind, 1)
            if where.writes:
                return Operator(OperatorKind.STORE, bits, time, 0, 0.0, place, 0)
            return Operator(OperatorKind.LOAD, bits, time, 1, time, place, bits)
        if where.storage is Storage.REGISTERS and where.writes:
            choice = Timed.SELECT if where.moves or where.guarded else None
            return self.plain(OperatorKind.REGISTER, choice, bits, place, 0)
        if where.storage is Storage.REGISTERS and where.moves:
            return self.chooser(where.elements, bits, place)
        return self.plain(OperatorKind.WIRE, None, bits, place, bits)

    def chooser(self, inputs: int, bits: int, place: SourceLine) -> Operator:
        """Return what selects one of several inputs."""
        if inputs < _MUX_FROM:
            return self.plain(OperatorKind.SELECT, Timed.SELECT, bits, place, bits)
        return self.plain(OperatorKind.MUX, Timed.MUX, inputs, place, bits)


def classify(item: Instruction, context: Context, timing: DelayTable) -> Operator:
    """Return the operator of an instruction that accesses nothing."""
    op, place = item.op, context.place
    widths = timing.widths
    bits = item.width if item.type != "void" else 0
    if context.is_carried:
        held = widths.result(item) if item.type != "ptr" else 0
        return timing.plain(OperatorKind.CARRIED, None, held, place, held)
    if item.type == "ptr":
        return timing.plain(OperatorKind.WIRE, None, 0, place, 0)
    if op in _WIRES:
        return timing.plain(OperatorKind.WIRE, None, bits, place, widths.result(item))
    if op in _FLOATS:
        return timing.plain(OperatorKind.FLOAT, None, bits, place, bits)
    if op == "icmp":
        return timing.compare(widths.compared(item), place)
    width = widths.result(item)
    if op in ("add", "sub"):
        return timing.plain(OperatorKind.ADD, Timed.ADD, width, place, width)
    if op in ("and", "or", "xor"):
        return _logic(item, width, place, timing)
    if op == "select":
        kind = OperatorKind.LOGIC if item.type == "i1" else OperatorKind.SELECT
        timed = Timed.LOGIC if item.type == "i1" else Timed.SELECT
        return timing.plain(kind, timed, width, place, width)
    if op == "phi":
        return _phi(item, width, place, timing)
    if op in ("shl", "lshr", "ashr"):
        if constant(item.ops[1]) is not None:
            return timing.plain(OperatorKind.WIRE, None, width, place, width)
        size = width if op == "shl" else max(width, widths.operand(item, 0))
        return timing.plain(OperatorKind.SHIFT, Timed.SHIFT, size, place, width)
    if op == "mul":
        return _multiply(item, width, context, timing)
    if op in ("udiv", "sdiv", "urem", "srem"):
        return _divide(item, width, place, timing)
    if op == "call":
        return _call(item, width, place, timing)
    return timing.plain(OperatorKind.WIRE, None, width, place, width)


def _logic(
    item: Instruction, width: int, place: SourceLine, timing: DelayTable
) -> Operator:
    fixed = [value for value in map(constant, item.ops) if value is not None]
    if fixed and item.op in ("and", "or") and item.type != "i1":
        # With a constant each bit is a wire.
        return timing.plain(OperatorKind.WIRE, None, width, place, width)
    if item.op == "or" and item.detail == "disjoint":
        return timing.plain(OperatorKind.WIRE, None, width, place, width)
    return timing.plain(OperatorKind.LOGIC, Timed.LOGIC, width, place, width)


def _phi(
    item: Instruction, width: int, place: SourceLine, timing: DelayTable
) -> Operator:
    inputs = {value for value in item.ops if not undefined(value)}
    if len(inputs) < 2:
        return timing.plain(OperatorKind.WIRE, None, width, place, width)
    if item.type == "i1":
        return timing.plain(OperatorKind.LOGIC, Timed.LOGIC, 1, place, 1)
    return timing.chooser(len(inputs), width, place)


def _multiply(
    item: Instruction, width: int, context: Context, timing: DelayTable
) -> Operator:
    sizes = (timing.widths.operand(item, 0), timing.widths.operand(item, 1))
    # What the result cuts off, no operand needs either.
    sizes = (min(sizes[0], width), min(sizes[1], width))
    delay = timing.delays.delay(Timed.MULTIPLY, max(sizes))
    by_constant = any(constant(value) is not None for value in item.ops)
    made = Operator(
        OperatorKind.MULTIPLY, max(sizes), delay, 0, 0.0, context.place, width
    )
    made.sizes, made.fabric, made.by_constant = sizes, context.fabric, by_constant
    return made


def _divide(
    item: Instruction, width: int, place: SourceLine, timing: DelayTable
) -> Operator:
    sizes = (timing.widths.operand(item, 0), timing.widths.operand(item, 1))
    stage = timing.delays.delay(Timed.ADD, sizes[1]) + timing.delays.delay(
        Timed.SELECT, sizes[1]
    )
    stage = min(stage, timing.budget)
    latency = sizes[0] + _DIVIDER_EXTRA
    made = Operator(OperatorKind.DIVIDE, sizes[0], stage, latency, stage, place, width)
    made.sizes = sizes
    made.by_constant = constant(item.ops[1]) is not None
    return made


_COMPARING: Sequence[str] = ("@llvm.smin", "@llvm.smax", "@llvm.umin", "@llvm.umax")


def _call(
    item: Instruction, width: int, place: SourceLine, timing: DelayTable
) -> Operator:
    if item.detail.startswith((*_COMPARING, "@llvm.abs")):
        first = Timed.ADD if item.detail.startswith("@llvm.abs") else Timed.COMPARE
        size = timing.widths.compared(item) if first is Timed.COMPARE else width
        made = timing.plain(OperatorKind.SELECT, Timed.SELECT, width, place, width)
        made.delay += timing.delays.delay(first, size)
        return made
    return timing.plain(OperatorKind.WIRE, None, width, place, width)
