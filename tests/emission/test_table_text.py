"""The table of steps as C++ and as CSV: every value under the name of its field."""

import csv
import io
import re
from dataclasses import fields

from hao.emission.records import FetchStep, FinishStep, ReadStep, Step, unset
from hao.emission.steps import make_table
from hao.emission.table_text import initializer, part_rows, render_table
from tests.emission.designs import small
from tests.emission.test_records import numbered


def test_a_part_names_its_values_and_an_unused_one_is_empty() -> None:
    step = Step(read=ReadStep(base=7, beats=30, target=2), finish=FinishStep(adds=True))
    text = initializer(step, "read", frozenset())
    assert text == "{/*base*/ 7, /*beats*/ 30, /*target*/ 2}"
    assert initializer(step, "unpack", frozenset()) == "{}"
    # mypy takes a bool for an int; C++ would take True for a name.
    assert "/*adds*/ 1" in initializer(step, "finish", frozenset())


def test_values_follow_each_other_as_the_fields_of_their_structs_do() -> None:
    step = numbered(1)
    text = "".join(initializer(step, part.name, frozenset()) for part in fields(Step))
    numbers = [int(word) for word in re.findall(r"\*/ (\d+)", text)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_rows_that_steps_share_are_written_once() -> None:
    reads = [ReadStep(base=n % 3, beats=1, target=1) for n in range(100)]
    steps = [Step(read=read, fetch=FetchStep(base=n)) for n, read in enumerate(reads)]
    rows = {part.name: part for part in part_rows(steps, frozenset())}
    read, fetch, write = rows["read"], rows["fetch"], rows["write"]
    assert [read.rows[place] for place in read.places] == [
        f"{{/*base*/ {n % 3}, /*beats*/ 1, /*target*/ 1}}" for n in range(100)
    ]
    assert (len(read.rows), read.index, read.array) == (3, "place.read", "kReadRows")
    # More rows than a memory of LUTs holds: one a step, in its own memory.
    assert (len(fetch.rows), fetch.places, fetch.index) == (100, (), "s")
    assert (write.rows, write.index, write.shared) == (("{}",), "0", False)


def test_the_csv_holds_every_field_of_every_step() -> None:
    found = small()
    table = make_table(found.design, found.net)
    rows = list(csv.DictReader(io.StringIO(render_table(table.titles, table.steps))))
    assert [row["title"] for row in rows] == list(table.titles)
    left = unset(table.steps)
    for number, (row, step) in enumerate(zip(rows, table.steps, strict=True)):
        expected = {"step": str(number), "title": table.titles[number]}
        for part in fields(Step):
            record = getattr(step, part.name)
            for item in fields(record):
                if (type(record), item.name) not in left:
                    value = str(int(getattr(record, item.name)))
                    expected[f"{part.name}.{item.name}"] = value
        assert row == expected
