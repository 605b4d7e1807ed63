"""Shapes of feature maps and integer types of tensors."""

from dataclasses import dataclass
from enum import Enum

from hao.errors import InputError

MIN_BITS = 2
MAX_BITS = 8

MAX_TYPE_BITS = 40
"""Widest type: of a bias behind a multiplier (`hao.ir.integer.WIDE_BIAS_BITS`)."""

MAX_SIDE = 4096
"""Largest height and width of a frame (chosen here)."""

ImageSize = int | tuple[int, int]
"""Size of a frame [pixels]: of a square one, or height and width."""


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return height and width of a frame [pixels].

    Raises:
        InputError: One is below 1 or above `MAX_SIDE`.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
        raise InputError(
            f"`image_size` = {size}; height and width must be from 1 to {MAX_SIDE}"
        )
    return height, width


class Rounding(Enum):
    """How a quantizer rounds to an integer.

    `HALF_UP` is floor(x + 1/2), what a shift with a rounding constant computes;
    `HALF_AWAY` rounds a half away from zero, which is what QONNX calls "HALF_UP".
    They differ for negative halves only. `HALF_ODD` is what ONNX's QuantizeLinear does
    with an odd zero point: it rounds halves to even, and then adds.
    """

    HALF_EVEN = "ROUND"
    HALF_ODD = "HALF_ODD"
    HALF_UP = "HALF_UP"
    HALF_AWAY = "HALF_AWAY"
    CEIL = "CEIL"
    FLOOR = "FLOOR"
    TO_ZERO = "ROUND_TO_ZERO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Feature map of one frame: (channels, height, width), each at least 1."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width) < 1:
            raise InputError(f"shape {self}: every size must be at least 1")

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"

    @property
    def pixels(self) -> int:
        """Return height times width."""
        return self.height * self.width

    @property
    def elements(self) -> int:
        """Return channels times height times width."""
        return self.channels * self.pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class QType:
    """Integer type of a tensor.

    One signed bit is bipolar: the integers are -1 and 1, nothing between.

    Attributes:
        bits: Width, at least 1 (a file may carry 1; the engine runs 2 to 8).
        signed: Two's complement if true.
        narrow: The most negative (unsigned: the largest) code is not used.
        rounding: How real values become integers.
        most: Largest magnitude in use, where that is less than the type's.
    """

    bits: int
    signed: bool
    narrow: bool = False
    rounding: Rounding = Rounding.HALF_EVEN
    most: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_TYPE_BITS:
            raise InputError(f"{self.bits} bits; must be from 1 to {MAX_TYPE_BITS}")

    @property
    def bipolar(self) -> bool:
        """Return whether the type holds -1 and 1 only."""
        return self.signed and self.bits == 1

    @property
    def lowest(self) -> int:
        """Return the smallest integer of the type."""
        if not self.signed:
            return 0
        if self.bipolar:
            return -1
        lowest = -int(2 ** (self.bits - 1)) + int(self.narrow)
        return lowest if self.most is None else max(lowest, -self.most)

    @property
    def highest(self) -> int:
        """Return the largest integer of the type."""
        if self.bipolar:
            return 1
        if self.signed:
            highest = int(2 ** (self.bits - 1)) - 1
            return highest if self.most is None else min(highest, self.most)
        return int(2**self.bits) - 1 - int(self.narrow)
