"""The bytes of a file that a user names, with a limit against reading the wrong one."""

from pathlib import Path

from hao.errors import InputError


def read_content(path: Path, most: int) -> bytes:
    """Return a file's bytes.

    Args:
        path: File to read.
        most: Most bytes that such a file has [bytes].

    Raises:
        InputError: It cannot be read, or is larger.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a file; must be one")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if len(content) > most:
        raise InputError(f"{path}: more than {most} bytes; far fewer are expected")
    return content
