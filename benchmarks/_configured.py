"""Engines of hao with the parallelism of a published accelerator.

A `Configured` accelerator fixes parallelism, clock and memory from its publication.
Buffers follow from the networks: the row buffers hold what the layers need, and the
weight buffer is the deepest on offer with which every network of the comparison stays
within the published block RAM. Nothing is fitted to a measured time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import add

import numpy as np

from hao.cost.area import engine_resources
from hao.cost.catalogue import BUFFER_WORDS, Needs, build_stages, pool_words
from hao.cost.columns import (
    Columns,
    DenseColumns,
    DepthwiseColumns,
    Setting,
    engine_columns,
)
from hao.cost.pairs import besides
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.ir.change import scheme_of
from hao.ir.layer import ActivationKind, Input, Layer
from hao.ir.network import Network
from hao.ir.partition import Partition, Role, Segment, partition
from hao.ir.tensor import Shape
from hao.zoo.blocks import GlobalPoolBlock, LinearBlock
from hao.zoo.style import PaddingRule, Style

WEIGHT_BITS = 8
ACT_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A published accelerator as an engine with a dense and a depthwise stage.

    Attributes:
        name: Short name.
        board: Clock, ports, DDR, and whether the host's call was measured as well.
        simd, pe, px: Parallelism of the dense stage.
        depthwise_pe: Channels at once of the depthwise stage, which takes one tap.
        bram_18k: Block RAM that the publication prints.
    """

    name: str
    board: Board
    simd: int
    pe: int
    px: int
    depthwise_pe: int
    bram_18k: int

    @property
    def rate(self) -> int:
        """Return the dense stage's products per cycle."""
        return self.simd * self.pe * self.px


def cut(network: Network, *, fused: bool, pointwise: bool) -> Partition:
    """Return the segments that an engine may run.

    Args:
        network: What runs.
        fused: Several layers may share one run; otherwise each layer has its own.
        pointwise: The engine has a pointwise stage.
    """
    whole = partition(network)
    kept = tuple(
        segment
        for segment in whole.segments
        if (fused or segment.start == segment.end)
        and (pointwise or segment.invocation.pointwise is None)
    )
    return replace(whole, segments=kept)


def sized_engine(
    accelerator: Configured,
    network: Network,
    weight_words: int,
    *,
    dsp_pairs: int = 0,
    dsp_lanes: int = 0,
    weight_bits: int = WEIGHT_BITS,
) -> Engine:
    """Return the engine with row buffers for `network`; DSP steps concern area only."""
    segments = cut(network, fused=True, pointwise=False)
    needs = {role: Needs.of(segments, role) for role in Role}
    bits = np.array([weight_bits])
    columns: dict[Role, Columns] = {
        Role.DENSE: DenseColumns(
            simd=np.array([accelerator.simd]),
            pe=np.array([accelerator.pe]),
            weight_words=np.array([weight_words]),
            weight_bits=bits,
            in_uram=np.array([False]),
        )
    }
    if needs[Role.DEPTHWISE].layers:
        columns[Role.DEPTHWISE] = DepthwiseColumns(
            pe=np.array([accelerator.depthwise_pe]),
            taps=np.array([1]),
            weight_bits=bits,
        )
    convolves = needs[Role.DEPTHWISE].convolves
    dense, depthwise, _ = build_stages(
        columns,
        {Role.DENSE: dsp_pairs, Role.DEPTHWISE: dsp_lanes if convolves else 0},
        needs,
        _setting(accelerator.board, accelerator.px, double=True),
    )
    return Engine(
        dense=dense,
        depthwise=depthwise,
        pointwise=None,
        px=accelerator.px,
        act_bits=ACT_BITS,
        double_buffered=True,
        residual=any(s.invocation.residual for s in segments.segments),
        pool_words=max(
            pool_words(s.invocation, act_bits=ACT_BITS, board=accelerator.board)
            for s in segments.segments
        ),
    )


