"""One thread for linear algebra, quick compilers, no skip in CI that nobody agreed to.

Nets this small lose more by sharing threads than they gain; the setting counts only if
it is made before NumPy is imported. Programs that run for less than a second are not
worth optimising (tests/emission/test_check.py compiles as a user's command does).
`allowed_skips.txt` lists the tests that may skip: another one is printed at the end of
a run, and in CI makes the run fail.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("CXXFLAGS", "-O0")


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs optimised that run for longer than they take to compile."""
    monkeypatch.setenv("CXXFLAGS", "-O1")


ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run in CI if a test skipped that may not."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    in_ci = os.environ.get("CI") == "true" or "HAO_CI_TOOLS" in os.environ
    # Workers of pytest-xdist have no reporter: their skips reach the one that has it.
    if reporter is None or not in_ci or not list(unexpected_skips(reporter)):
        return
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the skips that `allowed_skips.txt` does not list."""
    lines = sorted(set(unexpected_skips(terminalreporter)))
    if lines:
        terminalreporter.section(f"skips not listed in tests/{ALLOWED_SKIPS.name}")
    for line in lines:
        terminalreporter.line(line)


def unexpected_skips(reporter: TerminalReporter) -> Iterator[str]:
    """Yield a line for every skip that is not on the list."""
    rows = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    allowed = [
        tuple(re.escape(part.strip()).replace(r"\*", ".*") for part in row.split("|"))
        for row in rows
        if row and not row.startswith("#")
    ]
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(
            re.fullmatch(test, report.nodeid) and re.fullmatch(cause, reason)
            for test, cause, _ in allowed
        ):
            yield f"{report.nodeid}: {reason}"
