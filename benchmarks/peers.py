"""Peers' answers for the ZU3EG beside ours: `python benchmarks/peers.py`.

The peers' figures are constants below: fpgaConvNet (optimiser, 2024-07) and nn2FPGA
(2026-04) were run on two cores and *predict* them; FINN's is its own prediction, which
it measured within 0.1 % on this device (Xilinx/finn discussion 1499); NN2FPGA's
measured ones are read from data/published_zu3eg.csv. Ours are predicted by our cost
model for the fastest design (`choose_fastest`, proven), at the peer's clock and bits.

The architectures differ. Peers pipeline all layers through one dataflow: weights stay
on chip, frames overlap, throughput is clock / initiation interval and one frame takes
longer than an interval. Ours runs one frame at a time on one engine, weights from DDR:
throughput is 1 / latency. Both columns are shown. Takes about a minute.
"""

import csv
from dataclasses import dataclass

from benchmarks._common import back_to_back, machine, print_table, uniform_problem
from hao.data import data_path
from hao.errors import HaoError
from hao.program.codesign import choose_fastest
from hao.zoo import build_network

MHZ = 200


@dataclass(frozen=True, slots=True)
class Peer:
    """One answer of a peer.

    Attributes:
        fps: Frames per second, `None` where it finds nothing.
        latency_ms: Of one frame, where known [ms].
        dsp: DSPs, where known.
        how: Predicted or measured, bits, batch.
        note: What is not alike.
    """

    tool: str
    fps: float | None
    latency_ms: float | None
    dsp: str
    how: str
    note: str


@dataclass(frozen=True, slots=True)
class Case:
    """One network at the peers' clock and bits."""

    network: str
    mhz: float
    bits: int
    act_bits: int
    peers: tuple[Peer, ...]


def measured(key: str, note: str) -> Peer:
    """Return a published measurement."""
    with data_path("data", "published_zu3eg.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["key"] == key)
    how = f"measured, {row['weight_bits'][:1]} bit, {row['clock_mhz']} MHz"
    return Peer(
        tool="nn2FPGA, on the board",
        fps=float(row["fps"]),
        latency_ms=float(row["latency_ms"]) if row["latency_ms"] else None,
        dsp=row["dsp"],
        how=how,
        note=note,
    )


def nothing(tool: str, note: str) -> Peer:
    """Return the row of a peer that finds no design."""
    return Peer(tool, None, None, "-", "predicted", note)


WIDE = "16 bit, batch 256"
SHORTCUT = "shortcuts without weights there, 1x1 convolutions here"
CASES = (
    Case(
        "resnet8_cifar",
        MHZ,
        8,
        8,
        (
            Peer("nn2FPGA", 6104, None, "195", "predicted, 8 bit", "weights on chip"),
            Peer("fpgaConvNet", 2986, None, "344", f"predicted, {WIDE}", "16 bit"),
        ),
    ),
    Case(
        "resnet8_cifar",
        214.285,
        8,
        8,
        (measured("bosio2025nn2fpga_u96_resnet8", "fps at batch 1000"),),
    ),
    Case(
        "resnet20_cifar",
        MHZ,
        8,
        8,
        (
            Peer("nn2FPGA", 3052, None, "319", "predicted, 8 bit", SHORTCUT),
            Peer("fpgaConvNet", 1468, None, "356", f"predicted, {WIDE}", "16 bit"),
        ),
    ),
    Case(
        "resnet20_cifar",
        214.285,
        8,
        8,
        (measured("bosio2025nn2fpga_u96_resnet20", "fps at batch 1000; " + SHORTCUT),),
    ),
    Case(
        "vgg_cifar",
        MHZ,
        8,
        8,
        (Peer("fpgaConvNet", 28.6, None, "91", f"predicted, {WIDE}", "slowed by DDR"),),
    ),
    Case(
        "cnv_cifar",
        100,
        2,
        2,
        (
            Peer(
                "FINN",
                3028,
                None,
                "0",
                "predicted, w2a2",
                "41,823 LUT; measured 3,030.7; 8-bit first layer",
            ),
        ),
    ),
    Case(
        "resnet18",
        MHZ,
        8,
        8,
        (
            Peer(
                "fpgaConvNet",
                2.54,
                None,
                "39-360",
                f"predicted, {WIDE}",
                "7 bitstreams, 82.55 ms to load each",
            ),
            nothing("fpgaConvNet", "one bitstream: none within 1,500 s"),
        ),
    ),
    Case(
        "mobilenet_v2_100",
        MHZ,
        8,
        8,
        (
            nothing("nn2FPGA", "infeasible: weights do not fit on chip"),
            Peer(
                "fpgaConvNet",
                59,
                None,
                "206",
                f"predicted, {WIDE}",
                "58 to 60 when stopped at 1,500 s; 15-16 bitstreams",
            ),
            nothing("fpgaConvNet", "one bitstream: none within 1,500 s"),
        ),
    ),
)


def main() -> None:
    """Print the table."""
    print(f"Machine: {machine()}\n")
    rows: list[tuple[object, ...]] = []
    for case in CASES:
        board = back_to_back("zu3eg").at_clock(round(1000 * case.mhz))
        network = build_network(case.network)
        try:
            report = choose_fastest(
                uniform_problem(network, board, bits=case.bits, act_bits=case.act_bits)
            )
        except HaoError as error:
            rows.append((case.network, case.mhz, "hao", "-", "-", "-", "-", str(error)))
            continue
        cost = report.cost
        rows.append(
            (
                f"**{case.network}**",
                f"{case.mhz:.0f}",
                "**hao**",
                f"**{cost.fps:,.0f}**" if cost.fps > 99 else f"**{cost.fps:.1f}**",
                f"{cost.latency_ms:.3f}",
                cost.resources.dsp,
                f"predicted, w{case.bits}a{case.act_bits}, batch 1",
                f"{report.status.value}, {cost.resources.lut:,} LUT, "
                f"{cost.resources.bram_18k} BRAM18",
            )
        )
        for peer in case.peers:
            fps = "none" if peer.fps is None else f"{peer.fps:,.4g}"
            if peer.fps is not None and peer.fps >= 1000:
                fps = f"{peer.fps:,.0f}"
            rows.append(
                (
                    case.network,
                    f"{case.mhz:.0f}",
                    peer.tool,
                    fps,
                    "-" if peer.latency_ms is None else f"{peer.latency_ms:.3f}",
                    peer.dsp,
                    peer.how,
                    peer.note
                    + (
                        ""
                        if peer.fps is None
                        else f"; ours / theirs = {cost.fps / peer.fps:.2f}"
                    ),
                )
            )
    header = ("network", "MHz", "tool", "fps", "latency [ms]", "DSP", "how", "notes")
    print_table(header, rows)


if __name__ == "__main__":
    main()
