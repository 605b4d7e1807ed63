"""The table of drops that the search uses; `python -m hao.accuracy.table` writes it.

For every network of the zoo, and for any other by its kind, at 2 to 8 weight bits and
4 to 8 activation bits: what `hao.accuracy.law` expects, then

- shifted, where a family is known to collapse (`_KNOWN_COLLAPSE`);
- made monotone: fewer bits never lose less. Each of mean, low and high becomes the mean
  of its running maximum towards fewer bits and its running minimum towards more bits,
  both over weight and activation bits; either is monotone, and so is their mean;
- put in order (low <= mean <= high) and capped at what the network can lose.

Regenerated from the same data, the file has the same bytes up to the last digit of the
linear algebra library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.accuracy.drops import (
    COLUMNS,
    GENERIC_DENSE,
    GENERIC_DEPTHWISE,
    MIN_ACT_BITS,
    Drop,
    Evidence,
)
from hao.accuracy.evidence import Reference, references, trained_references
from hao.accuracy.law import (
    CalibratedLaw,
    Target,
    calibrate_law,
    measurements,
)
from hao.accuracy.measured import load_quant_rows
from hao.accuracy.published import load_float_rows, published_networks
from hao.data import data_path
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.zoo import Dataset, Family, entry, network_names

WEIGHT_BITS = tuple(range(MAX_BITS, MIN_BITS - 1, -1))
ACT_BITS = tuple(range(MAX_BITS, MIN_ACT_BITS - 1, -1))
_CHANCE_PERCENT = 0.1
_KNOWN_COLLAPSE = {"repvgg": 20.0}
"""Drop at 8 bits of families that are known to collapse, measured in no row of the data
[points]. RepVGG: "more than 20% top-1 accuracy drop on ImageNet when INT8 inference is
desired" (Chu et al., Make RepVGG Greater Again, AAAI 2024, arXiv:2212.01593, abstract).
Training can avoid it, so the optimistic end is left alone."""

Grid = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network of which the table has rows.

    Attributes:
        name: Name in the zoo, or one of the generic names.
        family: As references call it.
        depthwise: The network has depthwise convolutions.
        imagenet: It classifies ImageNet, on which everything was measured.
        most: The largest possible drop [points].
    """

    name: str
    family: str
    depthwise: bool
    imagenet: bool
    most: float


def measured_family(family: Family) -> str:
    """Return the family of measured networks that a family of the zoo belongs to."""
    match family:
        case (
            Family.MOBILENET_V1
            | Family.MOBILENET_V2
            | Family.MOBILENET_V3
            | Family.MOBILENET_V4
            | Family.MNASNET
            | Family.SPNASNET
            | Family.FBNET
        ):
            return "mobilenet"
        case Family.EFFICIENTNET_LITE:
            return "efficientnet"
        case Family.RESNET:
            return "resnet"
        case Family.VGG:
            return "vgg"
        case Family.REPVGG:
            return "repvgg"
        case Family.CIFAR | Family.DIGITS:
            return "small"
        case _:
            assert_never(family)


def subjects() -> tuple[Subject, ...]:
    """Return every network of the zoo, then the generic ones."""
    best: dict[str, float] = {}
    for (name, _), network in published_networks().items():
        best[name] = max(best.get(name, 0.0), network.top1)
    zoo = [
        Subject(
            name=name,
            family=measured_family(entry(name).family),
            depthwise=entry(name).has_depthwise,
            imagenet=entry(name).dataset is Dataset.IMAGENET,
            most=round(best.get(name, 100.0) - _CHANCE_PERCENT, 3),
        )
        for name in network_names()
    ]
    generic = [
        Subject(name=name, family="", depthwise=depthwise, imagenet=True, most=100.0)
        for name, depthwise in ((GENERIC_DENSE, False), (GENERIC_DEPTHWISE, True))
    ]
    return (*zoo, *generic)


