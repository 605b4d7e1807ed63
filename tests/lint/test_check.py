"""lint: an engine of two stages is clean; each of many seeded faults is found in place.

A fault is one replacement in the clean sources; its finding must stand on the line that
holds a given fragment, and nothing else may be found.
"""
# ruff: noqa: E501 - the tables of faults read best with one fault a line

import time
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.lint import Finding, LintRule, Tool, lint, render_findings

PRAGMAS = """#ifndef HAO_PRAGMAS_H
#define HAO_PRAGMAS_H
#define HAO_PRAGMA_TEXT(text) _Pragma(#text)
#define HAO_PRAGMA(text) HAO_PRAGMA_TEXT(text)
#ifdef __VITIS_HLS__
#define HAO_LUTRAM(name) HAO_PRAGMA(HLS BIND_STORAGE variable=name type=ram_s2p impl=lutram)
#define HAO_FABRIC(name) HAO_PRAGMA(HLS BIND_OP variable=name op=mul impl=fabric)
#define BIND_DSP(name) HAO_PRAGMA(HLS BIND_OP variable=name op=mul impl=dsp)
#define HAO_PACK(name) HAO_PRAGMA(HLS AGGREGATE variable=name compact=bit)
#else
#define HAO_LUTRAM(name) HAO_PRAGMA(HLS RESOURCE variable=name core=RAM_S2P_LUTRAM)
#define HAO_FABRIC(name) HAO_PRAGMA(HLS RESOURCE variable=name core=Mul_LUT)
#define BIND_DSP(name) HAO_PRAGMA(HLS RESOURCE variable=name core=DSP48)
#define HAO_PACK(name) HAO_PRAGMA(HLS DATA_PACK variable=name)
#endif
#endif
"""
STAGE = """#ifndef STAGE_H
#define STAGE_H
#include <ap_int.h>
#include <hls_stream.h>
#include "pragmas.h"

template <int kLanes> struct beat {
  ap_int<8> lane[kLanes];
};

inline ap_int<16> lut_product(ap_int<8> x, ap_int<8> w) {
#pragma HLS INLINE
  ap_int<16> product = x * w;
  HAO_FABRIC(product)
  return product;
}

inline ap_int<16> dsp_product(ap_int<8> x, ap_int<8> w) {
#pragma HLS INLINE
  const ap_int<16> product = x * w;
  return product;
}

// One output channel per lane; the row stays on chip.
template <int kLanes, int kTerms, int kPixels>
void dense(hls::stream<beat<kLanes> > &in, hls::stream<beat<kLanes> > &out,
           const ap_int<8> weights[kLanes][kTerms]) {
#pragma HLS INLINE off
  ap_int<8> row[kTerms][kLanes];
#pragma HLS ARRAY_PARTITION variable=row complete dim=2
  HAO_LUTRAM(row)
  ap_int<32> sums[kLanes];
#pragma HLS ARRAY_PARTITION variable=sums complete
clear:
  for (int lane = 0; lane < kLanes; ++lane) {
#pragma HLS UNROLL
    sums[lane] = 0;
  }
pixels:
  for (int pixel = 0; pixel < kPixels; ++pixel) {
  terms:
    for (int term = 0; term < kTerms; ++term) {
#pragma HLS PIPELINE II=1
      const beat<kLanes> item = in.read();
      beat<kLanes> result;
      for (int lane = 0; lane < kLanes; ++lane) {
        row[term][lane] = item.lane[lane];
        sums[lane] += lut_product(item.lane[lane], weights[lane][term]);
        result.lane[lane] = sums[lane];
      }
      if (term == kTerms - 1) {
        out.write(result);
      }
    }
  }
}
#endif
"""
ENGINE = """#include <ap_int.h>
#include <hls_stream.h>
#include "stage.h"

static const int kLanes = 4;
static const int kTerms = 16;
static const int kPixels = 64;
typedef ap_int<8> table_t[kLanes][kTerms];

static int halve(int value) {
  return value / 2;
}

static void load(const ap_int<32> *memory, hls::stream<beat<kLanes> > &out, int count) {
  for (int i = 0; i < count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024
#pragma HLS PIPELINE II=1
    const ap_int<32> word = halve(memory[i]);
    beat<kLanes> item;
    for (int lane = 0; lane < kLanes; ++lane) {
      item.lane[lane] = word.range(8 * lane + 7, 8 * lane);
    }
    out.write(item);
  }
}

static void compute(hls::stream<beat<kLanes> > &in, hls::stream<beat<kLanes> > &out) {
  static const table_t weights = {{1}};
#pragma HLS ARRAY_PARTITION variable=weights complete dim=1
  dense<kLanes, kTerms, kPixels>(in, out, weights);
}

static void store(hls::stream<beat<kLanes> > &in, ap_int<32> *memory) {
  ap_int<32> held[2][8];
#pragma HLS ARRAY_PARTITION variable=held cyclic factor=2 dim=2
  HAO_LUTRAM(held)
  for (int i = 0; i < kPixels; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=held inter false
    const beat<kLanes> item = in.read();
    for (int k = 0; k < 2; ++k) {
      held[0][2 * i + k] = item.lane[k];
    }
    memory[i] = halve(dsp_product(item.lane[0], item.lane[1]));
  }
#ifndef __SYNTHESIS__
  printf("stored");
#endif
}

void engine(const ap_int<32> *input, ap_int<32> *output, int count) {
#pragma HLS INTERFACE m_axi port=input offset=slave bundle=in depth=1024
#pragma HLS INTERFACE m_axi port=output offset=slave bundle=out depth=64
#pragma HLS INTERFACE s_axilite port=count
#pragma HLS INTERFACE s_axilite port=return
#pragma HLS DATAFLOW
  hls::stream<beat<kLanes> > pixels("pixels");
#pragma HLS STREAM variable=pixels depth=kTerms
  HAO_PACK(pixels)
  hls::stream<beat<kLanes> > results("results");
#pragma HLS STREAM variable=results depth=2
  load(input, pixels, count);
  compute(pixels, results);
  store(results, output);
}
"""
BENCH = """#include <vector>
#include <cstdio>
#include "stage.h"
int main() {
  std::vector<int> values;
  int *more = new int[4];
  printf("bench");
  return 0;
}
"""
CLEAN = {
    "src/engine.cpp": ENGINE,
    "src/stage.h": STAGE,
    "src/pragmas.h": PRAGMAS,
    "bench.cpp": BENCH,
}
BOTH = (Tool.VIVADO_HLS, Tool.VITIS_HLS)
VIVADO, VITIS = BOTH[:1], BOTH[1:]

