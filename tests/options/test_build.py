"""The frame of networks in which blocks may be replaced."""

import pytest

from hao.errors import InputError
from hao.ir.change import Bits, Keep, LeaveOut, Replace
from hao.ir.layer import Conv, Padding
from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.options.build import build_frame
from hao.options.option import Option
from tests.program.instances import Builder


def _network() -> Network:
    made = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3)
    start = made.last
    return made.conv(4, 3).add(start).conv(4, 3).network()


def _bits(network: Network) -> list[Option]:
    return [
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    ]


def _convs(count: int) -> tuple[Conv, ...]:
    shape, layers = Shape(channels=4, height=6, width=6), []
    for number in range(count):
        layers.append(
            Conv(
                name=f"new{count}.{number}",
                input=f"new{count}.{number - 1}" if number else "l1",
                ifm=shape,
                ofm=shape,
                kernel=3,
                padding=Padding.same(3),
            )
        )
    return tuple(layers)


def _option(change: Keep | Replace, cost: int = 0) -> Option:
    return Option(layer="l3", change=change, cost_micro=cost)


def test_a_block_gets_as_many_positions_as_the_most_layers_in_its_place() -> None:
    network = _network()  # positions 0: l1, 1: the block l2 + l3, 2: l4
    changes = [
        Replace(operation=f"convs{n}", layers=_convs(n), weight_bits=4) for n in (1, 3)
    ]
    options = [_option(Keep()), *(_option(change, 5) for change in changes)]
    frame = build_frame(network, _bits(network) + options)
    # The block now covers positions 1 to 3, and l4 the position behind.
    assert frame.positions == 5
    assert [(s.names, s.first, s.last) for s in frame.sites] == [
        (("l1",), 0, 0),
        (("l2",), 1, 1),
        (("l4",), 4, 4),
        (("l3",), 1, 3),
    ]
    spans = {
        (step.start, step.end, variant.choice)
        for step in frame.steps
        for variant in step.variants
        if step.sites == (3,)
    }
    assert spans == {(1, 3, (1,)), (1, 1, (2,)), (2, 2, (2,)), (3, 3, (2,))}
    assert {
        variant.run.bits
        for step in frame.steps
        for variant in step.variants
        if step.sites == (3,) and variant.run is not None
    } == {(4,)}


def test_the_changed_network_has_the_layers_in_place_of_the_block() -> None:
    network = _network()
    change = Replace(operation="convs3", layers=_convs(3), weight_bits=4)
    options = [_option(Keep()), _option(change, 5)]
    frame = build_frame(network, _bits(network) + options)
    runs = [
        next(
            v.run.invocation
            for s in frame.steps
            for v in s.variants
            if s.start == place
            and v.run is not None
            and (s.sites == (3,) or place in (0, 4))
        )
        for place in range(5)
    ]
    changed, scheme, segments = frame.changed((0, 0, 0, 1), runs)
    assert [layer.name for layer in changed.compute_layers] == [
        "l1",
        "new3.0",
        "new3.1",
        "new3.2",
        "l4",
    ]
    assert scheme["l3"] == change
    assert scheme["new3.1"] == Bits(weight_bits=4)
    assert "l2" not in scheme
    assert [(s.start, s.end) for s in segments] == [(n, n) for n in range(5)]


def test_a_lone_layer_may_be_left_out_without_an_operation_on_offer() -> None:
    made = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3).conv(4, 3)
    network = made.conv(8, 3).network()
    options = [
        Option(layer="l2.block", change=change, cost_micro=cost)
        for change, cost in ((Keep(), 0), (LeaveOut(), 5))
    ]
    frame = build_frame(network, _bits(network) + options)
    runs = [s.variants[0].run for s in frame.steps if s.start in (0, 2)]
    kept = [run.invocation for run in runs if run is not None]
    changed, scheme, _ = frame.changed((0, 0, 0, 1), kept)
    assert [layer.name for layer in changed.compute_layers] == ["l1", "l3"]
    assert scheme["l2.block"] == LeaveOut()


def test_a_block_that_the_network_lacks_is_refused() -> None:
    network = _network()
    change = Replace(operation="convs1", layers=_convs(1), weight_bits=4)
    unknown = Option(layer="nobody", change=change, cost_micro=0)
    with pytest.raises(InputError, match="block 'nobody': network 'random' has no su"):
        build_frame(network, [*_bits(network), unknown])


def test_an_operation_without_layers_or_with_too_many_bits_is_refused() -> None:
    with pytest.raises(InputError, match="operation 'none': no layers"):
        Replace(operation="none", layers=(), weight_bits=4)
    with pytest.raises(InputError, match="weight_bits = 9; must be from 2 to 8"):
        Replace(operation="one", layers=_convs(1), weight_bits=9)
