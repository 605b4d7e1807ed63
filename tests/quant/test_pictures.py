"""From a picture to a frame: sizes by hand, colours, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from hao.errors import InputError
from hao.ir.picture import Fit, Interpolation
from hao.ir.tensor import Shape
from hao.quant.pictures import byte_frames, fitted


def frame(channels: int, height: int, width: int) -> Shape:
    return Shape(channels=channels, height=height, width=width)


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        (Fit(), (640, 480), (224, 224)),
        # 480 -> 256 is a factor of 8/15: 640 becomes 341.33.
        (Fit(short_side=256), (640, 480), (341, 256)),
        (Fit(short_side=256), (480, 640), (256, 341)),
        (Fit(short_side=256), (1, 1000), (256, 256_000)),
        (Fit(short_side=3), (5, 2), (8, 3)),  # 7.5: halves up
    ],
)
def test_sizes_by_hand(
    fit: Fit, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit.resized(*size, frame(3, 224, 224)) == expected


def ramp(height: int, width: int) -> Image.Image:
    values = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    return Image.fromarray(values)


def test_the_middle_is_cut_out() -> None:
    made = np.asarray(fitted(ramp(4, 8), frame(1, 2, 2), Fit(short_side=4)))
    np.testing.assert_array_equal(made, [[11, 12], [19, 20]])


def test_black_stands_around_a_smaller_picture() -> None:
    made = np.asarray(fitted(ramp(2, 2), frame(1, 4, 4), Fit(short_side=2)))
    expected = np.zeros((4, 4))
    expected[1:3, 1:3] = [[0, 1], [2, 3]]
    np.testing.assert_array_equal(made, expected)


def test_interpolations_differ() -> None:
    small = ramp(4, 4)
    one, other = (
        np.asarray(fitted(small, frame(1, 9, 9), Fit(interpolation=way)))
        for way in Interpolation
    )
    assert not np.array_equal(one, other)


def test_a_fit_is_told_in_words() -> None:
    assert str(Fit()) == "stretched to the frame, bilinear"
    told = Fit(short_side=256, interpolation=Interpolation.BICUBIC)
    assert str(told) == "short side resized to 256, middle cut out, bicubic"


@pytest.mark.parametrize("side", [0, -1, 8193])
def test_sides_beyond_reason_are_refused(side: int) -> None:
    with pytest.raises(InputError, match=f"^`short_side` = {side}; must be from"):
        Fit(short_side=side)


def test_bytes_are_resized_as_an_image_is() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 9, 7), dtype=np.uint8)
    fit = Fit(short_side=6, interpolation=Interpolation.BICUBIC)
    found = byte_frames(values, frame(1, 5, 5), fit)
    for pixels, made in zip(values, found[:], strict=True):
        expected = np.asarray(fitted(Image.fromarray(pixels), frame(1, 5, 5), fit))
        np.testing.assert_array_equal(np.rint(made[0] * 255), expected)


def test_grey_is_repeated_and_colour_is_mixed() -> None:
    grey = np.full((1, 2, 2), 51, dtype=np.uint8)
    repeated = byte_frames(grey, frame(3, 2, 2), Fit())
    assert repeated.shape == (1, 3, 2, 2)
    assert repeated.pixels.shape == (1, 1, 2, 2)
    np.testing.assert_array_equal(repeated[:], np.full((1, 3, 2, 2), np.float32(0.2)))
    colour = np.array([100, 50, 200], dtype=np.uint8).reshape(1, 3, 1, 1)
    mixed = byte_frames(colour, frame(1, 1, 1), Fit())
    # 29.9 + 29.35 + 22.8 = 82.05
    assert mixed.pixels.tolist() == [[[[82]]]]


def test_digests_tell_frames_apart() -> None:
    one = byte_frames(np.zeros((2, 2, 2), dtype=np.uint8), frame(1, 2, 2), Fit())
    other = byte_frames(np.ones((2, 2, 2), dtype=np.uint8), frame(1, 2, 2), Fit())
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == one.subset(np.array([1, 0])).fingerprint()


@pytest.mark.parametrize("size", [(2, 3), (2, 0, 4, 4), (1, 1, 1, 1, 1)])
def test_shapes_that_are_no_pictures_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"must be \(frames, height, width\) or"):
        byte_frames(np.zeros(size, dtype=np.uint8), frame(1, 4, 4), Fit())


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"of 2 channels \(shape .*\); the net.* 3"):
        byte_frames(np.zeros((1, 2, 4, 4), dtype=np.uint8), frame(3, 4, 4), Fit())
