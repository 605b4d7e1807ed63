"""How a picture becomes a frame: its colours, its size, and what is cut off.

The same rule serves image files, arrays of bytes and the emitted driver, so that what
a network is calibrated with is what the board sees. Pillow resizes; its filters look at
all pixels that a smaller picture merges.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hao.errors import InputError
from hao.ir.picture import BYTE_MAX, Fit
from hao.ir.tensor import Shape

_GREY, _COLOUR = 1, 3
_MIXED = "in colour: mixed to grey"
_REPEATED = "grey: repeated for three channels"

_LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey; source: ITU-R BT.601, as Pillow has it."""

WORD_MAX = 65535
WIDE_NOTE = f"of 16 bits: brought to 8, {WORD_MAX} to {BYTE_MAX}"

_PLAIN = ("1", "L", "RGB", "P", "YCbCr")
_CLEAR = ("LA", "RGBA", "PA")
_WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_WHITE = (255, 255, 255, 255)


def mode_note(image: Image.Image, channels: int) -> str:
    """Return what becomes of an image's colours, in words; "" where nothing is lost.

    Only the header is looked at.

    Raises:
        InputError: Its pixels are of a kind that is not handled.
    """
    mode = image.mode
    if mode in _CLEAR or "transparency" in image.info:
        return "transparent: laid over white"
    if mode == "CMYK":
        return "CMYK: converted without a colour profile"
    if mode in _WIDE:
        return WIDE_NOTE
    if mode not in _PLAIN:
        raise InputError(
            f"pixels of mode {mode!r}; must be grey, colour, palette, CMYK or 16-bit "
            "grey"
        )
    if channels == _GREY and mode not in ("1", "L"):
        return _MIXED
    if channels == _COLOUR and mode in ("1", "L"):
        return _REPEATED
    return ""


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Return an image as grey (1 channel) or colour (3).

    Raises:
        InputError: Its pixels are of a kind that is not handled.
    """
    mode_note(image, channels)
    if image.mode in _WIDE:
        words = np.asarray(image).astype(np.int64).clip(0, WORD_MAX)
        clear = words == image.info.get("transparency", -1)
        grey = np.where(clear, BYTE_MAX, (2 * words + 257) // 514)
        image = Image.fromarray(grey.astype(np.uint8))
    elif image.mode in _CLEAR or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, _WHITE)
        image = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("L" if channels == _GREY else "RGB")


def fitted(image: Image.Image, frame: Shape, fit: Fit) -> Image.Image:
    """Return an image at the size of a frame, its mode unchanged."""
    size = fit.resized(*image.size, frame)
    if size != image.size:
        image = image.resize(size, Image.Resampling[fit.interpolation.name])
    left, top = (size[0] - frame.width) // 2, (size[1] - frame.height) // 2
    if size == (frame.width, frame.height):
        return image
    return image.crop((left, top, left + frame.width, top + frame.height))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ByteFrames:
    """Frames kept as bytes, given out as float32 from 0 to 1.

    Attributes:
        pixels: uint8 of shape (frames, channels or 1, height, width).
        channels: Of a frame; grey pixels are repeated for three.
    """

    pixels: NDArray[np.uint8]
    channels: int

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (frames, channels, height, width)."""
        count, _, height, width = self.pixels.shape
        return count, self.channels, height, width

    def __getitem__(self, chosen: slice | NDArray[np.integer]) -> NDArray[np.float32]:
        """Return frames as float32 from 0 to 1."""
        values = self.pixels[chosen].astype(np.float32) / np.float32(BYTE_MAX)
        return np.repeat(values, self.channels // self.pixels.shape[1], axis=1)

    def subset(self, chosen: NDArray[np.integer]) -> "ByteFrames":
        """Return some of the frames, in the order of their indices."""
        return ByteFrames(pixels=self.pixels[chosen], channels=self.channels)

    def fingerprint(self) -> bytes:
        """Return a digest of the frames."""
        digest = hashlib.sha256(repr(self.shape).encode())
        digest.update(self.pixels.tobytes())
        return digest.digest()


def channels_note(pixels: NDArray[np.uint8], channels: int) -> str:
    """Return what `byte_frames` makes of the channels of pictures, empty for nothing.

    Args:
        pixels: As `byte_frames` takes them.
        channels: Of a frame, 1 or 3.
    """
    have = _planes(pixels[:1]).shape[1]
    if (have, channels) == (_COLOUR, _GREY):
        return _MIXED
    if (have, channels) == (_GREY, _COLOUR):
        return _REPEATED
    return ""


def byte_frames(pixels: NDArray[np.uint8], frame: Shape, fit: Fit) -> ByteFrames:
    """Return pictures as frames of a shape.

    Args:
        pixels: Shape (frames, height, width), (frames, channels, height, width) or,
            with 1 or 3 channels, (frames, height, width, channels).
        frame: What a network reads.
        fit: How they are brought to its size.

    Raises:
        InputError: The shape is another, or the channels do not become the frame's.
    """
    planes = _planes(pixels)
    have = planes.shape[1]
    if have == _COLOUR and frame.channels == _GREY:
        mixed = np.tensordot(planes, np.array(_LUMA), axes=([1], [0]))
        planes = np.rint(mixed).astype(np.uint8)[:, None]
    elif have != frame.channels and (have, frame.channels) != (_GREY, _COLOUR):
        raise InputError(
            f"frames of {have} channels (shape {pixels.shape}); the network reads "
            f"{frame.channels}: give as many, or 1 or 3 where it reads the other"
        )
    if planes.shape[2:] != (frame.height, frame.width):
        planes = _resized(planes, frame, fit)
    planes = np.ascontiguousarray(planes)
    planes.setflags(write=False)
    return ByteFrames(pixels=planes, channels=frame.channels)


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures as (frames, channels, height, width)."""
    if pixels.ndim == 3:
        return pixels[:, None]
    if pixels.ndim != 4 or 0 in pixels.shape[1:]:
        raise InputError(
            f"frames of shape {pixels.shape}; must be (frames, height, width) or "
            "(frames, channels, height, width), none of them 0"
        )
    small = (_GREY, _COLOUR)
    if pixels.shape[1] not in small and pixels.shape[3] in small:
        return pixels.transpose(0, 3, 1, 2)
    return pixels


def _resized(planes: NDArray[np.uint8], frame: Shape, fit: Fit) -> NDArray[np.uint8]:
    size = (*planes.shape[:2], frame.height, frame.width)
    made = np.empty(size, dtype=np.uint8)
    for picture, place in zip(planes, made, strict=True):
        for plane, target in zip(picture, place, strict=True):
            target[:] = np.asarray(fitted(Image.fromarray(plane), frame, fit))
    return made
