"""The options of commands that change a trained network to reach a frame rate."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from hao.cli.common import MARGIN, RUN_NAME, RUNS, gathered
from hao.cli.request import BOARD, FRAMES, IMAGE_SIZE, bits_option

if TYPE_CHECKING:
    from hao.ir.tensor import ImageSize
    from hao.request import SearchRequest


class Asked(NamedTuple):
    """What such a command is to change, and where it leaves it.

    Attributes:
        search: Board, frame rate, bits and margin; the network, unless `run`.
        run: Run whose network is changed, if any.
        target: Run to make.
    """

    search: "SearchRequest"
    run: Path | None
    target: Path


def change_options(
    usual_bits: str, ending: str
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return what gives a command the options, as `asked`.

    Args:
        usual_bits: Weight bits on offer by default.
        ending: Of the name of the run, behind that of the network.
    """

    @gathered("asked")
    @click.argument("subject", metavar="NETWORK_OR_RUN")
    @click.option(
        "--fps", type=float, required=True, help="Frames per second to reach."
    )
    @BOARD
    @IMAGE_SIZE
    @bits_option(usual_bits)
    @FRAMES
    @click.option(
        "--batch",
        type=int,
        default=1,
        help="Frames that one start of the engine takes, as in `hao search`.",
    )
    @MARGIN
    @RUN_NAME
    @RUNS
    def asked(
        *,
        subject: str,
        fps: float,
        board: str,
        image_size: "ImageSize | None",
        choices: tuple[int, ...],
        run_name: str | None,
        runs: Path,
        **named: Any,  # noqa: ANN401  # the request checks what it is given
    ) -> Asked:
        from hao.answer.candidates import BitRules
        from hao.files import recover
        from hao.request import SearchRequest
        from hao.runs.run import check_run_name, default_run_name
        from hao.steps.changed import subject_named

        rules = BitRules(choices=choices)
        request = SearchRequest(board=board, fps=fps, rules=rules, **named)
        search, run = subject_named(subject, request)
        _check_board(run, board)
        if run is not None and image_size is not None:
            raise click.UsageError(f"--image-size: {run} has its own; leave it out")
        search = replace(search, image_size=image_size)
        recover(runs)
        if run_name is None:
            network = f"{Path(subject).stem}-{ending}"
            run_name = default_run_name(runs, board=board, fps=fps, network=network)
        check_run_name(run_name)
        return Asked(search=search, run=run, target=runs / run_name)

    return asked


def _check_board(run: Path | None, board: str) -> None:
    """Refuse a board that is named beside a run, which has another one."""
    from hao.hw.board_file import load_board
    from hao.runs.design_file import load_design

    source = click.get_current_context().get_parameter_source("board")
    if run is None or source is not ParameterSource.COMMANDLINE:
        return
    own = load_design(run).design.board.name
    if load_board(board).name != own:
        raise click.UsageError(
            f"--board {board}: {run} has its own, {own}; leave it out, or name the "
            "network in place of the run"
        )
