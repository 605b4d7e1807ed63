"""The command line: what it prints and writes, and how it refuses bad input.

Refusals are one line on stderr with an exit code of `hao.errors`, and write nothing.
"""

import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from hao import Objective, SearchRequest, search
from hao.cli import main
from hao.data import data_path
from hao.errors import InfeasibleError, ToolError
from hao.hw.board import Frames
from hao.hw.board_file import board_names, load_board
from hao.runs.design_file import load_design
from hao.text import WIDTH
from hao.zoo import build_network, network_names

KEYS = {
    "network",
    "image_size",
    "top1",
    "top1_low",
    "top1_high",
    "fps",
    "latency_ms",
    "resources",
    "utilisation",
    "status",
    "gap",
    "solver",
    "seconds",
    "run",
}
SMALL = ("search", "--network", "resnet8_cifar", "--bits", "8")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def hao(*words: str) -> Result:
    # A bug keeps its traceback, here too.
    return CliRunner().invoke(main, ("--traceback", *words), catch_exceptions=False)


def succeed(*words: str) -> str:
    result = hao(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def search_json(*words: str) -> dict[str, object]:
    found = json.loads(succeed(*words, "--json"))
    assert isinstance(found, dict)
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def refused(code: int, *words: str) -> str:
    """Return the one line of stderr of a command that fails and writes nothing."""
    before = files_below(Path())
    result = hao(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert files_below(Path()) == before
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("hao: ")
    return lines[0].removeprefix("hao: ")


def write_onnx(path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(10, 8)).astype(np.float32),
        "b2": rng.normal(size=10).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["c"], pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def test_help_lists_every_command() -> None:
    text = succeed("--help")
    for command in (
        *("search", "estimate", "report", "verify", "boards", "networks"),
        *(
            "runs",
            "compare",
            "quantize",
            "export",
            "emit-hls",
            "simulate",
            "lint",
            "schedule",
        ),
        "report-hls",
    ):
        assert f"\n  {command} " in text


def test_help_says_in_full_what_each_command_does() -> None:
    (commands,) = succeed("--help").split("Commands:\n")[1:]
    lines = commands.splitlines()
    assert len(lines) == len(main.commands)  # None is wrapped,
    assert [line for line in lines if not line.endswith(".") or "..." in line] == []
    for name, line in zip(main.commands, lines, strict=True):
        assert line.split(None, 1) == [name, main.commands[name].get_short_help_str(92)]


def test_every_option_says_what_it_means() -> None:
    for name, command in main.commands.items():
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help, f"{name} {param.opts[0]}"


def test_help_answers_as_a_program_without_the_solvers() -> None:
    code = (
        "import sys; sys.argv = ['hao', '--help']\n"
        "from hao.cli import main\n"
        "main(standalone_mode=False)\n"
        "assert not {'torch', 'onnx', 'gurobipy', 'highspy'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "search" in done.stdout


def test_gurobi_asked_for_by_name_must_have_a_licence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRB_LICENSE_FILE", "/nowhere/none.lic")
    message = refused(4, *SMALL, "--board", "zu3eg", "--fps", "1", "--solver", "gurobi")
    assert message.startswith("no Gurobi licence that works (GRB_LICENSE_FILE=/nowhere")
    assert message.endswith("; use --solver highs")


def test_boards_prints_every_board() -> None:
    lines = succeed("boards").splitlines()
    assert lines[0].split()[0] == "board"
    assert {line.split()[0] for line in lines if line} >= set(board_names())
    found = json.loads(succeed("boards", "--json"))
    assert set(found) == set(board_names())
    assert found["zu3eg"]["device"]["lut"] == load_board("zu3eg").resources.lut


def test_a_board_that_was_written_is_searched() -> None:
    told = succeed(
        *("boards", "new", "mine", "--part", "xczu3eg-sfvc784-1-e"),
        *("--ddr", "DDR4-2400x32", "--clock", "200"),
    )
    assert told.startswith("mine.toml: written; `hao search --board mine.toml --fps 50")
    found = search_json(*SMALL, "--fps", "50", "--board", "mine.toml", "--no-run")
    assert (found["board"], found["clock_mhz"]) == ("mine", 200.0)
    assert "xczu3eg-sfvc784-1-e" in succeed("boards", "show", "mine.toml")
    shown = json.loads(succeed("boards", "show", "mine.toml", "--json"))["mine"]
    assert (shown["clock_mhz"], shown["part"]) == (200.0, "xczu3eg-sfvc784-1-e")
    message = refused(2, "boards", "new", "mine", "--part", "7z020", "--ddr", "DDR3")
    assert message.startswith("--part '7z020'; must be a part number of Zynq-7000 or")


def test_a_clock_beyond_the_ports_is_refused() -> None:
    message = refused(2, *SMALL, "--fps", "50", "--clock", "400")
    assert message.startswith("board 'zu3eg': a clock of 400 MHz; must be at most 333")


def test_a_clock_beyond_the_sourced_one_is_at_risk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise ToolError("no clang", command=())

    monkeypatch.setattr("hao.hls.compiler.find_clang", missing)
    result = hao(*SMALL, "--fps", "50", "--clock", "240", "--no-run")
    # 240 / 214.285 = 1.12
    at_risk = "clock: 240 MHz are 12 % more than the 214.285 MHz of the board file"
    assert at_risk in " ".join(result.stdout.split())
    assert "clock: not known whether every loop meets it: no clang" in result.stderr
    assert "clock:" not in succeed(*SMALL, "--fps", "50", "--clock", "200", "--no-run")


@pytest.mark.thorough
def test_a_clock_that_no_loop_meets_says_which_is_the_limit() -> None:
    message = refused(2, *SMALL, "--fps", "50", "--clock", "320", "--quiet")
    assert message.startswith("--clock 320 MHz; must be at most 2")
    assert " MHz, which all loops meet: loop " in message


def test_networks_prints_every_network_with_its_size() -> None:
    printed = succeed("networks")
    assert max(map(len, printed.splitlines())) <= WIDTH
    lines = re.sub(r"\n {20,}", " ", printed).splitlines()
    rows = {line.split()[0]: line.split() for line in lines[2:-4]}
    assert "hit within 0.31 points" in " ".join(lines[-4:-2])
    assert "hit within 0.49 points" in " ".join(lines[-2:])
    # 79.434 at 176 and 80.846 at 224 pixels, by 1 / size.
    assert {"79.4@176", "~80.0@192", "80.8@224"} <= set(rows["resnet50"])
    # 72.91 at width 1 and 76.528 at 1.4, by 1 / width.
    assert "~75.0@224" in rows["mobilenet_v2_120"]
    told = json.loads(succeed("networks", "--json"))
    assert set(told) == set(network_names())
    assert told["resnet50"]["top1"]["224"] == {"percent": 80.846, "interpolated": False}
    assert told["resnet50"]["top1"]["192"]["interpolated"]
    assert set(rows) == set(network_names())
    # Sandler et al. 2018: 300 M products. torchvision has 3 504 872 parameters; folded
    # batch norms leave one per channel instead of two, of 17 056 channels.
    assert rows["mobilenet_v2_100"][1:4] == ["224", "300.8", "3.49"]


def test_a_function_in_the_folder_where_one_works_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "their_own_net.py").write_text("def make() -> int:\n    return 3\n")
    message = refused(2, "check", "their_own_net:make")
    assert "returned int; must be torch.nn" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fps", "9", "--board", "zu3e"], "did you mean 'zu3eg'"),
        (["--fps", "9", "--board", "nope.toml"], "nope.toml: no such file"),
        ([], "--fps is missing"),
        (["--fps", "0"], "--fps 0; must be above 0"),
        (["--fps", "9", "--rank", "best"], "'best' is not one of 'cautious', 'mean'"),
        (["--fps", "-1"], "--fps -1; must be above 0"),
        (["--fps", "nan"], "--fps nan; must be above 0"),
        (["--fps", "inf"], "--fps inf; must be above 0 and below"),
        (["--fps", "1e6"], "--fps 1e+06; must be above 0 and below"),
        (["--fps", "x"], "'--fps': 'x' is not a valid float"),
        (["--fps", "9", "--bits", "1,9"], "--bits 1, 9; must be from 2 to 8 bits"),
        (["--fps", "9", "--bits", "x"], "'x'; must be whole numbers"),
        (["--fps", "9", "--bits", ""], "''; must be whole numbers"),
        (["--fps", "9", "--act-bits", "3"], "--act-bits 3; must be from 4 to 8 bits"),
        (["--fps", "9", "--image-size", "1"], "image size 1; must be at least 4"),
        (["--fps", "9", "--image-size", "-5"], "image size -5; must be at least 4"),
        (["--fps", "9", "--model", "m.onnx"], "--network and --model exclude each"),
        (["--fps", "9", "--top1", "70"], "--top1 is the float accuracy of a --model"),
        (["--fps", "9", "--clock", "nan"], "--clock nan MHz; must be from 10 to 1000"),
        (["--fps", "9", "--clock", "9"], "--clock 9 MHz; must be from 10 to 1000"),
        (["--fps", "9", "--batch", "0"], "--batch 0; must be from 1 to 16"),
        (["--fps", "9", "--batch", "2"], "--batch 2: several frames of a start do"),
        (["--fps", "9", "--margin", "91"], "--margin 91; must be from 0 to 90"),
        (["--fps", "9", "--margin", "nan"], "--margin nan; must be from 0 to 90"),
        (["--fps", "9", "--margin", "-1"], "--margin -1; must be from 0 to 90"),
        (["--fps", "9", "--solver", "y"], "'y' is not one of 'auto'"),
        (["--fps", "9", "--run", "../out"], "run name '../out'; must be"),
        (["--fps", "9", "--run", "/out"], "run name '/out'; must be"),
        (
            ["--fps", "9", "--min-top1", "7"],
            "--min-top1 belongs to the objectives 'fps', 'area' and 'power'",
        ),
        (["--objective", "fps"], "--min-top1 is missing"),
        (["--objective", "fps", "--min-top1", "nan"], "--min-top1 nan; must be above"),
        (["--objective", "fps", "--min-top1", "101"], "--min-top1 101; must be above"),
        (["--objective", "fps", "--min-top1", "70"], "resnet8_cifar@32 is unknown"),
        (["--objective", "latency", "--fps", "9"], "--fps belongs to the objective"),
        (["--objective", "area"], "--fps is missing; the objective 'area' needs it"),
        (["--objective", "area", "--fps", "9", "--front", "2"], "--front is of accur"),
        (
            ["--objective", "power", "--fps", "9", "--board", "pynq-z2"],
            "--objective power: board 'pynq-z2': the board file gives no idle power",
        ),
        (["--fps", "9", "--max-dsp", "0"], "--max-dsp 0; must be a whole number"),
        (["--fps", "9", "--max-bram", "433"], "--max-bram 433; must be a whole number"),
        (["--fps", "9", "--max-lut", "101%"], "--max-lut 101%; must be a whole number"),
        (["--fps", "9", "--max-ff", "much"], "--max-ff much; must be a whole number"),
        (["--fps", "9", "--best", "0"], "--best 0; must be from 1 to 50"),
        (["--fps", "9", "--best", "51"], "--best 51; must be from 1 to 50"),
        (["--fps", "9", "--overlap", "101"], "--overlap 101; must be from 0 to 100"),
        (
            ["--objective", "latency", "--best", "2"],
            "--best 2: several designs are listed for the objective 'accuracy'",
        ),
        (["--fps", "9", "--drop-blocks", "nan"], "--drop-blocks nan; must be from 0"),
        (["--fps", "9", "--drop-blocks", "-1"], "--drop-blocks -1; must be from 0"),
    ],
)
def test_search_refuses_bad_arguments(words: Sequence[str], message: str) -> None:
    assert message in refused(2, *SMALL[:3], *words)


