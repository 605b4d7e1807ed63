"""Frames of a run: the first ones, and those that cover the classes."""

import numpy as np
import pytest

from hao.runs.run_files import Evaluation


def evaluation(labels: list[int] | None, says: list[int] | None = None) -> Evaluation:
    """Return frames whose one code is their number."""
    count = len(labels or says or range(6))
    return Evaluation(
        codes=np.arange(count).reshape(-1, 1, 1, 1),
        labels=None if labels is None else np.array(labels),
        float_class=None if says is None else np.array(says),
    )


@pytest.mark.parametrize(
    ("labels", "says", "least", "most", "expected"),
    [
        ([0, 0, 1, 0, 2, 1], None, 1, 9, [0, 2, 4]),  # the first of each class
        ([0, 0, 1, 0, 2, 1], None, 5, 9, [0, 1, 2, 3, 4]),  # and two others
        ([0, 0, 1, 0, 2, 1], None, 1, 2, [0, 2]),  # no more than two
        ([5, 4, 3, 2, 1, 0], None, 1, 3, [0, 1, 2]),  # the first classes that come
        (None, [7, 7, 3], 1, 9, [0, 2]),  # what the network says, without labels
        ([0, 0, 0], [1, 2, 3], 1, 9, [0]),  # labels come before that
        (None, None, 4, 9, [0, 1, 2, 3]),  # random frames
        ([1, 1], None, 4, 9, [0, 1]),  # all that there are
    ],
)
def test_frames_cover_the_classes(
    labels: list[int] | None,
    says: list[int] | None,
    least: int,
    most: int,
    expected: list[int],
) -> None:
    found = evaluation(labels, says).covering(least, most)
    assert found.codes.ravel().tolist() == expected
    if labels is not None:
        assert found.labels is not None
        assert found.labels.tolist() == [labels[n] for n in expected]


def test_the_first_frames_keep_all_that_is_known_of_them() -> None:
    found = evaluation([3, 4, 5], [6, 7, 8]).first(2)
    assert found.codes.ravel().tolist() == [0, 1]
    assert found.labels is not None
    assert found.labels.tolist() == [3, 4]
    assert found.float_class is not None
    assert found.float_class.tolist() == [6, 7]
    assert found.quantized_class is None
