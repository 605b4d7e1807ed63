"""Names of functions; what they raise is in tests/quant/test_dataset.py."""

import pytest

from hao.errors import InputError
from hao.factory import is_factory, made_by


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("package.module:function", True),
        ("module:function", True),
        ("module", False),
        ("C:\\photos", False),
        ("a/b.npz:c", False),
        (":function", False),
        ("module:", False),
        ("a:b:c", False),
    ],
)
def test_what_names_a_function(spec: str, named: bool) -> None:
    assert is_factory(spec) is named


def test_what_a_function_makes_is_returned() -> None:
    assert made_by("collections:OrderedDict", "data set", dict) == {}


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"returned OrderedDict; must be b"):
        made_by("collections:OrderedDict", "data set", list)


def test_messages_begin_with_what_is_sought() -> None:
    with pytest.raises(InputError, match="model 'a b:c': no name of a function"):
        made_by("a b:c", "model", dict)
