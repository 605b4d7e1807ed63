"""What may change about a layer or a block: the closed set of kinds, and schemes.

A search offers changes as options (`hao.options`) and a design records those that were
chosen. A kind that is added here is named by the type checker wherever kinds are told
apart; the integer program sees none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from hao.errors import InputError
from hao.ir.tensor import MAX_BITS, MIN_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """The layer's weights have so many bits, from 2 to 8.

    Raises:
        InputError: Bits outside that range.
    """

    weight_bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.weight_bits <= MAX_BITS:
            raise InputError(
                f"weight_bits = {self.weight_bits}; "
                f"must be from {MIN_BITS} to {MAX_BITS}"
            )


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


def left_out(scheme: Scheme) -> tuple[str, ...]:
    """Return the names of the blocks that a scheme leaves out."""
    return tuple(n for n, change in scheme.items() if isinstance(change, LeaveOut))


def scheme_of(weight_bits: Mapping[str, int]) -> dict[str, Change]:
    """Return the scheme that gives every named layer its weight bits.

    Raises:
        InputError: Bits outside 2 to 8.
    """
    return {name: Bits(weight_bits=bits) for name, bits in weight_bits.items()}
