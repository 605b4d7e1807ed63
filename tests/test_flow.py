"""`import hao` gives the steps, their requests and results, and loads them late."""

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import nn

import hao
from hao import flow
from hao.errors import ArgumentError, HaoError, InputError

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


def test_what_a_request_holds_is_a_name_of_the_package() -> None:
    requests = [each for each in vars(flow).values() if hasattr(each, "__post_init__")]
    assert hao.QuantizeRequest in requests
    for request in requests:
        for kind in get_type_hints(request).values():
            for part in (kind, *get_args(kind)):
                # Members of enumerations have words; what has fields must be made.
                if isinstance(part, type) and is_dataclass(part):
                    assert getattr(hao, part.__name__) is part


def test_every_step_of_a_command_stands_in_the_index() -> None:
    aside = {"subject_named"}  # It only names a run.
    steps = set()
    for path in (ROOT / "hao" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                ("hao.steps.", "hao.measure.", "hao.hw.board_file", "hao.hw.new_board")
            ):
                steps |= {name.name for name in node.names}
    assert len(steps) > 20
    assert steps - aside - set(flow.__all__) == {"board_aliases"}


@pytest.mark.parametrize(
    ("step", "name"),
    [
        *((step, "run") for step in (hao.emit, hao.simulate, hao.write_page)),
        *((step, "run") for step in (hao.lint_run, hao.lint_schedule)),
        (hao.schedule_run, "run"),
        *((step, "path") for step in (hao.reopen, hao.estimate, hao.verify)),
        (hao.check_model, "path"),
    ],
)
def test_a_step_takes_text_for_a_path_and_names_what_it_cannot_take(
    step: Callable[[object], object], name: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=f"^`{name}` = 3; must be a Path, or its"):
        step(3)
    with pytest.raises(HaoError, match=r"none\.onnx"):
        step(str(tmp_path / "none.onnx"))


def test_steps_name_the_argument_that_they_cannot_take(tmp_path: Path) -> None:
    text: Any = str(tmp_path)
    assert hao.list_runs(text) == ()
    wrong: Any = "zu3eg"
    with pytest.raises(ArgumentError, match=r"^`request` = 'zu3eg'; must be a SearchR"):
        hao.search(wrong)
    with pytest.raises(ArgumentError, match=r"^`request` = 'zu3eg'; must be a Quantiz"):
        hao.quantize(wrong)
    with pytest.raises(
        ArgumentError, match=r"^`build` = 'zu3eg'; must be one of 'nati"
    ):
        hao.simulate(tmp_path, build=wrong)
    with pytest.raises(ArgumentError, match=r"^`images` = 'zu3eg'; must be an int"):
        hao.simulate(tmp_path, images=wrong)
    made: Any
    for made, given in (
        (hao.simulate, {"images": 0}),
        (hao.verify, {"workers": 0}),
    ):
        with pytest.raises(ArgumentError, match=r"^`\w+` = 0; must be at least 1$"):
            made(tmp_path, **given)
    for size in (0, (9, 5000)):
        with pytest.raises(InputError, match=r"^`image_size` = .*must be from 1 to"):
            hao.check_model(tmp_path, image_size=size)
    with pytest.raises(ArgumentError, match=r"^`samples` = -1; must be at least 0$"):
        hao.verify(tmp_path, samples=-1)
    asked = hao.SearchRequest(board="zu3eg", fps=50, network="digits")
    for name, kind in (
        ("board", "a Board"),
        ("run_path", "a Path, or its text"),
        ("progress", "a function"),
    ):
        with pytest.raises(ArgumentError, match=f"^`{name}` = 5; must be {kind}$"):
            hao.search(asked, **{name: 5})  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentError, match=r"^`candidates` is empty; must be at least"
    ):
        hao.search(asked, candidates=[])
    with pytest.raises(ArgumentError, match=r"^`offer` = 'zu3eg'; must be an Offer$"):
        hao.search_together(hao.PruneRequest(search=asked), wrong)
    with pytest.raises(ArgumentError, match=r"^`reports` = 'zu3eg'; must be a list"):
        hao.read_reports(tmp_path, wrong)


def test_another_name_is_refused() -> None:
    for name in ("serach", "__wrong__"):
        with pytest.raises(AttributeError, match=f"'hao' has no attribute '{name}'"):
            getattr(hao, name)


def test_a_step_is_found_before_what_it_will_need_is_loaded() -> None:
    code = (
        "import sys, hao; dir(hao)\n"
        "print(sorted(name for name in sys.modules if name.startswith('hao')))\n"
        "hao.search; print([*sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    listed, found = run.stdout.splitlines()
    assert listed == "['hao']"
    assert "'hao.steps.search'" in found
    assert not [name for name in LATE if f"'{name}'" in found]


def test_modules_that_share_a_name_with_no_step_are_still_modules() -> None:
    code = (
        "import hao.emission.steps, hao.steps.search, hao.steps.emit, hao\n"
        "print(callable(hao.search), callable(hao.emit), callable(hao.verify))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.strip() == "True True True"


def test_a_torch_module_is_searched_and_verified(tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    network = hao.from_torch(module, torch.zeros(1, 3, 16, 16))
    assert network.layers == hao.from_torch(module, (3, 16, 16)).layers
    assert network.input.ofm.width == 16
    request = hao.SearchRequest(board="zu3eg", fps=1000, model=network, top1=80)
    result = hao.search(request, run_path=tmp_path / "own")
    assert result.design.network.name == "Sequential"
    assert hao.verify(tmp_path / "own", samples=10).verified


def test_a_network_that_no_step_can_build_is_refused_by_its_name() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 11), nn.ReLU())
    request = hao.SearchRequest(
        board="zu3eg", fps=1, model=hao.from_torch(module, (3, 32, 32))
    )
    with pytest.raises(
        hao.HaoError, match=r"^layer '0': kernel 11, stride 1; the engine"
    ):
        hao.search(request)


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (3, (3, 8, 8), "`module` = int; must be a torch.nn.Module"),
        (nn.ReLU(), (8, 8), r"`example` = \(8, 8\); must be \(channels, height, width"),
        (nn.ReLU(), (3, 8.5, 8), r"`example` = \(3, 8.5, 8\); must be"),
    ],
)
def test_what_is_no_module_or_frame_is_refused(
    module: object, example: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        hao.from_torch(module, example)
