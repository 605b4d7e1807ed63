"""Which bits may a layer's weights have, and what does each cost in accuracy?

Only whole-network drops at uniform bits are published widely, so they are distributed:
cost(layer, b) = share(layer) x drop(b), shares summing to 1. A uniform scheme then
costs exactly what was predicted for it, and a mixed one is additive over its layers.

    share(layer) ~ weight x sqrt(weights),   weight = 2 for depthwise layers, else 1

The root was chosen on the HAWQ-V3 schemes whose bits per layer are published; errors
stand in docs/accuracy.md and are recomputed by benchmarks/accuracy_predictor.py. No
published result isolates depthwise layers. Their weight follows the 4-bit recipe that
Brevitas published for ProxylessNAS, which gives them 5 bits: half the step where the
layer is twice as sensitive.

Published low-bit results nearly always keep the first and the last layer at 8 bits, so
a drop predicted from them holds for that only. By default both offer the highest choice
alone, at no cost, and the rest share the drop.

Where the drops come from is left to the caller (`hao.accuracy.drops` for ImageNet).
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from fractions import Fraction
from math import isqrt

from hao.errors import InputError
from hao.ir.change import Bits
from hao.ir.layer import Compute, Conv, Depthwise, Linear
from hao.ir.network import Network
from hao.ir.passes import DIGIT_BITS
from hao.ir.sparsity import density_of
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.options.option import MICRO, Option

DEPTHWISE_WEIGHT = 2
_ROOT_SCALE = 1_000_000


def layer_shares(
    network: Network, *, keep_first_last: bool = True
) -> dict[str, Fraction]:
    """Return the share of every layer in the network's drop; they sum to 1.

    Args:
        network: Compute layers in order.
        keep_first_last: The first and last layer have no share, unless there are no
            others.
    """
    layers = network.compute_layers
    kept = _kept(layers, keep_first_last)
    weights = {
        layer.name: 0 if layer.name in kept else _sensitivity(layer) for layer in layers
    }
    total = sum(weights.values())
    if total == 0:
        return {layer.name: Fraction(1, len(layers)) for layer in layers}
    return {name: Fraction(weight, total) for name, weight in weights.items()}


def _kept(layers: tuple[Compute, ...], keep_first_last: bool) -> set[str]:
    return {layers[0].name, layers[-1].name} if keep_first_last and layers else set()


def _sensitivity(layer: Compute) -> int:
    root = isqrt(layer.weights * _ROOT_SCALE)
    return root * (DEPTHWISE_WEIGHT if isinstance(layer, Depthwise) else 1)


def _apportion(amount: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Return whole parts of `amount` by the largest remainders; they sum to it."""
    exact = {name: share * amount for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(shares, key=lambda name: (parts[name] - exact[name], name))
    for name in by_remainder[: amount - sum(parts.values())]:
        parts[name] += 1
    return parts


def _costs(
    shares: Mapping[str, Fraction], drops: Mapping[int, int]
) -> dict[int, dict[str, int]]:
    """Return the cost of every layer at every bits; fewer bits never cost less.

    What each step to fewer bits adds is apportioned on its own, so that rounding keeps
    both the sum over layers and the order over bits exact.
    """
    costs: dict[int, dict[str, int]] = {}
    below = dict.fromkeys(shares, 0)
    reached = 0
    for bits in sorted(drops, reverse=True):
        step = _apportion(drops[bits] - reached, shares)
        below = {name: below[name] + step[name] for name in shares}
        reached = drops[bits]
        costs[bits] = below
    return costs


def _checked_drops(
    choices: tuple[int, ...], drop_by_bits: Mapping[int, float]
) -> dict[int, int]:
    if not choices or len(set(choices)) != len(choices):
        raise InputError(f"bit choices {choices}; must be distinct, at least one")
    drops: dict[int, int] = {}
    previous = 0.0
    for bits in sorted(choices, reverse=True):
        if not MIN_BITS <= bits <= MAX_BITS:
            raise InputError(
                f"bit choice {bits}; must be from {MIN_BITS} to {MAX_BITS}"
            )
        if bits not in drop_by_bits:
            raise InputError(
                f"bit choice {bits} has no drop; drop_by_bits must give it"
            )
        if not previous <= drop_by_bits[bits] <= 100:
            raise InputError(
                f"drop at {bits} bits = {drop_by_bits[bits]} points; must be from "
                f"{previous} (the drop at more bits) to 100"
            )
        previous = drop_by_bits[bits]
        drops[bits] = round(previous * MICRO)
    return drops


def bit_options(
    network: Network,
    *,
    choices: tuple[int, ...],
    drop_by_bits: Mapping[int, float],
    keep_first_last: bool = True,
    two_passes: bool = False,
) -> tuple[Option, ...]:
    """Return the options of every compute layer, in layer order, most bits first.

    A layer whose file fixes its bits offers those alone, at no cost: the network came
    that way. It keeps its share, so the other layers do not pay for it. A layer that is
    pruned stays so.

    Args:
        network: The network; parameters are not needed.
        choices: Weight bits to offer, distinct, from 2 to 8.
        drop_by_bits: Predicted drop of the whole network at uniform bits [points],
            at least 0, never falling towards fewer bits; holds every choice.
        keep_first_last: The first and last layer offer the highest choice alone, at no
            cost.
        two_passes: Dense layers offer the highest choice in two passes over narrower
            lanes too, at the same cost.

    Raises:
        InputError: Choices, drops, or bits fixed by the file, outside these ranges.
    """
    drops = _checked_drops(choices, drop_by_bits)
    layers = network.compute_layers
    if not layers:
        raise InputError(f"network {network.name!r} has no layers with weights")
    kept = _kept(layers, keep_first_last)
    costs = _costs(layer_shares(network, keep_first_last=keep_first_last), drops)
    options: list[Option] = []
    for layer in layers:
        if layer.weight is not None:
            options.append(_option(layer, layer.weight.bits, cost_micro=0))
        elif layer.name in kept:
            options.append(_option(layer, max(drops), cost_micro=0))
        else:
            options += (
                _option(layer, bits, cost_micro=costs[bits][layer.name])
                for bits in sorted(drops, reverse=True)
            )
    if two_passes:
        dense = {layer.name for layer in layers if isinstance(layer, Conv | Linear)}
        fixed = {layer.name for layer in layers if layer.weight is not None}
        options = [
            each
            for option in options
            for each in _in_passes(option, dense - fixed, drops)
        ]
    return tuple(options)


def _in_passes(
    option: Option, dense: AbstractSet[str], drops: Mapping[int, int]
) -> tuple[Option, ...]:
    """Return an option, and the same in two passes where that may be of use.

    Fewer bits than the most on offer take as long in two passes, and as many bytes.
    """
    change = option.change
    if option.layer not in dense or not isinstance(change, Bits):
        return (option,)
    most = max(drops)
    if change.weight_bits < most or most <= max(DIGIT_BITS, min(drops)):
        return (option,)
    return option, replace(option, change=replace(change, passes=2))


def _option(layer: Compute, bits: int, *, cost_micro: int) -> Option:
    try:
        change = Bits(weight_bits=bits, density=density_of(layer))
    except InputError as cause:
        raise InputError(f"layer {layer.name!r}: {cause}") from cause
    return Option(layer=layer.name, change=change, cost_micro=cost_micro)
