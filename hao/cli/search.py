"""Commands that choose and explain designs: search, estimate, report, lists."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hao.cli.common import (
    CALIBRATION,
    JSON,
    MARGIN,
    QUIET,
    REPLACED,
    RUN_NAME,
    RUNS,
    chosen,
    gathered,
    shown_progress,
)
from hao.cli.source import pool_options, source_options

if TYPE_CHECKING:
    from hao.report.result import SearchResult
    from hao.request import SearchRequest
    from hao.steps.floats import Source
    from hao.steps.operations import Pooled


def bit_choices(
    ctx: click.Context, param: click.Parameter, value: str
) -> tuple[int, ...]:
    """Return the bit choices of a comma-separated list."""
    try:
        choices = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(
            f"{value!r}; must be whole numbers with commas between, such as 4,6,8"
        ) from None
    if not all(2 <= bits <= 8 for bits in choices):
        raise click.BadParameter(f"{value!r}; every choice must be from 2 to 8")
    return choices


def _act_bits(
    ctx: click.Context, param: click.Parameter, value: str
) -> tuple[int, ...]:
    """Return the bits of activations of a comma-separated list."""
    choices = bit_choices(ctx, param, value)
    if choices[0] < 4:
        raise click.BadParameter(f"{value!r}; every choice must be from 4 to 8")
    return choices


def _batch(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """Return the frames of a start, `None` for auto."""
    if value == "auto":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r}; must be a whole number, or auto"
        ) from None


@gathered("request")
@click.option(
    "--board", default="zu3eg", show_default=True, help="Name, or a .toml file."
)
@click.option("--fps", type=float, help="Frames per second to reach.")
@click.option(
    "--network", help="One network of the zoo; default: all with known top-1."
)
@click.option(
    "--image-size",
    type=int,
    help="Height and width of the frame [pixels]; of a --model that leaves them open.",
)
@click.option(
    "--between-sizes",
    is_flag=True,
    help="Offer networks of the zoo at image sizes between published ones too, with "
    "interpolated top-1 (hao networks lists them).",
)
@click.option(
    "--between-widths",
    is_flag=True,
    help="Offer MobileNetV1 and V2 at widths between published ones too, with "
    "interpolated top-1.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Instead of the zoo: an ONNX or QONNX file, or 'package.module:function' that "
    "makes a torch module.",
)
@click.option("--top1", type=float, help="Float top-1 of --model [percent], if known.")
@click.option("--clock", "clock_mhz", type=float, help="Clock [MHz], not the board's.")
@CALIBRATION
@click.option(
    "--bits",
    default="4,6,8",
    show_default=True,
    callback=bit_choices,
    help="Weight bits that a layer may have.",
)
@click.option(
    "--act-bits",
    default="8",
    show_default=True,
    callback=_act_bits,
    help="Bits that the activations may have, such as 5,8; the frame keeps 8.",
)
@click.option(
    "--free-first-last",
    is_flag=True,
    help="Let the first and last layer have fewer bits too (published results keep 8).",
)
@click.option(
    "--recipe",
    type=click.Choice(["ptq", "qat"]),
    default="qat",
    show_default=True,
    help="How the network will be quantized: qat, by training; ptq, from a few frames "
    "without training. Below 8 bits they lose very different amounts.",
)
@click.option(
    "--scales",
    type=click.Choice(["power-of-two", "free"]),
    default="power-of-two",
    show_default=True,
    help="What a code of a weight may stand for, by output channel: power-of-two, sums "
    "are shifted; free, any number, sums take a multiplier (DSP slices).",
)
@click.option(
    "--rank",
    type=click.Choice(["cautious", "mean", "pessimistic"]),
    default="cautious",
    show_default=True,
    help="What of the predicted accuracy to rank by: its mean less what results fall "
    "short of it on average, its mean, or the low end of its 90 % interval.",
)
@click.option(
    "--objective",
    type=click.Choice(["accuracy", "fps", "latency", "area", "power"]),
    default="accuracy",
    show_default=True,
    help="Most accurate at --fps; fastest at --min-top1; fastest of all; or at --fps "
    "(and --min-top1, else as accurate as can be) with the least area or power of its "
    "blocks.",
)
@click.option(
    "--frames",
    type=click.Choice(["one-at-a-time", "back-to-back"]),
    default="one-at-a-time",
    show_default=True,
    help="What a frame rate counts: the engine and the host's call, or the engine "
    "alone, where the host works on one frame while the engine runs another.",
)
@click.option(
    "--batch",
    default="1",
    show_default=True,
    metavar="N|auto",
    callback=_batch,
    help="Frames that one start of the engine takes; weights load once for all of "
    "them. Needs --frames back-to-back. auto: of 1, 2, 4 and 8 the fewest that are as "
    "good as more would be at --fps.",
)
@click.option(
    "--max-latency",
    "max_latency_ms",
    metavar="MS",
    type=float,
    help="Most time of the engine for a start, of one frame or several [ms]; with "
    "--fps.",
)
@MARGIN
@click.option(
    "--within",
    "within_percent",
    metavar="PERCENT",
    type=float,
    default=0.0,
    help="End where no design of the network costs so much less accuracy than the one "
    "found, as part of what that costs [percent]: sooner, and not proven best. The "
    "report says how near it came.",
)
@click.option(
    "--min-top1",
    type=float,
    help="Least top-1 [percent], for --objective fps, area and power.",
)
@click.option(
    "--max-lut",
    metavar="BUDGET",
    help="Most LUTs of the design: a count, or a share of the device such as 50%. The "
    "board's caps hold as well.",
)
@click.option("--max-ff", metavar="BUDGET", help="Most flip-flops, likewise.")
@click.option("--max-dsp", metavar="BUDGET", help="Most DSP slices, likewise.")
@click.option(
    "--max-bram", metavar="BUDGET", help="Most block RAMs, in 18 Kb halves, likewise."
)
@click.option(
    "--max-uram",
    metavar="BUDGET",
    help="Most URAM blocks, which some devices have, likewise; 0 for none.",
)
@click.option(
    "--drop-blocks",
    "block_points",
    metavar="POINTS",
    type=float,
    help="Offer to leave out residual blocks, each at so many points of top-1. This is "
    "your own figure: hao does not predict what a network loses without a block.",
)
@click.option(
    "--front",
    "front_points",
    type=click.IntRange(0, 200),
    default=None,
    help="Points of the front to compute too [default: 6 for the zoo, else 0; none for "
    "area and power].",
)
@click.option(
    "--best",
    type=int,
    default=1,
    show_default=True,
    metavar="K",
    help="Designs of the chosen network to list, the best first, each the most "
    "accurate of those that differ enough from all before it; for --objective "
    "accuracy.",
)
@click.option(
    "--overlap",
    "overlap_percent",
    type=int,
    default=70,
    show_default=True,
    metavar="PERCENT",
    help="With --best: most layers, of those with a choice, in which two designs are "
    "alike.",
)
@click.option(
    "--solver",
    type=click.Choice(["auto", "gurobi", "highs"]),
    default="auto",
    show_default=True,
    help="Who solves the integer programs.",
)
@click.option(
    "--workers",
    type=int,
    help="Networks solved side by side  [default: the cores, at most 4, for the zoo, "
    "else 1].",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Solve on a Dask cluster: tcp://host:8786 (docs/scale.md).",
)
def request_options(
    *,
    bits: tuple[int, ...],
    act_bits: tuple[int, ...],
    free_first_last: bool,
    recipe: str,
    scales: str,
    rank: str,
    block_points: float | None,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> "SearchRequest":
    """Give a command the options of a search, as `request`."""
    from hao.accuracy.terms import Recipe
    from hao.answer.candidates import BitRules, Stance
    from hao.request import SearchRequest

    return SearchRequest(
        rules=BitRules(
            choices=bits,
            act_bits=max(act_bits),
            keep_first_last=not free_first_last,
            stance=Stance(rank),
            recipe=Recipe(recipe),
            free_scales=scales == "free",
            block_points=block_points,
        ),
        act_bits=act_bits if len(act_bits) > 1 else (),
        **named,
    )


@click.command("search")
@request_options
@click.option(
    "--options",
    "option_kinds",
    default="bits",
    show_default=True,
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

    if as_json:
        click.echo(json.dumps(result_json(result, seconds=seconds), indent=2))
        return
    text = render_summary(result)
    if detail:
        text += f"\n\n{detail}"
    click.echo(text)
    if legend:
        click.echo(render_legend(text))


@click.command("estimate")
@chosen
@JSON
@CALIBRATION
def estimate_command(*, path: Path, as_json: bool, calibration: Path | None) -> None:
    """Price a given design and explain it by invocation.

    RUN is a run directory or a design file (which may have been edited); without it,
    the newest run.
    """
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

    RUN is a run directory; without it, the newest run.
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
        click.echo(json.dumps(found, indent=2))
        return
    lists = _lists(result)
    if measured is not None:
        lists = f"measured: {render_quantization(measured)}\n\n{lists}".rstrip()
    if schemes is not None:
        lists = f"measured: {render_measured(schemes)}\n\n{lists}".rstrip()
    _show(result, lists, seconds=seconds, as_json=False, legend=True)


@click.command("networks")
def networks_command() -> None:
    """List the networks of the zoo: products, parameters, top-1."""
    from hao.report.networks import network_table

    click.echo(network_table())
