"""The heaviest cycle of a graph: the recurrence that limits a pipelined loop.

An edge has a weight and a distance, the iterations between its ends. The ratio of a
cycle is the sum of its weights over that of its distances; the largest ratio of all
cycles is the least period at which iterations can follow each other, wherever registers
may stand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class TimedEdge:
    """An edge between two operators.

    Attributes:
        start: Operator whose result is used.
        end: Operator that uses it.
        weight: What passing through `start` costs.
        distance: Iterations from one to the other.
    """

    start: int
    end: int
    weight: float
    distance: float


def components(size: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """Return for every node the number of the strongly connected part that it is in.

    Args:
        size: Number of nodes.
        edges: Start and end of each.
    """
    from scipy import sparse  # here: commands that look at no schedule need none
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(edges), dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(ends.shape[1]), tuple(ends)), (size, size))
    parts: list[int] = connected_components(graph, connection="strong")[1].tolist()
    return parts


def largest_ratio(
    size: int, arcs: Sequence[TimedEdge]
) -> tuple[float, list[TimedEdge]]:
    """Return the largest ratio of a cycle and that cycle; 0 and none without cycles.

    Args:
        size: Number of nodes.
        arcs: Edges. Every cycle's distances sum to more than 0.
    """
    part_of = components(size, ((arc.start, arc.end) for arc in arcs))
    inner: dict[int, list[TimedEdge]] = {}
    for arc in arcs:
        if part_of[arc.start] == part_of[arc.end]:
            inner.setdefault(part_of[arc.start], []).append(arc)
    best, cycle = 0.0, list[TimedEdge]()
    for edges in inner.values():
        ratio, found = _part_ratio(edges)
        if found and (not cycle or ratio > best + _CLOSE):
            best, cycle = ratio, found
    return best, cycle


def _part_ratio(arcs: list[TimedEdge]) -> tuple[float, list[TimedEdge]]:
    """Return the largest ratio within a strongly connected part.

    Source: Howard's policy iteration, as in Dasdan, "Experimental analysis of the
    fastest optimum cycle ratio and mean algorithms" (2004); equal to enumerated cycles
    in tests/schedule/test_cycles.py.
    """
    number: dict[int, int] = {}
    for arc in arcs:
        number.setdefault(arc.start, len(number))
    out: list[list[TimedEdge]] = [[] for _ in number]
    for arc in arcs:
        out[number[arc.start]].append(arc)
    policy = [max(edges, key=lambda a: a.weight - a.distance) for edges in out]
    value = [0.0] * len(out)
    best, cycle = float("-inf"), list[TimedEdge]()
    for _ in range(10 * len(out) + 100):
        ratio, found = _policy_cycle(policy, number)
        if not cycle or ratio > best:
            best, cycle = ratio, found
        _policy_values(policy, number, value, best, cycle)
        improved = False
        for node, edges in enumerate(out):
            for arc in edges:
                gain = arc.weight - best * arc.distance + value[number[arc.end]]
                if gain > value[node] + 1e-7:
                    value[node] = gain
                    policy[node] = arc
                    improved = True
        if not improved:
            break
    return best, cycle


def _policy_cycle(
    policy: list[TimedEdge], number: dict[int, int]
) -> tuple[float, list[TimedEdge]]:
    """Return the largest ratio among the cycles that the chosen edges form."""
    state = [0] * len(policy)
    best, cycle = float("-inf"), list[TimedEdge]()
    for start in range(len(policy)):
        path = []
        at = start
        while state[at] == 0:
            state[at] = start + 1
            path.append(at)
            at = number[policy[at].end]
        if state[at] == start + 1:
            ring = [policy[node] for node in path[path.index(at) :]]
            distance = sum(arc.distance for arc in ring)
            ratio = sum(arc.weight for arc in ring) / distance
            if ratio > best:
                best, cycle = ratio, ring
    return best, cycle


def _policy_values(
    policy: list[TimedEdge],
    number: dict[int, int],
    value: list[float],
    ratio: float,
    cycle: list[TimedEdge],
) -> None:
    """Set what every node is worth that reaches the best cycle by chosen edges."""
    into: list[list[int]] = [[] for _ in policy]
    for node, arc in enumerate(policy):
        into[number[arc.end]].append(node)
    root = number[cycle[0].start]
    seen = {root}
    waiting = [root]
    while waiting:
        at = waiting.pop()
        for node in into[at]:
            if node not in seen:
                seen.add(node)
                arc = policy[node]
                value[node] = arc.weight - ratio * arc.distance + value[at]
                waiting.append(node)
