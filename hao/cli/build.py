"""Commands from a design to hardware: quantize, export, emit, simulate, check."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hao.cli.common import JSON, QUIET, chosen, parted, show, shown_progress
from hao.cli.source import source_options

if TYPE_CHECKING:
    from hao.steps.floats import Source


@click.command("quantize", cls=parted({"--method": "How"}))
@source_options
@click.option(
    "--method",
    type=click.Choice(["qat", "ptq"]),
    default="qat",
    help="Quantization-aware training, or calibration alone.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs of training with the bits, for qat  [default: 8].",
)
@chosen
@click.option("--force", is_flag=True, help="Replace earlier integers of the run.")
@JSON
@QUIET
def quantize_command(
    *,
    path: Path,
    source: "Source",
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> None:
    """Quantize a run's network to its design's bits.

    RUN is a run directory or its name; without it, the newest run. Brevitas trains or
    calibrates on the data. The run gains weights.npz, a network of integers that the
    emitted hardware computes bit for bit. A killed run resumes.

    \b
    Examples:
      hao quantize runs/digits --data digits
      hao quantize --data images/ --weights net.pt --method ptq --preset imagenet
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.report.hardware import render_quantization, values_json
    from hao.runs.run_files import WEIGHTS_FILE
    from hao.steps.floats import QuantizeRequest
    from hao.steps.quantize import quantize

    request = QuantizeRequest(**source.named, run=path, **named)
    with shown_progress(quiet=quiet or as_json) as progress:
        quantization = quantize(request, progress=progress)
    text = f"{render_quantization(quantization)}\n\nwritten to {path / WEIGHTS_FILE}"
    show(values_json(quantization), text, as_json=as_json)


@click.command("export")
@click.option(
    "--format",
    type=click.Choice(["qonnx"]),
    default="qonnx",
    help="Format of the file.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write  [default: network.qonnx.onnx in the run].",
)
@chosen
@click.option("--force", is_flag=True, help="Replace an existing file.")
def export_command(
    *, path: Path, format: str, output: Path | None, force: bool
) -> None:
    """Write a run's quantized network as a QONNX file.

    RUN is a run directory or its name; without it, the newest run.
    """
    from hao.steps.quantize import export

    output = output or path / f"network.{format}.onnx"
    inexact = export(path, output, force=force)
    click.echo(f"written to {output}")
    if inexact:
        click.echo(
            f"{len(inexact)} layers, such as {inexact[0]}, may have sums beyond what "
            "single precision holds; other tools may then round differently"
        )


@click.command("emit-hls")
@click.option(
    "--weights",
    help="'random' for seeded random ones, or another file of integers  [default: "
    "the run's own].",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Seed of random ones.",
)
@chosen
@click.option("--force", is_flag=True, help="Replace an earlier project of the run.")
@JSON
def emit_hls_command(
    *,
    path: Path,
    as_json: bool,
    **named: Any,  # noqa: ANN401  # the step checks what it is given
) -> None:
    """Emit the HLS project of a run.

    RUN is a run directory or its name; without it, the newest run. C++, packed
    weights, test bench, scripts and driver are complete without hao; its README says
    what to type.

    \b
    Examples:
      hao emit-hls
      hao emit-hls runs/zu3eg-50fps-all --weights random
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.report.hardware import render_emission, values_json
    from hao.steps.emit import emit

    emission = emit(path, **named)
    show(values_json(emission), render_emission(emission), as_json=as_json)


@click.command("simulate")
@click.option(
    "--build",
    type=click.Choice(["native", "ap_int"]),
    default="native",
    help="Native integers, or the vendor's ap_int (some 20 times slower).",
)
@click.option("--images", type=click.IntRange(1), help="Frames  [default: all].")
@click.option("--debug", is_flag=True, help="Compare the map that every step leaves.")
@click.option("--size-fifos", is_flag=True, help="Seek the least depth of each FIFO.")
@chosen
@JSON
@QUIET
@click.pass_context
def simulate_command(
    ctx: click.Context,
    /,
    *,
    path: Path,
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the step checks what it is given
) -> None:
    """Compile a run's HLS project, compare it with its integers.

    RUN is a run directory or its name; without it, the newest run. g++ compiles.
    Every output is compared bit for bit; the cycles of a frame are replayed from a
    trace of the emitted code and shown beside the priced ones. Exits with 1 if
    anything differs.

    \b
    Examples:
      hao simulate --images 20
      hao simulate RUN --build ap_int --debug
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.report.hardware import render_simulation, simulation_json
    from hao.steps.simulate import simulate

    started = time.monotonic()
    with shown_progress(quiet=quiet or as_json) as progress:
        result = simulate(path, **named, progress=progress)
    seconds = time.monotonic() - started
    text = f"{render_simulation(result)}\n\ndone in {seconds:.1f} s"
    show(simulation_json(result), text, as_json=as_json)
    if not result.exact:
        ctx.exit(1)


@click.command("lint")
@chosen
@JSON
@click.pass_context
def lint_command(ctx: click.Context, *, path: Path, as_json: bool) -> None:
    """Check a run's C++ against the rules of Vivado and Vitis HLS.

    RUN is a run directory or the folder of a project; without it, the newest run.
    Pragma grammar and scope, dataflow form, unsynthesizable constructs, array ranks,
    unbounded loops; then the schedule, as `hao schedule` has it, if there is a clang:
    memory ports, recurrences, shared memories. Exits with 1 if a rule is broken, or if
    the schedule shows that a loop is slower than planned or the code would be refused.
    """
    from hao.report.hardware import render_findings_by_tool, values_json
    from hao.schedule.text import (
        has_faults,
        render_lint_schedule,
        schedule_findings_json,
    )
    from hao.steps.reports import lint_run, lint_schedule

    findings = lint_run(path)
    if not as_json:
        click.echo(render_findings_by_tool(findings))
    schedule = lint_schedule(path)
    found = values_json(findings) | {"schedule": schedule_findings_json(schedule)}
    show(found, render_lint_schedule(schedule), as_json=as_json)
    if any(findings.values()) or has_faults(schedule):
        ctx.exit(1)


@click.command("report-hls")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path), nargs=-1, required=True)
@JSON
def report_hls_command(*, run: Path, reports: tuple[Path, ...], as_json: bool) -> None:
    """Show synthesis reports beside what was predicted.

    REPORTS are csynth.xml or csynth.rpt of Vivado HLS or Vitis HLS, and utilization,
    timing or co-simulation reports, in any number; those that tell blocks apart are
    shown block by block.

    \b
    Example:
      hao report-hls runs/mine csynth.xml utilization.rpt
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.runs.records import synthesis_json
    from hao.steps.reports import read_reports

    compared = read_reports(run, list(reports))
    show({"figures": synthesis_json(compared.rows)}, compared, as_json=as_json)
