"""Schemes: 2 to 8 bits for exactly the layers with weights."""

import pytest

from hao.errors import InputError
from hao.quant.scheme import Scheme, check_scheme, uniform_scheme
from tests.quant.networks import chain


def test_a_uniform_scheme_names_every_layer_with_weights() -> None:
    scheme = uniform_scheme(chain(), weight_bits=3, act_bits=5)
    assert scheme.weight_bits == {"stem": 3, "depthwise": 3, "classifier": 3}
    assert scheme.act_bits == 5
    check_scheme(chain(), scheme)


@pytest.mark.parametrize("bits", [1, 9])
def test_widths_outside_2_to_8_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=f"'a': weights of {bits} bits"):
        Scheme(weight_bits={"a": bits}, act_bits=8)
    with pytest.raises(InputError, match=f"activations of {bits} bits"):
        Scheme(weight_bits={"a": 8}, act_bits=bits)


def test_a_scheme_of_another_network_is_refused() -> None:
    bits = {"stem": 4, "depthwise": 4}
    with pytest.raises(InputError, match="'classifier': the scheme gives no"):
        check_scheme(chain(), Scheme(weight_bits=bits, act_bits=8))
    bits |= {"classifier": 4, "head": 4}
    with pytest.raises(InputError, match="'head' of the scheme"):
        check_scheme(chain(), Scheme(weight_bits=bits, act_bits=8))