def test_search_names_close_networks() -> None:
    line = refused(2, "search", "--fps", "9", "--network", "resnet8_cfar")
    assert (
        "network 'resnet8_cfar' is not in the zoo; did you mean resnet8_cifar" in line
    )


def test_unknown_commands_are_refused() -> None:
    assert "No such command 'serach'. Did you mean 'search'?" in refused(2, "serach")
    assert " boards --help` says what there is" in refused(2, "boards", "zu3eg")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.onnx", None, "missing.onnx: no such file"),
        ("text.onnx", b"just a text\n", "text.onnx: not an ONNX model"),
        ("empty.onnx", b"", "empty.onnx: "),
        ("net.onnx", pickle.dumps({"w": [1.0]}), "hao never unpickles a file"),
        ("net.pt", pickle.dumps({"w": [1.0]}), "suffix '.pt'; must be .onnx"),
    ],
)
def test_search_refuses_files_that_are_no_model(
    name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert message in refused(2, "search", "--fps", "9", "--quiet", "--model", name)


def test_a_least_top1_of_a_model_needs_its_float_top1() -> None:
    write_onnx(Path("net.onnx"))
    words = ("--model", "net.onnx", "--objective", "fps", "--min-top1", "70")
    assert refused(2, "search", *words).endswith("is unknown; --top1 gives it")


def test_a_network_without_blocks_to_drop_is_refused() -> None:
    words = ("search", "--network", "vgg11", "--fps", "1", "--drop-blocks", "1")
    line = refused(2, *words, "--quiet")
    assert line.endswith(
        "no residual block that may be left out; search it without --drop-blocks"
    )


def test_an_accuracy_that_no_network_keeps_names_the_most_that_one_keeps() -> None:
    words = ("search", "--network", "resnet18", "--objective", "area", "--fps", "20")
    line = refused(3, *words, "--min-top1", "75", "--quiet")
    assert line.startswith(
        "no network keeps 75 % top-1 at any frame rate; the most that one keeps is 71."
    )
    # 8 bits reach 6921 frames/s, 4 bits 8508.
    request = SearchRequest(
        board="zu3eg",
        model=build_network("resnet8_cifar"),
        top1=90,
        min_top1=89.7,
        objective=Objective.AREA,
        frames=Frames.BACK_TO_BACK,
        margin_percent=0,
        fps=7700,
    )
    message = (
        r"keeps 89\.7 % top-1 at 7700 fps on zu3eg; the most .* is 89\.[5-8]\d % \("
    )
    with pytest.raises(InfeasibleError, match=message):
        search(request)


def test_the_smallest_within_a_budget_reopens_with_it() -> None:
    words = (*SMALL, "--fps", "1000", "--max-dsp", "10%", "--objective")
    area = search_json(*words, "area")
    assert area["run"] == "runs/zu3eg-1000fps-area-resnet8_cifar"
    power = search_json(*words, "power")
    fastest = search_json(*words, "accuracy")
    for found in (area, power):
        assert isinstance(found["fps"], float)
        assert found["fps"] * 0.85 >= 1000
        assert (found["status"], found["not_excluded"]) == ("optimal", [])
    assert blocks(area)["lut"] < blocks(fastest)["lut"]
    assert blocks(power)["dsp"] <= 36
    text = succeed("report", "runs/zu3eg-1000fps-power-resnet8_cifar")
    assert "made least " in text
    line = next(x for x in text.splitlines() if x.startswith("DSP"))
    assert line.split()[2:4] == ["36", "360"]


def blocks(found: dict[str, object]) -> dict[str, int]:
    counts = found["resources"]
    assert isinstance(counts, dict)
    return counts


def test_several_designs_are_listed_reopened_and_go_on_as_runs() -> None:
    words = [
        "search",
        "--network",
        "resnet8_cifar",
        "--fps",
        "1500",
        "--run",
        "r",
        "--frames=back-to-back",
    ]
    found = search_json(*words, "--best", "3", "--overlap", "50")
    text = succeed("report", "runs/r")
    assert "3 differs from 1: " in text
    others = found["others"]
    assert isinstance(others, list)
    assert len(others) == 2
    bits = [design_bits(Path("runs/r"))]
    for number, other in enumerate(others, start=2):
        folder = Path(f"runs/r/best-{number}")
        assert other["run"] == str(folder)
        assert other["fps"] * 0.85 >= 1500
        assert (other["status"], other["gap"]) == ("optimal", 0.0)
        assert f"{other['fps']:.1f} frames/s" in succeed("estimate", str(folder))
        bits.append(design_bits(folder))
    # The first and the last layer have no choice; of the others at most half agree.
    names = list(bits[0])[1:-1]
    for place, mine in enumerate(bits):
        for other_bits in bits[:place]:
            alike = sum(mine[name] == other_bits[name] for name in names)
            assert alike <= len(names) // 2
    certificate = (Path("runs/r/certificate.json")).read_text()
    assert "overlap" not in certificate


def design_bits(run: Path) -> dict[str, int]:
    return dict(load_design(run).design.weight_bits)


def test_a_budget_that_is_too_small_is_named() -> None:
    line = refused(3, *SMALL, "--fps", "9", "--max-lut", "5000", "--quiet")
    assert "the limit on lut is too tight; no engine fits at any frame rate" in line


@pytest.mark.slow
def test_a_design_without_a_block_goes_through_to_simulation() -> None:
    words = [
        "search",
        "--network",
        "digits",
        "--drop-blocks",
        "1.5",
        "--bits",
        "8",
        "--frames=back-to-back",
    ]
    found = search_json(*words, "--fps", "62000", "--margin", "0", "--run", "d")
    assert found["left_out"]
    text = succeed("report", "runs/d")
    assert "left out " in text
    assert "at 1.5 points each as given)" in text
    few = ("--method", "ptq", "--float-epochs", "1", "--quiet")
    succeed("quantize", "runs/d", "--data", "digits", *few)
    succeed("emit-hls", "runs/d")
    assert "simulated " in succeed("simulate", "runs/d", "--images", "20", "--quiet")


@pytest.mark.parametrize(("margin", "most"), [(0, 2000), (15, 1700)])
def test_the_host_bounds_the_rate_of_frames_one_at_a_time(
    margin: int, most: int
) -> None:
    # Its 0.5 ms alone are 2000 frames/s, 15 % less with the margin.
    words = ("search", "--network", "resnet8_cifar", "--quiet", f"--margin={margin}")
    line = refused(3, *words, "--fps", "2500")
    assert line.startswith("2500 fps")
    assert "the host takes 0.5 ms of a frame" in line
    assert f"come at {most} fps at most; --frames back-to-back leaves it out" in line


def test_frames_one_at_a_time_take_what_the_host_adds() -> None:
    words = [
        *("search", "--network", "resnet8_cifar", "--bits", "8"),
        *("--objective", "latency", "--no-run"),
    ]
    each, apart = (
        search_json(*words, "--frames", use)
        for use in ("one-at-a-time", "back-to-back")
    )
    # The same engine, and 0.5 ms of the host for each frame.
    assert each["latency_cycles"] == apart["latency_cycles"]
    assert each["engine"] == apart["engine"]
    assert (each["host_ms"], apart["host_ms"]) == (0.5, 0)
    for found, host in ((each, 0.5), (apart, 0.0)):
        fps, ms = found["fps"], found["latency_ms"]
        assert isinstance(fps, float)
        assert isinstance(ms, float)
        assert fps == pytest.approx(1000 / (ms + host), rel=1e-4)
    text = succeed(*words, "--quiet")
    assert "frames/s one at a time: " in text
    assert "0.50 of the host a frame" in text


@pytest.mark.parametrize("margin", [0, 15])
def test_infeasible_names_the_limits_and_a_rate_that_is_reached(margin: int) -> None:
    words = [
        "search",
        "--network",
        "resnet8_cifar",
        "--quiet",
        f"--margin={margin}",
        "--frames=back-to-back",
    ]
    line = refused(3, *words, "--fps", "14000")
    held = f" with a margin of {margin} % (--margin)" if margin else ""
    assert f"does not reach 14000 fps{held} on zu3eg: the limits on latency, " in line
    assert "clash" in line
    nearest = int(line.split("the most it reaches is ")[1].split()[0])
    found = search_json(*words, "--fps", str(nearest), "--no-run")
    fps = found["fps"]
    assert isinstance(fps, float)
    assert nearest <= fps * (1 - margin / 100) < nearest + 1


def test_a_margin_makes_the_prediction_faster_than_what_is_asked() -> None:
    words = [
        "search",
        "--network",
        "resnet8_cifar",
        "--bits",
        "8",
        "--fps",
        "2500",
        "--frames=back-to-back",
    ]
    for margin in (0, 60):
        found = search_json(*words, f"--margin={margin}", "--no-run", "--quiet")
        assert found["margin_percent"] == margin
        fps, low, high = (found[name] for name in ("fps", "fps_low", "fps_high"))
        assert isinstance(fps, float)
        assert isinstance(low, float)
        assert isinstance(high, float)
        assert fps >= 2500 / (1 - margin / 100)
        assert low < fps < high


def test_infeasible_for_a_large_network() -> None:
    # 15.5 G products x 500 frames/s are 36 thousand a cycle at 214 MHz.
    words = ("--network=vgg16", "--bits=8", "--fps=500", "--margin=0", "--quiet")
    line = refused(3, "search", *words)
    assert line.startswith("vgg16@224 does not reach 500 fps on zu3eg: the limit")
    assert "latency" in line
    assert "the most it reaches is " in line


def test_search_prints_one_json_object_and_writes_a_run() -> None:
    found = search_json(
        "search", "--network", "resnet8_cifar", "--fps", "100", "--runs", "kept"
    )
    assert set(found) >= KEYS
    assert found["network"] == "resnet8_cifar"
    assert found["image_size"] == 32
    assert found["status"] == "optimal"
    assert found["gap"] == 0
    assert found["top1"] is None
    for kind in ("resources", "utilisation"):
        values = found[kind]
        assert isinstance(values, dict)
        # The device has no URAM: none is used, and there is nothing to use of it.
        assert values.get("uram", 0) == 0
        assert set(values) - {"uram"} == {"dsp", "bram_18k", "lut", "ff"}
    run = Path(str(found["run"]))
    assert run == Path("kept/zu3eg-100fps-resnet8_cifar")
    assert {path.name for path in run.iterdir()} == {
        *("design.json", "certificate.json", "report.txt", "report.html")
    }
    for command in ("report", "estimate"):
        again = search_json(command, str(run))
        same = KEYS - {"seconds", "run"}
        assert {key: again[key] for key in same} == {key: found[key] for key in same}
    # Without a name, the newest run; as tables.
    assert "resnet8_cifar@32 on Ultra96-V2" in succeed("report", "--runs", "kept")
    table = succeed("estimate", "--runs", "kept")
    assert "invocation" in table
    assert "binds" in table


def test_report_without_a_run_says_how_to_make_one() -> None:
    assert "runs: no run in it; `hao search` makes one" in refused(2, "report")
    assert "nope: no such file" in refused(2, "estimate", "nope")


def test_a_run_is_replaced_only_by_force() -> None:
    words = (*SMALL, "--fps", "50", "--quiet", "--run", "mine")
    succeed(*words)
    design = Path("runs/mine/design.json").read_bytes()
    assert "runs/mine: exists" in refused(2, *words)
    succeed(*words, "--force")
    # Same request, same bytes.
    assert Path("runs/mine/design.json").read_bytes() == design


def test_force_replaces_nothing_but_runs() -> None:
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/thesis.txt").write_text("years of work", encoding="utf-8")
    line = refused(2, *SMALL, "--fps", "50", "--run", "mine", "--force")
    assert "not a run directory" in line


def test_separate_processes_write_the_same_bytes() -> None:
    written = []
    for seed, folder in (("1", "a"), ("2", "b")):
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from hao.cli import main; main()", "search"),
                *("--network", "digits", "--fps", "50", "--json", "--runs", folder),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        run = Path(json.loads(done.stdout)["run"])
        names = ("design.json", "certificate.json")
        written.append([(run / name).read_bytes() for name in names])
    assert written[0] == written[1]


def test_errors_leave_no_traceback_and_the_exit_code_in_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hao", "search", "--fps", "nan"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "hao: --fps nan; must be above 0 and below 1000000\n"


def test_the_recipe_is_part_of_the_request_and_of_the_answer() -> None:
    words = ("search", "--network", "resnet18", "--fps", "20", "--bits", "4")
    trained = search_json(*words)
    plain = search_json(*words, "--recipe", "ptq", "--rank", "mean")
    assert (trained["recipe"], trained["stance"]) == ("qat", "cautious")
    assert (plain["recipe"], plain["stance"]) == ("ptq", "mean")
    assert isinstance(trained["top1"], float)
    assert isinstance(plain["top1"], float)
    # Fitted rounding at 4 bits was published with 1 to 3 points lost.
    assert plain["top1"] + 0.8 < trained["top1"]
    assert plain["top1_ranked"] == plain["top1"]
    text = " ".join(succeed("report", str(plain["run"])).split())
    assert "of its family (2 networks, " in text
    assert "for post-training quantization to 4-bit weights" in text


def test_search_takes_an_onnx_file_with_its_float_top1() -> None:
    write_onnx(Path("net.onnx"))
    words = ("--model", "net.onnx", "--top1", "71.9", "--fps", "50", "--bits", "8")
    found = search_json("search", *words)
    assert found["float_top1"] == 71.9
    assert found["image_size"] == 16
    # 8 x 8 pixels x 8 channels x 27 products, and 8 x 10.
    assert found["macs"] == 8 * 8 * 8 * 27 + 80
    top1, low, high = found["top1"], found["top1_low"], found["top1_high"]
    assert isinstance(top1, float)
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low <= top1 <= 71.9
    # Training may gain, by a point at most.
    assert top1 <= high <= 72.9
    assert "zu3eg-50fps-net" in str(found["run"])


def test_search_takes_a_board_file() -> None:
    text = data_path("boards", "zu3eg.toml").read_text(encoding="utf-8")
    assert text.count('name = "zu3eg"') == 1
    own = text.replace('name = "zu3eg"', 'name = "my-board"')
    Path("my.toml").write_text(own, encoding="utf-8")
    found = search_json(*SMALL, "--fps", "50", "--board", "my.toml")
    assert found["board"] == "my-board"
    shipped = search_json(*SMALL, "--fps", "50", "--board", "zu3eg", "--no-run")
    assert shipped["run"] is None
    assert found["latency_cycles"] == shipped["latency_cycles"]


def test_search_shows_progress_on_stderr_only() -> None:
    words = (*SMALL, "--fps", "50", "--no-run")
    loud, quiet = hao(*words), hao(*words, "--quiet")
    assert "[1/1] resnet8_cifar@32" in loud.stderr
    assert quiet.stderr == ""
    head = "resnet8_cifar@32 on Ultra96-V2"
    assert loud.stdout.startswith(head)
    assert quiet.stdout.startswith(head)


def test_search_runs_at_the_clock_asked_for() -> None:
    found = search_json(*SMALL, "--fps", "50", "--clock", "100", "--no-run")
    assert found["clock_mhz"] == 100


def test_search_writes_a_front_with_its_pictures() -> None:
    words = ("search", "--network", "resnet8_cifar", "--bits", "4,8", "--fps", "50")
    found = search_json(*words, "--front", "2", "--run", "with-front")
    assert found["front_points"] in (1, 2)
    names = {path.name for path in Path("runs/with-front").iterdir()}
    assert names == {
        *("design.json", "certificate.json", "report.txt"),
        *("front.csv", "front.png", "stages.png", "report.html"),
    }
    assert "frames/s" in succeed("report", "runs/with-front")
    page = Path("runs/with-front/report.html")
    first = page.read_bytes()
    page.unlink()
    assert succeed("report", "runs/with-front", "--html").startswith(f"page: {page}\n")
    assert page.read_bytes() == first
    assert "resnet8_cifar@32" in succeed("runs")
    assert json.loads(succeed("runs", "--json"))[0]["run"] == "with-front"
    both = ("compare", "runs/with-front", "runs/with-front")
    assert "second - first" in succeed(*both, "--html", "both.html")
    assert "<h1>" in Path("both.html").read_text(encoding="utf-8")
    assert "both.html: exists; --force" in refused(2, *both, "--html", "both.html")
    assert "runs: a directory; must be" in refused(2, *both, "--html", "runs")
    pair = json.loads(succeed(*both, "--json"))
    assert pair["first"] == pair["second"]
    assert pair["first"]["network"] == "resnet8_cifar"


def test_runs_of_an_empty_folder_are_none() -> None:
    assert succeed("runs", "--runs", "none").startswith("none: no run in it; `hao se")


HELP = {
    "quantize": ("--data", "--weights", "--method", "--float-epochs", "--epochs"),
    "export": ("--format", "--output", "--force"),
    "emit-hls": ("--weights", "--seed", "--force", "--json"),
    "simulate": ("--build", "--images", "--debug", "--size-fifos", "--json"),
    "lint": ("--runs", "--json"),
    "schedule": ("--runs", "--json", "--clock", "--uncertainty"),
    "report-hls": ("REPORTS",),
}


@pytest.mark.parametrize("command", sorted(HELP))
def test_commands_to_hardware_explain_themselves(command: str) -> None:
    text = succeed(command, "--help")
    assert text.startswith(f"Usage: main {command}")
    for word in HELP[command]:
        assert word in text


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the digits; tests copy it before they add to it."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    request = SearchRequest(
        board="zu3eg", fps=10_000, frames=Frames.BACK_TO_BACK, network="digits"
    )
    search(request, run_path=run)
    return run


