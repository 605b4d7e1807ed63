"""Recurrences of loops written by hand, against delays added up by hand.

Delays of the xczu3eg -1 [ns]: add of 32 bits 1.19, comparison of 32 bits between 1.15
(28 bits) and 1.26 (52 bits), select of 32 bits 0.52, block RAM 1.35.
"""

from pathlib import Path

import pytest

from hao.schedule.recurrence import IntervalVerdict, Recurrence
from tests.schedule.projects import (
    ZU3EG,
    ZU7EV,
    analyse,
    loop_of,
    only_loop,
    rules,
)

ADD, SELECT, RAM = 1.19, 0.52, 1.35
COMPARE = 1.15 + (1.26 - 1.15) * (32 - 28) / (52 - 28)

SUM = loop_of("sum += in.read(); out.write(sum);", before="int sum = 0;")
WRAP = loop_of(
    "count += in.read(); if (count >= n) count = 0; out.write(count);",
    before="int count = 0;",
)
HISTOGRAM = loop_of("bins[in.read() & 1023] += 1;", before="static int bins[1024];") + (
    "\n"
)


@pytest.mark.parametrize(("part", "nanoseconds"), [(ZU3EG, 1.19), (ZU7EV, 1.01)])
def test_a_sum_needs_one_adder(tmp_path: Path, part: str, nanoseconds: float) -> None:
    loop = only_loop(tmp_path, SUM, part=part)
    assert loop.recurrences[0].least_period == pytest.approx(nanoseconds)
    assert [step.text for step in loop.steps] == ["add of 32 bits"]


def test_a_counter_that_wraps_needs_adder_comparison_and_select(tmp_path: Path) -> None:
    loop = only_loop(tmp_path, WRAP)
    least = loop.recurrences[0].least_period
    assert least == pytest.approx(ADD + COMPARE + SELECT, abs=0.005)
    assert sorted(step.text for step in loop.steps) == [
        "add of 32 bits",
        "compare of 32 bits",
        "select of 32 bits",
    ]


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        ("count < 0", ["add of 32 bits", "select of 32 bits"]),
        ("count < 1", ["add of 32 bits", "compare of 32 bits", "select of 32 bits"]),
    ],
)
def test_the_sign_of_a_number_is_one_of_its_bits(
    tmp_path: Path, condition: str, steps: list[str]
) -> None:
    body = f"count -= in.read(); if ({condition}) count = n; out.write(count);"
    loop = only_loop(tmp_path, loop_of(body, before="int count = 0;"))
    assert sorted(step.text for step in loop.steps) == steps


def test_steps_name_their_lines(tmp_path: Path) -> None:
    loop = only_loop(tmp_path, WRAP)
    lines = (tmp_path / "src" / "top.cpp").read_text().splitlines()
    row = next(at for at, line in enumerate(lines, 1) if "count +=" in line)
    assert {(Path(s.place.path).name, s.place.line) for s in loop.steps} == {
        ("top.cpp", row)
    }


def test_a_narrow_counter_is_as_fast_as_its_bits(tmp_path: Path) -> None:
    # 8 bits: 0.90 ns of adder; the loop's own counter has 4 bits: 0.80.
    source = """
void top(hls::stream<int> &in, hls::stream<int> &out) {
  ap_uint<8> sum = 0;
  for (int i = 0; i < 12; ++i) {
#pragma HLS PIPELINE II=1
    sum += in.read() & 3;
    out.write(sum);
  }
}
"""
    assert only_loop(tmp_path, source).recurrences[0].least_period == pytest.approx(0.9)


def test_a_value_of_two_iterations_ago_has_twice_the_time(tmp_path: Path) -> None:
    body = (
        "const int now = older + in.read(); older = last; last = now; out.write(now);"
    )
    loop = only_loop(tmp_path, loop_of(body, before="int older = 0, last = 0;"))
    # The adder lies on a cycle of two iterations; the loop counter needs 1.19 in one.
    assert loop.recurrences[0].least_period == pytest.approx(ADD)
    chain = body.replace("older + in.read()", "(older + in.read()) * 7 + i")
    loop = only_loop(tmp_path, loop_of(chain, before="int older = 0, last = 0;"))
    assert loop.recurrences[0].distance == 2


def test_a_memory_that_is_read_changed_and_written_has_no_period(
    tmp_path: Path,
) -> None:
    loop = only_loop(tmp_path, HISTOGRAM)
    recurrence = loop.recurrences[0]
    # The read takes a cycle; then comes its output, the adder and the write: 3.89 ns.
    assert recurrence.least_period is None
    assert recurrence.ratio == pytest.approx(1 + (RAM + ADD + RAM) / 3.65, abs=0.005)
    assert recurrence.interval == 3


