"""Paths of an invocation by hand, from made-up times of its stages."""

from dataclasses import replace

import numpy as np

from hao.cost.arrival import Arrival
from hao.cost.latency import StageTimes
from hao.cost.memory import read
from hao.cost.overheads import (
    EXIT_CYCLES,
    POOL_CYCLES,
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
)
from hao.cost.paths import (
    Path,
    Transfers,
    paths,
    rows_ahead,
    rows_behind,
    standing_cycles,
)
from hao.cost.waits import Waits
from hao.ir.partition import Invocation, Role
from tests.cost.samples import conv, depthwise, invocation, linear, max_pool, shape
from tests.hw.samples import BOARD

DEPTH = START_CYCLES + 3 * STAGE_DEPTH_CYCLES


def _times(
    row: int, group: int, cycles: int, lead_in: int = 0, *, word: int = 0
) -> StageTimes:
    """Return times whose left edge takes a group, and rows the same without intake."""
    counts = (row, row, group, group, word, cycles, lead_in, 0, row, 0)
    return StageTimes(*(np.asarray(count) for count in counts))


def _block(
    kernel: int, *, residual: bool = False, pooled: bool = False, stride: int = 1
) -> Invocation:
    block = shape(8, 6, 6)
    middle = depthwise(block, kernel, stride=stride, name="b")
    return invocation(
        dense=conv(shape(4, 6, 6), 8, 1, name="a"),
        depthwise=middle,
        pointwise=conv(middle.ofm, 4, 1, name="c"),
        residual=residual,
        pooled=pooled,
    )


def _values(found: tuple[Path, ...]) -> dict[str, int]:
    """Return the cycles of every path, less the depth."""
    return {
        path.label: path.constant - DEPTH + sum(map(int, path.terms.values()))
        for path in found
    }


def _cycles(
    run: Invocation, *, pack: int = 0, group: int = 0, px: int = 1
) -> dict[str, int]:
    times = {
        Role.DENSE: _times(10, 5, 60, 7, word=1),
        Role.DEPTHWISE: _times(100, 30, 600, 999),
        Role.POINTWISE: _times(1000, 400, 6000, 888, word=2),
    }
    moved = Transfers(ifm=50, ofm=36, residual=30, pack=pack, group=group)
    return _values(paths(run, times, moved, px))


def test_paths_of_three_stages_by_hand() -> None:
    # A 3x3 window with one row of padding needs 2 rows, so the dense stage leads by 7
    # (its input) + 2 x 10; the depthwise stage by one group, 30. After the last input
    # row the dense stage makes a row, behind which wait 2 rows of the others: each may
    # hold the others up, or only hand on a group. A row leaves in 36 / 6 cycles.
    found = _cycles(_block(3))
    assert found["ifm"] == 50 + 5 + 30 + 400 + 2 * 6
    assert found["ifm+pointwise"] == 50 + 5 + 30 + 2 * 1000
    assert found["ifm+depthwise"] == 50 + 5 + 2 * 100 + 400
    assert found["ifm+dense"] == 50 + 10 + 30 + 400 + 2 * 6
    assert found["ifm+dense+depthwise"] == 50 + 10 + 2 * 100 + 400
    assert found["ifm+dense+pointwise"] == 50 + 10 + 30 + 2 * 1000
    assert found["dense"] == 7 + 60 + 30 + 400 + 2 * 6
    assert found["dense+depthwise"] == 7 + 60 + 2 * 100 + 400
    assert found["dense+pointwise"] == 7 + 60 + 30 + 2 * 1000
    assert found["depthwise"] == 27 + 600 + 400
    assert found["pointwise"] == 27 + 30 + 6000
    assert found["ofm"] == 27 + 30 + 400 + 36


