"""A small network, its data and its problem, for the tests of hao.measure."""

from functools import cache

from hao.ir.network import Network
from hao.measure.propose import Ask, make_encoder
from hao.measure.saliency import measure_saliencies
from hao.measure.settings import Kind
from hao.measure.subject import Subject, make_subject
from hao.options.bits import bit_options
from hao.program.problem import Problem
from hao.quant.train import TrainSettings, train_float
from tests.answer.samples import SPACE
from tests.program.instances import board
from tests.quant.networks import chain, stripes

BOARD = board(dsp=1, lut=13_000, bram_18k=150)
"""So small that fewer bits are faster."""

CHOICES = (2, 3, 4, 8)


@cache
def trained() -> Network:
    """Return the chain of layers, trained on stripes."""
    settings = TrainSettings(epochs=20, learning_rate=0.02, batch=16)
    return train_float(chain(), stripes(), settings)


@cache
def subject() -> Subject:
    return make_subject({8: trained()}, stripes(), calibration=24, search=40)


@cache
def problem() -> Problem:
    options = bit_options(
        chain(),
        choices=CHOICES,
        drop_by_bits=dict.fromkeys(CHOICES, 0.0),
        keep_first_last=False,
    )
    return Problem(network=chain(), options=options, board=BOARD, space=SPACE)


@cache
def saliencies() -> dict[tuple[str, str], float]:
    found = measure_saliencies(subject(), problem().options, 8, Kind.PLUG_IN)
    return dict(found.values)


ENCODER = make_encoder({8: problem()}, {8: saliencies()})


def ask(*budgets: int) -> Ask:
    return Ask(problems={8: problem()}, budgets=budgets, overlap_percent=70)
