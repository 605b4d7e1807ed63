"""Simulate every block, map it with yosys, and write data/block_cost.csv.

    python -m benchmarks.synth.run [--only KIND ...] [--jobs 2] [--simulate]

Needs `yosys` and `iverilog` on the path; nothing else in the project does.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.synth.block import Block
from benchmarks.synth.catalogue import blocks
from benchmarks.synth.netlist import Cell, Counts, count
from hao.errors import ToolError

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "block_cost.csv"

_SCRIPT = (
    "read_verilog -sv -DSYNTHESIS top.v;"
    " synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nowidelut {options}"
    " -top top; setattr -mod -unset keep_hierarchy *; flatten; opt_clean;"
    " write_json top.json"
)

_BENCH = """
module bench;
  reg clk = 0; always #5 clk = ~clk;
  reg [{i}:0] inputs [0:{n}]; reg [{o}:0] expected [0:{n}]; reg [{o}:0] masks [0:{n}];
  reg [{i}:0] in; wire [{o}:0] out; integer t, bad;
  top u(.clk(clk), .in(in), .out(out));
  initial begin
    $readmemh("in.hex", inputs); $readmemh("expected.hex", expected);
    $readmemh("masks.hex", masks); bad = 0;
    for (t = 0; t <= {n}; t = t + 1) begin
      in = inputs[t]; #4;
      if (((out ^ expected[t]) & masks[t]) !== 0) begin
        bad = bad + 1;
        if (bad < 4) $display("cycle %0d: %h, not %h", t, out, expected[t]);
      end
      @(posedge clk); #1;
    end
    if (bad == 0) $display("PASS"); else $display("FAIL %0d", bad);
    $finish;
  end
endmodule
"""


def _run(command: tuple[str, ...], folder: Path) -> str:
    """Return what a tool printed.

    Raises:
        ToolError: It is missing or failed.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]}: not installed", command=command) from error
    if done.returncode:
        raise ToolError(
            f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}",
            command=command,
        )
    return done.stdout


def simulate(block: Block, folder: Path) -> None:
    """Check a block against its vectors or its own bench.

    Raises:
        ToolError: The simulator is missing or failed, or the outputs differ.
    """
    bench = block.bench
    if block.vectors is not None:
        for name, values in (
            ("in", block.vectors.inputs),
            ("expected", block.vectors.expected),
            ("masks", block.vectors.masks),
        ):
            text = "\n".join(f"{value:x}" for value in values)
            (folder / f"{name}.hex").write_text(text + "\n")
        bench = _BENCH.format(
            i=block.in_bits - 1,
            o=block.out_bits - 1,
            n=len(block.vectors.inputs) - 1,
        )
        if not any(block.vectors.masks):
            raise ToolError(f"{block.name}: nothing is compared", command=())
    (folder / "top.v").write_text(block.source)
    (folder / "bench.v").write_text(bench or "")
    build = ("iverilog", "-g2012", "-s", "bench", "-o", "bench", "top.v", "bench.v")
    _run(build, folder)
    printed = _run(("vvp", "bench"), folder)
    if "PASS" not in printed:
        raise ToolError(
            f"{block.name}: simulation differs\n{printed}", command=("vvp", "bench")
        )


def synthesize(block: Block, folder: Path) -> Counts:
    """Return the counts of a block.

    Raises:
        ToolError: yosys is missing or failed.
    """
    (folder / "top.v").write_text(block.source)
    on_slices = block.kind in ("multiplier_requantizer", "wide_requantizer")
    options = "" if on_slices else "-nodsp"
    _run(("yosys", "-q", "-p", _SCRIPT.format(options=options)), folder)
    netlist = json.loads((folder / "top.json").read_text())["modules"]["top"]
    cells = [
        Cell(kind=cell["type"], ports=cell["connections"])
        for cell in netlist["cells"].values()
    ]
    return count(cells)


def measure(block: Block) -> dict[str, str]:
    """Return the row of a block, simulated first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(block, folder)
        counts = synthesize(block, folder)
    return {
        "block": block.kind,
        "params": " ".join(f"{key}={value}" for key, value in block.params.items()),
        "lut": str(counts.placed),
        **{key: str(value) for key, value in asdict(counts).items()},
    }


def _kept(only: list[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of the present table that this run does not replace."""
    if not only or not TABLE.exists():
        return
    with TABLE.open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            if row["block"] not in only:
                yield row


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of blocks")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--simulate", action="store_true", help="do not synthesize")
    args = parser.parse_args()
    wanted = [b for b in blocks() if not args.only or b.kind in args.only]
    if args.simulate:
        for block in wanted:
            with tempfile.TemporaryDirectory() as name:
                simulate(block, Path(name))
            sys.stdout.write(f"{block.name}: equal\n")
        return
    with ThreadPoolExecutor(args.jobs) as pool:
        rows = []
        for block, row in zip(wanted, pool.map(measure, wanted), strict=True):
            sys.stdout.write(f"{block.name}: {row}\n")
            sys.stdout.flush()
            rows.append(row)
    rows += _kept(args.only)
    rows.sort(key=lambda row: row["block"])
    version = _run(("yosys", "-V"), ROOT).split(" (")[0]
    with TABLE.open("w", newline="") as file:
        file.write(f"# {version}, synth_xilinx -family xcup; benchmarks/synth/run.py\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
