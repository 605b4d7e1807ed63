"""Names of classes: which output a folder stands for, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.quant.class_names import load_class_names, named_outputs
from tests.quant.networks import stripes

OURS = replace(stripes(), names=("rows", "columns", "neither"))


def test_names_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("tench, Tinca tinca\n\n goldfish\n")
    assert load_class_names(path, 2) == ("tench, Tinca tinca", "goldfish")


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("one\ntwo\n")
    with pytest.raises(InputError, match="2 names; must be one for each of the net"):
        load_class_names(path, 3)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"names\.txt: not UTF-8; convert it"):
        load_class_names(path, 3)
    with pytest.raises(InputError, match="absent: no such file"):
        load_class_names(tmp_path / "absent", 3)


def test_labels_become_outputs() -> None:
    names = ("neither of both", "x", "rows", "columns, vertical", "y")
    dataset, found = named_outputs(OURS, 5, names, trained=True)
    assert found == names
    # rows are output 2, columns 3, neither 0.
    expected = [{0: 2, 1: 3, 2: 0}[label] for label in OURS.test.labels.tolist()]
    assert dataset.test.labels.tolist() == expected
    assert dataset.classes == 5


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(InputError, match="class 'neither' is none of the names in"):
        named_outputs(OURS, 3, ("rows", "columns", "x"), trained=True)


def test_trained_outputs_are_not_numbered_anew() -> None:
    with pytest.raises(
        InputError, match="has 3 classes, such as 'rows'; the network ha"
    ):
        named_outputs(OURS, 1000, (), trained=True)
    # What is trained here learns the numbers that the folders have.
    dataset, names = named_outputs(OURS, 4, (), trained=False)
    assert dataset is OURS
    assert names == ("rows", "columns", "neither", "class 3")


def test_one_output_tells_two_classes_apart() -> None:
    train, validation, test = (
        replace(split, labels=split.labels % 2)
        for split in (OURS.train, OURS.validation, OURS.test)
    )
    two = replace(
        OURS,
        train=train,
        validation=validation,
        test=test,
        names=("rows", "columns"),
        classes=2,
    )
    assert named_outputs(two, 1, (), trained=True)[1] == ("rows", "columns")
    with pytest.raises(InputError, match="has 3 classes, such as 'rows'; the network"):
        named_outputs(OURS, 1, (), trained=True)


def test_names_are_known_of_folders_only() -> None:
    assert named_outputs(OURS, 3, (), trained=True)[1] == OURS.names
    assert named_outputs(stripes(), 3, (), trained=True)[1] == ()
