"""Reading a board file: TOML to `Board`, or one line that says what is wrong.

A board file names the part, the DDR and the clock; what the part has, its ports and the
caps of place-and-route follow from `hao.hw.device`, unless the file says otherwise.
`_KEYS` below is the whole format. `[sources]` may say under the same key where a value
comes from; the files that ship with hao do so for every number (a test). What ties
values together is checked by `Board`.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hao.errors import InputError, brief
from hao.files import read_named
from hao.hw.board import Board, Family
from hao.hw.device import (
    CAP_PERCENT,
    CAP_SOURCE,
    PORTS,
    PORTS_SOURCE,
    PROCESSOR_SIDES,
    Device,
    check_clock,
    device_name,
    device_of,
    devices,
    family_of,
)
from hao.hw.resources import Resources

MAX_FILE_BYTES = 100_000
"""Largest board file that is read [bytes]; the shipped ones have about 2000."""

DDR_TYPES = ("DDR2", "DDR3", "DDR3L", "LPDDR2", "LPDDR3", "DDR4", "LPDDR4")
"""Memories that the processors take. Source: UG585 and UG1085, DDR controller."""

_LONG_BURSTS = ("LPDDR4",)
"""Memories with bursts of 16 transfers; the others have 8. Source: JESD209-4; JESD79-2,
JESD79-3, JESD79-4, JESD209-2, JESD209-3."""

DDR_BITS = (16, 32, 64)
"""Widths of the DDR [bits]. Source: UG585 (16, 32) and UG1085 (32, 64)."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What a file may say under one key.

    Attributes:
        limit: That in words.
        fits: Whether a value is allowed.
        required: Whether the key must be there.
    """

    limit: str
    fits: Callable[[object], bool]
    required: bool = True


def _whole(low: int, high: int, *, required: bool = True) -> _Key:
    def fits(value: object) -> bool:
        return type(value) is int and low <= value <= high

    return _Key(f"a whole number from {low} to {high}", fits, required)


def _one_of(*choices: str | int) -> _Key:
    return _Key(
        f"one of {', '.join(map(str, choices))}",
        lambda value: type(value) in (str, int) and value in choices,
    )


def _is_board_name(value: object) -> bool:
    """Return whether a value can be the name of a board."""
    pattern = r"[a-z0-9][a-z0-9_-]{0,39}"
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= 200


# No device has more blocks; far below what a price could overflow.
_MOST = 100_000_000
_COUNT = _whole(0, _MOST, required=False)
_POSITIVE = _whole(1, _MOST, required=False)
_NAME_LIMIT = "a name of at most 40 small letters, digits, '-' and '_'"
_KEYS: dict[str, _Key] = {
    "name": _Key(_NAME_LIMIT, _is_board_name),
    "title": _Key("a text of 1 to 200 characters", _is_text),
    "aliases": _Key(
        f"a list of names, each {_NAME_LIMIT}",
        lambda value: isinstance(value, list) and all(map(_is_board_name, value)),
        required=False,
    ),
    "part": _Key("a part number such as 'xczu3eg-sbva484-1-i'", _is_text),
    "clock.khz": _whole(1_000, 2_000_000),
    "ddr.type": _one_of(*DDR_TYPES),
    "ddr.bits": _one_of(*DDR_BITS),
    "ddr.transfers_per_s": _whole(1_000_000, 9_000_000_000),
    "ddr.read_percent": _whole(1, 100),
    "ddr.write_percent": _whole(1, 100),
    "ports.count": _whole(1, 16, required=False),
    "ports.bytes": _whole(4, 16, required=False),
    "ports.max_khz": _whole(1_000, 2_000_000, required=False),
    **{f"cap_percent.{kind}": _whole(1, 100, required=False) for kind in CAP_PERCENT},
    "host.call_us": _whole(0, 1_000_000, required=False),
    "power.idle_mw": _whole(1, 1_000_000, required=False),
    "resources.lut": _POSITIVE,
    "resources.lutram": _COUNT,
    "resources.ff": _POSITIVE,
    "resources.dsp": _POSITIVE,
    "resources.bram_18k": _POSITIVE,
    "resources.uram": _COUNT,
}
_TABLES = {key.partition(".")[0] for key in _KEYS if "." in key}


class _Values:
    """Checked values of a file by dotted key."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def text(self, key: str) -> str:
        value = self._values[key]
        assert isinstance(value, str)
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = self._values.get(key, default)
        assert isinstance(value, int)
        return value

    def maybe(self, key: str) -> int | None:
        return self.number(key) if key in self._values else None

    def has(self, table: str) -> bool:
        return any(key.startswith(f"{table}.") for key in self._values)


