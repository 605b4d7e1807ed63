"""Reading a board file: TOML to `Board`, or one line that says what is wrong.

A board file names every number once and gives its source under the same key in
`[sources]`; a number without a source is refused, and so is a key that nobody reads.
The ranges of single values stand here, beside the keys; what ties values together is
checked by `Board`. The table `[power]` may be absent.
"""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Board, DspType
from hao.hw.resources import Resources

MAX_FILE_BYTES = 100_000
"""Largest board file that is read [bytes]; the shipped ones have about 5000."""

# No device has more blocks; far below what a price could overflow.
_Count = Annotated[int, Field(strict=True, ge=0, le=100_000_000)]
_Positive = Annotated[int, Field(strict=True, ge=1, le=100_000_000)]
_Percent = Annotated[int, Field(strict=True, ge=1, le=100)]
_Khz = Annotated[int, Field(strict=True, ge=1_000, le=2_000_000)]
_Text = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=200),
]
_BoardName = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
]
_DspName = Annotated[DspType, Field(strict=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Clock(_Table):
    khz: _Khz


class _Blocks(_Table):
    lut: _Positive
    lutram: _Count
    ff: _Positive
    dsp: _Positive
    bram_18k: _Positive
    uram: _Count


class _Caps(_Table):
    lut: _Percent
    ff: _Percent
    dsp: _Percent
    bram_18k: _Percent
    uram: _Percent


class _Ddr(_Table):
    peak_kbytes_per_s: _Positive
    read_percent: _Percent
    write_percent: _Percent
    burst_bytes: Annotated[int, Field(strict=True, ge=16, le=128)]


class _Ports(_Table):
    count: Annotated[int, Field(strict=True, ge=1, le=16)]
    bytes: Annotated[int, Field(strict=True, ge=4, le=16)]
    max_khz: _Khz


class _Host(_Table):
    call_us: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


class _Power(_Table):
    idle_mw: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class _BoardFile(_Table):
    name: _BoardName
    title: _Text
    device: _Text
    part: _Text
    dsp_type: _DspName
    clock: _Clock
    resources: _Blocks
    cap_percent: _Caps
    ddr: _Ddr
    ports: _Ports
    host: _Host
    power: _Power | None = None


@dataclass(frozen=True, slots=True)
class _Sourced:
    """What a file says, apart from where it says it is from."""

    values: dict[str, object]
    sources: dict[str, str]


def board_names() -> tuple[str, ...]:
    """Return the names of the boards that ship with hao, sorted."""
    return tuple(sorted(path.stem for path in data_path("boards").glob("*.toml")))


def load_board(name_or_path: str) -> Board:
    """Return a board by its name, or from a file whose path ends in ".toml".

    Args:
        name_or_path: One of `board_names()`, or a path.

    Raises:
        InputError: No such board, or the file cannot be read, is no TOML, has a part
            of a family that hao does not know, or has a key missing, unknown, out of
            range or without a source. One line with file, key, value and limit.
    """
    if name_or_path.endswith(".toml"):
        return _read_board(Path(name_or_path), shown=name_or_path)
    names = board_names()
    if name_or_path not in names:
        close = get_close_matches(Path(name_or_path).name.lower(), names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(
            f"board {_short(name_or_path)}: unknown; must be one of {', '.join(names)} "
            f"or a path that ends in .toml{hint}"
        )
    shown = f"boards/{name_or_path}.toml"
    return _read_board(data_path("boards", f"{name_or_path}.toml"), shown=shown)


def _read_board(path: Path, *, shown: str) -> Board:
    parsed = _split_sources(_read_toml(path, shown=shown), shown=shown)
    try:
        file = _BoardFile.model_validate(parsed.values)
    except ValidationError as error:
        raise InputError(f"{shown}: {_explain(error.errors()[0])}") from error
    _check_sources(file, parsed.sources, shown=shown)
    try:
        board = _to_board(file, parsed.sources)
        _ = board.family  # refuses what no project can be emitted for
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    return board


def _read_toml(path: Path, *, shown: str) -> dict[str, object]:
    try:
        if not path.exists():
            raise InputError(f"{shown}: no such file")
        if not path.is_file():
            raise InputError(f"{shown}: not a file; must be a TOML file")
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        if isinstance(error, InputError):
            raise
        raise InputError(f"{_short(shown)}: cannot be read: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise InputError(
            f"{shown}: more than {MAX_FILE_BYTES} bytes; a board file has about 5000"
        )
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown}: byte {error.start} is not UTF-8; must be a TOML file in UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown}: not valid TOML: {error}") from error


def _split_sources(document: dict[str, object], *, shown: str) -> _Sourced:
    values = dict(document)
    tables = values.pop("sources", {})
    if not isinstance(tables, dict):
        raise InputError(f"{shown}: sources = {_short(tables)}; must be a table")
    flat: dict[str, str] = {}
    for key, value in _leaves(tables).items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"{shown}: sources.{key} = {_short(value)}; must be a text that is "
                "not empty"
            )
        flat[key] = value
    return _Sourced(values, flat)


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


