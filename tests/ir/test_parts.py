"""Blocks that other layers may replace: where networks are cut, and how they join."""

import re
from dataclasses import replace

import pytest

from hao.errors import InputError, UnsupportedError
from hao.ir.blocks import with_operations, without_blocks
from hao.ir.layer import Add, Conv, Layer, Quantize
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.parts import replaceable_blocks
from hao.ir.tensor import QType, Shape
from hao.zoo import build_network
from tests.program.instances import Builder

DIGITS = build_network("digits")


def _conv(name: str, source: str, ifm: Shape, channels: int) -> Conv:
    return Conv(
        name=name, input=source, ifm=ifm, ofm=replace(ifm, channels=channels), kernel=1
    )


def test_blocks_are_residual_blocks_and_what_one_run_takes() -> None:
    # Layers 1-3 are block1 (added), 4-6 block2 (stride 2, not added), and so on; the
    # stem reads the frame, the head is averaged, the classifier is linear.
    found = [(b.name, b.entry, b.result) for b in replaceable_blocks(DIGITS)]
    assert found == [
        ("block1.add", "stem", "block1.add"),
        ("block2", "block1.add", "block2.project"),
        ("block3.add", "block2.project", "block3.add"),
        ("block4", "block3.add", "block4.project"),
    ]


def test_a_shortcut_with_a_layer_of_its_own_is_inside() -> None:
    network = build_network("resnet8_cifar")
    (second,) = [b for b in replaceable_blocks(network) if b.name == "block2.add"]
    assert {"block2.shortcut", "block2.conv1", "block2.conv2"} < second.layers


def test_blocks_without_a_name_in_common_are_called_after_their_result() -> None:
    network = build_network("vgg_cifar")
    names = [block.name for block in replaceable_blocks(network)]
    assert names[0] == "group1.2.block" or names[0].endswith(".block")
    assert len(set(names)) == len(names) == 6


def test_every_block_of_the_zoo_can_be_left_out_or_keeps_its_shapes() -> None:
    for name in ("mobilenet_v2_100", "resnet18", "efficientnet_lite0"):
        network = build_network(name)
        blocks = replaceable_blocks(network)
        layers = {layer.name: layer for layer in network.layers}
        same = [b for b in blocks if layers[b.entry].ofm == layers[b.result].ofm]
        smaller = without_blocks(network, same)
        gone = frozenset[str]().union(*(block.layers for block in same))
        assert [layer.name for layer in smaller.layers] == [
            layer.name for layer in network.layers if layer.name not in gone
        ]
        assert partition(smaller).positions


def test_layers_take_the_place_of_a_block_and_read_what_it_read() -> None:
    first, second, third, _ = replaceable_blocks(DIGITS)
    layers: dict[str, Layer] = {layer.name: layer for layer in DIGITS.layers}
    ifm = layers["block2.project"].ofm
    inner = _conv("block3.new.a", "block2.project", ifm, 7)
    outer = _conv("block3.new.b", "block3.new.a", inner.ofm, 24)
    added = Add(
        name="block3.new.add", inputs=("block3.new.b", "block2.project"), ofm=ifm
    )
    half = Conv(
        name="block2.new",
        input="block1.add",
        ifm=layers["block1.add"].ofm,
        ofm=layers["block2.project"].ofm,
        kernel=1,
        stride=2,
    )
    changed = with_operations(
        DIGITS, {third: (inner, outer, added), second: (half,), first: ()}
    )
    reads = {layer.name: layer.inputs for layer in changed.layers}
    assert reads["block2.new"] == ("stem",)
    assert reads["block3.new.a"] == ("block2.new",)
    assert reads["block3.new.add"] == ("block3.new.b", "block2.new")
    assert reads["block4.expand"] == ("block3.new.add",)
    assert not any(name.startswith("block1.") for name in reads)
    assert changed.output == DIGITS.output


def test_layers_of_other_shapes_are_refused() -> None:
    second = replaceable_blocks(DIGITS)[1]
    wrong = _conv("new", "block1.add", Shape(channels=16, height=16, width=16), 24)
    with pytest.raises(InputError, match=r"layer 'block3.expand': IFM .*'new' gives"):
        with_operations(DIGITS, {second: (wrong,)})


def test_a_quantized_network_is_refused() -> None:
    made = Builder(Shape(channels=4, height=6, width=6)).conv(4, 3).conv(4, 3)
    shape, quant_type = made.shape, QType(bits=8, signed=True)
    quant = Quantize(
        name="q",
        input=made.last,
        ifm=shape,
        ofm=shape,
        quant=quant_type,
    )
    network = Network(name="n", layers=(*made.layers, quant))
    with pytest.raises(UnsupportedError, match=re.escape("give the float model")):
        replaceable_blocks(network)
