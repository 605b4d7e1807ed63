"""Operations replaced from a file to a run, and on to the simulated project."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hao import Method, QuantizeRequest, emit, quantize, simulate, verify
from hao.answer.candidates import BitRules
from hao.cli import main
from hao.errors import ArgumentError, InfeasibleError, InputError
from hao.hw.board import Frames
from hao.ir.change import Keep, Replace, replaced
from hao.program.solver import Status
from hao.quant.export_float import float_files
from hao.quant.weights import WeightSource, load_weights
from hao.report.result import SearchResult
from hao.request import SearchRequest
from hao.runs.certificate import CERTIFICATE_FILE, load_certificate
from hao.runs.design_file import load_design
from hao.runs.recorded import recorded_operations, recorded_options
from hao.steps.operations import Pooled, offered_pool
from hao.steps.prune import PruneRequest
from hao.steps.replace import (
    RECORD_FILE,
    Replacement,
    ReplaceRequest,
    replace_operations,
)
from hao.steps.together import MeasuredKind, Offer, search_together
from tests.distillation.instances import dataset, teacher


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained network as ONNX, and its data."""
    made: Path = tmp_path_factory.mktemp("replacement")
    (made / "net.onnx").write_bytes(float_files(teacher())[".onnx"])
    data = dataset()
    np.savez(
        made / "data.npz",
        x_train=data.train.frames[:],
        y_train=data.train.labels,
        x_test=data.test.frames[:],
        y_test=data.test.labels,
    )
    (made / "pool.csv").write_text("name,layers,add\nmine,conv1 4 | conv1 o,yes\n")
    return made


@pytest.fixture(scope="module")
def request_(folder: Path) -> ReplaceRequest:
    return ReplaceRequest(
        search=SearchRequest(
            board="zu3eg",
            model=folder / "net.onnx",
            fps=181_800,
            frames=Frames.BACK_TO_BACK,
            margin_percent=0,
            rules=BitRules(choices=(4, 8)),
        ),
        best=2,
        data=str(folder / "data.npz"),
        pooled=Pooled(
            pool=folder / "pool.csv", only=("mine", "conv1"), distill_epochs=2
        ),
        epochs=2,
    )


@pytest.fixture(scope="module")
def found(folder: Path, request_: ReplaceRequest) -> Replacement:
    # The teacher makes 183 149 frames a second at most, with operations 186 659.
    return replace_operations(request_, run_path=folder / "runs" / "fast")


def test_the_run_holds_the_changed_network_in_every_form(found: Replacement) -> None:
    run = found.result.run
    assert run is not None
    told = json.loads(json.dumps(found.as_json()))
    assert told["result"]["run"] == str(run)
    assert told["finalists"][0]["measured"] == found.finalists[0].measured
    assert {"float.pt", "float.pt2", "float.onnx", RECORD_FILE} < {
        path.name for path in run.iterdir()
    }
    assert load_design(run).design == found.result.design
    record = json.loads((run / RECORD_FILE).read_text())
    assert record["float_top1"] == found.float_top1
    assert len(record["finalists"]) == len(found.finalists)
    losses = [each.measured for each in found.finalists]
    assert losses == sorted(losses)
    # Nothing is left beside the run, and its checkpoints are in it.
    assert [path.name for path in run.parent.iterdir()] == ["fast"]
    assert any((run / "training").iterdir())


@pytest.mark.slow
def test_the_run_goes_on_to_a_bit_exact_project(
    found: Replacement, folder: Path
) -> None:
    run = found.result.run
    assert run is not None
    scheme = found.result.design.scheme
    assert replaced(scheme)
    asked = QuantizeRequest(run=run, data=str(folder / "data.npz"), method=Method.PTQ)
    quantized = quantize(asked, progress=lambda _: None)
    assert quantized.float_top1 == pytest.approx(found.float_top1)
    assert quantized.differing == 0
    emit(run)
    assert simulate(run, images=3).mismatches == 0


def test_a_rate_that_nothing_reaches_names_the_nearest(
    folder: Path, request_: ReplaceRequest
) -> None:
    asked = replace(request_, search=replace(request_.search, fps=400_000))
    with pytest.raises(InfeasibleError, match=r"that one reaches is \d+\.\d f"):
        replace_operations(asked, run_path=folder / "runs" / "slow")


def test_a_network_without_blocks_is_refused_before_data_and_training(
    folder: Path, request_: ReplaceRequest
) -> None:
    model = Path("tests.frontends.from_torch.test_module:small")
    search = replace(request_.search, model=model, image_size=8)
    pooled = Pooled(only=("inverted_e2_k3",))
    with pytest.raises(InputError, match="no block that an operation of the pool"):
        replace_operations(
            replace(request_, search=search, data="nowhere.npz", pooled=pooled),
            run_path=folder / "runs" / "none",
        )
    with pytest.raises(InputError, match="no block that an operation of the pool"):
        search_together(
            PruneRequest(search=search, data="nowhere.npz"),
            Offer(kinds=frozenset(MeasuredKind), pooled=pooled),
        )


