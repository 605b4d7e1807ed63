"""What an instruction becomes in hardware, and how long it takes.

Latencies that no table holds: a division takes three cycles more than its dividend has
bits (csynth reports: 38 bits 41 cycles, 50 bits 53, 16 bits 19); a product longer than
the budget is cut into stages of it.
"""

from dataclasses import dataclass, replace

from hao.schedule.delays import Delays, Timed
from hao.schedule.graph import Operator, OperatorKind
from hao.schedule.ir import Instruction, SourceLine, constant, undefined
from hao.schedule.memory import Storage
from hao.schedule.widths import ValueWidths

# fmt: off
_FLOATS = frozenset({
    "fadd", "fsub", "fmul", "fdiv", "frem", "fneg", "fcmp", "sitofp", "uitofp",
    "fptosi", "fptoui", "fpext", "fptrunc",
})
# fmt: on
_COMPARING = ("@llvm.smin", "@llvm.smax", "@llvm.umin", "@llvm.umax")
_ABSOLUTE = "@llvm.abs"
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

    def wire(self, bits: int, place: SourceLine) -> Operator:
        """Return what costs nothing."""
        return self.plain(OperatorKind.WIRE, None, bits, place, bits)

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

    def access(self, where: Target, place: SourceLine, bits: int) -> Operator:
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
        return self.wire(bits, place)

    def chooser(self, inputs: int, bits: int, place: SourceLine) -> Operator:
        """Return what selects one of several inputs."""
        if inputs < _MUX_FROM:
            return self.plain(OperatorKind.SELECT, Timed.SELECT, bits, place, bits)
        return self.plain(OperatorKind.MUX, Timed.MUX, inputs, place, bits)

    def of(self, item: Instruction, context: Context) -> Operator:
        """Return the operator of an instruction that accesses nothing."""
        op, place, widths = item.op, context.place, self.widths
        bits = item.width if item.type != "void" else 0
        if context.is_carried:
            held = widths.result(item) if item.type != "ptr" else 0
            return self.plain(OperatorKind.CARRIED, None, held, place, held)
        if item.type == "ptr":
            return self.wire(0, place)
        if op in _FLOATS:
            return self.plain(OperatorKind.FLOAT, None, bits, place, bits)
        if op == "icmp":
            return self._comparison(item, place)
        width = widths.result(item)
        if op in ("add", "sub"):
            return self.plain(OperatorKind.ADD, Timed.ADD, width, place, width)
        if op in ("and", "or", "xor") and not _only_wires(item):
            return self.plain(OperatorKind.LOGIC, Timed.LOGIC, width, place, width)
        if op == "select" and item.type == "i1":
            return self.plain(OperatorKind.LOGIC, Timed.LOGIC, width, place, width)
        if op == "select":
            return self.plain(OperatorKind.SELECT, Timed.SELECT, width, place, width)
        if op == "phi":
            return self._phi(item, width, place)
        if op in ("shl", "lshr", "ashr") and constant(item.ops[1]) is None:
            size = width if op == "shl" else max(width, widths.operand(item, 0))
            return self.plain(OperatorKind.SHIFT, Timed.SHIFT, size, place, width)
        if op == "mul":
            return self._product(item, width, context)
        if op in ("udiv", "sdiv", "urem", "srem"):
            return self._quotient(item, width, place)
        if op == "call" and item.detail.startswith((*_COMPARING, _ABSOLUTE)):
            return self._choice(item, width, place)
        return self.wire(width, place)

    def _comparison(self, item: Instruction, place: SourceLine) -> Operator:
        """Return a comparison; one that asks for the sign is that bit, or its inverse.

        Source: IR that Vivado HLS printed for public designs has `BitSelect(x, 8)`
        where the C++ has `x < 0` of 9 bits.
        """
        asked = item.detail, constant(item.ops[1])
        if asked == ("slt", 0):
            return self.wire(1, place)
        width = 1 if asked == ("sgt", -1) else self.widths.compared(item)
        return self.compare(width, place)

    def _phi(self, item: Instruction, width: int, place: SourceLine) -> Operator:
        inputs = {value for value in item.ops if not undefined(value)}
        if len(inputs) < 2:
            return self.wire(width, place)
        if item.type == "i1":
            return self.plain(OperatorKind.LOGIC, Timed.LOGIC, 1, place, 1)
        return self.chooser(len(inputs), width, place)

    def _product(self, item: Instruction, width: int, context: Context) -> Operator:
        # What the result cuts off, no operand needs either.
        first, second = (min(self.widths.operand(item, at), width) for at in (0, 1))
        large = max(first, second)
        return Operator(
            OperatorKind.MULTIPLY,
            large,
            self.delays.delay(Timed.MULTIPLY, large),
            0,
            0.0,
            context.place,
            width,
            sizes=(first, second),
            fabric=context.fabric,
            by_constant=any(constant(value) is not None for value in item.ops),
        )

    def _quotient(self, item: Instruction, width: int, place: SourceLine) -> Operator:
        dividend, divisor = (self.widths.operand(item, at) for at in (0, 1))
        added = self.delays.delay(Timed.ADD, divisor)
        stage = min(added + self.delays.delay(Timed.SELECT, divisor), self.budget)
        return Operator(
            OperatorKind.DIVIDE,
            dividend,
            stage,
            dividend + _DIVIDER_EXTRA,
            stage,
            place,
            width,
            sizes=(dividend, divisor),
            by_constant=constant(item.ops[1]) is not None,
        )

    def _choice(self, item: Instruction, width: int, place: SourceLine) -> Operator:
        """Return what compares or negates, and chooses by that."""
        made = self.plain(OperatorKind.SELECT, Timed.SELECT, width, place, width)
        if item.detail.startswith(_ABSOLUTE):
            first = self.delays.delay(Timed.ADD, width)
        else:
            first = self.delays.delay(Timed.COMPARE, self.widths.compared(item))
        return replace(made, delay=made.delay + first)


def _only_wires(item: Instruction) -> bool:
    """Return whether every bit of the logic of an instruction is a wire."""
    fixed = any(constant(value) is not None for value in item.ops)
    masks = fixed and item.op in ("and", "or") and item.type != "i1"
    return masks or (item.op == "or" and item.detail == "disjoint")
