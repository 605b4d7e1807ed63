"""The rows of data/published_zu3eg.csv as the benchmarks read them."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from hao.data import data_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of data/published_zu3eg.csv, as far as it is used; absent figures are 0."""

    key: str
    network: str
    dsp: int
    lut: int
    ff: int
    bram_18k: int
    clock_mhz: float
    fps: float
    latency_ms: float
    gops: float
    workload_gop: float
    notes: str

    @property
    def interval_ms(self) -> float:
        """Return the interval with several threads [ms], 0 if not printed."""
        found = re.search(r"multi-thread fps ([\d.]+)", self.notes)
        return 1000 / float(found[1]) if found else 0.0

    @property
    def conv_ms(self) -> float:
        """Return the time that CoDeNet's notebook prints for the fabric [ms]."""
        found = re.search(r"conv on PL ([\d.]+) ms", self.notes)
        return float(found[1]) if found else 0.0


@cache
def load_rows() -> Mapping[str, Row]:
    """Return the rows by key."""
    with data_path("data", "published_zu3eg.csv").open(encoding="utf-8") as file:
        return {
            line["key"]: Row(
                key=line["key"],
                network=line["network"],
                dsp=int(line["dsp"] or 0),
                lut=int(line["lut"] or 0),
                ff=int(line["ff"] or 0),
                bram_18k=int(line["bram18"] or 0),
                clock_mhz=float(line["clock_mhz"] or 0),
                fps=float(line["fps"] or 0),
                latency_ms=float(line["latency_ms"] or 0),
                gops=float(line["gops"] or 0),
                workload_gop=float(line["workload_gop"] or 0),
                notes=line["notes"],
            )
            for line in csv.DictReader(file)
        }
