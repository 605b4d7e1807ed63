"""Prices of segments: arrays equal single columns, tiles equal layers of their size."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hao.cost.columns import Columns, DenseColumns, Setting
from hao.cost.loads import load_cycles
from hao.cost.memory import (
    ddr_cycles,
    feature_bytes,
    layer_bytes,
    port_cycles,
    weight_bytes,
)
from hao.cost.overheads import (
    EXIT_CYCLES,
    FILL_CYCLES,
    LOAD_STAGE_CYCLES,
    LOAD_START_CYCLES,
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
    load_overhead,
    load_step,
)
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.cost.tiles import tile_runs
from hao.cost.units import unit_cycles
from hao.cost.words import dense_folds
from hao.errors import InputError
from hao.ir.layer import Conv, Linear
from hao.ir.partition import Invocation, Role
from tests.cost.samples import (
    QUICK,
    THOROUGH,
    conv,
    convs,
    dense_columns,
    depthwise,
    depthwise_columns,
    invocation,
    linear,
    load_ddr,
    max_pool,
    setting,
    shape,
)
from tests.hw.samples import BOARD


def tile_groups(
    layer: Conv | Linear, *, simd: int, pe: int, weight_words: int, setting: Setting
) -> tuple[int, ...]:
    """Return the output groups of every tile of a layer that is never cut further."""
    runs = tile_runs(
        layer, simd=simd, pe=pe, weight_words=weight_words, setting=setting
    )
    assert all(run.starts and run.ends for run in runs)
    return tuple(run.groups for run in runs)


DEEP = 1 << 40
"""Buffer words that any layer fits."""


OPENINGS = ("opening", "opening_ddr", "opening_dense", "opening_pointwise")


def _work(price: SegmentPrice, column: int) -> dict[str, int]:
    """Return the rows of a segment's own work, with all stages at one column."""
    rows = _rows(price, column)
    left_out = (*OPENINGS, "beside", "standing", "held")
    return {label: row for label, row in rows.items() if label not in left_out}


def _rows(price: SegmentPrice, column: int) -> dict[str, int]:
    """Return every row of a price, with all stages at one column."""
    rows = (
        *price.paths,
        *price.ddr,
        replace(price.beside, label="beside"),
        replace(price.standing, label="standing"),
        replace(price.held, label="held"),
        *(replace(p, label=n) for n, p in zip(OPENINGS, price.opening, strict=True)),
    )
    return {
        row.label: row.constant + sum(int(term[column]) for term in row.terms.values())
        for row in rows
    }


BLOCK = invocation(
    dense=conv(shape(6, 10, 9), 20, 1, name="a"),
    depthwise=depthwise(shape(20, 10, 9), 3, stride=2, name="b"),
    pointwise=conv(shape(20, 5, 5), 12, 1, name="c"),
    residual=True,
)
BITS = {"a": 5, "b": 8, "c": 3, "conv": 4, "linear": 8}


@given(st.data())
@QUICK
def test_a_price_of_arrays_equals_that_of_single_columns(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 5))

    def counts(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns(counts(1, 16), counts(1, 16), counts(1, 60)),
        Role.DEPTHWISE: depthwise_columns(counts(1, 16), counts(1, 9)),
        Role.POINTWISE: dense_columns(counts(1, 16), counts(1, 16), counts(1, 60)),
    }
    shared = setting(
        px=data.draw(st.integers(1, 5)), double_buffered=data.draw(st.booleans())
    )
    single = invocation(dense=conv(shape(6, 10, 9), 20, name="conv"), residual=True)
    for run in (BLOCK, single):
        together = price_segment(run, columns, BITS, shared)
        for index in range(size):
            one = {r: c.take(np.array([index])) for r, c in columns.items()}
            alone = price_segment(run, one, BITS, shared)
            assert _rows(together, index) == _rows(alone, 0)
            for role, fits in together.feasible.items():
                assert fits[index] == alone.feasible[role][0]
            for role, tiles in together.tiles.items():
                assert tiles[index] == alone.tiles[role][0]
                assert together.tiled[role][index] == alone.tiled[role][0]


def _every_row(price: SegmentPrice) -> Iterator[Path]:
    yield from (
        *price.paths,
        *price.ddr,
        price.beside,
        price.standing,
        price.held,
        *price.opening,
        *price.serial,
    )


