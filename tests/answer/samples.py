"""Candidates of small networks for the searches, on a small board and space."""

from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest

from hao.accuracy.drops import Basis, Drop
from hao.accuracy.terms import Recipe
from hao.answer import candidates as candidates_module
from hao.answer import workers as workers_module
from hao.answer.candidates import BitRules, Candidate
from hao.answer.ledger import Outcome
from hao.answer.workers import Answer, Progress, Task, solve_task
from hao.hw.board import Board
from hao.ir.network import Network
from hao.program.problem import Problem
from hao.program.space import Space
from hao.zoo import build_network
from tests.program.instances import board, random_network

BOARD: Board = board(dsp=200, lut=50_000, bram_18k=150)
SPACE = Space(
    pixels=(1, 2), lanes=(2, 4, 8), taps=(1, 3), depths=(64,), buffering=(True,)
)


def small_space(patch: pytest.MonkeyPatch) -> None:
    """Let the problems of candidates have a space in which solves take a moment."""
    patch.setattr(candidates_module, "Problem", partial(Problem, space=SPACE))


BASIS = Basis(
    recipe=Recipe.QAT,
    weight_bits=8,
    act_bits=8,
    own=1,
    related=3,
    networks=2,
    sources=2,
)


def drop(points: float) -> Drop:
    return Drop(
        mean=points,
        low=0,
        high=points,
        noise=0,
        out_of_range=False,
        basis=BASIS,
    )


def named(
    name: str, network: Network, top1: float | None, drops: dict[int, float]
) -> Candidate:
    """Return a candidate with the given drops by bits."""
    return Candidate(
        network=replace(network, name=name),
        image_size=network.input.ofm.width,
        top1=top1,
        source="made up",
        drops={bits: drop(points) for bits, points in drops.items()},
        rules=BitRules(choices=tuple(drops), keep_first_last=False),
    )


def seeded(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), 4)


def candidates(first: int = 2) -> list[Candidate]:
    """Return networks of several kinds; "slow" and "tied" are equally accurate.

    Args:
        first: Seed of the one called "first".
    """
    both = {8: 0.0, 4: 0.4}
    return [
        named("low", seeded(6), 60.0, both),
        named("unknown", build_network("digits"), None, {8: 0.0}),
        named("tied", seeded(3), 79.0, both),
        named("large", build_network("resnet8_cifar"), 95.0, {8: 1.0}),
        named("second", seeded(4), 79.5, both),
        named("first", seeded(first), 80.0, both),
        named("slow", seeded(7), 79.0, both),
    ]


_ANSWERS: dict[object, Answer] = {}


def remembered(task: Task, progress: Progress = lambda _: None) -> Answer:
    """Return the answer to a task, from the first time it was asked if it was before.

    Solving is pure, and the tests ask for the same again and again.
    """
    key = (
        task.problem.network.name,
        task.problem.options,
        task.problem.board,
        *(task.budget, task.measure, task.most_blocks),
        *(task.cost_limit, task.latency_limit, task.decide),
    )
    if key not in _ANSWERS:
        _ANSWERS[key] = solve_task(task, progress)
    return _ANSWERS[key]


class Ahead:
    """Workers that solve some tasks ahead, as processes do, in this process."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.labels: list[str] = []

    def solve(
        self, tasks: Iterable[Task], progress: Progress
    ) -> Generator[Answer, None, None]:
        left = iter(tasks)
        while batch := list(islice(left, self.count)):
            self.labels += [task.label for task in batch]
            yield from [workers_module.solve_task(task) for task in batch]


def told(outcome: Outcome) -> list[object]:
    """Return all that an outcome says, with what each design is and costs."""
    return [
        outcome.proven,
        outcome.open,
        *(
            (v.candidate.label, v.fate, v.report and (v.report.design, v.report.cost))
            for v in outcome.verdicts
        ),
    ]
