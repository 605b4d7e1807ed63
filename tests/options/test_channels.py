"""Widths on offer follow the lanes; costs follow what was measured."""

from math import ceil, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.ir.change import Channels
from hao.options.channels import (
    GroupCosts,
    channel_options,
    kept_by_score,
    offered_widths,
)


@given(
    st.integers(2, 300),
    st.lists(st.integers(1, 64), min_size=1, max_size=4),
    st.integers(2, 8),
)
def test_every_width_on_offer_saves_a_pass_of_some_stage(
    channels: int, lanes: list[int], most: int
) -> None:
    widths = offered_widths(channels, lanes, most=most)
    assert widths[0] == channels
    assert list(widths) == sorted(set(widths), reverse=True)
    assert len(widths) <= most
    for width in widths[1:]:
        # One channel more would cost a pass more somewhere.
        assert any(ceil((width + 1) / k) > ceil(width / k) for k in lanes)


def test_between_widths_on_offer_no_pass_is_saved() -> None:
    lanes = (4, 6)
    widths = offered_widths(24, lanes, most=99)
    assert widths == (24, 20, 18, 16, 12, 8, 6, 4)
    for width in range(4, 25):
        next_ = min(w for w in widths if w >= width)
        assert [ceil(width / k) for k in lanes] == [ceil(next_ / k) for k in lanes]


def test_multiples_of_all_lanes_come_first_where_few_are_offered() -> None:
    assert offered_widths(48, (4, 6), most=3) == (48, 24, 12) or (
        offered_widths(48, (4, 6), most=3)[1] % 12 == 0
    )
    assert offered_widths(64, (16, 8), least=16, most=4) == (64, 48, 32, 16)


def test_channels_of_the_highest_scores_stay() -> None:
    assert kept_by_score(np.array([0.1, 3.0, 2.0, 0.5]), 2) == (1, 2)
    assert kept_by_score(np.array([1.0, 1.0, 1.0]), 2) == (0, 1)


def test_costs_pass_through_what_was_measured_and_never_fall() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    costs = GroupCosts(scores=scores, points=(3, 1), costs=(0.5, 5.0))
    assert [costs.cost(width) for width in (4, 3, 1)] == [0, 0.5, 5]
    # Width 2 loses 3 of the scores: between 1 (0.5 points) and 6 (5 points).
    assert costs.cost(2) == pytest.approx(0.5 + 4.5 * 2 / 5)
    gains = GroupCosts(scores=scores, points=(3, 2), costs=(1.0, -2.0))
    assert [gains.cost(width) for width in (4, 3, 2)] == [0, 1, 1]
    assert gains.cost(1) == pytest.approx(2)  # twice the scores of width 2


def test_no_cost_is_below_that_of_the_lost_scores() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    costs = GroupCosts(
        scores=scores, points=(2,), costs=(0.0,), base_loss=0.5, points_per_fold=2.0
    )
    # Widths 3 and 2 lose scores of 1 and 3: the loss of 0.5 is then 3 and 7 times.
    found = [costs.cost(width) for width in (4, 3, 2)]
    assert found == pytest.approx([0, 2 * log(3), 2 * log(7)])


def test_options_name_the_channels_that_stay() -> None:
    costs = {
        "g": GroupCosts(scores=np.array([1.0, 5.0, 2.0]), points=(1,), costs=(3.0,))
    }
    whole, narrow = channel_options(costs, {"g": (3, 1)})
    assert (whole.change, whole.cost_micro) == (Channels((0, 1, 2)), 0)
    assert (narrow.change, narrow.cost_micro) == (Channels((1,)), 3_000_000)
