"""Changes as words of records, and what of them matters to the hardware alone."""

import pytest

from hao.errors import InputError
from hao.ir.change import (
    Bits,
    Change,
    Channels,
    Keep,
    LeaveOut,
    Replace,
    bare,
    change_of,
    change_text,
)
from hao.ir.layer import Input
from hao.ir.tensor import Shape


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Bits(weight_bits=4), "bits_4"),
        (Bits(weight_bits=8, passes=2), "bits_8_in_2"),
        (Keep(), "keep"),
        (LeaveOut(), "leave_out"),
        (Channels((0, 1, 2, 5)), "channels_0-2,5"),
    ],
)
def test_a_change_comes_back_from_its_word(change: Change, text: str) -> None:
    assert change_text(change) == text
    assert change_of(text) == change


def test_bare_leaves_the_passes_out_alone() -> None:
    assert bare(Bits(weight_bits=8, passes=2)) == Bits(weight_bits=8)
    assert bare(Channels((1,))) == Channels((1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bits_", "change 'bits_'; must be keep, leave_out, or such as bits_4"),
        ("bits_9", "weight_bits = 9; must be from 2 to 8"),
        ("channels_x", "channels 'x'; must be ranges"),
    ],
)
def test_other_words_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        change_of(text)


def test_the_word_of_an_operation_has_its_name_and_bits() -> None:
    layer = Input(name="x", ofm=Shape(channels=1, height=1, width=1))
    change = Replace(operation="other", layers=(layer,), weight_bits=4)
    assert change_text(change) == "replace_other_at_4"
