"""What may change about a network: the closed set of kinds, and schemes.

A search offers changes as options (`hao.options`) and a design records those that were
chosen. A kind that is added here is named by the type checker wherever kinds are told
apart; the integer program sees none of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from hao.errors import InputError
from hao.ir.layer import Compute, Layer
from hao.ir.passes import DIGIT_BITS, MOST_PASSES, lane_bits
from hao.ir.sparsity import FULL, check_density
from hao.ir.tensor import MAX_BITS, MIN_BITS

MOST_CHANNELS = 1 << 20
"""Channels of a map are below it, where a file names them (chosen here)."""


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


@dataclass(frozen=True, slots=True)
class Channels:
    """A group of channels (`hao.ir.channels`) keeps some of them.

    Attributes:
        kept: Channels that stay, ascending.

    Raises:
        InputError: None stays, or they are not ascending from 0.
    """

    kept: tuple[int, ...]

    def __post_init__(self) -> None:
        steps = zip((-1, *self.kept), self.kept, strict=False)
        if not self.kept or any(after <= before for before, after in steps):
            raise InputError(
                f"channels {self.kept[:8]}; must be ascending from 0, at least one"
            )

    @classmethod
    def of_text(cls, text: str) -> "Channels":
        """Return the channels that stay of ranges such as "0-3,5".

        Raises:
            InputError: The text is not of this form, or names no channels in order.
        """
        kept: list[int] = []
        for part in text.split(","):
            first, dash, last = part.partition("-")
            if not (first.isdecimal() and (last if dash else "0").isdecimal()):
                raise InputError(
                    f"channels {text[:40]!r}; must be ranges such as 0-3,5"
                )
            end = int(last if dash else first)
            if end >= MOST_CHANNELS:
                raise InputError(f"channel {end}; must be below {MOST_CHANNELS}")
            kept += range(int(first), end + 1)
        return cls(tuple(kept))

    def __str__(self) -> str:
        """Return the channels that stay as ranges, such as "0-3,5"."""
        text: list[str] = []
        start = 0
        for place, channel in enumerate(self.kept, start=1):
            if place < len(self.kept) and self.kept[place] == channel + 1:
                continue
            first = self.kept[start]
            text.append(f"{first}" if first == channel else f"{first}-{channel}")
            start = place
        return ",".join(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """The block's layers are replaced by others, between maps of the same shapes.

    Attributes:
        operation: What the layers are called together; unique for a block.
        layers: In topological order. They read the block's entry and each other, and
            bear names that the network does not have; the last one makes the result.
        weight_bits: Of all of them that have weights, from 2 to 8.

    Raises:
        InputError: No layers, or bits outside this range.
    """

    operation: str
    layers: tuple[Layer, ...]
    weight_bits: int

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError(
                f"operation {self.operation!r}: no layers; to leave a block out is a "
                "change of its own"
            )
        if not MIN_BITS <= self.weight_bits <= MAX_BITS:
            raise InputError(
                f"operation {self.operation!r}: weight_bits = {self.weight_bits}; "
                f"must be from {MIN_BITS} to {MAX_BITS}"
            )

    @property
    def bits(self) -> dict[str, Bits]:
        """Return the bits of every layer that has weights."""
        return {
            layer.name: Bits(weight_bits=self.weight_bits)
            for layer in self.layers
            if isinstance(layer, Compute)
        }


Change = Bits | Keep | LeaveOut | Channels | Replace

Scheme = Mapping[str, Change]
"""The chosen change of layers with weights, blocks left out or replaced, and channels.

The layers in a block's place have their bits in it. Groups of channels are in it where
they have a choice.

A block goes by the name that `hao.ir.blocks` gives it.
"""


def bits_of(scheme: Scheme) -> dict[str, int]:
    """Return the weight bits by layer that a scheme sets; other changes set none."""
    return {n: c.weight_bits for n, c in scheme.items() if isinstance(c, Bits)}


def layer_bits(change: Change) -> Bits:
    """Return a layer's change, which is one of bits."""
    match change:
        case Bits():
            return change
        case Keep() | LeaveOut() | Channels() | Replace():
            raise AssertionError("a block's or group's change is no layer's")
        case _:
            assert_never(change)


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


def kept_channels(scheme: Scheme) -> dict[str, tuple[int, ...]]:
    """Return the channels that stay, by group, of the groups that a scheme names."""
    return {
        n: change.kept for n, change in scheme.items() if isinstance(change, Channels)
    }


def replaced(scheme: Scheme) -> dict[str, Replace]:
    """Return the blocks that a scheme replaces, with what stands in their place."""
    return {n: change for n, change in scheme.items() if isinstance(change, Replace)}


def scheme_of(weight_bits: Mapping[str, int]) -> dict[str, Change]:
    """Return the scheme that gives every named layer its weight bits.

    Raises:
        InputError: Bits outside 2 to 8.
    """
    return {name: Bits(weight_bits=bits) for name, bits in weight_bits.items()}


def bare(change: Change) -> Change:
    """Return a change without what matters to the hardware alone: the passes.

    Changes that are equal then make the same network.
    """
    match change:
        case Bits():
            return replace(change, passes=1)
        case Keep() | LeaveOut() | Channels() | Replace():
            return change
        case _:
            assert_never(change)


def change_text(change: Change) -> str:
    """Return a change as the word that records have for it, such as "bits_4".

    That of an operation does not say which layers it has.
    """
    match change:
        case Bits():
            passes = "" if change.passes == 1 else f"_in_{change.passes}"
            kept = "" if change.density == FULL else f"_kept_{change.density}"
            return f"bits_{change.weight_bits}{passes}{kept}"
        case Keep():
            return "keep"
        case LeaveOut():
            return "leave_out"
        case Channels():
            return f"channels_{change}"
        case Replace():
            return f"replace_{change.operation}_at_{change.weight_bits}"
        case _:
            assert_never(change)


def change_of(text: str) -> Change:
    """Return the change that a word of `change_text` stands for.

    Raises:
        InputError: It is no such word.
    """
    match text:
        case "keep":
            return Keep()
        case "leave_out":
            return LeaveOut()
        case _ if text.startswith("channels_"):
            return Channels.of_text(text.removeprefix("channels_"))
    found = re.fullmatch(r"bits_([0-9])(?:_in_([0-9]))?(?:_kept_([0-9]{1,3}))?", text)
    if found is None:
        raise InputError(
            f"change {text[:40]!r}; must be keep, leave_out, or such as bits_4 or "
            "channels_0-3"
        )
    return Bits(
        weight_bits=int(found[1]),
        passes=int(found[2] or 1),
        density=int(found[3] or FULL),
    )
