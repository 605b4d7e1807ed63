"""What one change alone does to the network: three measures of it, one interface.

`PLUG_IN` makes the one change in the float network and measures by how much the loss
towards the float network's outputs rises (LANA, arXiv:2107.10624, section 3.2, with the
float network as the teacher): nats, and true but for what changes do together.
`HESSIAN` is the mean curvature of that loss in the layer's weights times the squared
error of the weights (HAWQ-V2, arXiv:1911.03852): nats if the loss were quadratic and
its curvature the same in all directions. `SQNR` is the share of noise in the weights,
without any data. The last two know weights only.

Cheap measures are mapped to measured loss before they meet others in an objective
(`mapped_to_loss`), since their units differ.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

import numpy as np
from sklearn.isotonic import IsotonicRegression

from hao.distillation.score import rounded
from hao.errors import UnsupportedError
from hao.ir.change import (
    Bits,
    Change,
    Channels,
    Keep,
    LeaveOut,
    Replace,
    bare,
    change_text,
)
from hao.ir.network import Network
from hao.ir.sparsity import FULL
from hao.measure.sample import Part
from hao.measure.settings import Kind
from hao.measure.store import Store
from hao.measure.subject import Subject, network_under, weight_bits
from hao.options.option import Option
from hao.quant.curvature import mean_curvatures
from hao.quant.float_net import FloatNet
from hao.quant.outputs import divergence, log_probabilities
from hao.quant.parameters import float_parameters
from hao.quant.ptq import equalize_network, rounded_weight

Key = tuple[str, str]
"""Layer or block, and its change in words."""

SALIENCY_FRAMES = 512
"""Search frames that saliencies look at, at most (chosen here)."""

ANCHORS = 12
"""Options whose loss is measured to map a cheap saliency (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliencies:
    """What every change alone does.

    Attributes:
        kind: How that was measured.
        values: At least 0, higher is worse; by layer and change.
        seconds: That it took [s].
    """

    kind: Kind
    values: Mapping[Key, float]
    seconds: float


def changes_of(options: Iterable[Option]) -> tuple[tuple[str, Change], ...]:
    """Return the changes on offer, each once, without what is of the hardware alone."""
    found = ((option.layer, bare(option.change)) for option in options)
    return tuple(dict.fromkeys(found))


def measure_saliencies(
    subject: Subject,
    options: Iterable[Option],
    act_bits: int,
    kind: Kind,
) -> Saliencies:
    """Return the saliency of every change on offer.

    Args:
        subject: Network and frames.
        options: Of its layers and blocks.
        act_bits: Width of the activations.
        kind: How they are measured.

    Raises:
        UnsupportedError: A kind that knows weights only, and a block left out.
    """
    started = time.perf_counter()
    network = equalize_network(subject.networks[act_bits])
    curvatures: Mapping[str, float] = {}
    if kind is Kind.HESSIAN:
        frames = subject.parts[Part.SEARCH].frames[:SALIENCY_FRAMES]
        curvatures = mean_curvatures(network, frames)
    values: dict[Key, float] = {}
    for layer, change in changes_of(options):
        match change:
            case Keep():
                value = 0.0
            case Bits() if kind is Kind.HESSIAN and change.density == FULL:
                error, _ = _weight_error(network, layer, change)
                value = 0.5 * curvatures[layer] * error
            case Bits() if kind is Kind.SQNR and change.density == FULL:
                error, power = _weight_error(network, layer, change)
                value = error / power if power > 0 else 0.0
            case _ if kind is Kind.PLUG_IN:
                value = _plugged_in(subject, network, layer, change)
            case Bits() | LeaveOut() | Channels() | Replace():
                raise UnsupportedError(
                    f"{layer!r}: {kind.value} looks at the bits of weights only; other "
                    "changes are handled by: plug-in"
                )
            case _:
                assert_never(change)
        values[layer, change_text(change)] = value
    return Saliencies(
        kind=kind,
        values=MappingProxyType(values),
        seconds=time.perf_counter() - started,
    )


def known_saliencies(
    store: Store,
    subject: Subject,
    options: Iterable[Option],
    act_bits: int,
    kind: Kind,
) -> Saliencies:
    """Return saliencies, of which those that a store knows are not measured again.

    Raises:
        InputError: The store cannot be read or written.
        UnsupportedError: A kind that knows weights only, and a block left out.
    """
    every = tuple(options)
    known = store.saliencies(act_bits, kind.value)
    missing = [
        option
        for option in every
        if (option.layer, change_text(bare(option.change))) not in known
    ]
    seconds = 0.0
    if missing:
        found = measure_saliencies(subject, missing, act_bits, kind)
        store.add_saliencies(act_bits, kind.value, found.values, found.seconds)
        known, seconds = {**known, **found.values}, found.seconds
    keys = [(layer, change_text(change)) for layer, change in changes_of(every)]
    return Saliencies(kind=kind, values={k: known[k] for k in keys}, seconds=seconds)


def _weight_error(network: Network, layer: str, change: Bits) -> tuple[float, float]:
    """Return the squared error that a change makes in weights, and their square."""
    (one,) = (each for each in network.compute_layers if each.name == layer)
    weight, _ = float_parameters(network, one)
    rounded = rounded_weight(weight, change.weight_bits)
    return float(((rounded - weight) ** 2).sum()), float((weight**2).sum())


def _plugged_in(
    subject: Subject, network: Network, layer: str, change: Change
) -> float:
    """Return by how much the loss rises with one change in the float network [nats]."""
    search, alone = subject.parts[Part.SEARCH], {layer: change}
    changed = network_under(subject, network, alone)
    changed = rounded(changed, weight_bits(alone))
    frames = search.frames[:SALIENCY_FRAMES]
    outputs = log_probabilities(FloatNet(changed, batch_norm=False), frames)
    return divergence(search.exact[:SALIENCY_FRAMES], outputs)


def mapped_to_loss(
    cheap: Saliencies,
    subject: Subject,
    options: Iterable[Option],
    act_bits: int,
) -> Saliencies:
    """Return a cheap saliency in nats: through the plug-in loss of some options.

    An isotonic regression on options that span the range of the cheap saliency; below
    and above them it is continued in proportion.

    Args:
        cheap: A saliency of all options.
        subject: Network and frames.
        options: Of its layers and blocks.
        act_bits: Width of the activations.

    Raises:
        UnsupportedError: A layer cannot be measured.
    """
    started = time.perf_counter()
    every = tuple(options)
    positive = (key for key, value in cheap.values.items() if value > 0)
    ranked = sorted(positive, key=lambda key: cheap.values[key])
    if not ranked:
        return cheap
    places = np.linspace(0, len(ranked) - 1, min(ANCHORS, len(ranked))).round()
    anchors = {ranked[int(place)] for place in places}
    chosen = [o for o in every if (o.layer, change_text(bare(o.change))) in anchors]
    measured = measure_saliencies(subject, chosen, act_bits, Kind.PLUG_IN)
    keys = sorted(measured.values)
    x = np.array([cheap.values[key] for key in keys])
    y = np.array([measured.values[key] for key in keys])
    rise = IsotonicRegression(y_min=0, out_of_bounds="clip").fit(x, y)
    every_x = np.array([cheap.values[key] for key in cheap.values])
    inside = np.asarray(rise.predict(every_x), dtype=np.float64)
    # A saliency of 0 costs nothing, and more than the largest anchor costs more.
    scale = np.minimum(1, every_x / x.min()) * np.maximum(1, every_x / x.max())
    values = dict(zip(cheap.values, (inside * scale).tolist(), strict=True))
    return Saliencies(
        kind=cheap.kind,
        values=values,
        seconds=cheap.seconds + time.perf_counter() - started,
    )
