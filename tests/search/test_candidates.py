"""Candidates: which blocks they offer to leave out, and what that leaves."""

from dataclasses import replace

from hao.accuracy.drops import load_drop_table
from hao.accuracy.published import published_networks
from hao.hw.board_file import load_board
from hao.program.codesign import choose_fastest
from hao.search.candidates import BitRules, published_candidates
from hao.search.front import front_point
from hao.zoo import build_network
from tests.search.samples import named


def test_networks_without_blocks_keep_all_and_the_others_offer_theirs() -> None:
    known = published_networks()
    some = (known["vgg11", 224], known["resnet18", 224])
    found = published_candidates(some, load_drop_table(), BitRules(block_points=2))
    offered = {c.network.name: c.rules.block_points for c in found}
    assert offered == {"vgg11": None, "resnet18": 2}
    plain = published_candidates(some, load_drop_table(), BitRules())
    assert [c.bound_micro for c in found] == [c.bound_micro for c in plain]


def test_a_block_left_out_costs_its_points_at_both_ends_of_the_interval() -> None:
    digits = named("digits", build_network("digits"), 90.0, {8: 1.0})
    digits = replace(digits, rules=replace(digits.rules, block_points=2))
    report = choose_fastest(digits.problem(load_board("zu3eg")))
    point = front_point(digits, report)
    gone = report.cost_micro // 2_000_000
    assert gone > 0
    assert point.accuracy is not None
    assert point.accuracy.low == 90 - report.cost_micro / 1e6
    assert 90 - 2 * gone - 1 <= point.accuracy.low < 90 - 2 * gone
    assert point.accuracy.high == 90 - 2 * gone
