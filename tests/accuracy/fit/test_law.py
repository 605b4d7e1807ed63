"""The law of drops: what it is fitted to, and how sure it says it is."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy_fit.law import (
    Nested,
    calibrate_law,
    fit_mean,
    hold_out,
    nested,
    noise_quantiles,
    plain_top1,
    subject_of,
)
from hao.accuracy.drops import DropLaw, load_drop_law
from hao.accuracy.reference import Reference, shipped_references
from hao.accuracy.terms import Checkpoint, QuantSetting, Recipe, prior
from hao.measure.ranks import spearman

AT_8 = QuantSetting(recipe=Recipe.PTQ, weight_bits=8, act_bits=8)


@pytest.fixture(scope="module")
def known() -> tuple[Reference, ...]:
    return shipped_references()


@pytest.fixture(scope="module")
def law(known: tuple[Reference, ...]) -> DropLaw:
    return calibrate_law(known)


@pytest.fixture(scope="module")
def left_out(known: tuple[Reference, ...]) -> tuple[Nested, ...]:
    # Few folds: with more, each is predicted from more relatives.
    return nested(known, lambda r: r.network, folds=4)


def measured(network: str, family: str, drop: float, source: str) -> Reference:
    return Reference(
        network=network,
        family=family,
        depthwise=False,
        top1_float=74.0,
        setting=AT_8,
        drop=drop,
        source=source,
        rows=1,
    )


def test_the_shipped_law_is_what_the_references_give(law: DropLaw) -> None:
    shipped = load_drop_law()
    assert law.effects.keys() == shipped.effects.keys()
    # A prediction is for a source that nobody has seen.
    assert not any(term.startswith("source") for term in law.effects)
    for term, effect in law.effects.items():
        assert effect.weight == pytest.approx(shipped.effects[term].weight, abs=1e-3)
    for name, scores in law.distributions.items():
        assert scores == pytest.approx(shipped.distributions[name], abs=0.02)
    assert law.plain == pytest.approx(shipped.plain, abs=0.01)


def test_holding_out_leaves_nothing_of_network_or_source_in_the_fit(
    known: tuple[Reference, ...],
) -> None:
    some = known[::3]
    first = some[0]

    def inflated(share: Callable[[Reference], bool]) -> list[Reference]:
        return [replace(r, drop=r.drop + 30) if share(r) else r for r in some]

    groups = (lambda r: r.network, lambda r: r.source)
    before = hold_out(some, *groups, noise={}, folds=3)[0].z
    for changed in (
        inflated(lambda r: r.network == first.network),
        inflated(lambda r: r.source == first.source),
    ):
        assert hold_out(changed, *groups, noise={}, folds=3)[0].z == pytest.approx(
            before
        )
    others = inflated(lambda r: r.network != first.network and r.source != first.source)
    assert hold_out(others, *groups, noise={}, folds=3)[0].z > before + 1


def test_what_a_network_lost_moves_what_is_expected_of_its_family(
    known: tuple[Reference, ...],
) -> None:
    subjects = [
        Checkpoint(network=name, family=family, depthwise=False, top1=74.0)
        for name, family in (("new", "unheard of"), ("cousin", "unheard of"))
    ]
    stranger = Checkpoint(network="x", family="other one", depthwise=False, top1=74.0)
    found = [measured("new", "unheard of", 10.0, f"source {i}") for i in range(3)]
    effects, plain = fit_mean([*known, *found], {})
    one, cousin, other = (
        DropLaw(effects=effects, plain=plain).centre(subject, AT_8)[0]
        for subject in (*subjects, stranger)
    )
    assert one > cousin > other


def test_a_checkpoint_that_was_measured_leaves_less_open(law: DropLaw) -> None:
    own = Checkpoint(
        network="resnet50",
        family="resnet",
        depthwise=False,
        top1=76.1,
        plain_top1=law.plain["resnet50"],
    )
    kin = replace(own, network="resnet77")
    alien = replace(own, network="y", family="unheard of")
    opened = [law.centre(subject, AT_8)[1] for subject in (own, kin, alien)]
    assert opened == sorted(opened)
    assert opened[0] < opened[2]


def test_scales_that_nobody_measured_leave_their_prior_open(
    known: tuple[Reference, ...],
) -> None:
    effects, plain = fit_mean([r for r in known if not r.setting.per_tensor], {})
    law = DropLaw(effects=effects, plain=plain)
    subject = Checkpoint(network="x", family="resnet", depthwise=False, top1=74.0)
    one_scale = replace(AT_8, per_tensor=True)
    opened = law.centre(subject, one_scale)[1] - law.centre(subject, AT_8)[1]
    # (8 - 8) / 4 bits below 8 are 2^-4 - 0.0625 = 0 of the steep term.
    assert opened == pytest.approx(prior("per tensor") ** 2)


def test_an_outlier_hardly_moves_the_expectation(
    known: tuple[Reference, ...],
) -> None:
    cousin = Checkpoint(network="cousin", family="resnet", depthwise=False, top1=74.0)

    def centre(references: Sequence[Reference]) -> float:
        effects, plain = fit_mean(references, {})
        return DropLaw(effects=effects, plain=plain).centre(cousin, AT_8)[0]

    collapsed = measured("resnet77", "resnet", 60.0, "a source")
    assert abs(centre([*known, collapsed]) - centre(known)) < 0.05


def test_results_count_by_the_noise_of_their_kind(known: tuple[Reference, ...]) -> None:
    cousin = Checkpoint(network="x", family="unheard of", depthwise=False, top1=74.0)
    found = [measured("new", "unheard of", 10.0, f"source {i}") for i in range(3)]

    def centre(noise: dict[str, float]) -> float:
        effects, plain = fit_mean([*known, *found], noise)
        return DropLaw(effects=effects, plain=plain).centre(cousin, AT_8)[0]

    family = "noise family:unheard of ptq"
    assert centre({family: -0.5}) > centre({}) > centre({family: 0.5})
    # What all have more of moves nothing: the fit knows its size in all.
    assert centre({"noise": 1.0}) == pytest.approx(centre({}))


def test_the_usual_accuracy_of_a_network_is_the_median_of_its_checkpoints() -> None:
    rows = [measured("a", "resnet", 0.0, str(i)) for i in range(3)]
    rows[1] = replace(rows[1], top1_float=80.0)
    assert plain_top1(rows) == {"a": 74.0}
    assert subject_of(rows[1], plain_top1(rows)).strength == 2.0


def test_quantiles_for_intervals_count_sources_and_families_alike() -> None:
    one = [
        (0.0, measured("a", "family", 0.0, "source")),
        (1.0, measured("b", "another family", 0.0, "another source")),
    ]
    alike, wide = noise_quantiles([*one, *[one[0]] * 30])
    # Share 54.5 / 60 = 0.908. Of 32 results alike 31 end at 31 / 33 = 0.939; of two
    # sources and families alike the second begins at (0.75 x 2 + 0.5) / 3 = 0.667.
    assert alike[-6] == 0.0
    assert wide[-6] == 1.0
    assert (alike[-1], wide[0]) == (1.0, 0.0)


def test_networks_left_out_are_ranked_as_measured(left_out: tuple[Nested, ...]) -> None:
    def rank(part: Sequence[Nested]) -> float:
        return spearman(
            np.array([item.drop.mean + item.drop.noise for item in part]),
            np.array([item.reference.drop for item in part]),
        )

    assert rank(left_out) > 0.55
    assert rank([item for item in left_out if item.reference.depthwise]) > 0.4


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("recipe", list(Recipe))
def test_intervals_hold_what_they_say(
    left_out: tuple[Nested, ...], depthwise: bool, recipe: Recipe
) -> None:
    part = [
        item
        for item in left_out
        if item.reference.depthwise == depthwise
        and item.reference.setting.recipe is recipe
        and item.reference.setting.weight_bits > 7
    ]
    inside = [i.drop.low <= i.reference.drop <= i.drop.high for i in part]
    # 38 results of dense networks that were trained: one of them is 2.6 %.
    assert 0.82 <= np.mean(inside) <= 0.98
    errors = [i.drop.mean - i.reference.drop for i in part]
    assert abs(np.mean(errors)) < 0.6