def blocks_taken(engine: Engine, board: Board) -> int:
    """Return the block RAM of an engine that writes single channels as they come.

    Our own keeps groups of pixels until their beats are whole, and the sums of global
    pools; a published one by byte strobes, and a pool elsewhere, does not.
    """
    assert engine.dense is not None
    dense, depthwise = replace(engine.dense, pack_words=1), engine.depthwise
    if depthwise is not None:
        depthwise = replace(depthwise, pack_words=1)
    bare = replace(engine, dense=dense, depthwise=depthwise, pool_words=0)
    return sum(part.bram_18k for part in engine_resources(bare, board).values())


def deepest_buffer(accelerator: Configured, networks: Sequence[Network]) -> int | None:
    """Return the depth of the weight buffer [words], `None` if no network would fit."""
    for words in reversed(BUFFER_WORDS):
        taken = (
            blocks_taken(sized_engine(accelerator, network, words), accelerator.board)
            for network in networks
        )
        if all(blocks <= accelerator.bram_18k for blocks in taken):
            return words
    return None


def best_design(
    network: Network,
    engine: Engine,
    board: Board,
    *,
    fused: bool,
    aligned_tiles: bool = True,
) -> Design:
    """Return the fastest partition of `network` on a given engine.

    Args:
        network: What runs.
        engine: On what.
        board: Its clock and DDR.
        fused: Several layers may share one run.
        aligned_tiles: As the engine of hao writes tiles; a published accelerator
            writes single channels by byte strobes, so that tiles of 10 or 13 fit it.

    Raises:
        InfeasibleError: Some layer does not fit the engine's weight buffer.
    """
    segments = cut(network, fused=fused, pointwise=engine.pointwise is not None)
    setting = _setting(
        board,
        engine.px,
        double=engine.double_buffered,
        aligned_tiles=aligned_tiles,
    )
    scheme = {layer.name: WEIGHT_BITS for layer in network.compute_layers}
    columns = engine_columns(engine)
    stops = [
        _stop(
            segment,
            price_segment(segment.invocation, columns, scheme, setting),
            board.batch,
        )
        for segment in segments.segments
    ]
    chosen = _fastest(stops, overlaps=engine.double_buffered)
    if chosen is None:
        raise InfeasibleError(
            f"{network.name}: some layer does not fit the weight buffer"
        )
    return Design(
        network=network,
        scheme=scheme_of(scheme),
        engine=engine,
        segments=chosen,
        board=board,
    )


@dataclass(frozen=True, slots=True)
class _Stop:
    """A segment on one engine, in cycles as `SegmentPrice` has them."""

    segment: Segment
    alone: int
    beside: tuple[int, ...]
    opening: tuple[int, ...]
    loads: int


def _stop(segment: Segment, price: SegmentPrice, batch: int) -> _Stop | None:
    """Return a segment's cycles, `None` if its weights do not fit."""
    if not all(bool(fine[0]) for fine in price.feasible.values()):
        return None
    ddr = max(map(_single, price.ddr))
    alone = max(ddr, *(_single(path) for path in price.paths))
    beside, some = _single(price.beside), (_single(price.standing), _single(price.held))
    return _Stop(
        segment=segment,
        alone=alone,
        beside=tuple(besides(alone, beside, ddr, some, batch=batch)),
        opening=tuple(map(_single, price.opening)),
        loads=max(map(_single, price.serial)),
    )


def _single(path: Path) -> int:
    return path.constant + sum(int(np.ravel(t)[0]) for t in path.terms.values())


