"""Workers: processes and a real Dask cluster answer as one process does."""

import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from hao import SearchRequest
from hao.answer import workers as workers_module
from hao.answer.explore import search_accuracy
from hao.answer.in_turn import Solving
from hao.answer.workers import IN_PROCESS, Answer, Task, Workers, open_workers
from hao.cli import main
from hao.errors import InputError, SolverError
from hao.program.codesign import NO_LIMIT
from hao.program.problem import Problem
from tests.answer.samples import BOARD, candidates, small_space, told

ROOT = Path(__file__).resolve().parents[2]
FPS = BOARD.clock_khz * 1000 / 1910.5


@pytest.fixture(autouse=True)
def _small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    small_space(monkeypatch)


def quiet(_: str) -> None:
    """Drop a line of progress."""


def tasks(count: int) -> list[Task]:
    some = [c for c in candidates() if c.network.name in ("first", "tied", "second")]
    return [
        Task(label=f"{i}", problem=c.problem(BOARD), latency_limit=NO_LIMIT - i)
        for i, c in zip(range(count), some * count, strict=False)
    ]


def said(answers: Iterator[Answer]) -> list[object]:
    return [
        str(answer)
        if isinstance(answer, Exception)
        else (answer.design, answer.cost, answer.cost_micro)
        for answer in answers
    ]


def test_one_process_starts_a_task_when_its_answer_is_asked_for() -> None:
    started: list[str] = []
    answers = IN_PROCESS.solve(tasks(3), started.append)
    next(answers)
    assert [line for line in started if line.isdigit()] == ["0"]


def _load(marker: str, problem: Problem) -> Problem:
    """Return the problem, but end the process the first time, or always."""
    if not marker or not Path(marker).exists():
        if marker:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return problem


@dataclass(frozen=True)
class Deadly:
    """A problem that kills the process that unpickles it."""

    marker: str
    problem: Problem

    def __reduce__(self) -> tuple[object, tuple[str, Problem]]:
        return _load, (self.marker, self.problem)


def deadly(task: Task, marker: str) -> Task:
    problem = Deadly(marker, task.problem)
    return Task(label=task.label, problem=problem)  # type: ignore[arg-type] # unpickles


def test_processes_answer_as_one_process_does() -> None:
    expected = told(search_accuracy(candidates(), BOARD, fps=FPS))
    with open_workers(2) as workers, warnings.catch_warnings(record=True) as seen:
        found = search_accuracy(
            candidates(), BOARD, fps=FPS, solving=Solving(workers=workers)
        )
    assert told(found) == expected
    assert [str(w.message) for w in seen] == []


def test_a_process_that_dies_is_replaced_once(tmp_path: Path) -> None:
    given = tasks(4)
    expected = said(IN_PROCESS.solve(given, quiet))
    given[1] = deadly(given[1], str(tmp_path / "died"))
    with open_workers(2) as workers:
        assert said(workers.solve(given, quiet)) == expected
        assert (tmp_path / "died").exists()
        answers = workers.solve([deadly(given[0], "")], quiet)
        with pytest.raises(SolverError, match=r"^0: a worker process died, twice; .*"):
            next(answers)


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers, each a process."""

    address: str
    scheduler: subprocess.Popen[bytes]
    nodes: list[subprocess.Popen[bytes]]


@contextmanager
def cluster(nodes: int) -> Iterator[Cluster]:
    """Yield a Dask cluster on this machine, as two commands start it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    try:
        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", str(port))
        # Without a nanny, a worker that is killed stays dead.
        worker = ("worker", address, "--nthreads", "1", "--no-nanny")
        yield Cluster(address, scheduler, [start(*worker) for _ in range(nodes)])
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def wait_for(workers: Workers, count: int) -> None:
    assert isinstance(workers, workers_module.SideBySide)
    assert workers.client is not None
    workers.client.wait_for_workers(count, timeout=20)


@pytest.mark.slow
def test_a_cluster_answers_as_one_process_does_though_a_worker_dies() -> None:
    expected = told(search_accuracy(candidates(), BOARD, fps=FPS))
    given = tasks(6)
    one_by_one = said(IN_PROCESS.solve(given, quiet))
    with cluster(2) as started, open_workers(cluster=started.address) as workers:
        wait_for(workers, 2)
        found = search_accuracy(
            candidates(), BOARD, fps=FPS, solving=Solving(workers=workers)
        )
        assert told(found) == expected
        answers = workers.solve(given, quiet)
        first = said(iter([next(answers)]))
        started.nodes[0].kill()
        assert first + said(answers) == one_by_one
        started.nodes[0].wait()
        # The scheduler dies too: one line, at once.
        answers = workers.solve(given, quiet)
        next(answers)
        started.scheduler.kill()
        with pytest.raises(
            SolverError, match=rf"^`cluster` = {started.address}: the clu"
        ):
            list(answers)
        # Later, when the connection was given up, as between two batches.
        assert isinstance(workers, workers_module.SideBySide)
        assert workers.client is not None
        workers.client.close(timeout=1)
        with pytest.raises(SolverError, match="went away before all was done; type"):
            list(workers.solve(given, quiet))


def test_a_cluster_must_have_workers_with_this_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers_module, "CONNECT_SECONDS", 5)
    with (
        cluster(0) as started,
        pytest.raises(InputError, match=r"has no worker; start one: dask worker tcp"),
        open_workers(cluster=started.address),
    ):
        pass
    monkeypatch.setattr(workers_module, "__version__", "9.9")
    with (
        cluster(1) as started,
        pytest.raises(InputError, match=r"worker tcp://\S+ must have hao 9.9; it answ"),
        open_workers(cluster=started.address),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "gopher://a:1"])
def test_a_cluster_out_of_reach_is_one_line(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers_module, "CONNECT_SECONDS", 1)
    words = ["--fps", "9", "--network", "digits", "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, ["search", *words, "--cluster", address])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"hao: --cluster {address}: no Dask scheduler answers there within 1 s"
    )
    assert list(tmp_path.rglob("*")) == []


def test_a_cluster_needs_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r"needs the package distributed; pip install"),
        open_workers(cluster="tcp://127.0.0.1:1"),
    ):
        pass


def test_requests_are_checked() -> None:
    for count in (0, 257):
        with pytest.raises(
            InputError, match=rf"`workers` = {count}; must be from 1 to"
        ):
            SearchRequest(board="zu3eg", fps=9, workers=count)
    with pytest.raises(InputError, match="`workers` and `cluster` exclude each other"):
        SearchRequest(board="zu3eg", fps=9, workers=2, cluster="tcp://host:8786")


def test_the_flow_loads_nothing_for_workers_that_are_not_asked_for() -> None:
    code = "import sys, hao.flow; print({'joblib', 'distributed'} & set(sys.modules))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"
