"""Calibration files: the same comes back, and a wrong one is refused in one line."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hao.calibration.file import (
    load_calibration,
    load_constants,
    render_calibration,
)
from hao.calibration.results import Assessment, Comparison, ConstantGroup, FitScore
from hao.errors import InputError
from hao.hw.board_file import load_board
from hao.hw.calibration import Calibration, PartFactors

# Any: the values of a JSON file, which the tests spoil at will.
Document = dict[str, Any]

FOUND = Assessment(
    board="zu3eg",
    device="XCZU3EG",
    calibration=Calibration(
        dense=PartFactors(lut=1200, ff=900),
        step_cycles=-7,
        ddr_efficiency_percent=81,
        reports=3,
    ),
    csynth={
        part: {"lut": 2500, "ff": 1000}
        for part in ("fixed", "dense", "depthwise", "pointwise")
    },
    groups=(
        ConstantGroup(
            figure="lut",
            source="placement",
            adopted=True,
            scores=(
                FitScore(
                    figure="lut",
                    source="placement",
                    block="dense",
                    figures=3,
                    designs=1,
                    shipped_percent=20.25,
                    fitted_percent=3.5,
                    unseen_percent=None,
                ),
            ),
        ),
    ),
    comparisons=(
        Comparison(
            label="a",
            report="a.rpt",
            figure="lut",
            source="placement",
            block="dense",
            shipped=1000,
            calibrated=1200,
            reported=1210,
            outlier=False,
        ),
    ),
    reports=("a: a.rpt",),
    notes=("a: b.rpt: left out",),
)
TEXT = render_calibration(FOUND)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.json"
    path.write_text(text)
    return path


def test_a_calibration_comes_back_as_it_was(tmp_path: Path) -> None:
    again = load_calibration(written(tmp_path, TEXT))
    assert again == FOUND
    assert render_calibration(again) == TEXT


def test_the_constants_are_for_their_board(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT)
    assert load_constants(path, load_board("zu3eg")) == FOUND.calibration
    with pytest.raises(InputError, match=r"for board 'zu3eg' \(XCZU3EG\); must be for"):
        load_constants(path, load_board("kv260"))


def change(*keys: str | int, to: object) -> Callable[[Document], object]:
    def spoil(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.pop("schema"), "schema is missing"),
        (
            change("schema", to="hao.calibration/2"),
            r"must be 'hao.calibration/1'; `hao calibrate` writes calibration files",
        ),
        (change("more", to=1), "more: unknown key"),
        (lambda d: d.pop("device"), "device is missing"),
        (change("constants", "dense", "lut", to=5), "from 333 to 3000"),
        (change("constants", "dense", "lut", to=1.5), "dense.lut = 1.5"),
        (change("constants", "step_cycles", to=10**6), "step_cycles = 1000000"),
        (change("constants", "reports", to=0), "reports = 0"),
        (change("constants", "bram", to=1000), "constants.bram: unknown key"),
        (change("csynth", "dense", "lut", to=99), "csynth.dense.lut = 99"),
        (change("csynth", to={}), "csynth must have fixed, dense"),
        (change("csynth", "dense", to={"lut": 1000}), "each with lut and ff"),
        (
            change("figures", 0, "reported", to="many"),
            r"figures\[0\].reported = ",
        ),
    ],
)
def test_a_spoiled_file_is_refused(
    tmp_path: Path, spoil: Callable[[Document], object], message: str
) -> None:
    document = copy.deepcopy(json.loads(TEXT))
    spoil(document)
    with pytest.raises(InputError, match=message) as error:
        load_calibration(written(tmp_path, json.dumps(document)))
    assert "\n" not in str(error.value)
    assert "some.json: " in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "design,clock_mhz,ms\n"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"some.json: (not valid|file = )") as error:
        load_calibration(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no such file; must be a calibration"):
        load_calibration(tmp_path / "none.json")
    monkeypatch.setattr("hao.calibration.file.MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        load_calibration(written(tmp_path, TEXT))
