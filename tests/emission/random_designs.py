"""Random networks on random engines, the same for the same seed.

`random_sample(seed)` covers what the engine may meet: every layer kind, fused or not,
on lanes that divide nothing, with buffers that hold a layer or force tiles, and numbers
that are calibrated (`hao.ir.seeded`) or stand at the ends of their types, so that
accumulators reach what is proven of them.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hao.cost.catalogue import Needs, build_stages, pool_words, word_bits
from hao.cost.columns import Columns, DenseColumns, DepthwiseColumns, Setting
from hao.cost.memory import beat_channels
from hao.cost.turns import code_turns
from hao.cost.widths import MAX_WORD_BITS
from hao.cost.words import dense_folds
from hao.emission.stage_sizes import dense_acc_bits, depthwise_acc_bits
from hao.emission.weights import pruned_network
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, Engine, lanes_match
from hao.errors import UnsupportedError
from hao.hw.board_file import load_board
from hao.intmath import ceil_div, ceil_log2
from hao.ir.averages import mean_pixels
from hao.ir.change import Bits
from hao.ir.integer import (
    BIAS_BITS,
    MAX_ALIGN_SHIFT,
    MAX_MEAN_SHIFT,
    MAX_MULTIPLIER_SHIFT,
    MAX_SHIFT,
    MEAN_BITS,
    MULTIPLIER_BITS,
    WIDE_BIAS_BITS,
    WIDE_MEAN_BITS,
    IntegerNetwork,
    MapType,
    Requantization,
    mean_multiplier,
    sum_range,
)
from hao.ir.layer import (
    ActivationKind,
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role, Segment, partition
from hao.ir.passes import (
    DIGIT_BITS,
    MOST_CODE,
    digit_type,
    factors,
    frame_in_planes,
    frame_planes,
    in_passes,
    run_in_passes,
    weight_passes,
)
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.ir.sparsity import density_of, list_holds, with_densities
from hao.ir.tensor import QType, Shape

FIRST_PRUNED = 40  # those before keep all words
DENSITIES = (1, 10, 25, 50, 50, 60, 75, 90)
BOARDS = ("zu3eg", "pynq-z2", "kv260", "zc706")
LARGEST_MAP = 17
MOST_CHANNELS = 70
LAYER_MACS = 150_000
ENGINE_PRODUCTS = 1_000_000  # of all multipliers in a frame, used or not

KINDS = ("seeded", "seeded", "ends", "multipliers", "end multipliers")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A design, its integers and frames; made from `seed` alone."""

    seed: int
    kind: str
    design: Design
    net: IntegerNetwork
    frames: Ints

    def __str__(self) -> str:
        """Return what is needed to find the sample again, and what it is."""
        engine = self.design.engine
        runs = [
            ", ".join(f"{role.value} {_brief(x)}" for role, x in s.invocation.stages)
            for s in self.design.segments
        ]
        return (
            f"random_sample({self.seed}): {self.kind}, {self.design.board.name} with "
            f"ports of {self.design.board.port_bytes} bytes, {engine}\n  runs: "
            + "\n        ".join(run or "add or pool alone" for run in runs)
        )


def _brief(layer: DenseLayer | DepthwiseLayer) -> str:
    ifm, ofm = layer.ifm, layer.ofm
    text = f"{layer.name} {ifm.channels}x{ifm.height}x{ifm.width}"
    if not isinstance(layer, Linear):
        pad = layer.padding
        text += f" K{layer.kernel} S{layer.stride}"
        text += f" P{pad.top},{pad.left},{pad.bottom},{pad.right}"
    return f"{text} to {ofm.channels}x{ofm.height}x{ofm.width}"


def random_sample(seed: int, bits: tuple[int, int] | None = None) -> Sample:
    """Return the sample of a seed.

    Args:
        seed: Says all of it.
        bits: Of all weights and of activations, instead of random ones.
    """
    rng = random.Random(seed)
    while True:
        network = _some_in_passes(random_network(rng, f"fuzz{seed}"))
        if seed >= FIRST_PRUNED:
            network = _some_pruned(network)
        try:
            parts = partition(network)
        except UnsupportedError:  # two sums in a row, for example
            continue
        design = _random_design(rng, network, parts.segments, bits)
        if design is None:
            continue
        kind = rng.choice(KINDS)
        wide = kind.endswith("multipliers") and seed % 3 == 0
        if kind.endswith("multipliers"):
            design = _with_turns(design, shared=seed % 4 != 0, wide=wide)
        net = seeded_integers(
            network, design.weight_bits, act_bits=design.engine.act_bits, seed=seed
        )
        if kind in ("ends", "end multipliers"):
            net = _Ends(rng, design, net).make(
                multiplies=kind == "end multipliers", rounds=seed % 2 == 1
            )
        elif kind == "multipliers":
            net = _with_multipliers(rng, net)
        if wide:
            net = _widened(net, seed)
        net = replace(net, network=pruned_network(net.network, design))
        return Sample(
            seed=seed, kind=kind, design=design, net=net, frames=_frames(net, seed)
        )


