"""Which layers may stand in the place of a block? The pool, and what it makes of one.

The pool is a table, one operation a row, made of what the engine runs well:

    name, layers, add
    inverted_e3_k5, conv1 3i | dw5 | conv1 o, yes

A layer is a kind with its kernel (`conv1` to `conv7`, `dw1` to `dw7`) and the channels
that it makes: a number, or a multiple of what the block reads (`i`) or makes (`o`);
depthwise layers keep theirs. Multiples are rounded up to `CHANNEL_STEP`. The first
depthwise layer, else the first with a window, takes the block's stride. All layers but
the last have the block's activation; the last has what the block's result has. `add`
says whether the map that is read is added where shapes agree.

That shapes are the teacher's is LANA's rule (Molchanov et al., arXiv:2107.10624,
section 3.1); so prices of blocks do not depend on each other.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

from hao.csv_file import csv_rows
from hao.data import data_path
from hao.errors import InputError
from hao.intmath import ceil_div
from hao.ir.blocks import Block
from hao.ir.change import Keep, LeaveOut, Replace
from hao.ir.layer import (
    ActivationKind,
    Add,
    Conv,
    Depthwise,
    Layer,
    Padding,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.partition import MAX_KERNEL, MAX_STRIDE
from hao.ir.tensor import Shape
from hao.options.option import Option

CHANNEL_STEP = 4
"""Channels inside an operation are a multiple of it: lanes come in such numbers."""

MOST_OPERATIONS = 1000
"""Most rows of a table that is read (chosen here; the pool of hao has 77)."""

MOST_LAYERS = 8
"""Most layers of an operation (chosen here)."""

COLUMNS = ("name", "layers", "add")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_PIECE = re.compile(
    r"(?P<kind>conv|dw)(?P<kernel>[0-9]{1,2})"
    r"(?: (?P<times>[0-9]{1,4}(?:/[0-9]{1,4})?)?(?P<of>[io])?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLayer:
    """One layer of an operation.

    Attributes:
        depthwise: Whether it is a depthwise layer, which keeps its channels.
        kernel: Odd, from 1 to 7.
        times: Channels that it makes, or a multiple of those that the block has.
        of: "i" for what the block reads, "o" for what it makes, else a plain number.
    """

    depthwise: bool
    kernel: int
    times: Fraction
    of: str

    def channels(self, ifm: int, ofm: int) -> int:
        """Return the channels that a convolution makes."""
        if self.of == "":
            return int(self.times)
        base = ifm if self.of == "i" else ofm
        if self.times == 1:
            return base
        return CHANNEL_STEP * ceil(self.times * base / CHANNEL_STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the pool.

    Attributes:
        name: Unique in the pool.
        pieces: Its layers.
        added: Whether the map that is read is added where shapes agree.
        place: File and line, for messages; empty for hao's own.
    """

    name: str
    pieces: tuple[OperationLayer, ...]
    added: bool
    place: str = ""


def load_pool(table: Path | None = None) -> tuple[Operation, ...]:
    """Return hao's pool, and the operations of a table of one's own behind it.

    Args:
        table: A CSV file with the columns `name,layers,add`.

    Raises:
        InputError: The file cannot be read, or a row is malformed or repeats a name.
    """
    pool = list(_rows(data_path("data", "operations.csv"), shown=False))
    if table is not None:
        pool += _rows(table, shown=True)
    seen: set[str] = set()
    for operation in pool:
        if operation.name in seen:
            raise InputError(
                f"{operation.place}: operation {operation.name!r} occurs twice; "
                "choose another name"
            )
        seen.add(operation.name)
    return tuple(pool)


