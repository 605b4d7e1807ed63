"""Certificates: a run's answer is checked again, and whatever is altered is found."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hao
from hao.answer import candidates as candidates_module
from hao.answer.candidates import BitRules
from hao.answer.ledger import Fate
from hao.answer.objective import measure_of
from hao.cli import main
from hao.errors import InputError
from hao.hw.board import Frames
from hao.program.problem import Problem
from hao.program.space import Space
from hao.report.tables import render_summary
from hao.runs.certificate import CERTIFICATE_FILE, digest
from hao.runs.design_file import load_design, render_design
from hao.steps.verify import verify
from hao.zoo import build_network
from tests.answer.samples import BOARD, candidates
from tests.answer.samples import SPACE as SMALL

# Any: JSON, of which the tests change values in place.
Document = dict[str, Any]
Edit = Callable[[Document, Document], None]

REQUEST = hao.SearchRequest(
    board="pynq-z2",
    clock_mhz=250,
    fps=3_900,
    frames=Frames.BACK_TO_BACK,
    network="resnet8_cifar",
    rules=BitRules(choices=(4, 8), keep_first_last=False),
    margin_percent=0,
)
POOR = replace(REQUEST, rules=BitRules(choices=(4,), keep_first_last=False))
SPACE = Space(
    pixels=(1, 2, 4),
    lanes=(4, 8, 16),
    taps=(9,),
    depths=(512, 2048),
    buffering=(True,),
)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates_module, "Problem", partial(Problem, space=SPACE))
        # The clocks asked for here are beyond what loops meet.
        patch.setattr("hao.steps.search.check_loops", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "resnet8"
    hao.search(REQUEST, run_path=path)
    return path


def read(path: Path) -> Document:
    document: Document = json.loads(path.read_text())
    return document


def altered(run: Path, to: Path, edit: Edit, *, resealed: bool = True) -> Path:
    """Return a copy of a run with both files edited, and the digest as it should be."""
    certificate, design = read(run / CERTIFICATE_FILE), read(run / "design.json")
    edit(certificate, design)
    to.mkdir()
    content = json.dumps(design, indent=1) + "\n"
    if resealed:
        certificate["design"] = digest(content.encode())
    (to / "design.json").write_text(content)
    (to / CERTIFICATE_FILE).write_text(json.dumps(certificate, indent=1) + "\n")
    return to


def test_a_run_is_verified_and_says_so_in_one_line(run: Path) -> None:
    seen = verify(run, samples=20)
    assert (seen.reason, seen.gap, seen.samples) == ("", 0, 20)
    assert seen.claim.endswith("points is the least at 3900 fps")
    assert seen == verify(run, samples=20)
    certificate = read(run / CERTIFICATE_FILE)
    assert seen.solver is not None
    assert seen.again or seen.solver.value != certificate["solver"]
    assert seen.line(1.25).startswith(f"{run}: verified: a drop of ")
    assert seen.line(1.25).endswith("1 network, 1.2 s)")


def test_a_gap_that_was_asked_for_is_recorded_said_and_verified(tmp_path: Path) -> None:
    near = tmp_path / "near"
    result = hao.search(replace(REQUEST, within_percent=40), run_path=near)
    certificate = read(near / CERTIFICATE_FILE)
    objective, bound = certificate["objective"], certificate["bound"]
    assert 0.6 * objective <= bound < objective
    text = " ".join(render_summary(result).split())
    assert "NOT PROVEN" not in text
    assert "within what was asked: none leaves more than" in text
    assert verify(near, samples=20).claim.endswith(
        "is within 40 % of the least at 3900 fps"
    )

    def lower(certificate: Document, design: Document) -> None:
        certificate["bound"] = objective // 2

    seen = verify(altered(near, tmp_path / "altered", lower), samples=0)
    assert seen.reason.startswith(f"bound: recorded {objective // 2}, found")


def _bits(certificate: Document, design: Document) -> None:
    layer = next(name for name, bits in design["scheme"].items() if bits == 4)
    design["scheme"][layer] = 2


def _swap_option(certificate: Document, design: Document) -> None:
    certificate["problem"]["options"][1]["cost_micro"] += 1


def _wider(certificate: Document, design: Document) -> None:
    certificate["problem"]["network"]["layers"][1]["bias"] ^= True


def _both(key: str, by: int) -> Edit:
    def edit(certificate: Document, design: Document) -> None:
        for name in {key, "objective", "bound"}:
            certificate[name] += by

    return edit


def _set(*keys: str | int, to: object) -> Edit:
    def edit(certificate: Document, design: Document) -> None:
        table: Any = {"certificate": certificate, "design": design}
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_set("certificate", "objective", to=1), "objective: recorded 1, found"),
        (_set("certificate", "bound", to=1), "bound: recorded 1, found"),
        (_set("certificate", "status", to="work limit"), "status: recorded work limit"),
        (_set("certificate", "label", to="digits@16"), "chosen network: recorded"),
        (_set("certificate", "cycles_limit", to=9), "limit on cycles: recorded 9"),
        (_set("certificate", "asked", "fps", to=50.0), "fps asked for: recorded 50"),
        (_set("certificate", "asked", "network", to="digits"), "networks: digi"),
        (_set("certificate", "problem", "act_bits", to=7), "act_bits: recorded 7"),
        (_set("certificate", "problem", "ties", to=[["stem", "classifier"]]), "ties: "),
        (_set("certificate", "problem", "options", 0, "change", to="bits_4"), "option"),
        (
            _set("certificate", "networks", 0, "most_top1_micro", to=5),
            "resnet8_cifar@32: most",
        ),
        (
            _set("certificate", "networks", 0, "fate", to="not found, not excluded"),
            "ch",
        ),
        (_set("design", "board", "resources", "dsp", to=100), "dsp: the design takes"),
        (_set("design", "board", "resources", "dsp", to=400), "solved again with"),
        (_swap_option, "option of layer 'stem': recorded Bits"),
        (_wider, "network 'resnet8_cifar': not the one that was asked for"),
        (_both("cost_micro", 1), "accuracy cost [micro-points]: recorded"),
        (_bits, "design.json: cost.latency_cycles = "),
    ],
)
def test_what_was_altered_is_named(
    run: Path, tmp_path: Path, edit: Edit, reason: str
) -> None:
    path = altered(run, tmp_path / "x", edit)
    found = verify(path, samples=0).reason
    assert "\n" not in found
    assert found.startswith(reason)


def test_an_edited_design_file_is_no_longer_the_one_certified(
    run: Path, tmp_path: Path
) -> None:
    edit = _set("design", "float_source", to="mine")
    path = altered(run, tmp_path / "x", edit, resealed=False)
    assert verify(path).reason.startswith("SHA-256 of design.json: recorded ")


def replaced(run: Path, to: Path, request: hao.SearchRequest) -> Path:
    """Return a run in which the answer to another request poses as the answer."""
    hao.search(request, run_path=to)
    own, other = read(run / CERTIFICATE_FILE), read(to / CERTIFICATE_FILE)
    for key in ("cost_micro", "latency_cycles", "objective", "bound"):
        own[key] = other[key]
    result = replace(load_design(to), fps_asked=REQUEST.fps)
    (to / "design.json").write_text(render_design(result))
    own["design"] = digest((to / "design.json").read_bytes())
    (to / CERTIFICATE_FILE).write_text(json.dumps(own))
    return to


def test_a_worse_legal_design_is_not_the_answer(run: Path, tmp_path: Path) -> None:
    worse = replaced(run, tmp_path / "worse", POOR)
    seen = verify(worse, samples=0)
    assert seen.reason.startswith("solved again with ")
    assert "objective: recorded " in seen.reason


def test_random_designs_alone_find_a_better_one_than_a_poor_answer(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = replaced(run, tmp_path / "poor", POOR)
    monkeypatch.setattr("hao.steps.verify._solved_again", lambda case, seen: seen)
    assert verify(poor, samples=60).reason.startswith("a random design is better: ")


def test_the_fastest_design_is_verified_too(tmp_path: Path) -> None:
    request = replace(REQUEST, fps=None, objective=hao.Objective.LATENCY)
    hao.search(request, run_path=tmp_path / "fast")
    seen = verify(tmp_path / "fast", samples=20)
    assert seen.verified
    assert seen.claim.endswith("fps is the most at any accuracy")


SMALLEST = replace(
    REQUEST, board="zu3eg", clock_mhz=300, fps=2_500, objective=hao.Objective.AREA
)


@pytest.mark.parametrize("objective", [hao.Objective.AREA, hao.Objective.POWER])
def test_the_smallest_design_is_verified_too(
    objective: hao.Objective, tmp_path: Path
) -> None:
    hao.search(replace(SMALLEST, objective=objective), run_path=tmp_path / "small")
    seen = verify(tmp_path / "small", samples=20)
    assert (seen.reason, seen.gap, seen.samples) == ("", 0, 20)
    assert seen.claim.endswith(f" is the least {objective.value} at 2500 fps")


def test_a_larger_design_is_not_the_smallest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hao.search(SMALLEST, run_path=tmp_path / "small")
    large = replace(SMALLEST, objective=hao.Objective.ACCURACY)
    found = hao.search(large, run_path=tmp_path / "large")
    own = read(tmp_path / "small" / CERTIFICATE_FILE)
    measure = measure_of(SMALLEST.objective, found.design.board)
    assert measure is not None
    least, blocks = own["objective"], measure.of(found.cost.resources)
    assert blocks > least
    posing = replace(found, objective=SMALLEST.objective)
    (tmp_path / "large" / "design.json").write_text(render_design(posing))
    own |= {
        "design": digest((tmp_path / "large" / "design.json").read_bytes()),
        "latency_cycles": found.cost.latency_cycles,
        "objective": blocks,
        "bound": blocks,
    }
    (tmp_path / "large" / CERTIFICATE_FILE).write_text(json.dumps(own))
    reason = verify(tmp_path / "large", samples=0).reason
    assert f"objective: recorded {blocks}, found {least}" in reason
    monkeypatch.setattr("hao.steps.verify._solved_again", lambda case, seen: seen)
    reason = verify(tmp_path / "large", samples=60).reason
    assert reason.startswith("a random design is smaller: ")


@pytest.mark.parametrize("min_top1", [None, 60.0])
def test_the_smallest_of_several_networks_is_verified(
    min_top1: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "Problem", partial(Problem, space=SMALL))
    monkeypatch.setattr("hao.steps.search.board_of", lambda _: BOARD)
    for module in ("hao.steps.search", "hao.request"):
        monkeypatch.setattr(f"{module}.candidates_of", lambda *_: candidates()[2:])
    request = hao.SearchRequest(
        board="small",
        fps=2_000,
        margin_percent=0,
        min_top1=min_top1,
        objective=hao.Objective.AREA,
        workers=1,
    )
    hao.search(request, run_path=tmp_path / "several")
    seen = verify(tmp_path / "several", samples=10)
    assert (seen.reason, seen.networks, seen.skipped) == ("", 5, 0)


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run over the made-up networks of the searches."""
    monkeypatch.setattr(candidates_module, "Problem", partial(Problem, space=SMALL))
    monkeypatch.setattr("hao.steps.search.board_of", lambda _: BOARD)
    for module in ("hao.steps.search", "hao.request"):
        monkeypatch.setattr(f"{module}.candidates_of", lambda *_: candidates()[2:])
    request = hao.SearchRequest(
        board="small", fps=2_000, margin_percent=0, front_points=0, workers=1
    )
    hao.search(request, run_path=tmp_path / "several")
    return tmp_path / "several"