def test_paths_that_change_within_every_row_by_hand() -> None:
    # 6 groups of a pixel a row. The depthwise stage takes 30 for the first, the
    # pointwise stage 400 for each of the 5 others, less 3 words of 2 that lie between;
    # 6 rows, then one group.
    found = _cycles(_block(3))
    assert found["depthwise+edge"] == 27 + 6 * 30 + 6 * (2000 - 6) + 400
    # 5 further rows come in, during 4 rows; of a row's columns the left edge takes 2
    # of 7, less 4 words of 1 a row. No input comes during 2 rows: 6 groups each.
    dense = 4 * 10 * 2 // 7 - 4 * 4
    assert found["dense+edge"] == 27 + max(dense, 0) + 4 * 1994 + (2 * 6 + 1) * 400
    # All pixels of a row at once leave no edge.
    assert not any(label.endswith("+edge") for label in _cycles(_block(3), px=6))


def test_paths_follow_the_rows_that_the_next_window_needs() -> None:
    # 5x5 with two rows of padding: 3 rows of 10 behind an input of 7.
    assert _cycles(_block(5))["depthwise"] == 37 + 600 + 400


def test_a_linear_layer_reads_its_whole_map_ahead() -> None:
    layer = linear(shape(4, 7, 5), 3)
    assert rows_ahead(invocation(dense=layer)) == 7
    assert rows_ahead(invocation(pointwise=layer)) == 7


def test_rows_ahead_and_behind_a_block() -> None:
    assert (rows_ahead(_block(3)), rows_behind(_block(3))) == (2, 2)
    assert (rows_ahead(_block(5)), rows_behind(_block(5))) == (3, 3)
    # At stride 2, 3 output rows: the last one meets the last input row.
    assert rows_behind(_block(3, stride=2)) == 1
    chain = invocation(
        dense=conv(shape(4, 6, 6), 8, 3, name="a"),
        depthwise=depthwise(shape(8, 6, 6), 3, name="b"),
    )
    # Two windows: the first needs 2 rows of the dense stage, these need 3.
    assert (rows_ahead(chain), rows_behind(chain)) == (3, 3)


def test_a_residual_is_a_path_of_its_own() -> None:
    assert "residual" not in _cycles(_block(3))
    assert _cycles(_block(3, residual=True))["residual"] == 30


def test_a_global_pool_writes_after_every_path() -> None:
    plain = _cycles(_block(3, residual=True), pack=36)
    pooled = _cycles(_block(3, pooled=True), pack=36)
    del plain["residual"]
    assert pooled == {k: v + 36 + POOL_CYCLES for k, v in plain.items()}


def test_the_way_out_takes_the_slower_of_packing_and_writing() -> None:
    assert _cycles(_block(3), pack=35)["ofm"] == _cycles(_block(3))["ofm"]
    assert _cycles(_block(3), pack=45)["ofm"] == _cycles(_block(3))["ofm"] + 9


def test_the_last_pixels_are_packed_after_every_path() -> None:
    plain, packed = _cycles(_block(3)), _cycles(_block(3), group=3)
    assert packed["depthwise"] == plain["depthwise"] + 3
    assert packed["pointwise"] == plain["pointwise"] + 3
    # Rows that are left take longer than that.
    assert packed["dense"] == plain["dense"]


def test_the_ddr_slows_reader_and_writer() -> None:
    run = _block(3)
    times = {role: _times(1, 1, 6) for role in Role}
    moved = Transfers(ifm=50, ofm=36, residual=0, pack=0, group=0)
    plain = _values(paths(run, times, moved, 1))
    busy = _values(paths(run, times, replace(moved, ddr_in=80), 1))
    assert busy["ifm"] == plain["ifm"] + 30
    assert busy["ofm"] == plain["ofm"]
    busy = _values(paths(run, times, replace(moved, ddr_out=80, ddr_left=60), 1))
    assert busy["ofm"] == plain["ofm"] + 44
    assert busy["ifm"] == plain["ifm"] + 2 * (60 - 36) // 6


def _arriving(rows: int, residual: int = 0, weights: int = 0) -> Arrival:
    """Return an input of so many rows of 6 pixels of 4 bytes: 3 beats of the port."""
    none = np.asarray(0)
    return Arrival(
        ifm=read(rows * 24),
        rows=rows,
        residual=read(residual),
        ofm=read(rows * 48),
        weights=np.asarray(weights),
        burst=none,
        board=BOARD,
    )


