"""What the options for data, weights and pictures ask for."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hao.cli.source import source_options
from hao.errors import ArgumentError, InputError
from hao.ir.picture import Fit, Interpolation, Preparation
from hao.steps.floats import Method, QuantizeRequest, Source


def asked(*words: str) -> Source:
    """Return the data and weights that a command line with these words names."""
    found: list[Source] = []

    @click.command()
    @source_options
    def command(source: Source) -> None:
        found.append(source)

    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found[0]


def test_words_become_data_and_weights() -> None:
    found = asked(
        *("--data", "photos", "--weights", "net.pth", "--bn-eps", "0.001"),
        *("--mean", "127", "--std", "128", "--resize", "256"),
        *("--interpolation", "bicubic", "--mapping", "map.txt", "--labels", "names"),
    )
    assert found == Source(
        data="photos",
        weights=Path("net.pth"),
        preparation=Preparation(
            fit=Fit(short_side=256, interpolation=Interpolation.BICUBIC),
            mean=(127 / 255,),
            std=(128 / 255,),
        ),
        labels=Path("names"),
        bn_eps=0.001,
        mapping=Path("map.txt"),
    )


def test_a_preset_names_mean_and_std() -> None:
    found = asked("--preset", "imagenet")
    assert found.preparation.mean == (0.485, 0.456, 0.406)


def test_nothing_named_is_the_default() -> None:
    assert asked() == Source()
    assert asked("--seed", "1") != Source()


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="`mean` and `std`; must be given both"):
        asked("--mean", "0.5")
    with pytest.raises(ArgumentError, match="`mapping` belongs to `weights`; none we"):
        asked("--mapping", "map.txt")


def test_calibration_alone_has_no_epochs() -> None:
    with pytest.raises(ArgumentError, match=r"`epochs` = 3: `method` = 'ptq' trains n"):
        QuantizeRequest(run=Path("r"), method=Method.PTQ, epochs=3)
