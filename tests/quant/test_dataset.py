"""Data sets: fixed stratified splits from four kinds of sources, or one-line errors."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hao.errors import InputError, UnsupportedError
from hao.ir.tensor import Shape
from hao.quant.dataset import Dataset, Split, load_dataset
from tests.quant.networks import stripes

GREY = Shape(channels=1, height=16, width=16)


def test_digits_are_divided_for_good() -> None:
    dataset = load_dataset("digits", GREY)
    again = load_dataset("digits", GREY)
    assert dataset.classes == 10
    sizes = [len(dataset.train), len(dataset.validation), len(dataset.test)]
    assert sum(sizes) == 1797
    assert sizes == [1079, 179, 539]
    np.testing.assert_array_equal(dataset.test.frames, again.test.frames)
    frames = dataset.train.frames[:]
    assert (frames.min(), frames.max()) == (0, 1)


def test_no_frame_of_digits_is_in_two_splits() -> None:
    dataset = load_dataset("digits", GREY)
    # Frames are told apart by their bytes; scikit-learn's 1797 are all different.
    kinds = [
        {frame.tobytes() for frame in split.frames[:]}
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert sum(map(len, kinds)) == len(kinds[0] | kinds[1] | kinds[2]) == 1797


def test_every_class_is_divided_alike() -> None:
    dataset = load_dataset("digits", GREY)
    whole = np.bincount(dataset.train.labels) + np.bincount(dataset.test.labels)
    whole += np.bincount(dataset.validation.labels)
    shares = np.bincount(dataset.test.labels) / whole
    assert shares.min() > 0.29
    assert shares.max() < 0.31


def test_digits_are_enlarged_between_their_pixels() -> None:
    dataset = load_dataset("digits", Shape(channels=1, height=8, width=8))
    larger = load_dataset("digits", GREY)
    # Bilinear, twice as large: pixel (1, 1) is 9/16, 3/16, 3/16 and 1/16 of four.
    small = dataset.train.frames[:][:, 0]
    expected = (
        9 * small[:, 0, 0] + 3 * small[:, 0, 1] + 3 * small[:, 1, 0] + small[:, 1, 1]
    ) / 16
    np.testing.assert_allclose(larger.train.frames[:][:, 0, 1, 1], expected, atol=1e-6)


def write_images(folder: Path, classes: int = 2, count: int = 10) -> None:
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(count):
            pixels = np.full((4, 6, 3), 100 * label + number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_images_is_read(tmp_path: Path, channels: int) -> None:
    write_images(tmp_path / "photos")
    (tmp_path / "photos" / "class0" / "notes.txt").write_text("no image")
    shape = Shape(channels=channels, height=3, width=5)
    dataset = load_dataset(str(tmp_path / "photos"), shape)
    assert (dataset.name, dataset.classes, dataset.shape) == ("photos", 2, shape)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [
        12,
        2,
        6,
    ]
    for split in (dataset.train, dataset.test):
        # One colour per image: 100 * label + number of 255.
        level = np.rint(split.frames[:][:, 0, 0, 0] * 255)
        np.testing.assert_array_equal(level // 100, split.labels)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    shape = Shape(channels=3, height=3, width=5)
    with pytest.raises(InputError, match="no images; must hold "):
        load_dataset(str(tmp_path), shape)
    write_images(tmp_path / "few", count=1)
    with pytest.raises(InputError, match="'few': too few frames to divide"):
        load_dataset(str(tmp_path / "few"), shape)
    write_images(tmp_path / "photos")
    with pytest.raises(InputError, match="1 or 3 channels; the network reads 2x3x5"):
        load_dataset(str(tmp_path / "photos"), Shape(channels=2, height=3, width=5))
    (tmp_path / "photos" / "class2").mkdir()
    with pytest.raises(InputError, match=r"class2: no \.png.* files; every class"):
        load_dataset(str(tmp_path / "photos"), shape)
    (tmp_path / "photos" / "class0" / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bad\.png: not readable as an image"):
        load_dataset(str(tmp_path / "photos"), shape)


def arrays(count: int = 20) -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.normal(size=(count, 1, 4, 4)),
        "y_train": np.arange(count) % 2,
        "x_test": generator.normal(size=(6, 1, 4, 4)),
        "y_test": np.arange(6) % 2,
    }


SMALL = Shape(channels=1, height=4, width=4)


def save(path: Path, values: dict[str, NDArray[np.generic]]) -> str:
    np.savez(path, **values)  # type: ignore[arg-type] # numpy's stub
    return str(path)


def test_arrays_are_read(tmp_path: Path) -> None:
    values = arrays()
    column = {**values, "y_test": values["y_test"].reshape(-1, 1)}
    dataset = load_dataset(save(tmp_path / "mine.npz", column), SMALL)
    assert np.array_equal(dataset.test.labels, values["y_test"])
    assert (dataset.name, dataset.classes) == ("mine", 2)
    assert len(dataset.train) + len(dataset.validation) == 20
    np.testing.assert_array_equal(
        dataset.test.frames, values["x_test"].astype(np.float32)
    )


def test_bytes_become_0_to_1(tmp_path: Path) -> None:
    values = arrays()
    values["x_test"] = np.full((6, 1, 4, 4), 255, dtype=np.uint8)
    dataset = load_dataset(save(tmp_path / "mine.npz", values), SMALL)
    assert np.all(dataset.test.frames[:] == 1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("x_test", np.zeros((6, 4, 4)), r"frames of shape \(6, 4, 4\)"),
        ("x_test", np.zeros((6, 1, 3, 4)), r"test frames of shape \(1, 3, 4\)"),
        ("x_test", np.full((6, 1, 4, 4), np.nan), "test part: frames hold NaN"),
        ("x_test", np.full((6, 1, 4, 4), 1e300), "NaN or infinity"),
        ("x_test", np.zeros((6, 1, 4, 4), dtype=np.int64), "x_test is int64; must"),
        ("x_test", np.zeros((0, 1, 4, 4)), r"labels of shape \(6,\)"),
        ("y_test", np.zeros(6), "y_test is float64; must be integers, the class"),
        ("y_test", np.eye(6, dtype=np.int64), r"labels of shape \(6, 6\)"),
        (
            "y_test",
            np.full(6, 2**63, np.uint64),
            r"y_test has label 9223372036854775808; must be below 2\^63",
        ),
        ("y_test", np.full(6, -1), "test part: label -1; must be at least 0"),
        ("y_test", np.zeros(5, dtype=np.int64), r"labels of shape \(5,\)"),
        ("y_test", np.array([None] * 6), "must be an .npz archive without pickle"),
        ("x_test", np.zeros((6, 2, 4, 4), np.uint8), "of 2 channels \\(shape"),
    ],
)
def test_wrong_arrays_are_refused(
    tmp_path: Path, key: str, value: NDArray[np.generic], message: str
) -> None:
    path = save(tmp_path / "mine.npz", {**arrays(), key: value})
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(path, SMALL)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_empty_arrays_are_refused(tmp_path: Path) -> None:
    values = arrays()
    values["x_test"], values["y_test"] = np.zeros((0, 1, 4, 4)), np.zeros(0, np.int64)
    with pytest.raises(InputError, match="test part: no frames; must be"):
        load_dataset(save(tmp_path / "mine.npz", values), SMALL)


def test_files_without_the_arrays_are_refused(tmp_path: Path) -> None:
    values = arrays()
    del values["y_test"]
    with pytest.raises(InputError, match="has no 'y_test'; must hold x_train"):
        load_dataset(save(tmp_path / "mine.npz", values), SMALL)
    with pytest.raises(InputError, match=r"absent\.npz: no such file; must be an"):
        load_dataset(str(tmp_path / "absent.npz"), SMALL)


FACTORIES = """
from tests.quant.networks import stripes as good
number = 3
def wrong(): return 3
def broken(): raise KeyError("lost")
def leaving(): raise SystemExit(0)
class Cancelled(BaseException): pass
def cancelled(): raise Cancelled("now")
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_factories.py").write_text(FACTORIES)
    (tmp_path / "failing.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "unparsable.py").write_text("def f(:")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_factories", raising=False)


SIX = Shape(channels=1, height=6, width=6)


@pytest.mark.usefixtures("factories")
def test_a_function_makes_a_data_set() -> None:
    dataset = load_dataset("my_factories:good", SIX)
    np.testing.assert_array_equal(dataset.test.frames, stripes().test.frames)


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_factories:absent", "must be an importable"),
        ("no_such_package.module:good", "must be an importable"),
        ("..:good", "no name of a function; must be 'package.module:function'"),
        ("failing:good", "RuntimeError: at import; must be an importable"),
        ("unparsable:good", "SyntaxError: .*; must be an importable"),
        ("leaving:good", "SystemExit: 0; must be an importable"),
        ("my_factories:number", "not a function"),
        ("my_factories:wrong", "returned int; must be"),
    ],
)
def test_other_functions_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_dataset(spec, SIX)