def test_a_stage_waits_for_rows_that_come_slowly() -> None:
    # Weights and a residual take two of three turns of a DDR that is as fast as a port:
    # a row of 3 beats takes 9 cycles. The depthwise stage needs 2 rows of the dense
    # one, which sends each while the next comes: 3 rows. What the dense stage holds
    # comes on top: 16 iterations of its array, of which a row has 2, 6 of its window,
    # of which it has 10, and 6 that unpack, of 6 a row: 24 x (8 + 0.6 + 1) bytes, 29
    # beats; but only 36 beats come in all.
    arrival = _arriving(12, residual=1000, weights=1000)
    times = {
        Role.DENSE: replace(_times(10, 5, 60, 7), trips=np.asarray(2)),
        Role.DEPTHWISE: _times(100, 30, 600),
        Role.POINTWISE: _times(1000, 400, 6000),
    }
    times[Role.DENSE] = replace(times[Role.DENSE], intake=np.asarray(72))
    moved = Transfers(ifm=0, ofm=0, residual=0, pack=0, group=0, arrival=arrival)
    run = _block(3, residual=True)
    found = _values(paths(run, times, moved, 1))
    assert found["dense"] == 9 + 60 + 30 + 400
    assert found["depthwise"] == 3 * 36 - STAGE_DEPTH_CYCLES + 600 + 400
    plenty = replace(moved, arrival=_arriving(100, residual=3000, weights=3000))
    times[Role.DENSE] = replace(times[Role.DENSE], intake=np.asarray(600))
    found = _values(paths(run, times, plenty, 1))
    assert found["depthwise"] == 3 * (9 + 29) - STAGE_DEPTH_CYCLES + 600 + 400


def test_an_array_stands_until_it_has_ended_but_for_its_iterations() -> None:
    # Of 9 cycles until the first rows are there and 60 of work, of 6 rows, the array
    # moves in 2 a row. Of 72 in which the input is unpacked and 10 of the last row
    # it stands longer.
    times = {Role.DENSE: replace(_times(10, 5, 60, 7), trips=np.asarray(2))}
    moved = Transfers(ifm=0, ofm=99, residual=0, pack=99, group=9)
    moved = replace(moved, arrival=_arriving(12, residual=1000, weights=1000))
    begin = START_CYCLES - EXIT_CYCLES + STAGE_DEPTH_CYCLES
    run = _block(1)
    height = run.stages[0][1].ofm.height
    assert standing_cycles(run, times, moved, 1) == begin + 9 + 60 - 2 * height
    times[Role.DENSE] = replace(times[Role.DENSE], intake=np.asarray(72))
    assert standing_cycles(run, times, moved, 1) == begin + 72 + 10 - 2 * height
    assert standing_cycles(run, times, replace(moved, arrival=None), 1) == 0


def test_an_array_that_waits_for_its_window_holds_outputs_back() -> None:
    # The array has 4 iterations in the 10 cycles of a row: 16 of them wait 16 x 6 / 4.
    plain = _cycles(_block(3))
    times = {
        Role.DENSE: replace(_times(10, 5, 60, 7), trips=np.asarray(4)),
        Role.DEPTHWISE: _times(100, 30, 600, 999),
        Role.POINTWISE: _times(1000, 400, 6000, 888, word=2),
    }
    moved = Transfers(ifm=50, ofm=36, residual=30, pack=0, group=0)
    held = _values(paths(_block(3), times, moved, 1))
    assert held["depthwise"] == plain["depthwise"] + 24
    assert held["ofm"] == plain["ofm"]
    # Beside what is written then, nothing has to be read any more.
    assert held["ofm+held"] == 27 + 30 + 400 + 24 + 36


