"""Predicted cycles against the replay of emitted code, invocation by invocation.

The replay is the hardware's schedule cycle by cycle (test_replay.py); the cost model
prices the same loops without running them. Loops of arrays and windows must agree to
the iteration, cycles within the bounds below.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hao.cost.evaluate import evaluate
from hao.emission.check import Replay, run_replay
from hao.emission.compiling import Build, compile_project
from hao.emission.project import render_project, write_project
from hao.emission.runs import Run, StageRun
from hao.emission.steps import Table
from hao.emission.weights import pruned_network
from hao.engine.design import Design
from hao.hw.board_file import load_board
from hao.intmath import ceil_div
from hao.ir.change import scheme_of
from hao.ir.channels import channel_groups, without_channels
from hao.ir.layer import Conv, Depthwise, Linear, Pool
from hao.ir.partition import Role
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.ir.sparsity import with_densities
from hao.options.bits import bit_options
from hao.program.codesign import choose_fastest
from hao.program.problem import Problem
from hao.report.hardware import InvocationCycles
from hao.steps.simulate import compared_cycles
from hao.zoo import build_network
from tests.cost.samples import build_engine
from tests.cost.trips import StageTrips, dense_trips, depthwise_trips, pointwise_trips
from tests.emission.designs import pruned_design, waiting_design
from tests.report.samples import longest_segments

TOTAL = 0.03
"""Largest deviation of a frame."""

INVOCATION = 0.03
"""Largest deviation of an invocation on maps of a large network."""

CYCLES = 60
"""A run that is so few cycles off is not counted: waits of a few bursts."""

FIRST = 40
"""Cycles by which the load before the first run may be off.