def test_a_dependence_pragma_is_believed(tmp_path: Path) -> None:
    for pragma, least in [
        ("#pragma HLS DEPENDENCE variable=bins inter false", ADD),
        ("#pragma HLS DEPENDENCE variable=bins inter RAW distance=2 true", 3.89),
    ]:
        source = loop_of(
            "bins[in.read() & 1023] += 1;",
            before="static int bins[1024];",
            pragmas=pragma,
        )
        found = only_loop(tmp_path, source).recurrences[0]
        assert found.least_period == pytest.approx(least, abs=0.005)


def test_addresses_that_never_meet_depend_on_nothing(tmp_path: Path) -> None:
    source = loop_of(
        "line[2 * i] = line[2 * i + 1] + in.read();", before="static int line[1024];"
    )
    assert only_loop(tmp_path, source).recurrences[0].least_period == pytest.approx(ADD)


def test_registers_hand_on_within_the_cycle(tmp_path: Path) -> None:
    source = loop_of(
        "sums[in.read() & 3] += i; out.write(sums[0]);",
        before="int sums[4] = {0, 0, 0, 0};\n"
        "#pragma HLS ARRAY_PARTITION variable=sums complete dim=0",
    )
    recurrence = only_loop(tmp_path, source).recurrences[0]
    # Select one of four, add, and the choice which of them is written.
    assert recurrence.least_period == pytest.approx(SELECT + ADD + SELECT, abs=0.005)


def test_a_division_in_a_recurrence_has_no_period(tmp_path: Path) -> None:
    source = loop_of("x = in.read() / (x | 1); out.write(x);", before="int x = 1;")
    recurrence = only_loop(tmp_path, source).recurrences[0]
    assert recurrence.least_period is None
    # 35 cycles of latency for 32 bits: 34 whole ones and what stands at both ends.
    assert recurrence.interval in (35, 36)


def test_a_branch_is_a_multiplexer_on_its_condition(tmp_path: Path) -> None:
    body = """
    const int word = in.read();
    if (state == 0) { if (word > 5) { state = 1; out.write(word); } }
    else { out.write(state); state = state == 9 ? 0 : state + 1; }
"""
    loop = only_loop(tmp_path, loop_of(body, before="int state = 0;"))
    texts = {step.text.split(" of ")[0] for step in loop.steps}
    assert "select" in texts
    assert (loop.recurrences[0].least_period or 0) > ADD + SELECT


@pytest.mark.parametrize(
    ("ratio", "verdict", "interval"),
    [
        (0.0, IntervalVerdict.FITS, 1),
        (0.89, IntervalVerdict.FITS, 1),
        (0.9, IntervalVerdict.DOUBTFUL, 1),
        (1.1, IntervalVerdict.DOUBTFUL, 2),
        (1.11, IntervalVerdict.FAILS, 2),
        (3.72, IntervalVerdict.FAILS, 4),
    ],
)
def test_bands_of_the_verdict(
    ratio: float, verdict: IntervalVerdict, interval: int
) -> None:
    recurrence = Recurrence(ratio, 1.0, (), 1)
    assert recurrence.verdict() is verdict
    assert recurrence.interval == interval


def test_a_slower_target_is_judged_against_itself() -> None:
    assert Recurrence(1.7, 1.0, (), 1).verdict(2) is IntervalVerdict.FITS
    assert Recurrence(1.9, 1.0, (), 1).verdict(2) is IntervalVerdict.DOUBTFUL
    assert Recurrence(2.3, 1.0, (), 1).verdict(2) is IntervalVerdict.FAILS


@pytest.mark.parametrize(
    ("period_ns", "rule"),
    [(1.4, []), (1.25, ["schedule-doubtful"]), (1.0, ["schedule-recurrence"])],
)
def test_findings_follow_the_clock(
    tmp_path: Path, period_ns: float, rule: list[str]
) -> None:
    # 1.19 ns of adder in a period without uncertainty.
    report = analyse(tmp_path, SUM, period_ns=period_ns, uncertainty=0.0)
    assert rules(report) == rule


def test_both_defaults_are_judged(tmp_path: Path) -> None:
    report = analyse(tmp_path, SUM, period_ns=1.5)
    assert [s.title for s in report.settings] == ["Vitis HLS", "Vivado HLS"]
    budgets = [s.budget_ns for s in report.settings]
    assert budgets == pytest.approx([1.095, 1.3125])
    (loop,) = report.loops
    ratios = [r.ratio for r in loop.recurrences]
    assert ratios == pytest.approx([1.19 / 1.095, 1.19 / 1.3125])


def test_a_word_read_under_a_condition_waits_for_no_more_than_the_condition(
    tmp_path: Path,
) -> None:
    # The FIFO shows its word before it is asked; what counts is the counter itself.
    body = "if (left == 0) left = in.read(); else --left; out.write(left);"
    loop = only_loop(tmp_path, loop_of(body, before="int left = 0;"))
    least = loop.recurrences[0].least_period
    assert least == pytest.approx(max(ADD, COMPARE) + SELECT, abs=0.005)