RUNS = (
    BLOCK,
    invocation(dense=conv(shape(6, 10, 9), 20, name="conv"), pooled=True),
    invocation(depthwise=depthwise(shape(20, 10, 9), 3, name="b"), residual=True),
    invocation(depthwise=max_pool(shape(8, 6, 6))),
    invocation(pointwise=linear(shape(20, 1, 1), 30)),
    invocation(dense=linear(shape(20, 3, 3), 30)),
)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("double", [True, False])
def test_every_term_is_an_array_of_the_columns(
    run: Invocation, size: int, double: bool
) -> None:
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([4] * size, [4] * size, [60] * size),
        Role.DEPTHWISE: depthwise_columns([4] * size, [9] * size),
        Role.POINTWISE: dense_columns([4] * size, [4] * size, [60] * size),
    }
    for px in (1, 4, 20):
        shared = setting(px=px, double_buffered=double)
        price = price_segment(run, columns, BITS, shared)
        for row in _every_row(price):
            assert isinstance(row.constant, int)
            assert all(term.shape == (size,) for term in row.terms.values())
        for cycles in (*price.tiled.values(), *price.tiles.values()):
            assert cycles.shape == (size,)
        for feasible in price.feasible.values():
            assert feasible.shape == (size,)


@given(
    st.sampled_from(RUNS),
    st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(20, 400)),
    st.integers(1, 5),
    st.booleans(),
    st.integers(2, 7),
    st.sampled_from((20, 50, 55, 70, 100)),
)
@THOROUGH
def test_wider_weights_never_lower_a_row(
    run: Invocation,
    lanes: tuple[int, int, int],
    px: int,
    double: bool,
    bits: int,
    efficiency: int,
) -> None:
    # The search takes a price at few bits for a bound of those at more. Where the DDR
    # is faster than a port, a load beside a run costs it less than its share.
    simd, pe, words = lanes
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([simd], [pe], [words]),
        Role.DEPTHWISE: depthwise_columns([pe], [3]),
        Role.POINTWISE: dense_columns([simd], [pe], [words]),
    }
    shared = replace(
        setting(px=px, double_buffered=double),
        board=BOARD.at_ddr(efficiency),
    )
    few, many = (
        _rows(price_segment(run, columns, dict.fromkeys(BITS, b), shared), 0)
        for b in (bits, bits + 1)
    )
    assert all(many[label] >= few[label] for label in few)
    # Only loads depend on bits where nothing is tiled: the program has one row for all.
    price = price_segment(run, columns, BITS, shared)
    if not price.tiled:
        fixed = set(few) - set(OPENINGS)
        assert all(many[label] == few[label] for label in fixed)


def _unit_loop(layer: Conv, *, simd: int, pe: int, channels: int, bits: int) -> int:
    """Count the iterations that cut beats of 64 bits into records and units."""
    most = min(pe, channels)
    at_once = min(most, next(r for r in range(1, 65) if r * simd * bits >= 64))
    # As even as can be, in as few units.
    at_once = ceil(most / ceil(most / at_once))
    sizes = []
    iterations = 0
    for group in range(0, channels, pe):
        lanes = min(pe, channels - group)
        iterations += ceil(32 * lanes / 64)
        for _tap in range(layer.kernel**2):
            for word in range(0, layer.ifm.channels, simd):
                items = min(simd, layer.ifm.channels - word)
                together = at_once if items == simd else 1
                for lane in range(0, lanes, together):
                    sizes.append(min(together, lanes - lane) * items * bits)
    held = taken = 0
    for size in sizes:
        held += size
        fresh = ceil(held / 64) - taken
        taken += fresh
        iterations += max(1, fresh)
    return iterations


