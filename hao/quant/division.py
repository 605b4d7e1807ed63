"""How labelled frames are divided and ordered: by class, and for good.

Every class is divided in the same proportions, and the frames of a part are mixed, so
that any first part of them has all classes alike.
"""

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError

SPLIT_SEED = 0


def divided(
    labels: NDArray[np.int64], share: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the frames without a share of each class, and of that share.

    A class of two frames or more keeps one and gives one, at least; classes of a single
    frame are divided as if they were one class.

    Args:
        labels: Shape (frames,), at least 0.
        share: From 0 to 1.

    Raises:
        InputError: One of the two would be empty.
    """
    generator = np.random.default_rng(SPLIT_SEED)
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    groups = [np.flatnonzero(labels == label) for label in classes[counts > 1]]
    kept: list[NDArray[np.intp]] = []
    taken: list[NDArray[np.intp]] = []
    for group in (*groups, np.flatnonzero(counts[places] == 1)):
        members = generator.permutation(group)
        count = round(len(members) * share)
        if len(members) > 1:
            count = max(1, count)
        taken.append(members[:count])
        kept.append(members[count:])
    first, second = np.sort(np.concatenate(kept)), np.sort(np.concatenate(taken))
    if len(first) == 0 or len(second) == 0:
        raise InputError(
            "too few frames to divide into train, validation and test; must be at "
            "least 3"
        )
    return first, second


def mixed_order(labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return an order in which every first part has all classes alike.

    Frame k of the n of a class comes at place (k + 1/2) / n.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((labels, place))
