"""Which output of a network stands for which class, and what the class is called."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hao.errors import InputError
from hao.files import read_text
from hao.quant.dataset import Dataset, Split


def load_class_names(path: Path, outputs: int) -> tuple[str, ...]:
    """Return the names of a network's outputs: a line each, in their order.

    Raises:
        InputError: The file cannot be read, or has another number of lines.
    """
    lines = read_text(path).splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != max(outputs, 2):
        raise InputError(
            f"{path}: {len(names)} names; must be one for each of the network's "
            f"{outputs} outputs (two where there is one)"
        )
    return names


def named_outputs(
    dataset: Dataset, outputs: int, names: tuple[str, ...], *, trained: bool
) -> tuple[Dataset, tuple[str, ...]]:
    """Return a data set whose labels are outputs of a network, and the outputs' names.

    Args:
        dataset: Its classes may be fewer than the outputs, or in another order.
        outputs: Of the network; one tells two classes apart, by its sign.
        names: Of the outputs, or of these two; empty if not given.
        trained: Whether the network is trained already, so that its outputs stand for
            classes that a data set may not number anew.

    Raises:
        InputError: It is not known which output a class is.
    """
    own, outputs = dataset.names, max(outputs, 2)
    if not names:
        if trained and own and len(own) != outputs:
            raise InputError(
                f"data set {dataset.name!r} has {len(own)} classes, such as "
                f"{own[0]!r}; the network has {outputs} outputs, and which is which is "
                "not known. `labels` = FILE names the outputs, one a line"
            )
        if not own:
            return dataset, ()
        more = tuple(f"class {number}" for number in range(len(own), outputs))
        return dataset, (own + more)[:outputs]
    if not own or own == names:
        return dataset, names
    places: dict[str, int] = {}
    for number, name in enumerate(names):
        for word in (name, name.partition(",")[0].strip(), name.partition(" ")[0]):
            places.setdefault(word, number)
    if unknown := [name for name in own if name not in places]:
        raise InputError(
            f"data set {dataset.name!r}: class {unknown[0]!r} is none of the names in "
            "`labels`; must be a line, what stands before its comma, or its first word"
        )
    order = np.array([places[name] for name in own], dtype=np.int64)
    train, validation, test = (
        Split(frames=split.frames, labels=order[split.labels])
        for split in (dataset.train, dataset.validation, dataset.test)
    )
    renamed = replace(
        dataset,
        train=train,
        validation=validation,
        test=test,
        classes=outputs,
        names=names,
    )
    return renamed, names
