"""The table of steps: what each process of the engine does, run by run.

Every number that the hardware does not work out itself is worked out here and in
`stage_steps` and `ports`, from the loops of docs/engine.md. The trip counts that result
are compared with those of the cost model and of the cycle replay in tests/emission.
"""

from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

import numpy as np

from hao.cost.words import list_words
from hao.emission.arena import Arena, place_maps
from hao.emission.ports import (
    finish_step,
    pack_step,
    read_step,
    residual_step,
    unpack_step,
    write_step,
)
from hao.emission.records import NONE, ArrayStep, DepthwiseStep, FetchStep, Step
from hao.emission.runs import CODES, Run, StageRun, design_runs, engine_stages
from hao.emission.stage_sizes import unit_rows
from hao.emission.stage_steps import stage_step
from hao.emission.weights import Bytes, StageWeights, stage_weights
from hao.engine.design import Design
from hao.engine.stages import DenseStage
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Pool
from hao.ir.partition import Role

_Array = TypeVar("_Array", ArrayStep, DepthwiseStep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A network as the engine runs it.

    Attributes:
        steps: In order.
        titles: What each step does, for a reader.
        runs: The run of each step, or `None` where it only loads weights.
        arena: Where feature maps lie.
        weights: Packed weights of all runs, whole beats.
    """

    steps: tuple[Step, ...]
    titles: tuple[str, ...]
    runs: tuple[Run | None, ...]
    arena: Arena
    weights: Bytes


def make_table(design: Design, net: IntegerNetwork) -> Table:
    """Return the steps of one frame, with packed weights and places of all maps.

    Raises:
        InputError: A weight buffer does not hold a tile.
    """
    runs = design_runs(design, net)
    arena = place_maps(design)
    loads, data = _loads(runs, design, net)
    computed = [_run_step(run, arena, design, net) for run in runs]
    steps: list[Step] = []
    titles: list[str] = []
    ran: list[Run | None] = []
    if design.engine.double_buffered:
        steps.append(_with_load(Step(), loads[0], design, half=0))
        titles.append(f"load {runs[0].name}")
        ran.append(None)
        for number, step in enumerate(computed):
            half = number % 2
            made = _in_half(step, design, half)
            title = f"run {runs[number].name}"
            if number + 1 < len(runs):
                made = _with_load(made, loads[number + 1], design, half=1 - half)
                title += f"; load {runs[number + 1].name}"
            steps.append(made)
            titles.append(title)
            ran.append(runs[number])
    else:
        for run, step, load in zip(runs, computed, loads, strict=True):
            if load:
                steps.append(_with_load(Step(), load, design, half=0))
                titles.append(f"load {run.name}")
                ran.append(None)
            steps.append(step)
            titles.append(f"run {run.name}")
            ran.append(run)
    return Table(
        steps=tuple(steps),
        titles=tuple(titles),
        runs=tuple(ran),
        arena=arena,
        weights=data,
    )


def _loads(
    runs: tuple[Run, ...], design: Design, net: IntegerNetwork
) -> tuple[list[dict[Role, StageWeights]], Bytes]:
    """Return every run's packed weights, based in the whole, and the whole."""
    stages = engine_stages(design)
    rows = stage_unit_rows(design, net)
    port = design.board.port_bytes
    loads: list[dict[Role, StageWeights]] = []
    parts: list[Bytes] = []
    beat = 0
    for run in runs:
        made: dict[Role, StageWeights] = {}
        for stage in run.stages:
            packed = stage_weights(
                stage,
                stages[stage.role],
                rows=rows.get(stage.role, 1),
                net=net,
                design=design,
            )
            if packed is None:
                continue
            made[stage.role] = replace(packed, base=beat)
            parts.append(packed.data)
            beat += len(packed.data) // port
        loads.append(made)
    empty = np.zeros(port, dtype=np.uint8)
    return loads, np.concatenate(parts) if parts else empty


def stage_unit_rows(design: Design, net: IntegerNetwork) -> dict[Role, int]:
    """Return the lanes of a weight unit of every stage that loads weights."""
    bits = design.lane_bits
    narrowest: dict[Role, int] = {}
    for segment in design.segments:
        for role, layer in segment.invocation.stages:
            if not isinstance(layer, Pool):
                least = min(narrowest.get(role, 8), bits[layer.name])
                narrowest[role] = least
    result = {}
    for role, stage in engine_stages(design).items():
        if role in narrowest:
            result[role] = unit_rows(
                items=stage.items,
                pe=stage.pe,
                narrowest=narrowest[role],
                board=design.board,
            )
    return result


def _with_load(
    step: Step, load: dict[Role, StageWeights], design: Design, *, half: int
) -> Step:
    """Return the step that also loads weights, into a half of the buffers."""
    if load:
        port = design.board.port_bytes
        fetch = FetchStep(
            base=min(packed.base for packed in load.values()),
            beats=sum(len(packed.data) // port for packed in load.values()),
        )
        step = replace(step, fetch=fetch)
    for role, packed in load.items():
        weight, channel = _bases(design, role, half)
        match role:
            case Role.DENSE:
                array = _filled(step.dense_array, packed, weight, channel)
                array = _listed(array, packed, _list_base(design, role, half))
                step = replace(step, dense_load=packed.load, dense_array=array)
            case Role.POINTWISE:
                array = _filled(step.pointwise_array, packed, weight, channel)
                array = _listed(array, packed, _list_base(design, role, half))
                step = replace(step, pointwise_load=packed.load, pointwise_array=array)
            case Role.DEPTHWISE:
                products = _filled(step.depthwise_array, packed, weight, channel)
                step = replace(
                    step, depthwise_load=packed.load, depthwise_array=products
                )
            case _:
                assert_never(role)
    return step


def _filled(array: _Array, packed: StageWeights, weight: int, channel: int) -> _Array:
    return replace(
        array,
        fill_weight_base=weight,
        fill_channel_base=channel,
        fill_units=packed.units,
        fill_records=packed.records,
    )


def _in_half(step: Step, design: Design, half: int) -> Step:
    """Return the step that computes with the weights in a half of the buffers."""
    for role in engine_stages(design):
        weight, channel = _bases(design, role, half)
        match role:
            case Role.DENSE:
                array = _based(step.dense_array, weight, channel)
                array = replace(array, list_base=_list_base(design, role, half))
                step = replace(step, dense_array=array)
            case Role.POINTWISE:
                array = _based(step.pointwise_array, weight, channel)
                array = replace(array, list_base=_list_base(design, role, half))
                step = replace(step, pointwise_array=array)
            case Role.DEPTHWISE:
                products = _based(step.depthwise_array, weight, channel)
                step = replace(step, depthwise_array=products)
            case _:
                assert_never(role)
    return step


def _based(array: _Array, weight: int, channel: int) -> _Array:
    return replace(array, weight_base=weight, channel_base=channel)


def _listed(array: ArrayStep, packed: StageWeights, base: int) -> ArrayStep:
    if not packed.lists:
        return array
    return replace(array, fill_list_base=base, fill_lists=packed.lists)


def _list_base(design: Design, role: Role, half: int) -> int:
    """Return where a half of a stage's lists begins [beats]; 0 where it has none."""
    stage = engine_stages(design)[role]
    if not (isinstance(stage, DenseStage) and stage.skips and half):
        return 0
    return int(list_words(np.asarray(stage.weight_words), design.board)) // 2


def _bases(design: Design, role: Role, half: int) -> tuple[int, int]:
    """Return where a half of a stage's buffers begins: weights, records [words]."""
    stage = engine_stages(design)[role]
    if not design.engine.double_buffered:
        return 0, 0
    return half * (stage.weight_words // 2), half * (stage.channel_words // 2)


def _run_step(run: Run, arena: Arena, design: Design, net: IntegerNetwork) -> Step:
    """Return the step that computes a run, from the first half of the buffers."""
    source = arena.maps[run.invocation.input_name]
    first = run.stages[0] if run.stages else None
    step = Step(read=read_step(run, source))
    if run.writes:
        step = replace(
            step,
            residual=residual_step(run, arena),
            finish=finish_step(run, arena, net),
            write=write_step(run, arena),
        )
    if first is None:
        return step
    step = replace(step, unpack=unpack_step(first, source, design))
    if run.writes:
        step = replace(step, pack=pack_step(run, arena, design))
    before: StageRun | None = None
    following = (*run.stages[1:], None)
    for stage, after in zip(run.stages, following, strict=True):
        target = NONE if after is None else CODES[after.role]
        step = stage_step(step, stage, before, target, run, design, net)
        before = stage
    return step
