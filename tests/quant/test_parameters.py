"""Parameters of one network under the names that another file gives its layers."""

from dataclasses import replace

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.layer import Add, Input, Layer
from hao.ir.network import Network
from hao.quant.parameters import parameters_named_as
from tests.quant.networks import every_kind


def renamed(layer: Layer) -> Layer:
    match layer:
        case Input():
            return replace(layer, name=f"x.{layer.name}")
        case Add():
            first, second = layer.inputs
            both = (f"x.{first}", f"x.{second}")
            return replace(layer, name=f"x.{layer.name}", inputs=both)
        case _:
            return replace(layer, name=f"x.{layer.name}", input=f"x.{layer.input}")


def other_names(network: Network) -> Network:
    layers = tuple(map(renamed, network.layers))
    params = {f"x.{key}": array for key, array in network.params.items()}
    return replace(network, layers=layers, params=params)


def test_layers_of_an_equal_network_are_told_by_their_places() -> None:
    ours = every_kind()
    found = parameters_named_as(other_names(ours), ours)
    assert found.keys() == ours.params.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, ours.params[key])


def test_another_network_is_refused() -> None:
    ours = other_names(every_kind())
    add = next(layer for layer in ours.layers if isinstance(layer, Add))
    turned = replace(add, inputs=add.inputs[::-1])
    layers = tuple(turned if layer is add else layer for layer in ours.layers)
    with pytest.raises(InputError, match=r"not those of network .*; must be a file of"):
        parameters_named_as(replace(ours, layers=layers), every_kind())
