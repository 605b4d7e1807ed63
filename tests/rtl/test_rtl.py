"""The emitted engine against RTL with data of the same processes (docs/engine.md).

Three descriptions of one machine: the interpreter says which numbers come
out, the replay of the emitted C++ how many cycles they take, and the RTL, whose
processes stall and send by their own counters, must agree with both.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hao.cost.evaluate import evaluate
from hao.emission.steps import Table, make_table
from hao.emission.weights import pruned_network
from hao.engine.design import Design
from hao.hw.board_file import load_board
from hao.ir.change import Bits
from hao.ir.layer import Add, GlobalAveragePool, Input
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.ir.passes import run_in_passes
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.zoo import build_network
from tests.cost.samples import build_engine, conv, depthwise, linear, shape
from tests.emission.designs import (
    SEEDS,
    in_parts,
    pruned_design,
    sample,
    waiting_design,
)
from tests.emission.random_designs import FIRST_PRUNED, Sample
from tests.report.samples import longest_segments
from tests.rtl.model import SYSTEM
from tests.rtl.witness import Witness, witness


def designed(
    network: Network,
    lanes: dict[Role, tuple[int, int]],
    *,
    bits: tuple[int, ...],
    px: int,
    double_buffered: bool,
    spare_folds: int,
    twice: tuple[str, ...] = (),
) -> Sample:
    """Return a design of a network; layers `twice` run in two passes."""
    network = run_in_passes(network, dict.fromkeys(twice, 2))
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes=lanes,
        double_buffered=double_buffered,
        spare_folds=spare_folds,
        px=px,
    )
    layers = [layer.name for layer in network.compute_layers]
    scheme = {name: bits[i % len(bits)] for i, name in enumerate(layers)}
    design = Design(
        network=network,
        scheme={
            name: Bits(weight_bits=wide, passes=2 if name in twice else 1)
            for name, wide in scheme.items()
        },
        engine=engine,
        segments=segments,
        board=load_board("zu3eg"),
    )
    net = seeded_integers(network, scheme, act_bits=8, seed=0)
    frames = seeded_frames(net, 1, 1)
    return Sample(seed=0, kind=network.name, design=design, net=net, frames=frames)


def rows() -> Sample:
    """Return a design whose arrays run long: odd maps, tiles, a residual in tiles."""
    image = Input(name="image", ofm=shape(5, 23, 17))
    first = conv(image.ofm, 21, name="first")
    second = conv(first.ofm, 34, stride=2, name="second", source="first")
    middle = depthwise(second.ofm, name="middle", source="second")
    third = conv(middle.ofm, 34, name="third", source="middle")
    add = Add(name="add", inputs=("third", "second"), ofm=third.ofm)
    point = conv(add.ofm, 9, 1, name="point", source="add")
    down = depthwise(point.ofm, 5, stride=2, name="down", source="point")
    last = conv(down.ofm, 11, 1, name="last", source="down")
    average = GlobalAveragePool(
        name="average", input="last", ifm=last.ofm, ofm=shape(11, 1, 1)
    )
    head = linear(average.ofm, 10, name="head", source="average")
    layers = (
        *(image, first, second, middle, third, add, point, down, last, average),
        head,
    )
    return designed(
        Network(name="rows", layers=layers),
        {Role.DENSE: (6, 8), Role.DEPTHWISE: (4, 2), Role.POINTWISE: (4, 6)},
        bits=(8, 5, 3),
        px=3,
        double_buffered=True,
        spare_folds=1,
        twice=("second", "third", "head"),
    )


def digits() -> Sample:
    return designed(
        build_network("digits"),
        {Role.DENSE: (16, 16), Role.DEPTHWISE: (16, 5), Role.POINTWISE: (16, 12)},
        bits=(8,),
        px=2,
        double_buffered=True,
        spare_folds=0,
    )


# The seeds bring what the digits leave out; checked below.
QUICK: dict[str, Callable[[], Sample]] = {
    "digits": digits,
    "seed 1": lambda: sample(1),
    "seed 37": lambda: sample(37),
    "seed 75": lambda: sample(75),
    "seed 129": lambda: sample(129),
}


def mobilenet_v2() -> Sample:
    return designed(
        build_network("mobilenet_v2_100"),
        {Role.DENSE: (16, 16), Role.DEPTHWISE: (16, 3), Role.POINTWISE: (48, 6)},
        bits=(8, 4, 6),
        px=2,
        double_buffered=True,
        spare_folds=800,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder; skip where Verilator 5 is missing, if it may be."""
    missing = verilator_lacks()
    if missing:
        assert "HAO_CI_TOOLS" not in os.environ, missing
        pytest.skip(missing)
    return tmp_path


def verilator_lacks() -> str:
    """Return why the RTL cannot be simulated; empty if it can."""
    if shutil.which("verilator") is None:
        return "verilator is missing"
    said = subprocess.run(
        ["verilator", "--version"], capture_output=True, text=True, timeout=60
    ).stdout
    version = said.split()[1]
    return "" if int(version.split(".")[0]) >= 5 else f"verilator {version} is below 5"


