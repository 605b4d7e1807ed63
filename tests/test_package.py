"""The wheel: what it carries, and that hao runs from it in an empty folder.

The wheel is built once from the sdist, without a network, and installed into an empty
environment that borrows the dependencies of this one.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import hao

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


def run(command: Sequence[str | Path], cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy, so that what other tests leave in the checkout is not packed, and so
    # that the build sees the tree as a fresh clone would.
    source = tmp_path_factory.mktemp("source") / "hao"
    skip = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, source, ignore=skip)
    shutil.rmtree(source / "runs", ignore_errors=True)
    folder = tmp_path_factory.mktemp("dist")
    run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source],
        cwd=folder,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of an environment that has the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", environment], cwd=environment)
    bin_folder = environment / "bin"
    install: list[str | Path] = ["install", "--quiet", "--no-deps", "--no-index", wheel]
    python = bin_folder / "python"
    run([sys.executable, "-m", "pip", "--python", python, *install], cwd=environment)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([python, "-c", where], cwd=environment).strip())
    # The line of a .pth file is added behind the environment's own packages. The
    # editable hao of this environment stands in a .pth itself, which is not followed.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return bin_folder


def files_below(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("folder", ["boards", "templates", "data"])
def test_wheel_carries_every_shipped_file(folder: str, wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {
        name.removeprefix("hao/_data/")
        for name in names
        if name.startswith(f"hao/_data/{folder}/")
    }
    assert packed == files_below(folder)
    assert packed


def test_wheel_carries_every_module_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    modules = {name for name in names if not name.startswith("hao/_data/")}
    modules = {name for name in modules if ".dist-info/" not in name}
    assert modules == files_below("hao")


def test_sdist_carries_what_builds_and_tests_it(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("hao", "boards", "templates", "data", "tests"):
        assert files_below(folder) <= names
    assert {"LICENSE", "NOTICE", "README.md", "Makefile", "constraints.txt"} <= names
    assert {"CITATION.cff", "Containerfile", "mkdocs.yml"} <= names


def test_the_version_stands_in_one_place(wheel: Path, dist: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    assert wheel.name == f"hao-{hao.__version__}-py3-none-any.whl"
    assert (dist / f"hao-{hao.__version__}.tar.gz").is_file()
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {hao.__version__}\n" in cited


def test_installed_hao_finds_its_boards(installed: Path, tmp_path: Path) -> None:
    code = (
        "from hao.hw.board_file import load_board; import hao.data;"
        "print(hao.data.data_path('boards')); print(load_board('zu3eg').title)"
    )
    folder, title = run([installed / "python", "-c", code], tmp_path).splitlines()
    assert folder.endswith("/site-packages/hao/_data/boards")
    assert Path(folder).is_relative_to(installed.parent)
    assert title.startswith("Ultra96")


def test_installed_hao_searches_from_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    words = "search --board zu3eg --fps 50 --network resnet8_cifar --bits 8 --front 0"
    output = run([installed / "hao", *words.split(), "--run", "first"], tmp_path)
    assert output.startswith("resnet8_cifar@32 on Ultra96-V2 ")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["first"]
