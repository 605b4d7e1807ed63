"""What designs may use of a board at most, as a user puts it: counts and shares."""

import re
from collections.abc import Mapping
from dataclasses import replace

from hao.errors import ArgumentError
from hao.hw.board import Board
from hao.hw.resources import Resources

FIELDS = {
    "lut": "max_lut",
    "ff": "max_ff",
    "dsp": "max_dsp",
    "bram_18k": "max_bram",
    "uram": "max_uram",
}
"""Kinds that may have a budget, and how a request calls it."""

_LEAST = {"uram": 0}
"""Fewest blocks that a budget may allow, where no design needs any; else one."""


def with_budget(board: Board, limits: Mapping[str, str | int | None]) -> Board:
    """Return a board of which designs may use no more than a budget.

    Above the board's own caps a budget changes nothing: the caps hold as well.

    Args:
        board: The board.
        limits: By kind of `FIELDS`, a whole number of blocks (BRAM in 18 Kb halves) or
            a share of the device such as "50%", rounded down; `None` for no budget.

    Raises:
        ArgumentError: A limit is neither, is below one block (URAM may be none), or
            above what the device has.
    """
    counts = board.resources.as_dict()
    given = {kind: str(most) for kind, most in limits.items() if most is not None}
    if not given:
        return board
    for kind, text in given.items():
        counts[kind] = _count(text, kind=kind, device=counts[kind])
    return replace(board, budget=Resources(**counts))


def _count(text: str, *, kind: str, device: int) -> int:
    """Return the blocks that a limit allows."""
    least = _LEAST.get(kind, 1)
    share = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", text.strip(), re.ASCII)
    if share:
        count = int(device * float(share[1]) / 100)
        fine = count >= least and float(share[1]) <= 100
    else:
        count = int(text) if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII) else -1
        fine = least <= count <= device
    if not fine:
        raise ArgumentError(
            f"`{FIELDS[kind]}` = {text[:20]}; must be a whole number from {least} to "
            f"the {device} of the device, or a share of it such as 50%"
        )
    return count
