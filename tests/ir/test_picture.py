"""Preparation of pictures: what words say, and what is refused."""

import pytest

from hao.errors import ArgumentError, InputError
from hao.ir.picture import Fit, Interpolation, Preparation, normalisation


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((None, None, None), ((0.0,), (1.0,))),
        (("imagenet", None, None), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        (("tf", None, None), ((0.5,), (0.5,))),
        ((None, "0.1,0.2,0.3", "1"), ((0.1, 0.2, 0.3), (1.0,))),
        # Beyond 1 they are of pixels: 51 / 255 = 0.2.
        ((None, "51", "255"), ((0.2,), (1.0,))),
        ((None, "0", "51,102"), ((0.0,), (0.2, 0.4))),
    ],
)
def test_words_say_mean_and_std(
    words: tuple[str | None, ...], expected: tuple[tuple[float, ...], ...]
) -> None:
    assert normalisation(*words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("caffe", None, None), "preset 'caffe'; must be one of imagenet, tf, 0..1"),
        (("tf", "1", "1"), "preset 'tf' beside `mean` or `std`; must be one way"),
        ((None, "1", None), "`mean` and `std`; must be given both"),
        ((None, "a", "1"), "`mean` = 'a'; must be numbers with commas between them"),
        ((None, "1", ""), "`std` = ''; must be numbers with commas between them"),
    ],
)
def test_other_words_are_refused(words: tuple[str | None, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        normalisation(*words)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"`std` = 0\.0; must be above 0"):
        Preparation(std=(1.0, 0.0))
    with pytest.raises(InputError, match="must be finite numbers"):
        Preparation(mean=(float("nan"),))
    with pytest.raises(InputError, match="mean of 3 numbers; the network reads 1 chan"):
        Preparation(mean=(0.1, 0.2, 0.3)).check_channels(1)


def test_words_stand_for_interpolations_and_other_types_are_refused() -> None:
    assert Fit(interpolation="bicubic").interpolation is Interpolation.BICUBIC  # type: ignore[arg-type]
    for made, given, message in (
        (Fit, {"interpolation": "cubic"}, "one of 'bilinear', 'bicubic'"),
        (Fit, {"short_side": "big"}, "an integer"),
        (Preparation, {"fit": "stretched"}, "a Fit"),
        (Preparation, {"mean": 0.5}, "a tuple"),
        (Preparation, {"std": (1.0, "a")}, "a number"),
    ):
        with pytest.raises(ArgumentError, match=f"; must be {message}$"):
            made(**given)


def test_a_preparation_is_told_in_words() -> None:
    assert str(Preparation()) == "stretched to the frame, bilinear; values from 0 to 1"
    told = str(Preparation(mean=(0.5,), std=(0.25, 0.5)))
    assert told == "stretched to the frame, bilinear; (value - [0.5]) / [0.25, 0.5]"
