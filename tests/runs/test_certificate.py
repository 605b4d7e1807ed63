"""What a certificate records of pruned layers, and of engines that were given."""

import pytest
from pydantic import ValidationError

from hao.ir.partition import Role
from hao.program.problem import DEFAULT_SPACE
from hao.runs.certificate import HeldEntry, OptionEntry, ProblemEntry
from hao.runs.recorded import recorded_densities, recorded_space


def entry(
    *options: tuple[str, str, int], held: HeldEntry | None = None
) -> ProblemEntry:
    return ProblemEntry.model_construct(
        options=[
            OptionEntry(layer=layer, change=change, cost_micro=cost)
            for layer, change, cost in options
        ],
        held=held,
    )


def test_densities_cost_what_they_add_to_the_bits() -> None:
    found = recorded_densities(
        entry(
            ("a", "bits_8", 10),
            ("a", "bits_8_in_2", 10),
            ("a", "bits_8_kept_50", 30),
            ("a", "bits_8_kept_25", 70),
            ("a", "bits_4_kept_50", 99),  # as much more than bits_4, which is not here
            ("b.channels", "channels_0-3", 5),
            ("c", "bits_8_kept_50", 7),  # pruned before: no choice
        )
    )
    assert found == {"a": {50: 20, 25: 60}}


def test_engines_that_were_given_come_back() -> None:
    held = HeldEntry(
        pixels=[2],
        buffering=[True],
        shapes={Role.DENSE: (4, 8)},
        roles={"a": Role.DENSE},
    )
    space = recorded_space(entry(held=held))
    assert space is not None
    assert (space.pixels, space.buffering) == ((2,), (True,))
    assert space.lanes_of(Role.DENSE) == ((4,), (8,))
    assert space.roles == (("a", Role.DENSE),)
    assert space.lanes_of(Role.POINTWISE) == (DEFAULT_SPACE.lanes,) * 2
    assert recorded_space(entry()) is None


def test_words_that_name_no_density_are_refused() -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        OptionEntry(layer="a", change="bits_8_kept_", cost_micro=0)
