"""The values on offer for every stage, and what columns need, take and build.

A branch of the design space fixes what all stages share (`Setting`: pixels at once,
activation width, double buffering). Within it, a stage may be any of many columns;
parallelism is not restricted to divisors of channel counts. `hao.program.space` lists
them.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import (
    DenseShape,
    DepthwiseShape,
    StageArea,
    dense_area,
    depthwise_area,
)
from hao.cost.columns import (
    Columns,
    DenseColumns,
    DepthwiseColumns,
    Setting,
    engine_columns,
)
from hao.cost.memory import beat_channels, input_channels, pixel_channels
from hao.cost.turns import code_turns, sum_cycles
from hao.cost.widths import pixel_bits, window_bits
from hao.cost.words import packed_taps
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.errors import InputError
from hao.hw.board import Board
from hao.ir.averages import kernel_shares
from hao.ir.integer import MEAN_BITS, WIDE_MEAN_BITS
from hao.ir.layer import Conv, Depthwise, Linear, Padding, Pool, PoolKind
from hao.ir.partition import (
    DenseLayer,
    DepthwiseLayer,
    Invocation,
    Partition,
    Role,
)
from hao.ir.passes import DIGIT_BITS
from hao.ir.sparsity import FULL, stored_density

Ints = NDArray[np.int64]

LANES = (1, 2, 3, 4, 6, 8, 9, 10, 12, 16, 18, 20, 24, 32, 36, 40, 48, 64)
"""Lane counts (`simd`, `pe`) on offer; any integer would be legal.

Source: chosen here: steps of at most a third, with multiples of 3, 5 and 9 so that
parallelism need not divide the channels.
"""

TAPS = (1, 3, 5, 9, 13, 25)
"""Kernel taps at once on offer: whole kernels, rows, half kernels (chosen here)."""

PIXELS = (1, 2, 3, 4, 5, 6, 7, 8, 14)
"""Pixels at once on offer (chosen here): divisors of 7, 8, 10 and 12 pixel maps."""

BUFFER_WORDS = (32, 64, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Depths of weight buffers on offer [words]: full block RAMs (chosen here)."""


SIZES = {
    "groups": "channel groups",
    "pools": "pooling",
    "convolves": "convolution",
    "skips": "skipping of words",
    "multiplies": "multipliers of codes",
    "evens": "halves to even codes",
    "wide": "wide multipliers of codes",
    "mean_bits": "bits of means",
}
"""Sizes of a stage whose names say too little."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Buffers that the layers of one stage ask for.

    Attributes:
        layers: Distinct layers that some segment may run on the stage.
    """

    layers: tuple[DenseLayer | DepthwiseLayer, ...]

    @classmethod
    def of(cls, partition: Partition, role: Role) -> "Needs":
        """Return the needs of stage `role` over all segments of a partition."""
        found = {
            layer.name: layer
            for segment in partition.segments
            for used, layer in segment.invocation.stages
            if used is role
        }
        return cls(tuple(found.values()))

    @property
    def dense(self) -> tuple[DenseLayer, ...]:
        """Return the layers as those of a dense or pointwise stage."""
        return tuple(x for x in self.layers if isinstance(x, DenseLayer))

    @property
    def depthwise(self) -> tuple[DepthwiseLayer, ...]:
        """Return the layers as those of the depthwise stage."""
        return tuple(x for x in self.layers if isinstance(x, DepthwiseLayer))

    @property
    def terms(self) -> int:
        """Return the largest number of products summed into one output value.

        A product of a high digit counts as what it is moved up by.
        """
        return max(
            layer.terms * (layer.planes if isinstance(layer, Conv) else 1)
            << DIGIT_BITS * (layer.passes - 1)
            for layer in self.dense
        )

    @property
    def passes(self) -> int:
        """Return the most passes of a layer over the lanes of a dense stage."""
        return max(layer.passes for layer in self.dense)

    @property
    def pruned(self) -> bool:
        """Return whether a layer of a dense stage keeps a part of its words only."""
        return any(stored_density(layer) < FULL for layer in self.dense)

    @property
    def multiplies(self) -> bool:
        """Return whether a layer's codes take a multiplier."""
        return any(
            not isinstance(layer, Pool) and layer.multiplied for layer in self.layers
        )

    @property
    def evens(self) -> bool:
        """Return whether halves of a layer's sums go to even codes."""
        return any(not isinstance(layer, Pool) and layer.evens for layer in self.layers)

    @property
    def wide(self) -> bool:
        """Return whether a layer's codes take a wide multiplier."""
        return any(not isinstance(layer, Pool) and layer.wide for layer in self.layers)

    @property
    def kernel(self) -> int:
        """Return the largest kernel of the depthwise stage."""
        return max(layer.kernel for layer in self.depthwise)

    @property
    def rows(self) -> int:
        """Return the rows of the depthwise ring: a window and the rows to come."""
        return max(layer.kernel + layer.stride for layer in self.depthwise)

    def span(self, px: int) -> int:
        """Return the columns of the widest window that the depthwise stage sends."""
        return max((px - 1) * layer.stride + layer.kernel for layer in self.depthwise)

    @property
    def pools(self) -> bool:
        """Return whether the depthwise stage pools."""
        return any(isinstance(layer, Pool) for layer in self.layers)

    @property
    def mean_bits(self) -> int:
        """Return the width of what the depthwise stage's averages multiply sums by.

        0 without averages; how often border sums count included. One multiplier
        serves all: the widest.
        """
        averages = [
            layer
            for layer in self.layers
            if isinstance(layer, Pool) and layer.kind is PoolKind.AVERAGE
        ]
        if not averages:
            return 0
        left_out = [layer for layer in averages if layer.uncounted != Padding()]
        shares = [kernel_shares(layer.kernel)[0] for layer in left_out]
        wide = any(layer.wide for layer in averages)
        bits = WIDE_MEAN_BITS if wide else MEAN_BITS
        return bits + 2 * max(shares, default=0).bit_length()

    @property
    def convolves(self) -> bool:
        """Return whether the depthwise stage convolves."""
        return any(isinstance(layer, Depthwise) for layer in self.layers)


