"""Records of later steps: read back as kept, dropped together, told if unreadable."""

from pathlib import Path

import pytest

from hao.errors import InputError
from hao.handoff.compare import ComparedFigure, FigureSource, Quantity
from hao.report.hardware import simulation_json
from hao.runs.records import (
    SCHEDULE_FILE,
    SIMULATION_FILE,
    SYNTHESIS_FILE,
    Records,
    SynthesisRow,
    drop_records,
    keep_record,
    load_records,
    synthesis_json,
)
from tests.report.samples import SIMULATION


def test_a_folder_without_records_and_no_folder_have_none(tmp_path: Path) -> None:
    assert load_records(tmp_path) == load_records(None) == Records()


def test_records_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    keep_record(tmp_path, SIMULATION_FILE, simulation_json(SIMULATION))
    row = ComparedFigure(
        block="total",
        quantity=Quantity.LUT,
        source=FigureSource.PLACEMENT,
        report="/home/me/placed.rpt",
        predicted=10,
        reported=None,
    )
    keep_record(tmp_path, SYNTHESIS_FILE, synthesis_json([row]))
    loop = {"process": "dense", "label": "row", "depth": 9}
    schedule = {
        "part": "xczu3eg",
        "clock_ns": 4.6,
        "compiler": "clang",
        "loops": [loop],
    }
    keep_record(tmp_path, SCHEDULE_FILE, {**schedule, "findings": None})
    found = load_records(tmp_path)
    assert found.simulation == SIMULATION
    # The folder of a report is nobody's business on a page that is sent on.
    assert found.synthesis == (
        SynthesisRow(
            block="total",
            quantity="lut",
            source="placement",
            report="placed.rpt",
            predicted=10,
            reported=None,
        ),
    )
    assert found.schedule is not None
    assert found.schedule.loops[0].process == "dense"
    assert found.unreadable == ()
    drop_records(tmp_path)
    assert load_records(tmp_path) == Records()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"build": 1}'])
def test_a_record_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / SIMULATION_FILE).write_bytes(content)
    found = load_records(tmp_path)
    assert (found.simulation, found.unreadable) == (None, (SIMULATION_FILE,))


def test_a_record_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / SCHEDULE_FILE).mkdir()
    with pytest.raises(InputError, match=r"schedule\.json: cannot be removed \("):
        drop_records(tmp_path)


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"simulation\.json: cannot be written"):
        keep_record(tmp_path / "none", SIMULATION_FILE, {})
