"""Small networks with parameters and a small data set, for the tests of hao.quant."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hao.ir.layer import (
    ActivationKind,
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
)
from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.quant.dataset import Dataset, Split

CLASSES = 3


def shape(channels: int, size: int) -> Shape:
    return Shape(channels=channels, height=size, width=size)


def every_kind(seed: int = 0) -> Network:
    """Return a network with every layer kind, every activation and odd averages."""
    one_side = Padding(bottom=1, right=1)  # 11 rows and one: windows of stride 2
    layers: tuple[Layer, ...] = (
        Input(name="frame", ofm=shape(2, 11)),
        Conv(
            name="stem",
            input="frame",
            ifm=shape(2, 11),
            ofm=shape(6, 11),
            kernel=3,
            padding=Padding.same(3),
            activation=ActivationKind.RELU6,
        ),
        Depthwise(
            name="b.depthwise",
            input="stem",
            ifm=shape(6, 11),
            ofm=shape(6, 5),
            kernel=3,
            stride=2,
            padding=one_side,
            activation=ActivationKind.RELU,
        ),
        Conv(
            name="b.project",
            input="b.depthwise",
            ifm=shape(6, 5),
            ofm=shape(6, 5),
            kernel=1,
            bias=False,
        ),
        Pool(
            name="largest",
            input="stem",
            ifm=shape(6, 11),
            ofm=shape(6, 5),
            kernel=3,
            stride=2,
            padding=one_side,
            kind=PoolKind.MAX,
        ),
        Add(name="b.add", inputs=("b.project", "largest"), ofm=shape(6, 5)),
        Pool(
            name="mean",
            input="b.add",
            ifm=shape(6, 5),
            ofm=shape(6, 5),
            kernel=3,
            padding=Padding.same(3),
            kind=PoolKind.AVERAGE,
        ),
        Add(
            name="c.add",
            inputs=("mean", "b.project"),
            ofm=shape(6, 5),
            activation=ActivationKind.RELU,
        ),
        GlobalAveragePool(name="pool", input="c.add", ifm=shape(6, 5), ofm=shape(6, 1)),
        Linear(
            name="hidden",
            input="pool",
            ifm=shape(6, 1),
            ofm=shape(5, 1),
            activation=ActivationKind.RELU,
        ),
        Linear(
            name="classifier", input="hidden", ifm=shape(5, 1), ofm=shape(CLASSES, 1)
        ),
    )
    return with_random_parameters(Network(name="every_kind", layers=layers), seed)


def chain(seed: int = 0) -> Network:
    """Return two convolutions, one of them depthwise, and a classifier."""
    layers: tuple[Layer, ...] = (
        Input(name="frame", ofm=shape(1, 6)),
        Conv(
            name="stem",
            input="frame",
            ifm=shape(1, 6),
            ofm=shape(4, 6),
            kernel=3,
            padding=Padding.same(3),
            activation=ActivationKind.RELU,
        ),
        Depthwise(
            name="depthwise",
            input="stem",
            ifm=shape(4, 6),
            ofm=shape(4, 6),
            kernel=3,
            padding=Padding.same(3),
        ),
        GlobalAveragePool(
            name="pool", input="depthwise", ifm=shape(4, 6), ofm=shape(4, 1)
        ),
        Linear(name="classifier", input="pool", ifm=shape(4, 1), ofm=shape(CLASSES, 1)),
    )
    return with_random_parameters(Network(name="chain", layers=layers), seed)


def with_random_parameters(network: Network, seed: int) -> Network:
    generator = np.random.default_rng(seed)
    params: dict[str, NDArray[np.generic]] = {}
    for layer in network.compute_layers:
        sizes: tuple[int, ...] = (layer.ofm.channels, layer.ifm.elements)
        if not isinstance(layer, Linear):
            depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
            sizes = (layer.ofm.channels, depth, layer.kernel, layer.kernel)
        # Channels of very different size, as batch norms leave them.
        gain = np.exp(generator.normal(size=(sizes[0], *[1] * (len(sizes) - 1))))
        weight = generator.normal(size=sizes) * gain / np.sqrt(layer.terms)
        params[f"{layer.name}.weight"] = weight
        if layer.bias:
            params[f"{layer.name}.bias"] = generator.normal(size=sizes[0])
    return replace(network, params=MappingProxyType(params))


def frames_for(network: Network, count: int, seed: int = 0) -> NDArray[np.float32]:
    entry = network.input.ofm
    sizes = (count, entry.channels, entry.height, entry.width)
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32)


def stripes(count: int = 60) -> Dataset:
    """Return frames of 1x6x6 that are easy to tell apart: rows, columns or neither."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    rows = (np.arange(6) % 2 * 2 - 1).astype(np.float32)
    patterns = np.stack(
        [np.tile(rows[:, None], (1, 6)), np.tile(rows, (6, 1)), np.zeros((6, 6))]
    )
    frames = patterns[labels][:, None]
    frames = frames + generator.normal(scale=0.2, size=frames.shape)
    parts = [
        Split(
            frames=frames[start : start + count // 3].astype(np.float32),
            labels=labels[start : start + count // 3].astype(np.int64),
        )
        for start in (0, count // 3, 2 * count // 3)
    ]
    return Dataset(
        name="stripes",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        classes=CLASSES,
    )
