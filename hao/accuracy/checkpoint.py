"""Which checkpoint stands behind a network, as the law of drops sees it?"""

from collections.abc import Mapping
from functools import cache
from typing import assert_never

from hao.accuracy.between import known_networks, widths_between
from hao.accuracy.published import FloatRow, Precision, load_float_rows
from hao.accuracy.terms import Checkpoint
from hao.zoo import ClassSet, Publication, entry, network_names


def measured_family(family: Publication) -> str:
    """Return the family of measured networks that a family of the zoo belongs to."""
    match family:
        case (
            Publication.MOBILENET_V1
            | Publication.MOBILENET_V2
            | Publication.MOBILENET_V3
            | Publication.MOBILENET_V4
            | Publication.MNASNET
            | Publication.SPNASNET
            | Publication.FBNET
        ):
            return "mobilenet"
        case Publication.EFFICIENTNET_LITE:
            return "efficientnet"
        case Publication.RESNET:
            return "resnet"
        case Publication.VGG:
            return "vgg"
        case Publication.REPVGG:
            return "repvgg"
        case Publication.CIFAR | Publication.DIGITS:
            return "small"
        case _:
            assert_never(family)


def classifies_imagenet(network: str) -> bool:
    """Return whether a network does, on which everything was measured.

    A network outside the zoo is taken to.
    """
    if network not in network_names():
        return True
    return entry(network).dataset is ClassSet.IMAGENET


def _checkpoint(row: FloatRow) -> tuple[str, str, str, str]:
    return row.architecture, row.width, row.recipe, row.source


@cache
def _best_of_checkpoints() -> Mapping[tuple[str, str, str, str], float]:
    best: dict[tuple[str, str, str, str], float] = {}
    between = (entry.best for entry in widths_between().values())
    for row in (*load_float_rows(), *between):
        if row.precision is Precision.FP32:
            key = _checkpoint(row)
            best[key] = max(best.get(key, 0.0), row.top1)
    return best


def checkpoint_top1(network: str, image_size: int, top1: float | None) -> float | None:
    """Return the top-1 of a checkpoint at its best image size [percent].

    It tells of capacity and recipe, where that at a smaller size would tell of the
    size. `top1` itself where it is not the published one of the network at the size.
    """
    known = known_networks().get((network, image_size))
    if known is None or known.top1 != top1:
        return top1
    return _best_of_checkpoints()[_checkpoint(known.best)]


def checkpoint_of(
    network: str,
    image_size: int,
    *,
    depthwise: bool,
    top1: float | None,
    plain: Mapping[str, float],
) -> Checkpoint:
    """Return the checkpoint of a network as the law of drops sees it.

    Args:
        network: Name in the zoo, or any other.
        image_size: Height and width of the frame [pixels].
        depthwise: The network has depthwise convolutions.
        top1: Float top-1 at this size [percent], or `None` if unknown.
        plain: Float top-1 that checkpoints usually reach, by network [percent].
    """
    in_zoo = network in network_names()
    return Checkpoint(
        network=network,
        family=measured_family(entry(network).family) if in_zoo else "",
        depthwise=depthwise,
        top1=checkpoint_top1(network, image_size, top1),
        plain_top1=plain.get(network),
    )