def copied(digits: Path) -> Path:
    return Path(shutil.copytree(digits, "runs/digits"))


def test_a_run_becomes_a_project_that_is_simulated(digits: Path) -> None:
    run = copied(digits)
    emitted = search_json("emit-hls", "--weights", "random", "--seed", "2")
    assert emitted["project"] == "runs/digits/hls"
    assert "random (seed 2)" in str(emitted["weights"])
    assert "exists" in refused(2, "emit-hls", "--weights", "random")
    again = succeed(
        "emit-hls", str(run), "--weights", "random", "--seed", "2", "--force"
    )
    assert f"digest {emitted['digest']}" in again
    found = search_json("simulate", str(run), "--images", "1")
    assert found["images"] == 1
    assert found["mismatches"] == 0
    assert found["exact"] is True
    assert found["build"] == "native"
    for key in ("cycles_model", "cycles_replayed"):
        value = found[key]
        assert isinstance(value, int)
        assert value > 1000
    seconds = found["seconds"]
    assert isinstance(seconds, float)
    assert seconds > 0
    assert found["wrong_steps"] is None
    invocations = found["invocations"]
    assert isinstance(invocations, list)
    assert all(item["replayed"] > 0 for item in invocations)


def test_a_simulation_that_differs_exits_with_1(digits: Path) -> None:
    run = copied(digits)
    succeed("emit-hls", "--weights", "random")
    source = run / "hls" / "src" / "requantize.h"
    text = source.read_text()
    # Halves are now rounded down.
    assert "+ 1) >> 1" in text
    source.write_text(text.replace("+ 1) >> 1", "+ 0) >> 1"))
    result = hao("simulate", "--debug", "--quiet")
    assert result.exit_code == 1
    assert "DIFFERS" in result.stdout
    assert "maps after every step: 0 steps differ" not in result.stdout
    assert result.stderr == ""


