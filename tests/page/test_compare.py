"""Two runs beside each other: figures and differences, as text and as a page."""

from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.page.compare import comparison_page, comparison_rows, render_comparison
from hao.page.files import loaded_pair, write_comparison_page
from hao.page.page import render_page
from hao.runs.records import Records
from hao.runs.run import write_run
from hao.text import WIDTH
from tests.page.html import read
from tests.page.test_page import EVIL
from tests.report.samples import QUANTIZATION, SIMULATION, small_result

RESULT = small_result()
PLAIN = (RESULT, Records())
DONE = (RESULT, Records(quantization=QUANTIZATION, simulation=SIMULATION))


def test_rows_have_both_figures_and_the_difference() -> None:
    board = RESULT.design.board.at_clock(428_570)
    cost = replace(RESULT.cost, clock_khz=428_570, host_us=0)
    fast = replace(RESULT, cost=cost, design=replace(RESULT.design, board=board))
    slow = replace(RESULT, cost=replace(RESULT.cost, host_us=0))
    pair = ((slow, Records()), (fast, Records()))
    rows = {name: rest for name, *rest in comparison_rows(*pair)}
    # Twice the clock: twice the frames, half the time.
    assert rows["clock [MHz]"] == ["214.285", "428.570", "+214.285 (+100.0 %)"]
    assert rows["frames/s"][2].endswith("(+100.0 %)")
    assert rows["engine [ms a frame]"][2].endswith("(-50.0 %)")
    assert rows["cycles"][2] == ""
    assert rows["network"][0] == rows["network"][1] == "small@16"


def test_what_neither_run_knows_is_left_out_and_one_sided_figures_are_not() -> None:
    assert "top-1 integer, measured [%]" not in dict(
        (row[0], row) for row in comparison_rows(PLAIN, PLAIN)
    )
    rows = {row[0]: row[1:] for row in comparison_rows(PLAIN, DONE)}
    assert rows["top-1 integer, measured [%]"] == ("-", "97.22", "")
    assert rows["cycles replayed"] == ("-", "1,300", "")


def test_the_text_keeps_to_the_width_and_tells_equal_names_apart() -> None:
    text = render_comparison(PLAIN, DONE)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "(first)" in text
    assert "(second)" in text


def test_the_page_lists_the_layers_whose_bits_differ() -> None:
    design = RESULT.design
    (name, bits), *_ = design.weight_bits.items()
    changed = dict(design.weight_bits) | {name: 5}
    assert bits != 5
    from hao.ir.change import scheme_of

    other = replace(RESULT, design=replace(design, scheme=scheme_of(changed)))
    found = read(render_page(comparison_page(PLAIN, (other, Records()))))
    assert (found.wrong, found.open) == ([], [])
    assert "Layers whose bits differ" in found.words
    same = read(render_page(comparison_page(PLAIN, DONE)))
    assert "Every layer has the same bits in both" in same.words
    assert set(same.figures) == {"device-chart", "binding-chart"}


def test_networks_that_differ_are_not_compared_by_layer() -> None:
    network = RESULT.design.network
    less = replace(network, layers=network.layers[:1])
    other = replace(RESULT, design=replace(RESULT.design, network=network))
    object.__setattr__(other.design, "network", less)
    page = read(render_page(comparison_page(PLAIN, (other, Records()))))
    assert "The networks differ" in page.words


def test_html_in_names_of_runs_stays_text() -> None:
    evil = replace(RESULT, run=Path(EVIL.replace("/", "_")))
    found = read(render_page(comparison_page((evil, Records()), PLAIN)))
    assert found.count("script") == 3
    assert found.count("img") == 0


def test_pages_of_two_runs_are_written_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for run in (first, second):
        write_run(RESULT, run, force=False)
    path, pair = tmp_path / "page.html", loaded_pair(first, second)
    write_comparison_page(*pair, path, force=False)
    assert "a beside b" in path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"page\.html: exists; `force` replaces it$"):
        write_comparison_page(*pair, path, force=False)
    write_comparison_page(*pair, path, force=True)
    with pytest.raises(InputError, match=r"no such file; must be a run directory"):
        loaded_pair(first, tmp_path / "none")
