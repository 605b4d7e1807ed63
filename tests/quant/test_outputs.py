"""What is said of a float network that does no better than a guess, or overflows."""

import numpy as np
import pytest

from hao.errors import InputError
from hao.quant.dataset import Split
from hao.quant.float_net import FloatNet
from hao.quant.outputs import classes_of_net, guess_note
from tests.quant.networks import chain, frames_for

LABELS = np.repeat(np.arange(4), 25)
"""A hundred frames: 25 % have the most frequent label; 2 deviations are 8.66 frames."""


def with_right(count: int) -> np.ndarray:
    classes = (LABELS + 1) % 4
    classes[:count] = LABELS[:count]
    return classes


def test_top1_of_a_guess_is_named_with_its_measure_and_its_chance() -> None:
    note = guess_note("net", with_right(33), LABELS)
    assert "'net': its float top-1 is 33.00 % on 100 frames" in note
    assert "no better than a guess (25.00 % have the most frequent label)" in note
    assert guess_note("net", with_right(34), LABELS) == ""


def test_frames_of_one_label_say_nothing() -> None:
    assert guess_note("net", np.zeros(9, np.int64), np.zeros(9, np.int64)) == ""


def test_one_class_for_all_frames_is_named_without_labels() -> None:
    note = guess_note("net", np.full(9, 2), None)
    assert "give all 9 frames class 2" in note
    assert guess_note("net", np.array([2, 2, 1]), None) == ""


def test_frames_whose_outputs_overflow_are_told() -> None:
    network = chain(0)
    net = FloatNet(network, batch_norm=False)
    frames, labels = frames_for(network, 16), np.zeros(16, np.int64)
    assert len(classes_of_net(net, Split(frames=frames, labels=labels))) == 16
    frames = frames.copy()
    frames[3] = 3e38
    with pytest.raises(InputError, match=r"outputs of frames 1 to 16 of 16 overflow"):
        classes_of_net(net, Split(frames=frames, labels=labels))
