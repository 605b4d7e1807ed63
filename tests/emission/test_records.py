"""Records of a step: structs have their fields in the order of the initializers."""

from dataclasses import fields, replace

import pytest

from hao.emission.records import (
    COUNTED,
    STRUCTS,
    ArrayStep,
    LoadStep,
    ReadStep,
    Step,
    signed_bits,
    structs,
    unset,
)
from hao.emission.steps import make_table
from tests.emission.designs import sample


def numbered(start: int) -> Step:
    """Return a step whose integers count up from `start`, in the order of fields."""
    value = start
    members = {}
    for member in fields(Step):
        record = getattr(Step(), member.name)
        changes = {}
        for item in fields(record):
            changes[item.name] = value
            value += 1
        members[member.name] = replace(record, **changes)
    return Step(**members)


def test_a_struct_has_the_fields_of_its_record_in_order() -> None:
    by_name = {struct.name: struct for struct in structs([numbered(0)])}
    assert set(by_name) == set(STRUCTS.values())
    for record, name in STRUCTS.items():
        names = [item.name for item in by_name[name].fields]
        assert names == [item.name for item in fields(record)]


def test_fields_that_no_step_sets_are_left_out() -> None:
    lists = {"entries", "list_base", "fill_list_base", "fill_lists"}
    parts = {"resumes", "holds"}
    plain, listed = Step(), Step(dense_array=ArrayStep(entries=3))
    held = Step(pointwise_array=ArrayStep(holds=1))
    for steps, missing in (
        ([plain], lists | parts),
        ([plain, listed], parts),
        ([plain, held], lists),
        ([listed, held], set[str]()),
    ):
        array = next(s for s in structs(steps) if s.name == "array_step_t")
        names = {item.name for item in fields(ArrayStep)}
        assert {item.name for item in array.fields} == names - missing
        left = {name for kind, name in unset(steps) if kind is ArrayStep}
        assert left == missing


def test_structs_are_defined_before_they_are_used() -> None:
    defined = {"unsigned char"}
    for struct in structs([Step()]):
        for item in struct.fields:
            assert item.type in defined, f"{struct.name}.{item.name}"
        assert struct.doc
        defined.add(struct.name)


def test_a_step_names_the_struct_of_each_of_its_records() -> None:
    step = next(struct for struct in structs([Step()]) if struct.name == "step_t")
    for item in step.fields:
        assert STRUCTS[type(getattr(Step(), item.name))] == item.type


@pytest.mark.parametrize("record", [r for r in STRUCTS if r is not Step])
def test_all_zero_records_are_bypassed(record: type) -> None:
    empty = record()
    assert {getattr(empty, item.name) for item in fields(record)} == {0}


def test_a_load_without_beats_is_the_default() -> None:
    assert LoadStep().unit_trips == 0


LIMITS = {
    "unsigned char": (0, 255),
    "signed char": (-128, 127),
    "unsigned short": (0, 65535),
    "short": (-32768, 32767),
    "int": (-(2**31), 2**31 - 1),
}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((0, 255), "unsigned char"),
        ((-1, 127), "signed char"),
        ((-128, 128), "short"),
        ((0, 256), "unsigned short"),
        ((-1, 32768), "int"),
        ((0, 65536), "int"),
    ],
)
def test_a_field_has_the_narrowest_type_that_holds_its_values(
    values: tuple[int, int], kind: str
) -> None:
    steps = [Step(read=ReadStep(base=value)) for value in values]
    read = next(struct for struct in structs(steps) if struct.name == "read_step_t")
    assert [item.type for item in read.fields] == [kind, *["unsigned char"] * 2]


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    # Two's complement of n bits holds -2^(n-1) to 2^(n-1) - 1.
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 0, 3), (0, 7, 4), (-8, 8, 5)],
)
def test_signed_bits_hold_both_ends(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits
    assert -(2 ** (bits - 1)) <= low <= high <= 2 ** (bits - 1) - 1


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_counters_are_wide_enough_for_what_they_count_to(seed: int) -> None:
    steps = make_table(sample(seed).design, sample(seed).net).steps
    bits = {
        struct.name: {item.name: item.bits for item in struct.fields}
        for struct in structs(steps)
        if struct.counted
    }
    assert set(bits) == {STRUCTS[kind] for kind in COUNTED}
    for step in steps:
        for part in fields(Step):
            record = getattr(step, part.name)
            for name, width in bits.get(STRUCTS[type(record)], {}).items():
                value = int(getattr(record, name))
                assert -(2 ** (width - 1)) <= value < 2 ** (width - 1)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_every_value_of_a_table_lies_in_the_type_of_its_field(seed: int) -> None:
    steps = make_table(sample(seed).design, sample(seed).net).steps
    kinds = {
        (struct.name, item.name): item.type
        for struct in structs(steps)
        for item in struct.fields
    }
    for step in steps:
        for part in fields(Step):
            record = getattr(step, part.name)
            for item in fields(record):
                kind = kinds.get((STRUCTS[type(record)], item.name))
                if kind is None:  # that no step sets
                    assert getattr(record, item.name) == 0
                    continue
                low, high = LIMITS[kind]
                assert low <= int(getattr(record, item.name)) <= high
