"""How much of the space is priced where the smallest engine is sought."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.options.bits import bit_options
from hao.program.field import Field
from hao.program.fit import FEWEST_LUTS
from hao.program.hunt import NO_LIMIT, Counts, Least, Limits
from hao.program.lanes import lane_bounds
from hao.program.problem import Problem
from hao.program.search import find
from hao.program.shapes import lane_blocks
from hao.program.tables import Choice, joined
from hao.program.triples import Sizes
from hao.zoo import build_network


def field_of_zoo(name: str) -> Field:
    network = build_network(name)
    options = bit_options(
        network,
        choices=(8,),
        drop_by_bits={8: 0.1},
        keep_first_last=True,
        two_passes=False,
    )
    return Field(Problem(network=network, options=options, board=load_board("zu3eg")))


@pytest.mark.parametrize("name", ["resnet8_cifar", "digits", "mobilenet_v2_035"])
def test_lane_shapes_by_size_are_all_that_are_in_time(name: str) -> None:
    field = field_of_zoo(name)
    (group, *_) = field.groups(field.widths, NO_LIMIT)
    bounds = lane_bounds(field, group, False)
    limit = 4 * bounds.least
    every = joined(list(bounds.each(limit)), group.roles)
    own = {r: field.lane_measure(group, r, False, FEWEST_LUTS) for r in group.roles}
    blocks = lane_blocks(own, every)
    ends = [-1, *np.quantile(blocks, [0.1, 0.3, 0.7]).astype(int).tolist()]
    found = []
    for above, most in itertools.pairwise([*ends, int(blocks.max())]):
        sizes = Sizes(blocks=own, above=above, most=most)
        some = joined(list(bounds.each(limit, sizes)), group.roles)
        there = lane_blocks(own, some)
        assert there.size
        assert above < there.min()
        assert there.max() <= most
        found.append(some)
    assert rows_of(joined(found, group.roles)) == rows_of(every)


def rows_of(choice: Choice) -> list[tuple[int, ...]]:
    return sorted(zip(choice.pixels, *choice.lanes.values(), strict=True))


def test_of_lane_shapes_that_are_fast_enough_few_are_priced() -> None:
    # At 20 times a bound of the fastest 122,199 lane shapes are in time; what is larger
    # than the smallest design is never priced, and most of it never listed.
    field = field_of_zoo("resnet8_cifar")
    (group, *_) = field.groups(field.widths, NO_LIMIT)
    bounds, counts = lane_bounds(field, group, True), Counts()
    limit = 20 * bounds.least
    in_time = sum(len(some) for some in bounds.each(limit))
    assert find(field, Least.BLOCKS, Limits(cycles=limit), counts=counts) is not None
    assert 0 < counts.priced < in_time // 100


def test_of_as_many_luts_the_fewest_block_rams_are_best() -> None:
    # A LUT is worth more than all 432 block RAMs; DSPs and flip-flops decide
    # nothing.
    few = Resources(dsp=0, bram_18k=52, uram=0, lut=54_140, ff=0)
    more = replace(few, bram_18k=88)
    larger = replace(few, bram_18k=0, lut=54_141)
    all_ = replace(few, bram_18k=432, lut=54_139)
    ordered = [FEWEST_LUTS.of(r) for r in (all_, few, more, larger)]
    assert ordered == sorted(set(ordered))
    assert FEWEST_LUTS.of(replace(few, dsp=320, ff=45_208)) == FEWEST_LUTS.of(few)