@given(
    convs(kernels=(1, 3)),
    st.integers(1, 12),
    st.integers(1, 9),
    st.integers(2, 8),
)
@THOROUGH
def test_units_take_the_iterations_of_a_walked_loader(
    layer: Conv, simd: int, pe: int, bits: int
) -> None:
    assume(layer.kernel == 1 or simd // layer.ifm.channels < 2)
    channels = layer.ofm.channels
    made = int(
        unit_cycles(
            layer,
            dense_columns([simd], [pe], [DEEP]),
            np.array([channels]),
            bits,
            setting(),
        )[0]
    )
    walked = _unit_loop(layer, simd=simd, pe=pe, channels=channels, bits=bits)
    words = ceil(channels / pe) * layer.kernel**2 * ceil(layer.ifm.channels / simd)
    assert abs(made - walked) <= words


def _narrowed(run: Invocation, role: Role, channels: int) -> Invocation:
    """Return an invocation of the first `channels` output channels alone."""
    ((_, layer),) = run.stages
    assert isinstance(layer, Conv | Linear)
    part = replace(layer, ofm=replace(layer.ofm, channels=channels))
    return replace(
        run,
        dense=part if role is Role.DENSE else None,
        pointwise=part if role is Role.POINTWISE else None,
        stage_ofm=part.ofm,
        ofm=replace(run.ofm, channels=channels),
    )


def _tile_sizes(folds_out: int, room: int, pe: int, *, beat: int = 8) -> list[int]:
    """Return the output folds of each tile: the fewest tiles, as even as can be.

    They are dealt in units of whole beats of channels; larger ones come first.
    """
    if room >= folds_out:
        return [folds_out]
    unit = next(n for n in range(1, beat + 1) if n * pe % beat == 0)
    units = ceil(folds_out / unit)
    tiles = ceil(units / (room // unit))
    sizes = [0] * tiles
    for number in range(units):
        sizes[number % tiles] += unit
    sizes[-1] -= unit * units - folds_out
    return sizes


@given(
    convs(kernels=(1, 3)),
    st.sampled_from((Role.DENSE, Role.POINTWISE)),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 40),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@THOROUGH
def test_a_tiled_price_is_the_sum_of_layers_as_small_as_its_tiles(
    layer: Conv,
    role: Role,
    simd: int,
    pe: int,
    px: int,
    spare: int,
    flags: tuple[bool, bool, bool],
) -> None:
    double, residual, pooled = flags
    if layer.kernel > 1 or layer.stride > 1:
        role = Role.DENSE
    layer = replace(layer, ofm=replace(layer.ofm, channels=4 * layer.ofm.channels))
    # Tiles that begin anywhere are written as one; those of whole beats, pixel by
    # pixel, which no layer alone is (test_tiles_are_even_by_hand).
    shared = replace(setting(px=px, double_buffered=double), aligned_tiles=False)
    folds = int(dense_folds(layer, simd, act_bits=8, board=BOARD))
    held = folds * min(8, ceil(layer.ofm.channels / pe)) + spare
    words = held * (2 if double else 1)
    run = invocation(
        dense=layer if role is Role.DENSE else None,
        pointwise=layer if role is Role.POINTWISE else None,
        residual=residual,
        pooled=pooled,
    )
    column: dict[Role, Columns] = {role: dense_columns([simd], [pe], [words])}
    price = price_segment(run, column, BITS, shared)

    for beat in (8, 1):
        sizes = _tile_sizes(ceil(layer.ofm.channels / pe), held // folds, pe, beat=beat)
        cut = tile_groups(
            layer,
            simd=simd,
            pe=pe,
            weight_words=words,
            setting=replace(shared, aligned_tiles=beat > 1),
        )
        assert cut == tuple(sizes)
    # Alone, a layer of up to 4 channels would pack pixels that a tile does not.
    rest = layer.ofm.channels - sum(sizes[:-1]) * pe
    assume((min(sizes[0] * pe, rest) > 4) or len(sizes) == 1)
    whole: dict[Role, Columns] = {role: dense_columns([simd], [pe], [DEEP])}
    channels = [*(size * pe for size in sizes[:-1]), rest]
    left, body = rest, 0
    for own, after in pairwise(channels):
        part = price_segment(_narrowed(run, role, own), whole, BITS, shared)
        upcoming = price_segment(_narrowed(run, role, after), whole, BITS, shared)
        period = max(_work(part, 0).values())
        if double:
            period = max(
                period,
                _rows(part, 0)["beside"] + _rows(upcoming, 0)["opening"],
                _rows(part, 0)["ddr"] + _rows(upcoming, 0)["opening_ddr"],
            )
        else:
            # The weights of the next tile load in a step of their own.
            period += load_step(1)
        body += period
    last = _work(price_segment(_narrowed(run, role, left), whole, BITS, shared), 0)
    assert price.tiles[role][0] == len(sizes)
    assert price.tiled[role][0] == body
    assert _work(price, 0) == {label: body + row for label, row in last.items()}
    # The weights of the first tile, one of the largest, must be there before.
    opened = sum(sizes) if len(sizes) == 1 else sizes[0]
    count = min(opened * pe, layer.ofm.channels)
    weights = weight_bytes(count, layer.terms, BITS["conv"], BOARD)
    (dense,) = column.values()
    assert isinstance(dense, DenseColumns)
    units = unit_cycles(layer, dense, np.array([count]), BITS["conv"], shared)
    load = max(port_cycles(weights, BOARD), int(units[0]))
    assert _rows(price, 0)["opening"] == load + load_overhead(1)
    assert _rows(price, 0)["opening_ddr"] == ddr_cycles(weights, BOARD)


def _single(channels: int = 16) -> Invocation:
    return invocation(dense=conv(shape(8, 6, 6), channels, 1))


def _tiles(words: int, *, double: bool) -> int | None:
    """Return the tiles of 8 -> 40 channels, 1x1, at simd 4 and pe 2."""
    column: dict[Role, Columns] = {Role.DENSE: dense_columns([4], [2], [words])}
    shared = setting(double_buffered=double)
    price = price_segment(_single(40), column, BITS, shared)
    return int(price.tiles[Role.DENSE][0]) if price.feasible[Role.DENSE][0] else None


# 2 words an output fold, 20 folds: 40 words hold all, twice that with two halves.
# Four folds are a beat of 8 channels: 8 words a unit, 5 units.
@pytest.mark.parametrize(
    ("words", "tiles"), [(7, None), (8, 5), (15, 5), (16, 3), (24, 2), (39, 2), (40, 1)]
)
def test_a_buffer_and_twice_of_it_in_two_halves_hold_the_same(
    words: int, tiles: int | None
) -> None:
    assert _tiles(words, double=False) == tiles
    assert _tiles(2 * words, double=True) == tiles
    assert _tiles(2 * words + 1, double=True) == tiles


@pytest.mark.parametrize(
    ("double", "words", "fits"),
    [(False, 39, False), (False, 40, True), (True, 79, False), (True, 80, True)],
)
def test_a_fused_segment_needs_all_weights_at_once(
    double: bool, words: int, fits: bool
) -> None:
    # The dense stage: 6 channels on simd 3 are 2 words; 20 outputs one by one: 40.
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([3], [1], [words]),
        Role.DEPTHWISE: depthwise_columns([1], [9]),
        Role.POINTWISE: dense_columns([1], [1], [DEEP]),
    }
    price = price_segment(BLOCK, columns, BITS, setting(double_buffered=double))
    assert bool(price.feasible[Role.DENSE][0]) is fits
    assert bool(price.feasible[Role.POINTWISE][0])
    assert price.tiles == {}


def test_a_tiled_layer_by_hand() -> None:
    # 1x1, 8 -> 16 channels on a 6 x 6 map, simd 4, pe 2, 4 folds a half: 2 tiles of 8
    # channels. Each: 36 pixels x 4 folds x 2 words = 288 cycles; lead-in one row of
    # 6 x 8 bytes = 6 beats, but 6 x 2 words = 12, and a loop ends: 17. A group takes
    # 4 x 2 = 8. Every pixel is written by itself: a beat, and 50 cycles to the
    # next; the last answer is what every run waits for.
    # Weights take turns with the row, which delays the way out by 6 cycles.
    column: dict[Role, Columns] = {Role.DENSE: dense_columns([4], [2], [16])}
    price = price_segment(_single(), column, BITS, setting())
    start = START_CYCLES + STAGE_DEPTH_CYCLES + 6
    tile = start + 17 + 8 + 36 + 35 * 50
    assert price.tiles[Role.DENSE][0] == 2
    assert price.tiled[Role.DENSE][0] == tile
    rows = _rows(price, 0)
    assert rows["ofm"] == 2 * tile
    # The stage itself, then the last nine pixels: its own, two of 4 words that packing
    # (8 stages) and six of a beat that finishing (6 stages) holds until it comes.
    assert rows["dense"] == tile + start - 6 + 17 + 288 + 4 + 9 + 8 * 50


def test_weights_on_the_port_bind_a_tiled_layer() -> None:
    # 512 terms, 64 outputs, one pixel: simd 64 and pe 64 take 8 passes of 4096 bytes
    # each; one fold in all. Two folds of pe 32: 2 tiles of 512 x 32 bytes at 8 bits =
    # 2048 beats and 16 of records, far more than 8 passes. They pass only while the
    # array moves, so not before the map is there: 64 beats, in turns with as many of
    # weights, after what a run needs to start; the loader's two loops run dry.
    run = invocation(pointwise=linear(shape(512, 1, 1), 64))
    column: dict[Role, Columns] = {Role.POINTWISE: dense_columns([64], [32], [16])}
    price = price_segment(run, column, BITS, setting())
    start = START_CYCLES - EXIT_CYCLES + STAGE_DEPTH_CYCLES + LOAD_STAGE_CYCLES
    assert price.tiled[Role.POINTWISE][0] == 2048 + 16 + 2 * 64 + start
    serial = price_segment(run, column, BITS, setting(double_buffered=False))
    assert serial.tiles[Role.POINTWISE][0] == 1


def test_loads_are_those_of_all_stages() -> None:
    # 120 weights of 5 bits: 75 bytes, 10 beats; 180 of 8: 23; 240 of 3: 90 bytes, 12.
    # Records of 20, 20 and 12 channels: 10, 10 and 6 beats.
    starts = load_overhead(3)
    assert load_cycles(BLOCK, {}, BITS, setting()) == 10 + 23 + 12 + 26 + starts
    # The DDR moves as many bytes a cycle as a port: whole beats.
    assert load_ddr(BLOCK, {}, BITS, setting()) == 71
    # Without double buffering they are a step of their own: nothing else moves while
    # their bursts are waited for.
    alone = setting(double_buffered=False)
    assert load_cycles(BLOCK, {}, BITS, alone) == 71 + load_step(3)
    assert load_ddr(BLOCK, {}, BITS, alone) == 71 + load_step(3)
    slow = Setting(
        board=BOARD.at_ddr(25),
        px=1,
        act_bits=8,
        double_buffered=True,
    )
    assert load_cycles(BLOCK, {}, BITS, slow) == 71 + starts
    assert load_ddr(BLOCK, {}, BITS, slow) == 142


def test_a_pool_loads_nothing() -> None:
    pool = max_pool(shape(8, 6, 6))
    assert layer_bytes(pool, 8, 8, BOARD) == 0
    for double in (True, False):
        shared = setting(double_buffered=double)
        assert load_cycles(invocation(depthwise=pool), {}, {}, shared) == 0


def test_the_ddr_moves_both_maps_and_the_residual() -> None:
    price = price_segment(
        BLOCK,
        {
            Role.DENSE: dense_columns([4], [4], [DEEP]),
            Role.DEPTHWISE: depthwise_columns([4], [9]),
            Role.POINTWISE: dense_columns([4], [4], [DEEP]),
        },
        BITS,
        setting(),
    )
    moved = feature_bytes(shape(6, 10, 9), 8, BOARD)
    moved += 2 * feature_bytes(shape(12, 5, 5), 8, BOARD)
    # Weights as wide as activations stand for those of the next run: 120, 180 and 240
    # bytes and records of 80, 80 and 48: 15 + 23 + 30 + 10 + 10 + 6 = 94 beats.
    # They are 4 beats more than the 10 rows of 9 columns that are read, 8 bytes each,
    # and twice as many are more than pass beside the last words: the mean of both.
    passing = FILL_CYCLES + 3 * STAGE_DEPTH_CYCLES
    assert passing < 2 * 94 - 90
    start = START_CYCLES + 3 * STAGE_DEPTH_CYCLES - (94 - 90 + passing) // 2
    assert price.ddr[0].constant == moved // 8 + start
    assert price.ddr[0].terms == {}
    # Beside a load, all but what moves while its bursts are waited for.
    assert price.beside.constant == max(0, moved // 8 - load_overhead(3))
    # Of 5 x 5 pixels, one by one, the last array takes 5 folds for 3 groups.
    moves = (25 * 5 * 3 + EXIT_CYCLES,)
    assert tuple(-price.held.terms[Role.POINTWISE]) == moves
    # A fused segment starts with all its weights.
    port, ddr, dense, pointwise = price.opening
    assert pointwise == Path("weights", 0, {})
    assert port.constant == load_cycles(BLOCK, {}, BITS, setting())
    assert dense.constant == port.constant - LOAD_START_CYCLES
    assert ddr.constant == load_ddr(BLOCK, {}, BITS, setting()) == 71


def _latency(price: SegmentPrice, column: int) -> int:
    return max(_work(price, column).values())


@given(
    convs(kernels=(1, 3)),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 5),
    st.booleans(),
    st.lists(st.integers(1, 300), min_size=2, max_size=12),
)
@THOROUGH
def test_a_deeper_buffer_never_slows_a_segment_by_itself(
    layer: Conv, simd: int, groups: int, px: int, double: bool, words: list[int]
) -> None:
    # Whole beats of channels, so that no tile pads what another does not; 8 weight
    # bits, so that no tile rounds its weights either.
    layer = replace(layer, ofm=replace(layer.ofm, channels=8 * layer.ofm.channels))
    size = len(words)
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([simd] * size, [8 * groups] * size, sorted(words))
    }
    shared = setting(px=px, double_buffered=double)
    price = price_segment(invocation(dense=layer), columns, {"conv": 8}, shared)
    cycles = [_latency(price, i) for i in range(size) if price.feasible[Role.DENSE][i]]
    assert cycles == sorted(cycles, reverse=True)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 6))
