"""Rewrites keep the outputs of a network, and take out the layers they should."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.interpret import run_float
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Conv,
    Depthwise,
    Input,
    Layer,
    Linear,
    Padding,
)
from hao.ir.network import Network
from hao.ir.rewrite import (
    drop_identities,
    fold_batch_norm,
    fold_input_affine,
    fuse_activations,
    merge_affines,
    simplify,
)
from hao.ir.tensor import QType, Shape

Rewrite = Callable[[Network], Network]
SHAPE = Shape(channels=3, height=5, width=5)
NONE, RELU, RELU6 = ActivationKind.NONE, ActivationKind.RELU, ActivationKind.RELU6
REWRITES: tuple[Rewrite, ...] = (
    drop_identities,
    merge_affines,
    fold_batch_norm,
    fold_input_affine,
    fuse_activations,
    simplify,
)
INT4 = QType(bits=4, signed=True)


def reals(seed: int, *sizes: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=sizes)


def affine(name: str, source: str) -> Affine:
    return Affine(name=name, input=source, ifm=SHAPE, ofm=SHAPE)


def relu(name: str, source: str, kind: ActivationKind = RELU) -> Activation:
    return Activation(name=name, input=source, ifm=SHAPE, ofm=SHAPE, kind=kind)


def conv(
    name: str,
    source: str,
    *,
    kernel: int = 3,
    weight: QType | None = None,
    bias: bool = True,
    activation: ActivationKind = NONE,
) -> Conv:
    return Conv(
        name=name,
        input=source,
        ifm=SHAPE,
        ofm=SHAPE,
        kernel=kernel,
        padding=Padding.same(kernel),
        weight=weight,
        bias=bias,
        activation=activation,
    )


def depthwise(name: str, source: str) -> Depthwise:
    return Depthwise(
        name=name,
        input=source,
        ifm=SHAPE,
        ofm=SHAPE,
        kernel=3,
        padding=Padding.same(3),
        bias=False,
    )


def linear(name: str, source: str) -> Linear:
    ofm = Shape(channels=4, height=1, width=1)
    return Linear(name=name, input=source, ifm=SHAPE, ofm=ofm)


def network(layers: Sequence[Layer], **changed: NDArray[np.float64]) -> Network:
    """Return a network with random parameters; `changed` as layer_parameter."""
    params: dict[str, NDArray[np.generic]] = {}
    for seed, layer in enumerate(layers):
        match layer:
            case Conv():
                params[f"{layer.name}.weight"] = reals(seed, 3, 3, *[layer.kernel] * 2)
            case Depthwise():
                params[f"{layer.name}.weight"] = reals(seed, 3, 1, 3, 3)
            case Linear():
                params[f"{layer.name}.weight"] = reals(seed, 4, 75)
            case Affine():
                params[f"{layer.name}.scale"] = reals(seed, 3)
                params[f"{layer.name}.shift"] = reals(seed + 50, 3)
            case _:
                pass
        if isinstance(layer, Conv | Depthwise | Linear) and layer.bias:
            params[f"{layer.name}.bias"] = reals(seed + 100, layer.ofm.channels)
    params |= {key.replace("_", "."): value for key, value in changed.items()}
    return Network(
        name="n", layers=(Input(name="x", ofm=SHAPE), *layers), params=params
    )


def check_same_outputs(before: Network, rewrite: Rewrite) -> Network:
    after = rewrite(before)
    x = reals(9, 2, 3, 5, 5) * 3
    np.testing.assert_allclose(
        run_float(after, x), run_float(before, x), rtol=1e-9, atol=1e-9
    )
    # Only parameters of layers that are still there.
    names = {layer.name for layer in after.layers}
    assert {key.rpartition(".")[0] for key in after.params} <= names
    return after


def names(made: Network) -> list[str]:
    return [layer.name for layer in made.layers[1:]]


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Return a chain with residual adds, of every kind that a rewrite looks at."""
    layers: list[Layer] = []
    available = ["x"]
    changed: dict[str, NDArray[np.float64]] = {}
    for index in range(draw(st.integers(1, 8))):
        name, source = f"l{index}", available[-1]
        kind = draw(st.integers(0, 6))
        quant = INT4 if draw(st.booleans()) else None
        if kind == 0:
            layers.append(
                conv(
                    name,
                    source,
                    kernel=draw(st.sampled_from([1, 3])),
                    weight=quant,
                    bias=draw(st.booleans()),
                    activation=draw(st.sampled_from([NONE, RELU, RELU6])),
                )
            )
        elif kind == 1:
            layers.append(depthwise(name, source))
        elif kind == 2:
            layers.append(
                relu(name, source, draw(st.sampled_from([NONE, RELU, RELU6])))
            )
        elif kind == 3:
            other = draw(st.sampled_from(available))
            layers.append(Add(name=name, inputs=(other, source), ofm=SHAPE))
        else:
            layers.append(affine(name, source))
            plain = draw(st.integers(0, 3))
            if plain & 1:
                changed[f"{name}_shift"] = np.zeros(3)
            if plain & 2:
                changed[f"{name}_scale"] = np.ones(3)
        available.append(name)
    if draw(st.booleans()):
        layers.append(linear("last", available[-1]))
    return network(layers, **changed)


