"""LUTs and flip-flops of the accelerator's blocks, from synthesis measurements.

Each function prices one block, never an engine; `hao.cost.area` multiplies and adds.
LUT figures are *placed* LUTs: LUT functions after pairing in dual-output LUT6s, plus
carry route-throughs and shift registers, as a placed design occupies them. What C
synthesis prints is another figure and no part of this module.

Every function takes ints and returns ints, or takes NumPy arrays of ints (0-d ones for
constants) that broadcast, and returns arrays: one formula serves both.

The widths are those the block is built for. Activations may be signed in one layer and
unsigned in another, so multipliers are priced for both (a sign bit chosen at run time).

Source: every block is written in Verilog by benchmarks/synth, simulated against integer
semantics and mapped by yosys; docs/area.md shows formula against measurement. The
module is longer than most because it is one list, a short formula for each block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.cost.bram import bram18, lutram_lut, over
from hao.cost.memory import MIN_PIXEL_CHANNELS
from hao.cost.packing import NARROW_PORT_BITS
from hao.errors import InputError
from hao.intmath import ceil_log2
from hao.ir.integer import MEAN_BITS, WIDE_MEAN_BITS

IntArray = NDArray[np.int64]
Count = TypeVar("Count", int, IntArray)


@dataclass(frozen=True, slots=True)
class Logic(Generic[Count]):
    """LUTs and flip-flops of a block."""

    lut: Count
    ff: Count

    def __add__(self, other: "Logic[Count]") -> "Logic[Count]":
        """Return both together."""
        return Logic(self.lut + other.lut, self.ff + other.ff)

    def times(self, count: Count) -> "Logic[Count]":
        """Return so many of it."""
        return Logic(self.lut * count, self.ff * count)


# Longest reduction that the tables cover; chosen here.
MAX_TERMS = 1024

# DSP slices summed in one cascade before the fields are split, where the packing allows
# as many: longer cascades cost more operand delay than they save in adders.
# Source: docs/area.md, "Cascade length".
CHAIN_MAX = 4

# Bits of a sum of a global average pool: 8-bit codes of 2^16 pixels. Derived here.
POOL_BITS = 24

# LUTs that a mean's multiplier of 24 bits by 24 takes beyond one of 24 by 8.
# Source: yosys 0.23, `-family xcup -nodsp`, 28 November 2026: 1585 and 581.
WIDE_MEAN_LUT = 1004

# Widest accumulator that one slice multiplies: the wide port of the DSP48E2.
# Source: UG579, "Multiplier".
_PORT_ACC_BITS = 27


def _take(table: IntArray, index: Count) -> Count:
    if isinstance(index, int):
        return int(table[index])
    return np.asarray(table[index], np.int64)


def _growth_table() -> IntArray:
    """Return the bits that the adders of a balanced tree grow by, in total.

    A tree adds neighbours, level by level; an odd term passes on. The adders of a
    level are one bit wider than those before.
    """
    growth = np.zeros(MAX_TERMS + 1, np.int64)
    for terms in range(2, MAX_TERMS + 1):
        left, level = terms, 0
        while left > 1:
            growth[terms] += (left // 2) * level
            left, level = (left + 1) // 2, level + 1
    return growth


def _register_table(every: int) -> tuple[IntArray, IntArray]:
    """Return words, and bits they grew by, kept behind each `every`-th tree level."""
    words = np.zeros(MAX_TERMS + 1, np.int64)
    grown = np.zeros(MAX_TERMS + 1, np.int64)
    for terms in range(2, MAX_TERMS + 1):
        left, level = terms, 0
        while left > 1:
            left, level = (left + 1) // 2, level + 1
            if level % every == 0:
                words[terms] += left
                grown[terms] += left * level
    return words, grown


# Derived here: counts of a balanced tree.
_GROWTH = _growth_table()
# Derived here: counts of the same tree.
_REGISTERS = {every: _register_table(every) for every in (1, 2)}


def _table(rows: Sequence[Sequence[int]]) -> IntArray:
    """Return the rows as an array indexed by 9 * weight bits + activation bits."""
    table = np.zeros((9, 9), np.int64)
    table[1:, 1:] = np.array(rows, np.int64)
    return table.reshape(-1)


# LUTs of one w x a multiplier, rows w = 1..8, columns a = 1..8.
# Source: data/block_cost.csv, rows "product"; one bit: data/lut_cost.csv (signed).
_MULTIPLIER = _table(
    (
        (1, 2, 2, 3, 3, 4, 4, 5),
        (2, 4, 6, 7, 8, 9, 10, 11),
        (2, 5, 8, 12, 14, 16, 18, 20),
        (3, 6, 10, 16, 21, 24, 27, 30),
        (3, 7, 12, 19, 25, 32, 36, 40),
        (4, 8, 14, 22, 29, 37, 46, 51),
        (4, 9, 16, 25, 33, 42, 50, 61),
        (5, 10, 18, 28, 37, 47, 56, 67),
    )
)


def multiplier_lut(weight_bits: Count, act_bits: Count) -> Count:
    """Return the LUTs of one product inside a lane; both widths 1 to 8."""
    return _take(_MULTIPLIER, weight_bits * 9 + act_bits)


def tree_lut(terms: Count, bits: Count) -> Count:
    """Return the LUTs of a balanced adder tree over `terms` numbers of `bits` bits."""
    return (terms - 1) * bits + _take(_GROWTH, terms)


def tree_ff(terms: Count, bits: Count, every: int = 2) -> Count:
    """Return the flip-flops inside such a tree, a rank behind each `every`-th level.

    Args:
        terms: Numbers added, 1 to `MAX_TERMS`.
        bits: Their width.
        every: 1 or 2.
    """
    words, grown = _REGISTERS[every]
    return _take(words, terms) * bits + _take(grown, terms)


def lut_lane(
    simd: Count, weight_bits: Count, act_bits: Count, acc_bits: Count
) -> Logic[Count]:
    """Return one output lane whose multipliers are built of LUTs.

    Its flip-flops are those of products, of every second tree level and the
    accumulator.

    Args:
        simd: Products summed per cycle, 1 to `MAX_TERMS`.
        weight_bits: Width of the signed weights, 1 to 8.
        act_bits: Width of the activations, signed or not, 1 to 8.
        acc_bits: Width of the accumulator.

    Source: data/lut_cost.csv and the lane rows of data/block_cost.csv; docs/area.md.
    """
    bits = weight_bits + act_bits
    products = simd * multiplier_lut(weight_bits, act_bits)
    return Logic(
        products + tree_lut(simd, bits) + acc_bits,
        simd * bits + tree_ff(simd, bits) + acc_bits,
    )


def _chains(terms: Count, chain: Count) -> Count:
    return -(-terms // chain)


def cascade_length(depth: Count) -> Count:
    """Return the DSP slices summed before the fields split, for a packing's `depth`."""
    return depth - (depth - CHAIN_MAX) * over(depth, CHAIN_MAX)


