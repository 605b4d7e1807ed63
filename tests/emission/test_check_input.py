"""What does not belong together is refused, with the layer and both sides named."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from hao.emission.check_input import check_match
from hao.errors import InputError
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import (
    ActivationKind,
    Add,
    Conv,
    Layer,
    Padding,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.seeded import seeded_integers
from hao.ir.tensor import QType
from tests.cost.samples import conv
from tests.emission.designs import SEEDS, sample, small, small_network
from tests.report.samples import small_design as design_with_quantizer


def integers(network: Network, act_bits: int = 8, **bits: int) -> IntegerNetwork:
    """Return seeded integers, of the small design's bits but for `bits`."""
    scheme = {**small().design.weight_bits, **bits}
    names = {layer.name for layer in network.compute_layers}
    scheme = {name: width for name, width in scheme.items() if name in names}
    return seeded_integers(network, scheme, act_bits=act_bits, seed=0)


def changed(name: str, layer: Layer) -> Network:
    """Return the small network with another layer in place of one."""
    network = small_network()
    layers = tuple(layer if x.name == name else x for x in network.layers)
    return replace(network, layers=layers)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_made_for_each_other_is_accepted(seed: int) -> None:
    check_match(sample(seed).design, sample(seed).net)


def test_activations_and_widths_below_the_engines_are_accepted() -> None:
    stem = small_network().layers[1]
    assert isinstance(stem, Conv)
    relu = replace(stem, activation=ActivationKind.RELU, bias=False)
    check_match(small().design, integers(changed("stem", relu), act_bits=5))


def test_another_number_of_layers_is_refused() -> None:
    network = small_network()
    fewer = replace(network, layers=network.layers[:4])
    message = "network 'small' has 4 layers; the design has 8"
    with pytest.raises(InputError, match=message):
        check_match(small().design, integers(fewer))


def test_another_kernel_is_refused() -> None:
    image = small_network().input
    other = conv(image.ofm, 12, 5, stride=2, padding=Padding.same(5), name="stem")
    with pytest.raises(InputError, match="'stem': not the layer 'stem' of the design"):
        check_match(small().design, integers(changed("stem", other)))


def test_another_frame_is_refused() -> None:
    network = small_network()
    image = replace(network.input, name="picture")
    stem = network.layers[1]
    assert isinstance(stem, Conv)
    stem = replace(stem, input="picture")
    other = replace(network, layers=(image, stem, *network.layers[2:]))
    with pytest.raises(InputError, match="'picture': not the layer 'image'"):
        check_match(small().design, integers(other))


def test_a_sum_of_other_maps_is_refused() -> None:
    # Two maps of one shape: the design adds the first, the integers the second.
    image = small_network().input
    first = conv(image.ofm, 12, 1, name="first")
    second = conv(first.ofm, 12, 1, name="second", source="first")
    third = conv(second.ofm, 12, 1, name="third", source="second")
    here = Add(name="add", inputs=("third", "first"), ofm=third.ofm)
    there = Add(name="add", inputs=("third", "second"), ofm=third.ofm)
    layers = (image, first, second, third)
    designed = Network(name="n", layers=(*layers, here))
    given = Network(name="n", layers=(*layers, there))
    net = seeded_integers(
        given, dict.fromkeys(("first", "second", "third"), 8), act_bits=8, seed=0
    )
    design = small().design
    # Only the layers are compared before anything else, so that the rest may differ.
    loose = object.__new__(type(design))
    for name in ("scheme", "engine", "segments", "board"):
        object.__setattr__(loose, name, getattr(design, name))
    object.__setattr__(loose, "network", designed)
    message = "'add': reads second, third; in the design it reads first, third"
    with pytest.raises(InputError, match=message):
        check_match(loose, net)


def test_layers_that_become_part_of_a_requantization_are_left_out() -> None:
    design = design_with_quantizer()
    network = design.network
    assert any(isinstance(layer, Quantize) for layer in network.layers)
    without: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Quantize):
            continue
        kept = layer
        if isinstance(layer, Add):
            kept = replace(layer, inputs=("reduce", "stem"))
        elif "q" in layer.inputs:
            assert isinstance(layer, Conv)
            kept = replace(layer, input="stem")
        without.append(kept)
    bare = replace(network, layers=tuple(without))
    net = seeded_integers(bare, design.weight_bits, act_bits=8, seed=0)
    check_match(design, net)


def test_other_weight_bits_are_refused() -> None:
    message = "'middle': weights of 7 bits; the design has 6. `hao quantize` makes"
    with pytest.raises(InputError, match=message):
        check_match(small().design, integers(small_network(), middle=7))


def test_wider_activations_are_refused() -> None:
    design = small().design
    narrow = replace(design, engine=replace(design.engine, act_bits=7))
    message = "'image': activations of 8 bits; the engine is built for 7"
    with pytest.raises(InputError, match=message):
        check_match(narrow, small().net)


def test_sums_beyond_the_accumulator_are_refused() -> None:
    net = small().net
    bias = net.param("stem", "bias").copy()
    bias[3] = 2**25 - 1
    params = MappingProxyType({**net.network.params, "stem.bias": bias})
    wide = replace(net, network=replace(net.network, params=params))
    # 27 products of 8 x 8 bits: 8 + 8 + 5 + 1 = 22 bits.
    message = r"'stem': sums from -\d+ to \d+; the accumulators of the dense stage have"
    with pytest.raises(InputError, match=message):
        check_match(small().design, wide)


def test_a_stage_that_the_engine_lacks_is_refused() -> None:
    design = small().design
    lacking = replace(design, engine=replace(design.engine, depthwise=None))
    with pytest.raises(InputError, match="'middle' runs on the depthwise stage, which"):
        check_match(lacking, small().net)


def test_quantizers_of_another_type_do_not_matter() -> None:
    stem = small_network().layers[1]
    assert isinstance(stem, Conv)
    typed = replace(stem, weight=QType(bits=5, signed=True))
    design = replace(small().design, network=changed("stem", typed))
    check_match(design, small().net)


def test_words_that_no_tool_takes_are_refused() -> None:
    design, net = small().design, small().net
    engine = design.engine
    assert engine.depthwise is not None
    assert engine.dense is not None
    # 3 x 4 activations of 8 bits a channel: 96 bits for each of 44.
    wide = replace(engine, depthwise=replace(engine.depthwise, pe=44))
    message = "windows of the depthwise stage have 4224 bits; .* up to 4096"
    with pytest.raises(InputError, match=message):
        check_match(replace(design, engine=wide), net)
    # 2 pixels of 260 channels of 8 bits.
    wide = replace(engine, dense=replace(engine.dense, pe=260, dsp_pairs=0))
    message = "words of the dense stage have 4160 bits; .* up to 4096"
    with pytest.raises(InputError, match=message):
        check_match(replace(design, engine=wide), net)
