"""Where the files that ship with hao are, in a checkout or an installed wheel.

The wheel carries `boards/`, `templates/` and `data/` as `hao/_data/...`; a checkout
has them beside the package.
"""

from pathlib import Path

from hao.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def data_path(*parts: str) -> Path:
    """Return the path of a shipped file or folder.

    Args:
        parts: Path below the project's top level, such as ("boards", "zu3eg.toml").

    Raises:
        InputError: The installation lacks the file.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise InputError(
        f"{'/'.join(parts)}: not found in this installation of hao; reinstall it"
    )
