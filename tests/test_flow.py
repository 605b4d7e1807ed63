"""`import hao` gives the steps, their requests and results, and loads them late."""

import subprocess
import sys
from pathlib import Path

import pytest

import hao
from hao import flow

ROOT = Path(__file__).resolve().parent.parent
# What only the step that needs it may load.
LATE = ("torch", "brevitas", "gurobipy", "sklearn", "matplotlib", "joblib", "llvmlite")


def test_every_name_of_the_index_is_reached_from_the_package() -> None:
    assert sorted(set(flow.__all__)) == flow.__all__
    for name in flow.__all__:
        assert getattr(hao, name) is getattr(flow, name)
    assert set(flow.__all__) <= set(dir(hao))


def test_every_step_has_its_request_or_run_and_says_what_it_does() -> None:
    for name in flow.__all__:
        assert getattr(hao, name).__doc__


def test_another_name_is_refused() -> None:
    for name in ("serach", "__wrong__"):
        with pytest.raises(AttributeError, match=f"'hao' has no attribute '{name}'"):
            getattr(hao, name)


def test_a_step_is_found_before_what_it_will_need_is_loaded() -> None:
    code = "import sys, hao; hao.search; print([*sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert "'hao.flow'" in run.stdout
    assert not [name for name in LATE if f"'{name}'" in run.stdout]


def test_modules_that_share_a_name_with_no_step_are_still_modules() -> None:
    code = (
        "import hao.emission.steps, hao.steps.search, hao.steps.emit, hao\n"
        "print(callable(hao.search), callable(hao.emit), callable(hao.verify))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.strip() == "True True True"
