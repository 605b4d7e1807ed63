"""The command that fits the cost model's constants to reports of real designs."""

from pathlib import Path
from typing import Any

import click

from hao.cli.common import JSON, show
from hao.errors import InputError


@click.command("calibrate")
@click.argument(
    "files", type=click.Path(path_type=Path), nargs=-1, metavar="[RUN REPORT...]..."
)
@click.option(
    "--timings",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CSV of times measured on the board: design,clock_mhz,ms (or fps)[,source]; "
    "`design` is a run relative to the file. May be repeated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Calibration file to write, for --calibration  [default: show only].",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@JSON
def calibrate_command(
    *,
    files: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> None:
    """Fit the cost model's constants to reports for one board.

    Each RUN (a run directory or a .json design file) is followed by its reports:
    csynth.xml or csynth.rpt, utilization reports (with -hierarchical: block by block)
    and co-simulation reports. Placed utilization corrects LUTs and flip-flops; times
    of the board correct cycles and DDR; C synthesis is fitted apart. What does not
    predict designs left out better than the shipped constants is not adopted.

    \b
    Examples:
      hao calibrate runs/a runs/a/hls/reports/*.rpt --out zu3eg.json
      hao calibrate runs/a a/*.rpt runs/b b/*.rpt --timings board.csv --out zu3eg.json
      hao search --board zu3eg --fps 50 --calibration zu3eg.json
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.calibration.file import calibration_document
    from hao.calibration.text import render_assessment
    from hao.steps.calibrate import CalibrateRequest, calibrate

    found = calibrate(CalibrateRequest(reports=_by_run(files), out=out, **named))
    written = "" if out is None else f"\n\nwritten to {out}"
    text = f"{render_assessment(found)}{written}"
    show(calibration_document(found), text, as_json=as_json)


def _by_run(files: tuple[Path, ...]) -> dict[Path, list[Path]]:
    """Return reports by the run that they follow."""
    found: dict[Path, list[Path]] = {}
    run: Path | None = None
    for path in files:
        if path.is_dir() or path.suffix == ".json":
            run = path
            found.setdefault(run, [])
        elif run is None:
            raise InputError(
                f"{path}: no run before it; must follow the run directory or design "
                "file (.json) that it reports on"
            )
        else:
            found[run].append(path)
    return found