@QUICK
def test_more_lanes_never_slow_a_stage_that_does_not_wait(
    pe: int, more: int, simd: int, px: int
) -> None:
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([simd] * 2, [pe, pe + more], [DEEP] * 2),
        Role.DEPTHWISE: depthwise_columns([pe, pe + more], [3] * 2),
        Role.POINTWISE: dense_columns([simd] * 2, [pe, pe + more], [DEEP] * 2),
    }
    price = price_segment(BLOCK, columns, BITS, setting(px=px))
    few, many = _rows(price, 0), _rows(price, 1)
    # Arrays with more lanes have fewer iterations, and so hold back more of what waits;
    # and more of a group's records fill up a beat.
    held = "ofm+held", "opening", "standing", "held"
    waits = ("pointwise", "depthwise", "dense+edge", *held)
    kept = [label for label in few if not label.startswith(waits)]
    assert {"ifm", "ifm+dense+depthwise", "dense", "ofm", "ddr"} <= set(kept)
    assert all(many[label] <= few[label] for label in kept)


def test_tiles_are_even_by_hand() -> None:
    # 10 folds of 4 channels, in units of 2. Room for 2: five tiles. Room for 4: three
    # tiles, of 4, 4 and 2 folds. A fold takes 64 pixels x 1 pass = 64 cycles, and is a
    # word of each pixel on the way out; the IFM 8 rows x 16 = 128 beats.
    layer = conv(shape(16, 8, 8), 40, 1)
    column: dict[Role, Columns] = {Role.DENSE: dense_columns([16] * 2, [4] * 2, [2, 4])}
    shared = setting(double_buffered=False)
    price = price_segment(invocation(dense=layer), column, BITS, shared)
    # Of 2 folds: lead-in of 16 beats and 5, 2 to the first word, then 64 pixels of a
    # beat and 50 cycles to the next. Of 4: 4 to the first, and 2 beats. All but the
    # last are followed by a load.
    assert list(price.tiles[Role.DENSE]) == [5, 3]
    start = START_CYCLES + STAGE_DEPTH_CYCLES + 21
    few, many = start + 2 + 64 + 63 * 50, start + 4 + 128 + 63 * 50
    assert _latency(price, 0) == 5 * few + 4 * load_step(1)
    assert _latency(price, 1) == 2 * many + few + 2 * load_step(1)


