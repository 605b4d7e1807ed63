"""Top-1 between published image sizes: exact on 1 / size, errors of sizes left out."""

import numpy as np
import pytest

from hao.accuracy.between import (
    LARGEST_ERROR,
    MEAN_ERROR,
    interpolated_networks,
    known_networks,
    left_out_sizes,
    networks_between,
)
from hao.accuracy.checkpoint import checkpoint_top1
from hao.accuracy.published import (
    FloatRow,
    Precision,
    load_float_rows,
    published_networks,
)


def row(size: int, top1: float, recipe: str = "a") -> FloatRow:
    return FloatRow(
        network="resnet18",
        architecture="resnet18",
        recipe=recipe,
        width="",
        image_size=size,
        top1=top1,
        params=11_690_000,
        precision=Precision.FP32,
        source="s",
    )


def test_what_is_linear_in_the_inverse_size_is_met_exactly() -> None:
    def top1(size: int) -> float:
        return 80 - 2000 / size

    found = interpolated_networks([row(s, top1(s)) for s in (128, 224, 288)])
    sizes = [size for _, size in found]
    assert sizes == [144, 160, 176, 192, 208, 240, 256, 272]
    for (name, size), network in found.items():
        assert network.top1 == pytest.approx(top1(size))
        assert (network.name, network.image_size) == (name, size)
        assert network.interpolated
    assert all(abs(one.error) < 1e-9 for one in left_out_sizes([row(9, 1), row(5, 0)]))


def test_the_recipe_is_the_best_at_that_size_and_published_sizes_stay() -> None:
    rows = [
        row(160, 65, "weak"),
        row(224, 68, "weak"),
        row(192, 60, "other"),
        row(176, 70, "strong"),
        row(224, 71, "strong"),
    ]
    found = interpolated_networks(rows)
    assert ("resnet18", 192) not in found
    assert ("resnet18", 176) not in found
    assert found["resnet18", 208].best.recipe == "strong"
    assert 70 < found["resnet18", 208].top1 < 71


def test_sizes_that_do_no_better_than_a_smaller_one_are_left_out() -> None:
    rows = [row(224, 80, "strong"), row(160, 70, "weak"), row(288, 79, "weak")]
    sizes = [size for _, size in interpolated_networks(rows)]
    assert sizes == [176, 192, 208]


def test_the_error_is_that_of_published_sizes_left_out() -> None:
    found = left_out_sizes(load_float_rows())
    errors = np.array([one.error for one in found])
    assert len(errors) == 20
    assert np.abs(errors).mean() == pytest.approx(MEAN_ERROR, abs=0.005)
    assert np.abs(errors).max() == pytest.approx(LARGEST_ERROR, abs=0.005)
    assert abs(errors.mean()) < 0.05
    (one,) = [
        one
        for one in found
        if one.row.network == "mobilenet_v2_100" and one.row.image_size == 192
    ]
    # 68.8 at 160 and 71.8 at 224: (1/160 - 1/192) / (1/160 - 1/224) = 7/12.
    assert one.interpolated == pytest.approx(68.8 + 3.0 * 7 / 12)


def test_shipped_sizes_lie_between_published_ones() -> None:
    published = published_networks()
    for (name, size), network in networks_between().items():
        sizes = [known for other, known in published if other == name]
        assert min(sizes) < size < max(sizes)
        assert (name, size) not in published
        assert size % 16 == 0
        assert network.top1 <= max(
            entry.top1 for (other, _), entry in published.items() if other == name
        )
    assert len(known_networks()) == len(published) + len(networks_between())


def test_the_checkpoint_of_a_size_between_is_that_of_its_recipe() -> None:
    between = networks_between()["resnet50", 208]
    best = checkpoint_top1("resnet50", 208, between.top1)
    assert best is not None
    assert best > between.top1
    assert checkpoint_top1("resnet50", 224, published_networks()["resnet50", 224].top1)