@given(made=networks(), which=st.sampled_from(REWRITES))
@settings(max_examples=200, deadline=None)
def test_rewrites_keep_the_outputs(made: Network, which: Rewrite) -> None:
    check_same_outputs(made, which)


@given(made=networks())
@settings(max_examples=50, deadline=None)
def test_simplify_leaves_nothing_to_simplify(made: Network) -> None:
    once = simplify(made)
    assert simplify(once).layers == once.layers


def test_fold_batch_norm_folds_into_every_kind_of_weights() -> None:
    ofm = Shape(channels=4, height=1, width=1)
    layers: list[Layer] = [
        conv("c", "x"),
        affine("a", "c"),
        depthwise("d", "a"),
        affine("b", "d"),
    ]
    last = Affine(name="e", input="l", ifm=ofm, ofm=ofm)
    made = network(
        [*layers, linear("l", "b"), last], e_scale=reals(1, 4), e_shift=reals(2, 4)
    )
    after = check_same_outputs(made, fold_batch_norm)
    assert names(after) == ["c", "d", "l"]
    assert after.compute_layers[1].bias


def test_fold_batch_norm_keeps_what_something_else_reads() -> None:
    made = network(
        [conv("c", "x"), affine("a", "c"), Add(name="s", inputs=("c", "a"), ofm=SHAPE)]
    )
    assert names(check_same_outputs(made, fold_batch_norm)) == ["c", "a", "s"]


def test_fold_batch_norm_leaves_integer_weights_but_adds_to_their_bias() -> None:
    quantized = conv("c", "x", weight=INT4, bias=False)
    made = network([quantized, affine("a", "c")])
    assert names(check_same_outputs(made, fold_batch_norm)) == ["c", "a"]
    made = network([quantized, affine("a", "c")], a_scale=np.ones(3))
    after = check_same_outputs(made, fold_batch_norm)
    assert names(after) == ["c"]
    assert np.array_equal(after.params["c.weight"], made.params["c.weight"])


def test_fold_batch_norm_takes_only_scales_through_relu() -> None:
    layers: list[Layer] = [conv("c", "x", activation=RELU), affine("a", "c")]
    positive, zero = np.abs(reals(1, 3)), np.zeros(3)
    assert names(fold_batch_norm(network(layers))) == ["c", "a"]
    made = network(layers, a_scale=positive, a_shift=zero)
    assert names(check_same_outputs(made, fold_batch_norm)) == ["c"]
    made = network(layers, a_scale=-positive, a_shift=zero)
    assert names(check_same_outputs(made, fold_batch_norm)) == ["c", "a"]


@pytest.mark.parametrize(
    ("kernel", "shifted", "expected"),
    [(1, True, ["c"]), (3, False, ["c"]), (3, True, ["a", "c"])],
)
def test_fold_input_affine_keeps_a_shift_before_padding(
    kernel: int, shifted: bool, expected: list[str]
) -> None:
    layers: list[Layer] = [affine("a", "x"), conv("c", "a", kernel=kernel, bias=False)]
    shift = reals(1, 3) if shifted else np.zeros(3)
    after = check_same_outputs(network(layers, a_shift=shift), fold_input_affine)
    assert names(after) == expected


