"""How long the weights of a run take to load: at their port, and on the DDR.

With double buffering they load while another run computes; else in a step of their own.
"""

import numpy as np

from hao.cost.columns import DenseColumns, Setting, WeightBits
from hao.cost.latency import Cycles, packed_taps
from hao.cost.memory import (
    RECORD_BYTES,
    ddr_cycles,
    input_channels,
    layer_bytes,
    port_cycles,
)
from hao.cost.overheads import load_overhead
from hao.ir.layer import Linear, Pool
from hao.ir.partition import DenseLayer, Invocation


def load_cycles(invocation: Invocation, bits: WeightBits, setting: Setting) -> int:
    """Return the cycles in which the weight port loads an invocation's weights.

    Without double buffering that is a step of its own.
    """
    loads = [
        port_cycles(b, setting.board) for b in load_bytes(invocation, bits, setting)
    ]
    return sum(loads) + load_starts(invocation, setting)[0]


def load_ddr_cycles(invocation: Invocation, bits: WeightBits, setting: Setting) -> int:
    """Return the cycles in which the DDR delivers an invocation's weights.

    Without double buffering that is a step of its own, latencies included.
    """
    loads = [
        ddr_cycles(b, setting.board) for b in load_bytes(invocation, bits, setting)
    ]
    return sum(loads) + load_starts(invocation, setting)[1]


def load_bytes(invocation: Invocation, bits: WeightBits, setting: Setting) -> list[int]:
    """Return the bytes of every stage's weights, where it has any."""
    return [
        layer_bytes(layer, bits[layer.name], setting.act_bits, setting.board)
        for _, layer in invocation.stages
        if not isinstance(layer, Pool)
    ]


def load_starts(invocation: Invocation, setting: Setting) -> tuple[int, int]:
    """Return what loading takes besides its beats: at the port, and at the DDR.

    Beside a run, the latencies of the port leave the DDR to others.
    """
    start = load_overhead(loading_stages(invocation))
    return start, 0 if setting.double_buffered else start


def loading_stages(invocation: Invocation) -> int:
    """Return the stages of a run that have weights."""
    return sum(not isinstance(layer, Pool) for _, layer in invocation.stages)


def load_stand_in(invocation: Invocation, setting: Setting) -> WeightBits:
    """Return weights as wide as activations, which stand for those of the next run.

    These are not known where a run is priced; its own mostly are about as many. Their
    width must not depend on the bits, or a run with wider weights would be faster.
    """
    return {layer.name: setting.act_bits for _, layer in invocation.stages}


def unit_cycles(
    layer: DenseLayer,
    columns: DenseColumns,
    channels: Cycles,
    bits: int,
    setting: Setting,
) -> Cycles:
    """Return the cycles in which the loader makes the units of a tile's weights.

    A unit takes the beats that it needs and at least a cycle; a word whose lanes hold
    fewer than `simd` weights comes lane by lane.

    Args:
        layer: Dense or pointwise, of one pixel or of a map.
        columns: Configurations.
        channels: Output channels of the tile.
        bits: Width of the weights; units are taken to be those of this width.
        setting: What all columns share.

    Source: docs/engine.md; within a cycle a word of a walked loader in
    tests/cost/test_prices.py.
    """
    port = 8 * setting.board.port_bytes
    pe, simd = columns.pe, columns.simd
    depth = input_channels(layer, setting.act_bits, setting.board)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    packed = packed_taps(layer, simd, depth) > 1
    folds = depth // simd
    tail = depth - folds * simd
    full = channels // pe
    made = np.zeros_like(pe)
    records = np.zeros_like(pe)
    for count, lanes in ((full, pe), (1, channels - full * pe)):
        unit = np.minimum(pe, -(-port // (simd * bits)))
        # At least a beat for every unit: more of them the wider the weights are, so
        # that these never load faster.
        word = np.maximum(lanes * simd * bits, -(-lanes // unit) * port)
        short = (tail > 0) * lanes * np.maximum(port, tail * bits)
        taps = kernel**2 * layer.passes
        made = made + count * taps * np.where(packed, 0, folds * word + short)
        # Records: each group begins a beat.
        records = records + count * -(-lanes * RECORD_BYTES * 8 // port)
    result: Cycles = -(-made // port) + records
    return result
