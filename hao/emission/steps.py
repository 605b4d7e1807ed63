"""The table of steps: what each process of the engine does, run by run.

Every number that the hardware does not work out itself is worked out here and in
`stage_steps` and `ports`, from the loops of docs/engine.md. The trip counts that result
are compared with those of the cost model and of the cycle replay in tests/emission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from hao.emission.records import NONE, FetchStep, LoadStep, Step
from hao.emission.runs import CODES, Run, StageRun, design_runs, engine_stages
from hao.emission.stage_steps import stage_step
from hao.emission.weights import Bytes, StageWeights, stage_weights, unit_rows
from hao.engine.design import Design
from hao.engine.stages import DenseStage
from hao.intmath import ceil_div
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Pool
from hao.ir.partition import Role
from hao.ir.sparsity import FULL, density_of

_Load = dict[Role, StageWeights]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A network as the engine runs it.

    Attributes:
        steps: In order.
        titles: What each step does, for a reader.
        runs: The run of each step, or `None` where it only loads weights.
        frames: The frame of each step, from 0.
        arena: Where feature maps lie.
        weights: Packed weights of all runs, whole beats.
    """

    steps: tuple[Step, ...]
    titles: tuple[str, ...]
    runs: tuple[Run | None, ...]
    frames: tuple[int, ...]
    arena: Arena
    weights: Bytes


def make_table(design: Design, net: IntegerNetwork) -> Table:
    """Return the steps of one start, with packed weights and places of all maps.

    Every run takes all frames of the start, a step each, with the same weights. With
    double buffering, those of the next run load meanwhile, a share beside each frame.

    Raises:
        InputError: A weight buffer does not hold a tile.
    """
    runs = design_runs(design, net)
    arena = place_maps(design)
    loads, data = _loads(runs, design, net)
    made: list[tuple[Step, str, Run | None, int]] = []
    double = design.engine.double_buffered
    for number, run in enumerate(runs):
        half = number % 2 if double else 0
        if (number == 0 or not double) and loads[number][0]:
            loading = _with_load(Step(), loads[number][0], design, half=half)
            made.append((loading, f"load {run.name}", None, 0))
        for frame in range(arena.frames):
            step = _run_step(run, arena.of_frame(frame), design, net)
            title = f"run {run.name}"
            if arena.frames > 1:
                title += f", frame {frame + 1} of {arena.frames}"
            if double:
                step = _in_half(step, design, half)
            if double and number + 1 < len(runs):
                load = loads[number + 1][frame]
                step = _with_load(step, load, design, half=1 - half)
                title += f"; load {runs[number + 1].name}"
            made.append((step, title, run, frame))
    steps, titles, ran, frames = zip(*made, strict=True)
    return Table(
        steps=steps,
        titles=titles,
        runs=ran,
        frames=frames,
        arena=arena,
        weights=data,
    )


def _loads(
    runs: tuple[Run, ...], design: Design, net: IntegerNetwork
) -> tuple[list[list[_Load]], Bytes]:
    """Return every run's packed weights, based in the whole, and the whole.

    Those of a run come in one load where it is a step of its own, else in as many as
    there are frames.
    """
    stages = engine_stages(design)
    port, double = design.board.port_bytes, design.engine.double_buffered
    loads: list[list[_Load]] = []
    parts: list[Bytes] = []
    beat = 0
    for number, run in enumerate(runs):
        count = design.board.batch if double and number else 1
        shares: list[_Load] = [{} for _ in range(count)]
        for share, made in enumerate(shares):
            for stage in run.loaded:
                hardware = stages[stage.role]
                some, first = _share(stage, hardware.pe, share, count)
                packed = None
                if some is not None:
                    packed = stage_weights(some, hardware, net=net, design=design)
                if packed is None:
                    continue
                made[stage.role] = replace(packed, base=beat, first=first)
                parts.append(packed.data)
                beat += len(packed.data) // port
        loads.append(shares)
    empty = np.zeros(port, dtype=np.uint8)
    return loads, np.concatenate(parts) if parts else empty


def _share(
    stage: StageRun, pe: int, number: int, count: int
) -> tuple[StageRun | None, int]:
    """Return one of `count` shares of what a stage loads, and its first output group.

    There may be none. The list of words that a pruned layer keeps is one piece, so the
    first share has all of such a layer.
    """
    if density_of(stage.layer) < FULL:
        return (None, 0) if number else (stage, 0)
    groups = ceil_div(stage.channels, pe)
    first, end = groups * number // count, groups * (number + 1) // count
    if first == end:
        return None, first
    some = replace(
        stage,
        begin=stage.begin + first * pe,
        end=min(stage.begin + end * pe, stage.end),
    )
    return some, first


def stage_unit_rows(design: Design) -> dict[Role, int]:
    """Return the most lanes of a unit of every stage that loads weights."""
    stages, bits = engine_stages(design), design.lane_bits
    most: dict[Role, int] = {}
    for segment in design.segments:
        for role, layer in segment.invocation.stages:
            if not isinstance(layer, Pool):
                rows = unit_rows(layer, stages[role], bits[layer.name], design.board)
                most[role] = max(most.get(role, 1), rows)
    return most


def _with_load(step: Step, load: _Load, design: Design, *, half: int) -> Step:
    """Return the step that also loads weights, into a half of the buffers."""
    if load:
        port = design.board.port_bytes
        fetch = FetchStep(
            base=min(packed.base for packed in load.values()),
            beats=sum(len(packed.data) // port for packed in load.values()),
        )
        step = replace(step, fetch=fetch)
    for role, packed in load.items():
        weight, channel, listed = _begin(design, role, half)
        fill = {
            "fill_weight_base": weight + packed.first * packed.load.folds,
            "fill_channel_base": channel + packed.first,
            "fill_units": packed.units,
            "fill_records": packed.records,
        }
        if packed.lists:
            fill |= {"fill_list_base": listed, "fill_lists": packed.lists}
        step = _with_array(step, role, fill, load=packed.load)
    return step


def _in_half(step: Step, design: Design, half: int) -> Step:
    """Return the step that computes with the weights in a half of the buffers."""
    for role in engine_stages(design):
        weight, channel, listed = _begin(design, role, half)
        bases = {"weight_base": weight, "channel_base": channel}
        if role is not Role.DEPTHWISE:
            bases["list_base"] = listed
        step = _with_array(step, role, bases)
    return step


def _with_array(
    step: Step, role: Role, values: Mapping[str, int], *, load: LoadStep | None = None
) -> Step:
    """Return the step with other values of a stage's array, and what it loads."""
    name = f"{role.value}_array"
    changed: dict[str, Any] = {name: replace(getattr(step, name), **values)}
    if load is not None:
        changed[f"{role.value}_load"] = load
    return replace(step, **changed)


def _begin(design: Design, role: Role, half: int) -> tuple[int, int, int]:
    """Return where the first (0) or the second half of a stage's buffers begins.

    That of weights and of records [words], and of the list of words [beats].
    """
    if not half:
        return 0, 0, 0
    stage, listed = engine_stages(design)[role], 0
    if isinstance(stage, DenseStage) and stage.skips:
        listed = int(list_words(np.asarray(stage.weight_words), design.board)) // 2
    return stage.weight_words // 2, stage.channel_words // 2, listed


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