def check(found: Witness) -> None:
    """Check that all maps are exact and that every process ends in the same cycle."""
    made = {s.title: s.wrong_bytes for s in found.steps if s.wrong_bytes is not None}
    assert made == dict.fromkeys(made, 0)
    assert made
    for step in found.steps:
        assert (step.title, step.ends) == (step.title, step.replayed_ends)
        assert (step.title, step.cycles) == (step.title, step.replayed)
    assert {key: found.configuration[key] for key in SYSTEM} == SYSTEM


@pytest.mark.parametrize("name", QUICK)
def test_rtl_equals_interpreter_and_replay(name: str, folder: Path) -> None:
    check(witness(QUICK[name](), folder))


def test_words_that_are_left_out_take_no_cycles(folder: Path) -> None:
    design = pruned_design(50)
    net = seeded_integers(design.network, design.weight_bits, act_bits=8, seed=0)
    net = replace(net, network=pruned_network(net.network, design))
    frames = seeded_frames(net, 1, 1)
    found = witness(
        Sample(seed=0, kind="pruned", design=design, net=net, frames=frames), folder
    )
    check(found)
    # 12 rows of 6 pairs of pixels; output groups; words of a group, of which half stay.
    first, second = (12 * 6) * 6 * (9 * 4), (12 * 6) * 16 * 12
    assert found.steps[1].cycles <= 0.55 * first
    assert found.steps[2].cycles <= 0.55 * second


def test_weights_wait_for_an_array_that_stands(folder: Path) -> None:
    design = waiting_design()
    net = seeded_integers(design.network, design.weight_bits, act_bits=8, seed=0)
    frames = seeded_frames(net, 1, 1)
    found = witness(
        Sample(seed=0, kind="waiting", design=design, net=net, frames=frames), folder
    )
    check(found)
    # Counted by processes that know of no price: the run and the load add up.
    first, second = evaluate(design).invocations
    alone, load = max(first.path_cycles.values()), second.load_cycles
    assert min(alone, load) > 2_500
    cycles = found.steps[1].cycles
    assert cycles > 0.9 * (alone + load)
    assert abs(first.period_cycles - cycles) <= 0.03 * cycles


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [*SEEDS, *range(FIRST_PRUNED, FIRST_PRUNED + 12)])
def test_rtl_of_random_designs(seed: int, folder: Path) -> None:
    check(witness(sample(seed), folder))


def in_two_parts() -> Sample:
    """Return a linear layer whose sums go on from one step to the next."""
    return in_parts(Role.POINTWISE, (16, 16), 900, bits=(3, 8))


def test_rtl_of_a_layer_in_two_parts(folder: Path) -> None:
    check(witness(in_two_parts(), folder))


@pytest.mark.thorough
def test_rtl_of_a_row_of_layers_of_all_bits(folder: Path) -> None:
    check(witness(rows(), folder))


@pytest.mark.thorough
def test_rtl_of_mobilenet_v2(folder: Path) -> None:
    check(witness(mobilenet_v2(), folder, "-O2"))


def features(sample: Sample, table: Table) -> set[str]:
    """Return what of the engine a design uses."""
    engine = sample.design.engine
    found = {
        "two buffers" if engine.double_buffered else "one buffer",
        f"ports of {sample.design.board.port_bytes}",
        "multipliers" if sample.kind.endswith("multipliers") else "shifts",
    }
    stages = [engine.stage(role) for role in Role]
    if any(stage is not None and stage.turns > 1 for stage in stages):
        found.add("codes in turn")
    for run in table.runs:
        if run is None:
            continue
        found.add("+".join(stage.role.value for stage in run.stages) or "through")
        found |= {"tiles"} if run.tiles > 1 else set()
        found |= {"residual"} if run.add else set()
        found |= {"residual in tiles"} if run.add and run.tiles > 1 else set()
        found |= {"mean"} if run.pool else set()
    for step in table.steps:
        window, array = step.dense_window, step.depthwise_array
        if step.dense_array.entries:
            found.add(f"pruned, stride {window.stride}, kernel {window.kernel}")
        if step.pointwise_array.entries:
            found.add("pruned, pointwise")
        if window.kernel > 1:
            found.add(f"dense stride {window.stride}")
            found.add("packed taps" if window.taps > 1 else "single taps")
        if array.passes:
            found.add(f"depthwise stride {array.stride}")
            if array.pools:
                found.add("average pool" if array.averages else "maximum pool")
    return found


def test_quick_designs_cover_what_the_engine_can_do() -> None:
    found: set[str] = set()
    for make in QUICK.values():
        made = make()
        found |= features(made, make_table(made.design, made.net))
    assert found >= {
        *("two buffers", "one buffer", "ports of 8", "ports of 16"),
        *("multipliers", "shifts", "tiles", "residual", "residual in tiles", "mean"),
        "codes in turn",
        *("pruned, stride 2, kernel 3", "pruned, pointwise"),
        *("dense stride 1", "dense stride 2", "packed taps", "single taps"),
        *("dense stride 3", "depthwise stride 3"),
        *("depthwise stride 1", "depthwise stride 2", "average pool", "maximum pool"),
        *("through", "dense", "depthwise", "pointwise", "dense+depthwise"),
        *("dense+pointwise", "depthwise+pointwise", "dense+depthwise+pointwise"),
    }
