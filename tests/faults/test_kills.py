"""A command that is killed before any of its changes loses nothing; the next completes.

Every command that writes is run on a small network, killed before each of its changes
to the file system in turn. What it would have replaced is then still there, or the new
one is, whole; the same command, run again, completes; and nothing of the killed one is
left over.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hao.files import recover
from tests.faults.commands import Commands, warm_commands
from tests.faults.tiny import write_deep, write_tiny

SEARCH = (
    *("search", "--board", "pynq-z2", "--model", "net.onnx", "--objective", "latency"),
    *("--bits", "8", "--run", "t", "--quiet"),
)
QUANTIZE = ("quantize", "runs/t", "--data", "data.npz", "--quiet")
PTQ = (*QUANTIZE, "--method", "ptq", "--weights", "float.npz")
DEEP = (
    *("deep.onnx", "--data", "data.npz", "--weights", "deep.onnx", "--quiet"),
    *("--board", "pynq-z2", "--bits", "8", "--frames", "back-to-back", "--margin", "0"),
)
BOARD = (
    *("boards", "new", "mine", "--part", "xczu3eg-sfvc784-1-e"),
    *("--ddr", "DDR4-2400x32", "--out", "mine.toml"),
)
CALIBRATE = ("calibrate", "--timings", "times.csv", "--out", "constants.json")
COMPARE = ("compare", "runs/t", "runs/t", "--html", "both.html")
QAT = (*QUANTIZE, "--float-epochs", "1", "--epochs", "1", "--seed", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command, and what must not be lost.

    Attributes:
        words: The command; the first time without `--force`.
        artifact: What it writes: a file, or a folder.
        replaces: Whether it is there before, and is replaced with `--force`.
    """

    words: tuple[str, ...]
    artifact: str
    replaces: bool


CASES = {
    "search": Case(words=SEARCH, artifact="runs/t", replaces=False),
    "search --force": Case(words=SEARCH, artifact="runs/t", replaces=True),
    "quantize": Case(words=PTQ, artifact="runs/t/weights.npz", replaces=False),
    "quantize --force": Case(words=QAT, artifact="runs/t/weights.npz", replaces=True),
    "emit-hls": Case(
        words=("emit-hls", "runs/t"), artifact="runs/t/hls", replaces=False
    ),
    "emit-hls --force": Case(
        words=("emit-hls", "runs/t", "--weights", "random"),
        artifact="runs/t/hls",
        replaces=True,
    ),
    "export": Case(
        words=("export", "runs/t", "--output", "net.q.onnx"),
        artifact="net.q.onnx",
        replaces=False,
    ),
    "export --force": Case(
        words=("export", "runs/t", "--output", "float.npz"),
        artifact="float.npz",
        replaces=True,
    ),
    "simulate": Case(
        words=("simulate", "runs/t", "--images", "2", "--quiet"),
        artifact="runs/t/hls",
        replaces=True,
    ),
    "boards new": Case(words=BOARD, artifact="mine.toml", replaces=False),
    "boards new --force": Case(words=BOARD, artifact="mine.toml", replaces=True),
    "calibrate": Case(words=CALIBRATE, artifact="constants.json", replaces=False),
    "calibrate --force": Case(
        words=CALIBRATE, artifact="constants.json", replaces=True
    ),
    "compare": Case(words=COMPARE, artifact="both.html", replaces=False),
    "compare --force": Case(words=COMPARE, artifact="both.html", replaces=True),
    # What follows trains in a run that grows, and goes on where it was killed.
    "explore": Case(
        words=(
            *("explore", "runs/t", "--data", "data.npz", "--weights", "float.npz"),
            *("--measure", "2", "--rates", "300", "--epochs", "1", "--quiet"),
            *("--final-epochs", "1"),
        ),
        artifact="runs/t/measured-1/design.json",
        replaces=False,
    ),
    "prune": Case(
        words=(
            *("prune", *DEEP, "--fps", "45000", "--run", "p", "--steps", "1"),
            *("--iterations", "2", "--epochs", "1"),
        ),
        artifact="runs/p/design.json",
        replaces=False,
    ),
    "replace": Case(
        words=(
            *("replace", *DEEP, "--fps", "45000", "--run", "r", "--best", "1"),
            *("--distill-epochs", "1", "--epochs", "1"),
        ),
        artifact="runs/r/design.json",
        replaces=False,
    ),
}

SAMPLED = {"search --force": (3, -1), "quantize --force": (-4, -1), "emit-hls": (-2,)}
"""Changes before which `make test` kills, of some commands; negative from the end."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with warm_commands() as found:
        yield found


@pytest.fixture(scope="module")
def whole(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which every command has run once."""
    folder = tmp_path_factory.mktemp("whole")
    write_tiny(folder)
    write_deep(folder)
    (folder / "times.csv").write_text("design,clock_mhz,ms\nruns/t,150,0.01\n")
    ready = (SEARCH, PTQ, ("emit-hls", "runs/t"), BOARD, CALIBRATE, COMPARE)
    for words in ready:
        done = commands.run(*words, cwd=folder)
        assert done.code == 0, done.stderr
    return folder


def content(path: Path) -> str | None:
    """Return a digest of a file or folder; `None` if it is not there.

    The page of a run is made from the other files once they are in place, and can be
    made again (`hao report --html`), so that it is no part of what must not be lost.
    """
    if not path.exists():
        return None
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.name != "report.html":
            digest.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return digest.hexdigest()


def left_over(folder: Path) -> list[str]:
    hidden = [path for path in folder.rglob(".*") if ".hao-" in path.name]
    hidden += [p for p in folder.rglob(".*") if re.fullmatch(r"\..*\.\d+", p.name)]
    return [str(path.relative_to(folder)) for path in hidden]


def prepared(case: Case, whole: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    if not case.replaces:
        path = folder / case.artifact
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def words_of(case: Case) -> tuple[str, ...]:
    force = case.replaces and case.words[0] != "simulate"
    return (*case.words, "--force") if force else case.words


def check_kill(
    commands: Commands, case: Case, whole: Path, folder: Path, step: int
) -> None:
    """Kill a command before a change, and check that nothing is lost."""
    prepared(case, whole, folder)
    artifact = folder / case.artifact
    old = content(artifact)
    died = commands.run(*words_of(case), cwd=folder, kill_before=step)
    assert died.code == -9
    for place in (folder / "runs", *(folder / "runs").iterdir()):
        recover(place)
    found = content(artifact)
    again = commands.run(*words_of(case), cwd=folder)
    if again.code != 0:
        # The killed one was through with it.
        assert "exists" in again.stderr, (step, again.stderr)
        assert not case.replaces
        assert found is not None
    assert found in (old, content(artifact)), step
    assert left_over(folder) == [], step


@pytest.mark.parametrize("name", SAMPLED)
def test_a_killed_command_loses_nothing(
    commands: Commands, whole: Path, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    prepared(case, whole, tmp_path / "x")
    total = commands.run(*words_of(case), cwd=tmp_path / "x").changes
    for step in SAMPLED[name]:
        check_kill(commands, case, whole, tmp_path / "x", step % total)


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_killed_anywhere_loses_nothing(
    commands: Commands, whole: Path, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    prepared(case, whole, tmp_path / "x")
    done = commands.run(*words_of(case), cwd=tmp_path / "x")
    assert done.code == 0, done.stderr
    assert done.changes > 0
    for step in range(done.changes):
        check_kill(commands, case, whole, tmp_path / "x", step)
