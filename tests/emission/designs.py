"""Designs that the tests of hao.emission share: a small one by hand, many at random."""

from functools import cache

from hao.engine.design import Design
from hao.hw.board_file import load_board
from hao.ir.change import scheme_of
from hao.ir.layer import Add, GlobalAveragePool, Input
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.ir.seeded import seeded_frames, seeded_integers
from tests.cost.samples import build_engine, conv, depthwise, linear, shape
from tests.emission.random_designs import Sample, random_sample
from tests.report.samples import longest_segments

SEEDS = range(40)


@cache
def sample(seed: int) -> Sample:
    """Return a random sample; kept, since many tests look at the same ones."""
    return random_sample(seed)


def small_network() -> Network:
    image = Input(name="image", ofm=shape(3, 9, 9))
    stem = conv(image.ofm, 12, stride=2, name="stem")
    expand = conv(stem.ofm, 20, 1, name="expand", source="stem")
    middle = depthwise(expand.ofm, name="middle", source="expand")
    reduce = conv(middle.ofm, 12, 1, name="reduce", source="middle")
    add = Add(name="add", inputs=("reduce", "stem"), ofm=reduce.ofm)
    average = GlobalAveragePool(
        name="average", input="add", ifm=add.ofm, ofm=shape(12, 1, 1)
    )
    head = linear(average.ofm, 10, name="head", source="average")
    layers = (image, stem, expand, middle, reduce, add, average, head)
    return Network(name="small", layers=layers)


def small_design() -> Design:
    network = small_network()
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes={Role.DENSE: (8, 4), Role.DEPTHWISE: (4, 3), Role.POINTWISE: (4, 4)},
        double_buffered=True,
        spare_folds=2,
        px=2,
    )
    return Design(
        network=network,
        scheme=scheme_of({"stem": 8, "expand": 4, "middle": 6, "reduce": 3, "head": 8}),
        engine=engine,
        segments=segments,
        board=load_board("zu3eg"),
    )


@cache
def small(seed: int = 0) -> Sample:
    """Return a design with every stage, a residual and a mean; two frames."""
    design = small_design()
    net = seeded_integers(
        design.network, design.weight_bits, act_bits=design.engine.act_bits, seed=seed
    )
    return Sample(
        seed=seed,
        kind="small",
        design=design,
        net=net,
        frames=seeded_frames(net, 2, seed),
    )
