"""A board file from a part number and a DDR: what `hao boards new` writes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from hao.arguments import take_fields, takes_words
from hao.errors import ArgumentError, InputError
from hao.files import check_absent, write_file
from hao.hw.board_format import DDR_BITS, DDR_TYPES, check_board_name, parse_board
from hao.hw.device import device_of, family_of, grade_limit

_DDR = re.compile(
    r"(?P<type>[A-Z]+\dL?)-(?P<rate>\d{2,5}(?:\.\d{1,3})?)X(?P<bits>\d{2})"
)

Read = TypeVar("Read")

EFFICIENCY_PERCENT = 60
"""Share of the DDR's peak where nobody measured it [percent].

Source: what accelerators reach on the Ultra96 (boards/zu3eg.toml), the least that a
shipped board has.
"""

CLOCK_KHZ = {"Artix-7": 100_000, "Kintex-7": 166_666, "UltraScale+": 214_285}
"""Clock of the logic by whose fabric a device has [kHz], where none is given.

Source: what designs reached on the PYNQ-Z2, the ZC706 and the Ultra96 and ZCU102, as
the files of these boards say.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBoard:
    """What is known of a board.

    Attributes:
        name: What `--board` shall take: small letters, digits, "-" and "_".
        part: Part number, such as "xczu3eg-sfvc784-1-e".
        ddr: Type, million transfers a second and bits of the processor's DDR, such as
            "DDR4-2400x64".
        clock_mhz: Clock of the logic [MHz], from 1 to 2000; `None` for `CLOCK_KHZ`.
        title: What reports print; `None` for the name.

    Raises:
        ArgumentError: A field is of a type that it cannot take.
    """

    name: str
    part: str
    ddr: str
    clock_mhz: Annotated[float, Field(ge=1, le=2000)] | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        take_fields(self)


def render_board_file(board: NewBoard) -> str:
    """Return the board file of a new board, checked by reading it.

    Raises:
        InputError: Name, part, DDR or clock is not allowed.
    """
    _field(check_board_name, board.name)
    device = _field(device_of, board.part)
    _field(grade_limit, board.part)
    if board.clock_mhz is None:
        khz, clock = CLOCK_KHZ[device.logic], "by analogy with boards of the same logic"
    else:
        khz, clock = round(1000 * board.clock_mhz), "given to `hao boards new`"
    title = board.title or f"{board.name} ({family_of(board.part).value} {device.name})"
    text = f"""\
# Written by `hao boards new`. What the part has, its ports and the caps of
# place-and-route follow from the part; [ports], [cap_percent] and [power] may say
# otherwise.
name = {_quoted(board.name)}
title = {_quoted(title)}
part = {_quoted(board.part)}

[clock]
khz = {khz}

[ddr]
{_field(_ddr_lines, board.ddr)}
read_percent = {EFFICIENCY_PERCENT}
write_percent = {EFFICIENCY_PERCENT}

# Where values come from, under the same key; may be left out.
[sources]
clock.khz = {_quoted(clock)}
ddr.read_percent = "assumed: what accelerators reach on the Ultra96"
ddr.write_percent = "assumed: as read_percent"
"""
    parse_board(text, shown=f"{board.name}.toml")
    return text


@takes_words
def write_board_file(board: NewBoard, path: Path, *, force: bool = False) -> None:
    """Write the board file of a new board.

    Args:
        board: What is known of it.
        path: File to write; ends in ".toml".
        force: Replace an existing file.

    Raises:
        InputError: An argument is of another type, the board not allowed, or the path
            does not end in ".toml", exists or cannot be written.
    """
    if path.suffix != ".toml":
        raise InputError(f"{path}: must end in .toml, as board files do")
    text = render_board_file(board)
    check_absent(path, force=force)
    write_file(path, text.encode())


def _field(read: Callable[[str], Read], value: str) -> Read:
    """Return what is read of a field; errors name it as one of `NewBoard`.

    Raises:
        ArgumentError: It is not allowed.
    """
    try:
        return read(value)
    except InputError as error:
        raise ArgumentError(re.sub(r"^(\w+) = ", r"`\1` = ", str(error))) from error


def _ddr_lines(ddr: str) -> str:
    """Return the lines of the table `[ddr]` that a description comes to.

    Raises:
        InputError: It is none.
    """
    found = _DDR.fullmatch(ddr.upper())
    if (
        found is None
        or found["type"] not in DDR_TYPES
        or int(found["bits"]) not in DDR_BITS
    ):
        raise InputError(
            f"ddr = {ddr[:60]!r}; must be type, million transfers a second and bits, "
            f"such as DDR4-2400x64, with {', '.join(DDR_TYPES)} and "
            f"{', '.join(map(str, DDR_BITS))} bits"
        )
    return (
        f'type = "{found["type"]}"\nbits = {found["bits"]}\n'
        f"transfers_per_s = {round(1_000_000 * float(found['rate']))}"
    )


def _quoted(text: str) -> str:
    """Return a text as a basic string of TOML.

    Raises:
        InputError: It has control characters.
    """
    if not text.isprintable():
        raise InputError(f"{text[:60]!r}: must be printable characters alone")
    return json.dumps(text, ensure_ascii=False)
