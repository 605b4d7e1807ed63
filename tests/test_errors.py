"""The tree of errors: exit codes, what each carries, and that the tree is whole."""

import pickle
import re
from pathlib import Path

import pytest

import hao.errors
from hao.errors import (
    ArgumentError,
    HaoError,
    InfeasibleError,
    InputError,
    RefusedError,
    SolverError,
    ToolError,
    UnsupportedError,
    WorkLimitError,
)

EXIT_CODES = {
    InputError: 2,
    ArgumentError: 2,
    RefusedError: 2,
    UnsupportedError: 2,
    InfeasibleError: 3,
    SolverError: 4,
    WorkLimitError: 4,
    ToolError: 5,
}


@pytest.mark.parametrize(("error", "code"), EXIT_CODES.items())
def test_exit_code(error: type[HaoError], code: int) -> None:
    assert error.exit_code == code
    assert issubclass(error, HaoError)


def test_the_docstring_shows_every_error_with_its_code() -> None:
    shown = re.findall(r"-- (\w+).*?(\d)", hao.errors.__doc__ or "")
    expected = [(error.__name__, str(code)) for error, code in EXIT_CODES.items()]
    assert shown == expected


def test_no_error_is_defined_elsewhere() -> None:
    package = Path(hao.errors.__file__).parent
    pattern = re.compile(r"^class \w+\((?:\w*Error|Exception|HaoError)\b", re.M)
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"errors.py"}


def test_input_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="boards/demo"):
        raise InputError("boards/demo.toml: ddr.width_bits = 48")


def test_infeasible_error_carries_its_conflicts() -> None:
    error = InfeasibleError("no design", conflicts=("dsp", "fps"))
    assert error.conflicts == ("dsp", "fps")
    assert str(error) == "no design"
    assert InfeasibleError("no design").conflicts == ()


def test_tool_error_carries_command_and_log() -> None:
    error = ToolError("g++ failed", command=("g++", "a.cpp"), log_path=Path("a.log"))
    assert error.command == ("g++", "a.cpp")
    assert error.log_path == Path("a.log")
    assert ToolError("x", command=()).log_path is None


def test_errors_survive_the_way_from_a_worker() -> None:
    infeasible = pickle.loads(pickle.dumps(InfeasibleError("no", conflicts=("dsp",))))
    assert infeasible.conflicts == ("dsp",)
    tool = ToolError("g++ failed", command=("g++",), log_path=Path("a.log"))
    copied = pickle.loads(pickle.dumps(tool))
    assert (str(copied), copied.command) == ("g++ failed", ("g++",))
    assert copied.log_path == Path("a.log")