E = "src/engine.cpp"
S = "src/stage.h"
HALVE = "  return value / 2;\n"
LOAD = "    beat<kLanes> item;\n"
# file, old text, new text, rule, fragment of the line, tools
FAULTS = [
    (E, "#pragma HLS DATAFLOW", "#pragma HSL DATAFLOW", LintRule.PRAGMA_NAMESPACE, "HSL", BOTH),
    (E, "#pragma HLS DATAFLOW", "#pragma HLS DATAFLOWS", LintRule.PRAGMA_UNKNOWN, "FLOWS", BOTH),
    (S, "HAO_FABRIC(product)", "#pragma HLS RESOURCE variable=product core=Mul_LUT", LintRule.PRAGMA_OBSOLETE, "core=Mul_LUT", VITIS),
    (E, "HAO_PACK(pixels)", "#pragma HLS DATA_PACK variable=pixels", LintRule.PRAGMA_OBSOLETE, "DATA_PACK", VITIS),
    (E, "HAO_PACK(pixels)", "#pragma HLS AGGREGATE variable=pixels", LintRule.PRAGMA_UNKNOWN, "AGGREGATE", VIVADO),
    (S, "row complete dim=2", "row type=complete dim=2", LintRule.PRAGMA_OPTION, "type=complete", VIVADO),
    (E, "results depth=2", "results deep=2", LintRule.PRAGMA_OPTION, "deep=2", BOTH),
    (E, "results depth=2", "results depth=-2", LintRule.PRAGMA_VALUE, "depth=-2", BOTH),
    (E, "depth=kTerms", "depth=kDepth", LintRule.PRAGMA_VALUE, "kDepth", BOTH),
    (S, "INLINE off", "INLINE of", LintRule.PRAGMA_OPTION, "INLINE of", BOTH),
    (S, "variable=row complete", "variable=row cyclic", LintRule.PRAGMA_MISSING, "row cyclic", BOTH),
    (E, "min=1 max=1024", "min=1", LintRule.PRAGMA_MISSING, "TRIPCOUNT", BOTH),
    (E, "min=1 max=1024", "min=9 max=4", LintRule.PRAGMA_VALUE, "TRIPCOUNT", BOTH),
    (E, "m_axi port=input", "maxi port=input", LintRule.PRAGMA_OPTION, "maxi", BOTH),
    (E, "results depth=2", "results depth=2 depth=4", LintRule.PRAGMA_REPEATED, "depth=4", BOTH),
    (E, HALVE, "#pragma HLS UNROLL\n" + HALVE, LintRule.SCOPE_PLACE, "UNROLL", BOTH),
    (E, "static int halve", "#pragma HLS INLINE\nstatic int halve", LintRule.SCOPE_PLACE, "INLINE", BOTH),
    (S, "row complete dim=2", "raw complete dim=2", LintRule.SCOPE_VARIABLE, "raw complete", BOTH),
    (S, "#pragma HLS INLINE off\n", "#pragma HLS INLINE off\n#pragma HLS ARRAY_PARTITION variable=sums complete\n", LintRule.SCOPE_ORDER, "variable=sums", BOTH),
    (E, "#pragma HLS DATAFLOW", "#pragma HLS DATAFLOW\n#pragma HLS PIPELINE", LintRule.SCOPE_CONFLICT, "@last HLS PIPELINE", BOTH),
    (E, HALVE, "#pragma HLS INTERFACE ap_none port=value\n" + HALVE, LintRule.INTERFACE_TOP, "ap_none", BOTH),
    (E, "port=count", "port=counts", LintRule.INTERFACE_PORT, "port=counts", BOTH),
    (S, "sums complete", "sums complete dim=2", LintRule.PARTITION_DIM, "sums complete", BOTH),
    (E, "weights complete dim=1", "weights complete dim=3", LintRule.PARTITION_DIM, "dim=3", BOTH),
    (E, "held cyclic factor=2", "held cyclic factor=16", LintRule.PARTITION_FACTOR, "factor=16", BOTH),
    (E, HALVE, "#pragma HLS ARRAY_PARTITION variable=value complete\n" + HALVE, LintRule.PARTITION_ARRAY, "variable=value", BOTH),
    (E, HALVE, "#pragma HLS STREAM variable=value depth=2\n" + HALVE, LintRule.STREAM_TYPE, "variable=value", BOTH),
    (E, HALVE, "  int *p = new int[4];\n" + HALVE, LintRule.SYNTH_MEMORY, "new int", BOTH),
    (E, HALVE, "  return halve(value - 1);\n", LintRule.SYNTH_RECURSION, "static int halve", BOTH),
    (E, HALVE, "  struct odd { virtual int f(); };\n" + HALVE, LintRule.SYNTH_VIRTUAL, "virtual", BOTH),
    (E, HALVE, "  if (value < 0) throw 1;\n" + HALVE, LintRule.SYNTH_EXCEPTION, "throw", BOTH),
    (E, HALVE, "  std::vector<int> v;\n" + HALVE, LintRule.SYNTH_CONTAINER, "std::vector", BOTH),
    (E, HALVE, "  int (*call)(int) = 0;\n" + HALVE, LintRule.SYNTH_FUNCTION_POINTER, "(*call)", BOTH),
    (E, HALVE, "  int room[value];\n" + HALVE, LintRule.SYNTH_DYNAMIC_ARRAY, "room[", BOTH),
    (E, HALVE, '  printf("x");\n' + HALVE, LintRule.SYNTH_SYSTEM_CALL, 'printf("x")', BOTH),
    (E, HALVE, "  int **p = 0;\n" + HALVE, LintRule.SYNTH_POINTER, "**p", BOTH),
    (E, HALVE, "  goto end;\nend:\n" + HALVE, LintRule.SYNTH_GOTO, "goto", BOTH),
    (E, HALVE, "  while (value > 9) value -= 2;\n" + HALVE, LintRule.LOOP_TRIPCOUNT, "while", BOTH),
    (E, "#pragma HLS LOOP_TRIPCOUNT min=1 max=1024\n", "", LintRule.LOOP_TRIPCOUNT, "i < count", BOTH),
    (E, "  load(input, pixels", "  if (count > 0) load(input, pixels", LintRule.DATAFLOW_FORM, "if (count", BOTH),
    (E, "  store(results, output);", "  store(pixels, output);", LintRule.DATAFLOW_CHANNEL, 'pixels("pixels")', BOTH),
    (E, "  store(results, output);", "  store(results, output);\n  store(results, output);", LintRule.DATAFLOW_ARGUMENT, "@last store(", BOTH),
    (S, "  HAO_FABRIC(product)\n", "", LintRule.MULTIPLY_BINDING, "lut_product(ap", BOTH),
    (S, "  const ap_int<16> product = x * w;\n", "  ap_int<16> product = x * w;\n  HAO_FABRIC(product)\n", LintRule.MULTIPLY_BINDING, "dsp_product(ap", BOTH),
    (S, "  const ap_int<16> product = x * w;\n", "  ap_int<16> product = x * w;\n  BIND_DSP(product)\n", LintRule.MULTIPLY_BINDING, "dsp_product(ap", BOTH),
]  # fmt: skip
# What a fault may bring along: the tool would trip over it again elsewhere.
CONSEQUENCES = {
    LintRule.SYNTAX: {
        *(LintRule.SYNTH_CONTAINER, LintRule.SYNTH_SYSTEM_CALL, LintRule.SYNTH_VIRTUAL),
    },
    LintRule.LOOP_TRIPCOUNT: {LintRule.PRAGMA_MISSING},
    LintRule.DATAFLOW_CHANNEL: {
        *(
            LintRule.DATAFLOW_FORM,
            LintRule.DATAFLOW_CHANNEL,
            LintRule.DATAFLOW_ARGUMENT,
        ),
    },
    LintRule.DATAFLOW_ARGUMENT: {LintRule.DATAFLOW_CHANNEL},
}


