"""Arrays: IDX files as MNIST and its relatives have them, and .npz files of bytes."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.tensor import Shape
from hao.quant.arrays import load_arrays, load_idx, load_idx_folder
from hao.quant.dataset import load_dataset

GREY = Shape(channels=1, height=4, width=5)


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return the bytes of an IDX file, written from the description of the format."""
    header = struct.pack(">HBB", 0, 8, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pixels(count: int, seed: int = 0) -> NDArray[np.uint8]:
    size = (count, GREY.height, GREY.width)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def classes(count: int) -> NDArray[np.uint8]:
    return (np.arange(count) % 3).astype(np.uint8)


def write_folder(folder: Path, *, prefix: str = "", packed: bool = False) -> None:
    folder.mkdir()
    for word, count in (("train", 30), ("t10k", 9)):
        for kind, data in (
            ("images-idx3", idx(pixels(count, count))),
            ("labels-idx1", idx(classes(count))),
        ):
            name = f"{prefix}{word}-{kind}-ubyte{'.gz' if packed else ''}"
            (folder / name).write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_idx_files_is_a_data_set(
    tmp_path: Path, prefix: str, packed: bool
) -> None:
    write_folder(tmp_path / "mine", prefix=prefix, packed=packed)
    dataset = load_dataset(str(tmp_path / "mine"), GREY)
    assert (dataset.name, dataset.classes, dataset.drawn) == ("mine", 3, False)
    assert (len(dataset.train), len(dataset.validation)) == (27, 3)
    # Frames are mixed over classes, so label k % 3 comes at place k.
    np.testing.assert_array_equal(dataset.test.labels, classes(9))
    expected = pixels(9, 9)[:, None] / np.float32(255)
    np.testing.assert_array_equal(dataset.test.frames[:], expected.astype(np.float32))
    assert dataset.test.frames[2:5].dtype == np.float32


def broken(tmp_path: Path, data: bytes, name: str = "a-idx1-ubyte") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


GOOD = idx(np.arange(6, dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with ; must be an IDX file of bytes, 000008"),
        (b"\x89PNG", "begins with 89504e47; must be an IDX file of bytes"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], "begins with 00000d01"),
        (GOOD[:6], "must have 1 axes"),
        (GOOD[:-1], "5 bytes after its header; must be 6"),
        (GOOD + b"0", "more than bytes after its header; must be 6"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "at most 1073741824 bytes"),
    ],
)
def test_files_that_are_not_idx_are_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_idx(broken(tmp_path, data))


def test_files_that_cannot_be_unpacked_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"readable as an IDX file \(Not a gzipped"):
        load_idx(broken(tmp_path, GOOD, "a-idx1-ubyte.gz"))
    short = gzip.compress(GOOD)[:-9]
    with pytest.raises(InputError, match="not readable as an IDX file"):
        load_idx(broken(tmp_path, short, "b-idx1-ubyte.gz"))
    with pytest.raises(InputError, match=r"\(No such file or directory\)"):
        load_idx(tmp_path / "absent")


def test_folders_that_lack_a_file_or_have_two_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_folder(folder)
    (folder / "digits-train-images-idx3-ubyte").write_bytes(idx(pixels(2)))
    with pytest.raises(InputError, match="-ubyte and train-images-idx3-ubyte; must ho"):
        load_idx_folder(folder)
    (folder / "digits-train-images-idx3-ubyte").unlink()
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(classes(8)))
    with pytest.raises(InputError, match=r"shape \(8,\); must be a label for each of"):
        load_idx_folder(folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="holds none of them; must hold one of t10k"):
        load_idx_folder(folder)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(classes(8)))
    with pytest.raises(InputError, match="1 axes; images have 3"):
        load_idx_folder(folder)


def write_arrays(path: Path, x: NDArray[np.uint8], **labels: NDArray[np.uint8]) -> str:
    np.savez(path, x_train=x, x_test=x[:6] // 2, **labels)  # type: ignore[arg-type] # numpy's stub
    return str(path)


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (0, 1, 2, 3)])
def test_colour_bytes_may_have_channels_first_or_last(
    tmp_path: Path, axes: tuple[int, ...]
) -> None:
    size = (12, GREY.height, GREY.width, 3)
    x = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    labels = {"y_train": classes(12), "y_test": classes(6)}
    path = write_arrays(tmp_path / "mine.npz", x.transpose(axes), **labels)
    shape = Shape(channels=3, height=GREY.height, width=GREY.width)
    dataset = load_dataset(path, shape)
    expected = (x[:6] // 2).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(dataset.test.frames[:], expected.astype(np.float32))


@pytest.mark.parametrize(
    ("have", "channels", "note"),
    [
        (3, 1, ("all images are in colour: mixed to grey",)),
        (1, 3, ("all images are grey: repeated for three channels",)),
        (3, 3, ()),
    ],
)
def test_what_becomes_of_other_channels_is_told(
    tmp_path: Path, have: int, channels: int, note: tuple[str, ...]
) -> None:
    size = (20, have, GREY.height, GREY.width)
    x = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    shape = Shape(channels=channels, height=GREY.height, width=GREY.width)
    assert load_dataset(write_arrays(tmp_path / "mine.npz", x), shape).notes == note


def test_bytes_without_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    dataset = load_dataset(write_arrays(path, pixels(20)), GREY)
    assert not dataset.labelled
    assert dataset.test.labels.tolist() == [0] * 6
    assert load_arrays(path).train.labels is None


def test_a_number_in_place_of_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=np.float32(1), x_test=np.float32(1))
    with pytest.raises(InputError, match=r"training part: frames of shape \(\), type"):
        load_dataset(str(path), GREY)
