"""Random designs: the emitted C++ equals the integer interpreter bit for bit.

Every map that a step leaves is compared, in a build that stops at an index past the end
of a buffer and at a sum that leaves its accumulator. A failure names its seed:
`random_sample(seed)` makes it again.
"""

import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import pytest

from hao.cost.widths import memory_parts
from hao.emission.records import Step
from hao.emission.runs import StageRun, engine_stages
from hao.emission.stage_sizes import Slices, dense_slices
from hao.emission.steps import Table, make_table
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.hw.board import DspType
from hao.intmath import ceil_div
from hao.ir.integer import Requantization
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import Invocation, Role
from tests.cost.trips import StageTrips, dense_trips, depthwise_trips, pointwise_trips
from tests.emission import builds
from tests.emission.random_designs import FIRST_PRUNED, Sample, random_sample

# The fewest that have all that is asked for below (eight numbers of pixels): 78 loads
# lists of words while others are in use; 79 is the first whose weights are split over
# several memories.
QUICK = (9, 13, 19, 49, 78, 79, 84, 126)
THOROUGH = sorted(set(range(500)) - set(QUICK))
# Those of which a start takes three frames: both kinds of buffers, tiles, and lists of
# words, which load in one piece.
BATCHED = (9, 13, 19, 78)
FOUR_PRODUCTS = (4, 43)
REPLAYED = (1001,)
ARBITRARY = (2003,)
WARNED = (3005, 4008)  # windows of stride 3 and multipliers; no weights
JOBS = 2  # compilers at once

WINDOWS = {
    Role.DENSE: ("dense_window", "dense_array"),
    Role.DEPTHWISE: ("depthwise_window", "depthwise_array"),
    Role.POINTWISE: ("pointwise_vectors", "pointwise_array"),
}
AMPLE = 10**6  # words of a buffer
PROCESSES = [name for pair in WINDOWS.values() for name in pair]


def compare(seed: int, folder: Path, flags: tuple[str, ...]) -> str:
    """Return what is wrong with a seed's design, or nothing."""
    return compare_sample(sample_of(seed), folder / f"seed{seed}", flags)


def sample_of(seed: int) -> Sample:
    """Return a seed's design; four frames are a full start and one that is not."""
    sample = random_sample(seed)
    return in_batches(sample, 3) if seed in BATCHED else sample


def compare_sample(sample: Sample, place: Path, flags: tuple[str, ...]) -> str:
    """Return where a design's code differs from the interpreter, or nothing."""
    builds.write_sample(sample, place)
    program, _ = builds.build(place, "fast", *flags, *builds.NATIVE)
    outcome = builds.run(place, program, "--maps", builds.MAPS)
    shutil.rmtree(place)
    return "" if outcome.exact else f"{sample}\n{outcome.text}"


def compare_all(seeds: Iterable[int], folder: Path) -> list[str]:
    flags = builds.precompile(folder, *builds.CHECKED)
    with ThreadPoolExecutor(JOBS) as pool:
        found = pool.map(lambda seed: compare(seed, folder, flags), seeds)
        return [text for text in found if text]


def test_random_designs_compute_what_the_interpreter_computes(tmp_path: Path) -> None:
    wrong = compare_all(QUICK, tmp_path)
    assert not wrong, "\n\n".join(wrong)


def test_several_frames_of_a_start_cover_what_loads_beside_them() -> None:
    samples = [sample_of(seed) for seed in BATCHED]
    tables = [make_table(x.design, x.net) for x in samples]
    assert {x.design.engine.double_buffered for x in samples} == {False, True}
    assert any(run and run.tiles > 1 for table in tables for run in table.runs)
    assert any(step.dense_array.fill_lists for table in tables for step in table.steps)


def in_batches(sample: Sample, frames: int) -> Sample:
    board = replace(sample.design.board, batch=frames)
    return replace(sample, design=replace(sample.design, board=board))


def test_weights_of_a_run_load_once_for_all_frames_of_a_start() -> None:
    for sample in map(random_sample, QUICK):
        alone = make_table(sample.design, sample.net)
        if not has_no_parts(alone):
            continue
        batched = in_batches(sample, 3)
        table = make_table(batched.design, batched.net)
        port = sample.design.board.port_bytes
        # A share of a stage's weights begins a beat, and its records another.
        most = len(alone.weights) + 3 * len(Role) * 2 * port * len(table.steps)
        assert len(table.weights) <= most
        assert (
            sum(step.fetch.beats for step in table.steps) * port == len(table.weights)
            or len(table.weights) == port
        )
        runs = [run for run in table.runs if run is not None]
        assert len(runs) == 3 * sum(run is not None for run in alone.runs)


