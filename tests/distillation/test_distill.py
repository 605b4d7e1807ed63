"""Distillation: operations learn their block's map, passes resume, faults are said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hao.distillation.distill as module
from hao.distillation.distill import Distilled, DistillSettings, distill
from hao.distillation.pool import Place
from hao.errors import InputError
from hao.ir.network import Network
from hao.quant.dataset import Split
from tests.distillation.conftest import SETTINGS
from tests.distillation.instances import dataset

SHORT = replace(SETTINGS, epochs=1, frames=32)


def test_operations_learn_what_their_block_does(
    trained: Network, places: tuple[Place, ...], distilled: Distilled
) -> None:
    before = distill(trained, places, dataset().train, SHORT)
    assert set(distilled.errors) == {
        (place.block.name, name) for place in places for name in place.operations
    }
    for key, error in distilled.errors.items():
        assert error < before.errors[key]
    # A convolution like the one that the block has comes near it.
    assert distilled.errors["l3", "conv3"] < distilled.errors["l3", "conv1"]


def test_a_killed_distillation_goes_on_to_the_same_end(
    trained: Network,
    places: tuple[Place, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = dataset().train
    whole = distill(trained, places, train, SHORT)
    passes = []

    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt, match="pass 1 of 2"):
        distill(trained, places, train, SHORT, folder=tmp_path, progress=stop)
    run = module._Pass.run

    def counted(self: module._Pass, split: Split) -> module.Found:
        passes.append(1)
        return run(self, split)

    monkeypatch.setattr(module._Pass, "run", counted)
    again = distill(trained, places, train, SHORT, folder=tmp_path)
    assert len(passes) == 1
    assert again.errors == whole.errors
    for key, array in whole.params.items():
        np.testing.assert_array_equal(array, again.params[key])


def test_passes_of_other_settings_are_kept_apart(
    trained: Network, places: tuple[Place, ...], tmp_path: Path
) -> None:
    train = dataset().train
    distill(trained, places, train, SHORT, folder=tmp_path)
    distill(trained, places, train, replace(SHORT, seed=1), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_pass_that_is_not_readable_is_refused(
    trained: Network, places: tuple[Place, ...], tmp_path: Path
) -> None:
    train = dataset().train
    distill(trained, places, train, SHORT, folder=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(
        InputError, match=r"000.pt: not readable as a checkpoint; delete"
    ):
        distill(trained, places, train, SHORT, folder=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(
    trained: Network, places: tuple[Place, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="checkpoints of the training lie there"):
        distill(
            trained, places, dataset().train, SHORT, folder=tmp_path / "file" / "in"
        )


def test_distillation_that_diverges_is_said(
    trained: Network, places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module._Pass, "_step", lambda self, *rest: dict.fromkeys(self._nets, np.nan)
    )
    with pytest.raises(InputError, match="'conv1' in the place of 'l3' diverged; low"):
        distill(trained, places, dataset().train, SHORT)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"epochs 0, batch 64, .* must be at least 1"):
        DistillSettings(epochs=0)
    with pytest.raises(InputError, match="learning rate 1; must be between 0 and 1"):
        DistillSettings(learning_rate=1)
