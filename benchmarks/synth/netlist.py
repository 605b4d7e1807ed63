"""Counts of a flat yosys netlist for Xilinx devices, as a placed design would show.

A LUT6 has two outputs when both functions together have at most five inputs, so two
functions may share one. The two functions of a carry bit (S and DI) always do if they
can; other functions are paired greedily, fewest choices first, and only when they share
an input, as a packer driven by connectivity does. A carry input that comes straight
from a register costs a LUT as a route-through.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Bit = int | str

# LUTs that a distributed RAM cell occupies. Source: UG574, "Distributed RAM".
_RAM_LUTS = {
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X1D": 2,
    "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8, "RAM32X1S": 1, "RAM64X1S": 1,
    "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8, "RAM64X8SW": 8, "RAM32X16DR8": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a netlist holds.

    Attributes:
        functions: LUT functions.
        logic: LUTs they occupy once paired.
        route: LUTs that only feed a carry chain.
        srl: LUTs used as shift registers.
        lutram: LUTs used as memory.
        ff: Flip-flops.
        carry8: Carry blocks.
        dsp: DSP slices.
        bram_18k: Block RAM halves.
    """

    functions: int
    logic: int
    route: int
    srl: int
    lutram: int
    ff: int
    carry8: int
    dsp: int
    bram_18k: int

    @property
    def placed(self) -> int:
        """Return the LUTs that the block occupies."""
        return self.logic + self.route + self.srl + self.lutram


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One primitive: its type and its connections, port to bits."""

    kind: str
    ports: Mapping[str, Sequence[Bit]]


def _pairs(functions: Sequence[frozenset[Bit]], candidates: Sequence[int]) -> int:
    """Return how many disjoint pairs with five inputs at most a greedy packer finds."""
    users: dict[Bit, list[int]] = defaultdict(list)
    for index in candidates:
        for bit in functions[index]:
            users[bit].append(index)
    partners: dict[int, set[int]] = {}
    for index in candidates:
        near = {other for bit in functions[index] for other in users[bit][:200]}
        near.discard(index)
        partners[index] = {
            other for other in near if len(functions[index] | functions[other]) <= 5
        }
    for index in candidates:
        for other in partners[index]:
            partners[other].add(index)
    free = {index for index in candidates if partners[index]}
    found = 0
    for index in sorted(free, key=lambda i: (len(partners[i]), i)):
        if index not in free:
            continue
        choices = sorted(
            partners[index] & free, key=lambda i: (len(partners[i] & free), i)
        )
        free.discard(index)
        if choices:
            free.discard(choices[0])
            found += 1
    return found


def _carry_blocks(carries: Sequence[Cell]) -> int:
    """Return the CARRY8 of chains built from CARRY4."""
    driver = {
        bit: index for index, cell in enumerate(carries) for bit in cell.ports["CO"]
    }
    follower: dict[int, int] = {}
    heads = []
    for index, cell in enumerate(carries):
        source = cell.ports.get("CI", ["0"])[0]
        if source in driver:
            follower[driver[source]] = index
        else:
            heads.append(index)
    blocks = 0
    for head in heads:
        length, at = 1, head
        while at in follower:
            at, length = follower[at], length + 1
        blocks += -(-length // 2)
    return blocks


def count(cells: Sequence[Cell]) -> Counts:
    """Return the counts of a flat netlist."""
    luts = [c for c in cells if re.fullmatch(r"LUT[1-6]", c.kind)]
    functions = [
        frozenset(
            bits[0]
            for port, bits in cell.ports.items()
            if port.startswith("I") and isinstance(bits[0], int)
        )
        for cell in luts
    ]
    by_output = {cell.ports["O"][0]: index for index, cell in enumerate(luts)}
    carries = [c for c in cells if c.kind == "CARRY4"]
    paired: set[int] = set()
    on_carry: set[int] = set()
    route = carry_pairs = 0
    for cell in carries:
        for select, data in zip(cell.ports["S"], cell.ports["DI"], strict=True):
            first, second = by_output.get(select), by_output.get(data)
            if first is None:
                route += isinstance(select, int)
                continue
            on_carry.add(first)
            if second is None or second == first or {first, second} & paired:
                continue
            if len(functions[first] | functions[second]) <= 5:
                paired |= {first, second}
                carry_pairs += 1
    rest = [
        i
        for i, inputs in enumerate(functions)
        if i not in paired and i not in on_carry and len(inputs) <= 5
    ]
    kinds = [cell.kind for cell in cells]
    return Counts(
        functions=len(luts),
        logic=len(luts) - carry_pairs - _pairs(functions, rest),
        route=route,
        srl=sum(kind.startswith("SRL") for kind in kinds),
        lutram=sum(_RAM_LUTS.get(kind, 0) for kind in kinds),
        ff=sum(bool(re.fullmatch(r"FD[RCSP]E", kind)) for kind in kinds),
        carry8=_carry_blocks(carries),
        dsp=sum(kind.startswith("DSP48") for kind in kinds),
        bram_18k=sum(
            (kind.startswith("RAMB18")) + 2 * kind.startswith("RAMB36")
            for kind in kinds
        ),
    )
