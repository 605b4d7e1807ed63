"""Files and folders that a kill at any moment leaves old or new, never half or gone.

What is written goes first into a hidden file or folder beside its place, which is
locked as long as whoever writes it lives, and is then moved there in one step:

    .weights.npz.4711       a file, which is renamed over `weights.npz`
    .hao-t-x2kq81_z/        a folder; `new` in it changes places with the run `t`
    .hao-commit/            several files that belong together and are all written;
                            what is left to do is to move each to its place

`recover` looks after what killed commands left: it moves on what was committed, brings
back what had just been moved away, and deletes the rest. Locks are those of `flock`,
which end with the process; where a file system has none, nothing is locked and nothing
left over is deleted.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hao.errors import InputError, brief

_WORK = ".hao-"
_COMMIT = ".hao-commit"
_NEW, _OLD = "new", "old"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Source: Linux, include/uapi/linux/fcntl.h and include/uapi/linux/fs.h."""

_LEFT_FILE = re.compile(r"\..+\.(npz|json|html|onnx|pt)\.\d+")

_TRIES, _PAUSE = 20, 0.1
"""How often, and after how many seconds each, a lock is tried again; chosen here."""

MAX_TEXT_BYTES = 20_000_000
"""Most bytes of a text that is read [bytes]; chosen here: tables have far fewer."""

_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
"""What `flock` says on file systems that have no locks."""


def read_file(path: Path, most: int = MAX_TEXT_BYTES) -> bytes:
    """Return a file's content.

    Args:
        path: Of the file.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read, is a pipe or a device, or has more bytes.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a file", str(path))
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes", str(path))
    return content


def read_named(
    path: Path, what: str, most: int = MAX_TEXT_BYTES, *, shown: str = ""
) -> bytes:
    """Return the content of a file that a user names.

    Args:
        path: Of the file.
        what: What it must be, for messages.
        most: Bytes that it may have.
        shown: What messages call it, if not by its path.

    Raises:
        InputError: It is not there, cannot be read, or has more bytes.
    """
    name = shown or str(path)
    try:
        return read_file(path, most)
    except FileNotFoundError:
        reason = "no such file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except ValueError as error:  # a null byte in the path
        name, reason = brief(name), f"cannot be read ({error})"
    raise InputError(f"{name}: {reason}; must be {what}")


def read_text(path: Path) -> str:
    """Return a text file's content, without the mark that editors may begin it with.

    Raises:
        InputError: It cannot be read, is a pipe or a device, has more than
            `MAX_TEXT_BYTES`, or is not UTF-8.
    """
    try:
        return read_named(path, "a text file").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; convert it") from error


def check_absent(path: Path, *, force: bool) -> None:
    """Check that a file is not there, or may be replaced."""
    if os.path.lexists(path) and not force:
        raise InputError(f"{path}: exists; `force` replaces it")


def write_file(path: Path, content: bytes) -> None:
    """Write a file, replacing what is there only once the new one is whole.

    Raises:
        InputError: The file cannot be written; what was there is still there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _clear_beside(path)
        with beside.open("wb") as stream:
            _lock(stream.fileno(), shared=False)
            stream.write(content)
            stream.flush()
            beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def write_files(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write files that belong together into a folder: all of them, or none.

    Args:
        folder: Must exist and be held (`held`).
        files: Content by name, not empty; `None` where a file has to go.

    Raises:
        InputError: A file cannot be written; then the old ones are all there.
    """
    try:
        with work_folder(folder / _COMMIT) as work:
            new = work / _NEW
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content or b"")
            new.rename(folder / _COMMIT)
        _move_on(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """Yield a new hidden folder beside a target; it is deleted at the end.

    Raises:
        OSError: It cannot be made.
    """
    work, descriptor = _locked_folder(target)
    try:
        yield work
    finally:
        _undo(work)
        os.close(descriptor)


def _locked_folder(target: Path) -> tuple[Path, int]:
    """Return a new work folder and its lock; another process may take it for dead."""
    import tempfile  # here, as below: most commands only read

    prefix = f"{_WORK}{target.name}-"
    while True:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            descriptor = os.open(work, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if _lock(descriptor, shared=False) and work.is_dir():
            return work, descriptor
        os.close(descriptor)


def put_folder(new: Path, target: Path) -> None:
    """Move a folder of a work folder to its target, in one step if the system can.

    Args:
        new: `new` in a `work_folder` of the target; afterwards, what was there before.
        target: May exist.

    Raises:
        OSError: It cannot be moved; then the target is as it was.
    """
    if not os.path.lexists(target):
        new.rename(target)
    elif not _exchange(new, target):
        # Killed between the two, `recover` brings the old folder back.
        target.rename(new.with_name(_OLD))
        new.rename(target)


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders change places in one step; return False if the system cannot.

    Source: rename(2) of the Linux manual, RENAME_EXCHANGE.
    """
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    sys.audit("os.rename", str(first), str(second), -1, -1)
    names = os.fsencode(first), os.fsencode(second)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(second))


