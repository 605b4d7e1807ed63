"""How a network may be cut into invocations of the subgraph engine.

One invocation runs up to three stages (dense, depthwise, pointwise), each with a
bypass, then an optional residual add and an optional global average pool. This
module lists every legal invocation of a network: fused ones that keep feature maps
inside the engine, and split ones that pass them through DDR. Which to use is a path
problem over `positions`, left to `hao.program` and `hao.cost`.

The layers that hold work (convolutions, pools; with the adds and global pools that
ride on their way out) stand in execution order at positions 0, 1, 2, ... A `Segment`
covers the positions `start` to `end` inclusive by one invocation; a partition is a
set of segments that covers every position once. A feature map that two layers read
must exist in DDR, so no segment reaches across it.

Batch norms, activations and quantizers that stand alone cost nothing here: the
engine applies them in the requantization of the stage before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import assert_never

from hao.errors import UnsupportedError
from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
    Quantize,
    Transparent,
)
from hao.ir.network import Network
from hao.ir.tensor import Shape

MAX_KERNEL = 7
MAX_STRIDE = 3


class Role(Enum):
    """Stage of the engine."""

    DENSE = "dense"
    DEPTHWISE = "depthwise"
    POINTWISE = "pointwise"

    # Members are keys of most of a search's dictionaries; the default hashes a name.
    __hash__ = object.__hash__


DenseLayer = Conv | Linear
DepthwiseLayer = Depthwise | Pool


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One run of the engine: the layer in each stage, `None` where bypassed.

    Attributes:
        ifm: Feature map read from DDR; of a frame in digits with all planes.
        stage_ofm: Feature map that leaves the last stage, before the global pool.
        ofm: Feature map written to DDR.
        residual: A second feature map of shape `stage_ofm` is read and added.
        input_name: Layer whose result is read.
        residual_name: Layer whose result is added, or `None`.
        output_name: Layer whose result is written.
    """

    dense: DenseLayer | None
    depthwise: DepthwiseLayer | None
    pointwise: DenseLayer | None
    ifm: Shape
    stage_ofm: Shape
    ofm: Shape
    input_name: str
    residual_name: str | None
    output_name: str

    @property
    def residual(self) -> bool:
        """Return whether a residual is added on the way out."""
        return self.residual_name is not None

    @cached_property
    def stages(self) -> tuple[tuple[Role, DenseLayer | DepthwiseLayer], ...]:
        """Return the stages in use, in the order of the pipeline."""
        pairs = ((role, self.stage(role)) for role in Role)
        return tuple((role, layer) for role, layer in pairs if layer is not None)

    def stage(self, role: Role) -> DenseLayer | DepthwiseLayer | None:
        """Return the layer in one stage, `None` where bypassed."""
        match role:
            case Role.DENSE:
                return self.dense
            case Role.DEPTHWISE:
                return self.depthwise
            case Role.POINTWISE:
                return self.pointwise
            case _:
                assert_never(role)

    @property
    def name(self) -> str:
        """Return the names of the layers it runs, joined by '+'."""
        names = [layer.name for _, layer in self.stages]
        return "+".join(names) if names else self.output_name

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one frame."""
        return sum(
            layer.macs for _, layer in self.stages if not isinstance(layer, Pool)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """An invocation that covers positions `start` to `end` inclusive."""

    start: int
    end: int
    invocation: Invocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Every legal segment of a network.

    Attributes:
        positions: Name of the layer at each position, in execution order.
        segments: All legal segments, by start, then end, then stage.
    """

    positions: tuple[str, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """A layer with its work, and what rides on its way out."""

    layer: Layer
    source: str
    add: Add | None = None
    residual: str | None = None
    pool: GlobalAveragePool | None = None

    @property
    def result(self) -> str:
        if self.pool is not None:
            return self.pool.name
        return self.add.name if self.add is not None else self.layer.name

    @property
    def closed(self) -> bool:
        return self.add is not None or self.pool is not None


def partition(network: Network) -> Partition:
    """Return every legal segment of `network`.

    Raises:
        UnsupportedError: A layer that the engine cannot run, by name.
    """
    problems = engine_problems(network)
    if problems:
        raise UnsupportedError.of_all(f"network {network.name!r}", problems)
    chains = _chains(_units(network), network)
    positions: list[str] = []
    segments: list[Segment] = []
    for chain in chains:
        offset = len(positions)
        positions += [unit.layer.name for unit in chain]
        segments += [
            Segment(start=offset + i, end=offset + j, invocation=invocation)
            for i, j, invocation in _chain_segments(chain)
        ]
    return Partition(positions=tuple(positions), segments=tuple(segments))


def engine_problems(network: Network) -> tuple[str, ...]:
    """Return what the engine does not run of a network, a sentence with a remedy each.

    Windows and averages; `partition` looks at how layers hang together.
    """
    found = (_window_problem(layer) for layer in network.layers)
    return tuple(problem for problem in found if problem is not None)


def _window_problem(layer: Layer) -> str | None:
    if not isinstance(layer, Conv | Depthwise | Pool):
        return None
    if layer.kernel > MAX_KERNEL or layer.stride > MAX_STRIDE:
        return (
            f"layer {layer.name!r}: kernel {layer.kernel}, stride {layer.stride}; the "
            f"engine runs kernels up to {MAX_KERNEL} and strides up to {MAX_STRIDE}"
            f"{_window_remedy(layer)}"
        )
    pad = layer.padding
    if max(pad.top, pad.left, pad.bottom, pad.right) >= layer.kernel:
        return (
            f"layer {layer.name!r}: padding {pad}; the engine pads by less than the "
            f"kernel ({layer.kernel}); enlarge the kernel, or pad less"
        )
    return None


def _window_remedy(layer: Conv | Depthwise | Pool) -> str:
    match layer:
        case Conv():
            return (
                "; a convolution of stride 2 with a kernel up to 14, or of stride 4 "
                "up to 28, is handled as well; otherwise use smaller kernels one "
                "behind the other"
            )
        case Depthwise():
            return "; use smaller kernels one behind the other"
        case Pool(kind=PoolKind.MAX):
            return (
                "; a maximum is handled where two smaller ones in a row, with these "
                "limits, give it"
            )
        case _:
            return "; an average over the whole map is handled, of any size"


def _transparent(network: Network) -> dict[str, str]:
    """Return for every layer name the layer whose stage really makes the result."""
    readers = network.consumers()
    source: dict[str, str] = {}
    for layer in network.layers:
        if isinstance(layer, Transparent):
            origin = source[layer.input]
            alone = len(readers[layer.input]) == 1
            if not alone and not isinstance(layer, Quantize):
                raise UnsupportedError(
                    f"layer {layer.name!r}: {type(layer).__name__} on {layer.input!r}, "
                    "which other layers read too; handled where it is the only reader"
                )
            source[layer.name] = origin
        else:
            source[layer.name] = layer.name
    return source


def _units(network: Network) -> list[_Unit]:
    """Return the units in topological order, adds and global pools attached."""
    source = _transparent(network)
    real = [layer for layer in network.layers if source[layer.name] == layer.name]
    readers: dict[str, list[Layer]] = {layer.name: [] for layer in real}
    for layer in real:
        for name in dict.fromkeys(source[n] for n in layer.inputs):
            readers[name].append(layer)
    order = {layer.name: index for index, layer in enumerate(real)}
    units: dict[str, _Unit] = {}
    made_by: dict[str, str] = {}
    for layer in real:
        assert not isinstance(layer, Transparent)
        match layer:
            case Input():
                continue
            case Add():
                operands = [source[name] for name in layer.inputs]
                hosts = [
                    name
                    for name in operands
                    if name in made_by
                    and not units[made_by[name]].closed
                    and len(readers[name]) == 1
                    and operands[0] != operands[1]
                ]
                if not hosts:
                    raise UnsupportedError(
                        f"layer {layer.name!r}: Add of {operands[0]!r} and "
                        f"{operands[1]!r}; handled where one operand is read by "
                        "the add alone and comes from a convolution or pool"
                    )
                host = max(hosts, key=order.__getitem__)
                residual = next(name for name in operands if name != host)
                unit = units[made_by[host]]
                units[made_by[host]] = replace(unit, add=layer, residual=residual)
                made_by[layer.name] = made_by[host]
            case GlobalAveragePool():
                name = source[layer.input]
                unit_name = made_by.get(name)
                if unit_name is None or len(readers[name]) != 1:
                    units[layer.name] = _Unit(layer=layer, source=name, pool=layer)
                    made_by[layer.name] = layer.name
                    continue
                units[unit_name] = replace(units[unit_name], pool=layer)
                made_by[layer.name] = unit_name
            case Conv() | Depthwise() | Linear() | Pool():
                units[layer.name] = _Unit(layer=layer, source=source[layer.input])
                made_by[layer.name] = layer.name
            case _:
                assert_never(layer)
    return list(units.values())


def _chains(units: list[_Unit], network: Network) -> list[list[_Unit]]:
    """Return maximal single-reader sequences of units, in an executable order."""
    source = _transparent(network)
    reads: dict[str, int] = {}
    for layer in network.layers:
        if source[layer.name] != layer.name:
            continue
        for name in layer.inputs:
            reads[source[name]] = reads.get(source[name], 0) + 1
    chains: list[list[_Unit]] = []
    open_chain: dict[str, list[_Unit]] = {}
    for unit in units:
        chain = open_chain.pop(unit.source, None)
        if chain is None:
            chain = []
            chains.append(chain)
        chain.append(unit)
        if not unit.closed and reads.get(unit.result, 0) == 1:
            open_chain[unit.result] = chain
    return _executable(chains, network.input.name)


def _executable(chains: list[list[_Unit]], frame: str) -> list[list[_Unit]]:
    """Return the chains so that each comes after those whose results it reads."""
    waiting = list(chains)
    done = {frame}
    ordered: list[list[_Unit]] = []
    while waiting:
        ready = next(
            chain
            for chain in waiting
            if all(
                name is None or name in done
                for name in (chain[0].source, *(unit.residual for unit in chain))
            )
        )
        waiting.remove(ready)
        ordered.append(ready)
        done |= {unit.result for unit in ready}
    return ordered


def _roles(layer: Layer) -> tuple[Role, ...]:
    """Return the stages that can run `layer`; empty for a pure bypass."""
    match layer:
        case Conv() if layer.kernel == 1 and layer.stride == 1:
            return (Role.DENSE, Role.POINTWISE)
        case Conv():
            return (Role.DENSE,)
        case Linear():
            return (Role.DENSE, Role.POINTWISE)
        case Depthwise() | Pool():
            return (Role.DEPTHWISE,)
        case Input() | GlobalAveragePool() | Add():
            return ()
        case Affine() | Activation() | Quantize():
            return ()
        case _:
            assert_never(layer)


def _chain_segments(chain: list[_Unit]) -> Iterator[tuple[int, int, Invocation]]:
    """Yield (first, last, invocation) for every legal run of units of a chain."""
    for start, unit in enumerate(chain):
        if not _roles(unit.layer):
            yield start, start, _invocation([unit], {})
        for role in _roles(unit.layer):
            yield start, start, _invocation([unit], {role: unit.layer})
        for end in range(start + 1, min(start + 3, len(chain))):
            roles = _fused_roles([u.layer for u in chain[start : end + 1]])
            if roles is not None:
                yield start, end, _invocation(chain[start : end + 1], roles)


def _fused_roles(layers: list[Layer]) -> dict[Role, Layer] | None:
    """Return which stage runs which of two or three layers, or `None` if it cannot.

    Two 1x1 convolutions in a row are not fused: the engine has one pointwise stage,
    and its dense stage takes a 1x1 only to feed the depthwise stage.
    """
    match layers:
        case [Conv() as first, (Depthwise() | Pool()) as second]:
            return {Role.DENSE: first, Role.DEPTHWISE: second}
        case [(Depthwise() | Pool()) as first, Conv(kernel=1, stride=1) as second]:
            return {Role.DEPTHWISE: first, Role.POINTWISE: second}
        case [Conv() as first, Conv(kernel=1, stride=1) as second] if first.kernel > 1:
            return {Role.DENSE: first, Role.POINTWISE: second}
        case [
            Conv() as first,
            (Depthwise() | Pool()) as second,
            Conv(kernel=1, stride=1) as third,
        ]:
            return {Role.DENSE: first, Role.DEPTHWISE: second, Role.POINTWISE: third}
        case _:
            return None


def _invocation(units: list[_Unit], roles: dict[Role, Layer]) -> Invocation:
    first, last = units[0], units[-1]
    dense, depthwise = roles.get(Role.DENSE), roles.get(Role.DEPTHWISE)
    pointwise = roles.get(Role.POINTWISE)
    assert dense is None or isinstance(dense, DenseLayer)
    assert depthwise is None or isinstance(depthwise, DepthwiseLayer)
    assert pointwise is None or isinstance(pointwise, DenseLayer)
    assert not isinstance(first.layer, Input)
    stage_ofm = last.layer.ofm if roles else first.layer.ifm
    ifm = first.layer.ifm
    if isinstance(first.layer, Conv):
        ifm = replace(ifm, channels=ifm.channels * first.layer.planes)
    return Invocation(
        dense=dense,
        depthwise=depthwise,
        pointwise=pointwise,
        ifm=ifm,
        stage_ofm=stage_ofm,
        ofm=last.pool.ofm if last.pool is not None else stage_ofm,
        input_name=first.source,
        residual_name=last.residual,
        output_name=last.result,
    )
