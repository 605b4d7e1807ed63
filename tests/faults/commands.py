"""Commands of hao in children of one warm process, so that thousands of them are cheap.

Run as a program, this is that process: it has loaded what commands load, takes a JSON
line a command, forks, and answers how the child ended, what it printed and what it
took. A child can be killed before any of its changes to the file system.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CPU_SECONDS = 60
"""What a command may take [s]."""

CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
"""Audit events that may change the file system; source: the Python library reference,
"Audit events table". What a compiler changes is not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: Exit code; negative for a signal.
        stdout: What it printed.
        stderr: What it said.
        cpu_s: Processor time [s].
        peak_bytes: Most memory [bytes], with what the warm process had loaded.
        changes: Changes to the file system that it came to.
    """

    code: int
    stdout: str
    stderr: str
    cpu_s: float
    peak_bytes: int
    changes: int


class Commands:
    """The warm process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, *words: str, cwd: Path, kill_before: int = -1) -> Outcome:
        """Run a command; kill it before its change of that number, from 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"words": words, "cwd": str(cwd), "kill_before": kill_before}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextlib.contextmanager
def warm_commands() -> Iterator[Commands]:
    """Yield a warm process."""
    commands = Commands()
    try:
        yield commands
    finally:
        commands.close()


def _count_changes(counted: Path, kill_before: int) -> None:
    """Write the number of changes so far into a file, and die before one of them."""
    done = [0]
    descriptor = os.open(counted, os.O_WRONLY)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in CHANGES:
            return
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & os.O_ACCMODE:
                return
            if str(arguments[0]).startswith(("/dev", "/proc")):
                return
        if done[0] == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        done[0] += 1
        os.pwrite(descriptor, str(done[0]).encode(), 0)

    sys.addaudithook(hook)


def _child(asked: dict[str, object], folder: Path) -> None:
    from hao.cli import main

    os.chdir(str(asked["cwd"]))
    for number, name in ((1, "stdout"), (2, "stderr")):
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    signal.alarm(3 * CPU_SECONDS)  # for a command that waits for ever
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    words, kill_before = asked["words"], asked["kill_before"]
    assert isinstance(words, list)
    assert isinstance(kill_before, int)
    _count_changes(folder / "count", kill_before)
    code: object = 0
    try:
        main(words, prog_name="hao")
    except SystemExit as error:
        code = error.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _answer(asked: dict[str, object]) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="hao-command-") as name:
        folder = Path(name)
        (folder / "count").write_text("0")
        pid = os.fork()
        if pid == 0:
            try:
                _child(asked, folder)
            finally:
                os._exit(70)  # the last defence of the command line did not hold
        _, status, used = os.wait4(pid, 0)

        def text(name: str) -> str:
            path = folder / name
            return path.read_text(errors="replace") if path.exists() else ""

        return {
            "code": os.waitstatus_to_exitcode(status),
            "stdout": text("stdout"),
            "stderr": text("stderr"),
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024,
            "changes": int(text("count")),
        }


def _serve() -> None:
    import brevitas.nn  # noqa: F401 - what commands load
    import torch

    import hao.flow
    import hao.frontends.from_onnx.model
    import hao.quant.integers
    import hao.quant.ptq
    import hao.quant.train
    import hao.report.tables
    import hao.steps.calibrate
    import hao.steps.emit
    import hao.steps.quantize
    import hao.steps.simulate
    import hao.steps.verify  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        answer = json.dumps(_answer(json.loads(line)))
        print(answer, flush=True)


if __name__ == "__main__":
    _serve()