def has_no_parts(table: Table) -> bool:
    return all(run is None or run.part is None for run in table.runs)


def test_slices_of_four_products_of_4_by_5_bits(tmp_path: Path) -> None:
    # Slices of either stage, numbers at the ends of their ranges among them.
    samples = [random_sample(seed, (4, 5)) for seed in FOUR_PRODUCTS]
    slices = [
        (role, found.field, found.chain)
        for sample in samples
        for role, stage in engine_stages(sample.design).items()
        if isinstance(stage, DenseStage) and stage.dsp_pairs
        for found in [stage_slices(sample.design, stage)]
        if found.sharing == 4
    ]
    assert {role for role, *_ in slices} == {Role.DENSE, Role.POINTWISE}
    assert {(field, chain) for _, field, chain in slices} == {(11, 4)}
    assert {"ends", "seeded"} <= {sample.kind for sample in samples}
    wrong = [
        compare_sample(sample, tmp_path / f"seed{sample.seed}", builds.CHECKED)
        for sample in samples
    ]
    assert not any(wrong), "\n\n".join(wrong)


def stage_slices(design: Design, stage: DenseStage) -> Slices:
    engine = design.engine
    return dense_slices(
        stage, act_bits=engine.act_bits, px=engine.px, board=design.board
    )


@pytest.mark.thorough
def test_many_random_designs_compute_what_the_interpreter_computes(
    tmp_path: Path,
) -> None:
    wrong = compare_all(THOROUGH, tmp_path)
    assert not wrong, "\n\n".join(wrong)


def test_random_designs_cover_what_the_engine_can_do() -> None:
    samples = [random_sample(seed) for seed in QUICK]
    kinds = {sample.kind for sample in samples}
    assert kinds == {"seeded", "ends", "multipliers", "end multipliers"}
    assert {x.net.requantization for x in samples} == set(Requantization)
    invocations = [s.invocation for x in samples for s in x.design.segments]
    chains = {tuple(role for role, _ in run.stages) for run in invocations}
    dense, depthwise, pointwise = Role
    assert chains == {
        (),
        (dense,),
        (depthwise,),
        (pointwise,),
        (dense, depthwise),
        (dense, pointwise),
        (depthwise, pointwise),
        (dense, depthwise, pointwise),
    }
    adds = {run.stages[-1][0] for run in invocations if run.residual}
    pools = {run.stages[-1][0] for run in invocations if run.stages and is_pooled(run)}
    assert adds == pools == set(Role)
    assert any(run.residual and is_pooled(run) for run in invocations)
    boards = [sample.design.board for sample in samples]
    assert {board.dsp_type for board in boards} == set(DspType)
    assert {board.port_bytes for board in boards} == {8, 16}
    engines = [sample.design.engine for sample in samples]
    assert {engine.px for engine in engines} == set(range(1, 9))
    assert {engine.act_bits for engine in engines} == set(range(2, 9))
    assert {engine.double_buffered for engine in engines} == {False, True}
    stages = [s for sample in samples for s in engine_stages(sample.design).values()]
    parts = [memory_parts(s.pe, s.items * s.weight_bits) for s in stages]
    assert max(parts) > 1
    pruned = [x for x in samples if x.seed >= FIRST_PRUNED]
    tables = [make_table(x.design, x.net) for x in pruned]
    steps = [step for table in tables for step in table.steps]
    for arrays in (
        [step.dense_array for step in steps],
        [step.pointwise_array for step in steps],
    ):
        # Lists of which a beat holds a part; that load while one is in use.
        assert any(array.entries > 8 for array in arrays)
        assert any(array.fill_lists and array.entries for array in arrays)


def is_pooled(run: Invocation) -> bool:
    return run.ofm != run.stage_ofm


