"""Who solves the problems of a search: this process, others beside it, or a cluster.

A `Task` is one network on one board with its limits. Solving it is a pure function of
it, so it may run anywhere, ahead of its turn, and again where a worker died. `Workers`
answer tasks in the order in which these come. This process starts a task only when its
answer is asked for; joblib's processes and a Dask cluster work ahead. An answer never
depends on who worked on it, nor on how many did. `each` farms out any other pure
function likewise.
"""

import socket
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from hao import __version__
from hao.errors import InfeasibleError, InputError, SolverError
from hao.program.codesign import (
    NO_LIMIT,
    Measure,
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    choose_smallest,
)
from hao.program.problem import Problem
from hao.program.solver import SolverName

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[str], None]

AHEAD = 2
"""Tasks in play at a time for each worker (chosen here): one of them may be long."""

CONNECT_SECONDS = 10
"""How long a cluster may take to answer, and to have a worker (chosen here) [s]."""

_USUAL_PORT = 8786
"""Of a Dask scheduler; source: distributed.Scheduler.default_port."""


def no_progress(_: str) -> None:
    """Drop a line of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One network on one board with its limits: all that a worker needs.

    Attributes:
        label: What progress calls it.
        problem: What to choose for.
        budget: Most latency [cycles] of the most accurate or, with a measure, the
            smallest design; `None` asks for the fastest one.
        measure: How blocks are counted, where the smallest design is asked for.
        most_blocks: Most that is of interest by that measure; with a `cost_limit` only.
        cost_limit: Most accuracy cost [micro-points]; `None` for no limit.
        unlikely: Accuracy cost up to which no design is expected to meet the budget
            [micro-points].
        decide: Whether a design of at most the cost meets the budget is all that
            counts, and if not, whether rough bounds exclude all others too.
        tolerance: Share of its accuracy cost by which the most accurate design may be
            beaten; with `decide` it does not count.
        latency_limit: Most latency [cycles] of interest of the fastest design.
        solver: Who solves the integer programs.
    """

    label: str
    problem: Problem
    budget: int | None = None
    measure: Measure | None = None
    most_blocks: int | None = None
    cost_limit: int | None = None
    unlikely: int = -1
    decide: bool = False
    tolerance: float = 0.0
    latency_limit: int = NO_LIMIT
    solver: SolverName = SolverName.AUTO


Answer = SolveReport | InfeasibleError | SolverError
"""A design; or a proof that there is none; or neither."""


def solve_task(task: Task, progress: Progress = no_progress) -> Answer:
    """Return the best design of a task, or the error that says why there is none.

    Args:
        task: What to solve.
        progress: Told of each step.
    """
    try:
        if task.budget is None:
            return choose_fastest(
                task.problem,
                cost_limit=task.cost_limit,
                latency_limit=task.latency_limit,
                solver=task.solver,
                progress=progress,
            )
        if task.measure is not None:
            return choose_smallest(
                task.problem,
                measure=task.measure,
                budget=task.budget,
                cost_limit=task.cost_limit,
                blocks=NO_LIMIT if task.most_blocks is None else task.most_blocks,
                solver=task.solver,
                progress=progress,
            )
        return choose_most_accurate(
            task.problem,
            budget=task.budget,
            cost_limit=task.cost_limit,
            unlikely=task.unlikely,
            decide=task.decide,
            tolerance=task.tolerance,
            solver=task.solver,
            progress=progress,
        )
    except (InfeasibleError, SolverError) as error:
        return error.with_traceback(None)


class Labelled(Protocol):
    """Something to work on that progress can name."""

    @property
    def label(self) -> str:
        """Return what progress calls it."""


Shared = TypeVar("Shared")
Item = TypeVar("Item", bound=Labelled)
Result = TypeVar("Result")


def _solved(_: None, task: Task) -> Answer:
    """Return the answer to a task; run on a worker."""
    return solve_task(task)


class Workers(Protocol):
    """Whoever answers tasks."""

    def solve(
        self, tasks: Iterable[Task], progress: Progress
    ) -> Generator[Answer, None, None]:
        """Yield the answer to every task, in their order; closing it drops the rest.

        Raises:
            SolverError: The workers died, or their cluster went away.
        """


class Farm(Workers, Protocol):
    """Workers that do other work too."""

    def each(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        progress: Progress,
    ) -> Generator[Result, None, None]:
        """Yield `function(shared, item)` for every item, in their order.

        Args:
            function: Pure, of a module; it may run twice where a worker died.
            shared: What all items need, sent to a worker once as far as possible.
            items: Taken as workers become free; closing the answers drops the rest.
            progress: Told of each item.

        Raises:
            SolverError: The workers died, or their cluster went away.
        """


class InProcess:
    """This process: one task after the other, each when its answer is asked for."""

    def each(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        progress: Progress,
    ) -> Generator[Result, None, None]:
        """Yield `function(shared, item)` for every item, when it is asked for."""
        for item in items:
            progress(item.label)
            yield function(shared, item)

    def solve(
        self, tasks: Iterable[Task], progress: Progress
    ) -> Generator[Answer, None, None]:
        """Yield the answer to every task, solved when it is asked for."""
        for task in tasks:
            progress(task.label)
            yield solve_task(task, progress)


