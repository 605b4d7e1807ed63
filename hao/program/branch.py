"""One branch of the design space, priced: the data behind an integer program.

A branch fixes what all stages share (pixels at once, double buffering) and the bits
that each layer may take. `Branch` holds every column of every stage and every row
that limits a segment's period, as arrays. From them come the exact latency of any
choice (`latencies`, by dynamic programming over the partition) and the coefficients
of the integer program (`hao.program.codesign`).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import fixed_area, pool_lutram
from hao.cost.catalogue import (
    BUFFER_WORDS,
    LANES,
    TAPS,
    Catalogue,
    Needs,
    dense_catalogue,
    depthwise_catalogue,
)
from hao.cost.columns import Columns, DenseColumns, Scheme, Setting
from hao.cost.loads import load_cycles, load_ddr_cycles
from hao.cost.prices import SegmentPrice, price_segment
from hao.hw.resources import Resources
from hao.ir.layer import Linear
from hao.ir.partition import Invocation, Partition, Role, Segment

Ints = NDArray[np.int64]

DSP_PRICES = (0, 20, 40, 60, 80, 100, 130, 170)
"""Prices of a DSP in LUTs at which the board's limits are added up (chosen here)."""

NEVER = np.int64(1) << 50
"""Cycles of what cannot run; far above any latency, far below overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The free parameters of the catalogue: which values each may take.

    Attributes:
        pixels: Pixels at once.
        lanes: Values of `simd` and `pe`.
        taps: Kernel taps at once.
        depths: Depths of the weight buffers [words].
        buffering: Whether weights are double-buffered: the choices on offer.
    """

    pixels: tuple[int, ...]
    lanes: tuple[int, ...] = LANES
    taps: tuple[int, ...] = TAPS
    depths: tuple[int, ...] = BUFFER_WORDS
    buffering: tuple[bool, ...] = (True, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """All columns and prices of one branch.

    Attributes:
        setting: What the columns share.
        partition: Legal segments of the network.
        scheme: Weight bits that transfers are priced at.
        needs: Layers per stage.
        stages: Catalogue per stage.
        prices: Price of each segment, in the order of `partition.segments`.
        loads: Weight-port cycles of each segment's weights.
        ddr_loads: DDR cycles of each segment's weights.
        limit: What the stages may take: the board's usable resources less the fixed
            part.
        lutram: LUTs that the stages may use as memory.
    """

    setting: Setting
    partition: Partition
    scheme: Scheme
    needs: Mapping[Role, Needs]
    stages: Mapping[Role, Catalogue]
    prices: tuple[SegmentPrice, ...]
    loads: tuple[int, ...]
    ddr_loads: tuple[int, ...]
    limit: Resources
    lutram: int

    def starting(self, position: int) -> list[int]:
        """Return the indices of the segments that start at `position`."""
        return [
            index
            for index, segment in enumerate(self.partition.segments)
            if segment.start == position
        ]


def build_branch(
    partition: Partition,
    scheme: Scheme,
    setting: Setting,
    widths: Mapping[Role, tuple[int, ...]],
    space: Space,
    *,
    residual: bool,
    pool_words: int,
    whole: Partition | None = None,
) -> Branch:
    """Return a branch with everything priced.

    Args:
        partition: Legal segments.
        scheme: Weight bits that transfers are priced at.
        setting: Branch of the design space.
        widths: Weight widths that each stage may be built for [bits].
        space: Values of the catalogue's parameters.
        residual: The engine adds residuals.
        pool_words: Words of sums of the engine's global average pool.
        whole: Segments that buffers are sized for, `partition` unless given.
    """
    branch = build_branch_within(
        partition,
        scheme,
        setting,
        widths,
        space,
        residual=residual,
        pool_words=pool_words,
        limit=None,
        whole=whole,
    )
    assert branch is not None
    return branch


def build_branch_within(
    partition: Partition,
    scheme: Scheme,
    setting: Setting,
    widths: Mapping[Role, tuple[int, ...]],
    space: Space,
    *,
    residual: bool,
    pool_words: int,
    limit: int | None,
    whole: Partition | None = None,
) -> Branch | None:
    """Return a branch with everything priced, or `None` if none of it can be in time.

    Args:
        partition: As for `build_branch`, and so are those that follow.
        scheme: Weight bits.
        setting: Branch of the design space.
        widths: Weight widths per stage.
        space: Values of the catalogue's parameters.
        residual: The engine adds residuals.
        pool_words: Words of sums of the engine's global average pool.
        limit: Cycles that an engine of interest stays within; `None` for any.
        whole: Segments that buffers are sized for, `partition` unless given.
    """
    needs = {role: Needs.of(whole or partition, role) for role in Role}
    stages: dict[Role, Catalogue] = {}
    for role in Role:
        if not needs[role].layers:
            continue
        if role is Role.DEPTHWISE:
            stages[role] = depthwise_catalogue(
                needs[role], setting, widths[role], lanes=space.lanes, taps=space.taps
            )
        else:
            stages[role] = dense_catalogue(
                needs[role],
                setting,
                widths[role],
                ring=role is Role.DENSE,
                lanes=space.lanes,
                depths=space.depths,
            )
    board, act_bits = setting.board, setting.act_bits
    fixed = fixed_area(
        board, act_bits=act_bits, residual=residual, pool_words=pool_words
    )
    sums = pool_lutram(board, act_bits=act_bits, pool_words=pool_words)
    room = _left(board.usable, fixed)
    if limit is not None and _too_few_multipliers(needs, stages, setting, room, limit):
        return None
    columns = {role: catalogue.columns for role, catalogue in stages.items()}
    invocations = [segment.invocation for segment in partition.segments]
    return Branch(
        setting=setting,
        partition=partition,
        scheme=scheme,
        needs={role: needs[role] for role in stages},
        stages=stages,
        prices=_prices(invocations, columns, scheme, setting),
        loads=tuple(load_cycles(i, scheme, setting) for i in invocations),
        ddr_loads=tuple(load_ddr_cycles(i, scheme, setting) for i in invocations),
        limit=room,
        lutram=board.lutram - sums,
    )


def _left(usable: Resources, fixed: Resources) -> Resources:
    """Return what the fixed part leaves; nothing at all if it does not fit itself.

    No stage fits into nothing, since every stage takes LUTs.
    """
    if fixed.shortfall(usable):
        return Resources()
    return Resources(
        dsp=usable.dsp - fixed.dsp,
        bram_18k=usable.bram_18k - fixed.bram_18k,
        lut=usable.lut - fixed.lut,
        ff=usable.ff - fixed.ff,
    )


def _too_few_multipliers(
    needs: Mapping[Role, Needs],
    stages: Mapping[Role, Catalogue],
    setting: Setting,
    room: Resources,
    limit: int,
) -> bool:
    """Return whether all multipliers that fit cannot make the products in time.

    At any price of a DSP in LUTs, a stage takes at least so many priced LUTs per
    multiplier; what the board has at that price bounds the multipliers.
    """
    layers = {
        layer.name: layer.macs
        for role, need in needs.items()
        if role is not Role.DEPTHWISE
        for layer in need.dense
    }
    most = float("inf")
    for price in DSP_PRICES:
        cheapest = float("inf")
        for catalogue in stages.values():
            columns, area = catalogue.columns, catalogue.area
            if not isinstance(columns, DenseColumns):
                continue
            step = np.minimum(0, area.step.lut + price * area.step.dsp)
            taken = area.base.lut + area.steps * step
            each = taken / (columns.simd * columns.pe * setting.px)
            cheapest = min(cheapest, float(each.min(initial=np.inf)))
        if cheapest > 0:
            most = min(most, (room.lut + price * room.dsp) / cheapest)
    return sum(layers.values()) > limit * most


def _prices(
    invocations: Sequence[Invocation],
    columns: Mapping[Role, Columns],
    scheme: Scheme,
    setting: Setting,
) -> tuple[SegmentPrice, ...]:
    """Return the price of each invocation, one object for all that are alike."""
    known: dict[Hashable, SegmentPrice] = {}
    result = []
    for invocation in invocations:
        key = _likeness(invocation, scheme)
        if key not in known:
            known[key] = price_segment(invocation, columns, scheme, setting)
        result.append(known[key])
    return tuple(result)


def _likeness(invocation: Invocation, scheme: Scheme) -> Hashable:
    """Return what of an invocation its price depends on: all but the names."""
    stages = tuple(
        (
            role,
            type(layer),
            layer.ifm,
            layer.ofm,
            (
                None
                if isinstance(layer, Linear)
                else (layer.kernel, layer.stride, layer.padding)
            ),
            scheme.get(layer.name),
        )
        for role, layer in invocation.stages
    )
    return (
        stages,
        invocation.ifm,
        invocation.stage_ofm,
        invocation.ofm,
        invocation.residual,
    )


Choice = Mapping[Role, Ints]
"""Column indices per stage, arrays of one length: many designs side by side."""


def _sum_terms(terms: Mapping[Role, Ints], choice: Choice, constant: int) -> Ints:
    total: Ints = np.asarray(constant, dtype=np.int64)
    for role, cycles in terms.items():
        total = total + cycles[choice[role]]
    return total


@dataclass(frozen=True, slots=True)
class _Rows:
    """Exact lower bounds of one segment's period for a choice, to be maximised."""

    alone: Ints
    beside: Ints
    ddr: Ints
    opening: Ints
    opening_ddr: Ints


def _rows(price: SegmentPrice, choice: Choice) -> _Rows:
    compute = np.max(
        np.broadcast_arrays(
            *(_sum_terms(path.terms, choice, path.constant) for path in price.paths)
        ),
        axis=0,
    )
    for role, feasible in price.feasible.items():
        compute = np.where(feasible[choice[role]], compute, NEVER)
    beside = _sum_terms(price.beside.terms, choice, price.beside.constant)
    ddr = _sum_terms(price.ddr.terms, choice, price.ddr.constant)
    return _Rows(
        alone=cast(Ints, np.maximum(compute, ddr)),
        beside=beside,
        ddr=ddr,
        opening=_sum_terms(price.opening.terms, choice, price.opening.constant),
        opening_ddr=_sum_terms(
            price.opening_ddr.terms, choice, price.opening_ddr.constant
        ),
    )


def latencies(branch: Branch, choice: Choice) -> tuple[Ints, list[Ints]]:
    """Return the least latency of each chosen engine and its value per segment.

    Args:
        branch: Prices.
        choice: Column indices per stage, all of one length n.

    Returns:
        Latency of shape (n,) [cycles], at least `NEVER` where none is possible, and
        for every segment the least cycles from its start to the end of the frame.
    """
    segments = branch.partition.segments
    positions = len(branch.partition.positions)
    double = branch.setting.double_buffered
    known: dict[int, _Rows] = {}
    to_go: list[Ints] = [np.empty(0, dtype=np.int64)] * len(segments)
    starts: list[list[int]] = [[] for _ in range(positions + 1)]
    for index, segment in enumerate(segments):
        starts[segment.start].append(index)

    def rows_of(index: int) -> _Rows:
        price = branch.prices[index]
        if id(price) not in known:
            known[id(price)] = _rows(price, choice)
        return known[id(price)]

    for index in sorted(range(len(segments)), key=lambda i: -segments[i].start):
        segment = segments[index]
        rows = rows_of(index)
        alone = rows.alone
        serial = 0
        if not double:
            serial = max(branch.loads[index], branch.ddr_loads[index])
        followers = starts[segment.end + 1]
        if not followers:
            to_go[index] = alone + serial
            continue
        best: Ints | None = None
        for after in followers:
            period = alone
            if double:
                upcoming = rows_of(after)
                period = np.maximum(period, rows.beside + upcoming.opening)
                period = np.maximum(period, rows.ddr + upcoming.opening_ddr)
            value = period + to_go[after]
            best = value if best is None else np.minimum(best, value)
        assert best is not None
        to_go[index] = best + serial
    first = [
        to_go[index]
        + (
            np.maximum(rows_of(index).opening, rows_of(index).opening_ddr)
            if double
            else 0
        )
        for index in starts[0]
    ]
    # A segment that bypasses every stage takes the same for all engines.
    shape = np.broadcast_shapes(*(index.shape for index in choice.values()))
    return np.minimum.reduce([np.broadcast_to(f, shape) for f in first]), to_go


def best_segments(branch: Branch, choice: Choice) -> tuple[Segment, ...]:
    """Return the partition that gives a single engine its least latency."""
    latency, to_go = latencies(branch, choice)
    assert latency.size == 1
    double = branch.setting.double_buffered
    chosen: list[int] = []

    def value(index: int) -> int:
        base = int(to_go[index].reshape(-1)[0])
        own = _rows(branch.prices[index], choice)
        opening = int(own.opening.reshape(-1)[0])
        opening_ddr = int(own.opening_ddr.reshape(-1)[0])
        if not chosen:
            return base + (max(opening, opening_ddr) if double else 0)
        rows = _rows(branch.prices[chosen[-1]], choice)
        period = int(rows.alone.reshape(-1)[0])
        if double:
            period = max(
                period,
                int(rows.beside.reshape(-1)[0]) + opening,
                int(rows.ddr.reshape(-1)[0]) + opening_ddr,
            )
        return period + base

    position = 0
    while position < len(branch.partition.positions):
        index = min(branch.starting(position), key=value)
        chosen.append(index)
        position = branch.partition.segments[index].end + 1
    return tuple(branch.partition.segments[index] for index in chosen)