def test_lanes_across_a_stage_that_is_left_out_may_be_any(tmp_path: Path) -> None:
    fused = [Role.DENSE, Role.POINTWISE]
    sample = next(
        found
        for found in map(random_sample, range(FIRST_PRUNED))
        if found.design.engine.depthwise is not None
        and any(
            [role for role, _ in segment.invocation.stages] == fused
            for segment in found.design.segments
        )
    )
    engine = sample.design.engine
    assert engine.dense is not None
    assert engine.depthwise is not None
    assert engine.pointwise is not None
    # Buffers of so few lanes are deeper than they were, so they are made ample.
    dense, depthwise, pointwise = engine.dense, engine.depthwise, engine.pointwise
    engine = replace(
        engine,
        dense=replace(ample(dense), pe=6, dsp_pairs=0),
        depthwise=replace(
            depthwise,
            pe=2,
            dsp_lanes=0,
            weight_words=AMPLE,
            row_words=AMPLE,
            groups=AMPLE,
            channel_words=AMPLE,
            pack_words=AMPLE,
        ),
        pointwise=replace(ample(pointwise), simd=4),
    )
    changed = replace(sample, design=replace(sample.design, engine=engine))
    assert compare_sample(changed, tmp_path / "changed", ("-O0",)) == ""


def ample(stage: DenseStage) -> DenseStage:
    return replace(
        stage,
        weight_words=AMPLE,
        feature_words=AMPLE,
        channel_words=AMPLE,
        pack_words=AMPLE,
    )


def test_tables_cover_tiles_and_packed_taps() -> None:
    tables = [make_table(x.design, x.net) for x in map(random_sample, QUICK)]
    tiles = [run.tiles for table in tables for run in table.runs if run is not None]
    taps = [step.dense_window.taps for table in tables for step in table.steps]
    assert max(tiles) > 1
    assert max(taps) > 1


def test_wrong_weights_are_found_at_their_step(tmp_path: Path) -> None:
    # The last run's weights are the last bytes; all its weights are inverted.
    sample = random_sample(2)
    place = tmp_path / "project"
    table = builds.write_sample(sample, place).table
    program, _ = builds.build(place, "fast", "-O0", *builds.NATIVE)
    assert builds.run(place, program, "--maps", builds.MAPS).exact
    weights = place / "weights/weights.bin"
    data = weights.read_bytes()
    load = table.steps[-2].pointwise_load
    fetch = table.steps[-2].fetch
    begin = (fetch.base + load.record_beats) * sample.design.board.port_bytes
    assert fetch.beats > load.record_beats > 0
    weights.write_bytes(data[:begin] + bytes(255 - byte for byte in data[begin:]))
    outcome = builds.run(place, program, "--maps", builds.MAPS)
    assert not outcome.exact
    assert outcome.result["wrong_steps"] == 1
    assert outcome.result["mismatches"] > 0


def test_the_replay_counts_the_trips_of_the_cost_model(tmp_path: Path) -> None:
    flags = builds.precompile(tmp_path, "-O0")

    def replay(seed: int) -> list[str]:
        sample = random_sample(seed)
        place = tmp_path / f"seed{seed}"
        table = builds.write_sample(sample, place).table
        program, _ = builds.build(place, "trace", *flags, *builds.NATIVE, "-DHAO_TRACE")
        # A deadlock at the depths in the project ends the program with a message.
        outcome = builds.run(place, program, "--frames", "1", "--replay", "replay.json")
        if not outcome.exact:
            return [f"{sample}\n{outcome.text}"]
        replayed = json.loads((place / "replay.json").read_text())["steps"]
        trips = [
            replayed_trips(step, made)
            for step, made in zip(replayed, table.steps, strict=True)
        ]
        return wrong_trips(sample, table, trips)

    with ThreadPoolExecutor(JOBS) as pool:
        wrong = [text for found in pool.map(replay, REPLAYED) for text in found]
    assert not wrong, "\n\n".join(wrong)


def test_tables_count_the_trips_of_the_cost_model() -> None:
    wrong = []
    for sample in map(random_sample, QUICK):
        table = make_table(sample.design, sample.net)
        wrong += wrong_trips(sample, table, [table_trips(step) for step in table.steps])
    assert not wrong, "\n\n".join(wrong)


def wrong_trips(
    sample: Sample, table: Table, counted: list[dict[str, int]]
) -> list[str]:
    """Return where trips that were counted differ from those of the cost model."""
    wrong = []
    for number, (trips, run) in enumerate(zip(counted, table.runs, strict=True)):
        expected = dict.fromkeys(PROCESSES, 0)
        for index, stage in enumerate(run.stages if run is not None else ()):
            predicted = predicted_trips(sample, stage, first=index == 0)
            window, array = WINDOWS[stage.role]
            expected |= {window: predicted.window, array: predicted.array}
        found = {name: trips.get(name, 0) for name in PROCESSES}
        if found != expected:
            wrong.append(f"{sample}\nstep {number}: {found}, not {expected}")
    return wrong


