"""What may change about a layer or a block: the closed set of kinds, and schemes.

A search offers changes as options (`hao.options`) and a design records those that were
chosen. A kind that is added here is named by the type checker wherever kinds are told
apart; the integer program sees none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from hao.errors import InputError
from hao.ir.passes import DIGIT_BITS, MOST_PASSES, lane_bits
from hao.ir.sparsity import FULL, check_density
from hao.ir.tensor import MAX_BITS, MIN_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """The layer's weights have so many bits, run in one or two passes, or are pruned.

    Attributes:
        weight_bits: From 2 to 8; in two passes from 5.
        passes: Over the lanes; in two, these need no more than 4 bits.
        density: Share of the words of weights that are kept (`hao.ir.sparsity`) [%].

    Raises:
        InputError: Bits, passes or density outside these ranges.
    """

    weight_bits: int
    passes: int = 1
    density: int = FULL

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.weight_bits <= MAX_BITS:
            raise InputError(
                f"weight_bits = {self.weight_bits}; "
                f"must be from {MIN_BITS} to {MAX_BITS}"
            )
        if not 1 <= self.passes <= MOST_PASSES:
            raise InputError(f"passes = {self.passes}; must be 1 or {MOST_PASSES}")
        if self.passes > 1 and self.weight_bits <= DIGIT_BITS:
            raise InputError(
                f"weight_bits = {self.weight_bits} in {self.passes} passes; must be "
                f"from {DIGIT_BITS + 1} to {MAX_BITS}: fewer run in one"
            )
        check_density(self.density, f"weights of {self.weight_bits} bits")

    @property
    def lane_bits(self) -> int:
        """Return the width of the lanes that the layer needs."""
        return lane_bits(self.weight_bits, self.passes)


@dataclass(frozen=True, slots=True)
class Keep:
    """The block stays."""


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """The residual block is left out: what it would have read passes on."""


Change = Bits | Keep | LeaveOut

Scheme = Mapping[str, Change]
"""The chosen change of every layer with weights, and of every block that is left out.

A block goes by the name of the layer that makes its result.
"""


def bits_of(scheme: Scheme) -> dict[str, int]:
    """Return the weight bits by layer that a scheme sets; blocks have none."""
    found: dict[str, int] = {}
    for name, change in scheme.items():
        match change:
            case Bits():
                found[name] = change.weight_bits
            case Keep() | LeaveOut():
                continue
            case _:
                assert_never(change)
    return found


def passes_of(scheme: Scheme) -> dict[str, int]:
    """Return the passes of the layers that run in more than one."""
    return {
        name: change.passes
        for name, change in scheme.items()
        if isinstance(change, Bits) and change.passes > 1
    }


def densities_of(scheme: Scheme) -> dict[str, int]:
    """Return the densities of the layers that do not keep all their words [%]."""
    return {
        name: change.density
        for name, change in scheme.items()
        if isinstance(change, Bits) and change.density < FULL
    }


def left_out(scheme: Scheme) -> tuple[str, ...]:
    """Return the names of the blocks that a scheme leaves out."""
    return tuple(n for n, change in scheme.items() if isinstance(change, LeaveOut))


def scheme_of(weight_bits: Mapping[str, int]) -> dict[str, Change]:
    """Return the scheme that gives every named layer its weight bits.

    Raises:
        InputError: Bits outside 2 to 8.
    """
    return {name: Bits(weight_bits=bits) for name, bits in weight_bits.items()}
