"""Random networks of processes, for the cycle replay and for a Verilog simulator.

The processes, FIFOs and ports are wired as in rtl/top.v. A network is written as text
for rtl/network.cpp, which records and replays it, and as tables for the Verilog.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

PROCESSES = 5
# (writer, its output, reader, its input) of each FIFO.
FIFOS = (
    (0, 0, 2, 0),
    (0, 1, 3, 1),
    (1, 0, 3, 2),
    (1, 1, 2, 1),
    (2, 0, 3, 0),
    (2, 1, 4, 1),
    (3, 0, 4, 0),
)
# Without these no two paths meet, so that no depth is too small to end.
AROUND = (1, 3, 5)
POLLED = 2  # the FIFO whose reader polls it at last
POLL_INPUT = FIFOS[POLLED][3]
FOLLOWED = (
    6  # the FIFO that the poller writes in every iteration, and whose reader follows
)
# The process of each port; a read port is input 0, the write port output 0.
PORT_PROCESSES = (0, 1, 4)
WRITE_PORT = 2
PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the processes do not say; names as in hao_trace::Config."""

    ddr_bytes_per_kilocycle: int = 0
    read_latency: int = 44
    write_latency: int = 44
    outstanding_bursts: int = 16
    max_burst_beats: int = 16
    start_cycles: int = 1
    gap_cycles: int = 3
    finish_cycles: int = 1


@dataclass(kw_only=True)
class Loop:
    """One pipelined loop: for each iteration, inputs + 16 * outputs."""

    depth: int
    codes: list[int]
    polled: int = 0
    followed: int = -1


@dataclass(kw_only=True)
class Process:
    """Loops one after another, and the addresses of the beats of its port [beats]."""

    loops: list[Loop]
    units: int = 0
    beat_bytes: int = 16
    addresses: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Network:
    """All processes, the depth of every FIFO [words], and the settings."""

    processes: list[Process]
    depths: list[int]
    settings: Settings


def random_network(
    seed: int, settings: Settings, depths: list[int], *, paths_meet: bool
) -> Network:
    """Return a network whose processes use their streams and ports at random.

    Args:
        seed: Of the generator.
        settings: Of the replay.
        depths: Of the FIFOs [words].
        paths_meet: Whether the FIFOs `AROUND` are used. Small ones may then lock up.
    """
    rng = random.Random(seed)
    processes = [_random_process(rng) for _ in range(PROCESSES)]
    for fifo, (writer, output, reader, input_) in enumerate(FIFOS):
        if fifo in (POLLED, FOLLOWED) or (fifo in AROUND and not paths_meet):
            continue
        sent = len(_iterations(processes[writer]))
        taken = len(_iterations(processes[reader]))
        words = rng.randint(1, min(sent, taken))
        _access(processes[writer], _spread(rng, words, sent), output + 4)
        _access(processes[reader], _spread(rng, words, taken), input_)
    loader, poller = processes[FIFOS[POLLED][0]], processes[FIFOS[POLLED][2]]
    follower = processes[FIFOS[FOLLOWED][2]]
    trips = len(_iterations(loader))
    poller.units = rng.randint(1, trips)
    _access(loader, _spread(rng, poller.units, trips), FIFOS[POLLED][1] + 4)
    # C simulation finds every word at once, one an iteration.
    rounds = max(poller.units, rng.choice([0, rng.randint(1, 300)]))
    write = 1 << FIFOS[FOLLOWED][1] + 4
    poller.loops.append(
        Loop(depth=rng.randint(1, 5), codes=[write] * rounds, polled=1 << POLL_INPUT)
    )
    read = 1 << FIFOS[FOLLOWED][3]
    follower.loops.append(
        Loop(
            depth=rng.randint(1, 12),
            codes=[read] * rounds,
            followed=FIFOS[FOLLOWED][3],
        )
    )
    for port, owner in enumerate(PORT_PROCESSES):
        process = processes[owner]
        trips = len(_iterations(process))
        beats = rng.randint(1, trips)
        _access(process, _spread(rng, beats, trips), 4 if port == WRITE_PORT else 0)
        address = rng.randint(0, 300)
        for _ in range(beats):
            process.addresses.append(address)
            address += 1 if rng.random() < 0.95 else rng.randint(2, 50)
        process.beat_bytes = rng.choice([8, 16, 32])
    return Network(processes=processes, depths=depths, settings=settings)


def _random_process(rng: random.Random) -> Process:
    loops = []
    for _ in range(rng.randint(1, 3)):
        trips = rng.choice([0, 1, rng.randint(40, 300), rng.randint(40, 300)])
        loops.append(Loop(depth=rng.randint(1, 12), codes=[0] * trips))
    loops.append(Loop(depth=rng.randint(1, 12), codes=[0] * rng.randint(20, 300)))
    return Process(loops=loops)


