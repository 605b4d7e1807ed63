"""Means, sums and maxima over pixels, which two operations in a row may make up.

One over rows and another over columns are one layer: what the first leaves is kept as
`PartOfPixels` until the second completes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hao.errors import InputError
from hao.frontends.feature_map import Axis, FeatureMap
from hao.frontends.piece_types import NodeSite, Piece
from hao.frontends.pieces import pixels_piece
from hao.ir.layer import PoolKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A mean, sum or maximum over some dimensions.

    Attributes:
        op: Operator type: two of the same may share the dimensions.
        kind: Mean (a sum, too) or maximum.
        axes: Of what it reads; negative ones from the end.
        keep: They stay, with size 1.
    """

    op: str
    kind: PoolKind
    axes: Sequence[int]
    keep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOfPixels:
    """What goes over rows alone, or columns, until another one completes it.

    Attributes:
        source: The map that it goes over.
        op: Operator type; another of its kind goes over the rest.
        maker: What errors call the node.
        dimensions: Of the source that it goes over.
        keep: They stay, with size 1.
    """

    source: FeatureMap
    op: str
    maker: str
    dimensions: frozenset[int]
    keep: bool


def over_pixels(
    site: NodeSite, value: FeatureMap | PartOfPixels, how: Reduction
) -> Piece | PartOfPixels:
    """Return one layer for all pixels, or what a second operation has to complete.

    Args:
        site: Where it stands.
        value: What it reads: a map, or what the first of two alike has left.
        how: What it does.

    Raises:
        InputError: There is no such axis.
        UnsupportedError: It runs over channels, frames, or some pixels only.
    """
    x, gone, kept = value, frozenset[int](), True
    if isinstance(value, PartOfPixels):
        x, gone, kept = value.source, value.dimensions, value.keep
    assert isinstance(x, FeatureMap)
    left = [d for d in range(len(x.dimensions)) if d not in gone or kept]
    if any(not -len(left) <= axis < len(left) for axis in how.axes):
        raise InputError(
            f"{site.label}: axes {tuple(how.axes)} of a {len(left)}-D tensor"
        )
    new = frozenset(left[axis] for axis in how.axes)
    over = {axis for d in gone | new for axis in x.dimensions[d]}
    plane = x.shape.height > 1 and x.shape.width > 1
    if not gone and over in ({Axis.HEIGHT}, {Axis.WIDTH}) and plane:
        return PartOfPixels(
            source=x, op=how.op, maker=site.label, dimensions=new, keep=how.keep
        )
    dropped = (frozenset() if kept else gone) | (frozenset() if how.keep else new)
    return pixels_piece(site, x, how.kind, dimensions=gone | new, dropped=dropped)
