"""The class that outputs name."""

import numpy as np

from hao.ir.classes import classes_of


def test_the_largest_output_names_the_class() -> None:
    outputs = np.array([[3, 9, 2], [5, 4, 5]]).reshape(2, 3, 1, 1)
    assert classes_of(outputs).tolist() == [1, 0]


def test_one_output_tells_two_classes_apart_by_its_sign() -> None:
    assert classes_of(np.array([[-0.1], [0.0], [0.2]])).tolist() == [0, 0, 1]
    assert classes_of(np.array([[132], [133], [134]]), zero=133).tolist() == [0, 0, 1]