def make_monotone(grid: Grid) -> Grid:
    """Return the grid, shape (weight bits, activation bits), never falling on an axis.

    Bits descend along both axes. A grid that is monotone already is returned as it is.
    """
    rising = np.maximum.accumulate(np.maximum.accumulate(grid, axis=0), axis=1)
    back = grid[::-1, ::-1]
    falling = np.minimum.accumulate(np.minimum.accumulate(back, axis=0), axis=1)
    return np.asarray((rising + falling[::-1, ::-1]) / 2, dtype=np.float64)


def _grids(law: CalibratedLaw, subject: Subject) -> tuple[Grid, Grid, Grid]:
    targets = [_target(subject, w, a) for w in WEIGHT_BITS for a in ACT_BITS]
    drops = law.predict(targets)
    shape = (len(WEIGHT_BITS), len(ACT_BITS))
    mean, low, high = (
        np.array(ends).reshape(shape)
        for ends in zip(*((d.mean, d.low, d.high) for d in drops), strict=True)
    )
    if subject.family in _KNOWN_COLLAPSE:
        shift = log1p(_KNOWN_COLLAPSE[subject.family]) - log1p(float(mean[0, 0]))
        mean, high = (np.expm1(np.log1p(end) + shift) for end in (mean, high))
    mean, low, high = (make_monotone(np.asarray(end)) for end in (mean, low, high))
    mean = np.minimum(mean, subject.most)
    return mean, np.minimum(low, mean), np.clip(high, mean, subject.most)


def _target(subject: Subject, weight_bits: int, act_bits: int) -> Target:
    return Target(
        network=subject.name,
        family=subject.family,
        depthwise=subject.depthwise,
        weight_bits=weight_bits,
        act_bits=act_bits,
    )


def _evidence(target: Target, known: Sequence[Reference]) -> Evidence:
    if measurements(target, known):
        return Evidence.MEASURED
    if any(
        r.network == target.network
        or (
            r.family == target.family
            and r.depthwise == target.depthwise
            and abs(r.weight_bits - target.weight_bits) <= 0.5
            and abs(r.act_bits - target.act_bits) <= 0.5
        )
        for r in known
    ):
        return Evidence.FAMILY
    return Evidence.NONE


def _out_of_range(target: Target, known: Sequence[Reference]) -> bool:
    """Return whether no relative was measured at as few bits of both."""
    return not any(
        r.family == target.family
        and r.depthwise == target.depthwise
        and r.weight_bits <= target.weight_bits
        and r.act_bits <= target.act_bits
        for r in known
    )


def subject_drops(law: CalibratedLaw, subject: Subject) -> dict[tuple[int, int], Drop]:
    """Return the drops of a network by (weight bits, activation bits)."""
    mean, low, high = _grids(law, subject)
    drops = {}
    for i, weight_bits in enumerate(WEIGHT_BITS):
        for j, act_bits in enumerate(ACT_BITS):
            target = _target(subject, weight_bits, act_bits)
            drops[weight_bits, act_bits] = Drop(
                mean=round(float(mean[i, j]), 3),
                low=round(float(low[i, j]), 3),
                high=round(float(high[i, j]), 3),
                out_of_range=not subject.imagenet
                or _out_of_range(target, law.references),
                evidence=_evidence(target, law.references),
                references=len(measurements(target, law.references)),
            )
    return drops


def shipped_law() -> CalibratedLaw:
    """Return the law calibrated on the shipped data."""
    known = references(load_quant_rows()) + trained_references(load_float_rows())
    return calibrate_law(known)


def render_table(law: CalibratedLaw) -> str:
    """Return the text of the CSV file."""
    lines = [",".join(COLUMNS)]
    for subject in subjects():
        for (weight_bits, act_bits), drop in subject_drops(law, subject).items():
            lines.append(
                f"{subject.name},{weight_bits},{act_bits},{drop.mean:.3f},"
                f"{drop.low:.3f},{drop.high:.3f},{drop.out_of_range},"
                f"{drop.evidence.value},{drop.references}"
            )
    return "\n".join(lines) + "\n"


def write_table(path: Path) -> None:
    """Write the table of the shipped data to a file."""
    path.write_text(render_table(shipped_law()), encoding="utf-8")


if __name__ == "__main__":
    write_table(data_path("data") / "predicted_drop.csv")
