"""What is quantized is the network of the design, pruned as it says, at its bits."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

import hao
from hao.cost.evaluate import evaluate
from hao.engine.design import Design
from hao.frontends.model_file import load_model
from hao.ir.change import densities_of
from hao.ir.network import Network
from hao.quant.scheme import Scheme
from hao.runs.run import write_run
from hao.steps.floats import model_network
from tests.emission.random_designs import random_sample
from tests.report.samples import small_result

SEED = 41
"""A design with activations of 4 bits whose layers keep 1 to 90 % of their words."""


class StoppedError(Exception):
    """The quantizer was reached."""


def float_network(design: Design) -> Network:
    """Return the layers of a design with weights of which none is zero."""
    rng = np.random.default_rng(0)
    params = {
        key: np.abs(rng.normal(size=array.shape)) + 0.1
        for key, array in random_sample(SEED).net.network.params.items()
    }
    return replace(design.network, params=MappingProxyType(params))


def test_the_quantizer_gets_the_pruned_network_and_the_bits_of_the_design(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = random_sample(SEED).design
    assert design.engine.act_bits == 4
    result = replace(
        small_result(front=False),
        design=design,
        cost=evaluate(design),
        image_size=design.network.input.ofm.width,
    )
    run = write_run(result, tmp_path / "run", force=False).run
    frames = SimpleNamespace(train=SimpleNamespace(frames=np.zeros(1)))
    given: list[tuple[Network, Scheme]] = []

    def quantizer(network: Network, scheme: Scheme, *rest: object, **_: object) -> None:
        given.append((network, scheme))
        raise StoppedError

    monkeypatch.setattr("hao.quant.ptq.quantize_network", quantizer)
    monkeypatch.setattr(
        "hao.steps.quantize.float_inputs",
        lambda *_, **__: (float_network(design), SimpleNamespace(dataset=frames)),
    )
    assert run is not None
    with pytest.raises(StoppedError):
        hao.quantize(hao.QuantizeRequest(run=run, method=hao.Method.PTQ))
    ((network, scheme),) = given
    assert scheme.act_bits == 4
    assert scheme.weight_bits == design.weight_bits
    densities = densities_of(design.scheme)
    kept = {
        layer.name: np.count_nonzero(network.params[f"{layer.name}.weight"])
        / layer.weights
        for layer in design.network.compute_layers
    }
    # Whole words are kept, and one at least.
    assert all(share >= densities.get(name, 100) / 100 for name, share in kept.items())
    pruned = {name for name, share in kept.items() if share < 1}
    assert len(pruned) > 2
    assert pruned <= set(densities)


def test_a_model_is_read_again_at_the_frames_of_its_design() -> None:
    spec = Path("tests.frontends.from_torch.test_module:small")
    designed = load_model(spec, image_size=(8, 12)).network
    assert model_network(spec, designed).input == designed.input