def _longest(terms: Count, chain: Count) -> Count:
    """Return the slices of the longest of the fewest, equally filled cascades."""
    return -(-terms // _chains(terms, chain))


def _log2_up(value: Count) -> Count:
    """Return the bits that count `value` states; value 1 to 16."""
    return over(value, 1) + over(value, 2) + over(value, 4) + over(value, 8)


def _delay(terms: Count, chain: Count, bits: Count) -> Logic[Count]:
    """Return what skews `bits` a slice along the cascades.

    The i-th slice of a cascade takes its operands i cycles late, and short cascades
    wait for the longest: flip-flops up to two cycles, a shift register from three.
    """
    chains, longest = _chains(terms, chain), _longest(terms, chain)
    held = over(longest, 1) + 2 * over(longest, 2)
    shifted = (longest - 3) * over(longest, 3)
    return Logic(chains * shifted * bits, chains * held * bits)


def _packed(
    *, terms: Count, chain: Count, product: Count, outputs: int, own: Count, acc: Count
) -> Logic[Count]:
    """Return what stands behind the slices of a packed lane group.

    Args:
        terms: DSP slices side by side.
        chain: Slices of a cascade.
        product: Bits of a product.
        outputs: Sums that come out, each with its tree and accumulator.
        own: Operand bits of a slice that no other lane group shares.
        acc: Width of the accumulators.
    """
    chains = _chains(terms, chain)
    field = product + _log2_up(_longest(terms, chain))
    corrections = chains * field * (outputs - 1)
    sums = (tree_lut(chains, field) + acc) * outputs
    ranks = (tree_ff(chains, field, 1) + acc) * outputs
    return Logic(corrections + sums, ranks) + _delay(terms, chain, own)


def dsp_lanes(
    simd: Count,
    weight_bits: Count,
    act_bits: Count,
    acc_bits: Count,
    depth: Count,
    *,
    sums: int,
) -> Logic[Count]:
    """Return two output lanes that share `simd` DSP slices, for a pixel or for two.

    Args:
        simd: Products of one lane, so DSP slices of the two.
        weight_bits: Width of the weights.
        act_bits: Width of the activations.
        acc_bits: Width of the accumulators.
        depth: Terms that a field may sum (`hao.cost.packing`).
        sums: That come out: 2 of one pixel, 4 of two.

    Source: data/block_cost.csv, rows dsp_pair and dsp_quad; docs/area.md.
    """
    return _packed(
        terms=simd,
        chain=cascade_length(depth),
        product=weight_bits + act_bits,
        outputs=sums,
        own=2 * weight_bits,
        acc=acc_bits,
    )


def activation_delay(simd: Count, act_bits: Count, depth: Count) -> Logic[Count]:
    """Return what prepares one pixel's activations for DSP lanes.

    It skews the activations along the cascades and extends their sign. Paid once for
    each of the `px` pixels of a stage with DSP lanes, whatever `pe`.
    """
    signs = (simd + 1) // 2
    return Logic(signs, signs * 0) + _delay(simd, cascade_length(depth), act_bits)


def quad_operand_lut(simd: Count, act_bits: Count) -> Count:
    """Return the LUTs that join two pixels' activations into one operand of each slice.

    The upper activation gives a borrow to a negative lower one. Paid once for each pair
    of pixels of a stage with quad lanes, beside `activation_delay` of both pixels.
    """
    return simd * act_bits


def dsp_single(
    taps: Count, weight_bits: Count, act_bits: Count, acc_bits: Count
) -> Logic[Count]:
    """Return one lane with one product per DSP slice.

    The slices sum in a cascade; the accumulator is made of LUTs. The lane pays for the
    skew of its activations.
    """
    return Logic((taps + 1) // 2, taps * 0) + _packed(
        terms=taps,
        chain=taps * 0 + CHAIN_MAX,
        product=weight_bits + act_bits,
        outputs=1,
        own=weight_bits + act_bits,
        acc=acc_bits,
    )


def dsp_pixel_pair(
    taps: Count, weight_bits: Count, act_bits: Count, acc_bits: Count, depth: Count
) -> Logic[Count]:
    """Return one depthwise lane for two pixels on `taps` DSP slices.

    The pixels share the weight. Depthwise lanes share no operand among them, so the
    lane pays the whole skew. Arguments as in `dsp_lanes`, `taps` for `simd`.
    """
    return Logic(taps, taps * 0) + _packed(
        terms=taps,
        chain=cascade_length(depth),
        product=weight_bits + act_bits,
        outputs=2,
        own=weight_bits + 2 * act_bits,
        acc=acc_bits,
    )


def requantizer(acc_bits: Count, out_bits: Count) -> Logic[Count]:
    """Return what shifts, rounds and clamps one accumulator.

    Power-of-two mode: a right shift of 0 to 15 bits that keeps one fraction bit, a
    limit to the output's range, half up, a clamp to run-time bounds; three ranks.

    Source: least squares over data/block_cost.csv, rows requantizer; within 2 LUTs, the
    flip-flops exact.
    """
    lut = (5 * acc_bits) // 2 + (15 * out_bits) // 4 - 1
    return Logic(lut, acc_bits + 2 * out_bits + 3)


EVEN = Logic(31, 2)
"""What a requantizer takes besides where channels say that halves go to even codes.

A mask of the bits that are cut off, whether any but the half is set, and the lowest bit
of the rest. Source: mean over data/block_cost.csv, rows even_requantizer; within 5, the
flip-flops exact. A sum times a multiplier is taken to need as many.
"""


def digit_lut(acc_bits: Count) -> Count:
    """Return the LUTs that move one sum up by a digit, by two, or do not.

    Source: derived here: a multiplexer of up to three, a LUT a bit. Synthesis may join
    it with the adder behind it.
    """
    return acc_bits


def multiplier_requantizer(
    acc_bits: Count, out_bits: Count, port_bits: int = _PORT_ACC_BITS
) -> Logic[Count]:
    """Return a requantizer in multiplier mode, beside its DSP slices.

    An 18-bit multiplier, a bias of 40 bits, then a shift by 0 to 31 bits. A product of
    two slices costs 28 LUTs to join. A slice holds the product. Source: least squares
    over data/block_cost.csv, rows multiplier_requantizer; 5 %, flip-flops less the
    product's register, which yosys leaves outside the slice where one suffices.
    """
    two, bits = over(acc_bits, port_bits), _scaled_bits(acc_bits)
    return Logic(
        4 * bits + (15 * out_bits) // 4 - 45 + 28 * two,
        bits + 2 * out_bits + 8 + (acc_bits + 2) * two,
    )


def _scaled_bits(acc_bits: Count) -> Count:
    """Return the width of a sum times 18 bits and a bias of 40 bits.

    Source: templates/hls/src/requantize.h.j2.
    """
    return acc_bits + 20 + (22 - acc_bits) * (1 - over(acc_bits, 22))


def wide_bias_lut(acc_bits: Count, port_bits: int = _PORT_ACC_BITS) -> Count:
    """Return the LUTs that add a bias behind a product of two slices.

    A single slice adds it itself. Source: derived here, a LUT for each bit of the sum
    of a sum times 18 bits.
    """
    return (acc_bits + 18) * over(acc_bits, port_bits)


def multiplier_requantizer_dsp(
    acc_bits: Count, port_bits: int = _PORT_ACC_BITS
) -> Count:
    """Return its DSP slices: two where the accumulator exceeds the wide port."""
    return 1 + over(acc_bits, port_bits)


def wide_requantizer(acc_bits: Count, out_bits: Count) -> Logic[Count]:
    """Return a requantizer of wide multiplier mode, beside its DSP slices.

    A 25-bit multiplier, a bias of 33 bits, 13 bits of the product below its unit, which
    are cut off, then a shift by 1 to 31 bits. A sum beyond the narrow port is
    multiplied in two parts, joined and registered.

    Source: least squares over data/block_cost.csv, rows wide_requantizer; 2 %,
    flip-flops less the products' registers, which slices have.
    """
    two = over(acc_bits, NARROW_PORT_BITS)
    kept = acc_bits + 12 + (21 - acc_bits) * (1 - over(acc_bits, 21))
    return Logic(
        5 * kept + (15 * out_bits) // 4 - 30 + 28 * two,
        2 * kept + 2 * out_bits + 35 + (acc_bits + 25) * two,
    )


def taking_turns(
    lanes: Count, turns: Count, px: Count, widths: tuple[Count, Count], record: Count
) -> Logic[Count]:
    """Return what hands sums and records to requantizers in turn.

    All but the lanes that come last load a sum or take the one behind: a multiplexer a
    bit. A counter of up to `MAX_TURNS` says when codes are complete. Flip-flops hold
    sums, codes and records.

    Args:
        lanes: Of the stage.
        turns: Lanes of a requantizer, which divide them; with 1 nothing is built.
        px: Pixels at once, each with requantizers of its own.
        widths: Of a sum, and of a code.
        record: Width of a channel's record.

    Source: derived here; yosys builds as many (docs/area.md).
    """
    sums, codes = widths
    waiting = lanes - _parts(lanes, turns)
    held: Count = sums + codes
    ff = lanes * (px * held + record) * over(turns, 1)
    return Logic(waiting * (px * sums + record), ff)


def residual(bits: Count) -> Logic[Count]:
    """Return what aligns, adds, shifts, rounds and clamps one lane's residual.

    Left shifts of 0 to 7 bits of both operands, a right shift of 0 to 15 of the sum, in
    five ranks.

    Source: data/block_cost.csv, rows residual; within 2 LUTs, the flip-flops exact.
    """
    return Logic((21 * bits) // 2 + 35, 6 * bits + 37)


def _gcd(left: Count, right: Count) -> Count:
    if isinstance(left, int) and isinstance(right, int):
        return gcd(left, right)
    return np.asarray(np.gcd(left, right), np.int64)


def _parts(whole: Count, part: Count) -> Count:
    """Return how often `part` goes into `whole`, which it divides."""
    if isinstance(whole, int) and isinstance(part, int):
        return whole // part
    return np.asarray(np.floor_divide(whole, part), np.int64)


def weight_funnel(unit_bits: Count, port_bits: int) -> Logic[Count]:
    """Return what cuts a stage's weights out of the beats of the port.

    Beats are appended to what is held, a unit of weights of one of several widths is
    taken from its end and widened. Flip-flops hold beats, a unit that leaves, a count.

    Args:
        unit_bits: Bits of a unit of the widest weights.
        port_bits: Bits of a beat.

    Source: derived here; trial syntheses with three widths took 3.9 to 4.6 LUTs a held
    bit (docs/area.md, "Funnels").
    """
    return Logic((unit_bits + port_bits) * 9 // 2, 2 * unit_bits + port_bits + 13)


# LUTs a bit of a word that lies at one of 1, 2, 4, ... places of a register of beats.
# Source: trial syntheses in docs/area.md, "Funnels"; beyond 16 places as many more for
# every doubling.
_PLACED = np.array([1, 3, 5, 9, 12, 15, 18], dtype=np.int64)


def _placed_lut(beat: int, lanes: Count, bits: int, grain: int) -> Count:
    """Return the LUTs that read a word from a register of beats, or write it there.

    Places are multiples of what divides word, beat and `grain`.
    """
    shared = _gcd(_gcd(lanes, lanes * 0 + beat), lanes * 0 + grain)
    places = _parts(lanes * 0 + beat, shared)
    log2 = _log2_up(places)
    return lanes * bits * _take(_PLACED, log2 + over(places, 16) + over(places, 32))


def unpack(beat: int, lanes: Count, bits: int, *, packs: bool) -> Logic[Count]:
    """Return what stands between the beats of the IFM and the words of a stage.

    Its flip-flops hold two beats and a word.

    Args:
        beat: Channels of a beat.
        lanes: Channels of a word.
        bits: Bits of an activation.
        packs: Words may hold several pixels, which begin at multiples of
            `MIN_PIXEL_CHANNELS`.

    Source: trial syntheses in docs/area.md, "Funnels".
    """
    lut = _placed_lut(beat, lanes, bits, MIN_PIXEL_CHANNELS if packs else beat)
    return Logic(lut, (lanes + 2 * beat) * bits)


def pack(beat: int, lanes: Count, px: Count, bits: int) -> Logic[Count]:
    """Return what stands between the banks of a stage's OFM and the beats.

    Arguments as in `unpack`, and `px` banks, of which one is read. Flip-flops hold a
    word before and behind its way, and two beats.

    Source: 4:1 multiplexers in a tree (derived here), then as `unpack`.
    """
    chosen = lanes * (bits * (-(-(px - 1) // 3)))
    placed = _placed_lut(beat, lanes, bits, beat)
    return Logic(chosen + placed, 2 * (lanes + beat) * bits)


def stream(bits: int) -> Logic[int]:
    """Return a FIFO of up to 32 words: shift registers and control.

    Source: a LUT shifts 32 bits (UG574, SRLC32E); 12 to control it, and flip-flops for
    a word on its way out and control, are derived here.
    """
    return Logic(bits + 12, bits + 8)


def link(bits: Count, links: Count | int = 1) -> Logic[Count]:
    """Return FIFOs of two words between processes that run in step.

    Args:
        bits: Of a word, all FIFOs together.
        links: How many FIFOs.

    Source: 256 bits mapped with yosys 0.23 took 257 LUTs of three inputs and 4 more,
    and 514 flip-flops; a LUT with two outputs holds two of them. Six to control one,
    derived here.
    """
    lut: Count = -(-bits // 2) + 6 * links
    ff: Count = 2 * bits + 2 * links
    return Logic(lut, ff)


def order(port_bits: int, *, ring: bool) -> Logic[int]:
    """Return what sends a stage places of words, and finds what they meet.

    Args:
        port_bits: Of a beat, which holds places of 16 bits.
        ring: They lie in a ring of rows (dense), else in the vectors of pixels.

    Source: trial syntheses with yosys (docs/area.md, "Lists of words"): 135 LUTs for 64
    bits, 164 for 128, and 281 to 298 for addresses of 13 bits in a ring; 16 to choose a
    vector are derived.
    """
    lut = 106 + 29 * port_bits // 64 + (300 if ring else 16)
    return Logic(lut, 111 + (161 if ring else 0))


def pool(beat: int, act_bits: int, *, wide: bool = False) -> Logic[int]:
    """Return a global average pool, beside its memory of sums.

    An adder of `POOL_BITS` for each channel of a beat; one multiplier that the
    channels use in turn, in three parts of 8 x 8 bits, behind a multiplexer.

    Source: derived here from `multiplier_lut` and `requantizer`; what a wide multiplier
    takes more is of a trial synthesis (docs/area.md).
    """
    multiplier = 3 * multiplier_lut(8, 8) + 2 * (POOL_BITS - 8)
    chosen = -(-(beat - 1) // 3) * POOL_BITS
    scaled = requantizer(POOL_BITS + 8, act_bits).lut
    more = WIDE_MEAN_LUT if wide else 0
    product = POOL_BITS + (WIDE_MEAN_BITS if wide else MEAN_BITS)
    return Logic(
        beat * POOL_BITS + multiplier + chosen + scaled + more,
        beat * POOL_BITS + product + requantizer(product, act_bits).ff,
    )


def mean(taps: Count, act_bits: int, kernel: int, factor_bits: int) -> Logic[Count]:
    """Return what averages one channel of one pixel of a window.

    A tree that adds the taps of an iteration, an adder to the sum so far, a product in
    parts of up to 8 x 8 bits, and a requantizer.

    Args:
        taps: Added at once.
        act_bits: Of a code.
        kernel: Rows and columns of the largest window.
        factor_bits: Of what a sum is multiplied by.

    Source: derived here from `multiplier_lut` and `requantizer`; adders by the bit.
    """
    bits = act_bits + 1 + ceil_log2(max(kernel**2, 2))
    wide = bits + factor_bits
    parts = -(-bits // 8) * -(-factor_bits // 8)
    product = parts * multiplier_lut(8, 8) + (parts - 1) * wide // 2
    scaled = requantizer(wide, act_bits)
    lut: Count = (taps - 1) * (act_bits + 2) + bits + product + scaled.lut
    return Logic(lut, taps * 0 + bits + wide + scaled.ff)


def border_lut(share_bits: int) -> int:
    """Return the LUTs that say for a pixel how often a border sum counts.

    Two comparisons and two sums of a row's or column's place, a table and a product.

    Source: derived here, for places of 10 bits.
    """
    return 2 * (4 * 10 + share_bits) + multiplier_lut(8, 8)


# LUTs per 16 bits of a multiplexer of so many ring rows, from 0.
# Source: data/block_cost.csv, rows column_window; 1 to 3 rows by construction (two
# 2:1 multiplexers or one 4:1 a LUT6); 10 rows by analogy with 9.
_ROW_MUX = np.array([0, 0, 8, 16, 16, 32, 29, 32, 28, 37, 41], np.int64)


def window(kernel: Count, stride: Count, px: Count, word_bits: Count) -> Logic[Count]:
    """Return a line buffer's control and read multiplexers.

    A `kernel` of 1 reads `px` neighbouring words from `px` column banks, rotated into
    place, each bank with an address of its own. A larger one reads `kernel` rows of
    `px` aligned words from a ring of `kernel` + `stride` rows. Words outside the map
    read as zero.

    Args:
        kernel: Rows read at once, 1 to 7.
        stride: Rows of the ring beyond `kernel`, 0 to 3.
        px: Words of a row read side by side, 1 to 16.
        word_bits: Bits of one pixel's word.

    Source: data/block_cost.csv, rows word_window and column_window; within 8 %.
    """
    ring = over(kernel, 1)
    words = kernel * px * word_bits
    rotation = Logic(
        (words * 8 * _log2_up(px)) // 16 + 31 * px - 12, 14 * px + 2 * _log2_up(px)
    )
    rows = (kernel + stride) * ring
    rolling = Logic(
        (words * _take(_ROW_MUX, rows)) // 16 + 10 + 12 * kernel + 21 * px,
        px * (kernel + 1) + 12 + kernel + 2 * _log2_up(kernel + stride),
    )
    return Logic(words * 0, words) + rolling.times(ring) + rotation.times(1 - ring)


def column_cache_lut(kernel: Count, pe: Count, bits: Count, groups: Count) -> Count:
    """Return the LUTs that keep the last `kernel` - 1 columns of each channel group.

    Args:
        kernel: Rows of a column.
        pe: Channels of a group.
        bits: Bits of an activation.
        groups: Channel groups, the depth of the memory.
    """
    return lutram_lut_deep((kernel - 1) * kernel * pe * bits, groups)


def lutram_lut_deep(width_bits: Count, depth: Count) -> Count:
    """Return the LUTs of a memory in LUTs of any depth, read multiplexers included.

    Args:
        width_bits: Bits of a word.
        depth: Words, 1 to 1024.

    Source: `hao.cost.bram.lutram_lut` and data/block_cost.csv, rows column_cache.
    """
    banks = -(-depth // 64)
    reading = (width_bits * _log2_up(banks) + 1) // 2 + over(banks, 1)
    return lutram_lut(width_bits, depth) * banks + reading


def _check_port(port_bits: int) -> None:
    if port_bits not in (64, 128):
        raise InputError(f"port of {port_bits} bits; 64 and 128 bits are measured")


def axi_reader(port_bits: int) -> Logic[int]:
    """Return a burst reader: 2-D addresses, bursts, FIFO control.

    Ports of 64 and 128 bits take the same: data goes straight to the FIFO, whose block
    RAM is `axi_fifo_bram18`.

    Raises:
        InputError: A port that was not measured.

    Source: data/block_cost.csv, axi_reader.
    """
    _check_port(port_bits)
    return Logic(313, 197)


def axi_writer(port_bits: int) -> Logic[int]:
    """Return a burst writer. Source: data/block_cost.csv, axi_writer."""
    _check_port(port_bits)
    return Logic(369, 224)


def axi_fifo_bram18(port_bits: int, beats: int) -> int:
    """Return the block RAM halves of the FIFO in a master's adapter.

    Args:
        port_bits: Of a beat.
        beats: Of all bursts that may be on their way at once: the adapter keeps a place
            for each (UG1399, "M_AXI Resources").

    Source: `hao.cost.bram`.
    """
    return bram18(port_bits, beats)


AXI_LITE = Logic(389, 675)
"""The control slave with 20 registers. Source: data/block_cost.csv, axi_lite."""

LOOP_CONTROL = Logic(107, 42)
"""One stage's six loop counters with run-time bounds.

Source: data/block_cost.csv, loop_control.
"""


def platform(ports: int) -> Logic[int]:
    """Return what the vendor's block design adds around the engine.

    Interconnect and protocol conversion of every port, resets, processor glue.

    Args:
        ports: AXI ports to DDR that the engine uses.

    Source: with our masters and control slave, four ports come to the 10,000 LUTs and
    15,000 flip-flops that the MSD accelerator (FCCM 2023, device file of the ZU3EG)
    reserves for everything but its compute array; the split between ports and the rest
    is ours. Above it, a KV260 design's shell with DMA engines takes 13,200 LUTs and
    17,509 flip-flops. docs/area.md.
    """
    return Logic(2300 + 1500 * ports, 3500 + 2500 * ports)
