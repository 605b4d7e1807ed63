"""One hardware block to be measured: its Verilog and the vectors that prove it.

A block is a module `top` with the ports `clk`, `in` and `out`. The test applies one
input a cycle and compares the masked output of the same cycle (what the registers hold
before the next edge) with what a Python model on integers expects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Input, expected output and mask of compared bits for every cycle."""

    inputs: Sequence[int]
    expected: Sequence[int]
    masks: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block with its parameters.

    Attributes:
        kind: What it is, a row key of data/block_cost.csv.
        params: Its sizes, the rest of the key.
        source: Verilog of the module `top` and what it instantiates.
        in_bits: Width of the port `in`.
        out_bits: Width of the port `out`.
        vectors: Test of the block, or `None` if `bench` tests it.
        bench: Verilog of a self-checking module `bench` that prints "PASS".
    """

    kind: str
    params: Mapping[str, int]
    source: str
    in_bits: int
    out_bits: int
    vectors: Vectors | None = None
    bench: str | None = None

    @property
    def name(self) -> str:
        """Return a file name for the block."""
        return "_".join([self.kind, *(f"{k}{v}" for k, v in self.params.items())])


def pack(values: Sequence[int], bits: int) -> int:
    """Return the values side by side as one number, the first in the lowest bits."""
    word = 0
    for index, value in enumerate(values):
        word |= (value & ((1 << bits) - 1)) << (index * bits)
    return word


def pipelined(
    inputs: Sequence[int], outputs: Sequence[int], *, latency: int, out_bits: int
) -> Vectors:
    """Return vectors of a block that answers each input `latency` cycles later."""
    full = (1 << out_bits) - 1
    expected = [0] * latency + [value & full for value in outputs]
    masks = [0] * latency + [full] * len(outputs)
    return Vectors(
        inputs=inputs, expected=expected[: len(inputs)], masks=masks[: len(inputs)]
    )
