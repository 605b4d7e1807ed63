"""Tasks one after the other, where an answer may change what is asked next.

What was asked for ahead, under limits that an earlier answer has changed, is thrown
away and asked for anew, so that the outcome does not depend on the workers.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from hao.answer.workers import Answer, Progress, Task, Workers


def solve_in_turn(
    items: Sequence[int],
    task_of: Callable[[int], Task | None],
    take: Callable[[int, Answer], bool],
    *,
    workers: Workers,
    progress: Progress,
) -> None:
    """Ask for one item after the other, and hand each answer to `take`.

    Args:
        items: What to ask for, in order.
        task_of: The task of an item by what is known so far, or `None` to pass over.
        take: Told of an item and its answer; returns whether that changes any task
            after it. These are then asked for anew.
        workers: Who solves.
        progress: Told of each task.

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
                    yield task

        with closing(workers.solve(tasks(first, asked), progress)) as answers:
            first = len(items)
            for answer in answers:
                place = asked.popleft()
                if take(items[place], answer):
                    first = place + 1
                    break
