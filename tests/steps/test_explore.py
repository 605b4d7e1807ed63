"""`hao explore`: from a run to measured designs, again and with other data."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hao.cli import main
from hao.errors import ArgumentError
from hao.ir.change import Channels, densities_of, kept_channels
from hao.ir.channels import channel_groups
from hao.measure.sample import Part
from hao.measure.store import open_store, recorded_about
from hao.options.option import Option
from hao.quant.dataset import Dataset, load_dataset
from hao.report.measured import share_interval
from hao.request import asked_again
from hao.runs.certificate import load_certificate
from hao.runs.design_file import load_design
from hao.runs.records import load_records
from hao.steps.explore import ExploreRequest
from hao.zoo import build_network

SEARCH = (
    "search --network digits --board zu3eg --fps 30000 --frames back-to-back "
    "--bits 4,8 --recipe ptq --quiet"
)
DATA = f"{__name__}:few_digits"
EXPLORE = "--measure 2 --per-turn 2 --saliency sqnr --float-epochs 1 --quiet"


def few_digits() -> Dataset:
    whole = load_dataset("digits", build_network("digits").input.ofm)
    some = np.arange(96)
    return replace(
        whole,
        train=whole.train.chosen(some),
        validation=whole.validation.chosen(some[:32]),
        test=whole.test.chosen(some[:64]),
    )


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [w for part in words for w in part.split()])


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    found = run(SEARCH, f"--runs {runs} --run t")
    assert found.exit_code == 0, found.output
    found = run(f"explore {runs / 't'} --data {DATA}", EXPLORE)
    assert found.exit_code == 0, found.output
    assert "2 schemes measured in" in found.output
    assert "no predictor was fitted: too few schemes were measured" in found.output
    return runs / "t"


def test_the_best_is_a_run_of_its_own(explored: Path) -> None:
    best = load_design(explored / "measured-1")
    assert best.accuracy is None
    measured = load_records(explored).measured
    assert measured is not None
    (design,) = measured.designs
    assert design.cycles == best.cost.latency_cycles <= design.cycles_limit
    assert measured.test_frames == 64
    assert design.test_low <= design.test_top1 <= design.test_high
    # What the search proved stays the run's answer.
    assert (explored / "certificate.json").is_file()


def test_report_and_page_show_it_as_measured(explored: Path) -> None:
    assert "measured-1" in run(f"report {explored}").output
    shown = json.loads(run(f"report {explored} --json").output)
    assert shown["measured_schemes"]["schemes"] == 2
    page = (explored / "report.html").read_text(encoding="utf-8")
    assert "Measured on digits: the best of 2 schemes" in page


def test_it_goes_on_without_the_data_named_again(explored: Path) -> None:
    before = load_records(explored).measured
    found = run(f"explore {explored}", EXPLORE.replace("--float-epochs 1", ""))
    assert found.exit_code == 0, found.output
    after = load_records(explored).measured
    assert before is not None
    assert after is not None
    assert after.designs == before.designs
    assert after.seconds_measuring == before.seconds_measuring


def test_other_data_are_refused(explored: Path, tmp_path: Path) -> None:
    other = tmp_path / "t"
    shutil.copytree(explored, other)
    shutil.rmtree(other / "training")
    found = run(f"explore {other} --data {DATA} --seed 1", EXPLORE)
    assert found.exit_code == 2
    assert "measurements of something else: parameters" in found.output


def test_a_run_in_which_nothing_was_measured_needs_data(
    explored: Path, tmp_path: Path
) -> None:
    other = tmp_path / "t"
    shutil.copytree(explored, other)
    (other / "measurements.sqlite").unlink()
    found = run(f"explore {other} --measure 3")
    assert found.exit_code == 2
    assert "nothing was measured in it yet; --data names what" in found.output


@pytest.mark.thorough
def test_channels_and_words_are_measured_beside_bits(
    explored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "t"
    shutil.copytree(explored, other)
    (other / "measurements.sqlite").unlink()
    asked, every = asked_again(load_certificate(explored), "zu3eg")
    network = build_network("digits")
    name, layer = next(
        (group.name, next(iter(group.makers)))
        for group in channel_groups(network)
        if not group.fixed
    )
    (group,) = (g for g in channel_groups(network) if g.name == name)
    channels = tuple(
        Option(layer=name, change=Channels(tuple(range(count))), cost_micro=cost)
        for count, cost in ((group.channels, 0), (group.channels // 2, 1))
    )
    chosen = {
        n: replace(c, densities={layer: {50: 1}}, channels=channels)
        for n, c in every.items()
    }
    monkeypatch.setattr("hao.steps.explore.asked_again", lambda *_: (asked, chosen))
    few = EXPLORE.replace("sqnr", "plug-in").replace("2 --per-turn 2", "6 --per-turn 6")
    found = run(f"explore {other} --data {DATA}", few)
    assert found.exit_code == 0, found.output
    with open_store(other / "measurements.sqlite", _about(other)) as store:
        samples = [s for s in store.samples() if s.trial.part is Part.SEARCH]
    assert len(samples) == 6
    assert all(sample.result is not None for sample in samples)
    kinds = [sample.trial.scheme for sample in samples]
    assert any(densities_of(scheme) for scheme in kinds)
    assert any(len(kept_channels(s)[name]) < group.channels for s in kinds)
    assert load_design(other / "measured-1").cost.latency_cycles > 0


def _about(run_path: Path) -> dict[str, str]:
    names = ("network", "parameters", "data set", "words")
    about = recorded_about(run_path / "measurements.sqlite")
    return {name: about[name] for name in names}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rates 0", "--rates 0; must be above 0"),
        ("--rates 1,x", "must be numbers with commas between"),
    ],
)
def test_rates_out_of_range_are_refused(
    explored: Path, words: str, message: str
) -> None:
    found = run(f"explore {explored}", words)
    assert found.exit_code == 2
    assert message in found.output


@pytest.mark.parametrize(
    ("workers", "cluster", "message"),
    [
        (0, None, "`workers` = 0; must be at least 1"),
        (257, None, "`workers` = 257; must be at most 256"),
        (2, "tcp://host:8786", "`workers` and `cluster` exclude each other"),
    ],
)
def test_workers_that_cannot_be_had_are_refused(
    workers: int, cluster: str | None, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ExploreRequest(run=Path("run"), workers=workers, cluster=cluster)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--data digits",
            "--data, --weights and what goes with them are for --me",
        ),
        ("--measure 3 --no-run", "--measure needs --fps, and a run that is written"),
    ],
)
def test_search_takes_data_with_measure_only(words: str, message: str) -> None:
    found = run(SEARCH, words)
    assert found.exit_code == 2
    assert message in found.output


def test_an_interval_of_a_share_follows_wilson() -> None:
    # 90 of 100, z = 1.645: centre (0.9 + 0.01353) / 1.02706 = 0.88946,
    # half 1.645 * sqrt(0.0009 + 0.00006765) / 1.02706 = 0.04982.
    low, high = share_interval(90.0, 100)
    assert low == pytest.approx(83.96, abs=0.01)
    assert high == pytest.approx(93.93, abs=0.01)