def line_with(text: str, fragment: str) -> int:
    """Return the line of a fragment: the first, with `@last` the last, or by name."""
    lines = text.splitlines()
    hits = [at for at, line in enumerate(lines, 1) if fragment in line]
    if fragment.startswith("@last "):
        fragment = fragment.removeprefix("@last ")
        return max(at for at, line in enumerate(lines, 1) if fragment in line)
    return hits[0]


@pytest.mark.parametrize("tool", Tool)
def test_the_engine_is_clean(tool: Tool) -> None:
    assert render_findings(lint(CLEAN, tool=tool)) == ""


@pytest.mark.parametrize("tool", Tool)
@pytest.mark.parametrize(
    ("path", "old", "new", "rule", "fragment", "tools"),
    FAULTS,
    ids=[f"{rule.value}-{index}" for index, (_, _, _, rule, _, _) in enumerate(FAULTS)],
)
def test_a_seeded_fault_is_found_in_its_line(
    path: str,
    old: str,
    new: str,
    rule: LintRule,
    fragment: str,
    tools: tuple[Tool, ...],
    tool: Tool,
) -> None:
    assert CLEAN[path].count(old) >= 1
    text = CLEAN[path].replace(old, new, 1)
    found = lint(CLEAN | {path: text}, tool=tool)
    places = [(item.path, item.line, item.rule) for item in found]
    expected = (path, line_with(text, fragment), rule.value)
    if tool not in tools:
        assert found == ()
        return
    assert places.count(expected) == 1
    others = {LintRule(name) for *place, name in places if (*place, name) != expected}
    assert {
        other for other in others if rule not in CONSEQUENCES.get(other, ())
    } == set()


