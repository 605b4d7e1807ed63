"""The table of steps as C++ and as CSV: every value under the name of its field."""

import csv
import io
import re
from dataclasses import fields

from hao.emission.records import FinishStep, ReadStep, Step, unset
from hao.emission.steps import make_table
from hao.emission.table_text import initializers, render_table
from tests.emission.designs import small
from tests.emission.test_records import numbered


def test_a_part_names_its_values_and_an_unused_one_is_empty() -> None:
    step = Step(read=ReadStep(base=7, beats=30, target=2), finish=FinishStep(adds=True))
    texts = dict(
        zip(
            (f.name for f in fields(Step)), initializers(step, frozenset()), strict=True
        )
    )
    assert texts["read"] == "{/*base*/ 7, /*beats*/ 30, /*target*/ 2},  // read"
    assert texts["unpack"] == "{},  // unpack"
    assert texts[fields(Step)[-1].name].startswith("{}  // ")  # no comma at the end
    # mypy takes a bool for an int; C++ would take True for a name.
    assert "/*adds*/ 1" in texts["finish"]


def test_values_follow_each_other_as_the_fields_of_their_structs_do() -> None:
    text = "".join(initializers(numbered(1), frozenset()))
    numbers = [int(word) for word in re.findall(r"\*/ (\d+)", text)]
    assert numbers == list(range(1, len(numbers) + 1))


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