@pytest.mark.parametrize("into", [linear, depthwise])
def test_fold_input_affine_folds_into_other_weights(
    into: Callable[[str, str], Layer],
) -> None:
    made = network([affine("a", "x"), into("l", "a")], a_shift=np.zeros(3))
    assert names(check_same_outputs(made, fold_input_affine)) == ["l"]
    made = network([affine("a", "x"), linear("l", "a")])
    assert names(check_same_outputs(made, fold_input_affine)) == ["l"]


def test_fold_input_affine_leaves_integer_weights() -> None:
    made = network([affine("a", "x"), conv("c", "a", weight=INT4)], a_shift=np.zeros(3))
    assert names(fold_input_affine(made)) == ["a", "c"]


def test_merge_affines_makes_one_of_a_chain() -> None:
    made = network([affine("a", "x"), affine("b", "a"), affine("c", "b")])
    assert names(check_same_outputs(made, merge_affines)) == ["c"]


def test_drop_identities_drops_only_what_changes_nothing() -> None:
    layers: list[Layer] = [affine("a", "x"), affine("b", "a")]
    made = network(layers, a_scale=np.ones(3), a_shift=np.zeros(3))
    assert names(check_same_outputs(made, drop_identities)) == ["b"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (NONE, RELU, RELU),
        (NONE, RELU6, RELU6),
        (RELU, RELU, RELU),
        (RELU, RELU6, RELU6),
        (RELU6, RELU, RELU6),
        (RELU6, RELU6, RELU6),
    ],
)
def test_fuse_activations_keeps_the_tighter_one(
    first: ActivationKind, second: ActivationKind, expected: ActivationKind
) -> None:
    made = network([conv("c", "x", activation=first), relu("r", "c", second)])
    after = check_same_outputs(made, fuse_activations)
    assert names(after) == ["c"]
    assert isinstance(after.output, Conv)
    assert after.output.activation is expected


def test_fuse_activations_fuses_into_the_residual_add() -> None:
    made = network(
        [
            conv("c", "x"),
            Add(name="s", inputs=("c", "x"), ofm=SHAPE),
            relu("r", "s"),
            relu("t", "r", NONE),
        ]
    )
    after = check_same_outputs(made, fuse_activations)
    assert names(after) == ["c", "s"]


def test_fuse_activations_keeps_what_something_else_reads() -> None:
    made = network(
        [conv("c", "x"), relu("r", "c"), Add(name="s", inputs=("c", "r"), ofm=SHAPE)]
    )
    assert names(check_same_outputs(made, fuse_activations)) == ["c", "r", "s"]


def test_rewrites_give_read_only_parameters_of_the_same_type() -> None:
    made = network([conv("c", "x"), affine("a", "c")])
    single = {key: value.astype(np.float32) for key, value in made.params.items()}
    after = fold_batch_norm(Network(name="n", layers=made.layers, params=single))
    for array in after.params.values():
        assert array.dtype == np.float32
        assert not array.flags.writeable


@pytest.mark.parametrize("rewrite", [drop_identities, fold_batch_norm, simplify])
def test_rewrites_refuse_a_network_without_parameters(rewrite: Rewrite) -> None:
    made = network([conv("c", "x"), affine("a", "c")])
    bare = Network(name="n", layers=made.layers)
    with pytest.raises(InputError, match=r"'a\.scale' is missing; cannot rewrite"):
        rewrite(bare)


def test_fold_batch_norm_refuses_to_overflow() -> None:
    made = network([conv("c", "x"), affine("a", "c")])
    single = {
        key: value.astype(np.float32)
        for key, value in made.params.items()
        if key.startswith("c")
    }
    large = {key: value for key, value in made.params.items() if key.startswith("a")}
    large["a.scale"] = np.full(3, 1e300)
    broken = Network(name="n", layers=made.layers, params=single | large)
    with pytest.raises(InputError, match=r"'c\.weight' overflows float32 when an affi"):
        fold_batch_norm(broken)
