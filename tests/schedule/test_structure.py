"""The bus, static memories of two processes, and words that are too wide."""

from pathlib import Path

import pytest

from tests.schedule.projects import analyse, rules

BUS = """
void top(const ap_uint<128> *port, hls::stream<ap_uint<128> > &out, int n, int base) {
#pragma HLS INTERFACE m_axi port=port offset=slave bundle=gmem
  %s
  for (int i = 0; i < n; ++i) {
#pragma HLS PIPELINE II=1
    %s
  }
}
"""


@pytest.mark.parametrize(
    ("before", "body", "obstacle"),
    [
        ("", "out.write(port[base + i]);", ""),
        ("", "const ap_uint<128> w = port[i]; if (n > 9) out.write(w);", ""),
        ("", "if (out.full()) out.write(port[base + i]);", "access under a condition"),
        ("", "out.write(port[base + 2 * i]);", "address is not sequential"),
        ("", "out.write(port[i * n]);", "address is not sequential"),
        ("", "out.write(port[base]);", "address does not change"),
        (
            "int at = 0;",
            "out.write(port[at]); if (!out.full()) ++at;",
            "address is not sequential",
        ),
    ],
)
def test_a_burst_needs_every_iteration_and_addresses_in_a_row(
    tmp_path: Path, before: str, body: str, obstacle: str
) -> None:
    report = analyse(tmp_path, BUS % (before, body))
    (loop,) = report.loops
    (access,) = loop.bus
    assert (access.port, access.writes, access.obstacle) == ("port", False, obstacle)
    assert ("schedule-burst" in rules(report)) == bool(obstacle)


def test_writes_to_the_bus_are_looked_at_in_the_process_that_makes_them(
    tmp_path: Path,
) -> None:
    source = """
static void store(ap_uint<128> *to, hls::stream<ap_uint<128> > &in, int n) {
#pragma HLS INLINE off
  for (int i = 0; i < n; ++i) {
#pragma HLS PIPELINE II=1
    const ap_uint<128> word = in.read();
    if (word[0]) to[i] = word;
  }
}
void top(ap_uint<128> *port, hls::stream<ap_uint<128> > &in, int n) {
#pragma HLS INTERFACE m_axi port=port offset=slave bundle=gmem
  store(port, in, n);
}
"""
    (loop,) = analyse(tmp_path, source).loops
    (access,) = loop.bus
    assert (loop.process, access.port, access.writes) == ("store", "port", True)
    assert access.obstacle == "access under a condition"


SHARED = """
template <int N> inline void keep(hls::stream<int> &in, hls::stream<int> &out) {
#pragma HLS INLINE
  static int kept[N];
  for (int i = 0; i < N; ++i) {
#pragma HLS PIPELINE II=1
    out.write(kept[i]);
    kept[i] = in.read();
  }
}
static void first(hls::stream<int> &in, hls::stream<int> &out) { keep<256>(in, out); }
static void second(hls::stream<int> &in, hls::stream<int> &out) { keep<%d>(in, out); }
void top(hls::stream<int> &in, hls::stream<int> &out) {
#pragma HLS DATAFLOW
  hls::stream<int> between("between");
  first(in, between);
  second(between, out);
}
"""


def test_a_static_memory_of_two_processes_is_found(tmp_path: Path) -> None:
    report = analyse(tmp_path, SHARED % 256)
    (finding,) = [f for f in report.findings if f.rule == "schedule-shared-static"]
    assert finding.message.startswith("static kept is reached by first and second;")
    lines = Path(finding.place.path).read_text().splitlines()
    assert "kept[i]" in lines[finding.place.line - 1]


def test_static_memories_of_their_own_are_none(tmp_path: Path) -> None:
    report = analyse(tmp_path, SHARED % 128)
    assert len(report.loops) == 2
    assert "schedule-shared-static" not in rules(report)


WORDS = """
struct word_t {{ ap_uint<{bits}> lane[{lanes}]; }};
static void make(hls::stream<word_t> &out) {{
#pragma HLS INLINE off
  static word_t kept[16];
#pragma HLS AGGREGATE variable=kept compact=bit
  for (int i = 0; i < 16; ++i) {{
#pragma HLS PIPELINE II=1
    out.write(kept[i]);
  }}
}}
static void take(hls::stream<word_t> &in, hls::stream<int> &out) {{
#pragma HLS INLINE off
  for (int i = 0; i < 16; ++i) {{
#pragma HLS PIPELINE II=1
    out.write(in.read().lane[0]);
  }}
}}
void top(hls::stream<int> &out) {{
#pragma HLS DATAFLOW
  hls::stream<word_t> words("words");
  make(words);
  take(words, out);
}}
"""


@pytest.mark.parametrize(
    ("bits", "lanes", "found"),
    [
        (8, 512, []),
        (
            8,
            513,
            ["FIFO words has words of 4104 bits", "memory kept has words of 4104"],
        ),
        # 7 bits each lie in bytes of 8, but count as 7: 4095.
        (7, 585, []),
        (
            7,
            586,
            ["FIFO words has words of 4102 bits", "memory kept has words of 4102"],
        ),
    ],
)
def test_words_are_measured_in_bits_of_hardware(
    tmp_path: Path, bits: int, lanes: int, found: list[str]
) -> None:
    report = analyse(tmp_path, WORDS.format(bits=bits, lanes=lanes))
    messages = [f.message for f in report.findings if f.rule == "schedule-word"]
    assert len(messages) == len(found)
    for start in found:
        assert any(message.startswith(start) for message in messages)
