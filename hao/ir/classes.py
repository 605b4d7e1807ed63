"""Which class the outputs of a network name.

The largest output does; a single one tells two classes apart, as the Sigmoid behind it
would: it names class 1 where it is above 0, and class 0 elsewhere.
"""

import numpy as np
from numpy.typing import NDArray


def classes_of(outputs: NDArray[np.number], *, zero: int = 0) -> NDArray[np.int64]:
    """Return the class of every frame, shape (frames,).

    Args:
        outputs: Real values or codes; the first axis runs over frames.
        zero: Code that stands for 0.0.
    """
    flat = outputs.reshape(len(outputs), -1)
    if flat.shape[1] == 1:
        return (flat[:, 0] > zero).astype(np.int64)
    best: NDArray[np.int64] = flat.argmax(axis=1)
    return best
