"""What the parts of a linear layer cost whose reduction exceeds the weight buffer.

Such a layer runs output group by output group, each in parts of its reduction
(`hao.cost.tiles`). Of each part the array takes as many iterations as the part has
words, while the words of the next part load. All parts but a group's last one only add
to the sums in the array: nothing is packed or written. `PartRun` is one part per
column, in the arrays from which `hao.cost.prices` makes prices.
"""

from dataclasses import dataclass, replace

import numpy as np

from hao.cost.columns import Bools, Setting
from hao.cost.latency import StageTimes, unpack_cycles
from hao.cost.memory import beat_channels, input_channels, port_cycles, read, row_bytes
from hao.cost.overheads import LEAD_CYCLES
from hao.cost.paths import Transfers
from hao.cost.transfers import RunMaps
from hao.cost.words import Cycles
from hao.ir.layer import Linear
from hao.ir.partition import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedPart:
    """A part of a linear layer's reduction, per column.

    Attributes:
        words: Of an output group, in the part.
        channels: Inputs that the words hold.
        ends: Whether sums end with the part, so that the output is written.
    """

    words: Cycles
    channels: Cycles
    ends: Bools


def part_of(
    layer: Linear, words: Cycles, ends: Bools, simd: Cycles, setting: Setting
) -> PricedPart:
    """Return a part of so many words; one that ends has the last inputs.

    Args:
        layer: Whose reduction it is.
        words: Of an output group, in the part.
        ends: Whether sums end with the part.
        simd: Multipliers per lane.
        setting: Width of the activations and board.
    """
    whole = input_channels(layer, setting.act_bits, setting.board)
    missing = -(-whole // simd) * simd - whole
    return PricedPart(words=words, channels=words * simd - missing * ends, ends=ends)


def part_times(
    role: Role, part: PricedPart, *, simd: Cycles, groups: Cycles, setting: Setting
) -> StageTimes:
    """Return the times of a stage that runs a part, of one pixel.

    Args:
        role: The dense or the pointwise stage.
        part: Of the reduction.
        simd: Multipliers per lane.
        groups: Output groups of the tile.
        setting: Width of the activations and board.

    Source: docs/engine.md; for a whole reduction equal to `dense_times` and
    `pointwise_times` in tests/cost/test_parts.py.
    """
    board, bits = setting.board, setting.act_bits
    came = unpack_cycles(part.channels, 1, simd, 1, act_bits=bits, board=board)
    work: Cycles = groups * part.words
    beats = port_cycles(row_bytes(part.channels, np.asarray(1), bits, board), board)
    if role is Role.DENSE:
        lead, word = np.maximum(part.words, came) + LEAD_CYCLES, part.words
    else:
        lead, word = np.maximum(part.words, beats), np.broadcast_to(groups, work.shape)
    return StageTimes(
        row=work,
        sweep=work,
        edge=work,
        group=work,
        word=word,
        cycles=work,
        lead_in=lead,
        intake=came,
        trips=work,
        fed=np.zeros_like(work),
    )


def part_maps(maps: RunMaps, part: PricedPart, whole: int, setting: Setting) -> RunMaps:
    """Return what a part moves of the feature maps of its run.

    Args:
        maps: Of the run with its whole reduction.
        part: Of the reduction.
        whole: Inputs of the whole reduction.
        setting: Width of the activations and board.
    """
    beat = beat_channels(setting.act_bits, setting.board)
    beats = -(-part.channels // beat)
    some = np.minimum(beats * setting.board.port_bytes, maps.ifm.port)
    ifm = np.where(part.channels < whole, some, maps.ifm.port)
    ends = part.ends.astype(np.int64)
    return RunMaps(
        ifm=read(ifm), ofm=maps.ofm.part(ends, 1), residual=maps.residual.part(ends, 1)
    )


def part_transfers(transfers: Transfers, part: PricedPart) -> Transfers:
    """Return the transfers of a run, without the way out where sums do not end."""
    return replace(
        transfers,
        ofm=transfers.ofm * part.ends,
        residual=transfers.residual * part.ends,
        pack=transfers.pack * part.ends,
        group=transfers.group * part.ends,
    )
