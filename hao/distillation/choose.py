"""Which operations together? Options of measured cost, and finalists measured whole.

Costs are plug-in losses [nats], counted in millionths: bits of the teacher's layers and
operations at their bits are on one scale, which the program adds up. The network of
every design that it proposes is put together, its batch statistics are estimated anew,
and its loss is measured without training (LANA's candidate evaluation,
arXiv:2107.10624, section 3.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.distillation.pool import Params, Place, alone, assembled, own_params
from hao.distillation.score import Scores, maps_of, outputs_of, rounded
from hao.ir.blocks import Block
from hao.ir.change import Bits, Scheme, bits_of, left_out, replaced
from hao.ir.layer import Layer
from hao.ir.network import Network
from hao.options.bits import bit_options
from hao.options.operations import operation_options
from hao.options.option import MICRO, Option
from hao.program.codesign import SolveReport
from hao.quant.dataset import Frames
from hao.quant.float_net import FloatNet, with_parameters
from hao.quant.modules import choose_device
from hao.quant.outputs import divergence
from hao.quant.statistics import Statistics, channel_statistics, with_statistics

STATISTICS_FRAMES = 256
"""Frames on which batch statistics are estimated anew (chosen here)."""


def measured_options(
    network: Network,
    places: tuple[Place, ...],
    scores: Scores,
    choices: Sequence[int],
    *,
    bits: bool = True,
) -> tuple[Option, ...]:
    """Return the options of all layers and blocks at what they cost [1e-6 nats].

    Fewer bits never cost less than more. The first and the last layer keep the most.

    Args:
        network: The teacher.
        places: Blocks with their operations.
        scores: Of all of them at every choice of bits.
        choices: Weight bits on offer.
        bits: Whether the teacher's own layers may have fewer than the most, too.
    """
    offered = tuple(choices) if bits else (max(choices),)
    free = dict.fromkeys(offered, 0.0)
    own = _never_falling({(n, b): v for (n, b), v in scores.bits.items()})
    found = []
    for option in bit_options(
        network, choices=offered, drop_by_bits=free, two_passes=False
    ):
        assert isinstance(option.change, Bits)
        cost = own[option.layer, option.change.weight_bits]
        found.append(replace(option, cost_micro=cost))
    for place in places:
        name = place.block.name
        costs = _never_falling(
            {(o, b): v for (at, o, b), v in scores.operations.items() if at == name}
        )
        gone = scores.identities.get(name)
        found += operation_options(
            network,
            place.block,
            place.operations,
            costs,
            leave_out_micro=None if gone is None else round(gone * MICRO),
        )
    return tuple(found)


def _never_falling(
    losses: Mapping[tuple[str, int], float],
) -> dict[tuple[str, int], int]:
    """Return losses in millionths, raised where more bits cost more."""
    found: dict[tuple[str, int], int] = {}
    least: dict[str, int] = {}
    for name, bits in sorted(losses, key=lambda key: -key[1]):
        cost = max(round(losses[name, bits] * MICRO), least.get(name, 0))
        found[name, bits] = least[name] = cost
    return {key: found[key] for key in losses}


@dataclass(frozen=True, kw_only=True)
class BlockTeacher:
    """The network whose blocks are replaced, with what its operations have learnt.

    Attributes:
        network: With float parameters.
        places: Blocks with their operations.
        params: Of the operations' layers.
        frames: What is measured on, shape (frames, channels, height, width).
    """

    network: Network
    places: tuple[Place, ...]
    params: Params
    frames: Frames

    @property
    def blocks(self) -> dict[str, Block]:
        """Return the blocks by name."""
        return {place.block.name: place.block for place in self.places}

    @cached_property
    def exact(self) -> NDArray[np.float64]:
        """Return the teacher's outputs, as `outputs_of` has them."""
        return outputs_of(self.network, self.frames)

    def chosen(self, scheme: Scheme) -> dict[Block, tuple[Layer, ...]]:
        """Return the layers in the place of blocks; none leaves a block out."""
        blocks = self.blocks
        found: dict[Block, tuple[Layer, ...]] = {
            blocks[name]: () for name in left_out(scheme)
        }
        for place in self.places:
            change = replaced(scheme).get(place.block.name)
            if change is not None:
                found[place.block] = place.operations[change.operation]
        return found

    def under(self, scheme: Scheme) -> Network:
        """Return the network under a scheme but for its bits, without training.

        Where it changes, its batch statistics are estimated anew.
        """
        chosen = self.chosen(scheme)
        if not chosen:
            return self.network
        changed = assembled(self.network, chosen, self.params)
        few = np.array(self.frames[:STATISTICS_FRAMES])
        statistics = statistics_with(self.network, chosen, self.params, few)
        return with_statistics(changed, statistics, few)

    def loss(self, scheme: Scheme) -> float:
        """Return by how much the loss towards the teacher's outputs rises [nats]."""
        network = self.under(scheme)
        names = {layer.name for layer in network.compute_layers}
        bits = {n: b for n, b in bits_of(scheme).items() if n in names}
        made = outputs_of(rounded(network, bits), self.frames)
        return divergence(self.exact, made)


def statistics_with(
    network: Network,
    chosen: Mapping[Block, tuple[Layer, ...]],
    params: Params,
    frames: NDArray[np.float32],
) -> Statistics:
    """Return what every layer's outputs have while all else is the network's own.

    Args:
        network: With float parameters.
        chosen: Layers in the place of blocks; none leaves the block out.
        params: Of the new layers.
        frames: Shape (frames, channels, height, width).
    """
    found = dict(channel_statistics(network, frames))
    net = FloatNet(network, batch_norm=False).eval().to(choose_device())
    for block, layers in chosen.items():
        if layers:
            own = with_parameters(alone(layers), own_params(params, layers))
            entry = np.concatenate(
                [part.cpu().numpy() for part in maps_of(net, frames, block.entry)]
            )
            found |= channel_statistics(own, entry)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A design that the program proposed.

    Attributes:
        report: What it found.
        predicted: Sum of the plug-in losses [nats].
        measured: Loss of the whole network without training [nats].
    """

    report: SolveReport
    predicted: float
    measured: float


def ranked(
    teacher: BlockTeacher, reports: Sequence[SolveReport]
) -> tuple[Finalist, ...]:
    """Return designs with their measured loss, the least first."""
    found = [
        Finalist(
            report=report,
            predicted=report.cost_micro / MICRO,
            measured=teacher.loss(report.design.scheme),
        )
        for report in reports
    ]
    return tuple(sorted(found, key=lambda each: each.measured))
