"""How a picture becomes the values that a network reads, in words and numbers.

A picture is resized, the middle is cut out, its bytes become 0 to 1, and every channel
is normalised: (value - mean) / std. A run records it; training, evaluation, the test
bench and the emitted driver all do the same.
"""

from dataclasses import dataclass
from enum import Enum
from math import isfinite
from types import MappingProxyType

from hao.arguments import take_fields
from hao.errors import InputError
from hao.ir.tensor import Shape

BYTE_MAX = 255

_MOST_SIDE = 8192
"""Longest short side that pictures are resized to [pixels]; chosen here."""


class Interpolation(Enum):
    """How pixels between pixels are found."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a picture is brought to the size of a frame.

    Attributes:
        short_side: What its shorter side is resized to [pixels]; the middle is then
            cut out, with black around it where it is smaller than the frame. `None`
            stretches the picture to the frame.
        interpolation: Of the resizing.

    Words stand for the members of enumerations, such as "bicubic".

    Raises:
        ArgumentError: A field is of a type that it cannot take.
        InputError: The side is below 1 or beyond reason.
    """

    short_side: int | None = None
    interpolation: Interpolation = Interpolation.BILINEAR

    def __post_init__(self) -> None:
        take_fields(self)
        if self.short_side is not None and not 1 <= self.short_side <= _MOST_SIDE:
            raise InputError(
                f"`short_side` = {self.short_side}; must be from 1 to {_MOST_SIDE} "
                "pixels, to which pictures are resized"
            )

    def __str__(self) -> str:
        if self.short_side is None:
            return f"stretched to the frame, {self.interpolation.value}"
        return (
            f"short side resized to {self.short_side}, middle cut out, "
            f"{self.interpolation.value}"
        )

    def resized(self, width: int, height: int, frame: Shape) -> tuple[int, int]:
        """Return the size that a picture is resized to [pixels]: width, height."""
        if self.short_side is None:
            return frame.width, frame.height
        short = min(width, height)
        # Halves up, in integers, as the emitted driver does it.
        new_width, new_height = (
            max(1, (2 * side * self.short_side + short) // (2 * short))
            for side in (width, height)
        )
        return new_width, new_height


STRETCHED = Fit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How a picture becomes what a network reads.

    Attributes:
        fit: Size.
        mean: Taken off every channel, of values from 0 to 1; one, or one a channel.
        std: What then divides it, likewise.

    Raises:
        ArgumentError: A field is of a type that it cannot take.
        InputError: A number is not finite, or one of `std` is not positive.
    """

    fit: Fit = STRETCHED
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        take_fields(self)
        numbers = (*self.mean, *self.std)
        if not (self.mean and self.std) or not all(map(isfinite, numbers)):
            raise InputError(
                f"`mean` = {self.mean}, `std` = {self.std}; must be finite numbers"
            )
        if min(self.std) <= 0:
            raise InputError(f"`std` = {min(self.std)}; must be above 0")

    def __str__(self) -> str:
        if not self.normalises:
            return f"{self.fit}; values from 0 to 1"
        mean, std = (
            ", ".join(f"{number:.4g}" for number in numbers)
            for numbers in (self.mean, self.std)
        )
        return f"{self.fit}; (value - [{mean}]) / [{std}]"

    @property
    def normalises(self) -> bool:
        """Return whether values are other than from 0 to 1."""
        return set(self.mean) != {0.0} or set(self.std) != {1.0}

    def check_channels(self, channels: int) -> None:
        """Check that there is a mean and a std for every channel.

        Raises:
            InputError: There are fewer or more.
        """
        for word, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise InputError(
                    f"{word} of {len(numbers)} numbers; the network reads {channels} "
                    f"channels, so must be 1 or {channels}"
                )


UNPREPARED = Preparation()

PRESETS = MappingProxyType(
    {
        # torchvision's and timm's, of ImageNet's training images.
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        # Keras' mode "tf" and TF-slim: pixel / 127.5 - 1.
        "tf": ((0.5,), (0.5,)),
        "0..1": ((0.0,), (1.0,)),
        "0..255": ((0.0,), (1 / BYTE_MAX,)),
    }
)
"""Mean and std by name; sources: torchvision's `ImageClassification` transform, Keras'
`imagenet_utils.preprocess_input`."""


def normalisation(
    preset: str | None, mean: str | None, std: str | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std, of values from 0 to 1, as words on a command line say.

    Args:
        preset: A name of `PRESETS`, or `None`.
        mean: Numbers with commas between them; in pixels, from 0 to 255, if one of all
            numbers is above 1.
        std: Likewise; both or none.

    Raises:
        InputError: A word is no number, the name is unknown, or one is missing.
    """
    if mean is None and std is None:
        if preset is None:
            return PRESETS["0..1"]
        if preset not in PRESETS:
            raise InputError(f"preset {preset!r}; must be one of {', '.join(PRESETS)}")
        return PRESETS[preset]
    if preset is not None:
        raise InputError(f"preset {preset!r} beside `mean` or `std`; must be one way")
    if mean is None or std is None:
        raise InputError("`mean` and `std`; must be given both")
    means, stds = _numbers("`mean`", mean), _numbers("`std`", std)
    if max(*means, *stds) > 1:
        means = tuple(number / BYTE_MAX for number in means)
        stds = tuple(number / BYTE_MAX for number in stds)
    return means, stds


def _numbers(option: str, words: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words.split(","))
    except ValueError as error:
        raise InputError(
            f"{option} = {words!r}; must be numbers with commas between them"
        ) from error