def test_lint_exits_with_1_where_it_finds_something(digits: Path) -> None:
    run = copied(digits)
    succeed("emit-hls", "--weights", "random")
    source = run / "hls" / "src" / "engine.cpp"
    source.write_text(source.read_text() + "\nint *leak() { return new int[4]; }\n")
    result = hao("lint", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    schedule = found.pop("schedule")
    assert schedule is None or set(schedule[0]) == {"path", "line", "rule", "message"}
    assert len(found) == 2  # tool generations
    for findings in found.values():
        assert any(item["path"].endswith("engine.cpp") for item in findings)
        assert set(findings[0]) == {"path", "line", "rule", "message"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("emit-hls",), "no weights.npz in it; `hao quantize` makes it"),
        (
            ("emit-hls", "--weights", "none.npz"),
            "none.npz: No such file or directory; not",
        ),
        (("emit-hls", "--weights", "random", "--seed", "-1"), "-1 is not in the range"),
        (("export",), "no weights.npz in it; `hao quantize` makes it"),
        (("export", "--output", "."), ".: a directory; must be a file to write"),
        (("export", "--format", "tflite"), "'tflite' is not 'qonnx'"),
        (("simulate",), "no emitted project in it; `hao emit-hls` makes one"),
        (("simulate", "--images", "0"), "0 is not in the range x>=1"),
        (("simulate", "--build", "rtl"), "'rtl' is not one of 'native', 'ap_int'"),
        (("simulate", "runs/nope"), "runs/nope: no such file; must be a run directory"),
        (("lint",), "no emitted project in it; `hao emit-hls` makes one"),
        (("schedule",), "no emitted project in it; `hao emit-hls` makes one"),
        (("schedule", "runs/nope"), "runs/nope: no such file"),
        (("schedule", "--clock", "0"), "0.0 is not in the range x>0"),
        (("schedule", "--uncertainty", "100"), "100.0 is not in the range 0<=x<100"),
        (("report-hls",), "Missing argument 'RUN'; `main report-hls --help` says"),
        (("report-hls", "runs/digits"), "Missing argument 'REPORTS...'"),
        (("report-hls", "runs/digits", "no.xml"), "no.xml: no such file"),
        (("quantize", "--epochs", "0"), "0 is not in the range x>=1"),
        (("quantize", "--seed", "-1"), "-1 is not in the range x>=0"),
        (("quantize", "--method", "magic"), "'magic' is not one of 'qat', 'ptq'"),
        (
            ("quantize", "--quiet", "--data", "nope"),
            "data set 'nope': no such folder; must be 'digits'",
        ),
        (("quantize", "--quiet", "--weights", "no.onnx"), "no.onnx: no such file"),
        (("quantize", "runs/digits/report.txt"), "not valid JSON"),
        (
            ("prune", "runs/digits", "--fps", "9", "--board", "pynq-z2"),
            "--board pynq-z2: runs/digits has its own, zu3eg; leave it out",
        ),
        (
            ("prune", "runs/digits", "--fps", "9", "--image-size", "32"),
            "--image-size: runs/digits has its own; leave it out",
        ),
    ],
)
def test_commands_to_hardware_refuse_in_one_line(
    digits: Path, words: Sequence[str], message: str
) -> None:
    copied(digits)
    assert message in refused(2, *words)


def test_commands_to_hardware_need_a_run() -> None:
    for command in ("quantize", "export", "emit-hls", "simulate", "lint", "schedule"):
        line = refused(2, command)
        assert "runs: no run in it; `hao search` makes one" in line


def test_a_missing_compiler_exits_with_5(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(digits)
    succeed("emit-hls", "--weights", "random")
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    line = refused(5, "simulate", "--quiet")
    assert line.startswith(
        "/nonexistent/c++: no such program; a C++ compiler is needed"
    )


def test_a_compile_error_exits_with_5_and_names_its_log(digits: Path) -> None:
    run = copied(digits)
    succeed("emit-hls", "--weights", "random")
    (run / "hls" / "src" / "engine.h").write_text("#error spoilt\n")
    result = hao("simulate", "--quiet")
    assert result.exit_code == 5
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert "the native build failed" in lines[0]
    assert lines[0].endswith("see runs/digits/build/native.log")
    assert "spoilt" in (run / "build" / "native.log").read_text()
