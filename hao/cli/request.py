"""The options that say what a search asks for, for all commands that search."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hao.cli.common import CALIBRATION, MARGIN, Command, frame_size, gathered

if TYPE_CHECKING:
    from hao.request import SearchRequest


def bit_choices(
    ctx: click.Context, param: click.Parameter, value: str
) -> tuple[int, ...]:
    """Return the bit choices of a comma-separated list."""
    try:
        return tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(
            f"{value!r}; must be whole numbers with commas between, such as 4,6,8"
        ) from None


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


BOARD = click.option(
    "--board",
    default="zu3eg",
    help="Name, as `hao boards` has it, or a .toml file.",
)

IMAGE_SIZE = click.option(
    "--image-size",
    callback=frame_size,
    metavar="PIXELS",
    help="Height and width of the frame, of a network of the zoo or of a model that "
    "leaves them open: 224, or 49x10 for 49 rows of 10.",
)

FRAMES = click.option(
    "--frames",
    type=click.Choice(["one-at-a-time", "back-to-back"]),
    default="one-at-a-time",
    help="What a frame rate counts: the engine and the host's call, or the engine "
    "alone, where the host works on one frame while the engine runs another.",
)


def bits_option(usual: str) -> Callable[[Command], Command]:
    """Return the option of which bits the weights may have."""
    return click.option(
        "--bits",
        "choices",
        default=usual,
        callback=bit_choices,
        help="Weight bits that a layer may have.",
    )


@gathered("request")
@BOARD
@click.option(
    "--clock", "clock_mhz", type=float, help="Clock [MHz]  [default: the board's]."
)
@click.option("--fps", type=float, help="Frames per second to reach.")
@click.option(
    "--objective",
    type=click.Choice(["accuracy", "fps", "latency", "area", "power"]),
    default="accuracy",
    help="Most accurate at --fps; fastest at --min-top1; fastest of all; or at --fps "
    "(and --min-top1, else as accurate as can be) with the least area or power of its "
    "blocks.",
)
@click.option(
    "--min-top1",
    type=float,
    help="Least top-1 [percent], for --objective fps, area and power.",
)
@MARGIN
@FRAMES
@click.option(
    "--batch",
    default="1",
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
    "--network",
    help="One network of the zoo  [default: all with known top-1].",
)
@IMAGE_SIZE
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
@bits_option("4,6,8")
@click.option(
    "--act-bits",
    default="8",
    callback=bit_choices,
    help="Bits that the activations may have, such as 5,8; the frame keeps 8.",
)
@click.option(
    "--free-first-last",
    is_flag=True,
    help="Let the first and last layer have fewer bits too (published results keep 8).",
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
    "--scales",
    type=click.Choice(["power-of-two", "free"]),
    default="power-of-two",
    help="What a code of a weight may stand for, by output channel: power-of-two, sums "
    "are shifted; free, any number, sums take a multiplier (DSP slices).",
)
@click.option(
    "--recipe",
    type=click.Choice(["ptq", "qat"]),
    default="qat",
    help="How the network will be quantized: qat, by training; ptq, from a few frames "
    "without training. Below 8 bits they lose very different amounts.",
)
@click.option(
    "--rank",
    "stance",
    type=click.Choice(["cautious", "mean", "pessimistic"]),
    default="cautious",
    help="What of the predicted accuracy to rank by: its mean less what results fall "
    "short of it on average, its mean, or the low end of its 90 % interval.",
)
@click.option(
    "--front",
    "front_points",
    type=int,
    help="Points of the front to compute too [default: 6 for the zoo, else 0; none for "
    "area and power].",
)
@click.option(
    "--best",
    type=int,
    default=1,
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
    metavar="PERCENT",
    help="With --best: most layers, of those with a choice, in which two designs are "
    "alike.",
)
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
@CALIBRATION
@click.option(
    "--solver",
    type=click.Choice(["auto", "gurobi", "highs"]),
    default="auto",
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
    choices: tuple[int, ...],
    act_bits: tuple[int, ...],
    free_first_last: bool,
    recipe: str,
    scales: str,
    stance: str,
    block_points: float | None,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> "SearchRequest":
    """Give a command the options of a search, as `request`."""
    from hao.accuracy.terms import Recipe
    from hao.answer.candidates import BitRules, Stance
    from hao.request import SearchRequest

    return SearchRequest(
        rules=BitRules(
            choices=choices,
            act_bits=max(act_bits),
            keep_first_last=not free_first_last,
            stance=Stance(stance),
            recipe=Recipe(recipe),
            free_scales=scales == "free",
            block_points=block_points,
        ),
        act_bits=act_bits if len(act_bits) > 1 else (),
        **named,
    )
