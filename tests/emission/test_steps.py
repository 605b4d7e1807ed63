"""The table of steps: loads come in time and in the other half, maps are whole."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

import pytest

from hao.cost.columns import Setting, engine_columns
from hao.cost.loads import stage_load
from hao.cost.memory import record_bytes
from hao.cost.units import unit_lanes
from hao.emission.records import ArrayStep, DepthwiseStep, LoadStep, Step
from hao.emission.runs import engine_stages
from hao.emission.steps import (
    Table,
    make_table,
    stage_unit_rows,
)
from hao.emission.weights import record_bits
from hao.engine.stages import DepthwiseStage
from hao.hw.board_file import load_board
from hao.intmath import ceil_div
from hao.ir.layer import Pool
from hao.ir.partition import Role
from tests.emission.designs import SEEDS, sample, small

ROLES = {Role.DENSE: "dense", Role.DEPTHWISE: "depthwise", Role.POINTWISE: "pointwise"}


def load_only(step: Step) -> bool:
    return step.read.beats == 0


def has_load(load: LoadStep) -> bool:
    return load.unit_trips > 0


def table_of(seed: int) -> Table:
    return make_table(sample(seed).design, sample(seed).net)


def load(step: Step, role: Role) -> LoadStep:
    found = getattr(step, f"{ROLES[role]}_load")
    assert isinstance(found, LoadStep)
    return found


def array(step: Step, role: Role) -> ArrayStep | DepthwiseStep:
    found = getattr(step, f"{ROLES[role]}_array")
    assert isinstance(found, ArrayStep | DepthwiseStep)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_loaded_before_they_are_used_and_kept_until_then(seed: int) -> None:
    table, double = table_of(seed), sample(seed).design.engine.double_buffered
    stages = engine_stages(sample(seed).design)
    held: dict[tuple[Role, int, int], str] = {}  # by stage and bases, the layer
    for number, (step, run) in enumerate(zip(table.steps, table.runs, strict=True)):
        used: set[tuple[Role, int]] = set()
        if run is not None:
            for stage in run.stages:
                if isinstance(stage.layer, Pool):
                    continue
                now = array(step, stage.role)
                place = (stage.role, now.weight_base, now.channel_base)
                assert held[place] == f"{stage.layer.name} {stage.begin}"
                used.add((stage.role, now.weight_base))
        # What this step loads is for the next run, in the half that is not read.
        following = next((r for r in table.runs[number + 1 :] if r is not None), None)
        for role in stages:
            if not has_load(load(step, role)):
                assert array(step, role).fill_units == 0
                continue
            assert following is not None
            stage_run = following.stage(role)
            assert stage_run is not None
            now = array(step, role)
            assert (role, now.fill_weight_base) not in used
            place = (role, now.fill_weight_base, now.fill_channel_base)
            held[place] = f"{stage_run.layer.name} {stage_run.begin}"
            assert now.fill_records == load(step, role).record_beats
        assert double or run is None or not any(has_load(load(step, r)) for r in ROLES)


@pytest.mark.parametrize("seed", SEEDS)
def test_halves_alternate_and_fit_their_buffers(seed: int) -> None:
    design, table = sample(seed).design, table_of(seed)
    double = design.engine.double_buffered
    for role, stage in engine_stages(design).items():
        halves = [
            array(step, role).weight_base
            for step, run in zip(table.steps, table.runs, strict=True)
            if run is not None
        ]
        middle = stage.weight_words // 2 if double else 0
        assert halves == [middle * (n % 2) for n in range(len(halves))]
        for step in table.steps:
            now = load(step, role)
            base = array(step, role).fill_weight_base
            end = stage.weight_words if base or not double else middle
            assert base + now.groups * now.folds <= end
            top = array(step, role).fill_channel_base
            limit = stage.channel_words // (1 if top or not double else 2)
            assert top + now.groups <= limit


@pytest.mark.parametrize("seed", SEEDS)
def test_loads_cover_the_packed_weights_once_and_in_order(seed: int) -> None:
    table, port = table_of(seed), sample(seed).design.board.port_bytes
    at = 0
    for step in table.steps:
        beats = 0
        for role in Role:
            now = load(step, role)
            if has_load(now):
                # Units take their bits one behind another, and end in a last beat.
                bits = sum(need for _, need in walked_units(now))
                beats += now.record_beats + now.list_beats
                beats += ceil_div(bits, 8 * port)
        assert step.fetch.beats == beats
        assert beats == 0 or step.fetch.base == at
        at += beats
    assert at == len(table.weights) // port or (at == 0 and len(table.weights) == port)


def walked_units(load: LoadStep) -> Iterator[tuple[int, int]]:
    """Yield lanes and bits of every unit that a load's numbers describe."""
    for group in range(load.groups):
        final = group == load.groups - 1
        for fold in range(load.folds):
            end = fold == load.folds - 1
            tail = fold % load.inner_folds == load.inner_folds - 1
            rows = load.end_rows if end else load.tail_rows if tail else load.rows
            whole = load.end_need if end else load.tail_need if tail else load.need
            left = load.last_lanes if final else load.lanes
            while left > 0:
                # What is left of a word of full lanes takes fewer bits.
                rest = load.last_need if final else load.rest_need
                short = left <= rows and whole == load.need
                yield min(left, rows), rest if short else whole
                left -= rows


