"""What later steps found about a run, kept beside its design.

    quantization.json   how accurate each form of the network is (`hao quantize`)
    simulation.json     what the simulation of the emitted project said (`hao simulate`)
    schedule.json       what its pipelined loops allow (`hao schedule`)
    synthesis.json      what reports of the vendor's tools say (`hao report-hls`)
    measured.json       schemes measured on the user's data (`hao explore`)

Each is removed where a step before it is done anew. A record that cannot be read is
told apart from one that is not there: a page says so and shows the rest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hao.errors import InputError
from hao.files import write_file
from hao.handoff.compare import ComparedFigure
from hao.report.hardware import Quantization, SimulationResult
from hao.report.measured import MEASURED_FILE, Measured
from hao.runs.run_files import QUANTIZATION_FILE

SIMULATION_FILE = "simulation.json"
SCHEDULE_FILE = "schedule.json"
SYNTHESIS_FILE = "synthesis.json"

PROJECT_RECORDS = (SIMULATION_FILE, SCHEDULE_FILE, SYNTHESIS_FILE)
"""Records of the emitted project, which go where it or its integers change."""

MAX_RECORD_BYTES = 20_000_000
"""Largest record that is read [bytes] (chosen here; real ones have below 1 MB)."""

Record = TypeVar("Record")


class _Loose(BaseModel):
    """A record of which a page reads a part."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ScheduledLoop(_Loose):
    """A pipelined loop, as far as a page shows it."""

    process: str
    label: str = ""


class ScheduledClock(_Loose):
    """An uncertainty of the clock, who sets it, and the clock that all loops meet."""

    title: str
    uncertainty: float
    clock_met_mhz: float | None = None


class ScheduleRecord(_Loose):
    """What `hao schedule` left."""

    part: str
    clock_ns: float
    compiler: str
    settings: tuple[ScheduledClock, ...] = ()
    loops: tuple[ScheduledLoop, ...]
    findings: tuple[dict[str, object], ...] | None = None


class SynthesisRow(_Loose):
    """A figure, predicted and reported by a vendor's tool."""

    block: str
    quantity: str
    source: str
    report: str
    predicted: int
    reported: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What later steps found about a run; `None` where they did not run.

    Attributes:
        quantization: How accurate each form of the network is.
        simulation: What the simulation said.
        schedule: What the pipelined loops allow.
        synthesis: What the vendor's tools reported.
        measured: What schemes measured.
        unreadable: Names of files that are there but cannot be read.
    """

    quantization: Quantization | None = None
    simulation: SimulationResult | None = None
    schedule: ScheduleRecord | None = None
    synthesis: tuple[SynthesisRow, ...] | None = None
    measured: Measured | None = None
    unreadable: tuple[str, ...] = ()


def load_records(folder: Path | None) -> Records:
    """Return what later steps left in a run directory.

    Args:
        folder: Run directory; `None` for a design that is in none.
    """
    if folder is None:
        return Records()
    bad: list[str] = []

    def read(name: str, adapter: TypeAdapter[Record]) -> Record | None:
        path = folder / name
        if not path.is_file():
            return None
        try:
            with path.open("rb") as stream:
                return adapter.validate_json(stream.read(MAX_RECORD_BYTES))
        except (OSError, ValidationError):
            bad.append(name)
            return None

    return Records(
        quantization=read(QUANTIZATION_FILE, TypeAdapter(Quantization)),
        simulation=read(SIMULATION_FILE, TypeAdapter(SimulationResult)),
        schedule=read(SCHEDULE_FILE, TypeAdapter(ScheduleRecord)),
        synthesis=read(SYNTHESIS_FILE, TypeAdapter(tuple[SynthesisRow, ...])),
        measured=read(MEASURED_FILE, TypeAdapter(Measured)),
        unreadable=tuple(bad),
    )


def keep_record(
    folder: Path, name: str, values: Mapping[str, object] | list[object]
) -> None:
    """Write a record of a run.

    Raises:
        InputError: It cannot be written.
    """
    write_file(folder / name, (json.dumps(values, indent=1) + "\n").encode())


def synthesis_json(rows: Sequence[ComparedFigure]) -> list[object]:
    """Return figures of the vendor's tools beside predictions as JSON values."""
    return [
        {
            "block": row.block,
            "quantity": row.quantity.value,
            "source": row.source.value,
            "report": Path(row.report).name,
            "predicted": row.predicted,
            "reported": row.reported,
        }
        for row in rows
    ]


def drop_records(folder: Path) -> None:
    """Remove the records of the project that was emitted before; another one has come.

    Raises:
        InputError: One cannot be removed.
    """
    for name in PROJECT_RECORDS:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder / name}: cannot be removed ({error.strerror})"
            ) from error
