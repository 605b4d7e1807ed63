"""The store of measurements: an SQLite file in the run directory.

Every sample is committed as it comes, with its seed, the versions of what made it, and
the time. The file says which network, parameters, data and settings it is of; another
one's is refused. It is opened by one command at a time and written by that command's
process alone: workers hand their results back to it.

Journal: WAL with full synchronisation, so that a kill or a power failure at any moment
leaves every committed sample and nothing else (https://www.sqlite.org/wal.html).
"""

import json
import platform
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hao import __version__
from hao.errors import InputError
from hao.ir.change import Change
from hao.measure.sample import (
    NO_CHANGES,
    Origin,
    Part,
    Result,
    Sample,
    Trial,
    scheme_of_key,
)

STORE_FILE = "measurements.sqlite"

STORE_SCHEMA = "hao.measurements/2"

_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE samples (
    number INTEGER PRIMARY KEY,
    scheme TEXT NOT NULL, part TEXT NOT NULL,
    epochs INTEGER NOT NULL, seed INTEGER NOT NULL,
    origin TEXT NOT NULL, turn INTEGER NOT NULL, cycles INTEGER,
    frames INTEGER, top1 REAL, loss REAL, divergence REAL, agreement REAL,
    seconds REAL, failure TEXT NOT NULL,
    versions TEXT NOT NULL, written TEXT NOT NULL,
    UNIQUE (scheme, part, epochs, seed)
);
CREATE TABLE saliencies (
    act_bits INTEGER NOT NULL, kind TEXT NOT NULL, layer TEXT NOT NULL,
    change TEXT NOT NULL, value REAL NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (act_bits, kind, layer, change)
);
"""

_FIGURES = tuple(item.name for item in fields(Result))
_COLUMNS = (
    *("scheme", "part", "epochs", "seed", "origin", "turn", "cycles"),
    *_FIGURES,
    "failure",
)
"""Of a sample; its figures are empty where it has no result."""

_WAIT_SECONDS = 2.0
"""How long another command may take to let go of the store (chosen here) [s]."""


class Store:
    """An open store; `open_store` makes one."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        known: Mapping[tuple[str, str], Change],
    ) -> None:
        self._path, self._connection, self._known = path, connection, known
        self._versions = json.dumps(_versions())

    def samples(self) -> tuple[Sample, ...]:
        """Return all samples, in the order in which they came.

        Raises:
            InputError: The store is damaged.
        """
        with _translated(self._path):
            rows = self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM samples ORDER BY number"
            ).fetchall()
            return tuple(_sample(row, self._known) for row in rows)

    def add(self, sample: Sample) -> None:
        """Keep a sample; what was measured before stays as it is.

        Raises:
            InputError: The store cannot be written, as where the disk is full. What it
                held is still there.
        """
        trial, result = sample.trial, sample.result
        row = (
            *trial.identity,
            trial.origin.value,
            trial.turn,
            trial.cycles,
            *((None,) * len(_FIGURES) if result is None else astuple(result)),
            sample.failure,
            self._versions,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        columns = ", ".join((*_COLUMNS, "versions", "written"))
        marks = ", ".join("?" * len(row))
        with _translated(self._path), self._connection:
            self._connection.execute(
                f"INSERT OR IGNORE INTO samples ({columns}) VALUES ({marks})", row
            )

    def quicken(self, key: str, cycles: int) -> None:
        """Keep that a faster design of a scheme is known.

        Args:
            key: Of the scheme.
            cycles: Latency of that design.

        Raises:
            InputError: The store cannot be written.
        """
        with _translated(self._path), self._connection:
            self._connection.execute(
                "UPDATE samples SET cycles = ? WHERE scheme = ? AND cycles > ?",
                (cycles, key, cycles),
            )

    def saliencies(self, act_bits: int, kind: str) -> dict[tuple[str, str], float]:
        """Return the saliencies of a kind that are known, by layer and change.

        Raises:
            InputError: The store is damaged.
        """
        with _translated(self._path):
            rows = self._connection.execute(
                "SELECT layer, change, value FROM saliencies WHERE act_bits = ? AND "
                "kind = ? ORDER BY layer, change",
                (act_bits, kind),
            ).fetchall()
        return {(layer, change): value for layer, change, value in rows}

    def add_saliencies(
        self,
        act_bits: int,
        kind: str,
        values: Mapping[tuple[str, str], float],
        seconds: float,
    ) -> None:
        """Keep saliencies of a kind.

        Args:
            act_bits: Width of the activations.
            kind: Of the saliencies.
            values: By layer and change, in words.
            seconds: That all of them took [s].

        Raises:
            InputError: The store cannot be written.
        """
        share = seconds / max(1, len(values))
        rows = [
            (act_bits, kind, layer, change, value, share)
            for (layer, change), value in values.items()
        ]
        with _translated(self._path), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO saliencies VALUES (?, ?, ?, ?, ?, ?)", rows
            )


