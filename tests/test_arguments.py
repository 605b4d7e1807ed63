"""Requests take words and text as a Python caller writes them, or name the field."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import hao
from hao.accuracy.terms import Recipe
from hao.answer.candidates import BitRules
from hao.answer.objective import Objective
from hao.cli import main
from hao.cli.guard import flag_of
from hao.errors import ArgumentError, InfeasibleError
from hao.hw.board import Frames
from hao.program.solver import SolverName
from hao.request import SearchRequest
from hao.steps.floats import Method, QuantizeRequest, Source
from hao.steps.operations import Pooled


def _asked(**given: object) -> SearchRequest:
    return SearchRequest(board="zu3eg", **given)  # type: ignore[arg-type]


def test_words_and_text_become_what_the_fields_say() -> None:
    request = _asked(
        fps=50, solver="highs", objective="power", frames="back-to-back", model="a.onnx"
    )
    assert request.solver is SolverName.HIGHS
    assert request.objective is Objective.POWER
    assert request.frames is Frames.BACK_TO_BACK
    assert request.model == Path("a.onnx")
    made = QuantizeRequest(run="runs/a", method="ptq")  # type: ignore[arg-type]
    assert made.run == Path("runs/a")
    assert made.method is Method.PTQ


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fps": "fast"}, "^`fps` = 'fast'; must be a number"),
        (
            {"solver": "cplex"},
            "`solver` = 'cplex'; must be one of 'auto', 'gurobi', 'hi",
        ),
        ({"frames": 3}, "`frames` = 3; must be one of 'one-at-a-time', 'back-to-back'"),
        ({"rules": 5}, "^`rules` = 5; must be .*BitRules"),
        ({"workers": 1.5}, "^`workers` = 1.5; must be an integer"),
        ({"model": 5}, "^`model` = 5; must be a Path or its text, .*hao.from_torch"),
        ({"act_bits": 8}, "^`act_bits` = 8; must be a tuple"),
        ({"fps": True}, "^`fps` = True; must be a number"),
        ({"rules": {"choices": (4, "a")}}, r"^`rules`\.choices\[1\] = 'a'; must be"),
        ({"rules": {"bits": 4}}, r"^`rules`\.bits = 4; must be left out: there is no"),
        ({"rules": {"choices": (9,)}}, r"^`choices` = 9; must be from 2 to 8"),
        ({"front_points": 201}, "^`front_points` = 201; must be at most 200"),
        ({"fps": -1}, "^`fps` = -1; must be above 0 and below 1000000$"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        _asked(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"within_percent": 60}, "`within_percent` = 60; must be from 0 to 50 percent"),
        ({"within_percent": 1}, "`within_percent` = 1: a gap is left .* one network"),
    ],
)
def test_a_gap_is_left_of_one_network_and_at_most_half(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        _asked(fps=50.0, **given)


def test_a_call_reads_the_field_and_the_command_line_the_flag() -> None:
    with pytest.raises(ArgumentError) as caught:
        _asked(fps=50.0, margin_percent=95.0)
    assert str(caught.value) == "`margin_percent` = 95; must be from 0 to 90 percent"
    shown = caught.value.named(partial(flag_of, main))
    assert shown == "--margin 95; must be from 0 to 90 percent"


def test_every_flag_that_a_field_stands_for_exists() -> None:
    from hao.cli.search import search_command

    flags = {flag for param in search_command.params for flag in param.opts}
    names = {each.name for kind in (SearchRequest, Source) for each in fields(kind)}
    names = names - {"rules", "preparation"} | {"block_points"}
    assert {flag_of(search_command, name) for name in names} <= flags
    assert flag_of(main, "run_path") == "--run"
    assert flag_of(main, "choices") == "--bits"
    assert flag_of(main, "short_side") == "--resize"
    assert flag_of(main, "clang") == ""
    # A flag of another command alone is none of this one; an argument has its name.
    assert flag_of(main.commands["prune"], "min_top1") == ""
    assert flag_of(main.commands["boards"], "part") == "--part"
    assert flag_of(main.commands["boards"], "name") == "NAME"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"choices": (1, 8)}, r"`choices` = 1, 8; must be from 2 to 8 bits"),
        ({"choices": (8, 9)}, r"`choices` = 8, 9; must be from 2 to 8 bits"),
        ({"choices": ()}, r"`choices` = none; must be from 2 to 8 bits"),
        ({"choices": 8}, r"`choices` = 8; must be a tuple"),
        ({"act_bits": 3}, r"`act_bits` = 3; must be from 4 to 8 bits"),
        ({"stance": "bold"}, r"`stance` = 'bold'; must be one of 'cautious', "),
    ],
)
def test_rules_of_bits_check_themselves(given: dict[str, Any], message: str) -> None:
    assert BitRules(recipe="ptq").recipe is Recipe.PTQ  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=f"^{message}"):
        BitRules(**given)


def test_a_word_in_backquotes_that_is_no_field_stays_as_it_is() -> None:
    error = InfeasibleError("no `clang`; `solver` = highs, or `force` it")
    shown = error.named(partial(flag_of, main))
    assert shown == "no `clang`; --solver highs, or --force it"


def test_what_a_request_leaves_open_depends_on_whether_networks_compete() -> None:
    one = _asked(fps=50, network="digits")
    assert (one.points, one.processes) == (0, 1)
    zoo = _asked(fps=50)
    assert zoo.points == 6
    assert 1 <= zoo.processes <= 4
    assert _asked(fps=50, objective="area").points == 0
    assert _asked(fps=50, cluster="tcp://a:1").processes == 1
    assert (
        _asked(fps=50, front_points=2).points,
        _asked(fps=5, workers=9).processes,
    ) == (
        2,
        9,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: hao.ExploreRequest(run=x), "`run` = 5; must be a Path, or its text"),
        (
            lambda x: hao.ExploreRequest(run=Path("a"), settings=x),
            "`settings` = 5; must be",
        ),
        (
            lambda x: hao.LoopSettings(per_turn=x / 2),
            "`per_turn` = 2.5; must be an integer",
        ),
        (
            lambda x: hao.CalibrateRequest(reports=x),
            "`reports` = 5; must be runs, each with its reports",
        ),
        (
            lambda x: _asked(fps=5, max_lut=x / 2),
            "`max_lut` = 2.5; must be a count, or text such as",
        ),
        (
            lambda x: hao.NewBoard(name=x, part="p", ddr="d"),
            "`name` = 5; must be a",
        ),
        (lambda x: hao.Offer(kinds=x), "`kinds` = 5; must be one of 'channels', "),
        (lambda _: hao.Offer(kinds=frozenset()), "`kinds` is empty; must be at least"),
        (lambda x: Pooled(only=x), "`only` = 5; must be a tuple"),
        (lambda x: hao.PruneRequest(search=x), "`search` = 5; must be"),
        (lambda x: hao.load_board(x), "`name_or_path` = 5; must be a str or a Path"),
        (
            lambda x: hao.write_board_file(x, Path("a")),
            "`board` = 5; must be a NewBoard",
        ),
        (lambda x: hao.board_of(x), "`request` = 5; must be a SearchRequest"),
        (lambda x: hao.candidates_of(x, print), "`request` = 5; must be a SearchReq"),
        (lambda x: hao.from_torch(nn.ReLU(), x), "`example` = 5; must be"),
    ],
)
def test_every_request_and_step_names_the_argument_of_another_type(
    make: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}"):
        make(5)


def test_requests_of_all_steps_take_words_and_text() -> None:
    asked: Any = hao.ExploreRequest(run="a", saliency="hessian", rates=[5])  # type: ignore[arg-type]
    assert (asked.run, asked.saliency.value) == (Path("a"), "hessian")
    assert asked.settings == hao.LoopSettings(measure=40)
    fit: Any = hao.CalibrateRequest(reports={"a": ["b"]}, timings=["c"])  # type: ignore[dict-item, list-item]
    assert fit.reports == {Path("a"): [Path("b")]}
    assert fit.timings == [Path("c")]
    offer = hao.Offer(kinds={"channels"})  # type: ignore[arg-type]
    assert offer.kinds == {hao.MeasuredKind.CHANNELS}
    assert hao.load_board(Path("zu3eg")) == hao.load_board("zu3eg")