def read_board(path: Path, *, shown: str) -> Board:
    """Return the board of a file.

    Args:
        path: The file.
        shown: What messages call it.

    Raises:
        InputError: The file cannot be read, is no TOML, has an unknown part, a
            clock beyond what the part allows, or a key missing, unknown or out of
            range. One line with file, key, value and limit.
    """
    return _board(_read_toml(path, shown=shown), shown=shown)


def parse_board(text: str, *, shown: str) -> Board:
    """Return the board of a file's text.

    Args:
        text: The file.
        shown: What messages call it.

    Raises:
        InputError: As of `read_board`.
    """
    return _board(_parsed(text.encode(), shown=shown), shown=shown)


def burst_bytes(ddr_type: str, bits: int) -> int:
    """Return what one burst of a DDR moves [bytes].

    Args:
        ddr_type: One of `DDR_TYPES`.
        bits: One of `DDR_BITS`.
    """
    return (16 if ddr_type in _LONG_BURSTS else 8) * bits // 8


def check_board_name(name: str) -> None:
    """Check that a text can be the name of a board.

    Raises:
        InputError: It cannot.
    """
    if not _is_board_name(name):
        raise InputError(f"name = {brief(name)}; must be {_NAME_LIMIT}")


def _board(document: dict[str, object], *, shown: str) -> Board:
    said, sources = _split_sources(document, shown=shown)
    try:
        values = _checked(said)
        for key in sources:
            if key not in values:
                raise InputError(
                    f"sources.{key}: there is no {key}; must be the key of a value"
                )
        board = _to_board(_Values(values), sources)
        check_clock(board)
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    return board


def aliases_of(path: Path, *, shown: str) -> tuple[str, ...]:
    """Return the other names that a board file gives its board.

    Args:
        path: The file.
        shown: What messages call it.

    Raises:
        InputError: The file cannot be read, is no TOML, or lists no names there.
    """
    found = _read_toml(path, shown=shown).get("aliases", [])
    if not _KEYS["aliases"].fits(found):
        limit = _KEYS["aliases"].limit
        raise InputError(f"{shown}: aliases = {brief(found)}; must be {limit}")
    assert isinstance(found, list)
    return tuple(found)


def _read_toml(path: Path, *, shown: str) -> dict[str, object]:
    content = read_named(path, "a board file in TOML", MAX_FILE_BYTES, shown=shown)
    return _parsed(content, shown=shown)


def _parsed(content: bytes, *, shown: str) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown}: byte {error.start} is not UTF-8; must be a TOML file in UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown}: not valid TOML: {error}") from error


def _split_sources(
    document: dict[str, object], *, shown: str
) -> tuple[dict[str, object], dict[str, str]]:
    """Return what a file says, and apart from it where it says it is from."""
    values = dict(document)
    tables = values.pop("sources", {})
    if not isinstance(tables, dict):
        raise InputError(f"{shown}: sources = {brief(tables)}; must be a table")
    flat: dict[str, str] = {}
    for key, value in _leaves(tables).items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"{shown}: sources.{key} = {brief(value)}; must be a text that is "
                "not empty"
            )
        flat[key] = value
    return values, flat


def _leaves(table: dict[str, object]) -> dict[str, object]:
    """Return the values of nested tables by dotted key, in the order of the file.

    A stack takes the place of recursion: dotted keys nest deeper than Python calls.
    """
    flat: dict[str, object] = {}
    waiting = list(reversed(table.items()))
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{rest}", v) for rest, v in reversed(value.items())]
        else:
            flat[key] = value
    return flat


