"""Tasks one after the other, where an answer may change what is asked next.

What was asked for ahead, under limits that an earlier answer has changed, is thrown
away and asked for anew, so that the outcome does not depend on the workers.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from hao.answer.workers import (
    IN_PROCESS,
    Answer,
    Progress,
    Task,
    Workers,
    no_progress,
)
from hao.program.solver import SolverName


@dataclass(frozen=True, slots=True, kw_only=True)
class Solving:
    """How a search has its tasks solved.

    Attributes:
        solver: Who solves the integer programs.
        workers: Who answers the tasks.
        progress: Told of each task.
    """

    solver: SolverName = SolverName.AUTO
    workers: Workers = IN_PROCESS
    progress: Progress = no_progress

    def in_turn(
        self,
        items: Sequence[int],
        task_of: Callable[[int], Task | None],
        take: Callable[[int, Answer], bool],
    ) -> None:
        """Ask for one item after the other, and hand each answer to `take`.

        Args:
            items: What to ask for, in order.
            task_of: The task of an item by what is known so far, but for the solver;
                or `None` to pass over.
            take: Told of an item and its answer; returns whether that changes any task
                after it. These are then asked for anew.

        Raises:
            SolverError: The workers died, or their cluster went away.
        """
        first = 0
        while first < len(items):
            asked: deque[int] = deque()

            def tasks(start: int, asked: deque[int]) -> Iterator[Task]:
                for place in range(start, len(items)):
                    task = task_of(items[place])
                    if task is not None:
                        asked.append(place)
                        yield replace(task, solver=self.solver)

            found = self.workers.solve(tasks(first, asked), self.progress)
            with closing(found) as answers:
                first = len(items)
                for answer in answers:
                    place = asked.popleft()
                    if take(items[place], answer):
                        first = place + 1
                        break


USUAL_SOLVING = Solving()
"""In this process, and no one is told."""
