"""Whether the memories of a pipelined loop have the ports that its II needs.

Per iteration the accesses to one bank of an array must not exceed the ports of its
memory times the II. Partitioned dimensions make banks; an array partitioned completely
is registers and free. Accesses whose bank is unknown are taken to meet in one.
Recurrences through arithmetic are not examined.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from hao.lint.accesses import Access, Form, Path, Trace
from hao.lint.constants import Constants, evaluate_text
from hao.lint.context import Context
from hao.lint.finding import Finding, Rule, Uncounted
from hao.lint.loops import MOST_COPIES
from hao.lint.scopes import Function, PragmaUse, Variable

_MANY = 1 << 30


@dataclass(frozen=True, slots=True)
class Ports:
    """Accesses per cycle that a memory allows."""

    reads: int
    writes: int
    total: int


# Source: UG1399, pragma HLS bind_storage, storage types; UG902 names them alike.
_PORTS = {
    "fifo": Ports(1, 1, 2),
    "ram_1p": Ports(1, 1, 1),
    "ram_1wnr": Ports(_MANY, 1, _MANY),
    "ram_2p": Ports(2, 1, 2),
    "ram_s2p": Ports(1, 1, 2),
    "ram_t2p": Ports(2, 2, 2),
    "rom_1p": Ports(1, 0, 1),
    "rom_2p": Ports(2, 0, 2),
    "rom_np": Ports(_MANY, 0, _MANY),
}
_DEFAULT = _PORTS["ram_t2p"]  # the tool takes one or both ports as needed
_CHANNEL = _PORTS["fifo"]  # also a burst port: one word each way per cycle


@dataclass(frozen=True, slots=True)
class Split:
    """How one dimension is partitioned; factor 0 stands for completely."""

    kind: str
    factor: int


@dataclass(frozen=True, slots=True)
class Storage:
    """Ports of each bank and the partition by dimension, from 0."""

    ports: Ports
    splits: Mapping[int, Split]
    is_bound: bool


def check_ports(context: Context) -> tuple[list[Finding], list[Uncounted]]:
    """Return the arrays that lack ports, and those that could not be counted."""
    findings: dict[tuple[str, int, str], Finding] = {}
    open_arrays: list[Uncounted] = []
    for function in context.program.functions:
        for use in function.pragmas:
            if use.pragma.name != "pipeline" or "off" in use.pragma.flags:
                continue
            for constants in context.environments(function):
                found, uncounted = _check_loop(context, function, use, constants)
                for key, finding in found:
                    findings.setdefault(key, finding)
                open_arrays += uncounted
    return list(findings.values()), open_arrays


def _check_loop(
    context: Context, function: Function, use: PragmaUse, constants: Constants
) -> tuple[list[tuple[tuple[str, int, str], Finding]], list[Uncounted]]:
    body = None if use.holder is None else use.holder.child_by_field_name("body")
    if body is None:
        return [], []
    path, line = use.source.path, use.line
    trace = Trace(context)
    trace.run(body, function, dict(constants))
    interval = evaluate_text(use.pragma.options.get("ii", "1"), constants)
    groups: dict[tuple[str, str, int], list[Access]] = defaultdict(list)
    for access in trace.accesses:
        groups[access.array.name, access.array.path, access.array.line].append(access)
    reasons = dict(trace.open)
    if trace.copies > MOST_COPIES or interval is None:
        why = "II is no constant" if interval is None else "too many copies of the body"
        reasons |= {access.array.name: why for access in trace.accesses}
    found = []
    for (name, _, _), accesses in sorted(groups.items()):
        if name in reasons or interval is None:
            continue
        storage = find_storage(context, accesses[0].owner, accesses[0].array)
        if storage is None:
            reasons[name] = "the caller chooses its memory"
            continue
        message = _excess(context, accesses, storage, constants, interval)
        if message and accesses[0].array.is_const and not storage.is_bound:
            reasons[name] = "a table that the tool may copy"
        elif message:
            finding = Finding(path, line, Rule.PORT_LIMIT.value, f"{name}: {message}")
            found.append(((path, line, name), finding))
    return found, [
        Uncounted(path, line, name, why) for name, why in sorted(reasons.items())
    ]


def find_storage(
    context: Context, function: Function, variable: Variable, depth: int = 0
) -> Storage | None:
    """Return the memory of an array; None where the code does not say.

    A parameter without pragmas of its own takes those of the caller's array.
    """
    uses = _storage_pragmas(context, function, variable)
    if context.is_stream(variable):
        rank = max(context.rank(variable), 1)
        return Storage(
            _CHANNEL, {dim: Split("complete", 0) for dim in range(rank)}, True
        )
    if uses or not variable.is_parameter:
        return _storage(context, function, variable, uses)
    if any(
        use.pragma.name == "interface"
        and use.pragma.base == variable.name
        and use.pragma.options.get("mode", "").lower() == "m_axi"
        for use in function.pragmas
    ):
        return Storage(_CHANNEL, {}, True)
    index = [p.name for p in function.parameters].index(variable.name)
    found: set[str] = set()
    storages: list[Storage] = []
    for caller in context.program.functions:
        for call in context.calls_of(caller):
            if call.name != function.name or index >= len(call.arguments) or depth > 6:
                continue
            argument = call.arguments[index]
            given = context.program.variable(
                caller, (argument.text or b"").decode(), argument
            )
            if given is None:
                return None
            storage = find_storage(context, caller, given, depth + 1)
            if storage is None:
                return None
            found.add(repr(storage))
            storages.append(storage)
    return storages[0] if len(found) == 1 else None


def _storage_pragmas(
    context: Context, function: Function, variable: Variable
) -> list[PragmaUse]:
    inside = variable.scope is not None or variable.is_parameter
    functions: Iterable[Function] = (function,) if inside else context.program.functions
    return [
        use
        for item in functions
        for use in item.pragmas
        if use.pragma.subject == variable.name
        and use.pragma.name
        in {"array_partition", "array_reshape", "bind_storage", "resource"}
    ]


def _storage(
    context: Context, function: Function, variable: Variable, uses: list[PragmaUse]
) -> Storage:
    ports, bound = _DEFAULT, False
    splits: dict[int, Split] = {}
    constants = context.environments(function)[0]
    for use in uses:
        options = use.pragma.options
        if use.pragma.name in {"bind_storage", "resource"}:
            text = options.get("type", options.get("core", "")).lower()
            kind = "_".join(text.split("_")[:2]) if text[:3] != "fif" else "fifo"
            ports, bound = _PORTS.get(kind, ports), True
            continue
        dim = evaluate_text(options.get("dim", "1"), constants)
        kind = options.get("type", "complete").lower()
        factor = evaluate_text(options.get("factor", "0"), constants)
        if dim is None or factor is None:
            continue
        dims = range(max(context.rank(variable), 1)) if dim == 0 else (dim - 1,)
        splits |= {at: Split(kind, factor) for at in dims}
    return Storage(ports, splits, bound)


def _excess(
    context: Context,
    accesses: list[Access],
    storage: Storage,
    constants: Constants,
    interval: int,
) -> str:
    """Return by how much the fullest bank exceeds its ports, or an empty text."""
    array = accesses[0].array
    rank = max(context.rank(array), 1)
    if not context.is_stream(array) and all(
        storage.splits.get(dim, Split("", 1)).kind == "complete" for dim in range(rank)
    ):
        return ""
    extents = context.extents(array, constants)
    groups: dict[tuple[object, ...], dict[tuple[int, ...], list[Access]]]
    groups = defaultdict(lambda: defaultdict(list))
    for access in accesses:
        symbols, bank = _bank(access.indices, storage, extents)
        groups[symbols][bank].append(access)
    for limit, name, kinds in (
        (storage.ports.reads, "reads", (False,)),
        (storage.ports.writes, "writes", (True,)),
        (storage.ports.total, "accesses", (False, True)),
    ):
        worst = [
            max(banks.values(), key=partial(_count, kinds=kinds, storage=storage))
            for banks in groups.values()
        ]
        count = _count([access for items in worst for access in items], kinds, storage)
        if count > limit * interval:
            return (
                f"{count} {name} of one memory per iteration; its ports allow "
                f"{limit * interval} at II={interval}; partition it or raise II"
            )
    return ""


def _bank(
    indices: tuple[Form, ...], storage: Storage, extents: tuple[int | None, ...]
) -> tuple[tuple[object, ...], tuple[int, ...]]:
    """Return what is unknown of the bank of an element, and what is known."""
    symbols: list[object] = []
    bank: list[int] = []
    for dim, form in enumerate(indices):
        split = storage.splits.get(dim)
        if split is None:
            continue
        if split.kind == "complete":
            symbols.append(form.terms)
            bank.append(form.constant)
        elif split.kind == "cyclic" and split.factor > 0:
            left = tuple(
                (s, f % split.factor) for s, f in form.terms if f % split.factor
            )
            symbols.append(left)
            bank.append(form.constant % split.factor)
        else:
            extent = extents[dim] if dim < len(extents) else None
            symbols.append(form.terms)
            if extent is None or form.terms or split.factor < 1:
                bank.append(0)
            else:
                bank.append(form.constant // -(-extent // split.factor))
    return tuple(symbols), tuple(bank)


def _count(accesses: list[Access], kinds: tuple[bool, ...], storage: Storage) -> int:
    """Return how many accesses of some kinds can fall on one bank in one iteration.

    Reads of one address are one access; of branches that exclude each other the
    fullest counts.
    """
    return len(
        _fullest(
            [
                (_address(access, storage), access.path)
                for access in accesses
                if access.writes in kinds
            ]
        )
    )


def _address(access: Access, storage: Storage) -> object:
    """Return what tells two accesses of one bank apart.

    A read by an unknown index of a completely partitioned dimension reads every bank at
    the remaining indices and selects, so that index does not count.
    """
    if access.writes:
        return access.indices, True, access.serial
    inside = tuple(
        form
        for dim, form in enumerate(access.indices)
        if storage.splits.get(dim, Split("", 1)).kind != "complete"
    )
    return inside, False, access.serial


def _fullest(items: Iterable[tuple[object, Path]]) -> set[object]:
    """Return the most keys that can occur together."""
    total: set[object] = set()
    nested: dict[tuple[int, int], dict[int, list[tuple[object, Path]]]] = {}
    for key, path in items:
        if not path:
            total.add(key)
            continue
        condition, copy, branch = path[0]
        branches = nested.setdefault((condition, copy), {})
        branches.setdefault(branch, []).append((key, path[1:]))
    for branches in nested.values():
        total |= max((_fullest(side) for side in branches.values()), key=len)
    return total
