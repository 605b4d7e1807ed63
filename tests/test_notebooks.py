"""The notebooks run from top to bottom, and are stored without what they printed.

One that says in its metadata (`hao`, `needs`) that it needs a package of weights takes
minutes: `make thorough` installs the package and runs it.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted(
    (Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb")
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    assert isinstance(notebook, NotebookNode)
    return notebook


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_outputs_are_cleared(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def needed(path: Path) -> str:
    """Return the package of weights that a notebook needs; "" if none."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return str(metadata.get("hao", {}).get("needs", ""))


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.thorough] if needed(path) else [])
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    package = needed(path)
    if package and find_spec(package) is None:
        pytest.skip(f"{package} is not installed; pip install --no-deps brings it")
    notebook = read(path)
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert list(tmp_path.iterdir()) == []
