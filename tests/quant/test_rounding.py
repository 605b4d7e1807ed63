"""Fitted rounding: the same as Brevitas', and better than the nearest."""

import numpy as np
import pytest
import torch
from brevitas.graph.gptq import GPTQ
from brevitas.graph.gpxq import LayerHandler

from hao.errors import InputError
from hao.ir.layer import Compute, Conv, Depthwise, Linear
from hao.ir.network import Network
from hao.ir.tensor import QType
from hao.quant.float_net import FloatNet
from hao.quant.modules import module_key
from hao.quant.ptq import calibrate
from hao.quant.quant_net import QuantNet, weight_type
from hao.quant.rounding import fitted_weights, window_energy
from hao.quant.scheme import uniform_scheme
from tests.quant.networks import chain, every_kind, frames_for


def what_layers_read(network: Network, frames: torch.Tensor) -> dict[str, torch.Tensor]:
    maps: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        FloatNet(network, batch_norm=False).eval().visit(
            frames, lambda layer, ofm: maps.__setitem__(layer.name, ofm)
        )
    return {layer.name: maps[layer.input] for layer in network.compute_layers}


def made(network: Network, bits: int) -> tuple[QuantNet, dict[str, torch.Tensor]]:
    frames = torch.from_numpy(frames_for(network, 40))
    scheme = uniform_scheme(network, weight_bits=bits, act_bits=8)
    model = QuantNet(network, scheme, calibrate(network, scheme, frames))
    return model, what_layers_read(network, frames)


def fitted(model: QuantNet, layer: Compute, x: torch.Tensor) -> torch.Tensor:
    step = torch.from_numpy(np.ldexp(1.0, model.scales.weights[layer.name]))
    weight = model.compute[module_key(layer.name)].get_parameter("weight").detach()
    quant = weight_type(model.scheme, layer)
    return fitted_weights(weight, window_energy(layer, x, x), step, quant)


@pytest.mark.parametrize("bits", [3, 4])
def test_roundings_are_those_of_brevitas(bits: int) -> None:
    model, read = made(every_kind(), bits)
    layers = [
        layer
        for layer in model.network.compute_layers
        if isinstance(layer, Conv | Linear)
    ]
    compared = 0
    for layer in layers:
        x = read[layer.name]
        if window_energy(layer, x, x).own.diagonal(dim1=1, dim2=2).min() == 0:
            continue  # Brevitas sets weights of such inputs to 0.
        compared += 1
        module = model.compute[module_key(layer.name)]
        ours = fitted(model, layer, x)
        gptq = GPTQ(
            layer=module,
            name=layer.name,
            act_order=True,
            len_parallel_layers=1,
            create_weight_orig=False,
            num_blocks=1,
        )
        inputs = x.flatten(1) if isinstance(layer, Linear) else x
        with torch.no_grad():
            gptq.compute_iterative_covariance(module, (inputs,), LayerHandler())
            gptq.single_layer_update()
        theirs = module.get_parameter("weight").double()
        step = np.ldexp(1.0, model.scales.weights[layer.name])
        by_row = torch.from_numpy(step).reshape(-1, *[1] * (ours.ndim - 1))
        codes = torch.round(ours / by_row)
        # Single precision there: one code in a hundred may fall to the other side.
        same = (codes == torch.round(theirs / by_row)).double().mean()
        assert same >= 0.99, layer.name
    assert compared >= 2


def sum_error(
    model: QuantNet, layer: Compute, x: torch.Tensor, weight: torch.Tensor
) -> float:
    """Return the mean squared change of the sums, computed by the layer itself."""
    net = FloatNet(model.network, batch_norm=False).eval()
    parameter = net.compute[module_key(layer.name)].get_parameter("weight")
    with torch.no_grad():
        before = net.sums(layer, x)
        parameter.copy_(weight)
        return float(torch.square(net.sums(layer, x) - before).mean())


@pytest.mark.parametrize("make", [chain, every_kind])
def test_sums_change_less_than_with_the_nearest_codes(make: object) -> None:
    network = chain() if make is chain else every_kind()
    model, read = made(network, 3)
    better, count = 0, 0
    for layer in network.compute_layers:
        module = model.compute[module_key(layer.name)]
        with torch.no_grad():
            nearest = module.quant_weight().value  # type: ignore[operator]
        x = read[layer.name]
        ours = sum_error(model, layer, x, fitted(model, layer, x))
        plain = sum_error(model, layer, x, nearest)
        better += ours <= plain
        count += 1
    # Greedy, so that a layer of few terms may lose.
    assert better >= 0.8 * count


def test_energy_is_that_of_the_windows() -> None:
    network = every_kind()
    frames = torch.from_numpy(frames_for(network, 5))
    read = what_layers_read(network, frames)
    generator = torch.Generator().manual_seed(0)
    for layer in network.compute_layers:
        net = FloatNet(network, batch_norm=False).eval()
        module = net.compute[module_key(layer.name)]
        weight = module.get_parameter("weight")
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=generator))
            module.get_parameter("bias").zero_()
            sums = net.sums(layer, read[layer.name])
        energy = window_energy(layer, read[layer.name], read[layer.name]).own
        groups = layer.ofm.channels if isinstance(layer, Depthwise) else 1
        rows = weight.detach().double().reshape(groups, -1, energy.shape[-1])
        mean = torch.einsum("gok,gkl,gol->go", rows, energy, rows).flatten()
        expected = torch.square(sums.double()).mean((0, 2, 3))
        torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)


def test_inputs_that_no_frame_uses_keep_the_nearest_codes() -> None:
    model, read = made(every_kind(), 4)
    layer = next(
        layer
        for layer in model.network.compute_layers
        if isinstance(layer, Conv) and layer.kernel == 1
    )
    x = read[layer.name].clone()
    x[:, 1] = 0
    module = model.compute[module_key(layer.name)]
    with torch.no_grad():
        nearest = module.quant_weight().value  # type: ignore[operator]
    found = fitted(model, layer, x)
    torch.testing.assert_close(found[:, 1], nearest[:, 1].double())
    dark = fitted(model, layer, torch.zeros_like(x))
    torch.testing.assert_close(dark, nearest.double())


@pytest.mark.parametrize("kind", [Conv, Depthwise])
def test_weights_make_up_for_inputs_that_lost_something(kind: type) -> None:
    model, read = made(every_kind(), 8)
    layer = next(
        layer for layer in model.network.compute_layers if isinstance(layer, kind)
    )
    exact = read[layer.name]
    rounded = 0.8 * exact
    module = model.compute[module_key(layer.name)]
    weight = module.get_parameter("weight").detach()
    step = torch.from_numpy(np.ldexp(1.0, model.scales.weights[layer.name]))
    energy = window_energy(layer, exact, rounded)
    wide = QType(bits=8, signed=True, narrow=True)
    found = fitted_weights(weight, energy, step, wide)
    net = FloatNet(model.network, batch_norm=False).eval()
    with torch.no_grad():
        wanted = net.sums(layer, exact)
        plain = net.sums(layer, rounded)
        net.compute[module_key(layer.name)].get_parameter("weight").copy_(found)
        ours = net.sums(layer, rounded)
    assert (
        torch.square(ours - wanted).mean() < 0.3 * torch.square(plain - wanted).mean()
    )


def test_inputs_whose_squares_overflow_are_refused() -> None:
    layer = chain().compute_layers[0]
    shape = chain().input.ofm
    frames = torch.full((1, shape.channels, shape.height, shape.width), 1e20)
    with pytest.raises(InputError, match=rf"layer '{layer.name}': squares .* overflow"):
        window_energy(layer, frames, frames)
