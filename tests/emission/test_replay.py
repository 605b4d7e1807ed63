"""The cycle replay: counted by hand, and equal to Verilog in every cycle.

Constants of the counts by hand: a process begins in cycle 1, has 1 cycle after its last
loop and 3 between loops; the step takes 1 more than its slowest process.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hao.data import data_path
from tests.emission.networks import (
    Settings,
    network_text,
    random_network,
    write_tables,
)

RTL = Path(__file__).parent / "rtl"
TIMEOUT = 300  # [s]


def build(source: Path, program: Path, *flags: str) -> Path:
    sim = data_path("templates", "hls", "sim")
    command = ["g++", "-std=c++14", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command += [*flags, f"-I{sim}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, timeout=TIMEOUT)
    return program


@pytest.fixture(scope="module")
def macros(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("macros")
    return build(RTL / "macros.cpp", folder / "macros", "-DHAO_TRACE")


@pytest.fixture(scope="module")
def network_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    return build(RTL / "network.cpp", folder / "network", "-DHAO_TRACE")


class Report:
    """The second of two equal steps, and what holds for both."""

    def __init__(self, text: str) -> None:
        whole = json.loads(text)
        self.step = whole["steps"][-1]
        assert whole["cycles"] == sum(step["cycles"] for step in whole["steps"])
        self.cycles: int = self.step["cycles"]
        self.ends: dict[str, int] = {
            process["name"]: process["end_cycle"] for process in self.step["processes"]
        }
        self.stalls: dict[str, dict[str, int]] = {
            process["name"]: process["stall_cycles"]
            for process in self.step["processes"]
        }
        self.trips: dict[str, int] = {
            loop["label"]: loop["trips"]
            for process in self.step["processes"]
            for loop in process["loops"]
        }
        self.streams: dict[str, dict[str, int | None]] = {
            stream["name"]: stream for stream in whole["streams"]
        }
        self.peaks: dict[str, int] = {
            stream["name"]: stream["peak"] for stream in self.step["streams"]
        }
        self.bursts: list[int] = [port["bursts"] for port in self.step["ports"]]


def run(program: Path, text: str) -> Report:
    done = subprocess.run(
        [program, *text.split()],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return Report(done.stdout)


def refusal(program: Path, text: str) -> str:
    done = subprocess.run(
        [program, *text.split()], capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 1
    return done.stderr


def test_a_loop_takes_trips_minus_one_plus_depth(macros: Path) -> None:
    # Cycle 1 + 10 - 1 + 5 = 15 is the first after the loop; one more, and one more.
    report = run(macros, "single 10 -1")
    assert (report.ends["single"], report.cycles) == (16, 17)


def test_loops_of_a_process_follow_each_other_with_a_gap(macros: Path) -> None:
    # The first (5 trips, depth 5) is busy in 1..9, the second (7 trips, depth 2) in
    # 13..20; a loop without trips takes the one cycle 13 in which its condition fails.
    assert run(macros, "single 5 7").ends["single"] == 22
    assert run(macros, "single 5 0").ends["single"] == 15


@pytest.mark.parametrize(
    ("depth", "producer", "consumer"),
    # Words leave the producer (depth 4) from cycle 4 on and are read one cycle later.
    # Depth 1: a word every two cycles: the last is written at 22, read at 23, and the
    # pipeline of 3 ends at 25. Depth 2 is enough for one a cycle: 13, 14 and 16.
    [(1, 24, 27), (2, 15, 18), (16, 15, 18)],
)
def test_a_fifo_of_two_words_keeps_up(
    macros: Path, depth: int, producer: int, consumer: int
) -> None:
    report = run(macros, f"chain 10 1 {depth}")
    assert report.ends == {"produce": producer, "consume": consumer}
    # Before word 0 the consumer waits in 1..4; with depth 1 for each of 9 more.
    waits = 9 if depth == 1 else 0
    assert report.stalls["consume"] == {"empty": 4 + waits, "full": 0, "bus": 0}
    assert report.stalls["produce"] == {"empty": 0, "full": waits, "bus": 0}


def test_a_slow_consumer_pushes_back(macros: Path) -> None:
    # Read j happens at 5 + 4 j, so a FIFO of two takes word i >= 3 at 10 + 4 (i - 3),
    # the last one at 34. A FIFO of 16 takes word i at 4 + i; when the last arrives at
    # 13, 7 of the others are still there (the read of cycle 13 frees its place later).
    two, many = run(macros, "chain 10 4 2"), run(macros, "chain 10 4 16")
    assert two.ends == {"produce": 36, "consume": 48}
    assert many.ends == {"produce": 15, "consume": 48}
    assert (two.peaks["words"], many.peaks["words"]) == (2, 8)


def test_unlimited_fifos_show_what_is_held_and_sizing_what_is_needed(
    macros: Path,
) -> None:
    # The consumer sets the pace, so that two words are enough.
    slow = run(macros, "chain 10 4 2 size=1").streams["words"]
    assert (slow["unlimited_peak"], slow["smallest_depth"]) == (8, 2)
    unlimited = run(macros, "chain 10 4 2 unlimited=1")
    assert unlimited.ends["produce"] == 15
    assert unlimited.streams["words"]["smallest_depth"] is None
    # One process writes all of `a` (1..4), then of `b` (8..11); the other reads `b`
    # (9..12) before `a`: `a` must hold all 4 words.
    both = run(macros, "deadlock 4 size=1")
    assert both.streams["a"]["smallest_depth"] == 4
    assert both.streams["b"]["smallest_depth"] == 2


@pytest.mark.parametrize("trips", [0, 4])
def test_a_loop_that_polls_goes_on_until_all_words_have_come(
    macros: Path, trips: int
) -> None:
    # Unit i is written at 2 + i and found at 3 + i, the last one at 8: 8 iterations in
    # 1..9. Their words are written a cycle later and read in 3..10; depth 3: until 12.
    report = run(macros, f"weights 6 {trips}")
    assert report.trips == {"units": 6, "fills": 8, "sums": 8}
    assert report.ends == {"load": 9, "fill": 11, "multiply": 14}


def test_polled_words_that_come_in_time_cost_nothing(macros: Path) -> None:
    # 20 iterations in 1..21, whose words are read in 3..22.
    report = run(macros, "weights 6 20")
    assert report.trips == {"units": 6, "fills": 20, "sums": 20}
    assert report.ends == {"load": 9, "fill": 23, "multiply": 26}


def test_without_trips_or_units_both_conditions_fail_at_once(macros: Path) -> None:
    assert run(macros, "weights 0 0").ends == {"load": 3, "fill": 3, "multiply": 3}


def test_bursts_are_requested_ahead(macros: Path) -> None:
    # Requested in cycle 1, here 44 later: beat i is read at 45 + i.
    report = run(macros, "read 40 40")
    assert report.ends["read_port"] == 45 + 39 + 2
    assert report.bursts == [3]
    assert report.stalls["read_port"]["bus"] == 44


def test_one_burst_at_a_time_pays_the_latency_of_each(macros: Path) -> None:
    # Beats of the bursts of 16, 16 and 8 are read in 45..60, 105..120 and 165..172.
    assert run(macros, "read 40 40 outstanding=1").ends["read_port"] == 174


def test_a_jump_and_a_page_begin_a_burst(macros: Path) -> None:
    # 0..9, then 1010..1023 (16 bytes a beat: a page is 256 beats) and 1024..1029.
    assert run(macros, "read 30 10").bursts == [3]
    # 300 beats in bursts of up to 256 end where page 1 begins; 7 more than 256 would
    # have fitted otherwise.
    assert run(macros, "read 300 300 burst=256").bursts == [2]
    assert run(macros, "read 300 300 burst=200").bursts == [3]


def test_the_ddr_sets_the_pace_of_a_fast_port(macros: Path) -> None:
    # 8 bytes a cycle, 16 a beat. What was saved up (24 bytes) pays for beat 0 and half
    # of beat 1: delivered at 44, 45, 47, 49, ..., beat 39 at 121, read at 122.
    assert run(macros, "read 40 40 ddr=8000").ends["read_port"] == 124


def test_a_run_takes_whole_bursts_of_the_ddr(macros: Path) -> None:
    # Beats 0..9 end at byte 160, in the middle of a burst of 64; beat 1010 begins at
    # 16,160, 32 behind the start of one. 64 bytes that nobody uses take 8 cycles.
    whole, short = (
        run(macros, f"read 30 10 ddr=8000 ddr_burst={burst}") for burst in (16, 64)
    )
    assert short.ends["read_port"] == whole.ends["read_port"] + 8
    # Where the run goes on in the next AXI burst or page, none is lost.
    whole, long = (
        run(macros, f"read 300 300 ddr=8000 burst=6 ddr_burst={n}") for n in (16, 64)
    )
    assert long.ends == whole.ends


def test_written_bytes_may_take_more_of_the_ddr(macros: Path) -> None:
    # Beats of 16 bytes at 8 a cycle and twice the cost: one in 4 cycles. Handed over in
    # 3..12, beat 0 and a quarter of beat 1 are saved up: they leave at 4, 7, 11, ...,
    # 39; acknowledged 44 later.
    report = run(macros, "write 10 ddr=8000 write_cost=2000")
    assert report.ends["write_port"] == 39 + 44 + 2


def test_ports_share_the_ddr_in_turns(macros: Path) -> None:
    # 16 bytes a cycle: both beats 0 at 44, then port 0 at 45, 47, ... and port 1 at 46,
    # 48, ...; the beats 9 at 61 and 62 are read one cycle later.
    report = run(macros, "share 10 1 ddr=16000")
    assert report.ends == {"read_port": 64, "read_port_2": 65}
    free = run(macros, "share 10 1")
    assert free.ends == {"read_port": 56, "read_port_2": 56}


def test_a_write_waits_for_the_response(macros: Path) -> None:
    # Handed over in 3..12 (depth 3), the last beat leaves at 13, acknowledged at 57.
    assert run(macros, "write 10").ends["write_port"] == 59


def test_a_small_write_buffer_holds_the_writer_back(macros: Path) -> None:
    # Room for one beat: handed over in 3, 5, ..., 21, the last one leaves at 22.
    report = run(macros, "write 10 outstanding=1 burst=1")
    assert report.ends["write_port"] == 22 + 44 + 2


def test_a_deadlock_names_processes_and_streams(macros: Path) -> None:
    assert refusal(macros, "deadlock 2") == (
        "hao_trace: step 0: deadlock at cycle 3; process write_two (loop first, "
        "iteration 2 of 4) waits for a place in stream a of depth 2; process read_two "
        "(loop both, iteration 0 of 8) waits for a word of stream b\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mistake no_process",
            "stream s is accessed outside of a process: HAO_PROCESS",
        ),
        ("mistake no_loop", "process wrong: HAO_TICK before HAO_LOOP"),
        ("mistake outside", "process wrong accesses s outside of an iteration"),
        ("mistake twice", "(loop body) accesses s twice in one iteration"),
        ("mistake many", "process wrong has more than 8 streams and ports in one"),
        ("mistake nested", "process inner begins within wrong"),
        ("mistake empty", "hls::stream s: read while empty"),
        ("mistake leftover", "hls::stream s: 1 words were never read"),
        ("mistake wait_after_poll", "polls stream s and waits for it"),
        ("mistake poll_and_follow", "is polled in a loop that follows"),
        ("two_writers 0", "stream s has two writers, processes produce and load"),
        ("share 10 0", "port 0 belongs to process read_port and to read_port_2"),
        ("single 1 1 outstanding=0", "configuration out of range"),
        ("single 1 1 ddr_burst=0", "configuration out of range"),
        ("single 1 1 write_cost=0", "configuration out of range"),
    ],
)
def test_what_has_no_meaning_in_hardware_is_refused(
    macros: Path, text: str, message: str
) -> None:
    assert message in refusal(macros, text)


def replay_with(
    program: Path, seed: int, depths: list[int], extra: str = ""
) -> Report | None:
    network = random_network(seed, Settings(), depths, paths_meet=True)
    done = subprocess.run(
        [program],
        input=extra + network_text(network),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    return Report(done.stdout) if done.returncode == 0 else None


@pytest.mark.parametrize("seed", range(3))
def test_smaller_than_the_smallest_depths_costs_cycles(
    network_program: Path, seed: int
) -> None:
    # Searched from depths at which nothing waits for a place.
    sized = replay_with(network_program, seed, [1024] * 7, "size_fifos 1\n")
    assert sized is not None
    depths = []
    for fifo in range(7):
        depth = sized.streams[f"fifo{fifo}"]["smallest_depth"]
        assert depth is not None
        depths.append(depth)
    again = replay_with(network_program, seed, depths)
    assert again is not None
    assert again.cycles == sized.cycles
    for fifo, depth in enumerate(depths):
        if depth > 2:
            fewer = [*depths[:fifo], depth // 2, *depths[fifo + 1 :]]
            less = replay_with(network_program, seed, fewer)
            assert less is None or less.cycles > sized.cycles


def test_without_the_trace_the_stream_is_a_plain_fifo(tmp_path: Path) -> None:
    program = build(RTL / "plain.cpp", tmp_path / "plain")
    subprocess.run([program], check=True, timeout=TIMEOUT)


def build_icarus(folder: Path) -> list[str]:
    sources = sorted(map(str, RTL.glob("*.v")))
    command = ["iverilog", "-g2005", "-s", "top", "-o", str(folder / "top"), *sources]
    subprocess.run(command, check=True, timeout=TIMEOUT)
    return ["vvp", str(folder / "top")]


def build_verilator(folder: Path) -> list[str]:
    sources = sorted(map(str, RTL.glob("*.v")))
    command = [
        "verilator",
        "--binary",
        "--top-module",
        "top",
        *("-Wno-fatal", "-Wno-lint"),
        *("-CFLAGS", "-O0"),  # compiling takes longer than all runs
    ]
    command += ["--Mdir", str(folder), *sources]
    log = folder / "verilator.log"
    with log.open("w") as out:
        subprocess.run(command, check=True, timeout=TIMEOUT, stdout=out, stderr=out)
    return [str(folder / "Vtop")]


SIMULATORS: dict[str, Callable[[Path], list[str]]] = {
    "iverilog": build_icarus,
    "verilator": build_verilator,
}


def is_present(simulator: str) -> bool:
    """Return whether it is there; Verilator 4 cannot build a program by itself."""
    if shutil.which(simulator) is None or simulator != "verilator":
        return shutil.which(simulator) is not None
    version = subprocess.run(
        [simulator, "--version"], capture_output=True, text=True, timeout=TIMEOUT
    ).stdout.split()[1]
    return int(version.split(".")[0]) >= 5


@pytest.fixture(scope="module", params=sorted(SIMULATORS))
def rtl(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    simulator: str = request.param
    present = [name for name in SIMULATORS if is_present(name)]
    if simulator not in present:
        missing = f"{simulator} is missing" if present else "no iverilog, no verilator"
        assert present or "HAO_CI_TOOLS" not in os.environ, missing
        pytest.skip(missing)
    return SIMULATORS[simulator](tmp_path_factory.mktemp(simulator))


SETTINGS = {
    "defaults": Settings(),
    "slow_ddr": Settings(ddr_bytes_per_kilocycle=5300, read_latency=20),
    "shared_ddr": Settings(ddr_bytes_per_kilocycle=11_000, max_burst_beats=64),
    "one_burst": Settings(outstanding_bursts=1, max_burst_beats=4, read_latency=9),
    "small_write_buffer": Settings(
        outstanding_bursts=2, max_burst_beats=1, ddr_bytes_per_kilocycle=9001
    ),
    "short_gaps": Settings(
        gap_cycles=0, finish_cycles=0, start_cycles=5, write_latency=1, read_latency=2
    ),
}
DEPTHS = {
    "small": [2, 2, 1, 2, 2, 2, 1],
    "mixed": [64, 256, 4, 64, 16, 256, 32],
    "large": [1024] * 7,
}
LIMIT = 200_000  # cycles after which the Verilog gives up


@pytest.mark.parametrize("depths", DEPTHS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_process_ends_in_the_cycle_in_which_the_verilog_ends(
    rtl: list[str], network_program: Path, tmp_path: Path, name: str, depths: str
) -> None:
    # Icarus takes ten times as long; beside Verilator one network is enough for it.
    few = rtl[0] == "vvp" and is_present("verilator")
    for seed in (2,) if few else range(4):
        paths_meet = seed % 3 == 2
        network = random_network(
            seed, SETTINGS[name], DEPTHS[depths], paths_meet=paths_meet
        )
        replay = subprocess.run(
            [network_program],
            input=network_text(network),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        deadlock = replay.returncode != 0
        if deadlock:
            assert paths_meet, replay.stderr
            assert depths != "large", replay.stderr
            assert "deadlock at cycle" in replay.stderr
        write_tables(network, tmp_path, 5000 if deadlock else LIMIT)
        shown = subprocess.run(
            [*rtl, f"+dir={tmp_path}"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        ).stdout.splitlines()
        assert not any(line.startswith("error") for line in shown), shown
        words = next(line for line in shown if line.startswith("done")).split()
        assert (words[1] != "11111") == deadlock
        if not deadlock:
            ends = list(Report(replay.stdout).ends.values())
            assert list(map(int, words[3:])) == ends
