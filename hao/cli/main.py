"""The command `hao` and what it consists of."""

import click

from hao import __version__
from hao.cli.boards import boards_command
from hao.cli.build import (
    emit_command,
    export_command,
    lint_command,
    quantize_command,
    report_hls_command,
    simulate_command,
)
from hao.cli.calibrate import calibrate_command
from hao.cli.common import GuardedGroup
from hao.cli.explore import explore_command
from hao.cli.guard import traceback_option
from hao.cli.model import check_command
from hao.cli.prune import prune_command
from hao.cli.replace import replace_command
from hao.cli.runs import compare_command, runs_command
from hao.cli.schedule import schedule_command
from hao.cli.search import (
    estimate_command,
    networks_command,
    report_command,
    search_command,
)
from hao.cli.verify import verify_command


@click.group(cls=GuardedGroup, context_settings={"max_content_width": 92})
@click.version_option(__version__, prog_name="hao")
def main() -> None:
    """Choose a network, its weight bits and an FPGA accelerator, together and proven.

    \b
    Start with:
      hao boards                            the boards that ship with hao
      hao networks                          the networks of the zoo
      hao check net.onnx                    what of a model file can be built
      hao search --board zu3eg --fps 50     the most accurate design at 50 frames/s
      hao replace net.onnx --fps 200        faster operations in place of its blocks
      hao prune net.onnx --fps 200          fewer channels, or fewer words of weights
      hao estimate RUN                      what that design costs, layer by layer
      hao report RUN --html                 a page of it that can be sent on
      hao runs; hao compare RUN RUN         all runs; two beside each other
      hao verify RUN                        that nothing is better, checked again
    With your own data:
      hao explore RUN --data images/        schemes measured, the best of them kept
    Then, from the design to hardware:
      hao quantize RUN --data digits        integers of the design's bits
      hao emit-hls RUN                      an HLS project that computes them
      hao simulate RUN                      the project, compiled, bit for bit
    """  # noqa: D301 - click needs the backspace that ends re-wrapping


main.params.append(traceback_option())
for _command in (
    check_command,
    search_command,
    replace_command,
    estimate_command,
    report_command,
    runs_command,
    compare_command,
    verify_command,
    explore_command,
    prune_command,
    quantize_command,
    export_command,
    emit_command,
    simulate_command,
    lint_command,
    schedule_command,
    report_hls_command,
    calibrate_command,
    boards_command,
    networks_command,
):
    main.add_command(_command)
