"""The table of predicted drops: how it is made, and what the shipped one says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hao.accuracy.drops import (
    GENERIC_DENSE,
    GENERIC_DEPTHWISE,
    Drop,
    DropTable,
    Evidence,
    load_drop_table,
    load_drops,
)
from hao.accuracy.table import (
    make_monotone,
    render_table,
    shipped_law,
    subject_drops,
    subjects,
)
from hao.data import data_path
from hao.errors import InputError
from hao.zoo import entry, network_names

GRIDS = arrays(np.float64, (7, 5), elements=st.floats(0, 100))


@pytest.fixture(scope="module")
def table() -> DropTable:
    return load_drop_table()


def _file(folder: Path, old: str, new: str) -> Path:
    text = data_path("data", "predicted_drop.csv").read_text()
    assert old in text
    path = folder / "drops.csv"
    path.write_text(text.replace(old, new, 1))
    return path


def _neighbours(table: DropTable) -> Iterator[tuple[Drop, Drop]]:
    """Yield each drop with that of one bit fewer, of weights and of activations."""
    for (name, weight_bits, act_bits), drop in table.rows.items():
        for key in (
            (name, weight_bits - 1, act_bits),
            (name, weight_bits, act_bits - 1),
        ):
            if key in table.rows:
                yield drop, table.rows[key]


@given(GRIDS)
def test_repair_makes_any_grid_monotone(grid: np.ndarray) -> None:
    repaired = make_monotone(grid)
    assert (np.diff(repaired, axis=0) >= 0).all()
    assert (np.diff(repaired, axis=1) >= 0).all()


@given(GRIDS)
def test_repair_leaves_a_monotone_grid_alone(grid: np.ndarray) -> None:
    rising = np.maximum.accumulate(np.maximum.accumulate(grid, axis=0), axis=1)
    assert (make_monotone(rising) == rising).all()


def test_repair_splits_the_difference() -> None:
    assert make_monotone(np.array([[3.0], [1.0], [4.0]])).tolist() == [[2], [2], [4]]


def test_every_network_of_the_zoo_is_in_the_table(table: DropTable) -> None:
    assert {key[0] for key in table.rows} == {
        *network_names(),
        GENERIC_DENSE,
        GENERIC_DEPTHWISE,
    }


def test_fewer_bits_never_lose_less(table: DropTable) -> None:
    for more, fewer in _neighbours(table):
        assert more.mean <= fewer.mean
        assert more.high <= fewer.high
        assert more.low <= fewer.low


def test_eight_bits_cost_residual_networks_little(table: DropTable) -> None:
    # Published per-channel 8-bit results of ResNet-18 and ResNet-50: 0 to 1 points.
    for name in ("resnet18", "resnet50"):
        drop = table.drop(name, 8, 8)
        assert drop.evidence is Evidence.MEASURED
        assert drop.mean <= 0.5
        assert drop.high <= 1.5
        assert drop.references >= 8


def test_mobilenet_v2_loses_what_was_published(table: DropTable) -> None:
    # W8A8: 0.5 to 0.7 in most tools. W6A8: 1.9 by PTQ with power-of-two scales.
    # W4A8: 0.9 with AdaRound and float scales, 17 to 24 with powers of two.
    assert 0.3 <= table.drop("mobilenet_v2_100", 8, 8).mean <= 1
    assert 1 <= table.drop("mobilenet_v2_100", 6, 8).mean <= 2.5
    four = table.drop("mobilenet_v2_100", 4, 8)
    assert 2 <= four.mean <= 10
    assert four.low < 0.9
    assert four.high > 20


def test_a_network_never_measured_has_a_wider_interval(table: DropTable) -> None:
    known = table.drop("mobilenet_v2_100", 8, 8)
    unknown = table.drop("mobilenet_v4_conv_small", 8, 8)
    assert unknown.evidence is Evidence.FAMILY
    assert unknown.references == 0
    assert unknown.high > 1.5 * known.high
    assert table.drop("mobilenet_v4_conv_small", 4, 8).high > 30


def test_a_family_that_collapses_is_expected_to(table: DropTable) -> None:
    assert table.drop("repvgg_a0", 8, 8).mean >= 20
    assert table.drop("repvgg_a0", 8, 8).low < 1


def test_what_was_measured_on_no_relative_is_flagged(table: DropTable) -> None:
    # EfficientNet-Lite was measured at 8 bits only; the digits network never.
    assert not table.drop("efficientnet_lite0", 8, 8).out_of_range
    assert table.drop("efficientnet_lite0", 4, 8).out_of_range
    assert table.drop("digits", 8, 8).out_of_range
    assert not table.drop("mobilenet_v2_100", 2, 4).out_of_range


def test_a_network_outside_the_zoo_gets_the_drop_of_its_kind(table: DropTable) -> None:
    drop = table.drop("my_net", 8, 8, has_depthwise=True)
    assert drop == table.drop(GENERIC_DEPTHWISE, 8, 8)
    assert drop.evidence is Evidence.NONE
    with pytest.raises(InputError, match="has_depthwise must be given"):
        table.drop("my_net", 8, 8)


@pytest.mark.parametrize(("weight_bits", "act_bits"), [(1, 8), (9, 8), (8, 3), (8, 9)])
def test_bits_outside_the_table_are_refused(
    table: DropTable, weight_bits: int, act_bits: int
) -> None:
    with pytest.raises(InputError, match=r"_bits = [139]; must be from"):
        table.drop("resnet18", weight_bits, act_bits)


def test_ends_out_of_order_are_refused(tmp_path: Path) -> None:
    line = next(
        line
        for line in data_path("data", "predicted_drop.csv").read_text().splitlines()
        if line.startswith("resnet18,8,8,")
    )
    cells = line.split(",")
    cells[4] = "50.0"
    with pytest.raises(InputError, match="must be from drop_low to drop_high"):
        load_drops(_file(tmp_path, line, ",".join(cells)))


def test_bits_that_no_row_gives_are_refused(tmp_path: Path) -> None:
    text = data_path("data", "predicted_drop.csv").read_text()
    line = next(line for line in text.splitlines() if line.startswith("resnet18,8,8,"))
    with pytest.raises(InputError, match="'resnet18' lacks 8-bit weights with 8-bit"):
        load_drops(_file(tmp_path, f"{line}\n", ""))


def test_a_repeated_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="occur twice"):
        load_drops(_file(tmp_path, "\nresnet18,8,7,", "\nresnet18,8,8,"))


def test_bits_out_of_range_in_the_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weight_bits = '9'; must be a number from 2"):
        load_drops(_file(tmp_path, "\nresnet18,8,8,", "\nresnet18,9,8,"))


def test_depthwise_flags_come_from_the_zoo() -> None:
    for subject in subjects():
        if subject.name in network_names():
            assert subject.depthwise == entry(subject.name).has_depthwise


@pytest.mark.slow
def test_the_shipped_table_is_what_the_data_gives(table: DropTable) -> None:
    law = shipped_law()
    text = render_table(law)
    shipped = data_path("data", "predicted_drop.csv").read_text()
    assert len(text.splitlines()) == len(shipped.splitlines())
    for subject in subjects():
        for (weight_bits, act_bits), drop in subject_drops(law, subject).items():
            kept = table.drop(subject.name, weight_bits, act_bits)
            # Linear algebra libraries differ in the last digits.
            for now, then in (
                (drop.mean, kept.mean),
                (drop.low, kept.low),
                (drop.high, kept.high),
            ):
                assert now == pytest.approx(then, rel=0.01, abs=0.01)
            assert (drop.evidence, drop.out_of_range, drop.references) == (
                kept.evidence,
                kept.out_of_range,
                kept.references,
            )
