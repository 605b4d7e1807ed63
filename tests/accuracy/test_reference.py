"""The file of reference drops."""

from pathlib import Path

import pytest

from hao.accuracy.reference import (
    load_references,
    render_references,
    shipped_references,
)
from hao.errors import InputError


def test_references_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(render_references(shipped_references()))
    assert load_references(path) == shipped_references()


def test_a_malformed_reference_is_refused(tmp_path: Path) -> None:
    lines = render_references(shipped_references()[:2]).splitlines()
    path = tmp_path / "some.csv"
    path.write_text("\n".join([lines[0], lines[1], lines[2].replace("qat", "qad")]))
    with pytest.raises(InputError, match=r"some.csv:3: recipe = 'qad'; must be one of"):
        load_references(path)