@pytest.mark.parametrize("seed", SEEDS)
def test_units_and_iterations_of_the_loader_are_those_of_a_walk(seed: int) -> None:
    design, table = sample(seed).design, table_of(seed)
    rows, used = stage_unit_rows(design), dict.fromkeys(Role, 0)
    for step in table.steps:
        for role, stage in engine_stages(design).items():
            now = load(step, role)
            if not has_load(now):
                continue
            width = stage.taps if isinstance(stage, DepthwiseStage) else stage.simd
            assert now.need == now.rows * width * now.bits
            used[role] = max(used[role], now.rows)
            units = iterations = bits = 0
            for lanes, need in walked_units(now):
                # Whole lanes of weights: of a word's width, or fewer of a lane.
                items, left = divmod(need, lanes * now.bits)
                assert (left, items <= width) == (0, True)
                assert items == width or lanes == 1
                units += 1
                # A beat comes in where bits are missing; one iteration each.
                port = 8 * design.board.port_bytes
                beats = max(0, ceil_div(need - bits, port))
                iterations += max(1, beats)
                bits += beats * port - need
            assert array(step, role).fill_units == units
            assert now.unit_trips == iterations
    assert {role: most for role, most in used.items() if most} == rows


@pytest.mark.parametrize("seed", SEEDS)
def test_loads_take_the_port_as_long_as_priced(seed: int) -> None:
    design, net, table = sample(seed).design, sample(seed).net, table_of(seed)
    columns = engine_columns(design.engine)
    setting = Setting.of(design.engine, design.board)
    for before, run in zip(table.steps, table.runs[1:], strict=False):
        for stage in () if run is None else run.stages:
            role, layer = stage.role, stage.layer
            whole = (stage.begin, stage.end) == (0, layer.ofm.channels)
            if isinstance(layer, Pool) or not whole or design.board.batch > 1:
                continue
            if record_bits(net) != 8 * record_bytes(layer):
                continue  # a network with multipliers on a design priced without
            now = load(before, role)
            bits = design.lane_bits[layer.name]
            port = stage_load(layer, columns[role], bits, setting).port
            priced = sum(int(cycles.max()) for cycles in port)
            taken = now.record_beats + now.list_beats + now.unit_trips
            # Half a cycle for each word of a last group of fewer channels, at most
            # one more on average; within a beat where words begin anywhere in it.
            assert abs(priced - taken) <= 2 + now.folds // 2, (priced, taken)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_without_a_run_computes_nothing(seed: int) -> None:
    table = table_of(seed)
    for step, run in zip(table.steps, table.runs, strict=True):
        assert load_only(step) == (run is None)
        if run is None:
            assert step.write == Step().write
            for name in ("dense", "depthwise", "pointwise"):
                assert getattr(step, f"{name}_array").trips == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_unused_stages_get_no_trips(seed: int) -> None:
    table = table_of(seed)
    for step, run in zip(table.steps, table.runs, strict=True):
        used = set() if run is None else {stage.role for stage in run.stages}
        for role in Role:
            assert (array(step, role).trips > 0) == (role in used)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_beat_of_a_map_is_written_once(seed: int) -> None:
    table = table_of(seed)
    written: dict[str, Counter[int]] = {}
    for step, run in zip(table.steps, table.runs, strict=True):
        if run is None:
            continue
        source = table.arena.maps[run.invocation.input_name]
        assert step.read.base == source.base
        assert 0 < step.read.beats <= source.beats
        write = step.write
        if run.pool is not None:
            assert step.finish.pools
            assert (write.pixels, write.run) == (1, step.finish.mean_words)
            continue
        assert step.finish.beats == write.pixels * write.run
        if run.add is not None:
            residual = step.residual
            place = (write.pixels, write.run, write.stride)
            assert (residual.pixels, residual.run, residual.stride) == place
        beats = written.setdefault(run.invocation.output_name, Counter())
        for pixel in range(write.pixels):
            begin = write.base + pixel * write.stride
            beats.update(range(begin, begin + write.run))
    for name, beats in written.items():
        stored = table.arena.maps[name]
        assert set(beats) == set(range(stored.base, stored.base + stored.beats))
        assert set(beats.values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_titles_say_what_a_step_does(seed: int) -> None:
    table = table_of(seed)
    for title, step, run in zip(table.titles, table.steps, table.runs, strict=True):
        assert (run is not None) == title.startswith("run ")
        if run is not None:
            assert title.startswith(f"run {run.name}")
        loads = any(has_load(load(step, role)) for role in Role)
        assert not loads or "load " in title


def test_the_small_design_by_hand() -> None:
    table = make_table(small().design, small().net)
    stem = table.steps[1]
    # 9 x 9 pixels of 4 codes: a row is 36 bytes, 3 beats; all 9 rows are needed.
    assert (stem.read.base, stem.read.beats) == (0, 27)
    # 5 x 5 outputs, 2 pixels side by side: 3 groups a row; 12 channels on 4 lanes: 3
    # groups; 9 taps, 2 in a word of 8 multipliers: 5 folds.
    assert stem.dense_array.trips == 5 * 3 * 3 * 5
    assert stem.dense_window.taps == 2
    # What it writes: 25 pixels of 16 codes, a beat each.
    assert (stem.write.pixels, stem.write.run) == (1, 25)
    assert stem.finish.beats == 25
    assert (stem.finish.adds, stem.residual.pixels) == (0, 0)
    assert [f.name for f in fields(Step)][:4] == [
        *("fetch", "dense_load", "depthwise_load", "pointwise_load"),
    ]


def test_unit_lanes_by_hand() -> None:
    board = load_board("zu3eg")  # ports of 128 bits
    # 8 weights of 4 bits are 32 bits a lane: 4 lanes fill a beat.
    assert unit_lanes(items=8, lanes=16, bits=4, board=board) == 4
    assert unit_lanes(items=8, lanes=3, bits=4, board=board) == 3
    # 5 lanes fill a beat: 4 units of a word, each of 4.
    assert unit_lanes(items=9, lanes=16, bits=3, board=board) == 4
    assert unit_lanes(items=64, lanes=16, bits=8, board=board) == 1
