"""Runs of the engine: invocations in order, tiles as priced, every channel once."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hao.cost.columns import Setting
from hao.cost.tiles import tile_runs
from hao.emission.runs import Run, design_runs, engine_stages
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.errors import InputError
from hao.ir.layer import Add, Conv, Linear
from hao.ir.partition import Role
from tests.emission.designs import SEEDS, sample, small


def runs_of(seed: int) -> tuple[Run, ...]:
    found = sample(seed)
    return design_runs(found.design, found.net)


@pytest.mark.parametrize("seed", SEEDS)
def test_invocations_follow_each_other_tile_by_tile(seed: int) -> None:
    runs = runs_of(seed)
    order = [run.invocation for run in runs if run.tile == 0]
    assert order == [s.invocation for s in sample(seed).design.segments]
    for before, after in pairwise(runs):
        if after.tile:
            assert after.invocation == before.invocation
            assert after.tile == before.tile + 1
        else:
            assert before.tile == before.tiles - 1


@pytest.mark.parametrize("seed", SEEDS)
def test_every_output_channel_is_made_once(seed: int) -> None:
    made: dict[str, list[int]] = {}
    for run in runs_of(seed):
        for stage in run.stages:
            assert stage.channels == stage.end - stage.begin > 0
            channels = range(stage.begin, stage.end)
            made.setdefault(stage.layer.name, []).extend(channels)
    layers = {
        layer.name: layer
        for segment in sample(seed).design.segments
        for _, layer in segment.invocation.stages
    }
    assert set(made) == set(layers)
    for name, found in made.items():
        assert found == list(range(layers[name].ofm.channels))


@pytest.mark.parametrize("seed", SEEDS)
def test_tiles_are_those_that_are_priced(seed: int) -> None:
    design = sample(seed).design
    stages = engine_stages(design)
    setting = Setting.of(design.engine, design.board)
    for segment in design.segments:
        tiles = [r for r in runs_of(seed) if r.invocation == segment.invocation]
        pairs = segment.invocation.stages
        if len(pairs) != 1 or pairs[0][0] is Role.DEPTHWISE:
            assert len(tiles) == 1
            continue
        role, layer = pairs[0]
        stage = stages[role]
        assert isinstance(stage, DenseStage)
        assert isinstance(layer, Conv | Linear)
        cut = tile_runs(
            layer,
            simd=stage.simd,
            pe=stage.pe,
            weight_words=stage.weight_words,
            setting=setting,
        )
        assert len(tiles) == len(cut)
        for tile, one in zip(tiles, cut, strict=True):
            assert -(-tile.channels // stage.pe) == one.groups
            assert tile.begin % stage.pe == 0


def test_samples_hold_tiles_adds_pools_and_pure_runs() -> None:
    runs = [run for seed in SEEDS for run in runs_of(seed)]
    assert any(run.tiles > 1 for run in runs)
    assert any(run.add is not None for run in runs)
    assert any(run.pool is not None for run in runs)
    assert any(not run.stages for run in runs)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_follows_the_stages_is_what_the_network_says(seed: int) -> None:
    layers = {layer.name: layer for layer in sample(seed).net.network.layers}
    for run in runs_of(seed):
        name = run.invocation.output_name
        if run.pool is not None:
            assert run.pool.name == name
            name = run.pool.input
        if run.add is not None:
            assert run.add.name == name
            assert run.invocation.residual_name in run.add.inputs
            others = [n for n in run.add.inputs if n != run.invocation.residual_name]
            last = run.stages[-1].layer.name if run.stages else None
            assert others == [last or run.invocation.input_name]
        elif run.stages:
            assert run.stages[-1].layer.name == name
            assert not isinstance(layers[name], Add)


def test_a_run_names_its_tile_and_finds_its_stages() -> None:
    found = next(run for seed in SEEDS for run in runs_of(seed) if run.tiles > 1)
    assert found.name.endswith(f"(tile {found.tile + 1} of {found.tiles})")
    small_runs = design_runs(small().design, small().net)
    assert [run.tiles for run in small_runs] == [1] * len(small_runs)
    block = next(run for run in small_runs if run.stage(Role.DEPTHWISE))
    stage = block.stage(Role.DEPTHWISE)
    assert stage is not None
    assert stage.layer.name == "middle"
    assert block.name == block.invocation.name


def test_engine_stages_leaves_out_what_is_not_there() -> None:
    engine = small().design.engine
    found = engine_stages(
        replace(small().design, engine=replace(engine, depthwise=None))
    )
    assert found == {Role.DENSE: engine.dense, Role.POINTWISE: engine.pointwise}
    assert isinstance(engine_stages(small().design)[Role.DEPTHWISE], DepthwiseStage)


def test_a_buffer_that_holds_no_tile_is_refused() -> None:
    design = small().design
    dense = design.engine.dense
    assert dense is not None
    engine = replace(design.engine, dense=replace(dense, weight_words=2))
    with pytest.raises(InputError, match=r"'stem': the weight buffer holds 0 output"):
        design_runs(replace(design, engine=engine), small().net)
