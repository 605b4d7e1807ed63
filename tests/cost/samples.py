"""Layers, invocations, boards and random designs that the tests of the cost share."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from hao.cost.catalogue import Needs, build_stages, pool_words
from hao.cost.columns import (
    Columns,
    DenseColumns,
    DepthwiseColumns,
    Setting,
    WeightBits,
)
from hao.cost.loads import load_bytes
from hao.cost.memory import beat_channels, ddr_cycles
from hao.cost.overheads import load_step
from hao.cost.tiles import tile_unit
from hao.cost.words import dense_folds
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.ir.change import scheme_of
from hao.ir.layer import (
    Compute,
    Conv,
    Depthwise,
    Linear,
    Padding,
    Pool,
    PoolKind,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.partition import (
    DenseLayer,
    DepthwiseLayer,
    Invocation,
    Partition,
    Role,
    Segment,
    partition,
)
from hao.ir.tensor import Shape
from tests.hw.samples import BOARD

# Examples are the same in every run.
QUICK = settings(max_examples=60, deadline=None, derandomize=True)
THOROUGH = settings(max_examples=200, deadline=None, derandomize=True)


def shape(channels: int, height: int, width: int) -> Shape:
    return Shape(channels=channels, height=height, width=width)


def conv(
    ifm: Shape,
    channels: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: Padding | None = None,
    name: str = "conv",
    source: str = "image",
) -> Conv:
    pad = Padding.same(kernel) if padding is None else padding
    ofm = window_shape(
        ifm, channels=channels, kernel=kernel, stride=stride, padding=pad
    )
    return Conv(
        name=name,
        input=source,
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=pad,
    )


def depthwise(
    ifm: Shape,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: Padding | None = None,
    name: str = "depthwise",
    source: str = "image",
) -> Depthwise:
    pad = Padding.same(kernel) if padding is None else padding
    ofm = window_shape(
        ifm, channels=ifm.channels, kernel=kernel, stride=stride, padding=pad
    )
    return Depthwise(
        name=name,
        input=source,
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=pad,
    )


def max_pool(
    ifm: Shape,
    kernel: int = 2,
    *,
    stride: int = 2,
    name: str = "pool",
    source: str = "image",
) -> Pool:
    ofm = window_shape(
        ifm, channels=ifm.channels, kernel=kernel, stride=stride, padding=Padding()
    )
    return Pool(
        name=name,
        input=source,
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        kind=PoolKind.MAX,
    )


def linear(
    ifm: Shape, channels: int, *, name: str = "linear", source: str = "image"
) -> Linear:
    return Linear(name=name, input=source, ifm=ifm, ofm=shape(channels, 1, 1))


def invocation(
    *,
    dense: DenseLayer | None = None,
    depthwise: DepthwiseLayer | None = None,
    pointwise: DenseLayer | None = None,
    residual: bool = False,
    pooled: bool = False,
) -> Invocation:
    used = [layer for layer in (dense, depthwise, pointwise) if layer is not None]
    last = used[-1].ofm
    return Invocation(
        dense=dense,
        depthwise=depthwise,
        pointwise=pointwise,
        ifm=used[0].ifm,
        stage_ofm=last,
        ofm=shape(last.channels, 1, 1) if pooled else last,
        input_name=used[0].input,
        residual_name="shortcut" if residual else None,
        output_name=used[-1].name,
    )


def setting(*, px: int = 1, act_bits: int = 8, double_buffered: bool = True) -> Setting:
    return Setting(
        board=BOARD, px=px, act_bits=act_bits, double_buffered=double_buffered
    )


def dense_columns(
    simd: Sequence[int],
    pe: Sequence[int],
    weight_words: Sequence[int],
    weight_bits: int = 8,
    in_uram: Sequence[bool] | None = None,
) -> DenseColumns:
    return DenseColumns(
        simd=np.array(simd, dtype=np.int64),
        pe=np.array(pe, dtype=np.int64),
        weight_words=np.array(weight_words, dtype=np.int64),
        weight_bits=np.full(len(simd), weight_bits, dtype=np.int64),
        in_uram=np.array(in_uram or [False] * len(simd)),
    )


def depthwise_columns(
    pe: Sequence[int], taps: Sequence[int], weight_bits: int = 8
) -> DepthwiseColumns:
    return DepthwiseColumns(
        pe=np.array(pe, dtype=np.int64),
        taps=np.array(taps, dtype=np.int64),
        weight_bits=np.full(len(pe), weight_bits, dtype=np.int64),
    )


@st.composite
def paddings(draw: st.DrawFn, kernel: int) -> Padding:
    side = st.integers(0, max(0, kernel - 1))
    return Padding(top=draw(side), left=draw(side), bottom=draw(side), right=draw(side))


@st.composite
def convs(
    draw: st.DrawFn, kernels: tuple[int, ...] = (1, 3, 5, 7), most_channels: int = 14
) -> Conv:
    kernel = draw(st.sampled_from(kernels))
    pad = draw(paddings(kernel))
    # A map may be smaller than the window, as far as padding makes up for it.
    least_height = max(1, kernel - pad.top - pad.bottom)
    least_width = max(1, kernel - pad.left - pad.right)
    ifm = shape(
        draw(st.integers(1, most_channels)),
        draw(st.integers(least_height, kernel + 6)),
        draw(st.integers(least_width, kernel + 8)),
    )
    return conv(
        ifm,
        draw(st.integers(1, most_channels)),
        kernel,
        stride=draw(st.sampled_from((1, 2))),
        padding=pad,
    )


@st.composite
def depthwises(draw: st.DrawFn) -> Depthwise:
    layer = draw(convs())
    return depthwise(
        layer.ifm, layer.kernel, stride=layer.stride, padding=layer.padding
    )


@st.composite
def linears(draw: st.DrawFn) -> Linear:
    side = st.integers(1, 4)
    ifm = shape(draw(st.integers(1, 20)), draw(side), draw(side))
    return linear(ifm, draw(st.integers(1, 14)))


def segment_path(parts: Partition, draws: Sequence[int]) -> tuple[Segment, ...]:
    """Return segments that cover all positions, each picked by one of `draws`."""
    start, chosen = 0, list[Segment]()
    while start < len(parts.positions):
        offered = [s for s in parts.segments if s.start == start]
        chosen.append(offered[draws[start % len(draws)] % len(offered)])
        start = chosen[-1].end + 1
    return tuple(chosen)


def build_engine(
    segments: Sequence[Segment],
    *,
    lanes: dict[Role, tuple[int, int]],
    double_buffered: bool,
    spare_folds: int,
    px: int,
    act_bits: int = 8,
    weight_bits: int = 8,
) -> Engine:
    """Return an engine that runs `segments`, with buffers as small as they may be.

    Args:
        segments: What it has to run.
        lanes: (simd, pe) of each stage, (pe, taps) of the depthwise one.
        double_buffered: As in `Engine`.
        spare_folds: Weight buffer beyond the smallest [output folds].
        px: As in `Engine`.
        act_bits: As in `Engine`.
        weight_bits: Of every stage.
    """
    by_role: dict[Role, dict[str, DenseLayer | DepthwiseLayer]] = {}
    fused: dict[Role, list[DenseLayer]] = {}
    for segment in segments:
        for role, layer in segment.invocation.stages:
            by_role.setdefault(role, {})[layer.name] = layer
            if len(segment.invocation.stages) > 1 and isinstance(layer, Conv | Linear):
                fused.setdefault(role, []).append(layer)
    needs = {role: Needs(tuple(layers.values())) for role, layers in by_role.items()}
    columns: dict[Role, Columns] = {}
    for role, need in needs.items():
        first, second = lanes[role]
        if role is Role.DEPTHWISE:
            columns[role] = depthwise_columns([first], [second], weight_bits)
            continue
        words = 1
        for layer in need.dense:
            folds = int(dense_folds(layer, first, act_bits=act_bits, board=BOARD))
            full = -(-layer.ofm.channels // second)
            whole = layer in fused.get(role, [])
            unit = int(tile_unit(np.array(second), beat_channels(act_bits, BOARD)))
            held = full if whole else min(full, unit + spare_folds)
            words = max(words, folds * held)
        words *= 2 if double_buffered else 1
        columns[role] = dense_columns([first], [second], [words], weight_bits)
    dense, depth, pointwise = build_stages(
        columns,
        dict.fromkeys(columns, 0),
        needs,
        setting(px=px, act_bits=act_bits, double_buffered=double_buffered),
    )
    return Engine(
        dense=dense,
        depthwise=depth,
        pointwise=pointwise,
        px=px,
        act_bits=act_bits,
        double_buffered=double_buffered,
        residual=any(s.invocation.residual for s in segments),
        pool_words=max(
            pool_words(s.invocation, act_bits=act_bits, board=BOARD) for s in segments
        ),
    )


@st.composite
def designs(draw: st.DrawFn, networks: Sequence[Network]) -> Design:
    """Return a random partition of a random network on a random engine."""
    network = draw(st.sampled_from(list(networks)))
    picks = draw(st.lists(st.integers(0, 5), min_size=1, max_size=12))
    segments = segment_path(partition(network), picks)
    shared = draw(st.sampled_from((1, 2, 3, 4, 8)))
    lanes = {
        Role.DENSE: (draw(st.integers(1, 20)), shared),
        Role.DEPTHWISE: (shared, draw(st.sampled_from((1, 3, 5, 9)))),
        Role.POINTWISE: (shared, draw(st.integers(1, 20))),
    }
    engine = build_engine(
        segments,
        lanes=lanes,
        double_buffered=draw(st.booleans()),
        spare_folds=draw(st.integers(0, 4)),
        px=draw(st.integers(1, 8)),
    )
    scheme = {layer.name: draw(st.integers(2, 8)) for layer in network.compute_layers}
    return Design(
        network=network,
        scheme=scheme_of(scheme),
        engine=engine,
        segments=segments,
        board=BOARD,
    )


def eight_bits(layers: Sequence[Compute]) -> dict[str, int]:
    return {layer.name: 8 for layer in layers}


def load_ddr(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> int:
    """Return the cycles in which the DDR brings a run's weights, from their bytes.

    Beside a run, the latencies of the port leave the DDR to others; without double
    buffering the step is theirs.
    """
    moved = load_bytes(invocation, columns, bits, setting)
    cycles = sum(int(np.min(ddr_cycles(b, setting.board))) for b in moved.values())
    alone = 0 if setting.double_buffered else load_step(len(moved))
    return cycles + alone if moved else 0
