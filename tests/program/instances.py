"""Small random co-design problems: networks, boards and spaces of engines.

Networks mix dense, depthwise, 1x1, pooling and linear layers with residuals; boards are
drawn so that every limit binds now and then; spaces hold a few thousand engines.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hao.hw.board import Board, DspType
from hao.hw.resources import Resources
from hao.ir.change import Bits
from hao.ir.layer import (
    Add,
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
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program.problem import Problem
from hao.program.space import Space
from tests.hw.samples import BOARD as SAMPLE


def board(
    *,
    dsp: int = 64,
    bram_18k: int = 60,
    uram: int = 0,
    lut: int = 40_000,
    ff: int = 80_000,
    lutram: int | None = None,
    clock_khz: int = 200_000,
    ddr_kbytes_per_s: int = 2_000_000,
    port_bytes: int = 8,
    port_max_khz: int = 250_000,
    dsp_type: DspType = DspType.DSP48E2,
) -> Board:
    """Return a board with the given limits and no caps."""
    return replace(
        SAMPLE,
        name="small",
        title="Small board",
        device="XC",
        part="xc",
        clock_khz=clock_khz,
        resources=Resources(dsp=dsp, bram_18k=bram_18k, uram=uram, lut=lut, ff=ff),
        lutram=lut if lutram is None else min(lutram, lut),
        dsp_type=dsp_type,
        ddr_peak_kbytes_per_s=ddr_kbytes_per_s,
        ddr_read_percent=100,
        ddr_write_percent=100,
        port_bytes=port_bytes,
        port_max_khz=port_max_khz,
    )


@dataclass(slots=True)
class Builder:
    """A network under construction."""

    frame: Shape
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layers.append(Input(name="x", ofm=self.frame))

    @property
    def shape(self) -> Shape:
        return self.layers[-1].ofm

    @property
    def last(self) -> str:
        return self.layers[-1].name

    def _name(self) -> str:
        return f"l{len(self.layers)}"

    def conv(self, channels: int, kernel: int, stride: int = 1) -> "Builder":
        padding = Padding.same(kernel)
        ofm = window_shape(
            self.shape, channels=channels, kernel=kernel, stride=stride, padding=padding
        )
        self.layers.append(
            Conv(
                name=self._name(),
                input=self.last,
                ifm=self.shape,
                ofm=ofm,
                kernel=kernel,
                stride=stride,
                padding=padding,
            )
        )
        return self

    def depthwise(self, kernel: int = 3, stride: int = 1) -> "Builder":
        padding = Padding.same(kernel)
        ofm = window_shape(
            self.shape,
            channels=self.shape.channels,
            kernel=kernel,
            stride=stride,
            padding=padding,
        )
        self.layers.append(
            Depthwise(
                name=self._name(),
                input=self.last,
                ifm=self.shape,
                ofm=ofm,
                kernel=kernel,
                stride=stride,
                padding=padding,
            )
        )
        return self

    def pool(self, kernel: int = 2, stride: int = 2) -> "Builder":
        ofm = window_shape(
            self.shape,
            channels=self.shape.channels,
            kernel=kernel,
            stride=stride,
            padding=Padding(),
        )
        self.layers.append(
            Pool(
                name=self._name(),
                input=self.last,
                ifm=self.shape,
                ofm=ofm,
                kernel=kernel,
                stride=stride,
                kind=PoolKind.MAX,
            )
        )
        return self

    def global_pool(self) -> "Builder":
        self.layers.append(
            GlobalAveragePool(
                name=self._name(),
                input=self.last,
                ifm=self.shape,
                ofm=Shape(channels=self.shape.channels, height=1, width=1),
            )
        )
        return self

    def linear(self, channels: int) -> "Builder":
        self.layers.append(
            Linear(
                name=self._name(),
                input=self.last,
                ifm=self.shape,
                ofm=Shape(channels=channels, height=1, width=1),
            )
        )
        return self

    def add(self, other: str) -> "Builder":
        self.layers.append(
            Add(name=self._name(), inputs=(self.last, other), ofm=self.shape)
        )
        return self

    def network(self) -> Network:
        return Network(name="random", layers=tuple(self.layers))


def random_network(rng: np.random.Generator, most: int = 6) -> Network:
    """Return a network of at least two and about `most` layers with work."""
    size = int(rng.choice([4, 5, 6, 7, 8, 10, 12]))
    made = Builder(Shape(channels=int(rng.integers(1, 9)), height=size, width=size))

    def channels() -> int:
        return int(rng.choice([2, 3, 4, 5, 6, 8, 10, 12, 16, 24]))

    target = int(rng.integers(2, most + 1))
    work = 0
    while work < target:
        kind = rng.choice(
            ["conv", "1x1", "depthwise", "pool", "block", "residual", "inverted"],
            p=[0.22, 0.2, 0.2, 0.08, 0.1, 0.08, 0.12],
        )
        large = min(made.shape.height, made.shape.width)
        stride = int(rng.choice([1, 1, 2])) if large >= 4 else 1
        match kind:
            case "conv":
                made.conv(channels(), 3, stride)
                work += 1
            case "1x1":
                made.conv(channels(), 1)
                work += 1
            case "depthwise":
                made.depthwise(3, stride)
                work += 1
            case "pool" if large >= 4:
                made.pool()
                work += 1
            case "block" if target - work >= 2:
                made.depthwise(3, stride).conv(channels(), 1)
                work += 2
            case "residual" if work > 0:
                start = made.last
                made.conv(made.shape.channels, int(rng.choice([1, 3]))).add(start)
                work += 1
            case "inverted" if target - work >= 3:
                start, width = made.last, made.shape.channels
                made.conv(channels(), 1).depthwise().conv(width, 1)
                if work > 0:
                    made.add(start)
                work += 3
            case _:
                continue
    if rng.random() < 0.4:
        if rng.random() < 0.7:
            made.global_pool()
        if made.shape.elements <= 600:
            made.linear(int(rng.integers(2, 12)))
    return made.network()


def random_board(rng: np.random.Generator) -> Board:
    """Return a board whose limits bind now and then."""
    tight = rng.random(5) < 0.35
    lut = int(rng.integers(9_000, 16_000) if tight[0] else rng.integers(16_000, 60_000))
    return board(
        dsp=int(rng.integers(1, 24) if tight[1] else rng.integers(24, 400)),
        bram_18k=int(rng.integers(1, 16) if tight[2] else rng.integers(16, 200)),
        uram=0 if lut % 5 else 12,
        lut=lut,
        ff=int(rng.integers(11_000, 20_000) if tight[3] else 100_000),
        lutram=int(rng.integers(100, 3_000)) if tight[4] else None,
        clock_khz=int(rng.choice([100_000, 150_000, 233_333, 300_000])),
        ddr_kbytes_per_s=int(rng.choice([150_000, 600_000, 2_000_000, 9_000_000])),
        port_bytes=int(rng.choice([8, 16])),
        port_max_khz=int(rng.choice([150_000, 250_000, 300_000])),
        dsp_type=DspType.DSP48E2 if rng.random() < 0.6 else DspType.DSP48E1,
    )


def _some(
    rng: np.random.Generator, values: tuple[int, ...], most: int
) -> tuple[int, ...]:
    count = int(rng.integers(1, most + 1))
    return tuple(sorted(int(v) for v in rng.choice(values, count, replace=False)))


def random_space(rng: np.random.Generator, lanes: int = 3) -> Space:
    """Return a space of engines."""
    sets = ((1, 2, 4), (2, 3, 4), (1, 3, 6), (2, 4, 8), (1, 4, 6), (3, 4, 12))
    chosen = sets[int(rng.integers(len(sets)))]
    return Space(
        pixels=tuple(p + 1 for p in _some(rng, (0, 1, 2), 2)),
        lanes=chosen[:lanes],
        taps=_some(rng, (1, 3, 9), 2),
        depths=_some(rng, (16, 32, 64, 512), 3),
        buffering=((True,), (False,), (True, False))[int(rng.integers(3))],
    )


def random_options(
    rng: np.random.Generator, network: Network, choices: int
) -> tuple[Option, ...]:
    """Return up to `choices` bits per layer, fewer bits costing no less."""
    options = []
    for layer in network.compute_layers:
        count = int(rng.integers(1, choices + 1)) if choices > 1 else 1
        bits = sorted(rng.choice([2, 3, 4, 5, 6, 8], count, replace=False).tolist())
        cost = 0
        for b in reversed(bits):
            # Equal costs, and none, occur too.
            cost += int(rng.choice([0, 1, 1000, 50_000])) * int(rng.integers(1, 4))
            options.append(
                Option(layer=layer.name, change=Bits(weight_bits=b), cost_micro=cost)
            )
    return tuple(options)


def random_problem(seed: int, *, choices: int = 1, layers: int = 6) -> Problem:
    """Return a problem with up to `choices` bits per layer."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, layers)
    while not network.compute_layers:
        network = random_network(rng, layers)
    return Problem(
        network=network,
        options=random_options(rng, network, choices),
        board=random_board(rng),
        act_bits=int(rng.choice([4, 6, 8])),
        space=random_space(rng, 3 if choices == 1 else 2),
    )
