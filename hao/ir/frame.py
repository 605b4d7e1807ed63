"""How a frame of real values becomes the codes that enter the engine.

The host does it: code = clamp(round(gain * value + offset)), per channel. What a
network only scales and shifts before its first quantizer (a normalisation inside the
file, a zero point) is part of it; nothing of it costs hardware.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.interpret import round_values
from hao.ir.tensor import Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCoding:
    """What the host does to a frame.

    Attributes:
        gain: Codes per unit of the values; one, or one per channel.
        offset: Added then; one, or one per channel.
        rounding: How the sum becomes an integer.

    Raises:
        InputError: A number is not finite, or there is none.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...] = (0.0,)
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        numbers = (*self.gain, *self.offset)
        if not self.gain or not self.offset or not all(map(isfinite, numbers)):
            raise InputError(
                f"frames coded by gain {self.gain[:3]} and offset {self.offset[:3]}; "
                "must be finite numbers, at least one"
            )

    def codes(
        self, frames: NDArray[np.floating], *, low: int, high: int
    ) -> NDArray[np.int64]:
        """Return the codes of frames, clamped to `low` and `high`.

        Args:
            frames: Shape (frames, channels, height, width).
            low: Smallest code.
            high: Largest code.
        """
        gain, offset = (
            np.array(numbers).reshape(1, -1, 1, 1)
            for numbers in (self.gain, self.offset)
        )
        values: NDArray[np.float64] = frames.astype(np.float64) * gain + offset
        inside = np.clip(values, low - 1.0, high + 1.0)
        return np.clip(round_values(inside, self.rounding), low, high).astype(np.int64)