def _check_sources(file: _BoardFile, sources: dict[str, str], *, shown: str) -> None:
    values = _leaves(file.model_dump(exclude_none=True))
    for key, value in values.items():
        if isinstance(value, int) and key not in sources:
            raise InputError(
                f"{shown}: sources.{key} is missing; must say where {key} = {value} "
                "comes from"
            )
    for key in sources:
        if key not in values:
            raise InputError(
                f"{shown}: sources.{key}: there is no {key}; must be the key of a value"
            )


def _to_board(file: _BoardFile, sources: dict[str, str]) -> Board:
    blocks, caps = file.resources, file.cap_percent
    return Board(
        name=file.name,
        title=file.title,
        device=file.device,
        part=file.part,
        clock_khz=file.clock.khz,
        resources=Resources(
            dsp=blocks.dsp,
            bram_18k=blocks.bram_18k,
            uram=blocks.uram,
            lut=blocks.lut,
            ff=blocks.ff,
        ),
        cap_percent=Resources(
            dsp=caps.dsp,
            bram_18k=caps.bram_18k,
            uram=caps.uram,
            lut=caps.lut,
            ff=caps.ff,
        ),
        lutram=blocks.lutram,
        dsp_type=file.dsp_type,
        ddr_peak_kbytes_per_s=file.ddr.peak_kbytes_per_s,
        ddr_read_percent=file.ddr.read_percent,
        ddr_write_percent=file.ddr.write_percent,
        ddr_burst_bytes=file.ddr.burst_bytes,
        ports=file.ports.count,
        port_bytes=file.ports.bytes,
        port_max_khz=file.ports.max_khz,
        host_call_us=file.host.call_us,
        idle_mw=None if file.power is None else file.power.idle_mw,
        sources=sources,
    )


def _explain(error: ErrorDetails) -> str:
    """Return a pydantic error as "key = value; limit" on one line."""
    key = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "missing":
            return f"{key} is missing; must be {_limit(key)}"
        case "extra_forbidden":
            table = key.rpartition(".")[0]
            allowed = _fields(table).model_fields if table else _BoardFile.model_fields
            names = [*allowed, *([] if table else ["sources"])]
            return f"{key}: unknown key; must be one of {', '.join(names)}"
        case _:
            return f"{key} = {_short(error['input'])}; must be {_limit(key)}"


def _fields(table: str) -> type[BaseModel]:
    """Return the model of a table of the file."""
    if table == "power":
        return _Power  # The one table that may be absent: its annotation is a union.
    model = _BoardFile.model_fields[table].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _limit(key: str) -> str:
    """Return in words what the file may say under a dotted key."""
    table, _, name = key.rpartition(".")
    field = (_fields(table) if table else _BoardFile).model_fields[name]
    if field.annotation is DspType:
        return f"one of {', '.join(kind.value for kind in DspType)}"
    if field.annotation is str:
        return (
            "a name of at most 40 small letters, digits, '-' and '_'"
            if name == "name"
            else "a text of 1 to 200 characters"
        )
    if field.annotation is not int:
        return "a table"
    low = next(limit.ge for limit in field.metadata if isinstance(limit, Ge))
    high = next(limit.le for limit in field.metadata if isinstance(limit, Le))
    return f"a whole number from {low} to {high}"


def _short(value: object) -> str:
    """Return a value for a message, on one line and cut after 60 characters."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    writer = Repr()
    writer.maxstring = writer.maxother = 60
    return writer.repr(value)
