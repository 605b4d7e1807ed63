"""Cycle ratios, dominators and control dependences against enumeration."""

from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest

from hao.schedule.cycles import TimedEdge, components, largest_ratio
from hao.schedule.graph import Operator, OperatorGraph, OperatorKind
from hao.schedule.ir import NOWHERE, Instruction, IrFunction
from hao.schedule.pipeline import Pipeline, find_pipeline
from hao.schedule.regions import dominators, find_loops


def random_arcs(seed: int) -> tuple[int, list[TimedEdge]]:
    """Return a graph whose edges against the order of its nodes alone have distance."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 8))
    arcs = []
    for _ in range(int(rng.integers(size, 3 * size))):
        start, end = (int(n) for n in rng.integers(0, size, 2))
        distance = int(rng.integers(1, 3)) if end <= start else int(rng.integers(0, 2))
        arcs.append(TimedEdge(start, end, float(rng.integers(0, 20)) / 4, distance))
    return size, arcs


def enumerated_ratio(arcs: Sequence[TimedEdge]) -> float:
    """Return the largest ratio of all cycles, each tried with each parallel edge."""
    graph = nx.MultiDiGraph()
    for arc in arcs:
        # A node in each edge, so that parallel edges make cycles of their own.
        graph.add_edge(arc.start, ("edge", id(arc)))
        graph.add_edge(("edge", id(arc)), arc.end)
    by_id = {id(arc): arc for arc in arcs}
    best = 0.0
    for cycle in nx.simple_cycles(nx.DiGraph(graph)):
        edges = [by_id[node[1]] for node in cycle if isinstance(node, tuple)]
        best = max(best, sum(e.weight for e in edges) / sum(e.distance for e in edges))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_the_ratio_is_the_largest_of_all_cycles(seed: int) -> None:
    size, arcs = random_arcs(seed)
    ratio, cycle = largest_ratio(size, arcs)
    assert ratio == pytest.approx(enumerated_ratio(arcs), abs=1e-6)
    if cycle:
        distance = sum(arc.distance for arc in cycle)
        assert sum(arc.weight for arc in cycle) / distance == pytest.approx(ratio)
        ends = [arc.end for arc in cycle]
        assert [arc.start for arc in cycle] == [ends[-1], *ends[:-1]]


def test_negative_distances_on_edges_are_allowed_where_cycles_sum_above_zero() -> None:
    arcs = [TimedEdge(0, 1, 2.0, -1), TimedEdge(1, 0, 1.0, 2), TimedEdge(1, 1, 0.5, 1)]
    assert largest_ratio(2, arcs)[0] == pytest.approx(3.0)


def test_a_graph_without_cycles_has_no_ratio() -> None:
    assert largest_ratio(3, [TimedEdge(0, 1, 5.0, 0), TimedEdge(1, 2, 5.0, 1)]) == (
        0.0,
        [],
    )


@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_of_networkx(seed: int) -> None:
    size, arcs = random_arcs(seed)
    part_of = components(size, ((arc.start, arc.end) for arc in arcs))
    found = {frozenset(np.flatnonzero(np.equal(part_of, p)).tolist()) for p in part_of}
    graph = nx.DiGraph([(arc.start, arc.end) for arc in arcs])
    graph.add_nodes_from(range(size))
    expected = {frozenset(part) for part in nx.strongly_connected_components(graph)}
    assert found == expected


@pytest.mark.parametrize("seed", range(40))
def test_dominators_are_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 12))
    succ = {
        str(n): [str(m) for m in sorted(set(rng.integers(0, size, 2).tolist()))]
        for n in range(size)
    }
    graph = nx.DiGraph([(a, b) for a, ends in succ.items() for b in ends])
    expected = dict(nx.immediate_dominators(graph, "0"))
    expected["0"] = "0"
    assert dominators(succ, "0") == expected


def function(succ: dict[str, list[str]]) -> IrFunction:
    blocks = {
        block: [Instruction("", "br", "void", (), (), block, labels=tuple(after))]
        for block, after in succ.items()
    }
    return IrFunction("f", (), -1, 0, blocks=blocks)


# entry -> head -> (left -> (deep -> join2, join2) , right) -> join -> head or exit
NEST = {
    "entry": ["head"],
    "head": ["left", "right"],
    "left": ["deep", "join2"],
    "deep": ["join2"],
    "join2": ["join"],
    "right": ["join"],
    "join": ["head", "exit"],
    "exit": [],
}


def test_conditions_that_decide_a_block_and_a_choice() -> None:
    (loop,) = find_loops(function(NEST))
    assert set(loop.order) == {"head", "left", "deep", "join2", "right", "join"}
    assert loop.guards("join") == frozenset()
    assert loop.guards("deep") == {"left", "head"}
    assert loop.guards("right") == {"head"}
    # Which way join is entered, the branch inside of the left side does not tell.
    assert loop.choosing("join") == {"head"}
    assert loop.choosing("join2") == {"left"}


def test_an_inner_loop_is_passed_through_once() -> None:
    succ = {
        "entry": ["head"],
        "head": ["inner"],
        "inner": ["inner", "latch"],
        "latch": ["head", "exit"],
        "exit": [],
    }
    loops = {loop.head: loop for loop in find_loops(function(succ))}
    assert loops["head"].order == ["head", "inner", "latch"]
    assert loops["inner"].order == ["inner"]


def test_a_carried_value_is_kept_from_its_first_use_to_its_last_by_hand() -> None:
    graph = OperatorGraph()
    carried = graph.add(Operator(OperatorKind.CARRIED, 8, 0.0, 0, 0.0, NOWHERE, 8))
    before = carried
    for _ in range(3):  # adders of 0.9 ns in a cycle of 1 ns: cycles 0, 1 and 2
        adder = graph.add(Operator(OperatorKind.ADD, 8, 0.9, 0, 0.0, NOWHERE, 0))
        graph.join(carried, adder)
        if before != carried:
            graph.join(before, adder)
        before = adder
    # 8 bits are handed over, and cross two clock edges to the last adder.
    assert find_pipeline(graph, 1.0) == Pipeline(depth=3, registers=8 + 2 * 8)
