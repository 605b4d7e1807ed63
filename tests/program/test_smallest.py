"""How much of the space is priced where the smallest engine is sought."""

from hao.hw.board_file import load_board
from hao.options.bits import bit_options
from hao.program.field import Field
from hao.program.hunt import NO_LIMIT, Counts, Least, Limits
from hao.program.lanes import lane_bounds
from hao.program.problem import Problem
from hao.program.search import find
from hao.zoo import build_network


def test_of_lane_shapes_that_are_fast_enough_few_are_priced() -> None:
    # At 20 times a bound of the fastest 122,199 lane shapes are in time; what is larger
    # than the smallest design is never priced: 529 are. Before lane shapes were sorted
    # by their blocks, all of them were.
    network = build_network("resnet8_cifar", 32)
    options = bit_options(
        network,
        choices=(8,),
        drop_by_bits={8: 0.1},
        keep_first_last=True,
        two_passes=False,
    )
    field = Field(Problem(network=network, options=options, board=load_board("zu3eg")))
    (group, *_) = field.groups(field.widths, NO_LIMIT)
    bounds, counts = lane_bounds(field, group, True), Counts()
    limit = 20 * bounds.least
    in_time = sum(len(some) for some in bounds.each(limit))
    assert find(field, Least.BLOCKS, Limits(cycles=limit), counts=counts) is not None
    assert 0 < counts.priced < in_time // 100
