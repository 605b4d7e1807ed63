"""Batches: as many frames as memory holds, and at least one."""

import pytest

from hao.quant.counted import batch_size
from hao.zoo.registry import build_network


@pytest.mark.parametrize(
    ("network", "expected"),
    # 2^27 values, less than 200,000 of a small network; of Lite0 at 224x224, by its
    # table of layers, some 6.9 million.
    [("digits", 128), ("efficientnet_lite0", 19)],
)
def test_large_networks_take_fewer_frames(network: str, expected: int) -> None:
    found = batch_size(build_network(network), 128)
    assert abs(found - expected) <= 2


def test_a_frame_is_always_taken() -> None:
    assert batch_size(build_network("resnet50", image_size=4480), 8) == 1
