"""What one operation, or fewer bits of one layer, alone do to the network's outputs.

Plug-in loss: the teacher with that one change, and by how much the loss towards the
teacher's outputs rises [nats] (LANA takes the loss towards labels on a small labelled
set; towards the teacher's outputs it needs none, and ranks alike). Weights are rounded
as post-training quantization rounds them; maps stay in floating point.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.distillation.distill import teacher_maps
from hao.distillation.pool import Params, Place, alone, behind, own_params
from hao.ir.network import Network
from hao.quant.dataset import Frames
from hao.quant.float_net import FloatNet, with_parameters
from hao.quant.modules import choose_device, class_scores
from hao.quant.outputs import EVALUATION_BATCH, divergence, log_probabilities
from hao.quant.ptq import rounded_weight

Floats = NDArray[np.float64]

IDENTITY = "identity"
"""What leaving a block out is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Plug-in losses [nats], at least 0.

    Attributes:
        operations: By block, operation and bits.
        identities: Of leaving a block out, by block.
        bits: Of the teacher's own layers, by layer and bits.
    """

    operations: Mapping[tuple[str, str, int], float]
    identities: Mapping[str, float]
    bits: Mapping[tuple[str, int], float]


def score(
    network: Network,
    places: tuple[Place, ...],
    params: Params,
    frames: Frames,
    choices: Sequence[int],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Scores:
    """Return the plug-in losses of all operations and of all bits of the layers.

    Args:
        network: The teacher, with float parameters.
        places: Blocks with their operations.
        params: Of the operations' layers.
        frames: What is measured on, shape (frames, channels, height, width).
        choices: Weight bits on offer.
        progress: Told of every block.
    """
    device = choose_device()
    teacher = FloatNet(network, batch_norm=False).eval().to(device)
    exact = log_probabilities(teacher, frames)
    operations: dict[tuple[str, str, int], float] = {}
    identities: dict[str, float] = {}
    for number, place in enumerate(places):
        block = place.block
        entries = maps_of(teacher, frames, block.entry)
        rest = behind(network, block.result)
        assert rest is not None, "what makes the network's output is not replaced"
        tail = FloatNet(rest, batch_norm=False).eval().to(device)
        if place.identity:
            identities[block.name] = divergence(exact, _through([tail], entries))
        for name, layers in place.operations.items():
            bare = alone(layers)
            trained = with_parameters(bare, own_params(params, layers))
            for bits in choices:
                net = FloatNet(rounded(trained, bits), batch_norm=False)
                made = _through([net.eval().to(device), tail], entries)
                operations[block.name, name, bits] = divergence(exact, made)
        progress(f"scores: block {number + 1} of {len(places)}")
    return Scores(
        operations=operations,
        identities=identities,
        bits=_layer_bits(network, exact, frames, choices),
    )


def rounded(network: Network, bits: int | Mapping[str, int]) -> Network:
    """Return a network with weights rounded to bits, those of all layers or of some.

    Args:
        network: With float parameters.
        bits: Of all layers, or by layer; layers that are not named keep theirs.
    """
    params = dict(network.params)
    for layer in network.compute_layers:
        width = bits if isinstance(bits, int) else bits.get(layer.name)
        if width is not None:
            key = f"{layer.name}.weight"
            params[key] = rounded_weight(params[key].astype(np.float64), width)
    return replace(network, params=params)


def outputs_of(network: Network, frames: Frames) -> Floats:
    """Return the logarithm of every class's probability, shape (frames, classes)."""
    net = FloatNet(network, batch_norm=False).to(choose_device())
    return log_probabilities(net, frames)


def _layer_bits(
    network: Network, exact: Floats, frames: Frames, choices: Sequence[int]
) -> dict[tuple[str, int], float]:
    found = {}
    for layer in network.compute_layers:
        for bits in choices:
            changed = rounded(network, {layer.name: bits})
            found[layer.name, bits] = divergence(exact, outputs_of(changed, frames))
    return found


def _batches(frames: Frames, device: torch.device) -> "list[Tensor]":
    return [
        torch.from_numpy(frames[start : start + EVALUATION_BATCH].copy()).to(device)
        for start in range(0, len(frames), EVALUATION_BATCH)
    ]


def maps_of(net: FloatNet, frames: Frames, name: str) -> list[Tensor]:
    """Return a map that a net makes of frames, a batch each."""
    device = next(net.parameters()).device
    return [teacher_maps(net, b, {name})[name] for b in _batches(frames, device)]


def _through(nets: Sequence[FloatNet], batches: Sequence[Tensor]) -> Floats:
    """Return the logarithms of probabilities behind some nets in a row."""
    found: list[Floats] = []
    with torch.no_grad():
        for x in batches:
            for net in nets:
                x = net.visit(x, lambda layer, ofm: None)
            scores = class_scores(x.flatten(1)).double()
            found.append(scores.log_softmax(1).cpu().numpy())
    return np.concatenate(found)
