"""A small result that the tests of the reports share."""

from dataclasses import replace

from hao.accuracy.drops import Basis, Evidence
from hao.accuracy.terms import Recipe
from hao.answer.candidates import Accuracy, Stance
from hao.answer.front import FrontPoint
from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.engine.design import Design
from hao.hw.board_file import load_board
from hao.ir.change import scheme_of
from hao.ir.layer import (
    ActivationKind,
    Add,
    GlobalAveragePool,
    Input,
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.partition import Role, Segment, partition
from hao.ir.tensor import QType, Rounding
from hao.program.solver import SolverName, Status
from hao.report.hardware import InvocationCycles, Quantization, SimulationResult
from hao.report.result import Proof, SearchResult
from tests.cost.samples import build_engine, conv, depthwise, linear, shape


def small_network() -> Network:
    image = Input(name="image", ofm=shape(3, 16, 16))
    stem = replace(
        conv(image.ofm, 8, stride=2, name="stem"), activation=ActivationKind.RELU6
    )
    quant = Quantize(
        name="q",
        input="stem",
        ifm=stem.ofm,
        ofm=stem.ofm,
        quant=QType(bits=8, signed=False, rounding=Rounding.HALF_UP),
    )
    expand = conv(stem.ofm, 16, 1, name="expand", source="q")
    middle = depthwise(expand.ofm, name="middle", source="expand")
    reduce = replace(
        conv(middle.ofm, 8, 1, name="reduce", source="middle"),
        weight=QType(bits=4, signed=True, narrow=True),
    )
    add = Add(name="add", inputs=("reduce", "q"), ofm=reduce.ofm)
    pool = Pool(
        name="pool",
        input="add",
        ifm=add.ofm,
        ofm=shape(8, 4, 4),
        kernel=2,
        stride=2,
        kind=PoolKind.MAX,
    )
    last = conv(pool.ofm, 12, 1, name="last", source="pool")
    average = GlobalAveragePool(
        name="average", input="last", ifm=last.ofm, ofm=shape(12, 1, 1)
    )
    head = linear(average.ofm, 10, name="head", source="average")
    layers = (image, stem, quant, expand, middle, reduce, add, pool, last, average)
    return Network(name="small", layers=(*layers, head))


def longest_segments(network: Network) -> tuple[Segment, ...]:
    """Return the partition that fuses most, from the front."""
    parts = partition(network)
    start, chosen = 0, list[Segment]()
    while start < len(parts.positions):
        chosen.append(
            max((s for s in parts.segments if s.start == start), key=lambda s: s.end)
        )
        start = chosen[-1].end + 1
    return tuple(chosen)


def small_design(board: str = "zu3eg") -> Design:
    network = small_network()
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes={Role.DENSE: (3, 8), Role.DEPTHWISE: (8, 9), Role.POINTWISE: (8, 4)},
        double_buffered=True,
        spare_folds=2,
        px=2,
    )
    assert engine.dense is not None
    assert engine.depthwise is not None
    engine = replace(
        engine,
        dense=replace(engine.dense, dsp_pairs=2),
        depthwise=replace(engine.depthwise, dsp_lanes=3),
    )
    bits = {"stem": 8, "expand": 4, "middle": 6, "reduce": 4, "last": 4, "head": 8}
    return Design(
        network=network,
        scheme=scheme_of(bits),
        engine=engine,
        segments=segments,
        board=load_board(board),
    )


BASIS = Basis(
    recipe=Recipe.PTQ,
    weight_bits=4,
    act_bits=8,
    own=0,
    related=5,
    networks=3,
    sources=1,
)


def point(
    fps: float,
    top1: float | None,
    network: str = "small@16",
    *,
    low: float = 1.5,
    high: float = 0.4,
) -> FrontPoint:
    return FrontPoint(
        network=network,
        fps=fps,
        latency_ms=1000 / fps,
        accuracy=None
        if top1 is None
        else Accuracy(mean=top1, low=top1 - low, high=top1 + high, ranked=top1 - 0.25),
        cost_points=0.25,
        mean_bits=5.5,
        status=Status.OPTIMAL,
        power_mw=5_000,
        basis=BASIS,
    )


def small_result(*, front: bool = True, board: str = "zu3eg") -> SearchResult:
    design = small_design(board)
    cost = evaluate(design)
    accuracy = Accuracy(mean=70.25, low=68.5, high=70.75, ranked=70.0)
    points = (
        replace(point(cost.fps, 70.25), accuracy=accuracy),
        point(2 * cost.fps, 66.0, "tiny@16"),
    )
    return SearchResult(
        design=design,
        cost=cost,
        image_size=16,
        float_top1=71.5,
        float_source="somebody: a table",
        accuracy=accuracy,
        evidence=Evidence.FAMILY,
        out_of_range=True,
        basis=BASIS,
        stance=Stance.CAUTIOUS,
        proof=Proof(
            status=Status.LIMIT,
            gap=0.0125,
            solver=SolverName.HIGHS,
            variables=310,
            constraints=150,
            nodes=17,
            priced=1234,
            candidates=9,
            solved=3,
        ),
        objective=Objective.ACCURACY,
        fps_asked=50.0,
        front=points if front else (),
    )


QUANTIZATION = Quantization(
    network="small",
    data="digits",
    method="qat",
    frames=539,
    float_top1=97.96,
    quantized_top1=97.4,
    integer_top1=97.22,
    compared=32_457_502,
    differing=3,
)
SIMULATION = SimulationResult(
    build="native",
    images=7,
    batch=1,
    mismatches=0,
    wrong_images=0,
    wrong_steps=None,
    cycles_model=1234,
    cycles_replayed=1300,
    seconds=0.5,
    invocations=(InvocationCycles(name="stem", tiles=1, model=600, replayed=650),),
    fifos=(),
    float_top1=97.5,
    quantized_top1=96.5,
    simulated_top1=96.5,
    integer_top1=96.5,
    quantization=QUANTIZATION,
)
