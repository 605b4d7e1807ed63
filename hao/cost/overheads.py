"""Cycles that a step of the engine takes besides its iterations, derived one by one.

They are those of the machine that the cycle replay models (latencies of a port, cycles
between loops: templates/hls/sim/hao_replay.h) and the depths of the emitted loops
(`hao.emission.context.LOOP_DEPTHS`); tests/cost/test_overheads.py compares with both. A
loop of n iterations that starts at s reads at s, s + 1, ... and what it writes can be
read `depth` cycles later; a word that crosses several processes is late by the sum of
their depths, once a step.
"""

READ_LATENCY = 44
"""From the request of a burst to its first beat [cycles]. Source: 10 + 28 + 6 clocks of
the AXI DMA, PG021 through a public transcription."""

WRITE_LATENCY = 44
"""From the last beat of a loop to the response that ends it [cycles]. Source: assumed
equal to `READ_LATENCY`; no public figure was found."""

MAX_BURST_BEATS = 64
"""Beats of the longest burst of a port. Source: chosen here: 1 KiB on a port of 16
bytes, so that a request costs little and none crosses a page of 4 KiB."""

OUTSTANDING_BURSTS = 8
"""Bursts of a port on their way at once.

Source: chosen here. With `MAX_BURST_BEATS` they fill the least BRAM that a FIFO of a
beat's width can have (512 words deep) and cover `READ_LATENCY` eleven times over; the
interfaces of the core are emitted with both, and `hao.cost.area` prices their product.
"""

GAP_CYCLES = 3
"""Between two loops of a process [cycles]. Source: 2 of public HLS reports, see
hao_replay.h, and an assumed one to call the next."""

BUS_LOOP_DEPTH = 3
FEED_DEPTH = 3
UNPACK_DEPTH = 6
WINDOW_DEPTH = 6
ARRAY_DEPTH = 16
REGROUP_DEPTH = 2
PACK_DEPTH = 8
FINISH_DEPTH = 6
MEAN_DEPTH = 12
RECORDS_DEPTH = 4
UNITS_DEPTH = 7
"""Stages of each kind of loop [cycles]. Source: `LOOP_DEPTHS`, adding registers up."""

_STEP_CYCLES = 4
"""Begin and end of a process, end of the step, and the beat on the bus [cycles].

Source: derived here: the replay counts one for each (templates/hls/sim/hao_replay.h).
"""

STAGE_DEPTH_CYCLES = REGROUP_DEPTH + WINDOW_DEPTH + ARRAY_DEPTH
"""From a stage's first input to its first output, beyond its iterations [cycles].

Source: derived here. The first stage unpacks instead of regrouping, which stands in
`START_CYCLES`.
"""

START_CYCLES = (
    _STEP_CYCLES
    + READ_LATENCY
    + BUS_LOOP_DEPTH
    + (UNPACK_DEPTH - REGROUP_DEPTH)
    + PACK_DEPTH
    + FINISH_DEPTH
    + BUS_LOOP_DEPTH
    + WRITE_LATENCY
)
"""What a run takes besides its iterations and its stages [cycles].

Source: derived here: read latency, reader, unpack, pack, finish, writer, response.
"""

EXIT_CYCLES = PACK_DEPTH + FINISH_DEPTH + BUS_LOOP_DEPTH + WRITE_LATENCY
"""Of `START_CYCLES`, what a run that writes nothing does not take [cycles].

Source: derived here: such a run only adds to sums in the array.
"""

FILL_CYCLES = START_CYCLES - _STEP_CYCLES - READ_LATENCY - WRITE_LATENCY
"""Of `START_CYCLES`, what the first words of a run take through its loops [cycles].

Source: derived here. With `STAGE_DEPTH_CYCLES` a stage, in which the DDR has nothing to
write; the weights of the next run, all read in one loop, use it.
"""

LEAD_CYCLES = FEED_DEPTH - 1 + GAP_CYCLES
"""From the loop of a dense window that takes in the first rows to the next [cycles].

Source: derived here: the loop runs dry, and a gap.
"""

POOL_CYCLES = GAP_CYCLES + MEAN_DEPTH
"""From a global pool's last sum to its first mean [cycles]. Source: derived here."""

_PIXEL_GAP_CYCLES = BUS_LOOP_DEPTH - 1 + GAP_CYCLES
"""Between the loops over the beats of two pixels of a tile [cycles].

Source: derived here: the loop runs dry, and a gap.
"""

PIXEL_READ_CYCLES = READ_LATENCY + _PIXEL_GAP_CYCLES
"""A pixel of a tile's residual, beyond its beats [cycles].

Source: derived here: each pixel is a burst of a loop of its own.
"""

PIXEL_WRITE_CYCLES = WRITE_LATENCY + 1 + _PIXEL_GAP_CYCLES
"""A pixel that a tile writes, beyond its beats [cycles].

Source: derived here: the next pixel's loop begins after the response to this one's.
"""

LOAD_START_CYCLES = READ_LATENCY + BUS_LOOP_DEPTH - 1
"""Until the first weights of a step reach the loader [cycles].

Source: derived here: one burst loop reads those of all stages.
"""

LOAD_STAGE_CYCLES = RECORDS_DEPTH - 1 + UNITS_DEPTH - 1 + 2 * GAP_CYCLES
"""Loading a stage's weights, beyond their beats [cycles].

Source: derived here: a loop for the records and one for the weights, both behind the
reader, run dry, and a gap comes after each.
"""

SLACK_WORDS = 4
"""Words that two FIFOs of two hold between stages.

Source: `FIFO_DEPTH` of hao.emission.
"""

LOADED_CYCLES = LOAD_START_CYCLES + UNITS_DEPTH - 1 + ARRAY_DEPTH + _STEP_CYCLES
"""What a step takes in which a stage's weights load longer than anything else, beyond
what the DDR moves [cycles].

Source: derived here: the last weights reach the array through the loader and end with
the array's loop.
"""


def load_overhead(stages: int) -> int:
    """Return what loading the weights of so many stages takes besides beats [cycles].

    Source: derived here; none where nothing loads.
    """
    return LOAD_START_CYCLES + stages * LOAD_STAGE_CYCLES if stages else 0


def load_step(stages: int) -> int:
    """Return what a step that only loads weights takes besides their beats [cycles].

    Source: derived here: as `load_overhead`, and the last weights end with the array's
    loop, as in `LOADED_CYCLES`. Exact in 14 of 44 load steps of random engines in the
    replay, where records and units divide beats; others take up to 100 cycles more.
    """
    more = ARRAY_DEPTH + _STEP_CYCLES
    return load_overhead(stages) + more if stages else 0
