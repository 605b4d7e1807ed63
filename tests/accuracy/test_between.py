"""Top-1 between published image sizes: exact on 1 / size, errors of sizes left out."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from hao.accuracy.between import (
    ERRORS,
    interpolated_networks,
    interpolated_widths,
    known_networks,
    networks_between,
    widths_between,
)
from hao.accuracy.checkpoint import checkpoint_top1
from hao.accuracy.published import (
    Between,
    FloatRow,
    Precision,
    load_float_rows,
    published_networks,
)
from hao.zoo import build_network, width_of


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
        assert network.interpolated is Between.SIZES


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


def left_out(keys: Sequence[Hashable], values: Sequence[int]) -> list[float]:
    """Return how much too high the shipped top-1 with a value is between neighbours.

    Args:
        keys: Of every shipped row, what its neighbours have as well; or `None`.
        values: Of every row, what lies between those of the neighbours.
    """
    series: dict[Hashable, list[tuple[float, float]]] = defaultdict(list)
    for entry, key, value in zip(load_float_rows(), keys, values, strict=True):
        if key is not None and entry.precision is Precision.FP32:
            series[key].append((1 / value, entry.top1))
    errors = []
    for points in map(sorted, series.values()):
        for one, (x, top1), other in zip(points, points[1:], points[2:], strict=False):
            share = (x - one[0]) / (other[0] - one[0])
            errors.append(one[1] + share * (other[1] - one[1]) - top1)
    return errors


def test_the_error_is_that_of_published_sizes_left_out() -> None:
    rows = load_float_rows()
    keys = [
        r.network and (r.network, r.architecture, r.width, r.recipe, r.source)
        for r in rows
    ]
    errors = np.array(left_out(keys, [r.image_size for r in rows]))
    assert len(errors) == 20
    mean, largest = ERRORS[Between.SIZES]
    assert np.abs(errors).mean() == pytest.approx(mean, abs=0.005)
    assert np.abs(errors).max() == pytest.approx(largest, abs=0.005)
    assert abs(errors.mean()) < 0.05


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
    assert len(known_networks()) == sum(
        map(len, (published, networks_between(), widths_between()))
    )


def test_the_checkpoint_of_a_size_between_is_that_of_its_recipe() -> None:
    between = networks_between()["resnet50", 208]
    best = checkpoint_top1("resnet50", 208, between.top1)
    assert best is not None
    assert best > between.top1
    assert checkpoint_top1("resnet50", 224, published_networks()["resnet50", 224].top1)


def width_row(network: str, size: int, top1: float, recipe: str = "a") -> FloatRow:
    return replace(row(size, top1, recipe), network=network, architecture=network)


def test_what_is_linear_in_the_inverse_width_is_met_exactly() -> None:
    names = {50: "mobilenet_v2_050", 75: "mobilenet_v2_075", 100: "mobilenet_v2_100"}
    rows = [width_row(name, 224, 90 - 1000 / width) for width, name in names.items()]
    found = interpolated_widths(rows)
    assert {name: entry.top1 for (name, _), entry in found.items()} == pytest.approx(
        {f"mobilenet_v2_{width:03}": 90 - 1000 / width for width in (60, 70, 80, 90)}
    )
    assert {entry.interpolated for entry in found.values()} == {Between.WIDTHS}


def test_widths_lie_between_neighbours_of_one_recipe_at_one_size() -> None:
    rows = [
        width_row("mobilenet_v1_100", 224, 70, "weak"),
        width_row("mobilenet_v1_125", 224, 71, "weak"),
        width_row("mobilenet_v1_100", 224, 75, "strong"),
        width_row("mobilenet_v1_125", 224, 77, "strong"),
        width_row("mobilenet_v1_075", 192, 60, "weak"),
        width_row("mobilenet_v1_100h", 224, 90, "strong"),  # its head differs
    ]
    found = interpolated_widths(rows)
    assert sorted(found) == [("mobilenet_v1_110", 224), ("mobilenet_v1_120", 224)]
    # 1/100, 1/110, 1/125: (1/100 - 1/110) / (1/100 - 1/125) = 5/11.
    assert found["mobilenet_v1_110", 224].top1 == pytest.approx(75 + 2 * 5 / 11)


def test_the_error_is_that_of_published_widths_left_out() -> None:
    rows = load_float_rows()
    lines = [width_of(r.network) if r.network else None for r in rows]
    keys = [
        line and (line[0], r.recipe, r.source, r.image_size)
        for line, r in zip(lines, rows, strict=True)
    ]
    errors = np.array(left_out(keys, [line[1] if line else 1 for line in lines]))
    assert len(errors) == 20
    mean, largest = ERRORS[Between.WIDTHS]
    assert np.abs(errors).mean() == pytest.approx(mean, abs=0.005)
    assert np.abs(errors).max() == pytest.approx(largest, abs=0.005)
    assert errors.mean() == pytest.approx(0.20, abs=0.005)


def test_shipped_widths_are_networks_of_their_own() -> None:
    published = published_networks()
    names = {name for name, _ in published}
    for (name, size), entry in widths_between().items():
        assert name not in names
        assert build_network(name, size).input.ofm.width == size
        known = checkpoint_top1(name, size, entry.top1)
        assert known is not None
        assert known >= entry.top1
    widths = (100, 110, 120, 140)
    tops = [known_networks()[f"mobilenet_v2_{w}", 224].top1 for w in widths]
    assert tops == sorted(tops)
