"""Which programs compile and preprocess, and what they say of a source they refuse."""

from pathlib import Path

import pytest

from hao.errors import RefusedError, ToolError
from hao.hls.compiler import (
    clang_version,
    find_clang,
    find_preprocessor,
    run_compiler,
)


def test_without_a_clang_one_line_names_both_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("hao.hls.compiler.find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"apt install clang-16.*pip install ziglang"):
        find_clang()


def test_a_clang_that_is_too_old_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "clang++"
    old.write_text("#!/bin/sh\necho Debian clang version 14.0.6\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_clang().title.startswith("ziglang (clang ")
    with pytest.raises(ToolError, match=r"^clang\+\+: no clang 16 or later"):
        find_clang("clang++")
    assert clang_version([str(tmp_path / "none")]) is None


def only(folder: Path, monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Let PATH hold some programs that print the version of clang 17."""
    for name in programs:
        (folder / name).write_text("#!/bin/sh\necho clang version 17.0.1\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_system_s_compiler_preprocesses_before_a_clang(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only(tmp_path, monkeypatch, "g++", "clang++-17")
    assert find_preprocessor() == ("g++",)
    (tmp_path / "g++").unlink()
    assert find_preprocessor() == ("clang++-17",)
    (tmp_path / "clang++-17").unlink()
    assert find_preprocessor()[1:] == ("-m", "ziglang", "c++")
    monkeypatch.setattr("hao.hls.compiler.find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"no C\+\+ compiler .*apt install g\+\+"):
        find_preprocessor()


@pytest.mark.parametrize("command", [None, ("clang++-16",)])
def test_a_refusal_has_its_place(
    tmp_path: Path, command: tuple[str, ...] | None
) -> None:
    source = tmp_path / "a.cpp"
    source.write_text("int x;\n#include <nowhere.h>\n")
    words = command or find_preprocessor()
    if command is not None and clang_version(command) is None:
        pytest.skip("no clang 16")
    with pytest.raises(
        RefusedError, match=r"^it refuses the source: .*a.cpp:2"
    ) as info:
        run_compiler(words, source, ["-E"], title="it")
    assert (info.value.path, info.value.line) == (str(source), 2)
    assert "nowhere.h" in info.value.fault


def test_a_refusal_without_a_place_keeps_its_words() -> None:
    error = RefusedError("exit code 7")
    assert (error.path, error.line, error.fault) == ("", 0, "exit code 7")
    assert str(error) == "exit code 7"
