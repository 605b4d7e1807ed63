"""The bound from products alone is below the fastest design, calibrated or not."""

from dataclasses import replace

import pytest

from hao.hw.board_file import load_board
from hao.hw.calibration import NEUTRAL, Calibration, PartFactors
from hao.ir.change import Bits
from hao.options.option import Option
from hao.program.conflicts import fewest_cycles
from hao.program.problem import Problem
from hao.program.products import least_cycles
from hao.zoo import build_network
from tests.program.instances import random_problem

PLAIN = PartFactors(lut=1000, ff=1000)


def _calibration(dense: int, pointwise: int) -> Calibration:
    return replace(
        NEUTRAL,
        dense=replace(PLAIN, lut=dense),
        pointwise=replace(PLAIN, lut=pointwise),
        reports=4,
    )


@pytest.mark.parametrize(
    ("dense", "pointwise"), [(1000, 1000), (400, 1600), (1600, 400)]
)
def test_no_design_is_faster_than_its_products_allow(
    dense: int, pointwise: int
) -> None:
    # With 400 and 1600, lanes priced as pointwise ones alone would bound ResNet-18 at
    # 1,717,102 cycles, which its fastest design of 1,616,960 beats.
    network = build_network("resnet18")
    problem = Problem(
        network=network,
        options=tuple(
            Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
            for layer in network.compute_layers
        ),
        board=replace(load_board("zu3eg"), calibration=_calibration(dense, pointwise)),
    )
    bound = least_cycles(problem)
    assert 0 < bound <= fewest_cycles(problem)


@pytest.mark.parametrize("seed", [2, 3, 4, 6, 7, 10])
def test_small_problems_are_not_refused_by_it(seed: int) -> None:
    problem = random_problem(seed, choices=2, layers=4)
    assert least_cycles(problem) <= fewest_cycles(problem)
