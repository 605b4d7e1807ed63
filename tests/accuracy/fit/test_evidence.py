"""Reference drops: which rows are comparable, and which become one reference."""

from dataclasses import replace

import pytest

from benchmarks.accuracy_fit.evidence import (
    is_comparable,
    network_of,
    recipe_of,
    references,
    setting_of,
    trained_references,
)
from benchmarks.accuracy_fit.measured import (
    Granularity,
    QuantRow,
    WeightMethod,
    WeightRounding,
    load_quant_rows,
)
from hao.accuracy.published import load_float_rows
from hao.accuracy.reference import Reference
from hao.accuracy.terms import Recipe


@pytest.fixture(scope="module")
def rows() -> tuple[QuantRow, ...]:
    return load_quant_rows()


@pytest.fixture(scope="module")
def known(rows: tuple[QuantRow, ...]) -> tuple[Reference, ...]:
    # Without the sweep, among whose recipes a forest would have to choose.
    return references([row for row in rows if not row.in_sweep])


@pytest.fixture(scope="module")
def plain(rows: tuple[QuantRow, ...]) -> QuantRow:
    return next(r for r in rows if not r.in_sweep and is_comparable(r) and r.depthwise)


@pytest.mark.parametrize(
    "change",
    [
        {"top1_float": None},
        {"weight_bits": None},
        {"act_bits": 32.0},
        {"weight_bits": 1.0},
        {"mixed": True},
        {"convolutional": False},
        {"gated": True},
        {"rounding": WeightRounding.NON_UNIFORM},
        {"granularity": Granularity.PER_TENSOR, "method": WeightMethod.PTQ},
        {"method": WeightMethod.PTQ, "top1_float": 70.0, "top1_quant": 70.51},
    ],
)
def test_each_rule_excludes_a_row_on_its_own(
    plain: QuantRow, change: dict[str, object]
) -> None:
    assert is_comparable(plain)
    assert not is_comparable(replace(plain, **change))  # type: ignore[arg-type]


def test_training_may_gain_what_rounding_may_not(plain: QuantRow) -> None:
    gained = replace(plain, method=WeightMethod.QAT, top1_float=70.0, top1_quant=71.5)
    assert is_comparable(gained)


def test_of_the_sweep_only_rows_of_our_hardware_count(
    rows: tuple[QuantRow, ...],
) -> None:
    kept = [row for row in rows if row.in_sweep and is_comparable(row)]
    assert {row.granularity for row in kept} == {Granularity.PER_CHANNEL}
    assert {row.backend for row in kept} == {"generic"}


def test_models_of_several_frameworks_are_one_network() -> None:
    names = ("tf_resnetv1_50", "resnet_v1p5_50", "pt_resnet50", "resnet50")
    assert {network_of(name) for name in names} == {"resnet50"}
    assert network_of("mobilenet_v2") == "mobilenet_v2_100"
    assert network_of("inception_v3") == "inception_v3"


def test_mended_rows_say_what_their_source_says(rows: tuple[QuantRow, ...]) -> None:
    source = "intel/neural-compressor"
    inc = [row for row in rows if row.repository == source]
    trained = {row.model for row in inc if row.method is WeightMethod.QAT}
    assert {"resnet18", "resnext101_32x8d", "mobilenet_v2"} == trained
    assert not [row for row in inc if row.model == "efficientnet"]
    assert "efficientnet_lite4" in {network_of(row.model) for row in inc}
    minimal = replace(rows[0], model="mobilenet_v3_large_minimal")
    assert not minimal.gated


def test_a_reference_is_the_best_setting_of_its_source_and_rounding(
    known: tuple[Reference, ...],
) -> None:
    # MQBench, MobileNetV2 W4A8: min-max 45.07, MSE 36.97; AdaRound 0.86.
    found = {
        r.setting.nearest: r.drop
        for r in known
        if r.network == "mobilenet_v2_100"
        and (r.setting.weight_bits, r.setting.act_bits) == (4, 8)
        and r.source == "ModelTC/MQBench"
    }
    assert found == pytest.approx({True: 36.97, False: 0.86})


def test_checkpoints_of_a_network_are_kept_apart(known: tuple[Reference, ...]) -> None:
    found = {
        r.top1_float: round(r.drop, 3)
        for r in known
        if r.network == "resnet50" and r.source == "pytorch/vision"
    }
    assert found == {76.13: 0.21, 80.858: 0.576}


def test_fine_tuning_without_labels_counts_as_training(
    rows: tuple[QuantRow, ...],
) -> None:
    tuned = [r for r in rows if r.model == "repvgg_a1" and "finetune" in r.algo]
    assert tuned
    assert {recipe_of(row) for row in tuned} == {Recipe.QAT}
    assert not setting_of(tuned[0]).nearest


def test_trained_references_average_over_image_sizes() -> None:
    # tf_slim, MobileNetV1 1.0 at 224, 192, 160, 128:
    # 70.9-69.7, 70.0-69.0, 68.0-67.3, 65.2-64.0: mean of 1.2, 1.0, 0.7, 1.2.
    (found,) = [
        r
        for r in trained_references(load_float_rows())
        if r.network == "mobilenet_v1_100"
    ]
    assert found.drop == pytest.approx(1.025)
    assert found.setting.recipe is Recipe.QAT
    assert found.top1_float == 70.9
