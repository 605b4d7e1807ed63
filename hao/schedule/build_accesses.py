"""Accesses of a loop as operators: memories, registers, FIFOs and the bus."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hao.hls.source import pragmas_of
from hao.schedule.accesses import Access, Keeping, Reach, find_dependences, read_rule
from hao.schedule.built import BuiltLoop, Surroundings
from hao.schedule.graph import Operator, OperatorKind
from hao.schedule.ir import Instruction, constant, type_bits
from hao.schedule.memory import Address, IrVariable, Storage
from hao.schedule.operators import DelayTable, Target
from hao.schedule.prepare import FIFO

_TRANSFER = ("@llvm.memcpy", "@llvm.memmove", "@llvm.memset")


def is_access(item: Instruction) -> bool:
    """Return whether an instruction reads or writes a variable, FIFOs included."""
    if item.op == "call":
        return item.detail.startswith((*_TRANSFER, FIFO))
    return item.op in ("load", "store")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes behind a pointer that are read or written; size 0 for the whole."""

    pointer: str
    size: int
    writes: bool


class AccessBuilder:
    """Adds the accesses of a loop to its graph, then their dependences.

    Args:
        built: The loop so far.
        around: What it is looked at with.
        timing: Delays.
        join_condition: Lets an operator wait for the branch at the end of a block.
    """

    def __init__(
        self,
        built: BuiltLoop,
        around: Surroundings,
        timing: DelayTable,
        join_condition: Callable[[str, int], None],
    ) -> None:
        self._built = built
        self._around = around
        self._timing = timing
        self._join_condition = join_condition
        loop = built.loop
        carried = frozenset(
            item.name for item in loop.function.blocks[loop.head] if item.op == "phi"
        )
        self._addresses = around.variables.addresses(loop.function, carried)
        self._types = {item.name: item.type for item in loop.function.instructions()}
        self._inside = {item.name for item in loop.instructions()}
        # Variables whose life begins anew in every iteration.
        self._fresh = {
            item.ops[-1]
            for item in loop.instructions()
            if item.op == "call" and item.detail.startswith("@llvm.lifetime.start")
        }

    def add(self, rank: int, item: Instruction) -> None:
        """Add the operators of an access."""
        if item.op in ("load", "store"):
            kind = item.type if item.op == "load" else item.types[0]
            size = self._around.layout.size(kind)
            self._move(rank, item, _Piece(item.ops[-1], size, item.op == "store"))
        elif item.detail.startswith(FIFO):
            self._fifo(rank, item)
        else:
            size = constant(item.ops[2]) or 0
            made = self._move(rank, item, _Piece(item.ops[0], size, True))
            if not item.detail.startswith("@llvm.memset"):
                read = self._move(rank, item, _Piece(item.ops[1], size, False))
                self._built.graph.join(read, made)

    def join(self) -> None:
        """Join the accesses that depend on each other."""
        reach = Reach(self._built.loop)
        graph = self._built.graph
        for key, accesses in self._built.accesses.items():
            variable = self._built.variables[key]
            if variable.storage not in (Storage.REGISTERS, Storage.MEMORY):
                continue
            is_memory = variable.storage is Storage.MEMORY
            keeping = Keeping(
                carries=key[1] not in self._fresh,
                moves_by=self._built.steps if is_memory else None,
                rule=self._rule(variable),
            )
            for found in find_dependences(reach, accesses, keeping):
                start, end = found.write.node, found.read.node
                if start == end:
                    continue
                if is_memory:
                    graph.order(start, end, found.distance)
                else:
                    graph.join(start, end, found.distance)

    def _rule(self, variable: IrVariable) -> int | None:
        """Return what the DEPENDENCE pragmas of this loop say of a variable."""
        first, last = self._around.module.debug.loop_range(self._built.loop.latch)
        own = [
            item
            for item in pragmas_of(self._around.pragmas, "dependence")
            if item.variable == variable.name
            and item.path == first.path
            and first.line <= item.line <= last.line
        ]
        return read_rule(own)

    def _fifo(self, rank: int, item: Instruction) -> None:
        place = self._around.module.debug.place(item.location)
        graph = self._built.graph
        node = graph.add(self._timing.fifo(item.detail, place))
        writes = "write" in item.detail
        if not writes:
            # The word stands at the FIFO's output before anyone asks for it; the
            # condition decides only whether it counts.
            gate = graph.add(Operator(OperatorKind.WIRE, 0, 0.0, 0, 0.0, place, 0))
            graph.join(node, gate)
            node = gate
        self._built.nodes[item.name] = node
        self._guard(item, node)
        if not item.detail.endswith(("_empty", "_full")):
            self._note(rank, item, node, _Piece(item.ops[0], 0, writes))
        if len(item.ops) > 1:
            self._note(rank, item, node, _Piece(item.ops[1], 0, not writes))

    def _move(self, rank: int, item: Instruction, piece: _Piece) -> int:
        """Add a read or a write of some bytes."""
        address = self._addresses.of(piece.pointer)
        variable = self._variable(address)
        target = Target(
            variable.storage,
            variable.in_luts,
            self._positions(variable, address, piece.size),
            piece.writes,
            any(name in self._inside for name, _ in address.terms),
            bool(self._built.loop.guards(item.block)),
        )
        place = self._around.module.debug.place(item.location)
        graph, nodes = self._built.graph, self._built.nodes
        node = graph.add(self._timing.access(target, place, 8 * piece.size))
        values = item.ops if item.op != "call" else (piece.pointer,)
        starts = {nodes.get(v) for v in (*values, *(name for name, _ in address.terms))}
        for start in sorted(starts - {None, node}, key=lambda n: n or 0):
            if start is not None:
                graph.join(start, node)
        if not piece.writes or item.op == "call":
            nodes[item.name] = node
        if piece.writes or variable.storage is Storage.BUS:
            self._guard(item, node)
        self._note(rank, item, node, piece)
        return node

    def _variable(self, address: Address) -> IrVariable:
        return self._around.variables.find(self._built.loop.function, address.base)

    def _positions(self, variable: IrVariable, address: Address, size: int) -> int:
        """Return at how many places of a variable an access may go."""
        whole = self._around.layout.size(variable.type)
        step = math.gcd(*(factor for _, factor in address.terms)) or max(1, size)
        low, high = self._span(address)
        return max(1, min(whole // max(step, size, 1), (high - low) // step + 1))

    def _guard(self, item: Instruction, node: int) -> None:
        for block in sorted(self._built.loop.guards(item.block)):
            self._join_condition(block, node)

    def _note(self, rank: int, item: Instruction, node: int, piece: _Piece) -> None:
        address = self._addresses.of(piece.pointer)
        variable = self._variable(address)
        self._built.variables[variable.key] = variable
        self._built.accesses.setdefault(variable.key, []).append(
            Access(
                node,
                item.block,
                rank,
                address,
                self._span(address),
                math.gcd(*(factor for _, factor in address.terms)),
                piece.size,
                piece.writes,
            )
        )

    def _span(self, address: Address) -> tuple[int, int]:
        """Return the least and the largest byte that an access may begin at."""
        low = high = address.offset
        for name, factor in address.terms:
            kind = self._types.get(name, "i64")
            held = self._built.widths.range(name, kind)
            if held.plain < type_bits(kind):
                least, most = 0, (1 << held.plain) - 1
            else:
                most = 1 << held.signed - 1
                least = -most
            ends = (factor * least, factor * most)
            low, high = low + min(ends), high + max(ends)
        return low, high
