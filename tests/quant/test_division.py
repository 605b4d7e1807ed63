"""Divisions by class: every frame in one part, small classes, mixed orders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.errors import InputError
from hao.quant.division import divided, mixed_order

LABELS = st.lists(st.integers(0, 5), min_size=3, max_size=40)


@given(LABELS, st.floats(0.1, 0.5))
def test_every_frame_is_in_one_part(labels: list[int], share: float) -> None:
    array = np.array(labels, dtype=np.int64)
    kept, taken = divided(array, share)
    assert sorted([*kept, *taken]) == list(range(len(labels)))
    for label, count in enumerate(np.bincount(array)):
        given_away = np.count_nonzero(array[taken] == label)
        if count > 1:
            assert given_away == max(1, round(count * share))


def test_classes_of_one_frame_are_divided_as_one() -> None:
    # A thousand classes of a frame each, as one picture of every class gives.
    kept, taken = divided(np.arange(1000), 0.3)
    assert (len(kept), len(taken)) == (700, 300)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(InputError, match="too few frames to divide into train"):
        divided(np.arange(1), 0.1)


@given(LABELS)
def test_a_mixed_order_has_every_frame_once(labels: list[int]) -> None:
    order = mixed_order(np.array(labels, dtype=np.int64))
    assert sorted(order) == list(range(len(labels)))


def test_the_largest_labels_are_divided_like_others() -> None:
    kept, taken = divided(np.array([10**15, 0, 0, 0, 10**18, 10**15]), 0.34)
    assert sorted([*kept, *taken]) == list(range(6))
