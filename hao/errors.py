"""Every exception that hao raises on purpose, with the exit code it causes.

    HaoError                          exit code (1: what nobody foresaw)
    |-- InputError (ValueError)           2   a file or an argument is wrong
    |   |-- ArgumentError                 2   a field of a request is wrong
    |   `-- RefusedError                  2   a compiler refuses a source
    |-- UnsupportedError                  2   valid, but not handled
    |-- InfeasibleError                   3   no design fits
    |-- SolverError                       4   a solver is missing or gave up
    |   `-- WorkLimitError                4   stopped at its limit without a solution
    `-- ToolError                         5   external program missing or failed

A message is one line with place, value, limit and remedy:
`boards/demo.toml: ddr.width_bits = 48; must be a power of two from 16 to 512`.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from reprlib import Repr


def brief(value: object) -> str:
    """Return a value for a message, on one line and cut after 60 characters."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    writer = Repr()
    writer.maxstring = writer.maxother = 60
    return writer.repr(value)


class HaoError(Exception):
    """Base of every error that hao raises on purpose."""

    exit_code = 1

    def named(self, name_of: Callable[[str], str]) -> str:
        """Return the message with other names of the fields that it sets in backquotes.

        A Python call reads "`min_top1` = 120; must be at most 100 percent", the command
        line "--min-top1 120; must be at most 100 percent".

        Args:
            name_of: The name of a field, such as its flag; "" for what is no field.
        """

        def other(found: re.Match[str]) -> str:
            name = name_of(found[1])
            return name + (" " if found[2] else "") if name else found[0]

        return re.sub(r"`(\w+)`( = )?", other, str(self))


class InputError(HaoError, ValueError):
    """A file or an argument is wrong: where, got what, allowed what."""

    exit_code = 2


class ArgumentError(InputError):
    """Fields of a request are wrong; the message names them in backquotes."""


class RefusedError(InputError):
    """A compiler refuses a source; the message is its first error.

    Args:
        text: The line that the compiler prints for it.
        title: Name of the compiler, to print before it.
    """

    def __init__(self, text: str, title: str = "") -> None:
        super().__init__(f"{title} refuses the source: {text}" if title else text)
        found = re.match(r"(.+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", text)
        self.path = found[1] if found else ""
        self.line = int(found[2]) if found else 0
        self.fault = found[3] if found else text


class UnsupportedError(HaoError):
    """The input is valid but not handled: names the node and what is handled.

    Attributes:
        problems: Each thing that is not handled, one sentence with its remedy; the
            message alone where there is one.
    """

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)

    @classmethod
    def of_all(cls, place: str, problems: tuple[str, ...]) -> "UnsupportedError":
        """Return the error that names every problem; at least one is given."""
        if len(problems) == 1:
            return cls(problems[0])
        listed = " ".join(f"({n}) {text}." for n, text in enumerate(problems, 1))
        return cls(
            f"{place}: {len(problems)} things are not handled: {listed}",
            problems=problems,
        )


class InfeasibleError(HaoError):
    """No design meets the limits.

    Attributes:
        conflicts: Names of the limits that clash, an irreducible set where known.
        at_any_cost: Whether no design meets the other limits either where accuracy may
            cost more than was allowed, as far as was looked.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        conflicts: tuple[str, ...] = (),
        at_any_cost: bool = False,
    ) -> None:
        super().__init__(message)
        self.conflicts = conflicts
        self.at_any_cost = at_any_cost


class SolverError(HaoError):
    """The solver cannot run or gave no solution: licence, size or work limit."""

    exit_code = 4


class WorkLimitError(SolverError):
    """The solver stopped at its work limit before it found a solution."""


class ToolError(HaoError):
    """An external program is missing or failed.

    Attributes:
        command: The command line, as a list of words.
        log_path: Where its output was kept, if anywhere.
    """

    exit_code = 5

    def __init__(
        self, message: str, *, command: tuple[str, ...], log_path: Path | None = None
    ) -> None:
        super().__init__(message)
        self.command = command
        self.log_path = log_path

    def __reduce__(self) -> tuple[partial["ToolError"], tuple[()]]:
        """Return how to make it again, since pickle drops the required keyword."""
        make = partial(
            ToolError, str(self), command=self.command, log_path=self.log_path
        )
        return make, ()


class NeedsCopyError(HaoError):
    """A layer does to codes what only a requantization of its own can do.

    Attributes:
        layer: Its name.
        scale: What a step of the codes that it reads stands for.
    """

    def __init__(self, layer: str) -> None:
        super().__init__(layer)
        self.layer, self.scale = layer, 1.0
