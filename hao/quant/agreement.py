"""How two forms of a network compare, integer by integer."""

from collections.abc import Mapping
from dataclasses import dataclass

COMPARED_BATCH = 128
"""Frames compared at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a Brevitas model and an integer network compare, integer by integer.

    Attributes:
        frames: How many were compared.
        compared: Integers compared, by layer.
        differing: Integers that differ, by layer.
    """

    frames: int
    compared: Mapping[str, int]
    differing: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return all integers compared."""
        return sum(self.compared.values())

    @property
    def differences(self) -> int:
        """Return all integers that differ."""
        return sum(self.differing.values())
