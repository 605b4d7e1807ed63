"""Compilers: both lead to equal answers; the analysis' own types compute rightly."""

import importlib.util
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hao.hls.compiler import OLDEST, Clang, clang_version, find_clang
from hao.schedule.analyse import analyse_project
from hao.schedule.compiler import HEADERS
from hao.schedule.project import load_project
from hao.schedule.result import ScheduleReport
from tests.emission.builds import write_sample
from tests.emission.designs import small


def installed_clang() -> Clang | None:
    """Return a clang on PATH, not that of ziglang."""
    for name in ("clang++", *(f"clang++-{n}" for n in range(16, 26))):
        if shutil.which(name) and (clang_version([name]) or 0) >= OLDEST:
            return find_clang(name)
    return None


@pytest.fixture(scope="session")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schedule") / "project"
    write_sample(small(), folder)
    return folder


@pytest.fixture(scope="session")
def report(emitted: Path) -> ScheduleReport:
    return analyse_project(load_project(emitted), clang=find_clang("ziglang"))


def test_every_pipelined_loop_of_an_emitted_project_is_looked_at(
    emitted: Path, report: ScheduleReport
) -> None:
    sources = "".join(path.read_text() for path in (emitted / "src").iterdir())
    assert len(report.loops) >= 15
    assert {(loop.place.path, loop.place.line) for loop in report.loops} == {
        (str(path), line) for path, line in pipelined_lines(emitted / "src")
    }
    assert "PIPELINE" in sources
    assert all(loop.inner == () for loop in report.loops)
    assert all(loop.depth >= 1 and loop.area.lut > 0 for loop in report.loops)


def pipelined_lines(folder: Path) -> set[tuple[Path, int]]:
    """Return the lines of the loops that hold a PIPELINE pragma, read from the text."""
    found = set()
    for path in folder.iterdir():
        lines = path.read_text().splitlines()
        for row, line in enumerate(lines):
            if line.startswith("#pragma HLS PIPELINE"):
                head = next(
                    at
                    for at in range(row, -1, -1)
                    if lines[at].lstrip().startswith(("for (", "while ("))
                )
                found.add((path, head + 1))
    return found


def test_the_arrays_of_an_emitted_project_reach_an_interval_of_one(
    report: ScheduleReport,
) -> None:
    arrays = [loop for loop in report.loops if loop.label == "array"]
    assert {loop.process for loop in arrays} == {
        "dense_array",
        "depthwise_array",
        "pointwise_array",
    }
    for loop in arrays:
        assert loop.recurrences[0].interval == 1
        assert loop.ports.interval == 1
    products = sum(loop.area.dsp + loop.counts.lut_products for loop in arrays)
    # 8 x 4 and 4 x 4 lanes on two pixels, 4 x 3 taps on two: 120 in all, where two
    # products may share a slice.
    assert 60 <= products <= 140


def test_a_second_clang_leads_to_equal_answers(
    emitted: Path, report: ScheduleReport
) -> None:
    clang = installed_clang()
    if clang is None:
        pytest.skip("no clang 16 or later on PATH")
    other = analyse_project(load_project(emitted), clang=clang)
    assert other.compiler != report.compiler
    assert replace(other, compiler="") == replace(report, compiler="")


# ---- Its own ap_int.h ---------------------------------------------------------------

OPERATORS = ("+", "-", "*", "/", "%", "&", "|", "^", "<", ">", "<=", ">=", "==", "!=")


def wrapped(value: int, bits: int, *, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def computed(operator: str, a: int, b: int) -> int:
    if operator in "/%":
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if operator == "/" else a - b * quotient
    return int(eval(f"{a} {operator} {b}"))


def test_the_types_compute_what_the_vendors_documentation_says(tmp_path: Path) -> None:
    # UG1399: results are wide enough for every value of their operands.
    rng = random.Random(0)
    checks, expected = [], []
    for _ in range(120):
        operator = rng.choice(OPERATORS)
        kinds = [(rng.randint(2, 24), rng.random() < 0.5) for _ in range(2)]
        values = [
            wrapped(rng.getrandbits(bits), bits, signed=signed)
            for bits, signed in kinds
        ]
        if operator in "/%" and values[1] == 0:
            values[1] = 1
        names = [
            f"ap_{'int' if signed else 'uint'}<{bits}>({value})"
            for (bits, signed), value in zip(kinds, values, strict=True)
        ]
        checks.append(f"show((long long)({names[0]} {operator} {names[1]}));")
        expected.append(computed(operator, *values))
    checks += [
        "{ ap_uint<40> w = 0; w.range(15, 8) = 0xab; w[0] = 1; w(39, 36) = 5;",
        "  show(w); }",
        "{ const ap_uint<12> w = 0xabc; show(w.range(7, 4)); show(w[2]);",
        "  show(w(11, 8)); }",
        "{ ap_int<4> x = 7; ++x; show(x); x -= 1; show(x); show(-x); show(~x);",
        "  show(x >> 1); }",
        "{ ap_uint<4> h = 9; ap_uint<4> l = 6; show(ap_uint<8>((h, l))); }",
    ]
    expected += [0x500000AB01, 0xB, 1, 0xA, -8, 7, -7, -8, 3, 0x96]
    program = tmp_path / "types.cpp"
    program.write_text(
        '#include <ap_int.h>\nextern "C" int printf(const char *, ...);\n'
        'static void show(long long value) { printf("%lld\\n", value); }\n'
        "int main() {\n" + "\n".join(checks) + "\n}\n"
    )
    # To link, zig would first compile a C++ library (88 s of CPU); g++ has one.
    clang = [sys.executable, "-m", "ziglang", "c++", "-x", "c++", "-std=gnu++14", "-c"]
    checked = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
    made, binary = tmp_path / "types.o", tmp_path / "types"
    command = [*clang, *checked, f"-I{HEADERS}", "-w", str(program), "-o", str(made)]
    subprocess.run(command, check=True)
    subprocess.run(["g++", str(made), "-o", str(binary)], check=True)
    shown = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
    assert [int(line) for line in shown.split()] == expected


def test_ziglang_is_there_for_the_tests() -> None:
    assert importlib.util.find_spec("ziglang") is not None