def test_a_place_that_cannot_be_made_is_refused(
    folder: Path, request_: ReplaceRequest
) -> None:
    with pytest.raises(InputError, match=r"pool\.csv: a file; runs must lie in a"):
        replace_operations(request_, run_path=folder / "pool.csv" / "run")


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    asked = ["replace", "nothing", "--fps", "10", "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(main, [*asked, "--only", "conv1", "--quiet"])
    assert result.exit_code != 0
    assert result.output.startswith("hao: 'nothing': neither a network of the zoo")
    assert result.output.count("\n") == 1


@pytest.fixture(scope="module")
def together(folder: Path, request_: ReplaceRequest) -> SearchResult:
    """Return the answer of all kinds of options in one program."""
    search = replace(request_.search, fps=182_000, rules=BitRules(choices=(8,)))
    return search_together(
        PruneRequest(search=search, data=request_.data, iterations=2),
        Offer(kinds=frozenset(MeasuredKind), pooled=request_.pooled),
        run_path=folder / "more" / "together",
    )


def test_operations_are_options_beside_the_others(together: SearchResult) -> None:
    assert together.run is not None
    assert together.proof.status is Status.OPTIMAL
    scheme = together.design.scheme
    assert replaced(scheme)
    # The run has the weights of the very network of its design.
    weights = load_weights(
        replace(together.design.network, params={}),
        WeightSource(path=together.run / "float.pt"),
    ).network
    assert weights.layers == together.design.network.layers


def test_the_certificate_holds_operations_and_is_verified(
    together: SearchResult,
) -> None:
    assert together.run is not None
    entry = load_certificate(together.run).problem
    operations = {each.operation for each in entry.operations}
    assert operations == {"mine", "conv1"}
    options = recorded_operations(entry)
    assert {type(option.change) for option in options} == {Keep, Replace}
    seen = verify(together.run, quick=True, samples=10)
    assert seen.reason == ""


def test_a_certificate_without_an_operations_layers_is_refused(
    together: SearchResult,
) -> None:
    assert together.run is not None
    entry = load_certificate(together.run).problem
    bare = entry.model_copy(update={"operations": []})
    with pytest.raises(InputError, match=r"problem.operations: none is '(mine|conv1)'"):
        recorded_options(bare)


def test_an_unknown_operation_is_refused(
    folder: Path, request_: ReplaceRequest
) -> None:
    asked = replace(request_, pooled=Pooled(only=("nobody",)))
    with pytest.raises(
        InputError, match="`only` = nobody; no such operation: the pool"
    ):
        replace_operations(
            asked, run_path=folder / "runs" / "none", progress=pytest.fail
        )  # before anything is trained


def test_the_operations_that_are_offered_are_those_asked_for() -> None:
    whole = offered_pool(Pooled())
    some = offered_pool(Pooled(only=("bottleneck_1_k5", "identity")))
    assert [operation.name for operation in some] == ["bottleneck_1_k5"]
    assert some[0] in whole
    assert len(whole) > 5
    assert offered_pool(Pooled(only=("identity",))) == ()


def test_numbers_out_of_range_are_refused(request_: ReplaceRequest) -> None:
    with pytest.raises(ArgumentError, match="`best` = 21; must be at most 20"):
        replace(request_, best=21)
    with pytest.raises(ArgumentError, match="`score_frames` = 0; must be at least 1"):
        Pooled(score_frames=0)


def test_the_command_names_flags(tmp_path: Path) -> None:
    asked = ["replace", "digits", "--fps", "10", "--runs", str(tmp_path / "runs")]
    for words, message in (
        (["--best", "21"], "--best 21; must be at most 20"),
        (["--score-frames", "0"], "--score-frames 0; must be at least 1"),
    ):
        result = CliRunner().invoke(main, [*asked, *words, "--quiet"])
        assert result.exit_code == 2
        assert result.output == f"hao: {message}\n"


def test_the_answer_is_proven_and_verified_again(found: Replacement) -> None:
    run = found.result.run
    assert run is not None
    assert found.result.proof.status is Status.OPTIMAL
    assert found.result.proof.open == ()
    assert found.result.cost.latency_cycles <= min(
        each.report.cost.latency_cycles for each in found.finalists[:1]
    )
    seen = verify(run, samples=20)
    assert seen.verified, seen.reason
    # Another top-1 than the measured one is another answer.
    path = run / CERTIFICATE_FILE
    text = path.read_text()
    record = json.loads(text)
    record["changed"]["top1"] -= 1
    path.write_text(json.dumps(record))
    changed = verify(run, samples=0)
    assert not changed.verified
    assert changed.reason.startswith(("option of layer", "net@8: float top-1"))
    path.write_text(text)
