"""Matching by shape and order: every network of the zoo, shortcuts, what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Depthwise, Linear
from hao.ir.network import Network
from hao.quant.matching import folded_parameters, match, stored_layers
from hao.zoo.registry import build_network, network_names

Tensors = dict[str, NDArray[np.generic]]


def no_numbers(*shape: int) -> NDArray[np.float64]:
    """Return zeros that take no memory."""
    return np.broadcast_to(np.zeros(1), shape)


def shape_of(layer: Compute) -> tuple[int, ...]:
    if isinstance(layer, Linear):
        return layer.ofm.channels, layer.ifm.elements
    depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
    return layer.ofm.channels, depth, layer.kernel, layer.kernel


def tensors_of(network: Network) -> Tensors:
    """Return tensors of every layer, a batch norm behind each, named by number."""
    tensors: Tensors = {}
    for number, layer in enumerate(network.compute_layers):
        tensors[f"features.{2 * number}.weight"] = no_numbers(*shape_of(layer))
        if not isinstance(layer, Linear):
            for word in ("weight", "bias", "running_mean", "running_var"):
                key = f"features.{2 * number + 1}.{word}"
                tensors[key] = no_numbers(layer.ofm.channels)
    return tensors


@pytest.mark.parametrize("name", network_names())
def test_every_network_of_the_zoo_is_matched(name: str) -> None:
    network = build_network(name)
    stored = stored_layers(tensors_of(network), by_name=False)
    found = match(network, stored, {}, by_name=False)
    assert found.doubtful == ()
    assert found.unused == ()
    for number, (layer, theirs) in enumerate(found.pairs):
        assert theirs.name == f"features.{2 * number}"
        if not isinstance(layer, Linear):
            assert theirs.norm is not None
            assert theirs.norm.name == f"features.{2 * number + 1}"


def test_shortcuts_go_to_shortcuts() -> None:
    # Keras has the shortcut of a bottleneck before its last convolution, of one shape.
    network = build_network("resnet50")
    tensors: Tensors = {}
    layers = list(network.compute_layers)
    shortcut, last = (
        next(layer for layer in layers if layer.name == f"block1.{word}")
        for word in ("shortcut", "conv3")
    )
    assert shape_of(shortcut) == shape_of(last)
    place = layers.index(last)
    layers.remove(shortcut)
    layers.insert(place, shortcut)
    for layer in layers:
        title = layer.name.replace("shortcut", "0_conv").replace(".", "_")
        tensors[f"{title}.weight"] = no_numbers(*shape_of(layer))
    found = match(network, stored_layers(tensors, by_name=False), {}, by_name=False)
    for layer, theirs in found.pairs:
        title = layer.name.replace("shortcut", "0_conv").replace(".", "_")
        assert theirs.name == title
    assert found.doubtful == ()


def test_layers_that_the_network_does_not_have_are_left_out() -> None:
    network = build_network("digits")
    tensors = tensors_of(network)
    tensors["auxiliary.fc.weight"] = no_numbers(77, 5)
    found = match(network, stored_layers(tensors, by_name=False), {}, by_name=False)
    assert found.unused == ("auxiliary.fc",)


def changed(key: int, *shape: int) -> Tensors:
    tensors = tensors_of(build_network("efficientnet_lite0"))
    name = list(dict.fromkeys(k.rpartition(".")[0] for k in tensors))[key]
    for other in [k for k in tensors if k.startswith(f"{name}.")]:
        del tensors[other]
    place = list(tensors.items())
    place.insert(0 if key == 0 else len(place), (f"{name}.weight", no_numbers(*shape)))
    return dict(place)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(-1, 10, 1280), "it tells 10 classes apart, the network 1000"),
        (changed(-1, 1001, 1280), r"1001 classes apart, the network 1000 \(TF has one"),
        (changed(0, 32, 1, 3, 3), "it reads 1 channels, the network 3"),
        (
            {"conv.weight": no_numbers(16, 3, 3, 3)},
            r"'conv' of the file \(16, 3, 3, 3\); must be of one shape",
        ),
        (changed(0, 32, 3, 5, 5), r"'features.0' of the file \(32, 3, 5, 5\); must be"),
    ],
)
def test_files_of_another_network_are_refused(tensors: Tensors, message: str) -> None:
    network = build_network("efficientnet_lite0")
    with pytest.raises(InputError, match=message):
        match(network, stored_layers(tensors, by_name=False), {}, by_name=False)


def test_layers_too_many_or_too_few_are_refused() -> None:
    network = build_network("digits")
    tensors = tensors_of(network)
    tensors["more.weight"] = tensors["features.0.weight"]
    with pytest.raises(InputError, match="2 layers of the file have weights of shape"):
        match(network, stored_layers(tensors, by_name=False), {}, by_name=False)
    del tensors["more.weight"]
    fewer = {key: array for key, array in tensors.items() if ".2." not in key}
    fewer = {key: array for key, array in fewer.items() if ".3." not in key}
    tensors = fewer
    with pytest.raises(InputError, match="; too few of the file"):
        match(network, stored_layers(tensors, by_name=False), {}, by_name=False)


def test_a_batch_norm_of_tensors_that_disagree_is_refused() -> None:
    tensors = tensors_of(build_network("digits"))
    tensors["features.1.running_var"] = no_numbers(3)
    with pytest.raises(InputError, match=r"'features\.1' of the file: tensors"):
        stored_layers(tensors, by_name=False)


def test_a_bias_of_another_length_is_refused() -> None:
    network = build_network("digits")
    tensors = tensors_of(network) | {"features.0.bias": no_numbers(3)}
    (layer, stored), *_ = match(
        network, stored_layers(tensors, by_name=False), {}, by_name=False
    ).pairs
    with pytest.raises(InputError, match=r"'features\.0' of the file: bias of shape"):
        folded_parameters(layer, stored, 1e-5)


def test_a_batch_norm_without_a_layer_is_refused() -> None:
    tensors: Tensors = {
        "conv.weight": no_numbers(4, 3, 3, 3),
        "bn.running_mean": no_numbers(5),
        "bn.running_var": no_numbers(5),
    }
    with pytest.raises(InputError, match="'bn' of 5 channels follows no layer"):
        stored_layers(tensors, by_name=False)


def safe_order(network: Network) -> Tensors:
    """Return tensors as timm names them, sorted by name as safetensors are."""
    words = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
    tensors: Tensors = {}
    for layer in network.compute_layers:
        block, _, word = layer.name.partition(".")
        title = block.replace("block", "blocks.")
        if word:
            title = f"{title}.0.{words.get(word, word)}"
        tensors[f"{title}.weight"] = no_numbers(*shape_of(layer))
    return dict(sorted(tensors.items()))


@pytest.mark.parametrize("name", ["mobilenet_v2_100", "efficientnet_lite0"])
def test_files_sorted_by_name_are_matched(name: str) -> None:
    network = build_network(name)
    tensors = safe_order(network)
    keys = list(tensors)
    # Alphabetical: block 10 comes before block 2, depthwise before expansion.
    assert keys.index("blocks.10.0.conv_dw.weight") < keys.index(
        "blocks.2.0.conv_dw.weight"
    )
    found = match(network, stored_layers(tensors, by_name=True), {}, by_name=True)
    assert found.doubtful == ()
    for layer, theirs in found.pairs:
        block = layer.name.partition(".")[0].replace("block", "blocks.")
        assert theirs.name.startswith(block)


def test_layers_out_of_order_are_doubtful() -> None:
    network = build_network("resnet8_cifar")
    tensors = tensors_of(network)
    # The two 3x3 convolutions of 16 channels in block 1, the second one first.
    keys = list(tensors)
    turned = [k for k in keys if k.startswith(("features.4.", "features.5."))]
    place = keys.index("features.2.weight")
    others = [k for k in keys if k not in turned]
    order = [*others[:place], *turned, *others[place:]]
    assert order != keys
    stored = stored_layers({key: tensors[key] for key in order}, by_name=False)
    # Only the names differ.
    assert match(network, stored, {}, by_name=False).doubtful == ()
    late = [*others, *turned]
    stored = stored_layers({key: tensors[key] for key in late}, by_name=False)
    assert match(network, stored, {}, by_name=False).doubtful != ()