def test_every_rule_has_a_seeded_fault() -> None:
    assert {rule for _, _, _, rule, _, _ in FAULTS} | {
        LintRule.SYNTAX,
        LintRule.MISSING_HEADER,
    } == set(LintRule)


def found_rules(text: str, tool: Tool = Tool.VITIS_HLS) -> list[str]:
    found = lint({"a.cpp": text}, tool=tool)
    return [f"{item.line}:{item.rule}" for item in found]


def test_code_that_cannot_be_parsed_is_found() -> None:
    assert found_rules("int f() {\n  return 1 +* / 2;\n}\n") == ["2:syntax"]
    assert found_rules("int f() {\n  return 1;\n") == ["2:syntax"]


def test_mutual_recursion_is_found() -> None:
    text = "int g(int);\nint f(int x) { return g(x); }\nint g(int x) { return f(x); }\n"
    assert found_rules(text) == [
        "2:synth-recursion",
        "3:synth-recursion",
    ]


def test_a_folder_is_read_and_its_bench_left_out(tmp_path: Path) -> None:
    for path, text in CLEAN.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    assert lint(tmp_path, tool=Tool.VITIS_HLS) == ()


def test_headers_alone_are_checked() -> None:
    text = STAGE.replace("INLINE off", "INLINE of")
    files = {"stage.h": text, "pragmas.h": PRAGMAS}
    found = lint(files, tool=Tool.VITIS_HLS)
    assert [item.rule for item in found] == ["pragma-option"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no C[+][+] file; give at least one"),
        ({"a.cpp": "#ifdef A\n"}, "a.cpp:1:.* error: unterminated"),
        ({"a.cpp": "#endif\n"}, "a.cpp:1:.* error: #endif without #if"),
        ({"a.cpp": "#if f(\n#endif\n"}, "a.cpp:1:.* error: "),
        ({"a.cpp": "#error no board\n"}, "a.cpp:1:.* error: .*no board"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(
    files: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        lint(files, tool=Tool.VITIS_HLS)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_bytes(b"int x = \xff;")
    with pytest.raises(InputError, match=r"a\.cpp: not UTF-8; convert it"):
        lint(tmp_path, tool=Tool.VITIS_HLS)


def test_a_header_that_the_project_lacks_is_found_where_the_tool_sees_it() -> None:
    text = (
        '#ifndef __SYNTHESIS__\n#include "bench.h"\n#endif\n'
        '#include "ap_int.h"\n  # include "lost/stage.h"\nint f() { return 1; }\n'
    )
    (found,) = lint({"a.cpp": text}, tool=Tool.VITIS_HLS)
    assert (found.line, found.rule) == (5, "missing-header")
    assert found.message == "lost/stage.h: no such file among the sources"


def test_headers_of_the_system_are_not_needed() -> None:
    text = '#include <nowhere.h>\n#include "hls_stream.h"\n#include "b.h"\n'
    deep = {"a/b/c.cpp": '#include "../../inc/b.h"\n', "inc/b.h": "#error b\n"}
    with pytest.raises(InputError, match=r"inc/b\.h:1:.* error: .*b$"):
        lint(deep, tool=Tool.VITIS_HLS)
    files = {"src/a.cpp": text + "int f() { return kOne; }\n", "inc/b.h": "#error b\n"}
    with pytest.raises(InputError, match=r"^inc/b\.h:1:.* error: .*b$"):
        lint(files, tool=Tool.VITIS_HLS)
    assert lint(files | {"inc/b.h": ""}, tool=Tool.VITIS_HLS) == ()


# Declarations before the function, then its body; what is found, by rule.
READINGS = [
    # Names that are constant, through names of types, macros and enumerators.
    ("typedef int row_t[4];\ntypedef row_t map_t[2];", "map_t m;\n{split} dim=2", []),
    ("typedef int row_t[4];\ntypedef row_t map_t[2];", "map_t m;\n{split} dim=3", ["partition-dim"]),
    ("using row_t = int[4];", "row_t m;\n{split} dim=2", ["partition-dim"]),
    ("#define N 4", "int m[N];\n{split} cyclic factor=N", []),
    ("#define N 4", "int m[N];\n{split} cyclic factor=N+1", ["partition-factor"]),
    ("struct s { enum { two = 2, three }; static const int n = three - 2; };", "int m[s::three];\n{split} cyclic factor=s::n", ["partition-factor"]),
    ("const int n = sizeof(long) / 2;", "for (int i = 0; i < n; ++i) x += i;", []),
    ("", "const int n = 8 / 2;\nint m[4];\n{split} block factor=(n == 4 ? 5 : 2)", ["partition-factor"]),
    ("", "const int n = x;\nint m[4];\n{split} block factor=n", ["pragma-value"]),
    ("", "const int n = x;\nint m[n];", ["synth-dynamic-array"]),
    ("", "int m[2 * unknown(3)];", []),
    # Types that stay open, and such that do not.
    ("template <class T>", "T m;\n{split}", []),
    ("", "vendor_t m;\n{split}", []),
    ("", "auto m = x;\n{split}", []),
    ("struct s { int a; };", "s m;\n{split}", ["partition-array"]),
    ("struct s { int a[4]; };", "s m;\n#pragma HLS ARRAY_PARTITION variable=m.a", []),
    ("", "ap_int<4> m;\n{split}", ["partition-array"]),
    ("typedef hls::stream<int> s_t;", "s_t m;\n#pragma HLS STREAM variable=m depth=2", []),
    # Ends of loops.
    ("", "for (int i = 0; 9 > i; ++i) x += i;", []),
    ("", "for (int i = 0; i < 9 && i < x; ++i) x += i;", []),
    ("", "for (int i = 0; i < g(9); ++i) x += i;", ["loop-tripcount"]),
    ("", "for (int i = 0; i < static_cast<int>(9); ++i) x += i;", []),
    ("", "for (int i = 0; i < unknown; ++i) x += i;", ["loop-tripcount"]),
    ("", "do { x += 1; } while (0);", []),
    # A pragma before a body without braces is the tools' to judge.
    ("", "for (int i = 0; i < 9; ++i)\n#pragma HLS LOOP_FLATTEN off\nx += i;", ["scope-place"]),
    # Constants, the first of two options, and pragmas that are off.
    ("", "const int n = n + 1;\nint m[4];\n{split} block factor=n", []),
    ("void g(const int n) { int m[n]; }", "", ["synth-dynamic-array"]),
    ("", "int y = 4;\nint m[y];", ["synth-dynamic-array"]),
    ("", "int m[4];\n{split} cyclic factor=2 factor=9", ["pragma-repeated"]),
    ("", "#pragma HLS PIPELINE off\n#pragma HLS DATAFLOW", []),
    # Channels of one process, and what an unknown function may do with one.
    ("void g(hls::stream<int> &s) { s.write(s.read()); }", "#pragma HLS DATAFLOW\nhls::stream<int> s;\ng(s);", ["dataflow-channel"]),
    ("void w(int a[4]) { a[0] = 1; }\nvoid r(const int a[4]) { unknown(a); }", "#pragma HLS DATAFLOW\nint a[4];\nw(a);\nr(a);", []),
    ("void w(int a[4]) { a[0] = 1; }\nvoid r(int a[4]) { unknown(a); }", "#pragma HLS DATAFLOW\nint a[4];\nw(a);\nr(a);", ["dataflow-channel"]),
    # A method may be called as the function that calls it is.
    ("", "x.f(x);", []),
]  # fmt: skip


@pytest.mark.parametrize(("before", "body", "rules"), READINGS)
def test_code_is_read_as_it_is_meant(before: str, body: str, rules: list[str]) -> None:
    split = "#pragma HLS ARRAY_PARTITION variable=m"
    code = body.replace("{split}", split)
    found = lint(
        {"a.cpp": f"{before}\nvoid f(int x) {{\n{code}\n}}\n"}, tool=Tool.VITIS_HLS
    )
    assert [item.rule for item in found] == rules


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        lint(tmp_path / "none", tool=Tool.VITIS_HLS)


def test_findings_print_one_per_line() -> None:
    found = (Finding("a.cpp", 3, "syntax", "odd"), Finding("b.h", 4, "syntax", "odder"))
    assert render_findings(found) == "a.cpp:3: syntax: odd\nb.h:4: syntax: odder\n"


def test_three_hundred_lines_take_less_than_three_seconds() -> None:
    # 16 copies of the stage: over 700 lines with their headers.
    many = "\n".join(
        STAGE.split("// One output")[1]
        .split("#endif")[0]
        .replace("void dense", f"void dense{index}")
        .join(("// One output", ""))
        for index in range(8)
    )
    text = STAGE.replace("#endif\n", many + "#endif\n")
    start = time.perf_counter()
    lint(
        {"s.h": text, "pragmas.h": PRAGMAS},
        tool=Tool.VITIS_HLS,
    )
    assert len(text.splitlines()) > 300
    assert time.perf_counter() - start < 3.0
