"""Figures and tables as text."""

import pytest

from hao.text import WIDTH, decimal, text_table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.00"),
        (14.706, "14.71"),
        (0.5, "0.50"),
        (0.096, "0.096"),
        (0.00686, "0.0069"),
        (0.000123, "0.00012"),
    ],
)
def test_a_small_figure_keeps_two_digits(value: float, shown: str) -> None:
    assert decimal(value) == shown


def test_a_name_gives_way_in_a_wide_table_but_stays_readable() -> None:
    name = "depthwise_to_pointwise/regroup"
    short = "depthwise_t..ise/regroup"  # 24 columns
    for cells, shown in ((10, name), (11, short), (20, short)):
        row = (name, *["123456"] * cells)
        line = text_table(("loop", *row[1:]), [row], left={0}).splitlines()[2]
        assert line.split()[0] == shown
        assert (len(line) <= WIDTH) == (cells == 10)


def test_names_begin_and_figures_end_under_each_other() -> None:
    drawn = text_table(("name", "LUT"), [("a", "7"), ("both", "1234")], left={0})
    assert drawn.splitlines() == [
        "name   LUT",
        "----------",
        "a        7",
        "both  1234",
    ]
