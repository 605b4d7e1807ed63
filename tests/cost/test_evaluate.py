"""evaluate equals a plain computation over the segments; by hand; laws; refusals."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.area import engine_resources
from hao.cost.columns import Setting, engine_columns
from hao.cost.evaluate import CostReport, evaluate
from hao.cost.loads import load_cycles
from hao.cost.overheads import (
    FILL_CYCLES,
    LEAD_CYCLES,
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
    load_overhead,
    load_step,
)
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.errors import InputError
from hao.hw.resources import Resources
from hao.ir.change import scheme_of
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    GlobalAveragePool,
    Input,
    Layer,
)
from hao.ir.network import Network
from hao.ir.partition import Role, Segment, partition
from hao.zoo.registry import build_network
from tests.cost.samples import (
    QUICK,
    build_engine,
    conv,
    depthwise,
    designs,
    linear,
    load_ddr,
    max_pool,
    segment_path,
    shape,
)
from tests.hw.samples import BOARD

# One segment, one number at a time.


def _latency(design: Design) -> int:
    """Return the latency of a design from the prices of its segments, one by one."""
    engine = design.engine
    setting = Setting.of(engine, design.board)
    columns = engine_columns(engine)
    scheme = dict(design.weight_bits)
    runs = [segment.invocation for segment in design.segments]
    prices = [price_segment(run, columns, scheme, setting) for run in runs]

    def value(path: Path) -> int:
        return path.constant + sum(int(cycles[0]) for cycles in path.terms.values())

    total = 0
    if engine.double_buffered:
        total = max(map(value, prices[0].serial))
    for run, price, upcoming in zip(runs, prices, [*prices[1:], None], strict=True):
        bounds = [value(path) for path in (*price.paths, *price.ddr)]
        if engine.double_buffered and upcoming is not None:
            port, ddr, dense, pointwise = upcoming.opening
            bounds.append(max(bounds) + value(price.held) + value(pointwise))
            bounds.append(value(price.beside) + value(port))
            bounds.append(value(price.standing) + value(dense))
            bounds += [value(p) + value(ddr) for p in price.ddr]
        total += max(bounds)
        if not engine.double_buffered:
            loads = load_cycles(run, columns, scheme, setting)
            total += max(loads, load_ddr(run, columns, scheme, setting))
    return total


def _tiny(*, residual: bool = False) -> Network:
    """Return 8 x 8 x 4 -> 1x1 to 8 -> depthwise -> 1x1 to 4 (-> add of the image)."""
    image = shape(4, 8, 8)
    expand = conv(image, 8, 1, name="expand")
    middle = depthwise(expand.ofm, name="middle", source="expand")
    project = conv(middle.ofm, 4, 1, name="project", source="middle")
    layers: list[Layer] = [Input(name="image", ofm=image), expand, middle, project]
    if residual:
        layers.append(Add(name="add", inputs=("image", "project"), ofm=image))
    return Network(name="tiny", layers=tuple(layers))


def _mixed() -> Network:
    """Return a network with a max pool, a global pool alone, and odd channels."""
    image = shape(3, 15, 13)
    stem = conv(image, 10, 5, stride=2, name="stem")
    pool = max_pool(stem.ofm, 3, name="pool", source="stem")
    left = conv(pool.ofm, 22, 3, name="left", source="pool")
    right = conv(pool.ofm, 22, 1, name="right", source="pool")
    add = Add(name="add", inputs=("left", "right"), ofm=left.ofm)
    again = conv(left.ofm, 22, 7, name="again", source="add")
    both = Add(name="both", inputs=("again", "add"), ofm=left.ofm)
    mean = GlobalAveragePool(
        name="mean", input="both", ifm=left.ofm, ofm=shape(22, 1, 1)
    )
    head = linear(mean.ofm, 5, name="head", source="mean")
    layers = (
        Input(name="image", ofm=image),
        *(stem, pool, left, right, add, again, both, mean, head),
    )
    return Network(name="mixed", layers=layers)


def _averaged() -> Network:
    """Return a network whose global pool reads a map that an add reads too."""
    image = shape(4, 6, 6)
    first = conv(image, 8, name="first")
    scale = GlobalAveragePool(
        name="mean", input="first", ifm=first.ofm, ofm=shape(8, 1, 1)
    )
    beside = max_pool(first.ofm, 6, stride=1, name="top", source="first")
    add = Add(name="add", inputs=("mean", "top"), ofm=scale.ofm)
    layers = (Input(name="image", ofm=image), first, scale, beside, add)
    return Network(name="averaged", layers=layers)


NETWORKS = (
    _tiny(),
    _tiny(residual=True),
    _mixed(),
    _averaged(),
    build_network("digits"),
    build_network("resnet8_cifar"),
    build_network("mobilenet_v4_conv_small_050", image_size=64),
)


@given(designs(NETWORKS))
@QUICK
def test_latency_equals_a_plain_computation_over_the_segments(design: Design) -> None:
    assert evaluate(design).latency_cycles == _latency(design)


@given(designs(NETWORKS))
@QUICK
def test_reports_add_up(design: Design) -> None:
    report = evaluate(design)
    periods = sum(cost.period_cycles for cost in report.invocations)
    assert report.latency_cycles == report.first_load_cycles + periods
    assert sum(report.binding_cycles.values()) == periods
    assert sum(cost.macs for cost in report.invocations) == design.network.macs
    assert report.macs == design.network.macs
    assert report.resources == sum(report.parts.values(), Resources())
    assert report.parts == engine_resources(design.engine, BOARD)
    assert report.multipliers == design.engine.multipliers
    assert report.fps == pytest.approx(1000 / report.latency_ms)
    assert report.latency_ms == report.latency_cycles / 100_000


@given(designs(NETWORKS))
@QUICK
def test_efficiency_is_a_share(design: Design) -> None:
    assert 0 < evaluate(design).efficiency <= 1


@given(designs(NETWORKS))
@QUICK
def test_what_binds_is_among_the_paths_or_the_memory(design: Design) -> None:
    report = evaluate(design)
    for cost in report.invocations:
        assert cost.binding in {*cost.path_cycles, "weights", "ddr"}
        assert cost.period_cycles >= max(cost.path_cycles.values())
        if cost.binding in cost.path_cycles and design.engine.double_buffered:
            assert cost.period_cycles == cost.path_cycles[cost.binding]
    assert report.bottleneck == next(iter(report.binding_cycles))
    assert report.binding_cycles[report.bottleneck] == max(
        report.binding_cycles.values()
    )


@given(designs(NETWORKS), st.sampled_from((25, 50, 65, 100)))
@QUICK
def test_a_wider_scheme_is_never_faster(design: Design, efficiency: int) -> None:
    # From a DDR of half the rate of a port to one of twice.
    board = BOARD.at_ddr(efficiency)
    design = replace(design, board=board)
    wide = replace(design, scheme=scheme_of(dict.fromkeys(design.scheme, 8)))
    assert evaluate(wide).latency_cycles >= evaluate(design).latency_cycles
    assert evaluate(wide).ddr_bytes >= evaluate(design).ddr_bytes


@given(designs(NETWORKS), st.integers(101, 400))
@QUICK
def test_more_bandwidth_is_never_slower(design: Design, percent: int) -> None:
    peak = BOARD.ddr_peak_kbytes_per_s * percent // 100
    fast = replace(design, board=replace(BOARD, ddr_peak_kbytes_per_s=peak))
    assert evaluate(fast).latency_cycles <= evaluate(design).latency_cycles


# The tiny network by hand.

LANES = {Role.DENSE: (4, 4), Role.DEPTHWISE: (4, 9), Role.POINTWISE: (4, 4)}


def _design(
    *splits: int,
    network: Network | None = None,
    double_buffered: bool = True,
    bits: int = 8,
    px: int = 1,
) -> Design:
    """Return the tiny network cut so that segments end before the given positions.

    A layer that may run on two stages runs on the first.
    """
    net = network or _tiny()
    parts = partition(net)
    bounds = (0, *splits, len(parts.positions))
    segments = tuple(
        next(s for s in parts.segments if (s.start, s.end) == (start, stop - 1))
        for start, stop in pairwise(bounds)
    )
    engine = build_engine(
        segments, lanes=LANES, double_buffered=double_buffered, spare_folds=9, px=px
    )
    scheme = {layer.name: bits for layer in net.compute_layers}
    return Design(
        network=net,
        scheme=scheme_of(scheme),
        engine=engine,
        segments=segments,
        board=BOARD,
    )


BLOCK_CYCLES = START_CYCLES + 3 * STAGE_DEPTH_CYCLES + LEAD_CYCLES + 8 + 181
"""Of the fused block, see the test below."""


def test_a_fused_block_by_hand() -> None:
    # Weights: 32 + 72 + 32 bytes: 4 + 9 + 4 = 17 beats, and 8, 8 and 4 records of 4
    # bytes: 10 beats, before anything runs. Dense: 8 columns x 2 folds = 16 a row.
    # Depthwise: 2 groups x (2 columns of the first window + 7) = 18. Pointwise: 8
    # columns x 1 x 2 = 16; group 2. Lead-in of one row: 8 words, which weights that
    # take every second turn of a DDR as fast as a port do not delay (4 beats, and 4 of
    # weights). The first dense group comes at 10; the depthwise stage takes in two rows
    # of 8 x 2 words, and ends at 10 + 32 + 8 x 18 = 186, counted from the start of its
    # rows at 8 + 2 x 16 at 184; a pointwise group more: 188. The pointwise stage begins
    # 2 groups x 2 behind 40, at 44, and would end by itself at 172; but the depthwise
    # array, 16 iterations deep, gets 16 in the 18 cycles of a row, and so holds the
    # first back for 16 x 2 / 16. The dense stage ends at 8 + 128, then one row of
    # pixels waits: 2 depthwise rows (36) and a pointwise group (2): 174. To it come the
    # start, a pixel that is packed, and the loop of the lead-in (5).
    report = evaluate(_design())
    assert report.first_load_cycles == 27 + load_step(3)
    assert report.latency_cycles == report.first_load_cycles + BLOCK_CYCLES
    (cost,) = report.invocations
    assert cost.name == "expand+middle+project"
    assert cost.tiles == 1
    start = START_CYCLES + 3 * STAGE_DEPTH_CYCLES + LEAD_CYCLES
    assert cost.path_cycles["depthwise"] == start + 188 + 1 == BLOCK_CYCLES
    assert cost.path_cycles["pointwise"] == start + 174 + 1
    # 64 pixels of one word are packed, from the first pointwise group on, behind the 8
    # beats of two rows, which weights delay by as many.
    assert cost.path_cycles["ofm"] == start + 8 + 44 + 2 + 64
    # 8 rows of 32 bytes in and out.
    assert cost.feature_bytes == 512
    assert cost.weight_bytes == 136 + 80


def test_a_split_block_by_hand() -> None:
    # Three runs, each 116 + 24 to start. Dense: lead 8 + 5; after the first group of 2,
    # 64 pixels of 2 words are packed: 283. Depthwise from DDR: rows of 18; lead 2 rows
    # of 8 pixels x 2 words: 32; 144; a pixel of 2 words is packed: 318. The last 1x1
    # runs on the dense stage: 8 columns x 2 words = 16 a row; its row of 8 x 8 bytes
    # comes in 16 words: lead 16 + 5; 128; a word is packed: 290. Weights take every
    # second turn meanwhile: that delays the way out of the first by a row's 4 beats,
    # and what is left behind the readers of the others by 13 and 6, a cycle past their
    # stages.
    report = evaluate(_design(1, 2))
    assert [cost.period_cycles for cost in report.invocations] == [287, 319, 291]
    # 32 weights and 8 records: 4 beats each.
    assert report.first_load_cycles == 8 + load_step(1)
    assert report.latency_cycles == report.first_load_cycles + 287 + 319 + 291
    # 256 -> 512, 512 -> 512, 512 -> 256 bytes.
    assert [c.feature_bytes for c in report.invocations] == [768, 1024, 768]
    assert report.ddr_bytes == 768 + 1024 + 768 + 136 + 80
    assert report.binding_cycles == {"ifm": 319 + 291, "ofm": 287}
    assert report.bottleneck == "ifm"


def test_without_double_buffering_weights_load_before_each_segment() -> None:
    # As above, with a step in front of each run: 61 to start, 20 to end, 4, 9 and 4
    # beats of weights and 4, 4 and 2 of records.
    report = evaluate(_design(1, 2, double_buffered=False))
    assert report.first_load_cycles == 0
    assert [cost.period_cycles for cost in report.invocations] == [372, 412, 377]
    assert report.latency_cycles == 372 + 412 + 377


def test_a_serial_load_takes_the_slower_of_port_and_ddr() -> None:
    # DDR of a quarter: 2 bytes a cycle; the port's beats are 8, the DDR's cycles 32,
    # after what loading needs to start. Its 768 bytes of maps take 384 cycles, more
    # than the stage.
    slow = replace(BOARD, ddr_peak_kbytes_per_s=400_000)
    report = evaluate(replace(_design(1, 2, double_buffered=False), board=slow))
    first = report.invocations[0]
    start = START_CYCLES + STAGE_DEPTH_CYCLES
    assert first.load_cycles == load_step(1) + 8
    assert first.period_cycles >= start + 384 + load_step(1) + 32
    assert first.binding in {"ddr", "ifm"}


def test_a_residual_reads_a_third_map() -> None:
    plain = evaluate(_design())
    added = evaluate(_design(network=_tiny(residual=True)))
    assert added.latency_cycles == plain.latency_cycles
    assert added.ddr_bytes == plain.ddr_bytes + 256
    assert added.invocations[0].path_cycles["residual"] == (
        START_CYCLES + 3 * STAGE_DEPTH_CYCLES + 8 + 32
    )


def _two_linears(channels: int) -> Network:
    image = shape(64, 1, 1)
    first = linear(image, channels, name="first")
    second = linear(first.ofm, 8, name="second", source="first")
    return Network(name="mlp", layers=(Input(name="image", ofm=image), first, second))


def test_weights_of_the_next_segment_bind_where_they_load_longer() -> None:
    # 64 -> 200 at simd 4, pe 4 in one pixel: 16 x 50 = 800 passes. Its weights,
    # 12,800 bytes, take 1600 beats, its records 100. On 20 x 20 lanes: 4 x 10 = 40
    # passes.
    network = _two_linears(200)
    segments = segment_path(partition(network), [0])
    lanes = {Role.DENSE: (20, 20), Role.POINTWISE: (20, 20)}
    engine = build_engine(
        segments, lanes=lanes, double_buffered=True, spare_folds=99, px=1
    )
    scheme = {"first": 8, "second": 8}
    design = Design(
        network=network,
        scheme=scheme_of(scheme),
        engine=engine,
        segments=segments,
        board=BOARD,
    )
    report = evaluate(design)
    # Of 64 channels on simd 20, the last 4 come lane by lane: 200 cycles for 100 beats.
    assert report.first_load_cycles == 1700 + 100 + load_step(1)
    # 8 x 200 bytes and 8 records: 204 beats, and the DDR moves the 64 + 200
    # bytes of the maps too.
    first, second = report.invocations
    assert first.binding == "ddr"
    # While weights come, the words of the run pass through its loops.
    start = START_CYCLES - FILL_CYCLES
    assert first.period_cycles == start + 204 + 8 + 25
    # The second: start, 25 beats in, as many for weights that its own stand for, 5 to
    # the next loop, 10 passes, and a word is packed.
    start = START_CYCLES + STAGE_DEPTH_CYCLES
    assert second.period_cycles == start + 25 + 25 + 5 + 10 + 1
    # A DDR ten times as fast leaves the port of the weights.
    fast = replace(BOARD, ddr_peak_kbytes_per_s=16_000_000)
    first = evaluate(replace(design, board=fast)).invocations[0]
    assert first.binding == "weights"
    assert first.period_cycles >= 204 + load_overhead(1)


def test_serial_weights_bind_where_they_take_longer_than_the_run() -> None:
    network = _two_linears(200)
    segments = segment_path(partition(network), [0])
    lanes = {Role.DENSE: (20, 20)}
    engine = build_engine(
        segments, lanes=lanes, double_buffered=False, spare_folds=99, px=1
    )
    design = Design(
        network=network,
        scheme=scheme_of({"first": 8, "second": 8}),
        engine=engine,
        segments=segments,
        board=BOARD,
    )
    # The first: 140 + 8 beats in, 5 + 40 passes + the words of a pixel, after a step of
    # 81 and 1700 beats of weights and records, and 10 beats more for each of 10 groups
    # of 20 lanes, whose last 4 inputs come lane by lane. The second: 181 after 81 +
    # 204.
    report = evaluate(design)
    assert [c.period_cycles for c in report.invocations] == [2100, 466]
    assert report.bottleneck == "weights"


def test_a_tiled_layer_reads_its_map_once_a_tile() -> None:
    network = _two_linears(40)
    segments = segment_path(partition(network), [0])
    engine = build_engine(
        segments,
        lanes={Role.DENSE: (8, 4)},
        double_buffered=True,
        spare_folds=1,
        px=1,
    )
    design = Design(
        network=network,
        scheme=scheme_of({"first": 8, "second": 8}),
        engine=engine,
        segments=segments,
        board=BOARD,
    )
    report = evaluate(design)
    first, second = report.invocations
    # 10 folds, two (a beat of 8 channels) a tile: 5 tiles of 64 bytes in, 40 out. The
    # second: 2 folds, 1 tile. Before it starts, 8 x 64 bytes of weights load and 8
    # records; all in all 40 x 64 and 40.
    assert report.first_load_cycles == 64 + 4 + load_step(1)
    assert first.load_cycles == 320 + 20 + load_overhead(1)
    assert (first.tiles, second.tiles) == (5, 1)
    assert first.feature_bytes == 5 * 64 + 40
    assert first.weight_bytes == 64 * 40 + 160


def test_a_design_without_multipliers_has_no_efficiency_to_speak_of() -> None:
    image = shape(8, 4, 4)
    network = Network(
        name="pools",
        layers=(Input(name="image", ofm=image), max_pool(image, name="pool")),
    )
    segments = partition(network).segments
    engine = build_engine(
        segments, lanes=LANES, double_buffered=True, spare_folds=0, px=1
    )
    design = Design(
        network=network, scheme={}, engine=engine, segments=segments, board=BOARD
    )
    report = evaluate(design)
    assert report.multipliers == 0
    assert report.efficiency == 0


def test_columns_of_an_engine_are_its_stages() -> None:
    columns = engine_columns(_design().engine)
    assert list(columns) == [Role.DENSE, Role.POINTWISE, Role.DEPTHWISE]
    assert all(len(column) == 1 for column in columns.values())
    alone = replace(_design().engine, depthwise=None, pointwise=None)
    assert list(engine_columns(alone)) == [Role.DENSE]


# Refusals.


def _with(design: Design, engine: Engine) -> Design:
    return replace(design, engine=engine)


def _parts(design: Design) -> tuple[DenseStage, DepthwiseStage, DenseStage]:
    engine = design.engine
    assert engine.dense is not None
    assert engine.depthwise is not None
    assert engine.pointwise is not None
    return engine.dense, engine.depthwise, engine.pointwise


def test_a_missing_stage_is_refused() -> None:
    design = _design()
    engine = replace(design.engine, depthwise=None)
    with pytest.raises(
        InputError,
        match=r"layer 'middle' runs on the depthwise stage, which the engine lacks",
    ):
        evaluate(_with(design, engine))


def test_a_missing_residual_port_is_refused() -> None:
    design = _design(network=_tiny(residual=True))
    with pytest.raises(
        InputError,
        match=r"'expand\+middle\+project' adds a residual; the engine has no residual",
    ):
        evaluate(_with(design, replace(design.engine, residual=False)))


def test_a_stage_narrower_than_the_weights_is_refused() -> None:
    design = _design()
    narrow = replace(_parts(design)[2], weight_bits=6)
    with pytest.raises(
        InputError,
        match=r"layer 'project' has 8-bit weights; the pointwise stage takes 6",
    ):
        evaluate(_with(design, replace(design.engine, pointwise=narrow)))


def test_a_weight_buffer_too_small_for_a_fused_segment_is_refused() -> None:
    design = _design()
    # 1 word x 2 folds, two halves: 4 words.
    assert _parts(design)[0].weight_words == 4
    shallow = replace(_parts(design)[0], weight_words=3)
    with pytest.raises(
        InputError,
        match=r"'expand\+middle\+project': its weights do not fit the dense stage's",
    ):
        evaluate(_with(design, replace(design.engine, dense=shallow)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # 8 columns x 2 groups in one bank.
        ({"row_words": 15}, "needs 16 row words; the depthwise stage has 15"),
        # 2 groups x 1 fold, two halves.
        ({"weight_words": 3}, "needs 4 weight words; the depthwise stage has 3"),
        ({"rows": 3}, "needs 4 rows; the depthwise stage has 3"),
        ({"kernel": 2}, "needs 3 kernel; the depthwise stage has 2"),
        # A record and a word on the way out a group, of each there are two.
        ({"channel_words": 3}, "needs 4 channel words; the depthwise stage has 3"),
        ({"pack_words": 3}, "needs 4 pack words; the depthwise stage has 3"),
        ({"groups": 1}, "needs 2 channel groups; the depthwise stage has 1"),
        ({"convolves": False}, "needs 1 convolution; the depthwise stage has 0"),
        (
            {"turns": 2, "multiplies": True},
            "takes 1 cycles for a sum; the multipliers of codes take 2 turns",
        ),
    ],
)
def test_a_depthwise_buffer_too_small_is_refused(
    change: dict[str, int], message: str
) -> None:
    design = _design()
    small = DepthwiseStage(**(asdict(_parts(design)[1]) | change))
    with pytest.raises(InputError, match=f"layer 'middle' {message}"):
        evaluate(_with(design, replace(design.engine, depthwise=small)))


def test_a_pool_on_a_stage_that_does_not_pool_is_refused() -> None:
    network = _mixed()
    segments = segment_path(partition(network), [0])
    engine = build_engine(
        segments, lanes=LANES, double_buffered=True, spare_folds=0, px=1
    )
    assert engine.depthwise is not None
    deaf = replace(engine, depthwise=replace(engine.depthwise, pools=False))
    scheme = {layer.name: 8 for layer in network.compute_layers}
    design = Design(
        network=network,
        scheme=scheme_of(scheme),
        engine=engine,
        segments=segments,
        board=BOARD,
    )
    evaluate(design)
    with pytest.raises(InputError, match=r"layer 'pool' needs 1 pooling; the depthw"):
        evaluate(_with(design, deaf))


def test_a_ring_of_rows_too_small_is_refused() -> None:
    # 1x1 at stride 1: 2 rows of 8 pixels, one word each.
    design = _design()
    small = replace(_parts(design)[0], feature_words=15)
    with pytest.raises(
        InputError, match=r"layer 'expand' needs 16 feature words; the dense stage h"
    ):
        evaluate(_with(design, replace(design.engine, dense=small)))


def test_a_pixel_vector_too_small_is_refused() -> None:
    # 8 channels are 2 words, of two pixels.
    design = _design()
    small = replace(_parts(design)[2], feature_words=3)
    with pytest.raises(
        InputError, match=r"layer 'project' needs 4 feature words; the pointwise stag"
    ):
        evaluate(_with(design, replace(design.engine, pointwise=small)))


@pytest.mark.parametrize("name", ["channel", "pack"])
def test_a_memory_of_output_groups_too_small_is_refused(name: str) -> None:
    # 4 outputs on 4 lanes are one group, held twice.
    design = _design()
    changed = {f"{name}_words": 1}
    small = DenseStage(**(asdict(_parts(design)[2]) | changed))
    with pytest.raises(
        InputError, match=rf"'project' needs 2 {name} words; the pointwise stage has 1"
    ):
        evaluate(_with(design, replace(design.engine, pointwise=small)))


def test_a_global_pool_without_room_for_its_sums_is_refused() -> None:
    network = _averaged()
    segments = segment_path(partition(network), [0])
    engine = build_engine(
        segments, lanes=LANES, double_buffered=True, spare_folds=9, px=1
    )
    # 8 channels are a beat.
    assert engine.pool_words == 1
    design = Design(
        network=network,
        scheme=scheme_of({"first": 8}),
        engine=engine,
        segments=segments,
        board=BOARD,
    )
    evaluate(design)
    with pytest.raises(
        InputError, match=r"invocation 'mean' needs 1 pool words; the engine has 0"
    ):
        evaluate(_with(design, replace(engine, pool_words=0)))


def test_more_terms_than_the_accumulator_is_built_for_are_refused() -> None:
    design = _design()
    small = replace(_parts(design)[2], terms=7)
    with pytest.raises(
        InputError, match=r"layer 'project' needs 8 terms; the pointwise stage has 7"
    ):
        evaluate(_with(design, replace(design.engine, pointwise=small)))


def test_a_scheme_without_a_layer_is_refused() -> None:
    design = _design()
    with pytest.raises(InputError, match=r"layer 'middle' has no weight bits"):
        replace(design, scheme=scheme_of({"expand": 8, "project": 8}))


def test_segments_that_leave_or_repeat_a_position_are_refused() -> None:
    design = _design(1, 2)
    first, second, third = design.segments
    with pytest.raises(
        InputError, match=r"segment 'project' starts at position 2; must be 1"
    ):
        replace(design, segments=(first, third))
    with pytest.raises(
        InputError, match=r"segment 'middle' starts at position 1; must be 2"
    ):
        replace(design, segments=(first, second, second, third))


def test_segments_that_stop_early_are_refused() -> None:
    design = _design(1, 2)
    with pytest.raises(
        InputError, match=r"network 'tiny': segments end with 'middle'; must end with"
    ):
        replace(design, segments=design.segments[:2])
    with pytest.raises(InputError, match=r"network 'tiny' has no segments"):
        replace(design, segments=())


def test_a_design_is_shown_in_a_line() -> None:
    assert repr(_design()) == (
        "<Design of 'tiny' for 'sample' at 100 MHz: 1 invocations on dense, depthwise, "
        "pointwise with 68 multipliers, 8.00 bits a weight, activations of 8>"
    )


def test_segments_end_before_what_the_last_stage_takes_in() -> None:
    tiny = _tiny()
    relu = Activation(
        name="relu",
        input="project",
        ifm=tiny.output.ofm,
        ofm=tiny.output.ofm,
        kind=ActivationKind.RELU,
    )
    network = replace(tiny, layers=(*tiny.layers, relu))
    report: CostReport = evaluate(_design(network=network))
    assert report.latency_cycles == report.first_load_cycles + BLOCK_CYCLES


def test_a_segment_of_another_network_is_refused() -> None:
    other = conv(shape(4, 8, 8), 8, 1, name="other")
    design = _design(1, 2)
    first: Segment = design.segments[0]
    strange = replace(first, invocation=replace(first.invocation, dense=other))
    with pytest.raises(InputError, match=r"layer 'other'.* is not in network 'tiny'"):
        replace(design, segments=(strange, *design.segments[1:]))


def test_arrays_never_leak_into_a_report() -> None:
    for cost in evaluate(_design(1, 2)).invocations:
        numbers = (cost.tiles, cost.load_cycles, cost.period_cycles)
        assert all(type(n) is int for n in (*numbers, *cost.path_cycles.values()))
        assert not isinstance(cost.feature_bytes, np.generic)