def random_network(rng: random.Random, name: str) -> Network:
    """Return a random network of up to six blocks; some cannot be cut into runs."""
    return _Networks(rng).make(name)


def _some_in_passes(network: Network) -> Network:
    """Return a network, or one in three times the same with layers in two passes."""
    rng = random.Random(f"{network.name} {network.layers}")
    dense = [x.name for x in network.compute_layers if not isinstance(x, Depthwise)]
    if rng.random() < 1 / 5 and _frame_reader(network) is not None:
        network = frame_in_planes(network, 2)
    if rng.random() < 2 / 3:
        return network
    return run_in_passes(network, {name: 2 for name in dense if rng.random() < 0.5})


def _some_pruned(network: Network) -> Network:
    """Return a network, or every second time the same with layers that are pruned."""
    rng = random.Random(f"{network.name} {network.layers} pruned")
    if rng.random() < 1 / 2:
        return network
    dense = [
        x.name
        for x in network.compute_layers
        if isinstance(x, Conv)
        or (isinstance(x, Linear) and list_holds(x.ifm.elements, x))
    ]
    kept = {name: rng.choice(DENSITIES) for name in dense if rng.random() < 0.7}
    return with_densities(network, kept)


def _frame_reader(network: Network) -> Conv | None:
    """Return the convolution that alone reads the frame, if one does."""
    names = network.consumers()[network.input.name]
    (first, *others) = [x for x in network.layers if x.name in names]
    return first if isinstance(first, Conv) and not others else None