def _rows(path: Path, *, shown: bool) -> Iterable[Operation]:
    rows = list(csv_rows(path))
    if not rows or tuple(cell.strip() for cell in rows[0][1]) != COLUMNS:
        raise InputError(f"{path}: the first line must be {','.join(COLUMNS)}")
    if len(rows) > MOST_OPERATIONS:
        raise InputError(
            f"{path}: {len(rows)} lines; must be at most {MOST_OPERATIONS}"
        )
    for number, row in rows[1:]:
        place = f"{path}, line {number}"
        yield replace(_operation(row, place), place=place if shown else "")


def _operation(row: Sequence[str], place: str) -> Operation:
    if len(row) != len(COLUMNS):
        raise InputError(f"{place}: {len(row)} cells; must be {','.join(COLUMNS)}")
    name, layers, add = (cell.strip() for cell in row)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{place}: name {name[:60]!r}; must be at most 40 letters, digits and '_'"
        )
    if add not in ("yes", "no"):
        raise InputError(f"{place}: add = {add[:60]!r}; must be yes or no")
    texts = [text.strip() for text in layers.split("|")]
    if len(texts) > MOST_LAYERS:
        raise InputError(f"{place}: {len(texts)} layers; must be at most {MOST_LAYERS}")
    pieces = tuple(_piece(text, place) for text in texts)
    return Operation(name=name, pieces=pieces, added=add == "yes")


def _piece(text: str, place: str) -> OperationLayer:
    found = _PIECE.fullmatch(text)
    wrong = InputError(
        f"{place}: layer {text[:60]!r}; must be such as conv3 2i, conv1 1/4i, conv1 o, "
        f"conv1 16 or dw5, with an odd kernel up to {MAX_KERNEL}"
    )
    if found is None:
        raise wrong
    kernel, depthwise = int(found["kernel"]), found["kind"] == "dw"
    width = found["times"] or found["of"]
    if kernel % 2 == 0 or kernel > MAX_KERNEL or bool(width) == depthwise:
        raise wrong
    try:
        times = Fraction(found["times"] or "1")
    except ZeroDivisionError:
        raise wrong from None
    of = found["of"] or ""
    if times <= 0 or (not of and times.denominator > 1):
        raise wrong
    return OperationLayer(depthwise=depthwise, kernel=kernel, times=times, of=of)


def operations_of(
    network: Network, block: Block, pool: Iterable[Operation]
) -> dict[str, tuple[Layer, ...]]:
    """Return the layers that may stand in a block's place, by operation.

    Operations that come to the same layers, or to the block's own, are offered once.

    Args:
        network: Whose block it is.
        block: Of `hao.ir.parts.replaceable_blocks`.
        pool: What is offered.

    Raises:
        InputError: An operation of one's own does not fit the block's maps. One of
            hao's own that does not is left out.
    """
    layers = {layer.name: layer for layer in network.layers}
    inside = [layer for layer in network.layers if layer.name in block.layers]
    kinds = [x.activation for x in inside if isinstance(x, Conv | Depthwise | Add)]
    active = (kind for kind in kinds if kind is not ActivationKind.NONE)
    seen = {_signature(inside)}
    found: dict[str, tuple[Layer, ...]] = {}
    site = _Site(
        entry=layers[block.entry],
        ofm=layers[block.result].ofm,
        stem=block.name.removesuffix(".add").removesuffix(".block"),
        inner=next(active, ActivationKind.RELU),
        last=kinds[-1],
    )
    for operation in pool:
        made = site.layers(operation)
        problem = site.problem(made)
        if problem is not None:
            if operation.place:
                raise InputError(
                    f"{operation.place}: operation {operation.name!r} in the place of "
                    f"{block.name!r} {problem}; its shapes must be the block's"
                )
            continue
        signature = _signature(made)
        if signature not in seen:
            seen.add(signature)
            found[operation.name] = made
    return found


