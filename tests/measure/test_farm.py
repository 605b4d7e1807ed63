"""Measuring on processes and on a real Dask cluster, of which a worker dies."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hao.answer.workers import IN_PROCESS, open_workers
from hao.ir.change import Bits, Change, scheme_of
from hao.measure.sample import Result, Sample, Trial
from hao.measure.subject import evaluate
from tests.answer.test_workers import cluster, wait_for
from tests.measure.samples import subject, trained


def quiet(_: str) -> None:
    """Drop a line of progress."""


def trials() -> list[Trial]:
    names = [layer.name for layer in trained().compute_layers]
    return [
        Trial(scheme=scheme_of(dict.fromkeys(names, bits)), act_bits=8)
        for bits in (2, 3, 4, 8)
    ]


def found(samples: Iterator[Sample]) -> list[tuple[str, float, float]]:
    return [
        (one.trial.key, one.result.top1, round(one.result.divergence, 6))
        for one in samples
        if one.result is not None
    ]


def _loaded(marker: str, change: Change) -> Change:
    """Return the change, but end the process the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return change


@dataclass(frozen=True)
class Deadly:
    """A change that kills the process that unpickles it first."""

    marker: str

    def __reduce__(self) -> tuple[object, tuple[str, Change]]:
        return _loaded, (self.marker, Bits(weight_bits=2))


@pytest.mark.thorough
def test_processes_measure_as_one_does_though_one_dies(tmp_path: Path) -> None:
    expected = found(IN_PROCESS.each(evaluate, subject(), trials(), quiet))
    assert len(expected) == 4
    given = trials()
    scheme: dict[str, Change] = {
        **given[0].scheme,
        "stem": Deadly(str(tmp_path / "died")),  # type: ignore[dict-item] # unpickles
    }
    given[0] = Trial(scheme=scheme, act_bits=8)
    with open_workers(2) as workers:
        assert found(workers.each(evaluate, subject(), given, quiet)) == expected
    assert (tmp_path / "died").exists()


@pytest.mark.thorough
def test_a_cluster_measures_as_one_process_does_though_a_worker_dies() -> None:
    expected = found(IN_PROCESS.each(evaluate, subject(), trials(), quiet))
    with cluster(2) as dask, open_workers(cluster=dask.address) as workers:
        wait_for(workers, 2)
        samples = workers.each(evaluate, subject(), trials() * 3, quiet)
        first = found(iter([next(samples)]))
        dask.nodes[0].kill()
        assert first + found(samples) == expected * 3


def test_a_trial_says_what_progress_shows() -> None:
    result = Result(
        frames=1, top1=0.0, loss=0.0, divergence=0.0, agreement=0.0, seconds=0.0
    )
    plain = Sample(trial=trials()[0], result=result).trial
    assert plain.label == "measuring a scheme (given, search)"
    trained_one = Trial(scheme={}, act_bits=8, epochs=3)
    assert trained_one.label == "measuring a scheme (given, search, 3 epochs)"
