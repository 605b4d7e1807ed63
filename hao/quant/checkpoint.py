"""Files from which a killed training goes on."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hao.errors import InputError
from hao.files import write_file
from hao.quant.modules import choose_device


def write_checkpoint(
    path: Path | None, state: Mapping[str, object], *, schema: str, run: str
) -> None:
    """Write the state of a training: tensors and plain values by name.

    Args:
        path: Of the file; the folder above its own must be there: a run that was
            deleted does not come back. `None` keeps nothing.
        state: Without what says of what it is.
        schema: Form of the state.
        run: What the training started from.

    Raises:
        InputError: It cannot be written.
    """
    if path is None:
        return
    content = io.BytesIO()
    torch.save({"schema": schema, "run": run, **state}, content)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be made ({error.strerror}); checkpoints of the "
            "training lie there"
        ) from error
    write_file(path, content.getvalue())


def read_checkpoint(
    path: Path | None, *, schema: str, run: str
) -> dict[str, Any] | None:
    """Return the state that a file keeps, its tensors where training runs.

    Args:
        path: Of the file; `None` where nothing is kept, or the file is not there, give
            no state.
        schema: Form of the state.
        run: What the training started from.

    Raises:
        InputError: It is not readable, or of another form or start.
    """
    if path is None or not path.exists():
        return None
    try:
        state = torch.load(path, map_location=choose_device(), weights_only=True)
    except Exception as error:  # torch raises whatever a broken pickle meets
        raise InputError(
            f"{path}: not readable as a checkpoint; delete it to start anew"
        ) from error
    if not isinstance(state, dict) or state.get("schema") != schema:
        raise InputError(f"{path}: no {schema!r} checkpoint; delete it to start anew")
    if state["run"] != run:
        raise InputError(
            f"{path}: checkpoint of another network, data set or settings; delete it "
            "to start anew"
        )
    return state