@contextmanager
def open_store(
    path: Path,
    about: Mapping[str, str],
    remembered: Mapping[str, str] | None = None,
    *,
    known: Mapping[tuple[str, str], Change] = NO_CHANGES,
) -> Iterator[Store]:
    """Yield the store of a file, made where it is not there.

    Args:
        path: Of the file.
        about: What the measurements are of: digests and settings by name, each of which
            a store that is there must have recorded alike.
        remembered: What a new store keeps besides, for `recorded_about`.
        known: Changes of blocks whose words do not say all of them.

    Raises:
        InputError: The store is of something else or of another schema, is damaged or
            cannot be written, or another command has it open.
    """
    with _translated(path):
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    try:
        with _translated(path):
            _claim(connection)
            recorded = _about(connection)
            if not recorded:
                _begin(connection, {**(remembered or {}), **about})
        if recorded:
            _check_same(path, recorded, {"schema": STORE_SCHEMA, **about})
        yield Store(path, connection, known)
    finally:
        connection.close()


def recorded_about(path: Path) -> dict[str, str]:
    """Return what a store says that it is of; empty where there is none.

    Raises:
        InputError: It is no store, or another command has it open.
    """
    if not path.exists():
        return {}
    with _translated(path):
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS)
        try:
            return _about(connection)
        finally:
            connection.close()


def _claim(connection: sqlite3.Connection) -> None:
    """Let no other process open the file before this connection is closed."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def _about(connection: sqlite3.Connection) -> dict[str, str]:
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    if not tables:
        return {}
    return dict(connection.execute("SELECT name, value FROM about").fetchall())


def _begin(connection: sqlite3.Connection, about: Mapping[str, str]) -> None:
    """Make the tables of a new store, all of them or none."""
    connection.execute("BEGIN")
    for statement in filter(str.strip, _TABLES.split(";")):
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO about VALUES (?, ?)",
        [("schema", STORE_SCHEMA), ("hao", __version__), *about.items()],
    )
    connection.execute("COMMIT")


def _check_same(path: Path, known: Mapping[str, str], about: Mapping[str, str]) -> None:
    for name, value in about.items():
        if known.get(name) != value:
            raise InputError(
                f"{path}: measurements of something else: {name} "
                f"{_short(known.get(name, 'none'))}, here {_short(value)}; use another "
                "run, or delete the file to measure anew"
            )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


_UNWRITTEN = ("full", "readonly", "unable to open", "disk I/O")
"""Words of SQLite where a file is whole but cannot be written; source: sqlite3ErrStr
of SQLite 3.45, src/main.c."""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one line with place and remedy."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "locked" in text:
            raise InputError(
                f"{path}: another hao command measures in it; wait until it has ended"
            ) from error
        if any(word in text for word in _UNWRITTEN):
            raise InputError(
                f"{path}: {text}; all samples so far are kept, make room or let it be "
                "written, and run the command again"
            ) from error
        raise InputError(
            f"{path}: not usable as a store of measurements ({text}); delete it to "
            "measure anew"
        ) from error


def _sample(row: tuple[object, ...], known: Mapping[tuple[str, str], Change]) -> Sample:
    key, part, epochs, seed, origin, turn, cycles, *figures, failure = row
    scheme, act_bits = scheme_of_key(str(key), known)
    trial = Trial(
        scheme=scheme,
        act_bits=act_bits,
        part=Part(part),
        epochs=_whole(epochs),
        seed=_whole(seed),
        origin=Origin(origin),
        turn=_whole(turn),
        cycles=None if cycles is None else _whole(cycles),
    )
    result = None
    if not failure:
        frames, *reals = figures
        measured = map(_real, reals)
        result = Result(
            frames=_whole(frames), **dict(zip(_FIGURES[1:], measured, strict=True))
        )
    return Sample(trial=trial, result=result, failure=str(failure))


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise sqlite3.DatabaseError(f"{value!r} in place of a whole number")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float):
        raise sqlite3.DatabaseError(f"{value!r} in place of a number")
    return float(value)


def _versions() -> dict[str, str]:
    """Return the versions of what a measurement rests on."""
    found = {"hao": __version__, "python": platform.python_version()}
    for name in ("torch", "brevitas", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found