class _Networks:
    """Grows a network layer by layer; `at` is where the next one is attached."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def make(self, name: str) -> Network:
        """Return a network of up to six blocks."""
        rng = self.rng
        frame = Shape(
            channels=self._channels(),
            height=rng.randint(1, LARGEST_MAP),
            width=rng.randint(1, LARGEST_MAP),
        )
        self.layers: list[Layer] = [Input(name="image", ofm=frame)]
        for _ in range(rng.randint(1, 6)):
            self._block()
        if rng.random() < 0.35 or len(self.layers) == 1:
            self._global_pool()
        for _ in range(rng.choice((0, 0, 1, 2))):
            self._linear()
        return Network(name=name, layers=tuple(self.layers))

    @property
    def _at(self) -> Layer:
        return self.layers[-1]

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.layers)}"

    def _channels(self) -> int:
        few = self.rng.random() < 0.4
        return self.rng.randint(1, 6 if few else MOST_CHANNELS)

    def _activation(self) -> ActivationKind:
        return self.rng.choice(list(ActivationKind))

    def _block(self) -> None:
        blocks: tuple[tuple[float, Callable[[], None]], ...] = (
            (4, self._wide),
            (4, self._depthwise),
            (4, self._narrow),
            (2, self._pool),
            (3, self._inverted),
            (3, self._residual),
            (0.3, self._global_pool),
            (0.3, self._pooled_beside),
            (0.3, self._linear),
        )
        weights = [weight for weight, _ in blocks]
        self.rng.choices([block for _, block in blocks], weights)[0]()

    def _wide(self) -> None:
        self._conv(self._at, self.rng.choice((3, 3, 5, 7)))

    def _narrow(self) -> None:
        self._conv(self._at, 1)

    def _padding(self, kernel: int) -> Padding:
        rng = self.rng
        style = rng.random()
        if style < 0.3:
            return Padding()
        if style < 0.6:
            return Padding.same(kernel)
        top, left, bottom, right = (rng.randint(0, kernel - 1) for _ in range(4))
        return Padding(top=top, left=left, bottom=bottom, right=right)

    def _window(self, shape: Shape, kernel: int) -> tuple[Padding, int]:
        """Return a padding that lets the window fit, and a stride."""
        stride = self.rng.choice((1, 1, 2))
        if stride == 2 and (shape.height + shape.channels) % 4 == 0:
            stride = 3  # no draw of its own, so that seeds keep what they bring
        for _ in range(4):
            pad = self._padding(kernel)
            height = shape.height + pad.top + pad.bottom
            width = shape.width + pad.left + pad.right
            if kernel <= min(height, width) and max(height, width) <= 24:
                return pad, stride
        return Padding.same(kernel), stride

    def _conv(
        self,
        source: Layer,
        kernel: int,
        *,
        channels: int | None = None,
        padding: Padding | None = None,
        stride: int | None = None,
    ) -> None:
        ifm = source.ofm
        pad, step = self._window(ifm, kernel)
        if kernel == 1 and self.rng.random() < 0.8:
            step = 1
        pad = pad if padding is None else padding
        step = step if stride is None else stride
        ofm = window_shape(ifm, channels=1, kernel=kernel, stride=step, padding=pad)
        most = max(1, LAYER_MACS // (ofm.pixels * ifm.channels * kernel**2))
        wanted = min(self._channels(), most) if channels is None else channels
        self.layers.append(
            Conv(
                name=self._name("conv"),
                input=source.name,
                ifm=ifm,
                ofm=replace(ofm, channels=wanted),
                kernel=kernel,
                stride=step,
                padding=pad,
                activation=self._activation(),
                bias=self.rng.random() < 0.8,
            )
        )

    def _depthwise(self, *, same: bool = False) -> None:
        source, kernel = self._at, self.rng.choice((3, 3, 5, 7))
        pad, stride = self._window(source.ofm, kernel)
        if same:
            pad, stride = Padding.same(kernel), 1
        self.layers.append(
            Depthwise(
                name=self._name("depthwise"),
                input=source.name,
                ifm=source.ofm,
                ofm=window_shape(
                    source.ofm,
                    channels=source.ofm.channels,
                    kernel=kernel,
                    stride=stride,
                    padding=pad,
                ),
                kernel=kernel,
                stride=stride,
                padding=pad,
                activation=self._activation(),
            )
        )

    def _pool(self, *, same: bool = False) -> None:
        source, kernel = self._at, 3 if same else self.rng.choice((2, 3))
        pad, stride = self._window(source.ofm, kernel)
        if same:
            pad, stride = Padding.same(kernel), 1
        kind = self.rng.choice(list(PoolKind))
        # No number of the generator's own, so that other samples stay as they were.
        leaves = kind is PoolKind.AVERAGE and (source.ofm.pixels + kernel) % 2 == 0
        leaves = leaves and pad.bottom < stride and pad.right < stride
        self.layers.append(
            Pool(
                name=self._name("pool"),
                input=source.name,
                ifm=source.ofm,
                ofm=window_shape(
                    source.ofm,
                    channels=source.ofm.channels,
                    kernel=kernel,
                    stride=stride,
                    padding=pad,
                ),
                kernel=kernel,
                stride=stride,
                padding=pad,
                kind=kind,
                uncounted=pad if leaves else Padding(),
            )
        )

    def _inverted(self) -> None:
        """Append a chain that may be fused whole."""
        self._conv(self._at, self.rng.choice((1, 3)))
        (self._depthwise if self.rng.random() < 0.7 else self._pool)()
        self._conv(self._at, 1, stride=1, padding=Padding())

    def _residual(self) -> None:
        """Append a body and the sum of its result and its input, or a projection."""
        rng, entry = self.rng, self._at
        if rng.random() < 0.3:
            stride, kernel = rng.choice((1, 2)), rng.choice((1, 3))
            pad = Padding.same(3)
            self._conv(entry, 3, stride=stride, padding=pad)
            body = self._at
            self._conv(
                entry,
                kernel,
                channels=body.ofm.channels,
                padding=Padding.same(kernel),
                stride=stride,
            )
            self._add(body, self._at)
            return
        if rng.random() < 0.5:
            self._conv(entry, 1, stride=1, padding=Padding())
        if rng.random() < 0.5:
            self._depthwise(same=True)
        if self._at is entry or self._at.ofm != entry.ofm or rng.random() < 0.5:
            kernel = rng.choice((1, 1, 3))
            self._conv(
                self._at,
                kernel,
                channels=entry.ofm.channels,
                padding=Padding.same(kernel),
                stride=1,
            )
        if rng.random() < 0.2:
            self._pool(same=True)
        self._add(self._at, entry)

    def _add(self, first: Layer, second: Layer) -> None:
        names = [first.name, second.name]
        self.rng.shuffle(names)
        self.layers.append(
            Add(
                name=self._name("add"),
                inputs=(names[0], names[1]),
                ofm=first.ofm,
                activation=self._activation(),
            )
        )

    def _global_pool(self) -> None:
        source = self._at
        self.layers.append(
            GlobalAveragePool(
                name=self._name("mean"),
                input=source.name,
                ifm=source.ofm,
                ofm=Shape(channels=source.ofm.channels, height=1, width=1),
            )
        )

    def _pooled_beside(self) -> None:
        """Append a global pool that runs alone, since its input has two readers."""
        source = self._at
        self._global_pool()
        mean = self._at
        self._linear(source, channels=source.ofm.channels)
        self._add(mean, self._at)

    def _linear(
        self, source: Layer | None = None, *, channels: int | None = None
    ) -> None:
        entry = self._at if source is None else source
        most = max(1, LAYER_MACS // entry.ofm.elements)
        wanted = min(self._channels(), most) if channels is None else channels
        self.layers.append(
            Linear(
                name=self._name("linear"),
                input=entry.name,
                ifm=entry.ofm,
                ofm=Shape(channels=wanted, height=1, width=1),
                activation=self._activation(),
            )
        )


def _random_design(
    rng: random.Random,
    network: Network,
    offered: tuple[Segment, ...],
    bits: tuple[int, int] | None,
) -> Design | None:
    """Return a design of random bits, or `None` where no engine is small enough."""
    if bits is None:
        return design_for(rng, network, offered)
    every = {layer.name: bits[0] for layer in network.compute_layers}
    return design_for(rng, network, offered, weight_bits=every, act_bits=bits[1])


def design_for(
    rng: random.Random,
    network: Network,
    offered: tuple[Segment, ...],
    *,
    weight_bits: Mapping[str, int] | None = None,
    act_bits: int | None = None,
) -> Design | None:
    """Return a design, or `None` where no engine forms few enough products.

    Args:
        rng: Drawn from.
        network: What it runs.
        offered: Its segments.
        weight_bits: By layer; random if `None`.
        act_bits: Random if `None`.
    """
    board = load_board(rng.choice(BOARDS))
    if rng.random() < 0.2:
        board = replace(board, port_bytes=rng.choice((8, 16)))
    scheme = {layer.name: rng.randint(2, 8) for layer in network.compute_layers}
    if rng.random() < 0.3:  # a stage of few bits, where a DSP slice holds four products
        scheme = dict.fromkeys(scheme, rng.randint(2, 4))
    scheme = scheme if weight_bits is None else dict(weight_bits)
    in_passes = {
        layer.name: weight_passes(layer)
        for layer in network.compute_layers
        if weight_passes(layer) > 1
    }
    # In two passes from 5 bits on: 2, 3 and 4 become 6, 7 and 8.
    scheme |= {n: scheme[n] + 4 * (scheme[n] <= DIGIT_BITS) for n in in_passes}
    lane_bits = scheme | dict.fromkeys(in_passes, DIGIT_BITS)
    segments = _random_path(rng, offered)
    drawn = rng.choice((2, 3, 4, 4, 5, 6, 7, 8, 8))
    if frame_planes(network) > 1:
        drawn = max(drawn, DIGIT_BITS)
    act_bits = drawn if act_bits is None else act_bits
    for _ in range(20):
        setting = Setting(
            board=board,
            px=rng.choice((1, 1, 2, 2, 3, 4, 5, 6, 7, 8)),
            act_bits=act_bits,
            double_buffered=rng.random() < 0.6,
        )
        lanes = _random_lanes(rng, segments, setting)
        products = sum(
            _products(role, layer, lanes[role], setting)
            for segment in segments
            for role, layer in segment.invocation.stages
        )
        if products <= ENGINE_PRODUCTS and _words_are_taken(segments, lanes, setting):
            break
    else:
        return None
    return Design(
        network=network,
        scheme={
            layer.name: Bits(
                weight_bits=scheme[layer.name],
                passes=in_passes.get(layer.name, 1),
                density=density_of(layer),
            )
            for layer in network.compute_layers
        },
        engine=_random_engine(rng, segments, lanes, lane_bits, setting),
        segments=segments,
        board=board,
    )


def _words_are_taken(
    segments: tuple[Segment, ...], lanes: "Lanes", setting: Setting
) -> bool:
    """Return whether the tools take the words on the streams of a stage."""
    for role, (first, second) in lanes.items():
        layers = [
            layer
            for s in segments
            for used, layer in s.invocation.stages
            if used is role
        ]
        one = np.ones(1, dtype=np.int64)
        columns: Columns = DenseColumns(
            simd=first * one,
            pe=second * one,
            weight_words=one,
            weight_bits=one,
            in_uram=one > 1,
        )
        if role is Role.DEPTHWISE:
            columns = DepthwiseColumns(
                pe=first * one, taps=second * one, weight_bits=one
            )
        if word_bits(columns, Needs(tuple(layers)), setting)[0] > MAX_WORD_BITS:
            return False
    return True


def _random_path(
    rng: random.Random, offered: tuple[Segment, ...]
) -> tuple[Segment, ...]:
    start, chosen = 0, list[Segment]()
    last = max(segment.end for segment in offered)
    fuses = rng.random() < 0.6
    while start <= last:
        here = [segment for segment in offered if segment.start == start]
        if fuses:
            most = max(segment.end for segment in here)
            here = [s for s in here if s.end == most] if rng.random() < 0.8 else here
        chosen.append(rng.choice(here))
        start = chosen[-1].end + 1
    return tuple(chosen)


Lanes = dict[Role, tuple[int, int]]
"""(simd, pe) of dense and pointwise stages, (pe, taps) of the depthwise one."""


def _random_lanes(
    rng: random.Random, segments: tuple[Segment, ...], setting: Setting
) -> Lanes:
    used = {role for s in segments for role, _ in s.invocation.stages}
    # Neighbours of the engine; a run that leaves out the stage between two others
    # regroups channels of any number.
    links = set(pairwise([role for role in Role if role in used]))
    simd, pe, taps = _simd(rng, segments, setting), rng.randint(1, 20), 1
    while True:
        lanes: Lanes = {}
        width = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 8, 12, 16))
        if Role.DENSE in used:
            lanes[Role.DENSE] = (simd, _matching(rng, width))
        if Role.DEPTHWISE in used:
            taps = rng.choice((1, 2, 3, 4, 5, 9, 9, 13, 25, 49))
            lanes[Role.DEPTHWISE] = (width, taps)
        if Role.POINTWISE in used:
            lanes[Role.POINTWISE] = (_matching(rng, width), pe)
        sides = {role: (pair[0], pair[1]) for role, pair in lanes.items()}
        if all(
            lanes_match(
                sides[a][0] if a is Role.DEPTHWISE else sides[a][1], sides[b][0]
            )
            for a, b in links
        ):
            return lanes


def _matching(rng: random.Random, width: int) -> int:
    """Return a multiple or a divisor of `width`."""
    divisors = [n for n in range(1, width + 1) if width % n == 0]
    if rng.random() < 0.4:
        return rng.choice(divisors)
    return width * rng.choice((1, 1, 2, 3))


def _simd(rng: random.Random, segments: tuple[Segment, ...], setting: Setting) -> int:
    """Return a `simd` of the dense stage, often one that packs taps of a layer."""
    channels = [
        layer.ifm.channels
        for segment in segments
        for role, layer in segment.invocation.stages
        if role is Role.DENSE and isinstance(layer, Conv) and layer.kernel > 1
    ]
    few = [count for count in channels if count <= 8]
    if few and rng.random() < 0.6:
        count = rng.choice(few)
        return rng.randint(2 * count, min(10 * count + 1, 60))
    return rng.randint(1, 24)


def _products(
    role: Role,
    layer: DenseLayer | DepthwiseLayer,
    lanes: tuple[int, int],
    setting: Setting,
) -> int:
    """Return the products that a stage forms for a layer, unused ones included."""
    pixels = layer.ofm.height * ceil_div(layer.ofm.width, setting.px) * setting.px
    channels = layer.ofm.channels
    if isinstance(layer, Depthwise | Pool):
        pe, taps = lanes
        folds = ceil_div(channels, pe) * ceil_div(layer.kernel**2, taps)
        return pixels * folds * pe * taps
    simd, pe = lanes
    folds = int(
        dense_folds(layer, simd, act_bits=setting.act_bits, board=setting.board)
    )
    return pixels * folds * ceil_div(channels, pe) * simd * pe


def _random_engine(
    rng: random.Random,
    segments: tuple[Segment, ...],
    lanes: Lanes,
    scheme: dict[str, int],
    setting: Setting,
) -> Engine:
    layers: dict[Role, dict[str, DenseLayer | DepthwiseLayer]] = {}
    for segment in segments:
        for role, layer in segment.invocation.stages:
            layers.setdefault(role, {})[layer.name] = layer
    needs = {role: Needs(tuple(found.values())) for role, found in layers.items()}
    columns: dict[Role, Columns] = {}
    steps: dict[Role, int] = {}
    for role, need in needs.items():
        first, second = lanes[role]
        widths = [scheme[x.name] for x in need.layers if x.name in scheme]
        bits = rng.choice((max(widths, default=2), max(widths, default=2), 8))
        on_dsp = first if role is Role.DEPTHWISE else second // 2
        steps[role] = rng.choice((0, on_dsp, rng.randint(0, on_dsp)))
        if role is Role.DEPTHWISE:
            columns[role] = DepthwiseColumns(
                pe=np.array([first]),
                taps=np.array([second]),
                weight_bits=np.array([bits]),
            )
            continue
        words = _weight_words(rng, segments, role, lanes[role], setting)
        columns[role] = DenseColumns(
            simd=np.array([first]),
            pe=np.array([second]),
            weight_words=np.array([words]),
            weight_bits=np.array([bits]),
            in_uram=np.array([False]),
        )
    dense, depthwise, pointwise = build_stages(columns, steps, needs, setting)
    residual = any(segment.invocation.residual for segment in segments)
    sums = max(
        pool_words(s.invocation, act_bits=setting.act_bits, board=setting.board)
        for s in segments
    )
    return Engine(
        dense=_larger(rng, dense),
        depthwise=depthwise,
        pointwise=_larger(rng, pointwise),
        px=setting.px,
        act_bits=setting.act_bits,
        double_buffered=setting.double_buffered,
        residual=residual,
        pool_words=sums,
    )


def _weight_words(
    rng: random.Random,
    segments: tuple[Segment, ...],
    role: Role,
    lanes: tuple[int, int],
    setting: Setting,
) -> int:
    """Return a depth that holds fused layers, and of the others a tile or all."""
    simd, pe = lanes
    beat = beat_channels(setting.act_bits, setting.board)
    unit = beat // int(np.gcd(beat, pe))
    words, spare = 1, rng.choice((0, 0, 1, 1000))
    for segment in segments:
        for used, layer in segment.invocation.stages:
            if used is not role or isinstance(layer, Depthwise | Pool):
                continue
            folds = int(
                dense_folds(layer, simd, act_bits=setting.act_bits, board=setting.board)
            )
            groups = ceil_div(layer.ofm.channels, pe)
            alone = len(segment.invocation.stages) == 1
            held = min(groups, unit + spare) if alone else groups
            words = max(words, folds * held)
    return words * (2 if setting.double_buffered else 1)


def _larger(rng: random.Random, stage: DenseStage | None) -> DenseStage | None:
    """Return the stage, now and then with buffers deeper than they must be."""
    if stage is None or rng.random() < 0.6:
        return stage
    return replace(
        stage,
        weight_words=stage.weight_words + rng.randint(0, 5),
        feature_words=stage.feature_words + rng.randint(0, 5),
        channel_words=stage.channel_words + rng.randint(0, 3),
    )


def _with_turns(design: Design, *, shared: bool, wide: bool) -> Design:
    """Return the design with multipliers of codes, which lanes may share."""
    engine = design.engine
    for role in Role:
        stage = engine.stage(role)
        if stage is None or (isinstance(stage, DepthwiseStage) and not stage.convolves):
            continue
        turns = code_turns(
            [
                layer if isinstance(layer, Pool) else replace(layer, multiplied=True)
                for segment in design.segments
                for used, layer in segment.invocation.stages
                if used is role
            ],
            pe=np.array([stage.pe]),
            items=np.array([stage.items]),
            act_bits=engine.act_bits,
            board=design.board,
        )
        most = 1 if turns is None or not shared else int(turns[0])
        shares = replace(stage, multiplies=True, turns=most, wide=wide)
        match shares, role:
            case DepthwiseStage(), _:
                engine = replace(engine, depthwise=shares)
            case DenseStage(), Role.DENSE:
                engine = replace(engine, dense=shares)
            case DenseStage(), _:
                engine = replace(engine, pointwise=shares)
    return replace(design, engine=engine)


def _with_multipliers(rng: random.Random, net: IntegerNetwork) -> IntegerNetwork:
    """Return the network in multiplier mode, its scales nearly as before."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    params = dict(net.network.params)
    for layer in net.network.compute_layers:
        shift = net.param(layer.name, "shift")
        extra = numbers.integers(0, MULTIPLIER_BITS, shift.shape)
        scale = numbers.uniform(0.5, 0.99, shift.shape) * 2.0**extra
        sign = numbers.choice([-1, 1], shift.shape, p=[0.3, 0.7])
        multiplier = (sign * np.rint(scale)).astype(np.int64)
        params[f"{layer.name}.multiplier"] = multiplier
        # What a bias in units of the products is, and a part of a unit.
        part = numbers.integers(-(2**12), 2**12, shift.shape)
        bias = net.param(layer.name, "bias") * multiplier + part
        most = 2 ** (WIDE_BIAS_BITS - 1)
        params[f"{layer.name}.bias"] = np.clip(bias, -most, most - 1)
        params[f"{layer.name}.shift"] = shift + extra
    return IntegerNetwork(
        network=replace(net.network, params=MappingProxyType(params)),
        maps=net.maps,
        requantization=Requantization.MULTIPLIER,
    )


