"""Names, sizes and structure of the networks that the zoo builds."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.data import data_path
from hao.errors import InputError
from hao.ir.layer import (
    ActivationKind,
    Add,
    Conv,
    GlobalAveragePool,
    Input,
    Linear,
    Pool,
)
from hao.ir.network import Network
from hao.zoo import ClassSet, Publication, build_network, entry, network_names, zoo_name

SIZE_BOUND = (Publication.VGG, Publication.CIFAR)
"""Families with a member whose classifier needs a map of one size."""

FREE_NAMES = [name for name in network_names() if entry(name).family not in SIZE_BOUND]


def published_sizes() -> list[tuple[str, int]]:
    path = data_path("data", "imagenet_float_accuracy.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return sorted(
            {
                (name, int(row["image_size"]))
                for row in csv.DictReader(file)
                if (name := zoo_name(row["architecture"], row["width"])) is not None
            }
        )


def conv_macs(network: Network) -> int:
    layers = network.compute_layers
    return sum(layer.macs for layer in layers if not isinstance(layer, Linear))


def test_names_are_sorted_unique_and_those_of_the_entries() -> None:
    names = network_names()
    assert list(names) == sorted(set(names))
    assert [entry(name).name for name in names] == list(names)


@pytest.mark.parametrize("name", network_names())
def test_default_size_gives_a_classifier_without_parameters_attached(name: str) -> None:
    known = entry(name)
    network = build_network(name)
    expected_channels = 1 if known.dataset is ClassSet.DIGITS else 3
    expected_classes = 1000 if known.dataset is ClassSet.IMAGENET else 10
    frame = network.input.ofm
    assert (frame.channels, frame.height, frame.width) == (
        expected_channels,
        known.image_size,
        known.image_size,
    )
    output = network.output
    assert isinstance(output, Linear)
    assert (output.name, output.ofm.channels) == ("classifier", expected_classes)
    assert output.activation is ActivationKind.NONE
    assert not network.params
    assert network.name == name


@pytest.mark.parametrize(("name", "size"), published_sizes())
def test_every_published_size_builds_at_that_size(name: str, size: int) -> None:
    assert build_network(name, size).input.ofm.height == size


@pytest.mark.parametrize("name", FREE_NAMES)
def test_twice_the_size_is_four_times_the_macs(name: str) -> None:
    # At a multiple of the total stride every map doubles exactly; a head behind the
    # pool and the classifier see 1x1 maps and stay as they are.
    single, double = build_network(name, 64), build_network(name, 128)
    fixed = sum(
        layer.macs
        for layer in single.compute_layers
        if isinstance(layer, Conv) and layer.ifm.pixels == 1
    )
    assert conv_macs(double) - fixed == 4 * (conv_macs(single) - fixed)


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(FREE_NAMES), size=st.integers(32, 300))
def test_size_changes_no_parameters_and_more_pixels_no_fewer_macs(
    name: str, size: int
) -> None:
    smaller, larger = build_network(name, size), build_network(name, size + 1)
    assert smaller.parameters == larger.parameters == build_network(name).parameters
    assert smaller.macs <= larger.macs


def test_unknown_name_is_refused_with_the_closest() -> None:
    with pytest.raises(
        InputError, match=r"'resnet17' is not in the zoo; did you mean .*"
    ):
        build_network("resnet17")
    with pytest.raises(InputError, match=r"'mobilenetv2_100'.*mobilenet_v2_100"):
        entry("mobilenetv2_100")
    # Of widths, the plain network first.
    with pytest.raises(InputError, match=r"did you mean mobilenet_v2_100, mobile"):
        build_network("mobilenetv2")


def test_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(InputError, match="not in the zoo; `hao networks` lists them"):
        build_network("???")


@pytest.mark.parametrize("size", [-1, 0, 31])
def test_image_below_the_total_stride_is_refused(size: int) -> None:
    message = f"mobilenet_v2_100: image size {size}; must be at least 32, the total"
    with pytest.raises(InputError, match=message):
        build_network("mobilenet_v2_100", size)


def test_image_at_the_total_stride_leaves_one_pixel() -> None:
    network = build_network("mobilenet_v2_100", 32)
    (pool,) = (one for one in network.layers if isinstance(one, GlobalAveragePool))
    assert pool.ifm.pixels == 1


def test_size_that_a_classifier_cannot_take_is_refused() -> None:
    message = (
        r"vgg16: image size 192: layer 'fc1' needs a 7x7 map, gets 6x6; the default"
    )
    with pytest.raises(InputError, match=message):
        build_network("vgg16", 192)


def test_unpadded_network_refuses_an_image_that_a_window_does_not_fit() -> None:
    with pytest.raises(
        InputError, match="cnv_cifar: image size 12: a 3x3 window does not"
    ):
        build_network("cnv_cifar", 12)


def test_timm_and_slim_names_of_one_network_agree() -> None:
    assert zoo_name("mobilenetv2_100") == zoo_name("mobilenet_v2", "1.0")
    assert zoo_name("tf_efficientnet_lite0") == zoo_name("efficientnet_lite0")
    assert zoo_name("vgg16_bn") == zoo_name("vgg16") == "vgg16"


@pytest.mark.parametrize(
    ("architecture", "width"),
    [("regnetx_002", ""), ("mobilenet_v2", "0.1"), ("resnet18", "1.0"), ("", "")],
)
def test_what_the_zoo_lacks_has_no_name(architecture: str, width: str) -> None:
    assert zoo_name(architecture, width) is None


def test_inverted_residual_block_worked_by_hand() -> None:
    # Third block of MobileNetV2 1.0 at 224: 24 channels, 56x56, expansion 6, an add.
    network = build_network("mobilenet_v2_100")
    block = [layer for layer in network.layers if layer.name.startswith("block3.")]
    assert [layer.name for layer in block] == [
        "block3.expand",
        "block3.depthwise",
        "block3.project",
        "block3.add",
    ]
    assert [layer.ofm.channels for layer in block] == [144, 144, 24, 24]
    assert {layer.ofm.height for layer in block} == {56}
    add = block[-1]
    assert isinstance(add, Add)
    assert add.inputs == ("block3.project", "block2.project")
    assert add.activation is ActivationKind.NONE


def test_basic_block_with_shortcut_worked_by_hand() -> None:
    # Third block of ResNet-18: 64 to 128 channels, stride 2, ReLU behind the add.
    layers = {layer.name: layer for layer in build_network("resnet18").layers}
    add, shortcut = layers["block3.add"], layers["block3.shortcut"]
    assert isinstance(add, Add)
    assert isinstance(shortcut, Conv)
    assert add.inputs == ("block3.conv2", "block3.shortcut")
    assert add.activation is ActivationKind.RELU
    assert shortcut.input == "block2.add"
    assert (shortcut.kernel, shortcut.stride) == (1, 2)
    assert shortcut.activation is ActivationKind.NONE


def test_resnet_begins_with_7x7_and_a_padded_3x3_max_pool() -> None:
    image, stem, pool = build_network("resnet50").layers[:3]
    assert isinstance(image, Input)
    assert isinstance(stem, Conv)
    assert isinstance(pool, Pool)
    assert (stem.kernel, stem.ofm.height) == (7, 112)
    assert (pool.kernel, pool.stride, pool.ofm.height) == (3, 2, 56)


@pytest.mark.parametrize(
    ("name", "adds"),
    [
        # Blocks with stride 1 that keep their channels.
        ("mobilenet_v1_100", 0),
        ("mobilenet_v2_100", 10),  # 1 + 2 + 3 + 2 + 2
        ("mobilenet_v3_large_minimal", 10),  # with the first block, 16 to 16
        ("mobilenet_v4_conv_small", 10),  # 5 + 5
        ("resnet50", 16),  # one per block
        ("repvgg_a0", 0),
        ("digits", 2),
    ],
)
def test_number_of_adds(name: str, adds: int) -> None:
    layers = build_network(name).layers
    assert sum(isinstance(layer, Add) for layer in layers) == adds


def test_head_of_mobilenet_v4_sees_the_pooled_map() -> None:
    names = [layer.name for layer in build_network("mobilenet_v4_conv_medium").layers]
    assert names[-4:] == ["last", "pool", "head", "classifier"]
