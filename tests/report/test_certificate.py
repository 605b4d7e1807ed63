"""What certificates cannot hold yet."""

import pytest

from hao.errors import InputError
from hao.ir.change import Replace
from hao.report.certificate import _change_text
from hao.zoo import build_network


def test_operations_are_refused() -> None:
    layers = build_network("digits").layers[1:2]
    change = Replace(operation="mine", layers=layers, weight_bits=8)
    with pytest.raises(InputError, match="'mine': a design in which operations were"):
        _change_text(change)