def _widened(net: IntegerNetwork, seed: int) -> IntegerNetwork:
    """Return the network with wide multipliers, its scales nearly as before."""
    numbers = np.random.default_rng(seed)
    mode = Requantization.WIDE
    more = mode.multiplier_bits - MULTIPLIER_BITS
    params = dict(net.network.params)
    for layer in net.network.compute_layers:
        multiplier = net.param(layer.name, "multiplier") << more
        multiplier = multiplier + numbers.integers(0, 2**more, multiplier.shape)
        bias, most = net.param(layer.name, "bias") << more, 2 ** (mode.bias_bits - 1)
        bias = np.clip(bias >> mode.cut_bits, -most, most - 1) << mode.cut_bits
        shift = np.maximum(net.param(layer.name, "shift") + more, mode.shifts[0])
        for word, array in (
            *(("multiplier", multiplier), ("bias", bias), ("shift", shift)),
        ):
            params[f"{layer.name}.{word}"] = array
    return IntegerNetwork(
        network=replace(net.network, params=MappingProxyType(params)),
        maps=net.maps,
        requantization=mode,
    )


class _Ends:
    """Puts weights, biases, shifts and types at their ends."""

    def __init__(self, rng: random.Random, design: Design, net: IntegerNetwork) -> None:
        self.rng = rng
        self.numbers = np.random.default_rng(rng.randrange(2**32))
        self.design = design
        self.net = net
        engine = design.engine
        self.acc_bits: dict[str, int] = {}
        stages: dict[Role, DenseStage | DepthwiseStage | None] = {
            Role.DENSE: engine.dense,
            Role.DEPTHWISE: engine.depthwise,
            Role.POINTWISE: engine.pointwise,
        }
        for segment in design.segments:
            for role, layer in segment.invocation.stages:
                stage = stages[role]
                assert stage is not None
                self.acc_bits[layer.name] = (
                    depthwise_acc_bits(stage, engine.act_bits)
                    if isinstance(stage, DepthwiseStage)
                    else dense_acc_bits(stage, engine.act_bits)
                )

    def make(self, *, multiplies: bool, rounds: bool) -> IntegerNetwork:
        """Return the network with other numbers, types and, if asked, roundings."""
        maps: dict[str, MapType] = {}
        params: dict[str, Ints] = {}
        layers: list[Layer] = []
        for layer in self.net.network.layers:
            made: dict[str, Ints] = {}
            kept = layer
            match layer:
                case Conv() | Depthwise() | Linear():
                    quant = in_passes(
                        QType(bits=self.design.weight_bits[layer.name], signed=True),
                        layer,
                    )
                    kept = replace(layer, weight=quant)
                    made = self._compute(kept, quant, maps[layer.input])
                    if multiplies:
                        made |= self._multipliers(layer.ofm.channels)
                    if rounds:
                        made["rounding"] = self._roundings(layer.ofm.channels, 2)
                    maps[layer.name] = self._type()
                case Pool(kind=PoolKind.MAX):
                    maps[layer.name] = maps[layer.input]
                case Pool():
                    made = self._mean(mean_pixels(layer))
                    if rounds:
                        made |= self._wide_mean(mean_pixels(layer))
                        made["rounding"] = self._roundings(1, 4)
                    maps[layer.name] = self._type()
                case GlobalAveragePool():
                    made = self._mean(layer.ifm.pixels)
                    if rounds:
                        made |= self._wide_mean(layer.ifm.pixels)
                        made["rounding"] = self._roundings(1, 4)
                    maps[layer.name] = self._type()
                case Add():
                    left = [self.rng.randint(0, MAX_ALIGN_SHIFT) for _ in range(2)]
                    right = self.rng.choice((0, 1, 4, 8, MAX_SHIFT))
                    made = {"shifts": np.array([*left, right], dtype=np.int64)}
                    if self.rng.random() < 0.3:
                        added = self.rng.randint(-(2**15), 2**15)
                        made["bias"] = np.array([added], dtype=np.int64)
                    if rounds:
                        made["rounding"] = self._roundings(1, 4)
                    maps[layer.name] = self._type()
                case Input() if frame_planes(self.design.network) > 1:
                    maps[layer.name] = self._frame_type()
                case _:
                    maps[layer.name] = self._type()
            layers.append(kept)
            params |= {f"{layer.name}.{key}": value for key, value in made.items()}
        network = replace(
            self.net.network, layers=tuple(layers), params=MappingProxyType(params)
        )
        mode = Requantization.MULTIPLIER if multiplies else Requantization.SHIFT
        return IntegerNetwork(
            network=network, maps=MappingProxyType(maps), requantization=mode
        )

    def _type(self) -> MapType:
        rng = self.rng
        bits = self.design.engine.act_bits
        if rng.random() < 0.2:
            bits = rng.randint(2, bits)
        quant = QType(bits=bits, signed=rng.random() < 0.5)
        low, high = quant.lowest, quant.highest
        if rng.random() < 0.3:
            low, high = rng.randint(low, 0), rng.randint(1, high)
        zero = 0
        if self.rng.random() < 0.3:
            zero = self.rng.randint(quant.lowest, quant.highest)
        return MapType(quant=quant, low=low, high=high, exponent=None, zero=zero)

    def _frame_type(self) -> MapType:
        signed = self.rng.random() < 0.5
        quant = QType(bits=8, signed=signed, most=MOST_CODE if signed else None)
        return MapType(quant=quant, low=quant.lowest, high=quant.highest, exponent=None)

    def _compute(self, layer: Compute, quant: QType, codes: MapType) -> dict[str, Ints]:
        weight = self._weight(layer, quant)
        if isinstance(layer, Conv) and layer.planes > 1:
            codes = digit_type(codes)
        lowest, highest = sum_range(factors(weight, layer), codes)
        end = 2 ** (self.acc_bits[layer.name] - 1)
        most = 2 ** (BIAS_BITS - 1)
        down = np.clip(-end - lowest, -most, 0)
        up = np.clip(end - 1 - highest, 0, most - 1)
        style = self.numbers.integers(0, 4, len(down))
        inner = self.numbers.integers(down, up + 1)
        bias = np.choose(style, [down, up, np.zeros_like(down), inner])
        reach = np.maximum(np.maximum(-lowest, highest) + np.abs(bias), 1)
        fits = np.ceil(np.log2(reach)).astype(np.int64) - self.design.engine.act_bits
        shift = fits + self.numbers.integers(-2, 3, len(fits))
        anything = self.numbers.integers(0, MAX_SHIFT + 1, len(fits))
        shift = np.where(self.numbers.random(len(fits)) < 0.2, anything, shift)
        return {
            "weight": weight,
            "bias": bias.astype(np.int64),
            "shift": np.clip(shift, 0, MAX_SHIFT),
        }

    def _weight(self, layer: Compute, quant: QType) -> Ints:
        shape: tuple[int, ...] = (layer.ofm.channels, layer.ifm.elements)
        if not isinstance(layer, Linear):
            depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
            shape = (layer.ofm.channels, depth, layer.kernel, layer.kernel)
        ends = np.array([quant.lowest, quant.highest], dtype=np.int64)
        either = ends[self.numbers.integers(0, 2, shape)]
        column = (shape[0], *(1,) * (len(shape) - 1))
        one = np.broadcast_to(ends[self.numbers.integers(0, 2, column)], shape)
        mixed = self.numbers.random(column) < 0.3
        return np.where(mixed, either, one)

    def _multipliers(self, channels: int) -> dict[str, Ints]:
        top = 2 ** (MULTIPLIER_BITS - 1)
        ends = np.array([0, 1, -top, top // 2, top - 1], dtype=np.int64)
        shares = (0.05, 0.05, 0.2, 0.2, 0.5)
        multiplier = ends[self.numbers.choice(5, channels, p=shares)]
        most = 2 ** (WIDE_BIAS_BITS - 1)
        far = self.numbers.choice([-most, most - 1], channels)
        near = self.numbers.integers(-(2**30), 2**30, channels)
        bias = np.where(self.numbers.random(channels) < 0.2, far, near)
        any_shift = self.numbers.integers(0, MAX_MULTIPLIER_SHIFT + 1, channels)
        late = self.numbers.integers(20, MAX_MULTIPLIER_SHIFT + 1, channels)
        wild = self.numbers.random(channels) < 0.2
        shift = np.where(wild, any_shift, late)
        return {"multiplier": multiplier, "bias": bias, "shift": shift}

    def _wide_mean(self, pixels: int) -> dict[str, Ints]:
        if self.numbers.random() < 0.5:
            return {}
        shift = WIDE_MEAN_BITS - 1 + ceil_log2(pixels)
        multiplier = min(round(2**shift / pixels), 2**WIDE_MEAN_BITS - 1)
        return {"multiplier": np.array([multiplier]), "shift": np.array([shift])}

    def _roundings(self, count: int, kinds: int) -> Ints:
        return np.asarray(self.numbers.integers(0, kinds, count), dtype=np.int64)

    def _mean(self, pixels: int) -> dict[str, Ints]:
        multiplier, shift = mean_multiplier(pixels)
        if self.rng.random() < 0.3:
            multiplier = self.rng.choice((1, 2**MEAN_BITS - 1))
            shift = self.rng.choice((0, 1, shift, MAX_MEAN_SHIFT))
        made: dict[str, Ints] = {
            "multiplier": np.array([multiplier], dtype=np.int64),
            "shift": np.array([shift], dtype=np.int64),
        }
        if self.rng.random() < 0.3:
            most = pixels * 255
            added = self.rng.randint(-most, most), self.rng.randint(-255, 255)
            made["bias"] = np.array(added, dtype=np.int64)
        return made


def _frames(net: IntegerNetwork, seed: int) -> Ints:
    """Return a frame with structure, one of ends at random, and one at each end."""
    kind = net.maps[net.network.input.name]
    smooth = seeded_frames(net, 1, seed)
    numbers = np.random.default_rng([seed, 2])
    ends = np.array([kind.low, kind.high], dtype=np.int64)
    mixed = ends[numbers.integers(0, 2, smooth.shape)]
    return np.concatenate(
        [mixed, smooth, np.full_like(smooth, kind.low), np.full_like(smooth, kind.high)]
    )
