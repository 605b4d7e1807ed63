"""Resources: sums, the partial order and shortfalls, by hand and as laws."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.errors import InputError
from hao.hw.resources import Resources

COUNT = st.integers(0, 10**7)
RESOURCES = st.builds(
    Resources, dsp=COUNT, bram_18k=COUNT, uram=COUNT, lut=COUNT, ff=COUNT
)


def test_sum_by_hand() -> None:
    total = Resources(dsp=1, lut=10) + Resources(dsp=2, bram_18k=3, uram=4, ff=5)
    assert total == Resources(dsp=3, bram_18k=3, uram=4, lut=10, ff=5)


def test_shortfall_names_only_what_does_not_fit() -> None:
    need = Resources(dsp=5, bram_18k=8, uram=1, lut=10, ff=7)
    limit = Resources(dsp=4, bram_18k=8, uram=0, lut=11, ff=2)
    assert need.shortfall(limit) == {"dsp": 1, "uram": 1, "ff": 5}


def test_neither_of_two_values_need_fit_in_the_other() -> None:
    a, b = Resources(dsp=1), Resources(lut=1)
    assert not a <= b
    assert not b <= a
    assert a <= a


def test_as_dict_keeps_zeros() -> None:
    expected = {"dsp": 2, "bram_18k": 0, "uram": 0, "lut": 0, "ff": 0}
    assert Resources(dsp=2).as_dict() == expected


@pytest.mark.parametrize("kind", ["dsp", "bram_18k", "uram", "lut", "ff"])
def test_resources_refuse_a_negative_count(kind: str) -> None:
    with pytest.raises(InputError, match=f"{kind}=-1.*every count must be at least 0"):
        Resources(**{kind: -1})


@given(st.lists(RESOURCES, min_size=1, max_size=5))
def test_sum_equals_the_sum_of_every_kind(parts: list[Resources]) -> None:
    total = reduce(Resources.__add__, parts)
    for kind, count in total.as_dict().items():
        assert count == sum(part.as_dict()[kind] for part in parts)


@given(RESOURCES, RESOURCES)
def test_adding_never_makes_it_fit(a: Resources, b: Resources) -> None:
    assert a <= a + b


@given(RESOURCES, RESOURCES)
def test_shortfall_is_what_the_limit_lacks(need: Resources, limit: Resources) -> None:
    missing = need.shortfall(limit)
    assert need <= limit + Resources(**missing)
    assert (need <= limit) == (missing == {})
