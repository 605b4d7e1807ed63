"""Designs that the tests of hao.emission share: a small one by hand, many at random."""

from dataclasses import replace
from functools import cache

from hao.engine.design import Design
from hao.engine.stages import DenseStage
from hao.hw.board_file import load_board
from hao.ir.change import Bits, scheme_of
from hao.ir.layer import Add, GlobalAveragePool, Input
from hao.ir.network import Network
from hao.ir.partition import Role, partition
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.ir.sparsity import with_densities
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


def pruned_design(density: int) -> Design:
    """Return a 3x3 and a 1x1 convolution in runs of their own, pruned."""
    image = Input(name="image", ofm=shape(32, 12, 12))
    first = conv(image.ofm, 48, name="first")
    second = conv(first.ofm, 64, 1, name="second", source="first")
    network = with_densities(
        Network(name="pruned", layers=(image, first, second)),
        {"first": density, "second": density},
    )
    roles = [((Role.DENSE, "first"),), ((Role.POINTWISE, "second"),)]
    segments = [
        s
        for s in partition(network).segments
        if tuple((role, x.name) for role, x in s.invocation.stages) in roles
    ]
    engine = build_engine(
        tuple(segments),
        lanes={Role.DENSE: (8, 8), Role.POINTWISE: (4, 4)},
        double_buffered=True,
        spare_folds=600,
        px=2,
    )
    change = Bits(weight_bits=8, density=density)
    return Design(
        network=network,
        scheme={"first": change, "second": change},
        engine=engine,
        segments=tuple(segments),
        board=load_board("zu3eg"),
    )


def waiting_design() -> Design:
    """Return a run whose pointwise array stands while many weights wait for it."""
    image = Input(name="image", ofm=shape(16, 8, 8))
    wide = conv(image.ofm, 12, name="wide")
    middle = depthwise(wide.ofm, name="middle", source="wide")
    narrow = conv(middle.ofm, 12, 1, name="narrow", source="middle")
    head = linear(narrow.ofm, 64, name="head", source="narrow")
    network = Network(name="waiting", layers=(image, wide, middle, narrow, head))
    names = ["wide", "middle", "narrow"], ["head"]
    segments = tuple(
        s
        for s in partition(network).segments
        if [x.name for _, x in s.invocation.stages] in names
        and s.invocation.stages[-1][0] is Role.POINTWISE
    )
    lanes = {Role.DENSE: (4, 2), Role.DEPTHWISE: (2, 3), Role.POINTWISE: (16, 8)}
    engine = build_engine(
        segments, lanes=lanes, double_buffered=True, spare_folds=800, px=2
    )
    return Design(
        network=network,
        scheme=scheme_of(dict.fromkeys((*names[0], *names[1]), 8)),
        engine=engine,
        segments=segments,
        board=load_board("kv260"),
    )


@cache
def in_parts(
    role: Role,
    lanes: tuple[int, int],
    words: int,
    *,
    double: bool = True,
    bits: tuple[int, int] = (8, 8),
) -> Sample:
    """Return a linear layer of 4840 inputs that runs in parts of them, and another.

    Args:
        role: The stage that runs both.
        lanes: Its `simd` and `pe`, a multiple of the codes of a beat.
        words: Of its weight buffer, both halves together.
        double: Weights load while another run computes.
        bits: Of weights and activations.
    """
    image = Input(name="image", ofm=shape(40, 11, 11))
    wide = linear(image.ofm, 72, name="wide")
    head = linear(wide.ofm, 10, name="head", source="wide")
    network = Network(name="parts", layers=(image, wide, head))
    segments = tuple(
        next(
            segment
            for segment in partition(network).segments
            if [r for r, _ in segment.invocation.stages] == [role]
            and segment.start == start
        )
        for start in (0, 1)
    )
    engine = build_engine(
        segments,
        lanes={role: lanes},
        double_buffered=double,
        spare_folds=0,
        px=2,
        act_bits=bits[1],
    )
    stage = engine.stage(role)
    assert isinstance(stage, DenseStage)
    deep = 2 * stage.feature_words  # that of another board
    cut = replace(stage, weight_words=words, feature_words=deep)
    dense = role is Role.DENSE
    engine = replace(
        engine,
        dense=cut if dense else None,
        pointwise=None if dense else cut,
    )
    design = Design(
        network=network,
        scheme=scheme_of({"wide": bits[0], "head": bits[0]}),
        engine=engine,
        segments=segments,
        board=load_board("zu3eg"),
    )
    net = seeded_integers(network, design.weight_bits, act_bits=bits[1], seed=0)
    return Sample(
        seed=0,
        kind="parts",
        design=design,
        net=net,
        frames=seeded_frames(net, 2, 0),
    )
