"""The board that tests of every layer start from; they replace what they are about."""

from hao.hw.board import Board, DspType
from hao.hw.resources import Resources

# 100 MHz, ports of 8 bytes a cycle, DDR of 1.6 GB/s at 50 %: 8 bytes a cycle.
BOARD = Board(
    name="sample",
    title="Sample",
    device="XC0",
    part="xc0-1",
    clock_khz=100_000,
    resources=Resources(dsp=400, bram_18k=600, uram=0, lut=300_000, ff=600_000),
    cap_percent=Resources(dsp=100, bram_18k=100, uram=100, lut=100, ff=100),
    lutram=100_000,
    dsp_type=DspType.DSP48E2,
    ddr_peak_kbytes_per_s=1_600_000,
    ddr_read_percent=50,
    ddr_write_percent=50,
    ddr_burst_bytes=16,
    ports=4,
    port_bytes=8,
    port_max_khz=333_000,
    host_call_us=0,
)
