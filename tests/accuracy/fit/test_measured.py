"""Measured quantization results."""

import csv
from pathlib import Path

import pytest

from benchmarks.accuracy_fit.features import (
    FEATURES,
    configuration_groups,
    feature_matrix,
    is_usable,
)
from benchmarks.accuracy_fit.measured import (
    Scale,
    WeightMethod,
    WeightRounding,
    load_quant_rows,
)
from hao.data import data_path
from hao.errors import InputError


def _with(folder: Path, **cells: str) -> Path:
    """Return a file of the first shipped line with some cells changed."""
    with data_path("data", "imagenet_quant_accuracy.csv").open() as stream:
        reader = csv.DictReader(stream)
        row = {**next(reader), **cells}
        fields = reader.fieldnames or []
    path = folder / "quant.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields)
        writer.writeheader()
        writer.writerow(row)
    return path


def test_every_line_of_the_shipped_file_is_read() -> None:
    path = data_path("data", "imagenet_quant_accuracy.csv")
    rows = load_quant_rows()
    assert [row.line for row in rows] == list(
        range(2, len(path.read_text().splitlines()) + 1)
    )


def test_a_line_of_the_sweep_is_understood(tmp_path: Path) -> None:
    (row,) = load_quant_rows(_with(tmp_path))
    assert (row.model, row.weight_bits, row.act_bits) == ("mobilenet_v2", 4.0, 8.0)
    assert (row.method, row.scale) == (WeightMethod.PTQ, Scale.POWER_OF_TWO)
    assert row.depthwise
    assert row.in_sweep
    assert row.drop == pytest.approx(71.898 - 8.612)


@pytest.mark.parametrize(
    ("algo", "rounding"),
    [
        ("adaround+bias_correction", WeightRounding.RECONSTRUCTED),
        ("gptq", WeightRounding.RECONSTRUCTED),
        ("apot(nonuniform)", WeightRounding.NON_UNIFORM),
        ("n2uq", WeightRounding.NON_UNIFORM),
        ("tqt", WeightRounding.NEAREST),
    ],
)
def test_algorithms_are_told_apart_by_rounding(
    tmp_path: Path, algo: str, rounding: WeightRounding
) -> None:
    (row,) = load_quant_rows(_with(tmp_path, algo=algo))
    assert row.rounding is rounding


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"weight_bits": "33"}, r"quant\.csv:2: weight_bits = '33'"),
        ({"method": "QQQ"}, r"quant\.csv:2: method = 'QQQ'; must be one of 'PTQ'"),
        ({"drop": "1.0"}, r"drop = '1\.0'; must be top1_float minus top1_quant"),
        ({"top1_float": ""}, "must be top1_float minus top1_quant"),
        ({"layer_weight_bits": "[8,"}, "must be a JSON list"),
        ({"layer_weight_bits": "[8, 0.5]"}, "must be a JSON list"),
        ({"mixed": "maybe"}, "must be True or False"),
    ],
)
def test_a_malformed_line_is_refused(
    tmp_path: Path, cells: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_quant_rows(_with(tmp_path, **cells))


def test_a_row_without_float_accuracy_has_no_drop_and_is_not_usable(
    tmp_path: Path,
) -> None:
    (row,) = load_quant_rows(_with(tmp_path, top1_float="", drop=""))
    assert row.drop is None
    assert not is_usable(row)
    with pytest.raises(InputError, match="top1_float must be given"):
        feature_matrix([row])


def test_features_read_neither_the_measured_accuracy_nor_the_source(
    tmp_path: Path,
) -> None:
    (row,) = load_quant_rows(_with(tmp_path))
    (other,) = load_quant_rows(
        _with(tmp_path, top1_quant="70.898", drop="1.0", source="x/y:z@1")
    )
    assert (feature_matrix([row]) == feature_matrix([other])).all()
    assert feature_matrix([row]).shape == (1, len(FEATURES))


def test_repeated_configurations_are_one_group() -> None:
    rows = [row for row in load_quant_rows() if is_usable(row)]
    groups = configuration_groups(rows)
    assert len(set(groups.tolist())) < len(rows)
    features = feature_matrix(rows)
    for group in range(0, int(groups.max()), 50):
        members = features[groups == group]
        # Everything but the float accuracy is equal.
        assert (members.std(axis=0) > 0).sum() <= 1


def test_every_family_of_the_data_has_its_own_feature() -> None:
    known = {name.removeprefix("family_") for name in FEATURES}
    assert {row.family for row in load_quant_rows()} <= known
