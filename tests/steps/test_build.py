"""From a run to hardware in Python: quantize, emit, simulate, export, lint.

The digits design, trained for as few epochs as there are: what is claimed is that all
forms of the network agree, not that it is accurate (tests/quant/test_digits.py is).
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import hao
from hao import SearchRequest, search
from hao.answer.candidates import BitRules
from hao.emission.compiling import Build
from hao.errors import InputError, ToolError
from hao.files import held
from hao.hw.board import Frames
from hao.ir.integer_run import run_integer
from hao.ir.picture import Preparation
from hao.quant.dataset import load_dataset
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.weights_file import load_integers
from hao.report.hardware import (
    Quantization,
    SimulationResult,
    render_emission,
    render_quantization,
    render_simulation,
    simulation_json,
    values_json,
)
from hao.runs import run_files
from hao.runs.design_file import load_design
from hao.runs.records import Records, load_records
from hao.steps.common import RANDOM_FRAMES
from hao.steps.emit import LEAST_FRAMES, MOST_FRAMES, RANDOM_WEIGHTS
from hao.steps.floats import QuantizeRequest, data_notes
from tests.emission.builds import QUICKEST

FIXTURES = Path(__file__).parent.parent / "handoff" / "fixtures"
PLACED = FIXTURES / "utilization_placed.rpt"
FRAMES = 539  # 30 % of scikit-learn's 1797 digits


def quiet(_: str) -> None:
    pass


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run without integers; its path holds a space."""
    run = tmp_path_factory.mktemp("build") / "my runs" / "digits"
    request = SearchRequest(
        board="zu3eg",
        fps=10_000,
        frames=Frames.BACK_TO_BACK,
        network="digits",
        rules=BitRules(choices=(4, 8)),
    )
    search(request, run_path=run)
    return run


def least(run: Path) -> QuantizeRequest:
    """Return a request with one epoch of each kind."""
    return QuantizeRequest(run=run, float_epochs=1, epochs=1)


def calibrated(run: Path) -> QuantizeRequest:
    """Return a request without quantization-aware training."""
    return replace(least(run), method=hao.Method.PTQ, epochs=None)


@pytest.fixture(scope="module")
def found(quantized: Path) -> Quantization:
    found = run_files.recorded_quantization(quantized)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def quantized(searched: Path) -> Path:
    """Return a run with integers and a project; tests leave it as it is."""
    run = searched.parent / "quantized"
    shutil.copytree(searched, run)
    hao.quantize(least(run), progress=quiet)
    hao.emit(run)
    return run


@pytest.fixture(scope="module")
def simulated(quantized: Path) -> SimulationResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXXFLAGS", "-O1")  # all frames are simulated
        return hao.simulate(quantized, debug=True, size_fifos=True)


@pytest.fixture
def own(quantized: Path, tmp_path: Path) -> Path:
    """Return a copy of the quantized run, to be spoilt."""
    ignored = shutil.ignore_patterns(run_files.TRAINING_FOLDER)
    return Path(shutil.copytree(quantized, tmp_path / "own", ignore=ignored))


def test_quantization_leaves_integers_frames_and_figures(
    quantized: Path, found: Quantization
) -> None:
    assert found.frames == FRAMES
    assert found.method == "qat"
    assert found.data == "digits"
    # Every integer of every layer is the Brevitas model's, so the accuracies agree.
    assert found.differing == 0
    assert found.compared > FRAMES * 1000
    assert found.quantized_top1 == found.integer_top1
    net = load_integers(quantized / run_files.WEIGHTS_FILE)
    with np.load(quantized / run_files.EVALUATION_FILE) as file:
        codes, labels = file["codes"].astype(np.int64), file["labels"]
    assert codes.shape == (FRAMES, *net_shape(quantized))
    outputs = run_integer(net, codes).reshape(FRAMES, -1).argmax(1)
    assert 100 * float(np.mean(outputs == labels)) == found.integer_top1


def net_shape(run: Path) -> tuple[int, int, int]:
    shape = load_integers(run / run_files.WEIGHTS_FILE).network.input.ofm
    return shape.channels, shape.height, shape.width


