"""When input arrives, by hand: ports of 8 bytes a cycle, a DDR that is as fast."""

from dataclasses import replace

import numpy as np

from hao.cost.arrival import Arrival
from hao.cost.memory import read
from hao.cost.overheads import MAX_BURST_BEATS, OUTSTANDING_BURSTS
from hao.cost.transfers import run_maps, run_transfers
from tests.cost.samples import conv, invocation, setting, shape
from tests.hw.samples import BOARD

NONE = np.asarray(0)

ARRIVAL = Arrival(
    ifm=read(80),
    rows=5,
    residual=read(80),
    ofm=read(160),
    weights=np.asarray(24),
    burst=NONE,
    board=BOARD,
)


def test_readers_take_turns_until_one_has_all() -> None:
    # A row is 2 beats; so are those of the residual and of the weights that come with
    # it.
    assert int(ARRIVAL.row) == 16
    assert int(ARRIVAL.first(np.asarray(16))) == 6
    # All 10 beats, 10 of the residual, but only 3 of weights.
    assert int(ARRIVAL.first(np.asarray(80))) == 23
    assert int(ARRIVAL.first(np.asarray(800))) == 23
    alone = replace(ARRIVAL, residual=read(0), weights=NONE)
    assert int(alone.first(np.asarray(16))) == 2


def test_a_reader_waits_for_no_more_than_it_has_itself() -> None:
    # Half of the output may leave before, 10 beats, as many as are read of the input.
    assert int(ARRIVAL.last(np.asarray(1), np.asarray(2))) == 30
    # Of all 20 beats still only 10 are in the way.
    assert int(ARRIVAL.last(np.asarray(2), np.asarray(2))) == 30
    assert int(ARRIVAL.last(np.asarray(0), np.asarray(2))) == 20


def test_what_no_buffer_holds_must_have_been_written() -> None:
    held = 8 * OUTSTANDING_BURSTS * MAX_BURST_BEATS
    long = replace(ARRIVAL, ofm=read(held + 800), residual=read(0))
    # 110 beats more than a port buffers are written before the last of 10 is read.
    assert int(long.last(np.asarray(1), np.asarray(1))) == 10 + 100
    # A residual that is needed has been read, however much it is.
    added = replace(ARRIVAL, ofm=read(0), residual=read(held + 800))
    assert int(added.last(np.asarray(1), np.asarray(1))) == 10 + (held + 800) // 8


def test_a_residual_that_its_port_buffers_is_there_when_the_output_leaves() -> None:
    # 8 bursts of 64 beats of 8 bytes are buffered: a map of 8 x 8 pixels of 64 channels
    # is that much, so that only the output, as large, is left. 72 channels are 64 beats
    # more each way.
    none = np.array([0])
    for channels, left in ((64, 512), (72, 576 + 64)):
        own = np.array([channels])
        run = invocation(dense=conv(shape(8, 8, 8), channels, 1), residual=True)
        maps = run_maps(run, own, setting())
        found = run_transfers(
            run, setting(), maps, pe=own, channels=own, weights=none, burst=none
        )
        assert np.asarray(found.ddr_left).tolist() == [left]
