"""`hao prune`, from a network to simulated hardware, and what it refuses.

Trained for as few steps as there are: what is claimed is that the narrower network goes
on like any other, not that it is accurate (docs/channels.md has figures).
"""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result

import hao
from hao.answer.candidates import BitRules
from hao.answer.objective import Objective
from hao.cli.main import main
from hao.errors import ArgumentError, UnsupportedError
from hao.hw.board import Frames
from hao.ir.change import kept_channels
from hao.ir.channels import without_channels
from hao.ir.layer import Conv
from hao.ir.tensor import QType
from hao.program.solver import Status
from hao.quant.dataset import Dataset, load_dataset
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.weights import WeightSource, load_weights
from hao.request import SearchRequest, candidates_of
from hao.runs.design_file import load_design
from hao.steps import changed
from hao.steps.prune import PruneRequest, prune_run
from hao.zoo import build_network


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a file of random weights: nothing here depends on what they say."""
    torch.manual_seed(0)
    network = folded_network(FloatNet(build_network("digits"), batch_norm=False))
    path = tmp_path / "weights.npz"
    np.savez(path, allow_pickle=False, **dict(network.params))
    return path


def unlabelled() -> Dataset:
    """Return the digits without their labels."""
    digits = load_dataset("digits", build_network("digits").input.ofm)
    return replace(digits, labelled=False)


def test_a_network_is_not_trained_without_labels() -> None:
    found = run(*("prune", "digits", "--fps", "9", "--data", f"{__name__}:unlabelled"))
    assert found.exit_code != 0
    assert "has no labels to train with; --weights FILE brings" in found.output
    assert found.output.count("\n") == 1


def test_without_labels_the_whole_network_says_what_is_right(
    weights: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    # On this board the lanes of the fastest engine leave few widths to choose from.
    words = ("prune", "digits", "--board", "aup-zu3", "--fps", "46000")
    few = ("--steps", "1", "--iterations", "2", "--epochs", "1", "--run", "p")
    given = ("--data", f"{__name__}:unlabelled", "--weights", str(weights))
    more = ("--frames", "back-to-back", "--runs", str(runs), "--quiet")
    found = run(*words, *few, *given, *more)
    assert found.exit_code == 0, found.output
    assert "agreement with the whole network of 539 test frames" in found.output
    assert "whole 100.00 %" in found.output
    pruning = json.loads((runs / "p" / "pruning.json").read_text())
    assert not pruning["labelled"]
    assert load_design(runs / "p").accuracy is None


def test_a_network_that_is_fast_enough_is_left_alone(
    weights: Path, tmp_path: Path
) -> None:
    words = ("prune", "digits", "--fps", "9", "--weights", str(weights))
    found = run(*words, "--runs", str(tmp_path / "runs"), "--quiet")
    assert found.exit_code != 0
    assert "cycles a frame as it is, of" in found.output
    assert not list((tmp_path / "runs").glob("*"))


def test_a_frame_rate_out_of_reach_names_the_nearest(
    weights: Path, tmp_path: Path
) -> None:
    words = ("prune", "digits", "--fps", "900000", "--frames", "back-to-back")
    more = ("--weights", str(weights), "--runs", str(tmp_path / "runs"), "--quiet")
    found = run(*words, *more)
    assert found.exit_code != 0
    assert "the frame rate is out of reach on" in found.output


def test_a_frame_rate_must_be_asked_for() -> None:
    with pytest.raises(ArgumentError, match="`fps` is missing; the network changes"):
        PruneRequest(search=SearchRequest(board="zu3eg", objective=Objective.LATENCY))
    search = SearchRequest(board="zu3eg", fps=9)
    with pytest.raises(ArgumentError, match="`steps` = 0; must be at least 1"):
        PruneRequest(search=search, steps=0)
    with pytest.raises(ArgumentError, match="`seed` = -1; must be at least 0"):
        PruneRequest(search=search, seed=-1)


def test_a_subject_that_is_nothing_is_refused() -> None:
    found = run("prune", "nothing", "--fps", "9")
    assert found.exit_code == 2
    assert found.output.startswith("hao: 'nothing': neither a network of the zoo")


def test_weights_that_a_file_quantized_are_refused(tmp_path: Path) -> None:
    search = SearchRequest(board="zu3eg", fps=9, network="digits")
    candidate = candidates_of(search)[0]
    layers = tuple(
        replace(x, weight=QType(bits=4, signed=True)) if isinstance(x, Conv) else x
        for x in candidate.network.layers
    )
    network = replace(candidate.network, layers=layers)
    with (
        patch.object(
            changed, "candidates_of", lambda *_: [replace(candidate, network=network)]
        ),
        pytest.raises(UnsupportedError, match="quantized already; only networks in fl"),
    ):
        changed.load_trained(PruneRequest(search=search), tmp_path, lambda _: None)


def test_options_of_channels_need_what_their_costs_are_measured_with() -> None:
    found = run("search", "--network", "digits", "--fps", "9", "--options", "channels")
    assert (
        "must be bits, or bits and some of channels, sparsity and operations"
        in found.output
    )
    asked = ("search", "--network", "digits", "--fps", "9", "--options")
    found = run(*asked, "bits,channels")
    assert "needs --data: what these options cost is measured" in found.output
    more = ("--data", "digits", "--drop-blocks", "1")
    found = run(*asked, "bits,channels", *more)
    assert "and --drop-blocks exclude each other" in found.output
    assert found.exit_code != 0


@pytest.mark.parametrize(
    "verified", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
def test_channels_and_bits_are_searched_together(
    weights: Path, tmp_path: Path, verified: bool
) -> None:
    runs = tmp_path / "runs"
    words = ("search", "--network", "digits", "--fps", "36500", "--bits", "4,8")
    more = ("--frames", "back-to-back", "--options", "bits,channels", "--run", "c")
    given = ("--data", "digits", "--weights", str(weights), "--runs", str(runs))
    found = run(*words, *more, *given, "--quiet")
    assert found.exit_code == 0, found.output
    result = load_design(runs / "c")
    kept = kept_channels(result.design.scheme)
    narrow = without_channels(build_network("digits"), kept)
    shapes = [layer.ofm for layer in result.design.network.layers]
    assert shapes == [layer.ofm for layer in narrow.layers]
    load_weights(narrow, WeightSource(path=runs / "c" / "float.pt"))
    if verified:
        assert run("verify", str(runs / "c"), "--quick").exit_code == 0


def test_a_pruned_network_goes_on_to_simulated_hardware(
    weights: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    words = ("prune", "digits", "--fps", "38000", "--frames", "back-to-back")
    few = ("--steps", "1", "--iterations", "2", "--epochs", "1", "--run", "p")
    found = run(*words, *few, "--weights", str(weights), "--runs", str(runs), "--json")
    assert found.exit_code == 0, found.output
    pruning = json.loads(found.stdout)
    result = load_design(runs / "p")
    kept = kept_channels(result.design.scheme)
    before, after = pruning["before"], pruning["after"]
    fewer = {name: count for name, count in after.items() if count < before[name]}
    assert {name: len(channels) for name, channels in kept.items()} == fewer
    whole = build_network("digits")
    narrow = without_channels(whole, kept)
    assert result.design.network.layers == narrow.layers
    assert result.cost.fps * 0.85 >= 38000
    assert result.proof.status is Status.OPTIMAL
    assert run("verify", str(runs / "p"), "--samples", "20").exit_code == 0
    assert [path.name for path in runs.iterdir()] == ["p"]
    assert (runs / "p" / "report.html").is_file()

    # The files hold that network.
    source = WeightSource(path=runs / "p" / "float.pt")
    network = load_weights(narrow, source).network
    frames = np.random.default_rng(0).random((2, 1, 16, 16), dtype=np.float32)
    wanted = FloatNet(network, batch_norm=False).eval()(torch.from_numpy(frames))
    session = onnxruntime.InferenceSession(runs / "p" / "float.onnx")
    (by_onnx,) = session.run(None, {"frames": frames})
    assert np.allclose(by_onnx, wanted.detach().numpy(), atol=1e-3)

    # Its own weights are what is quantized; then it is as any design.
    told: list[str] = []
    request = hao.QuantizeRequest(run=runs / "p", data="digits", method=hao.Method.PTQ)
    quantized = hao.quantize(request, progress=told.append)
    assert quantized.differing == 0
    assert any("float weights are the run's own" in line for line in told)
    hao.emit(runs / "p")
    assert hao.simulate(runs / "p", images=3).exact


@pytest.mark.thorough
def test_a_killed_command_goes_on_where_it_was(weights: Path, tmp_path: Path) -> None:
    search = SearchRequest(
        board="zu3eg",
        network="digits",
        fps=36000,
        frames=Frames.BACK_TO_BACK,
        rules=BitRules(choices=(8,)),
    )
    request = PruneRequest(
        search=search, weights=weights, steps=2, iterations=1, epochs=1
    )
    whole = prune_run(request, tmp_path / "a", force=False, progress=lambda _: None)

    def killed(line: str) -> None:
        if line.startswith("pruning step 2/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_run(request, tmp_path / "b", force=False, progress=killed)
    assert list((tmp_path / "b.work" / "training").glob("channels-*.npz"))
    told: list[str] = []
    again = prune_run(request, tmp_path / "b", force=False, progress=told.append)
    assert not any(line.startswith("pruning step") for line in told)
    assert again[1] == whole[1]
    design = [(tmp_path / name / "design.json").read_bytes() for name in "ab"]
    assert design[0] == design[1]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "a",
        "b",
    ]
