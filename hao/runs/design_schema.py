"""What a design file may say: its keys, and their translation to the core types.

The file mirrors the core types; layers stand in it as `hao.layer_file` says. What
differs from them stands here. A segment names the layers in its stages, by which
`partition` finds it again. Parameters are not kept: a design is shapes, bits and
parallelism.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import to_jsonable_python

import hao
from hao.accuracy.drops import Basis, Evidence
from hao.answer.candidates import Accuracy, Stance
from hao.answer.front import FrontPoint
from hao.answer.objective import Objective
from hao.cost.evaluate import CostReport
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.errors import InputError
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.ir.change import Bits, Change, Channels, LeaveOut, Replace, left_out, replaced
from hao.ir.layer import Layer
from hao.ir.network import Network
from hao.ir.partition import Segment, partition
from hao.ir.passes import weight_passes
from hao.ir.sparsity import density_of
from hao.layer_file import FileTable, LayerEntry, layer_type
from hao.report.result import Proof, SearchResult

SCHEMA = "hao.design/5"
"""Name and version of the format; a change of its keys or their meaning raises it."""

MAX_LAYERS = 5000
"""Most layers of a network that is read (chosen here; the zoo's largest has 250)."""

MAX_MACS = 10**14
"""Most MACs of a network that is read (chosen here; the zoo's largest has 10^10)."""


class NetworkTable(FileTable):
    """A network: its name and layers."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    layers: Annotated[list[LayerEntry], Field(min_length=1, max_length=MAX_LAYERS)]


class _SegmentTable(FileTable):
    start: int
    end: int
    dense: str | None
    depthwise: str | None
    pointwise: str | None


class _ReplacedTable(FileTable):
    """A block with other layers in its place, by their names."""

    operation: Annotated[str, Field(min_length=1)]
    weight_bits: Annotated[int, Field(ge=2, le=8)]
    layers: Annotated[list[str], Field(min_length=1)]


class RecordedCost(FileTable):
    """What the design cost when it was written."""

    latency_cycles: int
    multipliers: int
    macs: int
    resources: Resources


_Points = Annotated[float, Field(ge=0, le=100)]


class DesignFile(FileTable):
    """A design file, all but its first two lines: schema and version."""

    objective: Objective
    fps_asked: Annotated[float, Field(gt=0)] | None
    margin_percent: Annotated[float, Field(ge=0, lt=100)]
    image_size: Annotated[int, Field(ge=1)]
    float_top1: _Points | None
    float_source: str
    accuracy: Accuracy | None
    evidence: Evidence
    out_of_range: bool
    basis: Basis | None
    stance: Stance | None
    proof: Proof
    cost: RecordedCost
    board: Board
    engine: Engine
    scheme: dict[str, Annotated[int, Field(ge=2, le=8)]]
    left_out: list[Annotated[str, Field(min_length=1)]]
    channels: dict[str, str]
    replaced: dict[str, _ReplacedTable]
    block_points: _Points | None
    segments: Annotated[list[_SegmentTable], Field(min_length=1)]
    front: list[FrontPoint]
    network: NetworkTable


def to_document(result: SearchResult) -> dict[str, object]:
    """Return a result as JSON values, in the order in which a file has them."""
    design = result.design
    values: dict[str, object] = {
        "schema": SCHEMA,
        "hao": hao.__version__,
        "objective": result.objective,
        "fps_asked": _real(result.fps_asked),
        "margin_percent": float(result.margin_percent),
        "image_size": result.image_size,
        "float_top1": _real(result.float_top1),
        "float_source": result.float_source,
        "accuracy": result.accuracy,
        "evidence": result.evidence,
        "out_of_range": result.out_of_range,
        "basis": result.basis,
        "stance": result.stance,
        "proof": result.proof,
        "cost": _recorded(result.cost),
        "board": design.board,
        "engine": design.engine,
        "scheme": {
            layer.name: design.weight_bits[layer.name]
            for layer in design.network.compute_layers
        },
        "left_out": list(left_out(design.scheme)),
        "channels": {
            name: str(change)
            for name, change in design.scheme.items()
            if isinstance(change, Channels)
        },
        "replaced": {
            name: {
                "operation": change.operation,
                "weight_bits": change.weight_bits,
                "layers": [layer.name for layer in change.layers],
            }
            for name, change in replaced(design.scheme).items()
        },
        "block_points": _real(result.block_points),
        "segments": [_segment_table(segment) for segment in design.segments],
        "front": result.front,
        "network": network_document(design.network),
    }
    return {key: to_jsonable_python(value) for key, value in values.items()}


def network_document(network: Network) -> dict[str, object]:
    """Return a network as JSON values; parameters are not kept."""
    layers = [_layer_table(layer) for layer in network.layers]
    return {"name": network.name, "layers": layers}


def to_network(table: NetworkTable) -> Network:
    """Return the network that a table describes.

    Raises:
        InputError: Its layers do not fit each other, or it is too large.
    """
    network = Network(
        name=table.name, layers=tuple(entry.fields for entry in table.layers)
    )
    if network.macs > MAX_MACS:
        raise InputError(
            f"network {network.name!r}: {network.macs} MACs; must be at most {MAX_MACS}"
        )
    return network


def to_design(file: DesignFile) -> Design:
    """Return the design that a file describes.

    Raises:
        InputError: Its parts do not belong together.
        UnsupportedError: A layer that the engine cannot run.
    """
    network = to_network(file.network)
    if network.input.ofm.width != file.image_size:
        raise InputError(
            f"image_size = {file.image_size}; must be {network.input.ofm.width}, the "
            "width of the network's input"
        )
    names = [layer.name for layer in network.compute_layers]
    for name in file.scheme:
        if name not in names:
            raise InputError(
                f"scheme: {name!r} is no layer of the network with weights"
            )
    for name in names:
        if name not in file.scheme:
            raise InputError(
                f"scheme: layer {name!r} is missing; must have 2 to 8 bits"
            )
    segments = _segments(file, network)
    return Design(
        network=network,
        scheme={
            **{
                layer.name: Bits(
                    weight_bits=file.scheme[layer.name],
                    passes=weight_passes(layer),
                    density=density_of(layer),
                )
                for layer in network.compute_layers
            },
            **dict.fromkeys(file.left_out, LeaveOut()),
            **{name: Channels.of_text(text) for name, text in file.channels.items()},
            **_replaced(file, network),
        },
        engine=file.engine,
        segments=segments,
        board=file.board,
    )


def _replaced(file: DesignFile, network: Network) -> dict[str, Change]:
    """Return the blocks that were replaced, with the layers in their place."""
    layers = {layer.name: layer for layer in network.layers}
    found: dict[str, Change] = {}
    for name, table in file.replaced.items():
        for each in table.layers:
            if each not in layers:
                raise InputError(
                    f"replaced.{name}: {each!r} is no layer of the network"
                )
        found[name] = Replace(
            operation=table.operation,
            layers=tuple(layers[each] for each in table.layers),
            weight_bits=table.weight_bits,
        )
    return found


def _segments(file: DesignFile, network: Network) -> tuple[Segment, ...]:
    legal = {_key(_segment_table(s)): s for s in partition(network).segments}
    found = []
    for number, table in enumerate(file.segments):
        entry = table.model_dump()
        segment = legal.get(_key(entry))
        if segment is None:
            stages = ", ".join(f"{k} {entry[k]!r}" for k in _STAGES if entry[k])
            raise InputError(
                f"segments[{number}]: positions {table.start} to {table.end} with "
                f"{stages or 'no stage'}; must be a segment that the network allows"
            )
        found.append(segment)
    return tuple(found)


_STAGES = ("dense", "depthwise", "pointwise")


def _key(table: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(table[key] for key in ("start", "end", *_STAGES))


def _segment_table(segment: Segment) -> dict[str, object]:
    run = segment.invocation
    table: dict[str, object] = {"start": segment.start, "end": segment.end}
    for name, layer in zip(
        _STAGES, (run.dense, run.depthwise, run.pointwise), strict=True
    ):
        table[name] = None if layer is None else layer.name
    return table


def _layer_table(layer: Layer) -> dict[str, object]:
    # Any: pydantic says so of what it makes of a dataclass.
    fields: dict[str, Any] = to_jsonable_python(layer)
    return {"type": layer_type(layer), **fields}


def _recorded(cost: CostReport) -> dict[str, object]:
    return {
        "latency_cycles": cost.latency_cycles,
        "multipliers": cost.multipliers,
        "macs": cost.macs,
        "resources": cost.resources,
    }


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)
