"""Network: its counts, and every refusal of a network that cannot run."""

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.layer import Activation, ActivationKind, Add, Conv, Input, Layer, Linear
from hao.ir.network import Network
from hao.ir.tensor import Shape

IFM = Shape(channels=3, height=4, width=4)
OFM = Shape(channels=5, height=4, width=4)


def relu(name: str, source: str, shape: Shape = IFM) -> Activation:
    return Activation(
        name=name, input=source, ifm=shape, ofm=shape, kind=ActivationKind.RELU
    )


def network(*layers: Layer) -> Network:
    return Network(name="n", layers=(Input(name="x", ofm=IFM), *layers))


def residual() -> Network:
    conv = Conv(name="c", input="x", ifm=IFM, ofm=OFM, kernel=1, bias=False)
    return network(
        conv,
        relu("r", "c", OFM),
        Add(name="a", inputs=("c", "r"), ofm=OFM),
        Linear(name="l", input="a", ifm=OFM, ofm=Shape(channels=2, height=1, width=1)),
    )


def test_network_counts_by_hand() -> None:
    # Conv: 80 values of 3 products, 15 weights. Linear: 2 of 80, 160 weights, 2 biases.
    made = residual()
    assert made.macs == 80 * 3 + 2 * 80
    assert made.parameters == 15 + 160 + 2
    assert [layer.name for layer in made.compute_layers] == ["c", "l"]
    assert (made.input.name, made.output.name) == ("x", "l")


def test_python_shows_a_network_in_a_line() -> None:
    # 4x4 pixels x 5 x 3 products, and 80 x 2; 15 weights, and 160 with two biases.
    shown = (
        "<Network 'n': 4 layers, frame 3x4x4, output 2x1x1; 400 multiply-accumulates "
        "a frame, 177 parameters"
    )
    assert repr(residual()) == f"{shown}, without their values>"
    held = Network(name="n", layers=residual().layers, params={"c.weight": np.ones(9)})
    assert repr(held) == f"{shown}>"


def test_consumers_names_the_readers_of_every_layer() -> None:
    expected = {"x": ("c",), "c": ("r", "a"), "r": ("a",), "a": ("l",), "l": ()}
    assert residual().consumers() == expected


def test_network_refuses_a_name_that_occurs_twice() -> None:
    with pytest.raises(InputError, match="layer 'x' occurs twice"):
        network(relu("x", "x"))


def test_network_refuses_a_second_input() -> None:
    with pytest.raises(InputError, match="layer 'y': the first layer, and only it, is"):
        network(Input(name="y", ofm=IFM))


def test_network_refuses_to_start_without_an_input() -> None:
    with pytest.raises(InputError, match="layer 'r': the first layer, and only it, is"):
        Network(name="n", layers=(relu("r", "x"),))


def test_network_refuses_a_layer_that_reads_a_later_one() -> None:
    with pytest.raises(InputError, match="layer 'r' reads 's', which is not before it"):
        network(relu("r", "s"), relu("s", "r"))


def test_network_refuses_shapes_that_disagree() -> None:
    with pytest.raises(InputError, match="layer 'r': IFM 5x4x4, but 'x' gives 3x4x4"):
        network(relu("r", "x", OFM))


def test_network_refuses_to_be_empty() -> None:
    with pytest.raises(InputError, match="network 'n' has no layers"):
        Network(name="n", layers=())


def test_network_refuses_a_layer_that_nothing_reads() -> None:
    message = r"network 'n': outputs \['r', 's'\]; must be one, the last layer"
    with pytest.raises(InputError, match=message):
        network(relu("r", "x"), relu("s", "x"))
