"""Which words of a pruned layer are kept, and how the list of them says where they lie.

An entry of 16 bits is the place of a word among those of an output group: the group of
`simd` channels in the low `GROUP_BITS` bits, above it column and row of the kernel tap,
`TAP_BITS` each (docs/engine.md, "Weights in DDR").
"""

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.intmath import ceil_div
from hao.ir.layer import Conv, Linear
from hao.ir.sparsity import GROUP_BITS, TAP_BITS, kept_words, list_holds, stored_density

Ints = NDArray[np.int64]


def kept_folds(cube: Ints, layer: Conv | Linear, pe: int) -> Ints:
    """Return the words of every output group that are kept, in rising order.

    These are all that are not zeros, and as many of the first others as the layer's
    density asks for besides.

    Args:
        cube: Weights of a layer or a tile, shape (ofm_channels, passes, folds, simd).
        layer: Says how many words are kept.
        pe: Output channels of a group.

    Returns:
        Shape (groups, words kept).

    Raises:
        InputError: A group has more words that are not zeros than are kept.
    """
    folds = cube.shape[2]
    groups = ceil_div(len(cube), pe)
    count = kept_words(folds, stored_density(layer))
    used = np.zeros((groups, folds), dtype=np.bool_)
    np.logical_or.at(used, np.arange(len(cube)) // pe, cube.any(axis=(1, 3)))
    most = int(used.sum(axis=1).max())
    if most > count:
        raise InputError(
            f"layer {layer.name!r}: {most} of {folds} words of {pe} channels hold "
            f"weights other than 0; the design keeps {count}: prune the weights for "
            "this engine"
        )
    chosen = np.argsort(~used, axis=1, kind="stable")[:, :count]
    return np.sort(chosen, axis=1)


def fold_places(folds: Ints, all_folds: int, layer: Conv | Linear) -> Ints:
    """Return words as entries of a list.

    Args:
        folds: Numbers of words within an output group.
        all_folds: Words of an output group.
        layer: Its kernel.

    Raises:
        InputError: A place has no entry: more groups of channels than fit its bits.
    """
    kernel = layer.kernel if isinstance(layer, Conv) else 1
    inner = all_folds // kernel**2
    if not list_holds(inner, layer):
        raise InputError(
            f"layer {layer.name!r}: {inner} groups of input channels, kernel {kernel}; "
            f"a pruned layer may have {1 << GROUP_BITS} and {1 << TAP_BITS}"
        )
    tap, group = np.divmod(folds, inner)
    row, column = np.divmod(tap, kernel)
    places: Ints = group | column << GROUP_BITS | row << (GROUP_BITS + TAP_BITS)
    return places
