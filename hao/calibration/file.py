"""Calibration files: what was found, as JSON text, and back.

A file holds the constants, which board they are for, every figure that they rest on,
and the errors before, after and on designs left out. Equal findings give equal bytes.
Only the constants and the board are used by a search; the rest is for the reader.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_core import to_jsonable_python

import hao
from hao.calibration.evidence import FITTED, PARTS
from hao.calibration.results import CSYNTH_RANGE, Assessment, Comparison, ConstantGroup
from hao.errors import InputError
from hao.files import read_named
from hao.hw.board import Board
from hao.hw.calibration import Calibration
from hao.layer_file import FileTable, explain

SCHEMA = "hao.calibration/1"
"""Name and version of the format; a change of its keys or their meaning raises it."""

MAX_FILE_BYTES = 50_000_000
"""Largest file that is read [bytes] (chosen here; a figure takes some 300)."""

_Factor = Annotated[int, Field(ge=CSYNTH_RANGE[0], le=CSYNTH_RANGE[1])]


class _File(FileTable):
    format: Annotated[Literal["hao.calibration/1"], Field(alias="schema")]
    hao: str
    board: Annotated[str, Field(min_length=1, max_length=200)]
    device: Annotated[str, Field(min_length=1, max_length=200)]
    constants: Calibration
    csynth: dict[str, dict[str, _Factor]]
    groups: tuple[ConstantGroup, ...]
    reports: tuple[str, ...]
    notes: tuple[str, ...]
    figures: tuple[Comparison, ...]


def calibration_document(found: Assessment) -> dict[str, object]:
    """Return a calibration as JSON values, in the order in which a file has them."""
    values: dict[str, object] = {
        "schema": SCHEMA,
        "hao": hao.__version__,
        "board": found.board,
        "device": found.device,
        "constants": found.calibration,
        "csynth": found.csynth,
        "groups": found.groups,
        "reports": found.reports,
        "notes": found.notes,
        "figures": found.comparisons,
    }
    return {key: to_jsonable_python(value) for key, value in values.items()}


def render_calibration(found: Assessment) -> str:
    """Return a calibration as the text of a file; equal ones give equal text."""
    return json.dumps(calibration_document(found), indent=1, allow_nan=False) + "\n"


def load_calibration(path: Path) -> Assessment:
    """Return the calibration in a file.

    Raises:
        InputError: It cannot be read, is malformed, of another schema, or a value is
            out of range. One line: file, key, value, limit.
    """
    content = read_named(path, "a calibration", MAX_FILE_BYTES)
    try:
        file = _File.model_validate_json(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: {explain(error)}; `hao calibrate` writes calibration files"
        ) from error
    kinds = {quantity.value for quantity in FITTED}
    if set(file.csynth) != set(PARTS) or any(
        set(factors) != kinds for factors in file.csynth.values()
    ):
        raise InputError(
            f"{path}: csynth must have {', '.join(PARTS)}, each with lut and ff"
        )
    return Assessment(
        board=file.board,
        device=file.device,
        calibration=file.constants,
        csynth=file.csynth,
        groups=file.groups,
        comparisons=file.figures,
        reports=file.reports,
        notes=file.notes,
    )


def load_constants(path: Path, board: Board) -> Calibration:
    """Return the constants in a file, for a board.

    Raises:
        InputError: As `load_calibration`, or the file is for another board.
    """
    found = load_calibration(path)
    if (found.board, found.device) != (board.name, board.device):
        raise InputError(
            f"{path}: for board {found.board!r} ({found.device}); must be for "
            f"{board.name!r} ({board.device}): `hao calibrate` makes one from reports "
            "on that board"
        )
    return found.calibration