def test_the_project_is_bit_exact_on_all_test_frames(
    simulated: SimulationResult, found: Quantization
) -> None:
    assert simulated.images == FRAMES
    assert (simulated.mismatches, simulated.wrong_images) == (0, 0)
    assert simulated.wrong_steps == 0
    assert simulated.exact
    assert simulated.simulated_top1 == simulated.integer_top1 == found.integer_top1
    assert simulated.quantization == found


def test_cycles_are_priced_and_replayed_for_every_invocation(
    simulated: SimulationResult,
) -> None:
    assert sum(i.model for i in simulated.invocations) <= simulated.cycles_model
    replayed = sum(i.replayed for i in simulated.invocations)
    assert replayed == simulated.cycles_replayed
    assert simulated.invocations[0].name == "(first weights)"
    assert all(item.replayed > 0 for item in simulated.invocations)
    # How near they are is measured elsewhere; a factor would be another engine.
    assert 0.5 < simulated.cycles_model / simulated.cycles_replayed < 2
    assert simulated.fifos
    assert all(fewest.bit_count() == 1 for _, _, fewest in simulated.fifos)


def test_what_was_found_is_shown(
    quantized: Path, simulated: SimulationResult, found: Quantization
) -> None:
    text = render_simulation(simulated)
    assert "539 images, native build: bit-exact, 0 bytes in 0 images differ" in text
    assert "maps after every step: 0 steps differ" in text
    assert f"{found.integer_top1:.2f} %" in text
    assert "stream" in text
    worse = replace(simulated, mismatches=2, wrong_images=1, quantization=None)
    assert "DIFFERS, 2 bytes in 1 images" in render_simulation(worse)
    unlabelled = replace(simulated, simulated_top1=None, wrong_steps=None, fifos=())
    assert "top-1" not in render_simulation(unlabelled)
    # Another witness: how many of the classes are the float network's.
    assert simulated.simulated_agreement == found.integer_agreement
    same = f"{found.integer_agreement:.2f} % of {FRAMES} test frames"
    assert f"same class simulated as in float: {same}" in render_simulation(unlabelled)
    unknown = replace(unlabelled, simulated_agreement=None)
    assert "same class" not in render_simulation(unknown)
    figures = json.loads(json.dumps(simulation_json(simulated)))
    assert figures["exact"] is True
    expected = json.loads(json.dumps(values_json(found)))
    assert figures["quantization"] == expected
    shown = render_quantization(found)
    assert f"0 of {found.compared} integers differ" in shown
    assert f"{found.float_top1:.2f} %" in shown
    assert "unknown" in render_quantization(replace(found, float_top1=None))
    mark = (quantized / "hls" / "hao_project.txt").read_text()
    assert "digest" in mark


def test_the_page_shows_what_every_step_found(
    quantized: Path, simulated: SimulationResult, own: Path
) -> None:
    page = (quantized / "report.html").read_text(encoding="utf-8")
    assert "measured, integers, 539 frames of digits" in page
    assert f"{simulated.cycles_replayed:,}" in page
    assert "Not simulated yet" not in page
    hao.emit(own, force=True)
    page = (own / "report.html").read_text(encoding="utf-8")
    assert "Not simulated yet" in page
    assert "measured, integers, 539 frames of digits" in page


def test_the_readers_of_an_emission_learn_where_it_lies(own: Path) -> None:
    emission = hao.emit(own, force=True)
    assert emission.project == own / "hls"
    assert emission.files == len(files_below(own / "hls"))
    text = render_emission(emission)
    assert str(own / "hls" / "README.md") in text
    assert emission.digest in text
    assert values_json(emission)["project"] == str(own / "hls")
    assert "Weights are those of weights.npz." in text


def test_emitting_twice_gives_the_same_bytes(own: Path) -> None:
    before = files_below(own / "hls")
    hao.emit(own, force=True)
    assert files_below(own / "hls") == before


