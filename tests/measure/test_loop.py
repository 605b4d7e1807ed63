"""The loop: what it spends, that a kill changes nothing, and what it chooses."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from hao.answer.workers import IN_PROCESS
from hao.errors import InfeasibleError, InputError
from hao.ir.change import bits_of
from hao.measure import loop as loop_module
from hao.measure.loop import Bench, Exploration, result_of, run_loop
from hao.measure.sample import Origin, Part, Sample, Trial
from hao.measure.settings import LoopSettings
from hao.measure.store import Store, open_store
from hao.measure.subject import Subject, evaluate
from hao.program.codesign import choose_fastest
from tests.measure.samples import ENCODER, ask, problem, subject

SETTINGS = LoopSettings(measure=6, per_turn=3, best=2)


def explored(path: Path, settings: LoopSettings, *budgets: int) -> Exploration:
    with open_store(path, subject().about()) as store:
        return run_loop(bench(store), ask(*budgets), ENCODER, settings)


def bench(store: Store) -> Bench:
    return Bench(
        subject=subject(), store=store, workers=IN_PROCESS, progress=lambda _: None
    )


def latency() -> int:
    """Return a latency between that at the most bits and that at the fewest."""
    fastest = choose_fastest(problem()).cost.latency_cycles
    most = tuple(o for o in problem().options if "8" in str(o.change))
    slowest = choose_fastest(replace(problem(), options=most)).cost.latency_cycles
    assert fastest < slowest
    return (fastest + slowest) // 2


def keys(samples: tuple[Sample, ...]) -> list[str]:
    return [sample.trial.key for sample in samples]


def test_the_best_by_measurement_is_within_the_latency(tmp_path: Path) -> None:
    budget = latency()
    found = explored(tmp_path / "m.sqlite", SETTINGS, budget)
    assert len(found.samples) <= SETTINGS.measure
    assert len(set(keys(found.samples))) == len(found.samples)
    (choice,) = found.front
    assert choice.report.cost.latency_cycles <= budget
    assert choice.search.trial.part is Part.SEARCH
    assert (choice.test.trial.part, choice.test.trial.origin) == (
        Part.TEST,
        Origin.FINAL,
    )
    assert choice.test.trial.key == choice.search.trial.key
    fitting = [s for s in found.samples if (s.trial.cycles or 0) <= budget]
    assert result_of(choice.search).divergence == min(
        result_of(sample).divergence for sample in fitting
    )
    assert found.seconds_measuring > 0
    assert found.seconds_own > 0


def test_a_killed_loop_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = latency()
    whole = explored(tmp_path / "whole.sqlite", SETTINGS, budget)
    measured: list[str] = []

    def dies(one: Subject, trial: Trial) -> Sample:
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.append(trial.key)
        return evaluate(one, trial)

    path = tmp_path / "killed.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "evaluate", dies)
        with pytest.raises(KeyboardInterrupt):
            explored(path, SETTINGS, budget)
    resumed: list[str] = []

    def counted(one: Subject, trial: Trial) -> Sample:
        resumed.append(f"{trial.part.value} {trial.key}")
        return evaluate(one, trial)

    monkeypatch.setattr(loop_module, "evaluate", counted)
    again = explored(path, SETTINGS, budget)
    assert keys(again.samples) == keys(whole.samples)
    assert [s.result.divergence for s in again.samples if s.result] == [
        s.result.divergence for s in whole.samples if s.result
    ]
    assert not {f"search {key}" for key in measured} & set(resumed)
    assert len(resumed) == len(set(resumed))
    resumed.clear()
    assert keys(explored(path, SETTINGS, budget).samples) == keys(whole.samples)
    assert resumed == []


@pytest.mark.thorough
def test_a_loop_that_may_measure_more_goes_on(tmp_path: Path) -> None:
    path, budget = tmp_path / "m.sqlite", latency()
    first = explored(path, replace(SETTINGS, measure=3), budget)
    second = explored(path, SETTINGS, budget)
    assert keys(second.samples)[:3] == keys(first.samples)
    assert len(second.samples) > 3


@pytest.mark.thorough
def test_schemes_that_cannot_be_measured_are_kept_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some_fail(one: Subject, trial: Trial) -> Sample:
        if 2 in bits_of(trial.scheme).values():
            return Sample(trial=trial, result=None, failure="its loss is not finite")
        return evaluate(one, trial)

    monkeypatch.setattr(loop_module, "evaluate", some_fail)
    found = explored(tmp_path / "m.sqlite", SETTINGS, 10**6)
    assert any(sample.failure for sample in found.samples)
    assert found.front[0].search.result is not None


def test_no_scheme_that_can_be_measured_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(one: Subject, trial: Trial) -> Sample:
        return Sample(trial=trial, result=None, failure="its loss is not finite")

    monkeypatch.setattr(loop_module, "evaluate", fails)
    with pytest.raises(
        InputError, match="none of 2 schemes could be measured: its loss is not finite"
    ):
        explored(tmp_path / "m.sqlite", LoopSettings(measure=2), 10**6)


def test_a_latency_that_nothing_meets_is_infeasible(tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError, match="no scheme of chain runs within 10 cy"):
        explored(tmp_path / "m.sqlite", SETTINGS, 10)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("measure", 0, "`measure` = 0; must be at least 1"),
        ("per_turn", 0, "`per_turn` = 0; must be at least 1"),
        ("final_epochs", -1, "`final_epochs` = -1; must be at least 0"),
        ("seed", -1, "`seed` = -1; must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SETTINGS, **{name: value})


def test_a_sample_without_a_result_has_none() -> None:
    trial = next(islice([Trial(scheme={}, act_bits=8)], 1))
    with pytest.raises(InputError, match=r"could not be measured: why$"):
        result_of(Sample(trial=trial, result=None, failure="why"))
    trained_one = replace(trial, epochs=2)
    with pytest.raises(InputError, match="why; fewer `final_epochs` train it less"):
        result_of(Sample(trial=trained_one, result=None, failure="why"))
