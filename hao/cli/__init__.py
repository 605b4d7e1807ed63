"""The command line: parse, call one function of the flow, print.

Results go to stdout, progress and errors to stderr. Every `HaoError` becomes one line
and its exit code. The step is imported when a command runs, so that `hao --help`
answers at once.
"""

from hao.cli.main import main

__all__ = ["main"]
