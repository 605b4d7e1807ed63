"""Ports, depth, area and facts of loops written by hand."""

from pathlib import Path

import pytest

from tests.schedule.projects import analyse, loop_of, only_loop, rules

FOUR_READS = "out.write(line[i] + line[i + 100] + line[i + 200] + line[i + 300]);"


def test_two_ports_give_two_accesses_a_cycle(tmp_path: Path) -> None:
    source = loop_of(FOUR_READS, before="static int line[1024];")
    source = source.replace("out.write", "line[i] = in.read(); out.write")
    ports = only_loop(tmp_path, source).ports
    # One write, and reads of three other words; the fourth reads what is written.
    assert (ports.variable, ports.interval) == ("line", 2)
    assert ports.reads + ports.writes == 4


def test_cyclic_banks_share_the_accesses(tmp_path: Path) -> None:
    source = """
void top(hls::stream<int> &in, hls::stream<int> &out) {
  static int line[1024];
#pragma HLS ARRAY_PARTITION variable=line cyclic factor=4 dim=1
  for (int i = 0; i < 1000; i += 4) {
#pragma HLS PIPELINE II=1
    line[i] = in.read();
    out.write(line[i + 1] + line[i + 2] + line[i + 3]);
  }
}
"""
    assert only_loop(tmp_path, source).ports.interval == 1
    undivided = source.replace("#pragma HLS ARRAY_PARTITION", "// ")
    ports = only_loop(tmp_path, undivided).ports
    assert (ports.interval, ports.reads, ports.writes) == (2, 3, 1)


def test_branches_that_exclude_each_other_share_a_port(tmp_path: Path) -> None:
    body = """
    const int key = in.read();
    if (key & 1) out.write(line[key & 511] + line[(key >> 1) & 511]);
    else line[key & 511] = key;
"""
    source = loop_of(body, before="static int line[1024];")
    assert only_loop(tmp_path, source).ports.interval == 1
    together = source.replace("else line", "line")
    assert only_loop(tmp_path, together).ports.interval == 2


def test_a_memory_of_one_read_port(tmp_path: Path) -> None:
    body = (
        "line[i & 511] = in.read(); out.write(line[i * 3 & 511] + line[i * 5 & 511]);"
    )
    before = "static int line[1024];\n#pragma HLS BIND_STORAGE variable=line type={}"
    for kind, interval in [("ram_s2p", 2), ("ram_1wnr", 1), ("ram_1p", 3)]:
        source = loop_of(body, before=before.format(kind))
        assert only_loop(tmp_path, source).ports.interval == interval


def test_a_fifo_gives_one_word_a_cycle(tmp_path: Path) -> None:
    loop = only_loop(tmp_path, loop_of("out.write(in.read() + in.read());"))
    assert (loop.ports.variable, loop.ports.interval) == ("FIFO in", 2)
    either = loop_of("if (i & 1) out.write(in.read()); else out.write(-in.read());")
    assert only_loop(tmp_path, either).ports.interval == 1


def test_ports_are_a_finding_apart_from_recurrences(tmp_path: Path) -> None:
    report = analyse(tmp_path, loop_of("out.write(in.read() + in.read());"))
    assert rules(report) == ["schedule-ports"]


def test_a_target_that_the_ports_allow_is_no_finding(tmp_path: Path) -> None:
    source = loop_of("out.write(in.read() + in.read());").replace("II=1", "II=2")
    assert rules(analyse(tmp_path, source)) == []


def test_a_division_is_found_with_its_depth(tmp_path: Path) -> None:
    report = analyse(tmp_path, loop_of("out.write(in.read() / n);"))
    (loop,) = report.loops
    assert (loop.counts.dividers, loop.counts.constant_dividers) == (1, 0)
    assert loop.depth >= 32 + 3
    assert "schedule-divider" in rules(report)


def test_a_division_by_a_constant_is_no_divider(tmp_path: Path) -> None:
    report = analyse(tmp_path, loop_of("out.write(in.read() / 5);"))
    (loop,) = report.loops
    assert (loop.counts.dividers, loop.counts.constant_dividers) == (0, 1)
    assert rules(report) == []


def test_depth_counts_cycles_of_chained_operators(tmp_path: Path) -> None:
    # A budget of 3.65 ns at 5 ns and 27 %: FIFO read 1.555 + two adders, then the rest.
    chain = "x = ((x ^ 5) + n) ^ (x >> 3); x = ((x ^ 9) + i) ^ (x >> 2);"
    short = only_loop(tmp_path, loop_of("int x = in.read(); out.write(x);"))
    long = only_loop(
        tmp_path, loop_of(f"int x = in.read(); {chain} {chain} {chain} out.write(x);")
    )
    assert short.depth < long.depth <= short.depth + 4


