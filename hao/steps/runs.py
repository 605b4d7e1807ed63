"""Earlier runs: opened, compared, priced anew, their pages written anew."""

from dataclasses import replace
from pathlib import Path

from hao.arguments import takes_words
from hao.calibration.file import load_constants
from hao.cost.evaluate import evaluate
from hao.page.compare import render_comparison
from hao.page.files import loaded_pair, renew_run_page, write_comparison_page
from hao.report.result import SearchResult
from hao.runs.design_file import load_design
from hao.runs.run import load_run


@takes_words
def reopen(path: Path) -> SearchResult:
    """Return the result of an earlier run, checked against the cost model.

    Args:
        path: A run directory, whose further designs come with it, or a design file.

    Raises:
        InputError: The file is missing, malformed, of another schema, or does not
            record what its design costs.
    """
    return load_run(path)


@takes_words
def write_page(run: Path) -> Path:
    """Write the page of a run anew, with what later steps found, and return its path.

    Args:
        run: A run directory.

    Raises:
        InputError: It is no run directory, is of another version of hao, or cannot be
            written.
    """
    return renew_run_page(run)


@takes_words
def compare_runs(
    first: Path, second: Path, *, page: Path | None = None, force: bool = False
) -> str:
    """Return a table of two runs beside each other.

    Args:
        first: A run directory or design file.
        second: Another one.
        page: File for a page of the same with charts; `None` writes none.
        force: Replace a page that is there.

    Raises:
        InputError: A run cannot be read, or the page exists or cannot be written.
    """
    pair = loaded_pair(first, second)
    if page is not None:
        write_comparison_page(*pair, page, force=force)
    return render_comparison(*pair)


@takes_words
def estimate(path: Path, *, calibration: Path | None = None) -> SearchResult:
    """Return a recorded or edited design with what it costs, priced anew.

    Args:
        path: A run directory or a design file.
        calibration: File of the cost model's constants; `None` for those that the
            design was found with. A front, which has others, is left out.

    Raises:
        InputError: A file is missing, malformed or of another schema, the design is
            not consistent, or the constants are for another board.
    """
    result = load_design(path, check=False)
    if calibration is None:
        return result
    design = result.design
    constants = load_constants(calibration, design.board)
    design = replace(design, board=replace(design.board, calibration=constants))
    return replace(result, design=design, cost=evaluate(design), front=())
