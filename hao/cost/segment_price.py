"""The price of a segment: cycles as rows over the columns of its stages."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.paths import Path
from hao.cost.words import Cycles
from hao.ir.partition import Role

NEVER = Path("weights", -(1 << 50), {})
"""A row that is below all others, whatever is added (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPrice:
    """Cycles of one segment as rows over the columns of its stages.

    Attributes:
        paths: Rows of the whole computation, all tiles included.
        tiled: Cycles of all tiles but the last, per column of the one stage that may
            be tiled; to be added to what the next segment's weights need.
        ddr: Cycles of the last tile's feature maps on the DDR, as rows (`tiled`
            included) of which the longest counts; the next segment's weights come on
            top of each.
        beside: Cycles by which they delay the load of the next segment's weights, as a
            row (`tiled` included); what the port takes to load them comes on top.
        standing: Cycles in which the array of the dense stage stands still, until it
            has ended, as a row (`tiled` included); it takes weights only while it
            moves, so what loads from the next segment's dense weights on comes on top.
        held: Cycles, as a row below 0, that are to be added to those of the whole run
            by itself for the ones in which the array of the pointwise stage stands
            still; what loads from the next segment's pointwise weights on comes on
            top, where these come first. `NEVER` where that stage is not the last.
        opening: Cycles in which the weight port, and the DDR, load what must be there
            before the segment starts: all weights, or those of the first tile. Where a
            start takes several frames, what is left for both where every frame but one
            takes the least share (`hao.cost.pairs`). Last the port twice again, with
            the ends of its loops but not its start: for a segment that loads dense
            weights first, else 0, and for one that loads pointwise weights first.
        serial: The same where nothing runs beside: of port and DDR, all of the step.
            Without double buffering all weights.
        tiles: Runs per column of the stage that may be tiled.
        parts: Of these, those of one tile: the parts of its reduction.
        feasible: Columns with enough buffer, per stage.
    """

    paths: tuple[Path, ...]
    tiled: dict[Role, Cycles]
    ddr: tuple[Path, ...]
    beside: Path
    standing: Path
    held: Path
    opening: tuple[Path, ...]
    serial: tuple[Path, Path]
    tiles: dict[Role, Cycles]
    parts: dict[Role, Cycles]
    feasible: dict[Role, NDArray[np.bool_]]
