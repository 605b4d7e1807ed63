"""What a command leaves unsaid is what the request or arguments of its step do."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import hao
from hao.cli.boards import boards_command
from hao.cli.main import main
from hao.distillation.distill import DistillSettings
from hao.quant.train import FLOAT_SETTINGS, QUANTIZED_SETTINGS
from hao.runs.design_file import FILE_NAME
from hao.steps import prune
from hao.steps import replace as replacing

RUN = Path("runs/mine")


class CalledError(Exception):
    """A step was called; nothing is done."""


def called(
    monkeypatch: pytest.MonkeyPatch, step: str, words: list[str]
) -> Mapping[str, object]:
    """Return the arguments, defaults included, that a command calls its step with."""
    module, name = step.rsplit(".", 1)
    seen: dict[str, object] = {}
    takes = inspect.signature(getattr(importlib.import_module(module), name))

    def record(*args: object, **kwargs: object) -> None:
        bound = takes.bind(*args, **kwargs)
        bound.apply_defaults()
        seen.update(bound.arguments)
        raise CalledError

    monkeypatch.setattr(step, record)
    result = CliRunner().invoke(main, ["--traceback", *words])
    assert isinstance(result.exception, CalledError), result.output
    return seen


def defaults(step: str) -> dict[str, object]:
    module, name = step.rsplit(".", 1)
    takes = inspect.signature(getattr(importlib.import_module(module), name))
    return {
        each.name: each.default
        for each in takes.parameters.values()
        if each.default is not inspect.Parameter.empty and each.name != "progress"
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    RUN.mkdir(parents=True)
    (RUN / FILE_NAME).write_text("{}")
    return RUN


SEARCH = hao.SearchRequest(board="zu3eg", fps=50)
USUAL = replace(SEARCH, rules=SEARCH.bit_rules)


@pytest.mark.parametrize(
    ("step", "words", "request_"),
    [
        ("hao.steps.search.search", "search --fps 50", USUAL),
        (
            "hao.steps.quantize.quantize",
            f"quantize {RUN}",
            hao.QuantizeRequest(run=RUN),
        ),
        ("hao.steps.explore.explore", f"explore {RUN}", hao.ExploreRequest(run=RUN)),
        (
            "hao.steps.prune.prune_run",
            "prune digits --fps 50",
            hao.PruneRequest(
                search=replace(SEARCH, network="digits", rules=prune.USUAL_RULES)
            ),
        ),
        (
            "hao.steps.replace.replace_operations",
            "replace digits --fps 50",
            hao.ReplaceRequest(
                search=replace(SEARCH, network="digits", rules=replacing.USUAL_RULES)
            ),
        ),
        (
            "hao.steps.calibrate.calibrate",
            f"calibrate {RUN} a.rpt",
            hao.CalibrateRequest(reports={RUN: [Path("a.rpt")]}),
        ),
        (
            "hao.steps.together.search_together",
            "search --fps 50 --network digits --options bits,channels --data digits",
            hao.PruneRequest(search=replace(USUAL, network="digits"), data="digits"),
        ),
    ],
    ids=str,
)
def test_a_command_asks_for_what_its_request_asks_for(
    step: str,
    words: str,
    request_: object,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert called(monkeypatch, step, words.split())["request"] == request_


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("hao.steps.emit.emit", f"emit-hls {RUN}"),
        ("hao.steps.simulate.simulate", f"simulate {RUN}"),
        ("hao.steps.verify.verify", f"verify {RUN}"),
        ("hao.steps.reports.schedule_run", f"schedule {RUN}"),
        ("hao.steps.reports.lint_run", f"lint {RUN}"),
        ("hao.steps.reports.read_reports", f"report-hls {RUN} a.rpt"),
        ("hao.steps.runs.estimate", f"estimate {RUN}"),
        ("hao.steps.runs.reopen", f"report {RUN}"),
        ("hao.steps.runs.compare_runs", f"compare {RUN} {RUN}"),
        ("hao.steps.quantize.export", f"export {RUN}"),
        ("hao.page.listing.list_runs", "runs"),
        ("hao.model.check_model", "check net.onnx"),
    ],
)
def test_a_command_leaves_to_its_step_what_it_is_not_told(
    step: str, words: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = called(monkeypatch, step, words.split())
    assert {name: seen[name] for name in defaults(step)} == defaults(step)


OPTIONAL = {
    *("--fps", "--image-size", "--model", "--top1", "--min-top1", "--max-latency"),
    *("--max-lut", "--max-ff", "--max-dsp", "--max-bram", "--max-uram", "--mapping"),
    *("--drop-blocks", "--measure", "--cluster", "--mean", "--std", "--pool"),
    *("--rates", "--timings", "--html"),
}
"""Options without which nothing of the kind is done or asked for."""


def _context(command: click.Command) -> click.Context:
    """Return where a command stands: in the settings of all."""
    return click.Context(command, **main.context_settings)


def test_every_option_says_what_holds_without_it() -> None:
    new = boards_command.commands["new"]
    silent = {
        (name, option.opts[0])
        for name, command in (*main.commands.items(), ("boards new", new))
        for option in command.params
        if isinstance(option, click.Option)
        and not (option.is_flag or option.required or option.opts[0] in OPTIONAL)
        and "default" not in (option.get_help_record(_context(command)) or "")[1]
    }
    assert silent == set()


def test_the_epochs_that_a_help_names_are_those_of_the_step() -> None:
    own = {
        ("quantize", "--epochs"): QUANTIZED_SETTINGS.epochs,
        ("quantize", "--float-epochs"): FLOAT_SETTINGS.epochs,
        ("prune", "--epochs"): prune.TUNING_EPOCHS,
        ("replace", "--epochs"): replacing.FINE_TUNING_EPOCHS,
        ("replace", "--distill-epochs"): DistillSettings().epochs,
    }
    for (name, flag), epochs in own.items():
        params = main.commands[name].params
        (option,) = [each for each in params if flag in each.opts]
        assert isinstance(option, click.Option)
        assert f"[default: {epochs}]" in (option.help or "")


def test_a_module_that_changes_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["prune", "nets:mine", "--fps", "50", "--image-size", "24"]
    request = called(monkeypatch, "hao.steps.prune.prune_run", words)["request"]
    assert isinstance(request, prune.PruneRequest)
    assert (request.search.model, request.search.image_size) == (Path("nets:mine"), 24)