@pytest.mark.skipif(
    find_spec("hls4ml") is None, reason="hls4ml's open headers are not installed"
)
def test_the_vendors_types_give_the_same_bits(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", QUICKEST)
    result = hao.simulate(own, build=Build.AP_INT, images=3)
    assert (result.images, result.exact, result.build) == (3, True, "ap_int")


@pytest.mark.skipif(
    find_spec("hls4ml") is None, reason="hls4ml's open headers are not installed"
)
def test_the_project_is_clean_for_both_tool_generations(quantized: Path) -> None:
    assert set(hao.lint_run(quantized).values()) == {()}


def test_the_network_is_exported(quantized: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    hao.export(quantized, path, force=False)
    graph = onnx.load(path).graph
    assert any(node.op_type == "Quant" for node in graph.node)
    content = path.read_bytes()
    with pytest.raises(InputError, match=r"net\.onnx: exists"):
        hao.export(quantized, path, force=False)
    hao.export(quantized, path, force=True)
    assert path.read_bytes() == content
    with pytest.raises(InputError, match="a directory; must be a file to write"):
        hao.export(quantized, tmp_path, force=True)


def test_random_weights_need_no_training(searched: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    emission = hao.emit(run, weights=RANDOM_WEIGHTS, seed=3)
    assert "random (seed 3)" in emission.weights
    result = hao.simulate(run, debug=True)
    assert (result.images, result.exact) == (RANDOM_FRAMES, True)
    assert result.simulated_top1 is None
    assert result.quantization is None
    # What steps found is kept in the run, until the step before them is done anew.
    assert load_records(run).simulation == result
    table = hao.read_reports(run, [PLACED])
    rows = load_records(run).synthesis
    assert rows is not None
    assert {row.report for row in rows} == {PLACED.name}
    assert str(rows[0].predicted) in str(table)
    assert PLACED.name in (run / "report.html").read_text(encoding="utf-8")
    other = hao.emit(run, weights=RANDOM_WEIGHTS, seed=4, force=True)
    assert other.digest != emission.digest
    assert load_records(run) == Records()
    # Now with the weights of a file, and frames at random.
    net = run / "mine.npz"
    shutil.copy(emission.project / run_files.EMITTED_FILE, net)
    third = hao.emit(run, weights=str(net), force=True)
    assert "those of mine.npz. The recorded frames are random." in third.weights


@pytest.mark.usefixtures("optimised")
def test_own_weights_come_back_after_random_ones(own: Path) -> None:
    hao.emit(own, weights=RANDOM_WEIGHTS, force=True)
    assert (own / "hls" / run_files.EMITTED_FILE).is_file()
    hao.emit(own, force=True)
    assert not (own / "hls" / run_files.EMITTED_FILE).exists()
    # More images than there are is all of them; figures may be missing.
    (own / run_files.QUANTIZATION_FILE).unlink()
    result = hao.simulate(own, images=10**6)
    assert (result.images, result.exact) == (FRAMES, True)
    assert result.quantization is None


@pytest.fixture(scope="module")
def few(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file with few of the digits."""
    dataset = load_dataset("digits", load_design(searched).design.network.input.ofm)
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(
        path,
        x_train=dataset.train.frames[:150],
        y_train=dataset.train.labels[:150],
        x_test=dataset.test.frames[:40],
        y_test=dataset.test.labels[:40],
    )
    return str(path)


def test_training_begins_resumes_and_begins_anew(
    searched: Path, tmp_path: Path, few: str
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    request = replace(least(run), data=few)

    def kill(line: str) -> None:
        if line == "calibrating":
            raise KeyboardInterrupt

    def epochs(wanted: QuantizeRequest) -> tuple[int, int]:
        """Quantize, and return how many epochs of each kind that took."""
        said: list[str] = []
        hao.quantize(wanted, progress=said.append)
        text = "\n".join(said)
        return text.count("float epoch"), text.count("quantized epoch")

    with pytest.raises(KeyboardInterrupt):
        hao.quantize(request, progress=kill)
    assert not (run / run_files.WEIGHTS_FILE).exists()
    # Float training is behind it already.
    assert epochs(request) == (0, 1)
    weights = (run / run_files.WEIGHTS_FILE).read_bytes()
    # A run that was never killed has the same weights.
    other = Path(shutil.copytree(searched, tmp_path / "other"))
    assert epochs(replace(request, run=other)) == (1, 1)
    assert (other / run_files.WEIGHTS_FILE).read_bytes() == weights
    hao.emit(run)
    with pytest.raises(InputError, match=r"weights\.npz: exists; `force` replaces it"):
        hao.quantize(request, progress=quiet)
    # Other settings begin beside the finished training, and the project is stale.
    assert epochs(replace(request, epochs=2, force=True)) == (0, 2)
    assert epochs(replace(request, seed=1, force=True)) == (1, 1)
    with pytest.raises(InputError, match="emitted from other weights or another desig"):
        hao.simulate(run)


def test_post_training_quantization_trains_nothing_but_floats(
    searched: Path, tmp_path: Path, few: str
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    request = replace(calibrated(run), data=few)
    said: list[str] = []
    result = hao.quantize(request, progress=said.append)
    assert (result.method, result.frames, result.differing) == ("ptq", 40, 0)
    text = "\n".join(said)
    assert (text.count("float epoch"), text.count("quantized epoch")) == (1, 0)


def test_a_design_file_alone_is_refused(quantized: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.json"
    shutil.copy(quantized / "design.json", alone)
    message = r"alone\.json: a design file alone; must be a run directory"
    with pytest.raises(InputError, match=message):
        hao.emit(alone)
    with pytest.raises(InputError, match=message):
        hao.simulate(alone)
    with pytest.raises(InputError, match=message):
        hao.quantize(least(alone), progress=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["alone.json"]


def test_a_run_without_integers_or_project_is_refused(searched: Path) -> None:
    message = r"no weights\.npz in it; `hao quantize` makes it, and `hao emit-hls --w"
    with pytest.raises(InputError, match=message):
        hao.emit(searched)
    with pytest.raises(InputError, match=message):
        hao.export(searched, searched / "x.onnx", force=False)
    message = "no emitted project in it; `hao emit-hls` makes one"
    with pytest.raises(InputError, match=message):
        hao.simulate(searched)
    with pytest.raises(InputError, match=message):
        hao.lint_run(searched)
    kept = {"certificate.json", "design.json", "report.html", "report.txt"}
    assert set(files_below(searched)) == kept


def test_numbers_out_of_range_are_refused(quantized: Path) -> None:
    with pytest.raises(InputError, match="`bn_eps` = 2; must be from 0 to 1"):
        QuantizeRequest(run=quantized, bn_eps=2)
    with pytest.raises(InputError, match=r"`float_epochs` = 3: a\.npz has float w"):
        QuantizeRequest(run=quantized, float_epochs=3, weights=Path("a.npz"))
    with pytest.raises(InputError, match="`seed` = -1; must be at least 0"):
        QuantizeRequest(run=quantized, seed=-1)
    with pytest.raises(InputError, match="`seed` = -1; must be at least 0"):
        hao.emit(quantized, weights=RANDOM_WEIGHTS, seed=-1, force=True)
    with pytest.raises(InputError, match=r"^`images` = 0; must be at least 1"):
        hao.simulate(quantized, images=0)


def test_data_of_another_shape_is_refused(searched: Path, tmp_path: Path) -> None:
    frames = np.zeros((40, 3, 5, 5), dtype=np.float32)
    labels = np.arange(40) % 2
    np.savez(
        tmp_path / "data.npz",
        x_train=frames,
        y_train=labels,
        x_test=frames,
        y_test=labels,
    )
    before = files_below(searched)
    request = replace(least(searched), data=str(tmp_path / "data.npz"))
    with pytest.raises(InputError, match="data"):
        hao.quantize(request, progress=quiet)
    assert files_below(searched) == before


def test_another_design_in_the_run_is_refused(own: Path, tmp_path: Path) -> None:
    request = SearchRequest(board="pynq-z2", fps=700, network="digits")
    search(request, run_path=tmp_path / "other")
    shutil.copy(tmp_path / "other" / "design.json", own / "design.json")
    with pytest.raises(InputError, match="emitted from other weights or another desig"):
        hao.simulate(own)
    request = SearchRequest(board="zu3eg", fps=100, network="resnet8_cifar")
    search(request, run_path=tmp_path / "resnet")
    shutil.copy(tmp_path / "resnet" / "design.json", own / "design.json")
    with pytest.raises(InputError, match="emitted from other weights or another desig"):
        hao.simulate(own)
    with pytest.raises(InputError, match=r"network 'digits' has .* layers; the design"):
        hao.emit(own, force=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (run_files.WEIGHTS_FILE, "not readable as a file of integers"),
        (run_files.EVALUATION_FILE, "not readable, or of another network"),
        (run_files.QUANTIZATION_FILE, "not readable, or of another network"),
        ("hls/weights/weights.bin", "not what was emitted; `hao emit-hls --force`"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY"])
def test_spoilt_files_are_named(
    own: Path, name: str, message: str, content: bytes
) -> None:
    (own / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        hao.simulate(own)
    assert str(own / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spoilt_archive_is_named(own: Path) -> None:
    (own / run_files.EVALUATION_FILE).write_bytes(b"PK\x05\x06" * 9)
    with pytest.raises(InputError, match=r"evaluation\.npz: not readable, or of"):
        hao.simulate(own)


def test_spoilt_json_of_the_right_form_is_named(own: Path) -> None:
    path = own / run_files.QUANTIZATION_FILE
    path.write_text(path.read_text().replace('"frames": 539', '"frames": "many"'))
    with pytest.raises(InputError, match=r"quantization\.json: not readable, or of"):
        hao.simulate(own)


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        (np.zeros((4, 1, 3, 3), np.int16), np.zeros(4, np.int64)),
        (np.zeros((0, 1, 16, 16), np.int16), np.zeros(0, np.int64)),
        (np.zeros((4, 1, 16, 16), np.float32), np.zeros(4, np.int64)),
        (np.full((4, 1, 16, 16), 999, np.int16), np.zeros(4, np.int64)),
        (np.zeros((4, 1, 16, 16), np.int16), np.zeros(3, np.int64)),
        (np.zeros((4, 1, 16, 16), np.int16), np.array("label")),
    ],
)
def test_frames_of_another_network_are_named(
    own: Path, codes: np.ndarray, labels: np.ndarray
) -> None:
    np.savez(own / run_files.EVALUATION_FILE, codes=codes, labels=labels)
    for act in (hao.simulate, lambda run: hao.emit(run, force=True)):
        with pytest.raises(InputError, match="not readable, or of another network"):
            act(own)


def test_missing_and_cut_frames_of_the_project_are_named(own: Path) -> None:
    (own / run_files.EVALUATION_FILE).unlink()
    frames = own / "hls" / "tb" / "frames.bin"
    frames.write_bytes(frames.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"frames\.bin: \d+ bytes; must be frames of"):
        hao.simulate(own)
    frames.unlink()
    with pytest.raises(InputError, match=r"frames\.bin: cannot be read \(No such file"):
        hao.simulate(own)


def test_a_place_that_cannot_be_written_is_named(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = files_below(own)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"cannot be written \(No space left"):
            hao.emit(own, force=True)
    assert files_below(own) == before


def test_a_full_disk_leaves_the_earlier_integers_and_their_figures(
    own: Path, few: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = files_below(own)
    monkeypatch.setattr(Path, "write_bytes", full)
    request = replace(calibrated(own), data=few, force=True)
    with pytest.raises(InputError, match=r"cannot be written \(No space left"):
        hao.quantize(request, progress=quiet)
    shutil.rmtree(own / run_files.TRAINING_FOLDER)
    assert files_below(own) == before


def test_missing_programs_are_named_before_anything_runs(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_below(own)
    monkeypatch.setenv("AP_TYPES", str(own))
    with pytest.raises(ToolError, match=r"holds no ap_int\.h"):
        hao.simulate(own, build=Build.AP_INT)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="no-such-compiler: no such program"):
        hao.simulate(own)
    assert files_below(own) == before


@pytest.mark.parametrize(
    ("extra", "package"), [("torch", "brevitas"), ("lint", "tree_sitter")]
)
def test_missing_packages_are_named_with_their_extra(
    own: Path, monkeypatch: pytest.MonkeyPatch, extra: str, package: str
) -> None:
    monkeypatch.setattr(
        "hao.steps.common.find_spec",
        lambda name: None if name == package else find_spec(name),
    )

    def run() -> None:
        if extra == "torch":
            hao.quantize(replace(least(own), force=True), progress=quiet)
        else:
            hao.lint_run(own)

    message = rf"{package}: not installed; `pip install 'hao\[{extra}\]'` brings it"
    with pytest.raises(ToolError, match=message):
        run()


def test_figures_of_some_frames_are_all_of_these_frames(
    own: Path, found: Quantization
) -> None:
    evaluation = run_files.load_evaluation(
        own / run_files.EVALUATION_FILE, load_integers(own / run_files.WEIGHTS_FILE)
    )
    assert evaluation.float_top1 == found.float_top1
    assert evaluation.quantized_top1 == found.quantized_top1
    # Ten classes: any twenty first frames have two of each, and the test bench has one.
    assert evaluation.labels is not None
    assert np.bincount(evaluation.labels[:20]).tolist() == [2] * 10
    recorded = evaluation.covering(LEAST_FRAMES, MOST_FRAMES).labels
    assert recorded is not None
    assert sorted(recorded.tolist()) == list(range(10))
    result = hao.simulate(own, images=20)
    some = evaluation.first(20)
    assert result.float_top1 == some.float_top1
    assert result.quantized_top1 == some.quantized_top1
    assert result.simulated_top1 == result.integer_top1
    assert result.simulated_top1 == some.quantized_top1  # every integer is the model's
    text = render_simulation(result)
    assert "top-1 on 20 of 539 test frames, all figures on the same" in text


def test_labels_beyond_the_outputs_are_refused_before_anything_is_calibrated(
    searched: Path, tmp_path: Path, few: str
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    with np.load(few) as arrays:
        far = {name: arrays[name] for name in arrays.files}
    far["y_test"] = far["y_test"] + 10**15
    np.savez(tmp_path / "far.npz", **far)
    request = replace(calibrated(run), data=str(tmp_path / "far.npz"))
    with pytest.raises(InputError, match=r"has \d+ classes; network 'digits' gives 10"):
        hao.quantize(request, progress=quiet)


def test_weights_from_elsewhere_are_noted_where_test_frames_were_drawn_here(
    own: Path,
) -> None:
    request = least(own)
    drawn = load_dataset("digits", load_design(own).design.network.input.ofm)
    assert data_notes(request, drawn) == ()
    elsewhere = replace(request, weights=Path("net.pt"), float_epochs=None)
    (note,) = data_notes(elsewhere, replace(drawn, left_out=0))
    assert note.startswith(
        "the weights come from net.pt and the test frames were drawn"
    )
    given = replace(drawn, drawn=False, left_out=3)
    (note,) = data_notes(elsewhere, given)
    assert note == "3 training frames that equal a test frame are left out"


def test_two_commands_at_once_do_not_disturb_one_another(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hao.files._TRIES", 1)
    message = r"own: another hao command is working in it; wait until it has ended"
    before = files_below(own)
    with held(own, shared=True):
        assert hao.simulate(own, images=2).exact
        with pytest.raises(InputError, match=message):
            hao.quantize(replace(least(own), force=True), progress=quiet)
        with pytest.raises(InputError, match=message):
            hao.emit(own, force=True)
    with held(own), pytest.raises(InputError, match=message):
        hao.simulate(own)
    after = files_below(own)
    # The simulation that did run leaves its program and record, and the page shows it.
    written = {"simulation.json", "report.html"}
    unchanged = [n for n in before if n not in written and not n.startswith("build/")]
    assert {n: after[n] for n in unchanged} == {n: before[n] for n in unchanged}


def test_a_run_that_is_deleted_while_it_is_quantized_does_not_come_back(
    own: Path, few: str
) -> None:
    def delete(line: str) -> None:
        if line == "calibrating":
            shutil.rmtree(own)

    request = replace(calibrated(own), data=few, force=True)
    with pytest.raises(InputError, match=r"own: deleted or replaced while hao worked"):
        hao.quantize(request, progress=delete)
    assert not own.exists()


@pytest.fixture(scope="module")
def bytes_file(searched: Path, few: str) -> Path:
    """Return a file with few of the digits as bytes, without labels."""
    path = Path(few).with_name("bytes.npz")
    with np.load(few) as arrays:
        parts = {
            key: np.rint(255 * arrays[key]).astype(np.uint8)
            for key in ("x_train", "x_test")
        }
    np.savez(path, **parts)
    return path


def test_frames_without_labels_measure_agreement(
    searched: Path,
    quantized: Path,
    bytes_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    weights = float_weights(quantized, tmp_path)
    monkeypatch.setattr("hao.steps.common.TELL_SECONDS", 0)
    lines: list[str] = []
    preparation = Preparation(mean=(0.5,), std=(0.3,))
    request = QuantizeRequest(
        run=run,
        data=str(bytes_file),
        weights=weights,
        method=hao.Method.PTQ,
        preparation=preparation,
    )
    found = hao.quantize(request, progress=lines.append)
    assert run_files.recorded_quantization(run) == found
    assert (found.float_top1, found.quantized_top1, found.integer_top1) == (None,) * 3
    assert found.quantized_agreement == found.integer_agreement
    assert found.integer_agreement is not None
    assert found.integer_agreement > 50
    assert found.differing == 0
    assert found.preparation == preparation
    assert any("no labels: agreement" in note for note in found.notes)
    text = render_quantization(found)
    assert f"unknown {found.integer_agreement:6.2f} %   what the hardware" in text
    net = load_integers(run / "weights.npz")
    kept = run_files.load_evaluation(run / run_files.EVALUATION_FILE, net)
    assert kept.labels is None
    assert kept.float_class is not None
    for word in ("float", "quantized", "integers", "comparing every integer"):
        assert f"{word}: 40 of 40 frames" in lines
    # Three batches of 64 of the 135 frames to calibrate with, and the layers.
    steps = 3 + len(load_design(run).design.network.layers)
    assert f"calibrating: {steps} of {steps} steps" in lines


def float_weights(quantized: Path, folder: Path) -> Path:
    """Return a file with the float weights of a run's training."""
    network = load_design(quantized).design.network
    (state,) = (quantized / "training").glob("float-*.pt")
    net = FloatNet(network, batch_norm=True)
    net.load_state_dict(torch.load(state, weights_only=True)["net"])
    path = folder / "weights.pt"
    params = folded_network(net).params
    torch.save({key: torch.tensor(array) for key, array in params.items()}, path)
    return path


def test_what_cannot_be_without_labels_is_refused(
    searched: Path, quantized: Path, bytes_file: Path, tmp_path: Path
) -> None:
    request = QuantizeRequest(
        run=searched,
        data=str(bytes_file),
        weights=float_weights(quantized, tmp_path),
        method=hao.Method.PTQ,
    )
    three = Preparation(mean=(0, 0, 0))
    for wrong, message in (
        (
            replace(request, weights=None),
            "labels to train with; `weights` = FILE brings",
        ),
        (replace(request, method=hao.Method.QAT), "train with; `method` = ptq calib"),
        (replace(request, preparation=three), "mean of 3 numbers; the network reads 1"),
    ):
        with pytest.raises(InputError, match=message):
            hao.quantize(wrong, progress=quiet)


def test_training_normalises_as_the_integers_do(
    searched: Path, few: str, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    preparation = Preparation(mean=(0.2,), std=(0.25,))
    request = replace(least(run), data=few, preparation=preparation)
    found = hao.quantize(request, progress=quiet)
    assert found.differing == 0
    net = load_integers(run / "weights.npz")
    with np.load(few) as arrays:
        frames = arrays["x_test"]
    kind = net.maps[net.network.input.name]
    assert kind.exponent is not None
    codes = np.floor((frames[:2] - 0.2) / 0.25 * 2.0**-kind.exponent + 0.5)
    found_codes = net.frame_codes(frames[:2])
    assert np.abs(np.clip(codes, kind.low, kind.high) - found_codes).max() <= 1


def test_the_demo_classifies_pictures_without_a_board(
    own: Path, tmp_path: Path
) -> None:
    net = load_integers(own / "weights.npz")
    shape = net.network.input.ofm
    values = load_dataset("digits", shape).test.frames[:1]
    pixels = np.rint(values[0, 0] * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a digit.png")
    said = subprocess.run(
        [sys.executable, "demo.py", str(tmp_path / "a digit.png"), "--simulate"],
        cwd=own / "hls" / "driver",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    codes = net.frame_codes(pixels[None, None] / np.float32(255))
    outputs = run_integer(net, codes).reshape(-1)
    # The names of the classes are those of the digits.
    best = [str(number) for number in np.argsort(-outputs, kind="stable")[:5]]
    assert said[0] == str(tmp_path / "a digit.png")
    assert [line.split()[0] for line in said[1:]] == best
    exponent = net.maps[net.network.output.name].exponent
    assert exponent is not None
    powers = np.exp((outputs - outputs.max()) * 2.0**exponent)
    # Its share, by softmax.
    assert said[1].split()[1:] == [f"{100 / powers.sum():.2f}", "%"]
