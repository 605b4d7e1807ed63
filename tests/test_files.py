"""Files and folders are old or new, whenever a process ends; no work is deleted."""

import errno
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest

from hao import files
from hao.errors import InputError
from hao.files import (
    held,
    is_held,
    put_folder,
    read_file,
    read_text,
    recover,
    work_folder,
    write_file,
    write_files,
)

EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def killed_at(step: int, change: Callable[[], None]) -> bool:
    """Run a change in a child that dies before its file-system change of that number.

    Returns:
        Whether it died; `False` if it had fewer changes.
    """
    pid = os.fork()
    if pid == 0:
        left = [step]

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            writes = event != "open" or (
                isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
            )
            if event in EVENTS and writes:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(hook)
        change()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


def test_a_file_is_old_or_new_whenever_its_writer_dies(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    step = 0
    while True:
        path.write_bytes(b"old")
        died = killed_at(step, lambda: write_file(path, b"new" * 1000))
        assert path.read_bytes() in (b"old", b"new" * 1000)
        if not died:
            break
        step += 1
        # The next writer deletes what the killed one left.
        write_file(path, b"next")
        assert names(tmp_path) == ["net.npz"]
    assert step >= 2


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_old_or_new_whenever_its_writer_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool
) -> None:
    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    target = tmp_path / "run"

    def replace_run() -> None:
        with work_folder(target) as work:
            (work / "new").mkdir()
            (work / "new" / "design.json").write_text("new")
            put_folder(work / "new", target)

    step = 0
    while True:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        (target / "design.json").write_text("old")
        died = killed_at(step, replace_run)
        if in_one_step:
            assert (target / "design.json").read_text() in ("old", "new")
        recover(tmp_path)
        assert names(tmp_path) == ["run"]
        assert (target / "design.json").read_text() in ("old", "new")
        if not died:
            break
        step += 1
    assert step >= 4
    assert (target / "design.json").read_text() == "new"


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    old = {"a.npz": b"old a", "b.npz": b"old b", "c.npz": b"old c"}
    new = {"a.npz": b"new a", "b.npz": None, "c.npz": b"new c"}
    step = 0
    while True:
        for name, content in old.items():
            (tmp_path / name).write_bytes(content)
        died = killed_at(step, lambda: write_files(tmp_path, new))
        recover(tmp_path)
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        after = {"a.npz": b"new a", "c.npz": b"new c"}
        assert found in (old, after)
        if not died:
            assert found == after
            break
        step += 1
    assert step >= 8


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "net.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"net\.npz: cannot be written \(No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["net.npz"]
    monkeypatch.undo()
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left"):
        write_files(tmp_path, {"net.npz": b"new"})
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["net.npz"]


def test_a_file_of_more_bytes_than_it_may_have_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes") as caught:
        read_file(path, 4)
    assert caught.value.errno == errno.EFBIG
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file"):
        read_file(tmp_path / "pipe")
    with path.open("wb") as stream:
        stream.truncate(2**40)  # takes no disk
    with pytest.raises(OSError, match="more than 20000000 bytes"):
        read_file(path)


def test_a_text_is_read_whole_or_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tcl"
    path.write_text("größe")
    assert read_text(path) == "größe"
    path.write_bytes(b"a\xff")
    with pytest.raises(InputError, match=r"a\.tcl: not UTF-8; convert it"):
        read_text(path)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.tcl: no such file; must be a text"):
        read_text(path)


def test_what_is_not_left_over_by_hao_stays(tmp_path: Path) -> None:
    for name in (".hao-settings", ".bashrc.1", "plain.npz.1", ".hao-x-notes"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".hao-mine").mkdir()
    (tmp_path / ".hao-mine" / "thesis.txt").write_text("years")
    before = names(tmp_path)
    recover(tmp_path)
    assert names(tmp_path) == before


def test_what_an_earlier_version_moved_away_comes_back(tmp_path: Path) -> None:
    for part in ("old", "new"):
        (tmp_path / ".hao-x2kq81_z" / part).mkdir(parents=True)
        (tmp_path / ".hao-x2kq81_z" / part / "design.json").write_text(part)
    recover(tmp_path)
    assert names(tmp_path) == ["restored-x2kq81_z"]
    assert (tmp_path / "restored-x2kq81_z" / "design.json").read_text() == "old"


def _hold(folder: Path, shared: bool, ready: str) -> None:
    with held(folder, shared=shared):
        Path(ready).touch()
        signal.pause()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function that lets another process hold a folder until the test ends."""
    context = multiprocessing.get_context("fork")
    started: list[ForkProcess] = []

    def hold(folder: Path, *, shared: bool) -> None:
        ready = tmp_path / f"ready{len(started)}"
        child = context.Process(target=_hold, args=(folder, shared, str(ready)))
        child.start()
        started.append(child)
        while not ready.exists():
            assert child.is_alive()

    yield hold
    for child in started:
        child.kill()
        child.join()


def test_a_folder_is_held_by_one_or_shared_by_several(
    tmp_path: Path, other: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_TRIES", 1)
    alone, common = tmp_path / "alone", tmp_path / "common"
    alone.mkdir()
    common.mkdir()
    other(alone, shared=False)
    other(common, shared=True)
    assert is_held(alone)
    message = r"alone: another hao command is working in it; wait until it has ended"
    for shared in (True, False):
        with pytest.raises(InputError, match=message), held(alone, shared=shared):
            pass
    with held(common, shared=True):
        pass
    with pytest.raises(InputError, match="common: another hao command"), held(common):
        pass


def test_what_a_living_process_writes_is_not_cleared(
    tmp_path: Path, other: Callable[..., None]
) -> None:
    work = tmp_path / ".hao-run-abcdefgh"
    (work / "new").mkdir(parents=True)
    other(work, shared=False)
    recover(tmp_path)
    assert work.is_dir()


def test_a_folder_that_goes_or_is_replaced_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "design.json").write_text("{}")
    with held(folder, mark="design.json") as run:
        run.check()
        shutil.rmtree(folder)
        with pytest.raises(InputError, match=r"run: deleted or replaced while hao"):
            run.check()
        folder.mkdir()
        (folder / "design.json").write_text("{}")
        with pytest.raises(InputError, match=r"run: deleted or replaced while hao"):
            run.check()
    with held(folder, mark="design.json") as run:
        (folder / "design.json").unlink()
        with pytest.raises(InputError, match=r"run: deleted or replaced while hao"):
            run.check()


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"absent: cannot be opened \(No such file"),
        held(tmp_path / "absent"),
    ):
        pass