IN_PROCESS = InProcess()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Processes of this machine, or of a Dask cluster, through joblib.

    Attributes:
        count: How many tasks are solved at a time.
        client: Connection to a cluster; `None` for processes of this machine.
        address: Of the cluster's scheduler.
    """

    count: int
    client: "Client | None" = None
    address: str = ""

    def each(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        progress: Progress,
    ) -> Generator[Result, None, None]:
        """Yield `function(shared, item)` for every item, worked on ahead, in order.

        Raises:
            SolverError: A process died twice, or the cluster went away.
        """
        left = iter(items)
        while batch := list(islice(left, AHEAD * self.count)):
            for item in batch:
                progress(item.label)
            yield from self._batch(function, shared, batch)

    def solve(
        self, tasks: Iterable[Task], progress: Progress
    ) -> Generator[Answer, None, None]:
        """Yield the answer to every task, worked on ahead and yielded in order.

        Raises:
            SolverError: A process died twice, or the cluster went away.
        """
        yield from self.each(_solved, None, tasks, progress)

    def _batch(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
    ) -> Generator[Result, None, None]:
        """Yield the results of a few items; where processes died, once more."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        done = 0
        for again in (True, False):
            try:
                with closing(self._tried(function, shared, items[done:])) as results:
                    for result in results:
                        done += 1
                        yield result
                return
            except BrokenProcessPool as error:
                if not again:
                    raise SolverError(
                        f"{items[done].label}: a worker process died, twice; it may "
                        "lack memory: use fewer `workers`"
                    ) from error

    def _tried(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
    ) -> Generator[Result, None, None]:
        from joblib import Parallel, delayed, parallel_config

        config = (
            parallel_config("loky", n_jobs=self.count, inner_max_num_threads=1)
            if self.client is None
            else parallel_config("dask", client=self.client)
        )
        try:
            with config:
                results = Parallel(return_as="generator", batch_size=1)(
                    delayed(function)(shared, item) for item in items
                )
            yield from results
        except Exception as error:
            if self.client is None:
                raise
            # joblib asks a client that gave its scheduler up for what that had.
            if self.client.status == "running" and not _is_of_cluster(error):
                raise
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise SolverError(
                f"`cluster` = {self.address}: the cluster went away before all was "
                f"done; type the command again once it is there ({reason})"
            ) from error


def _is_of_cluster(error: Exception) -> bool:
    """Return whether Dask raised an error, and not the function that it ran."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    lost = CancelledError | CommClosedError | KilledWorker | TimeoutError
    return isinstance(error, lost)


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    from joblib import cpu_count

    return int(cpu_count())


@contextmanager
def open_workers(count: int = 1, cluster: str | None = None) -> Iterator[Farm]:
    """Yield the workers asked for, and let go of them at the end.

    Args:
        count: Processes on this machine, at least 1; 1 solves in this process.
        cluster: Address of a Dask scheduler, such as "tcp://host:8786", instead.

    Raises:
        InputError: No cluster answers at the address or it has no worker, its workers
            lack this version of hao, or the package distributed is not installed.
    """
    if cluster is None and count == 1:
        yield IN_PROCESS
        return
    with warnings.catch_warnings():
        # joblib warns of work ahead that is dropped, and of processes that it ended.
        warnings.filterwarnings("ignore", module=r"joblib\.", category=UserWarning)
        if cluster is None:
            yield SideBySide(count=count)
            return
        with _connected(cluster) as client:
            _check_workers(cluster, client)
            count = sum(client.nthreads().values())
            yield SideBySide(count=count, client=client, address=cluster)


@contextmanager
def _connected(address: str) -> "Iterator[Client]":
    """Yield a connection to a cluster."""
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
    except ImportError:
        raise InputError(
            f"`cluster` = {address} needs the package distributed; "
            "pip install 'hao[cluster]'"
        ) from None
    try:
        # A client that finds nothing complains once more when it is deleted.
        _await_listener(parse_host_port(parse_address(address)[1], _USUAL_PORT))
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"`cluster` = {address}: no Dask scheduler answers there within "
            f"{CONNECT_SECONDS} s; an address is like tcp://host:8786"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=1)


def _await_listener(place: tuple[str, int]) -> None:
    """Wait until a process listens at a host and port, or raise as if none did."""
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection(place, timeout=CONNECT_SECONDS).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def _version() -> str:
    """Return the version of hao here; run on a worker, of hao there."""
    return __version__


def _check_workers(address: str, client: "Client") -> None:
    """Check that a cluster has workers, and that these have this version of hao."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise InputError(
            f"`cluster` = {address} has no worker; start one: dask worker {address}"
        ) from error
    for worker, version in client.run(_version, on_error="return").items():
        if version != __version__:
            raise InputError(
                f"`cluster` = {address}: worker {worker} must have hao {__version__}; "
                f"it answers: {version}"
            )