def unwritable(folder: Path, error: OSError) -> InputError:
    """Return the error for a folder that the system does not let be written."""
    return InputError(
        f"{folder}: cannot be written ({error.strerror}); must be a directory that "
        "can be created"
    )


class Held:
    """A folder that no other command changes meanwhile."""

    def __init__(self, folder: Path, descriptor: int, mark: str) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self._mark = mark

    def check(self) -> None:
        """Check that the folder is still the one that was opened.

        Raises:
            InputError: It was deleted or replaced.
        """
        mine = os.fstat(self._descriptor)
        try:
            same = os.path.samestat(mine, self._folder.stat())
            (self._folder / self._mark).stat()
        except OSError:
            same = False
        if not same:
            raise InputError(
                f"{self._folder}: deleted or replaced while hao worked in it; nothing "
                "was written there"
            )


@contextmanager
def held(folder: Path, *, shared: bool = False, mark: str = "") -> Iterator[Held]:
    """Keep other commands from changing a folder; what was left over is cleared first.

    Args:
        folder: An existing folder.
        shared: Others may hold it likewise, but none alone.
        mark: A file in it, without which it counts as deleted.

    Raises:
        InputError: Another command holds it, or it cannot be opened.
    """
    recover(folder)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"{folder}: cannot be opened ({error.strerror})") from error
    try:
        for _ in range(_TRIES):
            if _lock(descriptor, shared=shared):
                break
            time.sleep(_PAUSE)  # another command may only be looking
        else:
            raise InputError(
                f"{folder}: another hao command is working in it; wait until it has "
                "ended, or end it"
            )
        yield Held(folder, descriptor, mark)
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Return whether another command works in a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(descriptor, shared=False)
    finally:
        os.close(descriptor)


def recover(folder: Path) -> None:
    """Move on, bring back or delete what killed commands left in a folder.

    What may not be read or changed stays as it is, and so does everything while another
    command holds the folder.
    """
    with suppress(OSError), _owned(folder) as free:
        if not free:
            return
        with suppress(OSError):
            _move_on(folder)
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                continue
            with suppress(OSError), _owned(path) as abandoned:
                if abandoned and _is_work(path):
                    _undo(path)
                elif abandoned and _LEFT_FILE.fullmatch(path.name) and path.is_file():
                    path.unlink()


def _clear_beside(path: Path) -> None:
    """Delete what killed writers of the same file left beside it."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.\d+")
    for entry in path.parent.iterdir():
        if pattern.fullmatch(entry.name):
            with suppress(OSError), _owned(entry) as abandoned:
                if abandoned:
                    entry.unlink()


def _move_on(folder: Path) -> None:
    """Move the files of a commit to their places; an empty one deletes its place."""
    commit = folder / _COMMIT
    if not commit.is_dir():
        return
    for entry in sorted(commit.iterdir()):
        if entry.stat().st_size:
            entry.replace(folder / entry.name)
        else:
            (folder / entry.name).unlink(missing_ok=True)
            entry.unlink()
    commit.rmdir()


def _undo(work: Path) -> None:
    """Delete a work folder, once what it moved away is back where nothing came."""
    name = work.name.removeprefix(_WORK).rpartition("-")[0]
    target = work.parent / (name or f"restored-{work.name.removeprefix(_WORK)}")
    old, new = work / _OLD, work / _NEW
    with suppress(OSError):
        if old.is_dir() and new.is_dir() and not os.path.lexists(target):
            old.rename(target)
    shutil.rmtree(work, ignore_errors=True)


def _is_work(path: Path) -> bool:
    """Return whether a path is a work folder: by its name and by what it holds."""
    named = path.name.startswith(_WORK) and path.is_dir()
    return named and {*os.listdir(path)} <= {_NEW, _OLD}


@contextmanager
def _owned(path: Path) -> Iterator[bool]:
    """Yield whether nobody else holds a file or a folder, and hold it meanwhile.

    It counts as held where that cannot be told: it may not be read, is a link or a
    pipe, or its file system has no locks.
    """
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        yield False
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    owned = False
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owned = True
        yield owned
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Lock an open file; return whether nobody else has it, as far as can be told."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
