"""Projects of a few lines for the schedule analysis, written where a test asks."""

from pathlib import Path

from hao.hls.compiler import Clang
from hao.schedule.analyse import analyse_project
from hao.schedule.project import load_project
from hao.schedule.result import LoopSchedule, ScheduleReport

ZU3EG = "xczu3eg-sbva484-1-i"
ZU7EV = "xczu7ev-ffvc1156-2-e"

HEAD = """#include <ap_int.h>
#include <hls_stream.h>
"""


def write_project(
    folder: Path,
    source: str,
    *,
    part: str = ZU3EG,
    period_ns: float = 5,
    script: str = "",
) -> Path:
    """Write a project of one source; `script` is added to its run_hls.tcl."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "top.cpp").write_text(HEAD + source)
    (folder / "run_hls.tcl").write_text(
        f"set_top top\nset_part {{{part}}}\ncreate_clock -period {period_ns}\n{script}"
    )
    return folder


def analyse(
    folder: Path,
    source: str,
    *,
    part: str = ZU3EG,
    period_ns: float = 5,
    uncertainty: float | None = None,
    clang: Clang | None = None,
) -> ScheduleReport:
    write_project(folder, source, part=part, period_ns=period_ns)
    return analyse_project(load_project(folder), clang=clang, uncertainty=uncertainty)


def only_loop(folder: Path, source: str, *, part: str = ZU3EG) -> LoopSchedule:
    (loop,) = analyse(folder, source, part=part).loops
    return loop


def rules(report: ScheduleReport) -> list[str]:
    return [item.rule for item in report.findings]


def loop_of(body: str, *, before: str = "", pragmas: str = "") -> str:
    """Return a top function with one pipelined loop over FIFOs of int."""
    return f"""
void top(hls::stream<int> &in, hls::stream<int> &out, int n) {{
  {before}
  for (int i = 0; i < n; ++i) {{
#pragma HLS PIPELINE II=1
{pragmas}
    {body}
  }}
}}
"""