def test_every_other_network_is_excluded_again(several: Path, tmp_path: Path) -> None:
    seen = verify(several, samples=0)
    assert (seen.reason, seen.networks, seen.skipped) == ("", 5, 0)
    quick = verify(several, samples=0, quick=True)
    assert quick.verified
    assert quick.skipped > 0
    assert f"{quick.skipped} not solved again (--quick)" in quick.line(1)
    entries = read(several / CERTIFICATE_FILE)["networks"]
    place = next(i for i, e in enumerate(entries) if e["cost_limit"] is not None)
    key = ("certificate", "networks", place)
    for number, (edit, reason) in enumerate(
        (
            (_set(*key, "cost_limit", to=-5), "limit on cost"),
            (_set(*key, "fate", to=Fate.BOUNDED.value), "recorded as excluded by its"),
            (_set(*key, "label", to="other@8"), "other@8"),
        )
    ):
        path = altered(several, tmp_path / str(number), edit)
        assert reason in verify(path, samples=0).reason


def test_a_network_with_a_better_design_is_found(
    several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner-up poses as the answer."""
    best = read(several / CERTIFICATE_FILE)["label"]
    rest = [c for c in candidates()[2:] if c.label != best]
    monkeypatch.setattr("hao.steps.search.candidates_of", lambda *_: rest)
    request = hao.SearchRequest(
        board="small", fps=2_000, margin_percent=0, front_points=0, workers=1
    )
    hao.search(request, run_path=tmp_path / "second")
    certificate = read(tmp_path / "second" / CERTIFICATE_FILE)
    (won,) = (c for c in candidates() if c.label == best)
    (own,) = (c for c in rest if c.label == certificate["label"])
    lead = won.top1_micro - own.top1_micro
    certificate["networks"].append(
        {
            "label": best,
            "float_top1_micro": won.top1_micro,
            "most_top1_micro": won.bound_micro,
            "best": None,
            "fate": Fate.SLOWER.value,
            "cycles_limit": certificate["cycles_limit"],
            "cost_limit": certificate["cost_micro"] + lead - 1,
        }
    )
    (tmp_path / "second" / CERTIFICATE_FILE).write_text(json.dumps(certificate))
    reason = verify(tmp_path / "second", samples=0).reason
    assert reason.startswith(f"{best}: a better design: ")


def test_what_is_no_certificate_is_refused_in_one_line(
    run: Path, tmp_path: Path
) -> None:
    for number, (text, message) in enumerate(
        (
            (None, "no certificate.json in it"),
            ("{", "not valid JSON"),
            ("[]", "not a certificate file"),
            ('{"schema": "hao.certificate/9"}', r"'hao.certificate/9'; hao \S+ reads"),
            ('{"schema": "hao.certificate/1"}', "hao is missing"),
        )
    ):
        path = tmp_path / str(number)
        path.mkdir()
        (path / "design.json").write_text((run / "design.json").read_text())
        if text is not None:
            (path / CERTIFICATE_FILE).write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            verify(path)
        assert "\n" not in str(caught.value)
    edit = _set("certificate", "asked", "fps", to="many")
    with pytest.raises(InputError, match=r"asked\.fps = 'many'; must be"):
        verify(altered(run, tmp_path / "asked", edit))


def test_the_command_prints_one_line_and_exits_with_the_verdict(
    run: Path, tmp_path: Path
) -> None:
    bad = altered(run, tmp_path / "bad", _set("certificate", "bound", to=1))
    for path, code, text in ((run, 0, ": verified: "), (bad, 1, ": NOT verified: ")):
        words = ["verify", str(path), "--samples", "0", "--quiet"]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == code
        assert len(result.stdout.splitlines()) == 1
        assert result.stdout.startswith(f"{path}{text}")
    result = CliRunner().invoke(main, ["verify", str(bad), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verified"] is False
    missing = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert missing.exit_code == 2
    assert missing.stderr.startswith(f"hao: {tmp_path}: no design.json in it")


def test_an_imported_network_needs_no_file_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Imported:
        network = replace(build_network("resnet8_cifar"), name="mine")
        notes = ()

    def load(path: Path, *, image_size: int | None) -> type[Imported]:
        return Imported

    monkeypatch.setattr("hao.request.load_buildable", load)
    model = tmp_path / "gone.onnx"
    request = replace(REQUEST, network=None, model=model, top1=88.0)
    hao.search(request, run_path=tmp_path / "mine")
    assert str(tmp_path) not in (tmp_path / "mine" / CERTIFICATE_FILE).read_text()
    seen = verify(tmp_path / "mine", samples=0)
    assert seen.verified
    assert seen.claim.endswith("% is the most at 3900 fps")