def table_trips(step: Step) -> dict[str, int]:
    dense, depthwise = step.dense_window, step.depthwise_window
    return {
        "dense_window": dense.lead_words + dense.row_trips,
        "dense_array": step.dense_array.trips,
        "depthwise_window": depthwise.lead_words + depthwise.row_trips,
        "depthwise_array": step.depthwise_array.trips,
        "pointwise_vectors": step.vectors.trips,
        "pointwise_array": step.pointwise_array.trips,
    }


class _Loop(TypedDict):
    label: str
    trips: int


class _Process(TypedDict):
    name: str
    loops: list[_Loop]


class _Stream(TypedDict):
    name: str
    words: int


class _Replayed(TypedDict):
    processes: list[_Process]
    streams: list[_Stream]


def replayed_trips(replayed: _Replayed, step: Step) -> dict[str, int]:
    """Return the iterations of each process; of an array, those that compute."""
    trips = {
        process["name"]: sum(loop["trips"] for loop in process["loops"])
        for process in replayed["processes"]
    }
    words = {stream["name"]: stream["words"] for stream in replayed["streams"]}
    passes = {"depthwise": step.depthwise_array.passes}
    for role in Role:
        computing = words.get(f"{role.value}_operands", 0) * passes.get(role.value, 1)
        array = f"{role.value}_array"
        if array in trips:
            assert trips[array] >= computing
            trips[array] = computing
    return trips


def predicted_trips(sample: Sample, run: StageRun, *, first: bool) -> StageTrips:
    design = sample.design
    stage = engine_stages(design)[run.role]
    px, act_bits, board = design.engine.px, design.engine.act_bits, design.board
    if isinstance(stage, DepthwiseStage):
        assert isinstance(run.layer, Depthwise | Pool)
        return depthwise_trips(
            run.layer, pe=stage.pe, taps=stage.taps, px=px, first=first
        )
    assert not isinstance(run.layer, Depthwise | Pool)
    groups = ceil_div(run.channels, stage.pe)
    if run.role is Role.DENSE:
        return dense_trips(
            run.layer,
            simd=stage.simd,
            px=px,
            groups=groups,
            act_bits=act_bits,
            board=board,
        )
    return pointwise_trips(
        run.layer,
        simd=stage.simd,
        px=px,
        groups=groups,
        first=first,
        act_bits=act_bits,
        board=board,
    )


def test_arbitrary_precision_types_give_the_same_outputs(tmp_path: Path) -> None:
    # Not imported: hls4ml drags in a framework, and only its headers are needed.
    found = find_spec("hls4ml")
    if found is None or found.origin is None:
        pytest.skip("hls4ml is not installed; its wheel holds the ap_types headers")
    headers = Path(found.origin).parent / "templates" / "vivado" / "ap_types"

    def outputs(seed: int) -> str:
        sample = random_sample(seed)
        place = tmp_path / f"seed{seed}"
        builds.write_sample(sample, place)
        flags = ("-O0", "-w", "-isystem", str(headers))
        program, _ = builds.build(place, "sim", *flags, compiler=builds.QUICKEST)
        simulated = builds.run(place, program, "--out", "sim.bin")
        program, _ = builds.build(place, "fast", "-O0", *builds.NATIVE)
        native = builds.run(place, program, "--out", "fast.bin")
        same = (place / "sim.bin").read_bytes() == (place / "fast.bin").read_bytes()
        if same and simulated.exact and native.exact:
            return ""
        return f"{sample}\n{simulated.text}\n{native.text}"

    with ThreadPoolExecutor(JOBS) as pool:
        wrong = [text for text in pool.map(outputs, ARBITRARY) if text]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_compilers_find_nothing_to_warn_of(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    flags = ("-O1", "-Wall", "-Wextra", "-Wno-unknown-pragmas", *builds.NATIVE)

    def warnings(seed: int) -> str:
        sample = random_sample(seed)
        place = tmp_path / f"seed{seed}"
        builds.write_sample(sample, place)
        program, said = builds.build(place, "fast", *flags, compiler=compiler)
        outcome = builds.run(place, program)
        return "" if outcome.exact and not said else f"{sample}\n{said}{outcome.text}"

    with ThreadPoolExecutor(JOBS) as pool:
        wrong = [text for text in pool.map(warnings, WARNED) if text]
    assert not wrong, "\n\n".join(wrong)
