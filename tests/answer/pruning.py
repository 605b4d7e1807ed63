"""A small trained network that is to be pruned, for channels and for words alike."""

from dataclasses import replace
from functools import partial

from hao.answer.prune_task import PruneTask
from hao.hw.board import Board
from hao.ir.layer import ActivationKind, Conv, GlobalAveragePool, Linear
from hao.ir.network import Network
from hao.options.bits import bit_options
from hao.program.problem import DEFAULT_SPACE
from hao.program.space import Space
from hao.quant.distill import teacher_of
from hao.quant.train import TrainSettings, train_float
from tests.program.instances import Builder
from tests.quant.networks import CLASSES, shape, stripes

TRAINING = TrainSettings(epochs=1, learning_rate=1e-3, batch=8)
"""Of the steps beside a pruning."""


def _network(first: int, second: int, last: int) -> Network:
    made = Builder(shape(1, 6)).conv(first, 3).conv(second, 3).conv(last, 1)
    layers = [
        replace(x, activation=ActivationKind.RELU) if isinstance(x, Conv) else x
        for x in made.layers
    ]
    one = shape(last, 1)
    layers += [
        GlobalAveragePool(name="p", input=made.last, ifm=made.shape, ofm=one),
        Linear(name="c", input="p", ifm=one, ofm=shape(CLASSES, 1)),
    ]
    return Network(name="small", layers=tuple(layers))


def pruning_task(
    channels: tuple[int, int, int], limits: Board, space: Space = DEFAULT_SPACE
) -> PruneTask:
    """Return what is to be pruned on a board, with a frame time out of reach."""
    settings = TrainSettings(epochs=8, learning_rate=0.03, batch=4)
    network = train_float(_network(*channels), stripes(), settings)
    return PruneTask(
        network=network,
        dataset=stripes(),
        board=limits,
        budget=1,
        layer_options=partial(bit_options, choices=(8,), drop_by_bits={8: 0}),
        act_bits=8,
        teacher=teacher_of(network),
        space=space,
    )
