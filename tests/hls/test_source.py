"""The reader of preprocessed sources: places, pragmas, and the braces around them."""

import pytest

from hao.hls.source import pragmas_of, read_source

TEXT = """# 1 "a.cpp"
# 1 "b.h" 1
struct s {
# 7 "b.h"
#pragma HLS PIPELINE II=2 rewind ii=3
};
# 2 "a.cpp" 2
void f() { g("}{", '{');
  {
#pragma hls Stream variable=in.data depth=4
#pragma omp parallel
  }
}
#pragma HLS
"""


def test_pragmas_have_their_place_and_the_braces_around_them() -> None:
    source = read_source(TEXT)
    first, second, nameless = source.pragmas
    assert (first.kind, first.path, first.line) == ("pipeline", "b.h", 7)
    assert first.braces == (("b.h", 1),)
    assert first.items == (("ii", "2"), ("rewind", ""), ("ii", "3"))
    assert first.options == {"ii": "2", "rewind": ""}
    assert (first.number("ii", 1), first.number("rewind", 1)) == (2, 1)
    assert (second.path, second.line) == ("a.cpp", 4)
    assert second.braces == (("a.cpp", 2), ("a.cpp", 3))
    assert second.variable == "in"
    assert (nameless.kind, nameless.braces) == ("", ())
    assert pragmas_of(source.pragmas, "stream", "inline") == [second]
    for item in source.pragmas:
        assert source.places[item.row] == (item.path, item.line)
        assert source.lines[item.row].lower().startswith("#pragma hls")
    assert [line for line in source.lines if line.startswith("# ")] == []


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("min = a* b max=c * (d + 1)", [("min", "a* b"), ("max", "c * (d + 1)")]),
        ("variable=w inter false", [("variable", "w"), ("inter", ""), ("false", "")]),
        ('port=a bundle="x y" off', [("port", "a"), ("bundle", "x y"), ("off", "")]),
        ("factor =S::n<3>+1 depth=-3", [("factor", "S::n<3>+1"), ("depth", "-3")]),
        ("ports={a, b} compact=bit", [("ports", "{a, b}"), ("compact", "bit")]),
    ],
)
def test_options_are_read_as_written(text: str, items: list[tuple[str, str]]) -> None:
    (pragma,) = read_source(f"#pragma HLS X {text}\n").pragmas
    assert list(pragma.items) == items