Records and units divide beats, which the model does not follow: of 61 random networks
the median is 1 cycle short, one is 33 short; MobileNetV2 is 21 long.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A network on an engine with the given lanes; 8-bit weights, bits in turn."""

    network: str
    dense: tuple[int, int]
    depthwise: tuple[int, int]
    pointwise: tuple[int, int]
    px: int
    bits: tuple[int, ...] = (8,)
    double_buffered: bool = True
    spare_folds: int = 0
    # Followed by weights for arrays that mostly stand still, which then take them
    # slower than they come (docs/cost_model.md, "What has not been validated").
    waiting: frozenset[str] = frozenset()
    batch: int = 1


def designed(case: Case) -> Design:
    network = build_network(case.network)
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes={
            Role.DENSE: case.dense,
            Role.DEPTHWISE: case.depthwise,
            Role.POINTWISE: case.pointwise,
        },
        double_buffered=case.double_buffered,
        spare_folds=case.spare_folds,
        px=case.px,
    )
    layers = [layer.name for layer in network.compute_layers]
    return Design(
        network=network,
        scheme=scheme_of(
            {n: case.bits[i % len(case.bits)] for i, n in enumerate(layers)}
        ),
        engine=engine,
        segments=segments,
        board=replace(load_board("zu3eg"), batch=case.batch),
    )


def replayed(design: Design, folder: Path) -> tuple[Table, Replay]:
    """Return the table and the replay of a design with random weights."""
    act_bits = design.engine.act_bits
    net = seeded_integers(design.network, design.weight_bits, act_bits=act_bits, seed=0)
    net = replace(net, network=pruned_network(net.network, design))
    cost = evaluate(design)
    project = render_project(design, net, cost, seeded_frames(net, 1, 1))
    write_project(project, folder / "hls", force=True)
    compile_project(folder / "hls", Build.TRACE, folder / "trace")
    return project.table, run_replay(folder / "trace", folder / "hls")


def compared(
    design: Design, table: Table, replay: Replay
) -> tuple[InvocationCycles, ...]:
    return compared_cycles(
        evaluate(design),
        table,
        replay,
        double_buffered=design.engine.double_buffered,
    )


def expected_trips(run: Run, stage: StageRun, design: Design) -> StageTrips:
    engine, layer = design.engine, stage.layer
    first = stage is run.stages[0]
    if stage.role is Role.DEPTHWISE:
        assert isinstance(layer, Depthwise | Pool)
        assert engine.depthwise is not None
        return depthwise_trips(
            layer,
            pe=engine.depthwise.pe,
            taps=engine.depthwise.taps,
            px=engine.px,
            first=first,
        )
    assert isinstance(layer, Conv | Linear)
    built = engine.dense if stage.role is Role.DENSE else engine.pointwise
    assert built is not None
    groups = ceil_div(stage.channels, built.pe)
    if stage.role is Role.DENSE:
        return dense_trips(
            layer,
            simd=built.simd,
            px=engine.px,
            groups=groups,
            act_bits=8,
            board=design.board,
        )
    return pointwise_trips(
        layer,
        simd=built.simd,
        px=engine.px,
        groups=groups,
        first=first,
        act_bits=8,
        board=design.board,
    )


def check_trips(design: Design, table: Table, replay: Replay) -> None:
    """Check the iterations of every window of every step, and the least of arrays.

    An array goes on until the weights of the next run have come.
    """
    windows = {
        Role.DENSE: ("dense_window.lead", "dense_window.rows"),
        Role.DEPTHWISE: ("depthwise_window.rows",),
        Role.POINTWISE: ("pointwise_vectors.vectors",),
    }
    checked = 0
    for run, step in zip(table.runs, replay.steps, strict=True):
        for stage in () if run is None else run.stages:
            assert run is not None
            trips = expected_trips(run, stage, design)
            array = step.trips[f"{stage.role.value}_array.array"]
            window = sum(step.trips.get(name, 0) for name in windows[stage.role])
            assert window == trips.window, (run.name, stage)
            assert array >= trips.array, (run.name, stage)
            checked += 1
    assert checked >= len(design.network.compute_layers)


def far_off(
    found: tuple[InvocationCycles, ...], waiting: frozenset[str], frames: int = 1
) -> list[InvocationCycles]:
    return [
        item
        for item in found
        if item.name.partition(".")[0] not in waiting
        and abs(item.model - item.replayed)
        > max(
            frames * (FIRST if item.name == "(first weights)" else CYCLES),
            INVOCATION * item.replayed,
        )
    ]


LATE = frozenset({"block17"})

SMALL = (
    Case(
        "digits",
        (16, 16),
        (16, 5),
        (16, 12),
        px=2,
        waiting=frozenset({"block4"}),
    ),
    Case("digits", (8, 16), (16, 9), (16, 16), px=1, double_buffered=False),
    # Several frames of a start: their runs follow each other, with the same weights.
    Case(
        "digits",
        (16, 16),
        (16, 5),
        (16, 12),
        px=2,
        batch=2,
    ),
    Case("digits", (8, 16), (16, 9), (16, 16), px=1, double_buffered=False, batch=3),
    Case(
        "mobilenet_v2_100",
        (16, 16),
        (16, 3),
        (48, 6),
        px=2,
        spare_folds=800,
        waiting=LATE,
    ),
)

LARGE = (
    Case("digits", (16, 8), (8, 3), (8, 8), px=2, bits=(4, 8, 6)),
    Case(
        "mobilenet_v2_100",
        (16, 16),
        (16, 3),
        (48, 6),
        px=2,
        bits=(8, 4, 6),
        spare_folds=800,
        waiting=LATE,
    ),
    Case(
        "efficientnet_lite0",
        (40, 8),
        (8, 13),
        (16, 8),
        px=2,
        spare_folds=800,
    ),
    Case("resnet18", (32, 32), (4, 5), (1, 1), px=1, spare_folds=256),
)


# `SMALL` has a mobile network and a residual one too.
MARKS = dict.fromkeys(
    ("mobilenet_v2_100", "efficientnet_lite0", "resnet18"), pytest.mark.thorough
)


def check(case: Case, folder: Path) -> None:
    design = designed(case)
    table, replay = replayed(design, folder)
    check_trips(design, table, replay)
    found = compared(design, table, replay)
    model, ran = sum(i.model for i in found), sum(i.replayed for i in found)
    assert ran == replay.cycles
    assert model == evaluate(design).latency_cycles
    assert abs(model - ran) <= TOTAL * ran
    assert far_off(found, case.waiting, case.batch) == []


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.network)
def test_predicted_cycles_are_those_of_the_replay(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=MARKS.get(c.network, ()), id=c.network) for c in LARGE],
)
def test_predicted_cycles_of_large_networks(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXXFLAGS")  # their programs run for seconds
    check(case, tmp_path)


def test_weights_wait_for_an_array_behind_a_slow_stage(tmp_path: Path) -> None:
    design = waiting_design()
    found = compared(design, *replayed(design, tmp_path))
    assert far_off(found, frozenset()) == []
    # The array that the weights of the next run are for moves in few of these cycles.
    first, second = evaluate(design).invocations
    alone, load = max(first.path_cycles.values()), second.load_cycles
    assert min(alone, load) > 2_500
    assert found[1].replayed > 0.9 * (alone + load)


SHORT = 300
"""Invocations of so few cycles are not compared one by one."""

NARROW = 0.1
"""Largest deviation of an invocation of a pruned network."""

FAR_OFF = 0.2
"""Largest deviation of some: prices were fitted to 42 networks, 9 of 256 beyond 10 %.

