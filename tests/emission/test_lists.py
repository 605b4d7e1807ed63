"""Which words of a pruned layer are kept, and the entries that say where they lie."""

from dataclasses import replace

import numpy as np
import pytest

from hao.emission.lists import fold_places, kept_folds
from hao.errors import InputError
from tests.cost.samples import conv, shape

LAYER = replace(conv(shape(8, 6, 6), 3), density=50)


def test_words_with_weights_are_kept_and_the_first_others() -> None:
    # Three channels in groups of two, four words of two inputs, one pass.
    cube = np.zeros((3, 1, 4, 2), dtype=np.int64)
    cube[1, 0, 3, 1] = -1
    cube[2, 0, 1, 0] = 5
    assert kept_folds(cube, LAYER, 2).tolist() == [[0, 3], [0, 1]]


def test_a_weight_in_any_pass_keeps_the_word_in_all() -> None:
    cube = np.zeros((1, 2, 4, 1), dtype=np.int64)
    cube[0, 0, 2] = cube[0, 1, 3] = 1
    assert kept_folds(cube, LAYER, 1).tolist() == [[2, 3]]


def test_more_words_with_weights_than_are_kept_are_refused() -> None:
    cube = np.ones((4, 1, 4, 2), dtype=np.int64)
    message = r"'conv': 4 of 4 words of 2 channels hold weights other than 0"
    with pytest.raises(InputError, match=message):
        kept_folds(cube, LAYER, 2)


def test_entries_have_group_column_and_row() -> None:
    # Two groups of channels a tap: word 11 is group 1 of tap 5, row 1 and column 2.
    places = fold_places(np.array([[0, 1, 11]]), 18, LAYER)
    assert places.tolist() == [[0, 1, 1 + (2 << 10) + (1 << 13)]]


def test_more_groups_than_an_entry_holds_are_refused() -> None:
    message = r"'conv': 1025 groups of input channels, kernel 3; a pruned"
    with pytest.raises(InputError, match=message):
        fold_places(np.array([0]), 9 * 1025, LAYER)