@pytest.mark.parametrize(
    ("left", "right", "dsp", "in_luts"),
    [(8, 8, 0, 1), (12, 12, 1, 0), (18, 27, 1, 0), (32, 32, 3, 0)],
)
def test_products_go_where_the_tool_puts_them(
    tmp_path: Path, left: int, right: int, dsp: int, in_luts: int
) -> None:
    source = loop_of(
        f"const ap_int<{left}> a = in.read(); const ap_int<{right}> b = in.read();"
        "out.write(int(a * b));"
    )
    loop = only_loop(tmp_path, source)
    assert (loop.area.dsp, loop.counts.lut_products) == (dsp, in_luts)


@pytest.mark.parametrize(("impl", "dsp"), [("dsp", 1), ("fabric", 0)])
def test_a_product_goes_where_a_pragma_binds_it(
    tmp_path: Path, impl: str, dsp: int
) -> None:
    source = loop_of(
        "const ap_int<8> a = in.read(); const ap_int<8> b = n;\n"
        "    const ap_int<16> product = a * b;\n"
        f"#pragma HLS BIND_OP variable=product op=mul impl={impl}\n"
        "    out.write(product);"
    )
    assert only_loop(tmp_path, source).area.dsp == dsp


def test_area_grows_with_the_operators(tmp_path: Path) -> None:
    one = only_loop(tmp_path, loop_of("out.write(in.read() + n);")).area
    two = only_loop(tmp_path, loop_of("out.write((in.read() + n) ^ (n + i));")).area
    # csynth prints 39 LUTs for an adder of 32 bits, and 32 for the logic.
    assert two.lut - one.lut == pytest.approx(39 + 32, abs=1)


def test_wide_shifters_and_multiplexers_are_named(tmp_path: Path) -> None:
    source = """
void top(hls::stream<ap_uint<256> > &in, hls::stream<int> &out, int n) {
  for (int i = 0; i < n; ++i) {
#pragma HLS PIPELINE II=1
    const ap_uint<256> word = in.read() >> (i & 255);
    int lanes[32];
#pragma HLS ARRAY_PARTITION variable=lanes complete dim=0
    for (int k = 0; k < 32; ++k) lanes[k] = word.range(8 * k + 7, 8 * k);
    out.write(lanes[i & 31]);
  }
}
"""
    report = analyse(tmp_path, source)
    (loop,) = report.loops
    assert loop.counts.shifters == (256,)
    assert loop.counts.multiplexers == (32,)
    assert "schedule-shifter" in rules(report)


def test_a_loop_that_cannot_be_unrolled_is_found(tmp_path: Path) -> None:
    source = loop_of(
        "int x = in.read(); for (int k = 0; k < n; ++k) x ^= in.read(); out.write(x);"
    )
    report = analyse(tmp_path, source)
    assert "schedule-inner-loop" in rules(report)
    fixed = source.replace("k < n", "k < 4")
    assert "schedule-inner-loop" not in rules(analyse(tmp_path, fixed))


def test_loops_of_called_functions_are_unrolled_too(tmp_path: Path) -> None:
    source = """
inline int many(hls::stream<int> &in) {
  int x = 0;
  for (int k = 0; k < 4; ++k) x ^= in.read();
  return x;
}
""" + loop_of("out.write(many(in));")
    loop = only_loop(tmp_path, source)
    assert loop.inner == ()
    assert loop.ports.interval == 4


def test_floats_are_counted_not_timed(tmp_path: Path) -> None:
    report = analyse(tmp_path, loop_of("out.write(int(in.read() * 1.5f));"))
    (loop,) = report.loops
    assert loop.counts.floats == 3
    assert rules(report) == ["schedule-float"]


def test_loops_have_their_labels_and_places(tmp_path: Path) -> None:
    source = loop_of("out.write(in.read());").replace("for (int i", "copy: for (int i")
    loop = only_loop(tmp_path, source)
    assert (loop.process, loop.label, Path(loop.place.path).name) == (
        *("top", "copy"),
        "top.cpp",
    )
    assert (
        "copy:" in Path(loop.place.path).read_text().splitlines()[loop.place.line - 1]
    )


def test_a_loop_that_is_not_pipelined_is_left_out(tmp_path: Path) -> None:
    source = loop_of("out.write(in.read());")
    for pragma in ("#pragma HLS PIPELINE off", "#pragma HLS LOOP_TRIPCOUNT max=4"):
        other = source.replace("#pragma HLS PIPELINE II=1", pragma)
        assert analyse(tmp_path, other).loops == ()


def test_conditions_on_one_value_exclude_each_other(tmp_path: Path) -> None:
    # The second branch is not the other side of the first, yet both never happen.
    body = """
    const int key = in.read();
    if ((n & 255) == 1) { line[key & 511] = key; if (key > 9) out.write(key); }
    if ((n & 255) == 2) { line[(key >> 1) & 511] = i; out.write(line[i & 511]); }
"""
    source = loop_of(body, before="static int line[1024];")
    ports = only_loop(tmp_path, source).ports
    assert (ports.interval, ports.variable) == (1, "")
    either = source.replace("== 2", "!= 7")
    assert only_loop(tmp_path, either).ports.interval == 2
