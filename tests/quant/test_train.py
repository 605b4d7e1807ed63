"""Training: it learns, resumes to the same weights, and refuses what does not fit."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from hao.errors import InputError
from hao.ir.layer import Conv, Linear
from hao.ir.network import Network
from hao.ir.sparsity import with_densities
from hao.quant.dataset import Split
from hao.quant.distill import teacher_of
from hao.quant.float_net import FloatNet
from hao.quant.integers import (
    classes_of_integers,
    count_differences,
    integer_network,
)
from hao.quant.ptq import quantize_network
from hao.quant.quant_net import QuantNet
from hao.quant.scheme import uniform_scheme
from hao.quant.train import (
    EpochReport,
    TrainSettings,
    accuracy_of_net,
    train_float,
    train_quantized,
    tune_float,
)
from tests.quant.networks import chain, every_kind, stripes

SETTINGS = TrainSettings(epochs=6, learning_rate=0.03, batch=4)


def untrained() -> Network:
    return replace(chain(), params=MappingProxyType({}))


class KilledError(Exception):
    pass


def killed_after(epoch: int, report: EpochReport) -> None:
    if report.epoch == epoch:
        raise KilledError


def test_float_training_learns_and_reports() -> None:
    dataset = stripes()
    reports: list[EpochReport] = []
    network = train_float(untrained(), dataset, SETTINGS, progress=reports.append)
    assert accuracy_of_net(FloatNet(network, batch_norm=False), dataset.test) == 1.0
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].loss < 0.5 * reports[0].loss


def test_one_output_learns_two_classes() -> None:
    whole = stripes(120)
    splits = []
    for split in (whole.train, whole.validation, whole.test):
        two = np.flatnonzero(split.labels < 2)
        splits.append(Split(frames=split.frames[two], labels=split.labels[two]))
    train, validation, test = splits
    dataset = replace(whole, train=train, validation=validation, test=test, classes=2)
    *before, last = untrained().layers
    assert isinstance(last, Linear)
    one = replace(last, ofm=replace(last.ofm, channels=1))
    network = replace(untrained(), layers=(*before, one))
    trained = train_float(network, dataset, SETTINGS)
    assert accuracy_of_net(FloatNet(trained, batch_norm=False), dataset.test) == 1.0
    scheme = uniform_scheme(trained, weight_bits=8, act_bits=8)
    net = integer_network(quantize_network(trained, scheme, train.frames))
    classes = classes_of_integers(net, dataset.test.frames)
    assert np.array_equal(classes, dataset.test.labels)
    with pytest.raises(InputError, match="3 classes; network 'chain' gives 1 outputs"):
        train_float(network, whole, SETTINGS)


def test_float_training_is_reproducible_and_depends_on_the_seed() -> None:
    dataset = stripes()
    short = replace(SETTINGS, epochs=1)
    one, two, other = (
        train_float(untrained(), dataset, replace(short, seed=seed))
        for seed in (0, 0, 1)
    )
    for key, array in one.params.items():
        np.testing.assert_array_equal(array, two.params[key])
    assert np.any(one.params["stem.weight"] != other.params["stem.weight"])


def test_a_killed_float_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    dataset, place = stripes(), tmp_path / "runs" / "float.pt"
    whole = train_float(untrained(), dataset, SETTINGS)
    with pytest.raises(KilledError):
        train_float(
            untrained(),
            dataset,
            SETTINGS,
            checkpoint=place,
            progress=lambda report: killed_after(3, report),
        )
    reports: list[EpochReport] = []
    resumed = train_float(
        untrained(), dataset, SETTINGS, checkpoint=place, progress=reports.append
    )
    assert [report.epoch for report in reports] == [4, 5, 6]
    for key, array in whole.params.items():
        np.testing.assert_array_equal(resumed.params[key], array)
    assert [path.name for path in place.parent.iterdir()] == ["float.pt"]


def quantized() -> QuantNet:
    dataset = stripes()
    network = train_float(untrained(), dataset, replace(SETTINGS, epochs=2))
    scheme = uniform_scheme(network, weight_bits=2, act_bits=3)
    return quantize_network(network, scheme, dataset.train.frames)


def test_quantized_training_learns_and_stays_exact() -> None:
    dataset, start = stripes(), quantized()
    before = {key: value.clone() for key, value in start.state_dict().items()}
    trained = train_quantized(start, dataset, SETTINGS)
    assert accuracy_of_net(trained, dataset.test) >= 0.9
    assert accuracy_of_net(trained, dataset.test) >= accuracy_of_net(
        start, dataset.test
    )
    net = integer_network(trained)
    assert count_differences(trained, net, dataset.test.frames).differences == 0
    for key, value in start.state_dict().items():
        assert torch.equal(value, before[key])
    assert any(
        not torch.equal(value, before[key])
        for key, value in trained.state_dict().items()
    )


def test_weights_that_were_pruned_stay_zero_in_training() -> None:
    dataset, network = stripes(), train_float(untrained(), stripes(), SETTINGS)
    layer = next(x for x in network.compute_layers if isinstance(x, Conv))
    params = dict(network.params)
    weight = np.array(params[f"{layer.name}.weight"])
    weight.reshape(-1)[::2] = 0
    params[f"{layer.name}.weight"] = weight
    pruned = replace(
        with_densities(network, {layer.name: 50}), params=MappingProxyType(params)
    )
    for density, still in ((50, True), (100, False)):
        start = with_densities(pruned, {layer.name: density})
        scheme = uniform_scheme(start, weight_bits=4, act_bits=8)
        model = quantize_network(start, scheme, dataset.train.frames)
        net = train_quantized(model, dataset, SETTINGS)
        codes = integer_network(net).param(layer.name, "weight").reshape(-1)
        assert codes[1::2].any()
        assert codes[::2].any() != still
        tuned = tune_float(start, dataset, SETTINGS, teacher=teacher_of(network))
        values = tuned.params[f"{layer.name}.weight"].reshape(-1)
        assert values[1::2].all()
        assert values[::2].any() != still


def test_a_killed_quantized_run_resumes_to_the_same_integers(tmp_path: Path) -> None:
    dataset, start, place = stripes(), quantized(), tmp_path / "quantized.pt"
    settings = replace(SETTINGS, epochs=3)
    whole = integer_network(train_quantized(start, dataset, settings))
    with pytest.raises(KilledError):
        train_quantized(
            start,
            dataset,
            settings,
            checkpoint=place,
            progress=lambda report: killed_after(1, report),
        )
    resumed = train_quantized(start, dataset, settings, checkpoint=place)
    for key, array in integer_network(resumed).network.params.items():
        np.testing.assert_array_equal(whole.network.params[key], array)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    dataset, place = stripes(), tmp_path / "float.pt"
    short = replace(SETTINGS, epochs=1)
    train_float(untrained(), dataset, short, checkpoint=place)
    with pytest.raises(InputError, match="checkpoint of another network, data set or"):
        train_float(untrained(), dataset, replace(short, seed=1), checkpoint=place)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "float.pt"
    place.write_bytes(b"cut off")
    with pytest.raises(InputError, match="not readable as a checkpoint; delete it"):
        train_float(untrained(), stripes(), SETTINGS, checkpoint=place)
    torch.save({"schema": "other"}, place)
    with pytest.raises(InputError, match=r"no 'hao\.training/1' checkpoint"):
        train_float(untrained(), stripes(), SETTINGS, checkpoint=place)


def test_data_that_do_not_fit_are_refused() -> None:
    dataset = stripes()
    with pytest.raises(InputError, match="network 'every_kind' reads"):
        train_float(every_kind(), dataset, SETTINGS)
    more = replace(dataset, classes=4)
    with pytest.raises(InputError, match="4 classes; network 'chain' gives 3 outputs"):
        train_float(untrained(), more, SETTINGS)


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}]
)
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be"):
        replace(SETTINGS, **change)  # type: ignore[arg-type] # wrong on purpose


def test_training_that_diverges_says_so() -> None:
    scheme = uniform_scheme(chain(), weight_bits=8, act_bits=8)
    model = quantize_network(chain(), scheme, stripes().train.frames)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(InputError, match="training diverged in epoch 1; bring the"):
        train_quantized(model, stripes(), SETTINGS)