def test_a_depthwise_stage_takes_in_its_rows_as_fast_as_it_can() -> None:
    times = {
        Role.DENSE: _times(10, 5, 60, 7),
        Role.DEPTHWISE: replace(_times(100, 30, 600), fed=np.asarray(70)),
        Role.POINTWISE: _times(1000, 400, 6000),
    }
    moved = Transfers(ifm=50, ofm=36, residual=0, pack=0, group=0)
    found = _values(paths(_block(3), times, moved, 1))
    assert found["depthwise+rows"] == 7 + 5 + 70 + 600 + 400


def test_the_last_input_comes_behind_what_is_written_before() -> None:
    # 6 rows of 3 beats, and 6 x 6 beats to write. Before the last row has come, 2 rows
    # ahead and what the dense stage holds are not written, as much for each of three
    # stages: 24 x (16 / 10 + 6 / 10 + 1) bytes, 3 rows. That is more than there are; of
    # 40 rows it is a part.
    run = _block(3)
    times = {
        Role.DENSE: replace(_times(10, 5, 60, 7), intake=np.asarray(36)),
        Role.DEPTHWISE: _times(100, 30, 600),
        Role.POINTWISE: _times(1000, 400, 6000),
    }
    few = Waits(stages=run.stages, times=times, arrival=_arriving(6), ahead=2)
    assert int(few.last_input()) == 18
    times[Role.DENSE] = replace(times[Role.DENSE], intake=np.asarray(240))
    many = Waits(stages=run.stages, times=times, arrival=_arriving(40), ahead=2)
    written = 1920 * (960 - 48 - 3 * (38 + 14 + 24)) // 960
    assert written // 8 > 120  # as much as is read is in the way, no more
    assert int(many.last_input()) == 120 + 120


def test_paths_without_a_stage_are_the_transfers() -> None:
    whole = shape(8, 6, 6)
    run = replace(invocation(dense=conv(whole, 8, 1)), dense=None, ofm=shape(8, 1, 1))
    moved = Transfers(ifm=50, ofm=40, residual=0, pack=0, group=0)
    (path,) = paths(run, {}, moved, 1)
    assert (path.label, path.terms) == ("ifm", {})
    assert path.constant == START_CYCLES + 90 + POOL_CYCLES


def test_transfers_per_configuration_join_the_stage() -> None:
    run = invocation(dense=conv(shape(4, 6, 6), 8, 1), residual=True)
    times = {Role.DENSE: _times(10, 5, 60, 7)}
    many = np.array([102, 204])
    moved = Transfers(ifm=50, ofm=many, residual=many, pack=0, group=0)
    found = {
        path.label: path.constant + path.terms[Role.DENSE]
        for path in paths(run, times, moved, 1)
    }
    depth = START_CYCLES + STAGE_DEPTH_CYCLES
    # The writer starts after the dense stage's input (7) and first group (5).
    assert list(found["ofm"]) == [depth + 114, depth + 216]
    assert list(found["residual"]) == [depth + 102, depth + 204]
    # One row leaves after the last input row: a sixth.
    assert list(found["ifm"]) == [depth + 50 + 5 + 17, depth + 50 + 5 + 34]
    assert list(found["ifm+dense"]) == [depth + 60, depth + 60]


def test_a_path_is_named_by_the_process_it_follows_first() -> None:
    assert Path("dense+pointwise", 0, {}).process == "dense"
    assert Path("ofm", 0, {}).process == "ofm"


def test_pools_count_as_depthwise_stages_in_paths() -> None:
    run = invocation(
        dense=conv(shape(4, 6, 6), 8, 3, name="a"), depthwise=max_pool(shape(8, 6, 6))
    )
    times = {Role.DENSE: _times(10, 5, 60, 7), Role.DEPTHWISE: _times(100, 30, 300)}
    moved = Transfers(ifm=1, ofm=1, residual=0, pack=0, group=0)
    found = {path.label: path for path in paths(run, times, moved, 1)}
    # A 2x2 window needs 2 rows of the dense stage; then come all of its own.
    depth = START_CYCLES + 2 * STAGE_DEPTH_CYCLES
    assert found["depthwise"].constant == depth + 7 + 2 * 10 + 300