@pytest.mark.usefixtures("factories")
def test_a_function_that_fails_is_named() -> None:
    with pytest.raises(UnsupportedError, match="raised KeyError: 'lost'"):
        load_dataset("my_factories:broken", SIX)
    with pytest.raises(UnsupportedError, match="raised Cancelled: now"):
        load_dataset("my_factories:cancelled", SIX)
    with pytest.raises(UnsupportedError, match="raised SystemExit: 0"):
        load_dataset("my_factories:leaving", SIX)


def test_words_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="'cats': no such folder; must be 'digits', "):
        load_dataset("cats", GREY)
    with pytest.raises(InputError, match="'digits' is greyscale; the network reads 3x"):
        load_dataset("digits", Shape(channels=3, height=16, width=16))
    with pytest.raises(InputError, match="network reads 1x16x16: give frames of that"):
        load_dataset("tests.quant.networks:stripes", GREY)
    for channels, remedy in (
        (6, "channels come first; give"),
        (2, "give frames of as"),
    ):
        shape = Shape(channels=channels, height=1, width=6)
        with pytest.raises(InputError, match=f"network reads {channels}x1x6: {remedy}"):
            load_dataset("tests.quant.networks:stripes", shape)


def test_labels_beyond_the_classes_are_refused() -> None:
    good = stripes()
    labels = np.full(len(good.test), 3, dtype=np.int64)
    wrong = Split(frames=good.test.frames, labels=labels)
    with pytest.raises(InputError, match="test has label 3; must be below 3"):
        Dataset(
            name="wrong",
            train=good.train,
            validation=good.validation,
            test=wrong,
            classes=3,
        )


