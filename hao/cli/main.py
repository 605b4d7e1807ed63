"""The command `hao` and what it consists of."""

import sys
from collections import UserDict
from collections.abc import Iterator
from importlib import import_module

import click

from hao import __version__
from hao.cli.common import GuardedGroup
from hao.cli.guard import traceback_option

COMMANDS = {
    "boards": ("boards", "List the boards of hao, show one, or write a file of one."),
    "calibrate": (
        "calibrate",
        "Fit the cost model's constants to reports for one board.",
    ),
    "check": ("model", "Say what of a model file is handled, rewritten and missing."),
    "compare": ("runs", "Show two runs beside each other."),
    "emit-hls": ("build", "Emit the HLS project of a run."),
    "estimate": ("search", "Price a given design and explain it by invocation."),
    "explore": (
        "explore",
        "Measure schemes of a run on your own data, keep the best.",
    ),
    "export": ("build", "Write a run's quantized network as a QONNX file."),
    "lint": ("build", "Check a run's C++ against the rules of Vivado and Vitis HLS."),
    "networks": (
        "search",
        "List the networks of the zoo: products, parameters, top-1.",
    ),
    "prune": ("prune", "Take channels or weights out of a network for a frame rate."),
    "quantize": ("build", "Quantize a run's network to its design's bits."),
    "replace": (
        "replace",
        "Replace blocks of a network by operations that run faster.",
    ),
    "report": (
        "search",
        "Show a run again: answer, measurements, front, more designs.",
    ),
    "report-hls": ("build", "Show synthesis reports beside what was predicted."),
    "runs": ("runs", "List the runs of a folder, the newest first."),
    "schedule": (
        "schedule",
        "Tell whether a run's pipelined loops reach their interval.",
    ),
    "search": ("search", "Choose network, bits and accelerator together, proven best."),
    "simulate": ("build", "Compile a run's HLS project, compare it with its integers."),
    "verify": ("verify", "Check again that a run's answer is the best."),
}
"""Module of every command, and what it does; `hao --help` loads none of them."""


class Loaded(UserDict[str, click.Command]):
    """The commands by name, each loaded when it is first asked for."""

    def __getitem__(self, name: str) -> click.Command:
        if name in COMMANDS and name not in self.data:
            module = import_module(f"hao.cli.{COMMANDS[name][0]}")
            command: click.Command = getattr(
                module, f"{name.replace('-', '_')}_command"
            )
            command.params.append(traceback_option())
            self.data[name] = command
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LoadingGroup(GuardedGroup):
    """A group that lists its commands without loading them."""

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write what each command does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LoadingGroup,
    context_settings={"max_content_width": 92, "show_default": True},
    commands=Loaded(),
)
@click.version_option(__version__, prog_name="hao")
def main() -> None:
    """Choose a network, its weight bits and an FPGA accelerator, together and proven.

    \b
    Start with:
      hao boards                            the boards that ship with hao
      hao networks                          the networks of the zoo
      hao check net.onnx                    what of a model file can be built
      hao search --board zu3eg --fps 50     the most accurate design at 50 frames/s
    Then, to hardware (RUN is a run's folder or name, the newest if left out):
      hao quantize RUN --data digits        integers of the design's bits
      hao emit-hls RUN                      an HLS project that computes them
      hao simulate RUN                      the project, compiled, bit for bit
    Look closer:
      hao report RUN --html                 a page of the run that can be sent on
      hao estimate RUN                      what its design costs, layer by layer
      hao verify RUN                        that nothing is better, checked again
      hao runs; hao compare RUN RUN         all runs; two beside each other
    Faster, or measured on your own data:
      hao explore RUN --data images/        schemes of bits measured, the best kept
      hao prune net.onnx --fps 200          fewer channels, or fewer words of weights
      hao replace net.onnx --fps 200        faster operations in place of its blocks
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    # A function of the user's own may lie in this folder: `--model module:function`.
    if "" not in sys.path:
        sys.path.append("")


main.params.append(traceback_option())