def _checked(document: dict[str, object]) -> dict[str, object]:
    """Return the values of a file by dotted key, each allowed and none missing.

    Raises:
        InputError: A key is unknown or missing, or a value not allowed.
    """
    values: dict[str, object] = {}
    for table, rows in document.items():
        if table not in _TABLES:
            values[table] = rows
        elif isinstance(rows, dict):
            values |= {f"{table}.{key}": value for key, value in rows.items()}
        else:
            raise InputError(f"{table} = {brief(rows)}; must be a table")
    for key, value in values.items():
        if key not in _KEYS:
            raise InputError(
                f"{_plain(key)}: unknown key; must be one of {_beside(key)}"
            )
        if not _KEYS[key].fits(value):
            raise InputError(f"{key} = {brief(value)}; must be {_KEYS[key].limit}")
    complete = {key for key in _KEYS if key.startswith("resources.")}
    needed = {key for key, rule in _KEYS.items() if rule.required}
    if "resources" in document:
        needed |= complete
    for key in _KEYS:
        if key in needed and key not in values:
            raise InputError(f"{key} is missing; must be {_KEYS[key].limit}")
    return values


def _beside(key: str) -> str:
    """Return the keys that may stand where an unknown one does, in words."""
    table, dot, _ = key.rpartition(".")
    if dot:
        return ", ".join(
            k.rpartition(".")[2] for k in _KEYS if k.startswith(f"{table}.")
        )
    tops = dict.fromkeys(k.partition(".")[0] for k in _KEYS)
    return ", ".join([*tops, "sources"])


def _to_board(file: _Values, sources: dict[str, str]) -> Board:
    part = file.text("part")
    family = family_of(part)
    side, device = PROCESSOR_SIDES[family], _device(file)
    caps = {
        kind: file.number(f"cap_percent.{kind}", share)
        for kind, share in CAP_PERCENT.items()
    }
    peak = file.number("ddr.transfers_per_s") * file.number("ddr.bits") // 8000
    return Board(
        name=file.text("name"),
        title=file.text("title").strip(),
        device=device.name,
        part=part,
        clock_khz=file.number("clock.khz"),
        resources=device.resources,
        cap_percent=Resources(**caps),
        lutram=device.lutram,
        dsp_type=family.dsp_type,
        ddr_peak_kbytes_per_s=peak,
        ddr_read_percent=file.number("ddr.read_percent"),
        ddr_write_percent=file.number("ddr.write_percent"),
        ddr_burst_bytes=burst_bytes(file.text("ddr.type"), file.number("ddr.bits")),
        ports=file.number("ports.count", PORTS),
        port_bytes=file.number("ports.bytes", side.port_bytes),
        port_max_khz=file.number("ports.max_khz", side.port_limit.khz),
        host_call_us=file.number("host.call_us", side.host_us),
        idle_mw=file.maybe("power.idle_mw"),
        sources=_defaults(family, device) | sources,
    )


def _device(file: _Values) -> Device:
    """Return what the part has: from the table, else from the file.

    Raises:
        InputError: Both or neither say it.
    """
    part = file.text("part")
    if not file.has("resources"):
        return device_of(part)
    name = device_name(part)
    if name in devices():
        raise InputError(
            f"resources: the part {part!r} says what {name} has; leave the table out "
            "(cap_percent sets what designs may use of it)"
        )
    kinds = ("dsp", "bram_18k", "uram", "lut", "ff")
    blocks = {kind: file.number(f"resources.{kind}") for kind in kinds}
    return Device(
        name=name,
        logic="",
        resources=Resources(**blocks),
        lutram=file.number("resources.lutram"),
        source="",
    )


def _defaults(family: Family, device: Device) -> dict[str, str]:
    """Return the sources of what a file leaves out."""
    caps = {f"cap_percent.{kind}": CAP_SOURCE for kind in CAP_PERCENT}
    ports = {
        "ports.count": PORTS_SOURCE,
        "ports.bytes": PORTS_SOURCE,
        "ports.max_khz": PROCESSOR_SIDES[family].port_limit.source,
    }
    host = {"host.call_us": PROCESSOR_SIDES[family].host_source}
    known = {"resources": device.source} if device.source else {}
    return known | ports | caps | host


def _plain(key: str) -> str:
    """Return a key for a message, on one line."""
    return key if key.isprintable() and len(key) <= 60 else brief(key)
