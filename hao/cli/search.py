"""Commands that choose and explain designs: search, estimate, report, lists."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hao.cli.common import (
    CALIBRATION,
    JSON,
    QUIET,
    REPLACED,
    RUN_NAME,
    RUNS,
    chosen,
    parted,
    show,
    shown_progress,
)
from hao.cli.request import request_options
from hao.cli.source import pool_options, source_options

if TYPE_CHECKING:
    from hao.report.result import SearchResult
    from hao.request import SearchRequest
    from hao.steps.floats import Source
    from hao.steps.operations import Pooled


SECTIONS = {
    "--network": "Which networks",
    "--bits": "Bits and accuracy",
    "--front": "More answers, less time",
    "--options": "Measured on your own data",
    "--pool": "Measured on your own data",
}
"""First option of some parts of the help of `hao search`, and the part's title."""


@click.command("search", cls=parted(SECTIONS))
@request_options
@click.option(
    "--options",
    "option_kinds",
    default="bits",
    metavar="KINDS",
    help="What is chosen together: bits, alone or with any of channels, sparsity and "
    "operations, such as bits,channels; what these three cost is measured on --data "
    "(docs/channels.md, docs/sparsity.md, docs/replace.md).",
)
@click.option(
    "--measure",
    type=click.IntRange(1),
    help="Then measure so many schemes on --data, as `hao explore` does.",
)
@source_options
@pool_options
@RUN_NAME
@RUNS
@REPLACED
@click.option("--no-run", is_flag=True, help="Write nothing.")
@JSON
@QUIET
def search_command(
    *,
    request: "SearchRequest",
    option_kinds: str,
    measure: int | None,
    source: "Source",
    pooled: "Pooled",
    run_name: str | None,
    runs: Path,
    force: bool,
    no_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Choose network, bits and accelerator together, proven best.

    \b
    Examples:
      hao search --board zu3eg --fps 50
      hao search --board zu3eg --fps 100 --network mobilenet_v2_100 --front 20
      hao search --board kv260 --fps 200 --bits 8 --clock 250
      hao search --board my_board.toml --fps 30 --model net.onnx --top1 71.9
      hao search --board zu3eg --objective fps --min-top1 72
      hao search --board zu3eg --fps 330 --frames back-to-back --batch auto
      hao search --board zu3eg --fps 100 --recipe ptq
      hao search --board zu3eg --objective area --fps 100 --max-dsp 50%
      hao search --board zu3eg --fps 400 --network mobilenet_v2_100 --best 3
      hao search --board zu3eg --fps 200 --model net.onnx --data images/ --measure 40
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.files import recover
    from hao.runs.run import check_run_name, check_target, default_run_name
    from hao.steps.floats import Source
    from hao.steps.search import search

    kinds = _kinds(option_kinds)
    faults = [*_faults_of_kinds(request, kinds, source)]
    if measure is not None and (no_run or request.fps is None):
        faults.append("--measure needs --fps, and a run that is written")
    if measure is None and not kinds and source != Source():
        faults.append(
            "--data, --weights and what goes with them are for --measure and for "
            "--options with more than bits, neither of which is set"
        )
    if faults:
        raise click.UsageError("; and ".join(faults))
    model = None if request.model is None else Path(str(request.model))
    run_path = None
    if not no_run:
        recover(runs)
        if run_name is None:
            objective = request.objective
            run_name = default_run_name(
                runs,
                board=str(request.board),
                fps=request.fps,
                min_top1=request.min_top1,
                network=request.network if model is None else str(model),
                smallest=objective.value if objective.is_smallest else None,
            )
        check_run_name(run_name)
        run_path = runs / run_name
        check_target(run_path, force=force)
    started = time.monotonic()
    with shown_progress(quiet=quiet or as_json) as progress:
        if kinds:
            from hao.steps.prune import PruneRequest
            from hao.steps.together import MeasuredKind, Offer, search_together

            result = search_together(
                PruneRequest(**source.named, search=request),
                Offer(kinds=frozenset(map(MeasuredKind, kinds)), pooled=pooled),
                run_path=run_path,
                force=force,
                progress=progress,
            )
        else:
            result = search(request, run_path=run_path, force=force, progress=progress)
    seconds = time.monotonic() - started
    _show(result, _lists(result), seconds=seconds, as_json=as_json)
    if not as_json:
        where = "" if result.run is None else f"; written to {result.run}"
        click.echo(f"\nfound in {seconds:.1f} s{where}")
    if measure is not None and result.run is not None:
        from hao.cli.explore import explore_run
        from hao.measure.settings import LoopSettings
        from hao.steps.explore import ExploreRequest

        explore_run(
            ExploreRequest(
                run=result.run,
                source=replace(source, weights=source.weights or model),
                settings=LoopSettings(measure=measure),
                workers=request.processes,
                cluster=request.cluster,
            ),
            as_json=as_json,
            quiet=quiet,
        )


def _faults_of_kinds(
    request: "SearchRequest", kinds: frozenset[str], source: "Source"
) -> Iterator[str]:
    """Yield what does not go with options of several kinds."""
    if not kinds:
        return
    absent = {
        "--fps": request.fps is None,
        "--data": source.data is None,
        "--network or --model": request.several,
    }
    if missing := [flag for flag, is_absent in absent.items() if is_absent]:
        yield (
            f"--options with {' and '.join(sorted(kinds))} needs {', '.join(missing)}: "
            "what these options cost is measured, on one network"
        )
    given = {
        "--drop-blocks": request.bit_rules.block_points is not None,
        "several --act-bits": bool(request.act_bits),
    }
    for flag in (flag for flag, is_given in given.items() if is_given):
        yield f"--options with more than bits and {flag} exclude each other"


def _kinds(text: str) -> frozenset[str]:
    """Return the kinds of options in a comma-separated list, without bits."""
    kinds = text.split(",")
    every = {"bits", "channels", "sparsity", "operations"}
    if "bits" not in kinds or not set(kinds) <= every:
        raise click.UsageError(
            f"--options {text}; must be bits, or bits and some of channels, sparsity "
            "and operations with commas between, such as bits,channels"
        )
    return frozenset(kinds) - {"bits"}


def _lists(result: "SearchResult") -> str:
    """Return the further designs and the front of a result as tables."""
    from hao.report.others import render_others
    from hao.report.tables import render_front

    parts = [render_others(result)] if result.others else []
    if result.front:
        parts.append(render_front(result.front))
    return "\n".join(parts)


def _show(
    result: "SearchResult",
    detail: str,
    *,
    seconds: float,
    as_json: bool,
    legend: bool = False,
) -> None:
    """Print a result: its summary and some detail, or one JSON object."""
    from hao.report.tables import render_summary, result_json
    from hao.report.terms import render_legend

    text = render_summary(result)
    if detail:
        text += f"\n\n{detail}"
    if legend:
        text += f"\n{render_legend(text)}"
    show(result_json(result, seconds=seconds), text, as_json=as_json)


@click.command("estimate")
@chosen
@JSON
@CALIBRATION
def estimate_command(*, path: Path, as_json: bool, calibration: Path | None) -> None:
    """Price a given design and explain it by invocation.

    RUN is a run directory or a design file (which may have been edited); without it,
    the newest run.

    \b
    Examples:
      hao estimate runs/zu3eg-50fps-all
      hao estimate mine.json --json
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.report.tables import render_invocations
    from hao.steps.runs import estimate

    started = time.monotonic()
    result = estimate(path, calibration=calibration)
    detail = render_invocations(result)
    seconds = time.monotonic() - started
    _show(result, detail, seconds=seconds, as_json=as_json, legend=True)


@click.command("report")
@chosen
@JSON
@click.option(
    "--html",
    is_flag=True,
    help="Write the run's page (report.html) anew, with what later commands found.",
)
def report_command(*, path: Path, as_json: bool, html: bool) -> None:
    """Show a run again: answer, measurements, front, more designs.

    RUN is a run directory or its name; without it, the newest run.
    """
    from hao.report.hardware import render_quantization, values_json
    from hao.report.measured import render_measured
    from hao.report.tables import result_json
    from hao.runs.records import load_records
    from hao.runs.run_files import recorded_quantization
    from hao.steps.runs import reopen, write_page

    started = time.monotonic()
    if html:
        click.echo(f"page: {write_page(path)}", err=as_json)
    result = reopen(path)
    seconds = time.monotonic() - started
    measured = recorded_quantization(result.run) if result.run is not None else None
    if measured is not None and measured.network != result.design.network.name:
        measured = None
    schemes = load_records(result.run).measured
    if as_json:
        found = result_json(result, seconds=seconds)
        shown = None if measured is None else values_json(measured)
        explored = None if schemes is None else asdict(schemes)
        found = {**found, "measured": shown, "measured_schemes": explored}
        show(found, "", as_json=True)
        return
    lists = _lists(result)
    if measured is not None:
        lists = f"measured: {render_quantization(measured)}\n\n{lists}".rstrip()
    if schemes is not None:
        lists = f"measured: {render_measured(schemes)}\n\n{lists}".rstrip()
    lists += "\n"  # the legend stands apart
    _show(result, lists, seconds=seconds, as_json=False, legend=True)


@click.command("networks")
@JSON
def networks_command(*, as_json: bool) -> None:
    """List the networks of the zoo: products, parameters, top-1."""
    from hao.report.networks import network_table, networks_json

    show(networks_json(), network_table(), as_json=as_json)
