"""The subgraph engine and its free variables.

One engine serves the whole network. Each stage has its own parallelism; all stages
work on the same number of neighbouring pixels `px`, and the channel groups that
neighbouring stages exchange must divide each other (`lanes_match`). Buffers are
given by their depth in words of the stage, so that area follows from this record
and the board alone (`hao.cost.area`).
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import assert_never

from hao.errors import InputError
from hao.ir.partition import Role
from hao.ir.passes import most_passes
from hao.ir.tensor import MAX_BITS, MIN_BITS


def lanes_match(lanes: int, neighbour: int) -> bool:
    """Return whether two stages can exchange channel groups of these sizes."""
    return lanes % neighbour == 0 or neighbour % lanes == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseStage:
    """A stage of `pe` lanes with `simd` multipliers each, `px` pixels side by side.

    Serves as dense (KxK) and as pointwise stage.

    Attributes:
        simd: Multipliers per lane: input channels (or channels and taps) at once.
        pe: Output channels at once.
        weight_bits: Widest weight it serves.
        dsp_pairs: Pairs of lanes whose products are made by DSPs; the remaining
            `pe` - 2 * `dsp_pairs` lanes are built from LUTs.
        weight_words: Depth of the weight buffer [words of pe * simd weights]; both
            halves together where the engine double-buffers.
        feature_words: Depth of each of the `px` feature-map banks [words of simd
            activations]: the ring of rows (dense), the pixel vectors (pointwise).
        channel_words: Depth of the memory of records [words of pe records]: one per
            output group of the deepest layer; both halves together likewise.
        pack_words: Depth of each of the `px` banks that collect the OFM for the way
            out [words of pe activations]: two groups of pixels.
        terms: Largest number of products summed into one output value; one of a high
            digit of a weight counts as what it is moved up by.
        passes: Most passes of a layer over the lanes (`hao.ir.passes`).
        skips: It skips words of weights that are zeros (`hao.ir.sparsity`), and keeps a
            list of those that are not.
        multiplies: Its codes take a multiplier.
        turns: Lanes that a multiplier of codes serves in turn; they divide `pe`.
        evens: Halves go to even codes where a channel says so.
        wide: Its codes take a wide multiplier.
        weights_in_uram: The weight buffer is made of URAM, else of block RAM or LUTs.
    """

    simd: int
    pe: int
    weight_bits: int
    dsp_pairs: int
    weight_words: int
    feature_words: int
    channel_words: int
    pack_words: int
    terms: int
    passes: int = 1
    skips: bool = False
    multiplies: bool = False
    turns: int = 1
    evens: bool = False
    wide: bool = field(default=False, repr=False)
    weights_in_uram: bool = False

    def __post_init__(self) -> None:
        depths = (
            self.weight_words,
            self.feature_words,
            self.channel_words,
            self.pack_words,
        )
        if min(self.simd, self.pe, *depths, self.terms) < 1:
            raise InputError(
                f"{self}: parallelism, depths and terms must be at least 1"
            )
        if not 0 <= 2 * self.dsp_pairs <= self.pe:
            raise InputError(f"{self.dsp_pairs} DSP pairs exceed {self.pe} lanes")
        if not 1 <= self.passes <= most_passes():
            raise InputError(
                f"passes = {self.passes}; must be from 1 to {most_passes()}"
            )
        _check_turns(self)
        _check_bits(self.weight_bits)

    @property
    def lanes_in(self) -> int:
        """Return the channels of a pixel that the stage takes at once."""
        return self.simd

    @property
    def items(self) -> int:
        """Return the weights that one output channel uses at once."""
        return self.simd


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseStage:
    """A stage of `pe` channels, `taps` kernel taps and `px` pixels side by side.

    Attributes:
        pe: Channels at once.
        taps: Kernel taps at once.
        weight_bits: Widest weight it serves.
        dsp_lanes: Lanes whose products are made by DSPs; the rest use LUTs.
        weight_words: Depth of the weight buffer [words of pe * taps weights].
        row_words: Depth of one row of one of the `px` banks of the row ring
            [words of pe activations].
        groups: Channel groups whose last columns are kept.
        channel_words: Depth of the memory of records, as in `DenseStage`.
        pack_words: Depth of each of the `px` banks of the OFM, as in `DenseStage`.
        rows: Rows in the ring.
        kernel: Largest kernel it serves.
        pools: It serves pooling.
        convolves: It serves convolutions; without them it has no multipliers.
        multiplies: As in `DenseStage`.
        turns: As in `DenseStage`.
        evens: As in `DenseStage`.
        wide: As in `DenseStage`.
        mean_bits: Width of what sums of averages are multiplied by; 0 without any.
    """

    pe: int
    taps: int
    weight_bits: int
    dsp_lanes: int
    weight_words: int
    row_words: int
    groups: int
    channel_words: int
    pack_words: int
    rows: int
    kernel: int
    pools: bool
    convolves: bool
    multiplies: bool = False
    turns: int = 1
    evens: bool = False
    wide: bool = field(default=False, repr=False)
    mean_bits: int = 0

    def __post_init__(self) -> None:
        depths = (
            self.weight_words,
            self.row_words,
            self.groups,
            self.channel_words,
            self.pack_words,
            self.rows,
        )
        if min(self.pe, self.taps, *depths, self.kernel) < 1:
            raise InputError(
                f"{self}: parallelism, depths and kernel must be at least 1"
            )
        if not 0 <= self.dsp_lanes <= self.pe:
            raise InputError(f"{self.dsp_lanes} DSP lanes exceed {self.pe} lanes")
        _check_turns(self)
        _check_bits(self.weight_bits)

    @property
    def lanes_in(self) -> int:
        """Return the channels of a pixel that the stage takes at once."""
        return self.pe

    @property
    def items(self) -> int:
        """Return the weights that one output channel uses at once."""
        return self.taps


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The accelerator: three stages, each possibly absent.

    Attributes:
        px: Output pixels of a row at once, in every stage.
        act_bits: Width of the activations.
        double_buffered: Weights of the next invocation load while one computes.
        residual: The way out adds a second feature map.
        pool_words: Depth of the memory of a global average pool [words of the sums of
            one beat's channels]; 0 where the engine has none.
        wide_mean: Those sums take a wide multiplier.
    """

    dense: DenseStage | None
    depthwise: DepthwiseStage | None
    pointwise: DenseStage | None
    px: int
    act_bits: int
    double_buffered: bool
    residual: bool
    pool_words: int = 0
    wide_mean: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.px < 1:
            raise InputError(f"px = {self.px}; must be at least 1")
        if self.pool_words < 0:
            raise InputError(f"pool_words = {self.pool_words}; must be at least 0")
        _check_bits(self.act_bits)
        lanes: list[tuple[str, int]] = []
        if self.dense is not None:
            lanes.append(("dense pe", self.dense.pe))
        if self.depthwise is not None:
            lanes.append(("depthwise pe", self.depthwise.pe))
        if self.pointwise is not None:
            lanes.append(("pointwise simd", self.pointwise.simd))
        for (before, made), (after, taken) in pairwise(lanes):
            if not lanes_match(made, taken):
                raise InputError(
                    f"{before} = {made} and {after} = {taken}; one must divide the "
                    "other"
                )

    def stage(self, role: Role) -> DenseStage | DepthwiseStage | None:
        """Return one stage, `None` where the engine has none."""
        match role:
            case Role.DENSE:
                return self.dense
            case Role.DEPTHWISE:
                return self.depthwise
            case Role.POINTWISE:
                return self.pointwise
            case _:
                assert_never(role)

    @property
    def multipliers(self) -> int:
        """Return the multipliers built, in all stages."""
        total = 0
        for stage in (self.dense, self.pointwise):
            if stage is not None:
                total += stage.simd * stage.pe * self.px
        if self.depthwise is not None and self.depthwise.convolves:
            total += self.depthwise.pe * self.depthwise.taps * self.px
        return total


def _check_turns(stage: DenseStage | DepthwiseStage) -> None:
    if (
        stage.turns < 1
        or stage.pe % stage.turns
        or (stage.turns > 1 and not stage.multiplies)
    ):
        raise InputError(
            f"turns = {stage.turns}; must divide the {stage.pe} lanes, and be 1 "
            "without multipliers of codes"
        )


def _check_bits(bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise InputError(
            f"{bits} bits; the engine is built for {MIN_BITS} to {MAX_BITS}"
        )