Which weights load beside a run is not known where it is priced; on small maps they
decide. Frames of five of these networks are off by more than `TOTAL`, up to 5.5 %.
"""


def narrowed(seed: int) -> Design:
    """Return the digits network with random channels, on its fastest engine.

    Channels may be odd; of every third network, layers keep 25 to 75 % of their words.
    """
    rng = random.Random(seed)
    network = build_network("digits")
    kept = {
        group.name: tuple(range(rng.randint(group.channels // 5, group.channels)))
        for group in channel_groups(network)
        if not group.fixed
    }
    network = without_channels(network, kept)
    if seed % 3 == 0:
        densities = {
            layer.name: rng.choice((25, 50, 75))
            for layer in network.compute_layers
            if not isinstance(layer, Depthwise) and layer.ifm.channels > 4
        }
        network = with_densities(network, densities)
    options = bit_options(network, choices=(8,), drop_by_bits={8: 0.0})
    problem = Problem(network=network, options=options, board=load_board("zu3eg"))
    return choose_fastest(problem).design


def check_narrowed(seed: int, folder: Path, *, total: float, each: float) -> None:
    design = narrowed(seed)
    table, replay = replayed(design, folder)
    check_trips(design, table, replay)
    model = evaluate(design).latency_cycles
    assert abs(model - replay.cycles) <= total * replay.cycles
    found = compared(design, table, replay)
    assert [
        item
        for item in found
        if item.replayed > SHORT
        and abs(item.model - item.replayed) > each * item.replayed
    ] == []


def test_a_network_of_odd_channels_takes_what_it_is_priced(tmp_path: Path) -> None:
    check_narrowed(4, tmp_path, total=TOTAL, each=NARROW)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6, 7, 8, 9])
def test_networks_of_odd_channels_take_what_they_are_priced(
    seed: int, tmp_path: Path
) -> None:
    check_narrowed(seed, tmp_path, total=2 * TOTAL, each=FAR_OFF)


def test_a_layer_that_keeps_half_its_words_takes_half_its_cycles(
    tmp_path: Path,
) -> None:
    runs: dict[int, tuple[InvocationCycles, ...]] = {}
    for density in (100, 50):
        design = pruned_design(density)
        place = tmp_path / str(density)
        place.mkdir()
        table, replay = replayed(design, place)
        check_trips(design, table, replay)
        runs[density] = compared(design, table, replay)
        assert far_off(runs[density], frozenset()) == []
        model = evaluate(design).latency_cycles
        assert abs(model - replay.cycles) <= TOTAL * replay.cycles
    for whole, half in zip(runs[100][1:], runs[50][1:], strict=True):
        assert half.name == whole.name
        assert half.replayed <= 0.55 * whole.replayed, whole.name