def _iterations(process: Process) -> list[tuple[Loop, int]]:
    return [(loop, i) for loop in process.loops for i in range(len(loop.codes))]


def _spread(rng: random.Random, words: int, trips: int) -> list[int]:
    """Return `words` of `trips` places, even with some noise."""
    if rng.random() < 0.3:
        return sorted(rng.sample(range(trips), words))
    return [place * trips // words for place in range(words)]


def _access(process: Process, places: list[int], bit: int) -> None:
    iterations = _iterations(process)
    for place in places:
        loop, i = iterations[place]
        loop.codes[i] |= 1 << bit


def network_text(network: Network) -> str:
    """Return the network as rtl/network.cpp reads it."""
    names = Settings.__dataclass_fields__
    lines = [f"{name} {getattr(network.settings, name)}" for name in names]
    lines += [f"fifo {depth}" for depth in network.depths]
    for p, process in enumerate(network.processes):
        inputs = {f[3]: n for n, f in enumerate(FIFOS) if f[2] == p}
        outputs = {f[1]: n for n, f in enumerate(FIFOS) if f[0] == p}
        for port, owner in enumerate(PORT_PROCESSES):
            if owner == p:
                (outputs if port == WRITE_PORT else inputs)[0] = -1 - port
        lines.append("process 0")
        for name, side in (("inputs", inputs), ("outputs", outputs)):
            places = [str(side[bit]) for bit in range(len(side))]
            lines.append(" ".join([name, str(len(side)), *places]))
        lines.append(f"units {process.units}")
        lines.append(f"bytes {process.beat_bytes}")
        addresses = map(str, process.addresses)
        lines.append(" ".join(["addresses", str(len(process.addresses)), *addresses]))
        for loop in process.loops:
            head = f"loop {loop.depth} {loop.polled} {loop.followed} {len(loop.codes)}"
            lines.append(" ".join([head, *map(str, loop.codes)]))
    return "\n".join(lines) + "\n"


def bursts(process: Process, bit: int, max_beats: int) -> list[tuple[int, int]]:
    """Return (beats, loop) of each burst of a process's port."""
    found: list[tuple[int, int]] = []
    addresses = iter(process.addresses)
    previous = -2
    for number, loop in enumerate(process.loops):
        for code in loop.codes:
            if not code >> bit & 1:
                continue
            address = next(addresses)
            joins = (
                address == previous + 1
                and found[-1][1] == number
                and found[-1][0] < max_beats
                and address * process.beat_bytes % PAGE_BYTES != 0
            )
            if joins:
                found[-1] = (found[-1][0] + 1, number)
            else:
                found.append((1, number))
            previous = address
    return found


def write_tables(network: Network, folder: Path, limit: int) -> None:
    """Write what the Verilog reads; it stops at cycle `limit`."""
    settings = network.settings
    table = [
        limit,
        settings.start_cycles,
        settings.gap_cycles,
        settings.finish_cycles,
        settings.ddr_bytes_per_kilocycle,
        settings.read_latency,
        settings.write_latency,
        settings.outstanding_bursts,
        settings.outstanding_bursts * settings.max_burst_beats,
        network.processes[PORT_PROCESSES[WRITE_PORT]].beat_bytes,
    ]
    table += [0] * (16 - len(table)) + network.depths
    _write_hex(folder / "settings.hex", table)
    for p, process in enumerate(network.processes):
        table = [len(process.loops), 0, 0, 0, 0, 0, 0, 0]
        table[1 + POLL_INPUT] = process.units
        codes: list[int] = []
        writes = 16 if p == PORT_PROCESSES[WRITE_PORT] else 0
        for loop in process.loops:
            bus = int(any(code & writes for code in loop.codes))
            trips = len(loop.codes)
            row = [len(codes), trips, loop.depth, loop.followed + 1, loop.polled, bus]
            table += [*row, 0, 0]
            codes += loop.codes
        table += [0] * (64 - len(table)) + codes
        _write_hex(folder / f"process_{p}.hex", table)
    for port, owner in enumerate(PORT_PROCESSES[:WRITE_PORT]):
        process = network.processes[owner]
        found = bursts(process, 0, settings.max_burst_beats)
        table = [len(found), process.beat_bytes]
        table += [number for burst in found for number in burst]
        _write_hex(folder / f"port_{port}.hex", table)


def _write_hex(path: Path, table: list[int]) -> None:
    path.write_text("".join(f"{number:x}\n" for number in table))