def test_tile_groups_by_hand() -> None:
    # 50 channels on pe 3: 17 groups; 8 of them are 24 channels, 3 beats. 4 words each.
    layer = conv(shape(16, 8, 8), 50, 1)

    def cut(words: int) -> tuple[int, ...]:
        return tile_groups(layer, simd=4, pe=3, weight_words=words, setting=setting())

    assert cut(2 * 4 * 17) == (17,)
    assert cut(2 * 4 * 16) == (16, 1)
    assert cut(2 * 4 * 8) == (8, 8, 1)
    with pytest.raises(
        InputError, match=r"layer 'conv': the weight buffer holds 7 output groups; must"
    ):
        cut(2 * 4 * 8 - 1)


def test_a_pruned_layer_needs_a_list_that_names_all_its_words() -> None:
    layer = replace(linear(shape(2048, 1, 1), 8), density=50)
    words = partial(tile_groups, layer, pe=8, weight_words=DEEP, setting=setting())
    assert words(simd=2) == (1,)
    with pytest.raises(InputError, match=r"list of its words .* all on 1 `simd` lanes"):
        words(simd=1)


@given(st.integers(1, 24), st.integers(1, 90), st.integers(8, 60))
@QUICK
def test_every_tile_begins_a_beat(pe: int, channels: int, words: int) -> None:
    layer = conv(shape(4, 3, 3), channels, 1)
    groups = tile_groups(
        layer,
        simd=4,
        pe=pe,
        weight_words=words,
        setting=setting(double_buffered=False),
    )
    assert sum(groups) == ceil(channels / pe)
    begins = [sum(groups[:i]) * pe for i in range(len(groups))]
    assert all(begin % 8 == 0 for begin in begins)
    assert max(groups) <= words
