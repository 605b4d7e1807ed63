"""Skips: in CI one that is not listed fails the run, elsewhere it is only printed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
HEADING = "skips not listed in tests/allowed_skips.txt"
SOURCE = """
import pytest

@pytest.mark.parametrize("size", [1, 2])
def test_listed(size):
    pytest.skip("no tool")

def test_other():
    pytest.skip("{reason}")

def test_passes():
    assert True
"""
ALLOWED = """# a comment
test_demo.py::test_listed[*] | no tool | comes from elsewhere
test_demo.py::test_other | no board* | nobody has one
"""


def run_demo(
    folder: Path, reason: str, environment: dict[str, str], *words: str
) -> tuple[int, str]:
    """Return the exit status and the output of a run of its own."""
    shutil.copy(TESTS / "conftest.py", folder)
    (folder / "allowed_skips.txt").write_text(ALLOWED)
    (folder / "test_demo.py").write_text(SOURCE.replace("{reason}", reason))
    unset = {"CI", "HAO_CI_TOOLS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"}
    inherited = {key: value for key, value in os.environ.items() if key not in unset}
    options = ("-q", "--rootdir", ".", *words)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_demo.py"],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [({"CI": "true"}, ("-n", "1")), ({"HAO_CI_TOOLS": "1"}, ())],
)
def test_an_unlisted_skip_fails_the_run_in_ci(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str]
) -> None:
    status, output = run_demo(tmp_path, "cannot", environment, *words)
    assert status == 1, output
    assert HEADING in output
    assert "test_demo.py::test_other: cannot\n" in output
    assert "test_listed" not in output


def test_listed_skips_pass_in_ci(tmp_path: Path) -> None:
    status, output = run_demo(tmp_path, "no board here", {"CI": "true"})
    assert status == 0, output
    assert HEADING not in output


def test_an_unlisted_skip_is_only_printed_elsewhere(tmp_path: Path) -> None:
    status, output = run_demo(tmp_path, "cannot", {})
    assert status == 0, output
    assert "test_demo.py::test_other: cannot\n" in output


def test_every_listed_file_exists() -> None:
    for row in (TESTS / "allowed_skips.txt").read_text().splitlines():
        if not row.startswith("#"):
            pattern, _, why = (part.strip() for part in row.split("|"))
            assert (TESTS.parent / pattern.partition("::")[0]).is_file(), pattern
            assert why
