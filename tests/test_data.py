"""data_path: the checkout, the installed wheel before it, and a missing file."""

from pathlib import Path

import pytest

import hao.data
from hao.data import data_path
from hao.errors import InputError


def test_data_path_finds_the_boards_of_the_checkout() -> None:
    assert data_path("boards", "zu3eg.toml").is_file()
    assert data_path("boards").is_dir()


def test_data_path_prefers_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "hao"
    for folder in (package / "_data" / "boards", tmp_path / "boards"):
        folder.mkdir(parents=True)
        (folder / "a.toml").touch()
    (tmp_path / "boards" / "b.toml").touch()
    monkeypatch.setattr(hao.data, "_PACKAGE", package)
    assert data_path("boards", "a.toml") == package / "_data" / "boards" / "a.toml"
    assert data_path("boards", "b.toml") == tmp_path / "boards" / "b.toml"


def test_data_path_names_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"^boards/no\.toml: not found .* reinstall"):
        data_path("boards", "no.toml")
