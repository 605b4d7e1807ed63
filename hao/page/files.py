"""Pages on the disk: that of a run in its directory, and comparisons where wanted."""

from dataclasses import replace
from pathlib import Path

from hao.errors import InputError
from hao.files import check_absent, write_file
from hao.page.compare import comparison_page
from hao.page.page import render_page, run_page
from hao.report.result import SearchResult
from hao.runs.records import Records, load_records
from hao.runs.run import load_run

PAGE_FILE = "report.html"
Opened = tuple[SearchResult, Records]
"""What a run records, and what later steps found about it."""


def write_run_page(result: SearchResult, folder: Path) -> Path:
    """Write the page of a run into its directory, over an earlier one.

    Args:
        result: What the run records.
        folder: Its directory.

    Raises:
        InputError: The file cannot be written.
    """
    path = folder / PAGE_FILE
    text = render_page(run_page(result, load_records(folder)))
    write_file(path, text.encode())
    return path


def renew_run_page(run: Path) -> Path:
    """Write the page of a run anew, with what later steps have found since.

    Raises:
        InputError: It is no run directory, or of another version of hao, or the file
            cannot be written.
    """
    result = load_run(run)
    if result.run is None or not run.is_dir():
        raise InputError(f"{run}: a design file alone; a page needs a run directory")
    return write_run_page(result, run)


def write_comparison_page(
    first: Opened, second: Opened, path: Path, *, force: bool
) -> None:
    """Write a page with two runs beside each other.

    Args:
        first: What a run records, and what later steps found about it.
        second: Of another one.
        path: File to write.
        force: Replace a file that is there.

    Raises:
        InputError: The file exists or cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: a directory; must be a file to write")
    check_absent(path, force=force)
    write_file(path, render_page(comparison_page(first, second)).encode())


def loaded_pair(first: Path, second: Path) -> tuple[Opened, Opened]:
    """Return what two runs record, and what later steps found about them.

    Raises:
        InputError: A run cannot be read.
    """
    return _loaded(first), _loaded(second)


def _loaded(run: Path) -> Opened:
    result = load_run(run)
    if not run.is_dir():
        result = replace(result, run=None)
    return result, load_records(result.run)
