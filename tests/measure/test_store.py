"""The store: what it keeps, what it refuses, and that a kill loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.ir.change import Bits, Change, Channels, LeaveOut, Replace, change_text
from hao.ir.layer import Conv
from hao.ir.tensor import Shape
from hao.measure.sample import (
    Origin,
    Part,
    Result,
    Sample,
    Trial,
    scheme_key,
    scheme_of_key,
)
from hao.measure.store import Store, open_store, recorded_about

ABOUT = {"network": "digits 1", "data set": "digits 2"}
SCHEME: dict[str, Change] = {
    "stem": Bits(weight_bits=8, passes=2),
    "block": LeaveOut(),
    "head.channels": Channels((0, 1, 3)),
}
RESULT = Result(
    frames=7, top1=71.5, loss=0.5, divergence=0.25, agreement=85.0, seconds=1.5
)


def sample(number: int) -> Sample:
    scheme = {"stem": Bits(weight_bits=2 + number % 7)}
    trial = Trial(scheme=scheme, act_bits=8, seed=number // 7, cycles=number)
    return Sample(trial=trial, result=RESULT)


def test_a_key_names_the_network_and_not_how_it_runs() -> None:
    key = scheme_key(SCHEME, 5)
    scheme, act_bits = scheme_of_key(key)
    assert act_bits == 5
    assert scheme == {**SCHEME, "stem": Bits(weight_bits=8)}
    assert scheme_key(scheme, act_bits) == key


def test_an_operation_is_known_by_its_block_and_word(tmp_path: Path) -> None:
    layer = Conv(
        name="new",
        input="stem",
        ifm=Shape(channels=1, height=2, width=2),
        ofm=Shape(channels=1, height=2, width=2),
        kernel=1,
    )
    change = Replace(operation="conv1", layers=(layer,), weight_bits=4)
    known = {("block", change_text(change)): change}
    trial = Trial(scheme={"block": change}, act_bits=8)
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT, known=known) as store:
        store.add(Sample(trial=trial, result=RESULT))
        (found,) = store.samples()
    assert found.trial == trial
    with (
        open_store(path, ABOUT) as store,
        pytest.raises(InputError, match="must be a key of a scheme"),
    ):
        store.samples()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("no json", "must be a key of a scheme"),
        ('{"act_bits": 8}', "must be a key of a scheme"),
        ('{"act_bits": 9, "changes": {}}', "act_bits; must be from 2 to 8"),
        ('{"act_bits": 8, "changes": {"a": "bits_x"}}', "must be a key of a scheme"),
    ],
)
def test_what_is_no_key_is_refused(key: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scheme_of_key(key)


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    failed = Sample(
        trial=Trial(
            scheme={"a": Bits(weight_bits=2)},
            act_bits=4,
            part=Part.TEST,
            epochs=2,
            origin=Origin.BEST,
            turn=3,
        ),
        result=None,
        failure="its loss is not finite",
    )
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT) as store:
        store.add(sample(1))
        store.add(failed)
        store.add(replace(sample(1), result=replace(RESULT, top1=0.0)))
        store.add_saliencies(8, "plug-in", {("stem", "bits_2"): 0.5}, 2.0)
    with open_store(path, ABOUT) as store:
        assert store.samples() == (sample(1), failed)
        assert store.saliencies(8, "plug-in") == {("stem", "bits_2"): 0.5}
        assert store.saliencies(8, "sqnr") == {}
    assert recorded_about(path)["network"] == "digits 1"
    assert recorded_about(tmp_path / "none") == {}


def test_a_faster_design_of_a_scheme_is_kept(tmp_path: Path) -> None:
    slow = sample(1)
    one = replace(slow, trial=replace(slow.trial, cycles=100))
    with open_store(tmp_path / "m.sqlite", ABOUT) as store:
        store.add(one)
        for cycles, kept in ((120, 100), (80, 80), (90, 80)):
            store.quicken(one.trial.key, cycles)
            assert [found.trial.cycles for found in store.samples()] == [kept]
        store.quicken("another", 1)
        assert [found.trial.cycles for found in store.samples()] == [80]


@pytest.mark.parametrize("name", ABOUT)
def test_a_store_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT) as store:
        store.add(sample(1))
    with (
        pytest.raises(
            InputError,
            match=rf"m.sqlite: measurements of something else: {name} digits ., here "
            "new; use another run",
        ),
        open_store(path, {**ABOUT, name: "new"}),
    ):
        pass


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT):
        pass
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE about SET value = 'hao.measurements/0' WHERE name='schema'"
    )
    connection.commit()
    connection.close()
    with (
        pytest.raises(InputError, match="else: schema"),
        open_store(path, ABOUT),
    ):
        pass


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    path.write_bytes(b"no database" * 200)
    with (
        pytest.raises(InputError, match=r"not usable as a store .*delete it"),
        open_store(path, ABOUT),
    ):
        pass


def test_a_second_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT):
        with (
            pytest.raises(InputError, match="another hao command measures in it"),
            open_store(path, ABOUT),
        ):
            pass
        with pytest.raises(InputError, match="another hao command measures in it"):
            recorded_about(path)


def test_a_full_disk_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    with open_store(path, ABOUT) as store:
        store.add(sample(0))
        kept = 1
        connection = _connection(store)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        message = ""
        while not message:
            try:
                store.add(sample(kept))
                kept += 1
            except InputError as error:
                message = str(error)
        assert "disk is full; all samples so far are kept, make room" in message
    with open_store(path, ABOUT) as store:
        assert store.samples() == tuple(sample(n) for n in range(kept))
        store.add(sample(kept))
        assert len(store.samples()) == kept + 1


def _connection(store: Store) -> sqlite3.Connection:
    return store._connection


WRITER = """
import sys
from pathlib import Path
from hao.measure.store import open_store
from tests.measure.test_store import ABOUT, sample
with open_store(Path(sys.argv[1]), ABOUT) as store:
    for number in range(100000):
        store.add(sample(number))
        print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 5, 23])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "m.sqlite"
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(lines)]
    time.sleep(0.001 * lines)  # somewhere inside a later write
    process.send_signal(signal.SIGKILL)
    said += [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    with open_store(path, ABOUT) as store:
        found = store.samples()
        # All that it said it kept, and at most the one that it was about to say.
        assert len(said) <= len(found) <= len(said) + 1
        assert found == tuple(sample(n) for n in range(len(found)))
        store.add(sample(len(found)))
        assert len(store.samples()) == len(found) + 1


def test_a_store_that_cannot_be_written_is_not_to_be_deleted(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"unable to open .*; all samples so far are"),
        open_store(tmp_path / "nowhere" / "m.sqlite", ABOUT),
    ):
        pass