def _signature(layers: Sequence[Layer]) -> tuple[object, ...]:
    """Return what of layers in a row does not depend on names."""
    return tuple(
        (
            type(layer),
            layer.ofm,
            getattr(layer, "kernel", None),
            getattr(layer, "stride", None),
            getattr(layer, "activation", None),
        )
        for layer in layers
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """A block as operations see it."""

    entry: Layer
    ofm: Shape
    stem: str
    inner: ActivationKind
    last: ActivationKind

    @property
    def stride(self) -> int:
        return max(1, ceil_div(self.entry.ofm.height, self.ofm.height))

    def layers(self, operation: Operation) -> tuple[Layer, ...]:
        """Return an operation's layers, whether they fit or not."""
        pieces = operation.pieces
        strided = next(
            (n for n, p in enumerate(pieces) if p.depthwise),
            next((n for n, p in enumerate(pieces) if p.kernel > 1), 0),
        )
        added = operation.added and self.entry.ofm == self.ofm
        made: list[Layer] = []
        source = self.entry
        for number, piece in enumerate(pieces):
            final = number == len(pieces) - 1
            kind = self.inner
            if final:
                kind = ActivationKind.NONE if added else self.last
            source = _layer(
                piece,
                source,
                f"{self.stem}.{operation.name}.{number + 1}",
                channels=piece.channels(self.entry.ofm.channels, self.ofm.channels),
                stride=self.stride if number == strided else 1,
                activation=kind,
            )
            made.append(source)
        if added and source.ofm == self.ofm:
            made.append(
                Add(
                    name=f"{self.stem}.{operation.name}.add",
                    inputs=(source.name, self.entry.name),
                    ofm=self.ofm,
                    activation=self.last,
                )
            )
        return tuple(made)

    def problem(self, made: Sequence[Layer]) -> str | None:
        """Return why layers do not fit the block, or `None`."""
        got = made[-1].ofm
        if self.stride > MAX_STRIDE:
            return (
                f"would need a stride of {self.stride}; the engine runs up to "
                f"{MAX_STRIDE}"
            )
        if got != self.ofm:
            return f"gives {got}, where the block gives {self.ofm}"
        return None


def _layer(
    piece: OperationLayer,
    source: Layer,
    name: str,
    *,
    channels: int,
    stride: int,
    activation: ActivationKind,
) -> Conv | Depthwise:
    padding = Padding.same(piece.kernel)
    if piece.depthwise:
        channels = source.ofm.channels
    ofm = window_shape(
        source.ofm,
        channels=channels,
        kernel=piece.kernel,
        stride=stride,
        padding=padding,
    )
    kind = Depthwise if piece.depthwise else Conv
    return kind(
        name=name,
        input=source.name,
        ifm=source.ofm,
        ofm=ofm,
        kernel=piece.kernel,
        stride=stride,
        padding=padding,
        activation=activation,
    )


def operation_options(
    network: Network,
    block: Block,
    operations: Mapping[str, tuple[Layer, ...]],
    costs: Mapping[tuple[str, int], int],
    *,
    leave_out_micro: int | None = None,
) -> tuple[Option, ...]:
    """Return the options of a block: to stay, to be left out, and to be replaced.

    Args:
        network: Whose block it is.
        block: Where.
        operations: Layers that may stand in its place, by operation.
        costs: Of every operation that is offered at some bits, by both [micro-points].
        leave_out_micro: Cost of leaving it out; `None` does not offer that.
    """
    found = [Option(layer=block.name, change=Keep(), cost_micro=0)]
    if leave_out_micro is not None:
        found.append(
            Option(layer=block.name, change=LeaveOut(), cost_micro=leave_out_micro)
        )
    for (name, bits), cost in costs.items():
        change = Replace(operation=name, layers=operations[name], weight_bits=bits)
        found.append(Option(layer=block.name, change=change, cost_micro=cost))
    return tuple(found)


def may_be_left_out(network: Network, block: Block) -> bool:
    """Return whether a block reads and makes maps of one shape: identity is one too."""
    shapes = {layer.name: layer.ofm for layer in network.layers}
    return shapes[block.entry] == shapes[block.result]