def test_every_first_part_of_a_split_has_all_classes_alike(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", classes=3, count=20)
    dataset = load_dataset(
        str(tmp_path / "photos"), Shape(channels=1, height=2, width=2)
    )
    for split in (dataset.train, dataset.test):
        for count in (3, 4, 6, 11):
            found = np.bincount(split.labels[:count], minlength=3)
            assert found.max() - found.min() <= 1
    # Of classes of 12 and 4 frames, the first 4 hold 3 and 1.
    values = arrays(16)
    values["y_train"] = np.array([0] * 12 + [1] * 4)
    values["x_test"], values["y_test"] = values["x_train"] + 1, values["y_train"]
    mixed = load_dataset(save(tmp_path / "mine.npz", values), SMALL)
    assert np.bincount(mixed.test.labels[:4]).tolist() == [3, 1]
    assert not mixed.drawn
    assert dataset.drawn


def test_training_frames_that_equal_test_frames_are_left_out(tmp_path: Path) -> None:
    values = arrays()
    values["x_test"][2] = values["x_train"][5]
    dataset = load_dataset(save(tmp_path / "mine.npz", values), SMALL)
    shared = values["x_train"][5].astype(np.float32).tobytes()
    train = {frame.tobytes() for frame in dataset.train.frames[:]}
    validation = {frame.tobytes() for frame in dataset.validation.frames[:]}
    assert dataset.left_out == 1 - (shared in validation)
    assert shared not in train
    values["x_test"] = values["x_train"]
    values["y_test"] = values["y_train"]
    with pytest.raises(InputError, match="all training frames are test frames too"):
        load_dataset(save(tmp_path / "same.npz", values), SMALL)
