"""The boards that ship with hao, by name, other name or file."""

from difflib import get_close_matches
from pathlib import Path

from hao.data import data_path
from hao.errors import ArgumentError, InputError
from hao.hw.board import Board
from hao.hw.board_format import aliases_of, read_board


def board_names() -> tuple[str, ...]:
    """Return the names of the boards that ship with hao, sorted."""
    return tuple(sorted(path.stem for path in data_path("boards").glob("*.toml")))


def board_aliases() -> dict[str, str]:
    """Return the names of the shipped boards by each of their other names.

    Raises:
        InputError: A shipped file cannot be read.
    """
    return {
        alias: name
        for name in board_names()
        for alias in aliases_of(_file(name), shown=_shown(name))
    }


def load_board(name_or_path: str | Path) -> Board:
    """Return a board by one of its names, or from a file whose path ends in ".toml".

    Case, spaces and the signs "-" and "_" do not matter in a name.

    Args:
        name_or_path: One of `board_names()`, a key of `board_aliases()`, or a path.

    Raises:
        ArgumentError: The argument is neither text nor a path.
        InputError: No such board, or its file is wrong (see `read_board`).
    """
    # By hand: what checks other steps' arguments takes longer than reading all boards.
    if not isinstance(name_or_path, str | Path):
        raise ArgumentError(
            f"`name_or_path` = {repr(name_or_path)[:60]}; must be a str or a Path"
        )
    name_or_path = str(name_or_path)
    if name_or_path.endswith(".toml"):
        return read_board(Path(name_or_path), shown=name_or_path)
    names = board_names()
    if name_or_path not in names:
        known = {_key(name): name for name in names}
        known |= {_key(alias): name for alias, name in board_aliases().items()}
        asked = _key(Path(name_or_path[:100]).name)
        if asked not in known or "/" in name_or_path:
            raise InputError(_unknown(name_or_path, asked, known))
        name_or_path = known[asked]
    return read_board(_file(name_or_path), shown=_shown(name_or_path))


def _unknown(given: str, asked: str, known: dict[str, str]) -> str:
    """Return the message for a name that no board has."""
    close = get_close_matches(asked, known, n=3, cutoff=0.6)
    found = list(dict.fromkeys(known[each] for each in close))
    hint = f"did you mean {' or '.join(map(repr, found))}? " if found else ""
    shown = given if given.isprintable() and len(given) <= 60 else given[:60]
    return (
        f"board {shown!r}: unknown; {hint}`hao boards` lists those that ship; for "
        "another, `hao boards new` writes a file, whose path ends in .toml"
    )


def _key(name: str) -> str:
    """Return a name without what does not matter in it."""
    return "".join(sign for sign in name.lower() if sign.isalnum())


def _file(name: str) -> Path:
    return data_path("boards", f"{name}.toml")


def _shown(name: str) -> str:
    return f"boards/{name}.toml"
