"""Processes and streams of the dataflow region: which exist, and who talks to whom.

A process or a stream exists if some step of the table uses it.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import gcd

from hao.emission.records import DEPTHWISE, NONE
from hao.emission.runs import CODES, LOAD_ORDER, engine_stages
from hao.emission.steps import Table
from hao.engine.design import Design
from hao.engine.stages import lanes_match

FIFO_DEPTH = 2
"""Words of a stream between two processes that run in step (chosen here)."""

BUS_DEPTH = 16
"""Words of a stream of beats: what a burst may bring while its reader waits."""

UNIT_DEPTH = 4
"""Words of a stream of weights: its reader looks every cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One end of a stream: the code by which records choose it.

    Attributes:
        code: Of the stage at the other end (`hao.emission.records`).
        stream: Name of the stream.
        word: Struct of its words, for an input.
    """

    code: int
    stream: str
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A constant of a stage, with the comment behind it."""

    name: str
    value: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowKind:
    """A kind of window that some step has.

    Attributes:
        kernel: Its rows and columns.
        stride: Columns from one pixel to the next.
        test: The C++ beginning of a condition that a step is of this kind.
    """

    kernel: int
    stride: int
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """How often windows of one kernel count where some of their padding does not.

    Attributes:
        test: The C++ beginning of a condition that a step has this kernel.
        shares: By how many rows or columns count, from 1.
    """

    test: str
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """A stage as the templates see it."""

    name: str
    code: int
    constants: tuple[Constant, ...]
    routes: tuple[Route, ...]
    inputs: tuple[Route, ...]
    first: bool
    last: bool
    loads: bool
    in_lanes: str
    unpack_beats: int
    unpack_grain: int
    pack_words: int
    pack_beats: int
    pack_grain: int
    weight_memory: str
    channels_in_luts: bool
    passes: int = 1
    turns: int = 1
    skips: bool = False
    parts: bool = False
    lists_in_luts: bool = False
    convolves: bool = True
    pools: bool = False
    averages: bool = False
    borders: tuple[Border, ...] = ()
    strides: tuple[int, ...] = ()
    kinds: tuple[WindowKind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A process between two stages.

    Attributes:
        name: Of the process.
        source: Stage before it.
        sink: Stage behind it.
        code: Of the stage behind it.
        lanes: Constant that says how many channels that stage takes.
        uneven: Neither number of channels divides the other.
        grain: The largest number that divides both.
    """

    name: str
    source: str
    sink: str
    code: int
    lanes: str
    uneven: bool
    grain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream of the region: name, type of its words, depth [words]."""

    name: str
    type: str
    depth: int


ROLES = {code: role for role, code in CODES.items()}
NAMES = {code: role.value for code, role in ROLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Which connections any step uses: (from, to) with NONE for DDR."""

    pairs: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, table: Table) -> "Paths":
        """Return the connections of a table."""
        pairs: set[tuple[int, int]] = set()
        for run in table.runs:
            if run is None:
                continue
            codes = [CODES[stage.role] for stage in run.stages]
            chain = [NONE, *codes, NONE]
            pairs |= set(pairwise(chain))
        return cls(pairs=frozenset(pairs))

    def sources(self, code: int) -> list[int]:
        """Return what feeds a stage (`NONE`: the way out)."""
        return sorted(a for a, b in self.pairs if b == code)

    def targets(self, code: int) -> list[int]:
        """Return what a stage (`NONE`: the way in) feeds."""
        return sorted(b for a, b in self.pairs if a == code)

    def uses(self, code: int) -> bool:
        """Return whether any step uses a stage."""
        return any(code in pair for pair in self.pairs)


def make_links(paths: Paths, design: Design) -> list[Link]:
    """Return the processes between stages that any step fuses."""
    hardware = engine_stages(design)
    result = []
    for source, sink in sorted(paths.pairs):
        if NONE in (source, sink):
            continue
        lanes, made = hardware[ROLES[sink]].lanes_in, hardware[ROLES[source]].pe
        result.append(
            Link(
                uneven=not lanes_match(made, lanes),
                grain=gcd(made, lanes),
                name=f"regroup_{NAMES[source]}_{NAMES[sink]}",
                source=NAMES[source],
                sink=NAMES[sink],
                code=sink,
                lanes="pe" if sink == DEPTHWISE else "items",
            )
        )
    return result


def beats_name(code: int) -> str:
    """Return the stream of beats that a stage (`NONE`: the writer) unpacks."""
    return f"{NAMES[code]}_beats" if code else "through_beats"


def packed_name(code: int) -> str:
    """Return the stream of beats that a stage's results are packed into."""
    return f"{NAMES[code]}_packed"


def words_name(source: int, target: int) -> str:
    """Return the stream on which a stage sends to another, or to be packed."""
    return f"{NAMES[source]}_to_{NAMES.get(target, 'pack')}"


def input_name(source: int, sink: int) -> str:
    """Return the stream on which a stage receives, from DDR or another stage."""
    if source == NONE:
        return f"{NAMES[sink]}_words"
    return f"{NAMES[sink]}_from_{NAMES[source]}"


def _stream(name: str, kind: str, depth: int = FIFO_DEPTH) -> Stream:
    return Stream(name=name, type=kind, depth=depth)


def make_streams(
    stages: list[StageView], links: list[Link], ifm: list[Route], adds: bool
) -> list[Stream]:
    """Return the streams of the region."""
    result = [_stream(route.stream, "hao_beat", BUS_DEPTH) for route in ifm]
    if adds:
        result.append(_stream("residual_beats", "hao_beat", BUS_DEPTH))
    result.append(_stream("finished_beats", "hao_beat", BUS_DEPTH))
    if any(stage.loads for stage in stages):
        result.append(_stream("weight_beats", "hao_beat", BUS_DEPTH))
    for stage in stages:
        kind = f"{stage.name}_stage"
        if stage.loads:
            units, records = _loaded(stage.name)
            result.append(_stream(units, f"unit_t<{kind}> ", UNIT_DEPTH))
            result.append(_stream(records, f"records_t<{kind}> ", UNIT_DEPTH))
            result.append(_stream(f"{stage.name}_fills", f"fill_t<{kind}> "))
        if stage.skips:
            result.append(_stream(f"{stage.name}_lists", "hao_beat", UNIT_DEPTH))
            result.append(_stream(f"{stage.name}_places", "fold_place_t"))
        for route in stage.inputs:
            result.append(
                _stream(route.stream, f"{route.word}<{kind}::{stage.in_lanes}> ")
            )
        if stage.name == "depthwise":
            word = f"window_t<{kind}::kernel, {kind}::span, {kind}::pe> "
        else:
            word = f"pixels_t<{kind}::items> "
        result.append(_stream(f"{stage.name}_operands", word))
        result += [
            _stream(route.stream, f"pixels_t<{kind}::pe> ") for route in stage.routes
        ]
        if stage.last:
            result.append(_stream(f"{stage.name}_packed", "hao_beat"))
    assert len({stream.name for stream in result}) == len(result), links
    return result


def make_calls(
    stages: list[StageView],
    links: list[Link],
    ifm: list[Route],
    ofm: list[Route],
    adds: bool,
) -> list[str]:
    """Return the calls of the dataflow region, each process before its readers."""
    calls: list[str] = []

    def call(name: str, record: str, *streams: str) -> None:
        calls.append(f"{name}({', '.join((record, *streams))})")

    own = {stage.name: _loaded(stage.name) for stage in stages if stage.loads}
    if own:
        loads: list[str] = []
        for stage in loading_stages(stages):
            loads += own[stage.name]
            if stage.skips:
                loads.append(f"{stage.name}_lists")
        call("read_weights", "step.fetch", "weights", "weight_beats")
        call("load_weights", "step", "weight_beats", *loads)
    call("read_ifm", "step.read", "ifm", *(route.stream for route in ifm))
    if adds:
        call("read_residual", "step.residual", "residual", "residual_beats")
    for name in (stage.name for stage in stages if stage.first):
        call(f"unpack_{name}", "step", f"{name}_beats", f"{name}_words")
    for stage in stages:
        name, array = stage.name, f"step.{stage.name}_array"
        inputs = [route.stream for route in stage.inputs]
        if stage.skips:
            inputs.append(f"{name}_places")
            call(f"order_{name}", array, f"{name}_lists", f"{name}_places")
        window, record = {
            "dense": ("dense_window", "step.dense_window"),
            "depthwise": ("depthwise_window", "step.depthwise_window"),
            "pointwise": ("pointwise_vectors", "step.vectors"),
        }[name]
        call(window, record, *inputs, f"{name}_operands")
        fills = [f"{name}_fills"] if stage.loads else []
        if stage.loads:
            call(f"fill_{name}", array, *own[name], *fills)
        outputs = [route.stream for route in stage.routes]
        call(f"{name}_array", array, f"{name}_operands", *fills, *outputs)
        for link in (link for link in links if link.source == name):
            call(
                link.name, "step", f"{name}_to_{link.sink}", f"{link.sink}_from_{name}"
            )
        if stage.last:
            call(f"pack_{name}", "step", f"{name}_to_pack", f"{name}_packed")
    added = ["residual_beats"] if adds else []
    sources = (route.stream for route in ofm)
    call("finish", "step.finish", *sources, *added, "finished_beats")
    call("write_ofm", "step.write", "ofm", "finished_beats")
    return calls


def loading_stages(stages: list[StageView]) -> list[StageView]:
    """Return the stages that load weights, in the order in which these come."""
    by_code = {stage.code: stage for stage in stages if stage.loads}
    return [by_code[CODES[role]] for role in LOAD_ORDER if CODES[role] in by_code]


def _loaded(name: str) -> tuple[str, str]:
    """Return the streams on which a stage's weights and records come."""
    return f"{name}_units", f"{name}_records"
