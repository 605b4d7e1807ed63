"""The overheads of a step are those of the machine that the replay models."""

import re
from pathlib import Path

from hao.cost import overheads
from hao.emission.context import LOOP_DEPTHS
from hao.emission.wiring import FIFO_DEPTH

REPLAY = Path(__file__).parents[2] / "templates" / "hls" / "sim" / "hao_replay.h"


def replay_constant(name: str) -> int:
    """Return the default of a field of the replay's `Config`."""
    text = REPLAY.read_text(encoding="utf-8")
    config = text.partition("struct Config {")[2].partition("\n};")[0]
    found = re.search(rf"\bint {name} = (\d+);", config)
    assert found, name
    return int(found[1])


def test_latencies_and_gaps_are_the_replays() -> None:
    assert replay_constant("read_latency") == overheads.READ_LATENCY
    assert replay_constant("write_latency") == overheads.WRITE_LATENCY
    assert replay_constant("gap_cycles") == overheads.GAP_CYCLES


def test_depths_are_those_of_the_emitted_loops() -> None:
    assert LOOP_DEPTHS == {
        "bus": overheads.BUS_LOOP_DEPTH,
        "unpack": overheads.UNPACK_DEPTH,
        "feed": overheads.FEED_DEPTH,
        "window": overheads.WINDOW_DEPTH,
        "listed": 9,  # of pruned layers; not priced, nor is the one of `order`
        "order": 6,
        "array": overheads.ARRAY_DEPTH,
        "fill": overheads.BUS_LOOP_DEPTH,
        "regroup": overheads.REGROUP_DEPTH,
        "pack": overheads.PACK_DEPTH,
        "finish": overheads.FINISH_DEPTH,
        "mean": overheads.MEAN_DEPTH,
        "records": overheads.RECORDS_DEPTH,
        "units": overheads.UNITS_DEPTH,
    }
    assert 2 * FIFO_DEPTH == overheads.SLACK_WORDS


def test_a_run_starts_and_ends_with_what_every_word_crosses() -> None:
    depths = LOOP_DEPTHS
    # A word of one stage: read, unpacked, windowed, multiplied, packed, finished,
    # written.
    crossed = 2 * depths["bus"] + depths["unpack"] + depths["window"]
    crossed += depths["array"] + depths["pack"] + depths["finish"]
    waited = replay_constant("read_latency") + replay_constant("write_latency")
    ends = sum(
        replay_constant(f"{name}_cycles") for name in ("start", "finish", "step")
    )
    # And a cycle in which the bus takes the last beat.
    one = overheads.START_CYCLES + overheads.STAGE_DEPTH_CYCLES
    left = depths["pack"] + depths["finish"] + depths["bus"]
    assert left + replay_constant("write_latency") == overheads.EXIT_CYCLES
    assert one == crossed + waited + ends + 1
    # Another stage regroups instead of unpacking.
    more = depths["regroup"] + depths["window"] + depths["array"]
    assert more == overheads.STAGE_DEPTH_CYCLES


def test_a_loop_of_a_burst_costs_its_latency_depth_and_a_gap() -> None:
    # n beats: the request, latency - 1 cycles, n reads, the last of them depth - 1
    # cycles before the end; then the gap. Counted from the request, less n.
    read = (replay_constant("read_latency") - 1) + LOOP_DEPTHS["bus"] - 1
    assert read + 1 + replay_constant("gap_cycles") == overheads.PIXEL_READ_CYCLES
    # What is read reaches the process behind a cycle after it is written.
    assert read + 1 == overheads.LOAD_START_CYCLES
    # Writes reach the bus after depth - 1 cycles and one more.
    write = LOOP_DEPTHS["bus"] + replay_constant("write_latency")
    assert write + replay_constant("gap_cycles") == overheads.PIXEL_WRITE_CYCLES


def test_a_stage_loads_in_two_loops_that_run_dry() -> None:
    dry = sum(LOOP_DEPTHS[name] - 1 for name in ("records", "units"))
    stage = dry + 2 * replay_constant("gap_cycles")
    start = overheads.LOAD_START_CYCLES
    assert [overheads.load_overhead(n) for n in range(4)] == [
        0,
        *(start + n * stage for n in (1, 2, 3)),
    ]
    # Alone, a step begins and ends, and the last weights pass through the array.
    alone = LOOP_DEPTHS["array"] + 4
    assert [overheads.load_step(n) for n in (0, 1, 3)] == [
        0,
        start + stage + alone,
        start + 3 * stage + alone,
    ]
