"""Every block that is measured, with the sizes it is measured at."""

from collections.abc import Iterator

from benchmarks.synth import axi, buffers, datapath
from benchmarks.synth.block import Block
from benchmarks.synth.lanes import Operands, dsp_lane, lut_lane, product
from hao.cost.blocks import CHAIN_MAX
from hao.cost.packing import Sharing, packing
from hao.hw.board import DspType

_SHARING = {
    Operands.PAIR: Sharing.PAIR,
    Operands.PIXEL_PAIR: Sharing.PIXEL_PAIR,
    Operands.QUAD: Sharing.QUAD,
}


def _packed(
    operands: Operands, simd: int, bits: tuple[int, int], *, chain: int = CHAIN_MAX
) -> Block:
    """Return a packed lane of the DSP48E2 with its exact field width."""
    found = packing(
        _SHARING[operands],
        DspType.DSP48E2,
        weight_bits=bits[0],
        act_bits=bits[1],
    )
    assert found is not None
    return dsp_lane(
        operands,
        simd,
        bits=bits,
        acc_bits=32,
        field=found.field_bits,
        chain=min(chain, found.depth),
    )


def _lanes() -> Iterator[Block]:
    for weight_bits in range(2, 9):
        for act_bits in range(2, 9):
            yield product(weight_bits, act_bits)
    for bits in ((8, 8), (4, 8), (4, 4), (2, 2)):
        yield lut_lane(16, *bits, 32, always_signed=True)
    for bits in ((8, 8), (4, 8), (4, 4), (2, 8), (6, 8), (3, 5)):
        for simd in (3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32):
            if bits in ((8, 8), (4, 8), (4, 4)) or simd in (9, 16):
                yield lut_lane(simd, *bits, 32 if simd != 12 else 20)
    for bits in ((8, 8), (4, 8)):
        for simd in (3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32):
            yield _packed(Operands.PAIR, simd, bits)
    for chain in (1, 2, 3):
        yield _packed(Operands.PAIR, 16, (8, 8), chain=chain)
    for chain in (3, 8, 16):
        yield _packed(Operands.PAIR, 16, (4, 8), chain=chain)
    for bits in ((4, 4), (2, 4), (4, 5), (3, 6)):
        for simd in (4, 8, 9, 16, 18, 32):
            yield _packed(Operands.QUAD, simd, bits)
    for taps in (1, 3, 5, 9, 25):
        yield _packed(Operands.PIXEL_PAIR, taps, (8, 8))
        yield _packed(Operands.PIXEL_PAIR, taps, (4, 8))
        yield dsp_lane(
            Operands.SINGLE, taps, bits=(8, 8), acc_bits=32, field=0, chain=CHAIN_MAX
        )


def _datapath() -> Iterator[Block]:
    for out_bits in (4, 8):
        for acc_bits in (16, 20, 24, 28, 32):
            yield datapath.requantizer(acc_bits, out_bits)
            yield datapath.even_requantizer(acc_bits, out_bits)
        for acc_bits in (16, 20, 24, 27, 28, 32):
            yield datapath.multiplier_requantizer(acc_bits, out_bits)
        for acc_bits in (16, 18, 20, 24, 28, 32):
            yield datapath.wide_requantizer(acc_bits, out_bits)
    for acc_bits in (16, 24, 32):
        yield datapath.requantizer(acc_bits, 8, clamp_first=False)
    for bits in (4, 6, 8):
        yield datapath.residual(bits)
    yield datapath.loop_control()


def _buffers() -> Iterator[Block]:
    for px in (1, 2, 4, 7):
        for word_bits in (64, 128, 256):
            yield buffers.word_window(px, word_bits)
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)):
        for px in (1, 2, 4):
            yield buffers.column_window(kernel, stride, px, 64)
    for px in (1, 2, 4, 7):
        yield buffers.column_window(3, 2, px, 128)
    for width_bits in (33, 96, 192):
        for depth in (4, 16, 32, 40, 64, 128, 256):
            yield buffers.column_cache(width_bits, depth)


def blocks() -> Iterator[Block]:
    """Yield every block."""
    yield from _lanes()
    yield from _datapath()
    yield from _buffers()
    for data_bits in (64, 128):
        yield axi.reader(data_bits)
        yield axi.writer(data_bits)
    yield axi.lite()
