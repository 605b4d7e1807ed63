"""Densities of layers, and which words of weights a pruned layer keeps."""

from dataclasses import replace

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.change import Bits, change_of, change_text, densities_of, scheme_of
from hao.ir.layer import Conv, Input
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.sparsity import (
    Words,
    density_of,
    invocation_with_densities,
    keep_largest,
    kept_macs,
    kept_words,
    stored_density,
    with_densities,
)
from tests.cost.samples import conv, depthwise, shape


def test_a_part_of_the_words_is_kept_and_at_least_one() -> None:
    assert [kept_words(18, d) for d in (1, 50, 51, 100)] == [1, 9, 10, 18]
    assert list(kept_words(np.array([1, 7, 8]), 50)) == [1, 4, 4]


@pytest.mark.parametrize("density", [0, 101])
def test_a_density_is_a_percentage(density: int) -> None:
    message = f"weights of 4 bits: density = {density} %; must be from 1 to 100"
    with pytest.raises(InputError, match=message):
        Bits(weight_bits=4, density=density)


def test_a_scheme_names_the_layers_that_are_pruned() -> None:
    scheme = scheme_of({"a": 8}) | {"b": Bits(weight_bits=4, density=25)}
    assert densities_of(scheme) == {"b": 25}


def test_a_change_that_prunes_has_a_word() -> None:
    for change, text in (
        (Bits(weight_bits=8, passes=2, density=5), "bits_8_in_2_kept_5"),
        (Bits(weight_bits=4, density=50), "bits_4_kept_50"),
        (Bits(weight_bits=4), "bits_4"),
    ):
        assert change_text(change) == text
        assert change_of(text) == change


def test_the_words_of_least_energy_become_zeros() -> None:
    # Two groups of two channels, four inputs in words of two: energies 1 + 4 + 9 + 16
    # and 0 + 1 + 1 + 0 in the first group, 0 and 25 in the second.
    weight = np.array([[1, 2, 0, 1], [3, 4, 1, 0], [0, 0, 5, 0], [0, 0, 0, 0]])
    words = np.array([0, 0, 1, 1])
    made = keep_largest(weight, Words(words, 2), 50)
    assert made.tolist() == [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(keep_largest(weight, Words(words, 2), 100), weight)
    # A last group of fewer channels counts those that it has.
    assert keep_largest(weight[:3], Words(words, 2), 50).tolist() == made[:3].tolist()


def test_layers_of_a_network_and_of_a_run_get_their_densities() -> None:
    image = Input(name="image", ofm=shape(4, 6, 6))
    first = conv(image.ofm, 8, name="first")
    second = depthwise(first.ofm, name="second", source="first")
    network = Network(name="two", layers=(image, first, second))
    made = with_densities(network, {"first": 25, "second": 25})
    assert [density_of(layer) for layer in made.layers] == [100, 25, 100]
    assert with_densities(made, {}) == network
    (run,) = (
        s.invocation
        for s in partition(network).segments
        if s.invocation.name == "first+second"
    )
    pruned = invocation_with_densities(run, {"first": 25})
    assert pruned.dense is not None
    assert pruned.dense.density == 25
    assert invocation_with_densities(pruned, {}) == run


def test_a_frame_in_digits_keeps_all_words() -> None:
    layer = conv(shape(4, 6, 6), 8)
    assert isinstance(layer, Conv)
    pruned = replace(layer, density=25)
    assert stored_density(pruned) == 25
    assert stored_density(replace(pruned, planes=2, passes=2)) == 100


def test_products_of_words_that_are_kept() -> None:
    layer = conv(shape(4, 6, 6), 8)  # 8 channels of 6 x 6, 4 x 9 terms
    assert isinstance(layer, Conv)
    assert kept_macs(layer) == 8 * 36 * 36
    assert kept_macs(replace(layer, density=25)) == 8 * 36 * 9
    # A frame in digits keeps all words, and so all products.
    whole = replace(layer, density=25, planes=2)
    assert kept_macs(whole) == whole.macs
