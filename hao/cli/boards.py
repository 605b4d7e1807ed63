"""Commands about boards: the list of them, one of them, a file for another one."""

from pathlib import Path
from typing import Any

import click

from hao.cli.common import JSON, show


@click.group("boards", invoke_without_command=True)
@JSON
@click.pass_context
def boards_command(ctx: click.Context, *, as_json: bool) -> None:
    """List the boards of hao, show one, or write a file of one.

    \b
    Examples:
      hao boards
      hao boards show zu3eg
      hao boards new mine --part xczu3eg-sfvc784-1-e --ddr DDR4-2400x32
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    if ctx.invoked_subcommand is not None:
        return
    from hao.hw.board_file import board_aliases, board_names, load_board
    from hao.report.boards import boards_json, render_boards

    boards = [load_board(name) for name in board_names()]
    aliases = board_aliases()
    text = render_boards(boards, aliases)
    show(boards_json(boards, aliases), text, as_json=as_json)


@boards_command.command("show")
@click.argument("board")
@JSON
def show_command(*, board: str, as_json: bool) -> None:
    """Show what a board has, and where each figure comes from.

    BOARD is a name, as `hao boards` has it, or a .toml file, which is checked.
    """
    from hao.hw.board_file import board_aliases, load_board
    from hao.report.boards import boards_json, render_board

    loaded = load_board(board)
    text = render_board(loaded)
    show(boards_json([loaded], board_aliases()), text, as_json=as_json)


@boards_command.command("new")
@click.argument("name")
@click.option("--part", required=True, help="Part number, such as xczu3eg-sfvc784-1-e.")
@click.option(
    "--ddr",
    required=True,
    help="DDR of the processor: type, million transfers a second and bits, such as "
    "DDR4-2400x64.",
)
@click.option(
    "--clock",
    "clock_mhz",
    type=float,
    help="Clock of the logic [MHz; default: what designs reached on boards of the "
    "same logic].",
)
@click.option("--title", help="What reports print  [default: name and device].")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write  [default: NAME.toml].",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def new_command(
    *,
    name: str,
    out: Path | None,
    force: bool,
    **named: Any,  # noqa: ANN401  # the board checks what it is given
) -> None:
    """Write the file of a board from its part number and its DDR.

    \b
    Example:
      hao boards new mine --part xczu3eg-sfvc784-1-e --ddr DDR4-2400x32
      hao search --board mine.toml --fps 50
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.hw.new_board import NewBoard, write_board_file

    path = out if out is not None else Path(f"{name}.toml")
    write_board_file(NewBoard(name=name, **named), path, force=force)
    click.echo(
        f"{path}: written; `hao search --board {path} --fps 50` searches. Measure "
        "power.idle_mw, ddr.read_percent and ddr.write_percent and put them in, if you "
        "can."
    )
