"""The legend explains the words of a report, and those only."""

from hao.report.tables import render_front, render_invocations, render_summary
from hao.report.terms import TERMS, render_legend
from hao.text import WIDTH
from tests.report.samples import small_result


def test_the_legend_explains_the_words_that_are_used() -> None:
    legend = render_legend("The front: lanes, lanes and by rule; interleaved planes.")
    told = [line for line in legend.splitlines()[2:] if not line.startswith(" ")]
    assert [line.partition("  ")[0] for line in told] == ["front", "by rule", "lanes"]
    assert TERMS["by rule"] in " ".join(legend.split())


def test_a_report_has_words_to_explain_and_the_legend_keeps_its_width() -> None:
    result = small_result()
    report = (
        render_summary(result) + render_invocations(result) + render_front(result.front)
    )
    legend = render_legend(report)
    for word in ("invocation", "binds", "lanes", "roofline", "usable"):
        assert f"\n{word} " in legend
    assert max(map(len, legend.splitlines())) <= WIDTH
