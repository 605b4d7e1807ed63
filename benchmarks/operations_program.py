"""How long does the program take at LANA's size: 46 blocks, 197 operations each?

    python benchmarks/operations_program.py

LANA's program (Molchanov et al., arXiv:2107.10624) chooses one of 197 operations for
each of 46 layers at prices that do not depend on each other, in about a CPU second.
Here the operations are inverted residuals of 197 widths, each in one run of the engine,
on one engine without double buffers, so that prices add up; costs fall with the width,
with noise (seed 0). Answers are exact, and compared with a mixed-integer program of the
same numbers (HiGHS through SciPy, no gap) at five budgets.
"""

import time
from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix, eye, kron, vstack

from hao.hw.board_file import load_board
from hao.ir.change import Bits
from hao.ir.layer import Conv, Depthwise, Input, Layer, Padding
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.tensor import Shape
from hao.options.frame import ChainStep, Frame, PricedRun, Site, Variant
from hao.options.option import Option
from hao.program.codesign import field_of
from hao.program.exact import Goal, guessed_rate, outlooks
from hao.program.gather import periods_of
from hao.program.labels import best_way
from hao.program.periods import RunPeriods
from hao.program.problem import Problem
from hao.program.space import Space
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice

BLOCKS, OPERATIONS = 46, 197
SHAPE = Shape(channels=16, height=14, width=14)
SPACE = Space(pixels=(2,), lanes=(8,), taps=(3,), depths=(8192,), buffering=(False,))


def inverted(middle: int) -> Network:
    """Return 1x1, depthwise 3x3, 1x1 of a width inside."""
    inner = replace(SHAPE, channels=middle)
    layers: tuple[Layer, ...] = (
        Input(name="x", ofm=SHAPE),
        Conv(name="a", input="x", ifm=SHAPE, ofm=inner, kernel=1),
        Depthwise(
            name="b",
            input="a",
            ifm=inner,
            ofm=inner,
            kernel=3,
            padding=Padding.same(3),
        ),
        Conv(name="c", input="b", ifm=inner, ofm=SHAPE, kernel=1),
    )
    return Network(name="operation", layers=layers)


def problem() -> Problem:
    """Return 46 sites in a row with 197 options each."""
    rng = np.random.default_rng(0)
    runs = []
    for number in range(OPERATIONS):
        (fused,) = [
            s.invocation
            for s in partition(inverted(8 + number)).segments
            if (s.start, s.end) == (0, 2)
        ]
        runs.append(PricedRun(fused, (8, 8, 8), (8, 8, 8)))
    widths = np.arange(OPERATIONS)
    sites, steps = [], []
    for place in range(BLOCKS):
        loss = 1e6 * rng.uniform(0.2, 2) * np.exp(-widths / rng.uniform(20, 90))
        loss = (loss * rng.lognormal(0, 0.3, OPERATIONS)).astype(int)
        sites.append(
            Site(
                names=(f"s{place}",),
                changes=tuple(Bits(weight_bits=8) for _ in runs),
                costs=tuple(int(x) for x in loss),
                first=place,
                last=place,
            )
        )
        variants = tuple(Variant((n,), run) for n, run in enumerate(runs))
        steps.append(ChainStep(place, place, (place,), variants))
    network = inverted(8)
    options = tuple(
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    )
    frame = Frame(
        network=network,
        positions=BLOCKS,
        sites=tuple(sites),
        steps=tuple(steps),
        blocks={},
    )
    board = load_board("zu3eg")
    made = Problem(network=network, options=options, board=board, space=SPACE)
    return made.with_frame(frame)


def on_one_engine(made: Problem) -> tuple[Net, RunPeriods]:
    """Return the ways to run all operations, and their prices on the one engine."""
    tables = field_of(made).tables(False)
    zero = np.zeros(1, dtype=np.int64)
    columns = {
        role: np.array([grid.starts[1] - 1]) for role, grid in tables.grids.items()
    }
    choice = Choice(
        pixels=zero, lanes=dict.fromkeys(tables.grids, zero), columns=columns
    )
    graph = made.graph
    net = make_net(graph, np.ones(len(graph.arcs), dtype=np.bool_))
    return net, periods_of(tables, choice, net.runs)


def solved(net: Net, periods: RunPeriods, budget: int) -> tuple[int, int]:
    """Return cost and cycles of the best choice within a budget, exactly."""
    guess = np.array([guessed_rate(net, periods, False)])
    rate = guess
    for _ in range(3):
        rates = rate[:, None] * np.geomspace(0.2, 5, 9)[:, None]
        swept = sweep(net, periods, double_buffered=False, rate=rates)
        bound = (np.asarray(swept.total) - budget) / rates
        rate = rates[int(bound.argmax())]
    (outlook,) = outlooks(
        net,
        periods,
        double_buffered=False,
        goal=Goal.COST,
        budget=budget,
        spend=1 << 40,
        rates=rate,
    )
    assert outlook is not None
    way = best_way(
        net,
        periods,
        outlook,
        double_buffered=False,
        goal=Goal.COST,
        budget=budget,
        spend=1 << 40,
    )
    assert way is not None
    return way.cost, way.cycles


def reference(made: Problem, cycles: np.ndarray, budget: int) -> float:
    """Return the least cost by a mixed-integer program of its own."""
    cost = np.array([site.costs for site in made.frame.sites]).ravel()
    one = kron(eye(BLOCKS), np.ones((1, OPERATIONS)))
    rows = vstack([csr_matrix(np.tile(cycles, BLOCKS)), one])
    low = np.concatenate([[0], np.ones(BLOCKS)])
    high = np.concatenate([[budget], np.ones(BLOCKS)])
    found = milp(
        cost,
        constraints=LinearConstraint(rows, low, high),
        integrality=np.ones(cost.size),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    return float(found.fun)


def main() -> None:
    made = problem()
    started = time.process_time()
    net, periods = on_one_engine(made)
    print(f"graph and prices: {time.process_time() - started:.2f} s")
    cycles = np.array(
        [
            int((np.max(periods[arc.run].alone) + periods[arc.run].serial).item())
            for arc in made.graph.arcs
            if arc.start == 0
        ]
    )
    order = [arc.settled[0][1] for arc in made.graph.arcs if arc.start == 0]
    by_option = np.zeros_like(cycles)
    by_option[order] = cycles
    low, high = BLOCKS * int(cycles.min()), BLOCKS * int(cycles.max())
    print(f"{'budget':>9} {'cost':>10} {'HiGHS':>10} {'s':>6} {'HiGHS s':>8}")
    for share in (0.1, 0.2, 0.3, 0.5, 0.7):
        budget = int(low + share * (high - low))
        started = time.process_time()
        cost, _ = solved(net, periods, budget)
        took = time.process_time() - started
        started = time.process_time()
        exact = reference(made, by_option, budget)
        other = time.process_time() - started
        print(f"{budget:>9} {cost:>10} {exact:>10.0f} {took:>6.2f} {other:>8.2f}")


if __name__ == "__main__":
    main()
