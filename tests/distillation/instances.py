"""A network of three small blocks, and frames that it can tell apart."""

import numpy as np

from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.options.operations import Operation, load_pool
from hao.quant.dataset import Dataset, Split
from hao.quant.train import TrainSettings, train_float
from tests.program.instances import Builder

NAMES = ("conv1", "conv3", "separable_k3")


def network() -> Network:
    made = Builder(Shape(channels=1, height=8, width=8)).conv(8, 3)
    start = made.last
    made.conv(8, 3).add(start)
    return made.conv(8, 3, 2).conv(8, 3).global_pool().linear(3).network()


def pool() -> tuple[Operation, ...]:
    return tuple(o for o in load_pool() if o.name in NAMES)


def frames(count: int, seed: int) -> Split:
    """Return stripes: across, along, or none."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    found = rng.normal(0, 0.3, (count, 1, 8, 8)).astype(np.float32)
    found[labels == 0, :, ::2, :] += 1
    found[labels == 1, :, :, ::2] += 1
    return Split(frames=found, labels=labels.astype(np.int64))


def dataset() -> Dataset:
    return Dataset(
        name="stripes",
        train=frames(96, 0),
        validation=frames(30, 1),
        test=frames(60, 2),
        classes=3,
    )


def teacher() -> Network:
    settings = TrainSettings(epochs=6, learning_rate=0.02, batch=16)
    return train_float(network(), dataset(), settings)