def _fastest(
    stops: Sequence[_Stop | None], *, overlaps: bool
) -> tuple[Segment, ...] | None:
    """Return the segments that take the fewest cycles together, `None` if none do.

    Backwards, from each segment on; the weights of the next one load beside it, or,
    where nothing overlaps, in a step of their own before it.
    """
    found = [stop for stop in stops if stop is not None]
    last = max(stop.segment.end for stop in found)
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for number in sorted(range(len(found)), key=lambda n: -found[n].segment.start):
        here = found[number]
        ways: list[tuple[int, tuple[int, ...]]] = []
        if here.segment.end == last:
            ways.append((here.alone, (number,)))
        for after, (cycles, way) in best.items():
            upcoming = found[after]
            if upcoming.segment.start != here.segment.end + 1:
                continue
            took = here.alone
            if overlaps:
                took = max(took, *map(add, here.beside, upcoming.opening))
            ways.append((took + cycles, (number, *way)))
        if ways:
            cycles, way = min(ways)
            load = 0 if overlaps else here.loads
            best[number] = cycles + load, way
    starts = [
        (cycles + (found[n].loads if overlaps else 0), way)
        for n, (cycles, way) in best.items()
        if found[n].segment.start == 0
    ]
    if not starts:
        return None
    return tuple(found[number].segment for number in min(starts)[1])


def _setting(
    board: Board, px: int, *, double: bool, aligned_tiles: bool = True
) -> Setting:
    return Setting(
        board=board,
        px=px,
        act_bits=ACT_BITS,
        double_buffered=double,
        aligned_tiles=aligned_tiles,
    )


def resnet50_v1(*, late_stride: bool) -> Network:
    """Return ResNet-50 with the strides of Caffe or tf_slim; the zoo's differ.

    Args:
        late_stride: As tf_slim: the last bottleneck of a group strides, in its 3x3.
            Otherwise as Caffe: the first one strides, in its first 1x1.

    Source: He et al., arXiv:1512.03385, Table 1, and KaimingHe/deep-residual-networks
    (Caffe); tensorflow/models research/slim/nets/resnet_v1.py. The counts agree with
    the workloads printed in data/published_zu3eg.csv (tests/test_validation.py).
    """
    style = Style(activation=ActivationKind.RELU, padding=PaddingRule.SYMMETRIC)
    frame = Shape(channels=3, height=224, width=224)
    layers: list[Layer] = [Input(name="image", ofm=frame)]
    layers.append(style.conv(layers[-1], "stem", channels=64, kernel=7, stride=2))
    layers.append(style.max_pool(layers[-1], "stem_pool", kernel=3, stride=2))
    groups = ((256, 3), (512, 4), (1024, 6), (2048, 3))
    for group, (channels, repeats) in enumerate(groups):
        for unit in range(repeats):
            if late_stride:
                strided = unit == repeats - 1 and group < len(groups) - 1
            else:
                strided = unit == 0 and group > 0
            layers += _bottleneck(
                layers[-1],
                f"group{group + 1}.unit{unit + 1}",
                channels,
                style,
                (1, 2) if strided and late_stride else (2 if strided else 1, 1),
            )
    layers += GlobalPoolBlock().layers(layers[-1], "pool", style)
    layers += LinearBlock(channels=1000).layers(layers[-1], "classifier", style)
    name = "resnet50_v1_slim" if late_stride else "resnet50_v1"
    return Network(name=name, layers=tuple(layers))


def _bottleneck(
    source: Layer, name: str, channels: int, style: Style, strides: tuple[int, int]
) -> tuple[Layer, ...]:
    """Return a bottleneck whose first 1x1 and 3x3 have the given strides."""
    inner = channels // 4
    first = style.conv(source, f"{name}.conv1", channels=inner, stride=strides[0])
    second = style.conv(
        first, f"{name}.conv2", channels=inner, kernel=3, stride=strides[1]
    )
    third = style.linear.conv(second, f"{name}.conv3", channels=channels)
    stride = strides[0] * strides[1]
    if source.ofm == third.ofm:
        return (first, second, third, style.add(third, source, f"{name}.add"))
    shortcut: Layer
    if source.ofm.channels == channels:
        shortcut = style.max_pool(source, f"{name}.shortcut", kernel=1, stride=stride)
    else:
        shortcut = style.linear.conv(
            source, f"{name}.shortcut", channels=channels, stride=stride
        )
    return (first, second, third, shortcut, style.add(third, shortcut, f"{name}.add"))
