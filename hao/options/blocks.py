"""Options that leave residual blocks out, each at a cost that the caller names.

The cost comes beside the least that the block's layers would cost: what is known of
the whole network's drop is not taken as smaller where some of it is left out. Nothing
that is published says what a trained network loses without one of its blocks once it
was trained again, so hao predicts no cost: the request gives it.
"""

from collections.abc import Iterable

from hao.errors import InputError
from hao.ir.blocks import residual_blocks
from hao.ir.change import Keep, LeaveOut
from hao.ir.network import Network
from hao.options.option import MICRO, Option


def block_options(
    network: Network, *, cost_points: float, layers: Iterable[Option] = ()
) -> tuple[Option, ...]:
    """Return two options for every residual block that may be left out.

    Args:
        network: Layers; parameters are not needed.
        cost_points: Top-1 that leaving out a block costs [points], from 0 to 100.
        layers: Options of the layers.

    Raises:
        InputError: A cost outside that range, or no block that may be left out.
        UnsupportedError: A layer that the engine cannot run.
    """
    if not 0 <= cost_points <= 100:
        raise InputError(
            f"cost of a block left out = {cost_points:g} points; must be from 0 to 100"
        )
    blocks = residual_blocks(network)
    if not blocks:
        raise InputError(
            f"network {network.name!r} has no residual block that may be left out; "
            "search it without `block_points`"
        )
    least: dict[str, int] = {}
    for option in layers:
        known = least.get(option.layer, option.cost_micro)
        least[option.layer] = min(known, option.cost_micro)
    found = []
    for block in blocks:
        cost = round(cost_points * MICRO) + sum(least.get(n, 0) for n in block.layers)
        found += [
            Option(layer=block.name, change=Keep(), cost_micro=0),
            Option(layer=block.name, change=LeaveOut(), cost_micro=cost),
        ]
    return tuple(found)