def ring_words(needs: Needs, simd: Ints, setting: Setting) -> Ints:
    """Return the depth of each pixel bank of a dense stage's ring of rows [words].

    A layer needs the rows of a window and those of the next step. A word holds `simd`
    channels, of several columns where they fit; such words are dealt to `px` banks one
    by one. Other columns are dealt so that `px` of them a stride apart can be read.

    Source: docs/engine.md; equal to banks filled by hand in
    tests/cost/test_catalogue.py.
    """
    words = np.ones_like(simd)
    alike: dict[tuple[int, ...], DenseLayer] = {}
    for layer in needs.dense:
        rows, width, stride = 2, 1, 1
        if not isinstance(layer, Linear):
            rows, width = layer.kernel + layer.stride, layer.ifm.width
            stride = layer.stride
        alike.setdefault((_channels(layer, setting), rows, width, stride), layer)
    for (channels, rows, width, stride), layer in alike.items():
        taps = packed_taps(layer, simd, channels)
        packed = -(-width // (taps * setting.px))
        apart = -(-width // (stride * setting.px)) * stride
        slots = np.where(taps > 1, packed, apart)
        words = np.maximum(words, rows * slots * -(-channels // simd))
    return words


def vector_words(needs: Needs, simd: Ints, setting: Setting) -> Ints:
    """Return the depth of a pointwise stage's pixel vectors, two of each [words]."""
    channels = max(_channels(layer, setting) for layer in needs.dense)
    return 2 * -(-channels // simd)


def _channels(layer: DenseLayer, setting: Setting) -> int:
    return input_channels(layer, setting.act_bits, setting.board)


def output_groups(needs: Needs, pe: Ints) -> Ints:
    """Return the most groups of `pe` output channels of any layer of a stage."""
    return -(-max(layer.ofm.channels for layer in needs.layers) // pe)


def channel_words(needs: Needs, pe: Ints, *, double: bool) -> Ints:
    """Return the depth of a stage's memory of records [words of pe records].

    A stage that only pools needs none, which counts as one word.
    """
    groups = [x.ofm.channels for x in needs.layers if not isinstance(x, Pool)]
    words = -(-max(groups, default=1) // pe)
    return words * (2 if double and groups else 1)


def turns(needs: Needs, pe: Ints, items: Ints, setting: Setting) -> Ints | None:
    """Return the lanes of a multiplier of codes; `None` without multipliers."""
    return code_turns(
        needs.layers, pe=pe, items=items, act_bits=setting.act_bits, board=setting.board
    )


def pack_words(needs: Needs, pe: Ints) -> Ints:
    """Return the depth of each bank of the OFM on the way out: two groups of pixels.

    Every layer may be the last of a run: each may run alone.
    """
    return 2 * output_groups(needs, pe)


def row_words(needs: Needs, pe: Ints, px: int | Ints) -> Ints:
    """Return the depth of one row and pixel bank of the depthwise ring [words]."""
    words = np.ones_like(pe)
    for layer in needs.depthwise:
        here = -(-layer.ifm.width // px) * -(-layer.ifm.channels // pe)
        words = np.maximum(words, here)
    return words


def channel_groups(needs: Needs, pe: Ints) -> Ints:
    """Return the most channel groups of any layer of the depthwise stage."""
    return -(-max(layer.ifm.channels for layer in needs.depthwise) // pe)


def kernel_words(needs: Needs, pe: Ints, taps: Ints, *, double: bool) -> Ints:
    """Return the depth of the depthwise buffer of all weights of a layer [words]."""
    words = np.ones_like(pe)
    for layer in needs.depthwise:
        if isinstance(layer, Depthwise):
            here = -(-layer.ifm.channels // pe) * -(-(layer.kernel**2) // taps)
            words = np.maximum(words, here)
    return words * (2 if double and needs.convolves else 1)


def column_area(
    columns: Columns, needs: Needs, setting: Setting, *, ring: bool
) -> StageArea:
    """Return the area of columns whose buffers serve `needs`.

    Args:
        columns: Configurations of a stage.
        needs: Layers that it may run.
        setting: What the columns share; with pixels at once of shape (p, 1) the areas
            are of shape (p, columns).
        ring: The stage keeps a ring of rows.
    """
    px, act_bits, board = setting.px, setting.act_bits, setting.board
    if isinstance(columns, DepthwiseColumns):
        shape = _depthwise_shape(columns, needs, setting)
        return depthwise_area(shape, px=px, act_bits=act_bits, board=board)
    # Most columns differ in the weight buffer alone.
    _, first, lane_of = np.unique(
        (columns.simd << 32) + (columns.pe << 8) + columns.weight_bits,
        return_index=True,
        return_inverse=True,
    )
    dense = replace(
        _dense_shape(columns.take(first), needs, setting, ring=ring),
        weight_words=columns.weight_words,
        weights_in_uram=columns.in_uram,
        lane_of=lane_of,
    )
    return dense_area(dense, px=px, act_bits=act_bits, board=board, ring=ring)


def _dense_shape(
    columns: DenseColumns, needs: Needs, setting: Setting, *, ring: bool
) -> DenseShape:
    """Return what dense columns build; arguments are those of `column_area`."""
    simd, pe = columns.simd, columns.pe
    feature_words = ring_words if ring else vector_words
    return DenseShape(
        simd=simd,
        pe=pe,
        weight_bits=columns.weight_bits,
        weight_words=columns.weight_words,
        weights_in_uram=columns.in_uram,
        feature_words=feature_words(needs, simd, setting),
        channel_words=channel_words(needs, pe, double=setting.double_buffered),
        pack_words=pack_words(needs, pe),
        terms=needs.terms,
        passes=needs.passes,
        skips=needs.pruned,
        multiplies=needs.multiplies,
        turns=turns(needs, pe, simd, setting),
        evens=needs.evens,
        wide=needs.wide,
    )


def _depthwise_shape(
    columns: DepthwiseColumns, needs: Needs, setting: Setting
) -> DepthwiseShape:
    """Return what depthwise columns build; arguments are those of `column_area`."""
    pe, taps, double = columns.pe, columns.taps, setting.double_buffered
    return DepthwiseShape(
        pe=pe,
        taps=taps,
        weight_bits=columns.weight_bits,
        weight_words=kernel_words(needs, pe, taps, double=double),
        row_words=row_words(needs, pe, setting.px),
        groups=channel_groups(needs, pe),
        channel_words=channel_words(needs, pe, double=double),
        pack_words=pack_words(needs, pe),
        rows=needs.rows,
        kernel=needs.kernel,
        pools=needs.pools,
        convolves=needs.convolves,
        multiplies=needs.multiplies,
        turns=turns(needs, pe, taps, setting),
        evens=needs.evens,
        wide=needs.wide,
        mean_bits=needs.mean_bits,
    )


def _sizes(
    role: Role, columns: Columns, needs: Needs, setting: Setting
) -> dict[str, Any]:
    """Return the sizes of a stage that a single column builds, by their names."""
    shape: DenseShape | DepthwiseShape
    if isinstance(columns, DepthwiseColumns):
        shape = _depthwise_shape(columns, needs, setting)
    else:
        shape = _dense_shape(columns, needs, setting, ring=role is Role.DENSE)
    sizes = {field.name: getattr(shape, field.name) for field in fields(shape)}
    return {
        name: size.ravel()[0].item() if isinstance(size, np.ndarray) else size
        for name, size in sizes.items()
        if size is not None
    }


def word_bits(columns: Columns, needs: Needs, setting: Setting) -> Ints:
    """Return the bits of the widest word on the streams around a stage's array."""
    px, act_bits = setting.px, setting.act_bits
    if isinstance(columns, DepthwiseColumns):
        # Wider than `pe` channels of `px` pixels.
        return window_bits(
            columns.pe, kernel=needs.kernel, span=needs.span(px), act_bits=act_bits
        )
    lanes = np.maximum(columns.simd, columns.pe)
    return pixel_bits(lanes, px=px, act_bits=act_bits)


def build_stages(
    columns: dict[Role, Columns],
    steps: dict[Role, int],
    needs: dict[Role, Needs],
    setting: Setting,
) -> tuple[DenseStage | None, DepthwiseStage | None, DenseStage | None]:
    """Return the stages that single columns describe, buffers sized for `needs`.

    Args:
        columns: One column per stage that is built.
        steps: Steps of lanes onto DSPs per stage (`hao.cost.area.StageArea`).
        needs: Layers per stage.
        setting: Branch of the design space.
    """
    dense: dict[Role, DenseStage] = {}
    depthwise = None
    for role, column in columns.items():
        sizes = _sizes(role, column, needs[role], setting)
        if role is Role.DEPTHWISE:
            depthwise = DepthwiseStage(**sizes, dsp_lanes=steps[role])
        else:
            dense[role] = DenseStage(**sizes, dsp_pairs=steps[role])
    return dense.get(Role.DENSE), depthwise, dense.get(Role.POINTWISE)


def pool_words(invocation: Invocation, *, act_bits: int, board: Board) -> int:
    """Return the words of sums that an invocation's global average pool keeps.

    A word holds the sums of a beat's channels; 0 where nothing is pooled.
    """
    if invocation.ofm == invocation.stage_ofm:
        return 0
    beat = beat_channels(act_bits, board)
    return -(-pixel_channels(invocation.ofm.channels, beat) // beat)


def check_buffers(design: Design) -> None:
    """Check that every stage exists and holds what the design's segments need.

    Raises:
        InputError: A segment needs a stage, a weight width or a buffer that the
            engine lacks; names the layer.
    """
    engine = design.engine
    setting, columns = Setting.of(engine, design.board), engine_columns(engine)
    for segment in design.segments:
        invocation = segment.invocation
        if invocation.residual and not engine.residual:
            raise InputError(
                f"invocation {invocation.name!r} adds a residual; the engine "
                "has no residual port"
            )
        sums = pool_words(invocation, act_bits=engine.act_bits, board=design.board)
        if sums > engine.pool_words:
            raise InputError(
                f"invocation {invocation.name!r} needs {sums} pool words; the engine "
                f"has {engine.pool_words}"
            )
        for role, layer in invocation.stages:
            stage = engine.stage(role)
            if stage is None:
                raise InputError(
                    f"layer {layer.name!r} runs on the {role.value} stage, which the "
                    "engine lacks"
                )
            if not isinstance(layer, Pool) and (
                design.lane_bits[layer.name] > stage.weight_bits
            ):
                raise InputError(
                    f"layer {layer.name!r} has {design.lane_bits[layer.name]}-bit "
                    f"weights; the {role.value} stage takes {stage.weight_bits}"
                )
            _check_turns(layer, stage, setting)
            needed = _sizes(role, columns[role], Needs((layer,)), setting)
            for name, need in needed.items():
                have = getattr(stage, name)
                if name != "turns" and need > have:
                    word = SIZES.get(name, name.replace("_", " "))
                    raise InputError(
                        f"layer {layer.name!r} needs {int(need)} {word}; the "
                        f"{role.value} stage has {int(have)}"
                    )


def _check_turns(
    layer: DenseLayer | DepthwiseLayer,
    stage: DenseStage | DepthwiseStage,
    setting: Setting,
) -> None:
    """Check that sums of a layer take as long as their codes."""
    if isinstance(layer, Pool):
        return
    cycles = sum_cycles(
        layer, stage.items, act_bits=setting.act_bits, board=setting.board
    )
    if cycles < stage.turns:
        raise InputError(
            f"layer {layer.name!r} takes {cycles} cycles for a sum; the multipliers of "
            f"codes take {stage.turns} turns"
        )
