"""Reference drops, and the law fitted to them."""

from dataclasses import replace

import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from hao.accuracy.evidence import (
    Reference,
    is_comparable,
    network_of,
    references,
    trained_references,
)
from hao.accuracy.law import (
    CalibratedLaw,
    Target,
    calibrate_law,
    fit_law,
    hold_out,
    kernel,
    measurements,
    target_of,
    training_set,
)
from hao.accuracy.measured import (
    Granularity,
    Method,
    QuantRow,
    Rounding,
    Scale,
    load_quant_rows,
)
from hao.accuracy.published import load_float_rows


@pytest.fixture(scope="module")
def rows() -> tuple[QuantRow, ...]:
    return load_quant_rows()


@pytest.fixture(scope="module")
def known(rows: tuple[QuantRow, ...]) -> tuple[Reference, ...]:
    # Few trees: they only choose among the recipes of the sweep.
    return references(rows, trees=10) + trained_references(load_float_rows())


@pytest.fixture(scope="module")
def law(known: tuple[Reference, ...]) -> CalibratedLaw:
    return calibrate_law(known)


def _target(weight_bits: float, act_bits: float = 8, **changes: bool | str) -> Target:
    base = Target(
        network="never measured",
        family="unheard of",
        depthwise=False,
        weight_bits=weight_bits,
        act_bits=act_bits,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


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
        {"rounding": Rounding.NON_UNIFORM},
        {"granularity": Granularity.PER_TENSOR, "method": Method.PTQ},
    ],
)
def test_each_rule_excludes_a_row_on_its_own(
    plain: QuantRow, change: dict[str, object]
) -> None:
    assert is_comparable(plain)
    assert not is_comparable(replace(plain, **change))  # type: ignore[arg-type]


def test_of_the_sweep_only_rows_of_our_hardware_count(
    rows: tuple[QuantRow, ...],
) -> None:
    kept = [row for row in rows if row.in_sweep and is_comparable(row)]
    assert {row.scale for row in kept} == {Scale.POWER_OF_TWO}
    assert {row.granularity for row in kept} == {Granularity.PER_CHANNEL}
    assert {row.backend for row in kept} == {"generic"}


def test_models_of_several_frameworks_are_one_network() -> None:
    names = ("tf_resnetv1_50", "resnet_v1p5_50", "pt_resnet50", "resnet50")
    assert {network_of(name) for name in names} == {"resnet50"}
    assert network_of("mobilenet_v2") == "mobilenet_v2_100"
    assert network_of("inception_v3") == "inception_v3"


def test_a_reference_is_the_best_recipe_of_its_source(
    rows: tuple[QuantRow, ...], known: tuple[Reference, ...]
) -> None:
    # MQBench, MobileNetV2 W4A8: min-max 45.07, MSE 36.97, AdaRound 0.86.
    (found,) = [
        r
        for r in known
        if (r.network, r.weight_bits, r.act_bits) == ("mobilenet_v2_100", 4, 8)
        and r.source == "ModelTC/MQBench"
    ]
    assert found.drop == pytest.approx(0.86)


def test_references_are_never_negative(known: tuple[Reference, ...]) -> None:
    assert min(reference.drop for reference in known) == 0


def test_trained_references_average_over_image_sizes(
    known: tuple[Reference, ...],
) -> None:
    # tf_slim, MobileNetV1 1.0 at 224, 192, 160, 128:
    # 70.9-69.7, 70.0-69.0, 68.0-67.3, 65.2-64.0: mean of 1.2, 1.0, 0.7, 1.2.
    (found,) = [
        r
        for r in known
        if r.network == "mobilenet_v1_100" and r.source.startswith("tensorflow/models")
    ]
    assert found.drop == pytest.approx(1.025)
    assert found.method is Method.QAT


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("act_bits", [4, 8])
def test_fewer_bits_never_lose_less_on_an_unknown_network(
    law: CalibratedLaw, depthwise: bool, act_bits: int
) -> None:
    drops = law.predict(
        [_target(bits, act_bits, depthwise=depthwise) for bits in range(8, 1, -1)]
    )
    means = [drop.mean for drop in drops]
    assert means == sorted(means)
    assert all(drop.low <= drop.mean <= drop.high for drop in drops)


def test_depthwise_networks_lose_more(law: CalibratedLaw) -> None:
    for bits in (8, 6, 4):
        dense, depthwise = law.predict([_target(bits), _target(bits, depthwise=True)])
        assert depthwise.mean > dense.mean


def test_many_sources_give_the_range_of_what_they_found(
    law: CalibratedLaw, known: tuple[Reference, ...]
) -> None:
    target = _target(8, network="resnet50", family="resnet")
    drops = [reference.drop for reference in measurements(target, known)]
    assert 8 <= len(drops) < 19
    (found,) = law.predict([target])
    assert found.high == pytest.approx(max(drops))
    assert found.low == pytest.approx(min(drops), abs=1e-9)


def test_a_measured_network_has_no_wider_interval_than_an_unknown_one(
    law: CalibratedLaw, known: tuple[Reference, ...]
) -> None:
    for reference in known:
        target = target_of(reference)
        if reference.weight_bits not in (4, 8) or len(measurements(target, known)) > 7:
            continue
        (own,) = law.predict([target])
        blind = replace(law, references=())
        (other,) = blind.predict([target])
        assert own.high <= other.high + 1e-9


def test_holding_out_a_network_leaves_none_of_it_in_the_fit(
    known: tuple[Reference, ...],
) -> None:
    some = known[::3]
    inflated = [
        replace(r, drop=r.drop + 30) if r.network == some[0].network else r
        for r in some
    ]
    before = hold_out(some, lambda r: r.network)
    after = hold_out(inflated, lambda r: r.network)
    for one, other in zip(before, after, strict=True):
        if one.reference.network == some[0].network:
            assert one.z == pytest.approx(other.z)


def test_own_measurements_move_the_expectation(known: tuple[Reference, ...]) -> None:
    target = _target(8)
    measured = [
        Reference(
            network="never measured",
            family="unheard of",
            depthwise=False,
            weight_bits=8,
            act_bits=8,
            drop=10.0,
            source=f"source {i}",
            method=Method.PTQ,
            rows=1,
        )
        for i in range(3)
    ]
    before = fit_law(known).predict([target])[0][0]
    after = fit_law([*known, *measured]).predict([target])[0][0]
    assert after > before + 0.3


def test_variances_are_near_the_maximum_likelihood(
    known: tuple[Reference, ...],
) -> None:
    unfitted, places, residuals = training_set(known)
    chosen = unfitted.process.fit(places, residuals).log_marginal_likelihood_value_
    others = [
        GaussianProcessRegressor(kernel(signal, noise), optimizer=None)
        .fit(places, residuals)
        .log_marginal_likelihood_value_
        for signal in (0.01, 0.05, 0.2, 0.5)
        for noise in (0.2, 0.35, 0.5, 0.8)
    ]
    assert chosen > max(others) - 2
    assert chosen > min(others) + 20  # the data do speak about the noise
