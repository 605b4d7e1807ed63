"""`hao prune --method sparsity`, from a network to simulated hardware, and together.

Trained for as few steps as there are: what is claimed is that the pruned network goes
on like any other, not that it is accurate (docs/sparsity.md has figures).
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from hao.cli.main import main
from hao.emission.weights import stage_words
from hao.ir.change import densities_of
from hao.ir.network import Network
from hao.ir.sparsity import kept_words
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.weights import WeightSource, load_weights
from hao.report.hardware import values_json
from hao.runs.design_file import load_design
from hao.steps.prune import PruneMethod, Pruning, render_pruning
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


def _check_words(network: Network, run_path: Path) -> None:
    """Check that weights hold no more words than the design keeps."""
    design = load_design(run_path).design
    densities = densities_of(design.scheme)
    for name, words in stage_words(design).items():
        used = words.sums(network.params[f"{name}.weight"].astype(np.float64) ** 2) > 0
        kept = kept_words(words.count, densities.get(name, 100))
        assert used.sum(axis=1).max() <= kept


@pytest.mark.thorough
def test_a_pruned_network_goes_on_to_simulated_hardware(
    weights: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    words = ("prune", "digits", "--fps", "37500", "--frames", "back-to-back")
    few = ("--method", "sparsity", "--steps", "1", "--iterations", "2", "--epochs", "1")
    given = ("--run", "p", "--weights", str(weights), "--runs", str(runs), "--json")
    found = run(*words, *few, *given)
    assert found.exit_code == 0, found.output
    pruning = json.loads(found.stdout)
    assert pruning["method"] == "sparsity"
    assert pruning["after"] != pruning["before"]
    result = load_design(runs / "p")
    assert densities_of(result.design.scheme)
    assert result.cost.fps * 0.85 >= 37500
    source = WeightSource(path=runs / "p" / "float.pt")
    network = load_weights(build_network("digits"), source).network
    _check_words(network, runs / "p")
    assert run("verify", str(runs / "p"), "--samples", "20").exit_code == 0
    assert (runs / "p" / "float.onnx").is_file()
    assert [path.name for path in runs.iterdir()] == ["p"]
    place = str(runs / "p")
    assert run("quantize", place, "--method", "ptq", "--quiet").exit_code == 0
    assert run("emit-hls", place).exit_code == 0
    simulated = run("simulate", place, "--images", "4", "--quiet")
    assert simulated.exit_code == 0, simulated.output
    assert "bit-exact" in simulated.output


@pytest.mark.thorough
def test_words_and_bits_are_searched_together_and_verified(
    weights: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    words = ("search", "--network", "digits", "--fps", "37500", "--bits", "8")
    more = ("--frames", "back-to-back", "--options", "bits,sparsity", "--run", "c")
    given = ("--data", "digits", "--weights", str(weights), "--runs", str(runs))
    found = run(*words, *more, *given, "--quiet")
    assert found.exit_code == 0, found.output
    assert "kept of the words of weights: " in found.output
    network = load_weights(
        build_network("digits"), WeightSource(path=runs / "c" / "float.pt")
    ).network
    _check_words(network, runs / "c")
    assert run("verify", str(runs / "c"), "--quick").exit_code == 0


def test_what_pruning_did_names_words_by_layer() -> None:
    pruning = Pruning(
        network="n",
        data="d",
        frames=10,
        labelled=True,
        method=PruneMethod.SPARSITY,
        before={"a": 8},
        after={"a": 5},
        whole_top1=99.0,
        cut_top1=50.0,
        top1=98.0,
        whole_fps=10.0,
        fps=12.0,
    )
    first, _, second = render_pruning(pruning).splitlines()[:3]
    assert first.split() == ["layer", "words", "kept"]
    assert second.split() == ["a", "8", "5"]
    assert values_json(pruning)["method"] == "sparsity"
