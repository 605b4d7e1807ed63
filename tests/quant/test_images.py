"""Folders of images: layouts, what is refused before it is decoded, streaming."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hao.errors import InputError
from hao.ir.tensor import Shape
from hao.quant import images
from hao.quant.dataset import load_dataset
from hao.quant.images import ImageFrames, load_image_folder

SHAPE = Shape(channels=3, height=4, width=4)


def fill(folder: Path, *, first: int = 0, count: int = 10, classes: str = "ab") -> None:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(first, first + count):
            pixels = np.full((4, 4, 3), 100 * label + number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def values(frames: object) -> set[int]:
    assert isinstance(frames, ImageFrames)
    return {round(255 * float(frame[0, 0, 0])) for frame in frames[:]}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_what_is_set_apart_is_what_is_reported(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "train", count=20)
    fill(tmp_path / name, first=50, count=5)
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert values(dataset.test.frames) == {*range(50, 55), *range(150, 155)}
    known = values(dataset.train.frames) | values(dataset.validation.frames)
    assert known == {*range(20), *range(100, 120)}
    assert len(dataset.validation) == 4
    assert not dataset.drawn


def test_three_parts_are_taken_as_they_are(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "val", "test")):
        fill(tmp_path / name, first=10 * number, count=4)
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert values(dataset.train.frames) == {*range(4), *range(100, 104)}
    assert values(dataset.validation.frames) == {*range(10, 14), *range(110, 114)}
    assert values(dataset.test.frames) == {*range(20, 24), *range(120, 124)}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, classes="ab")
    (tmp_path / "b").rename(tmp_path / "train")
    assert load_image_folder(tmp_path, SHAPE).classes == ("a", "train")


def test_a_part_may_lack_a_class_but_have_no_other(tmp_path: Path) -> None:
    fill(tmp_path / "train", classes="abc")
    fill(tmp_path / "test", first=50, classes="ab")
    (tmp_path / "test" / "b").rename(tmp_path / "test" / "c")
    found = load_image_folder(tmp_path, SHAPE)
    assert found.test is not None
    assert set(found.test[1].tolist()) == {0, 2}
    (tmp_path / "test" / "c").rename(tmp_path / "test" / "d")
    with pytest.raises(InputError, match=r"test/d: no such class in train/"):
        load_image_folder(tmp_path, SHAPE)


def test_parts_that_do_not_suffice_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "val")
    with pytest.raises(InputError, match=r"val/ but no train/ with a folder per class"):
        load_image_folder(tmp_path, SHAPE)
    (tmp_path / "val").rename(tmp_path / "train")
    with pytest.raises(InputError, match=r"train/ but neither val/ nor test/ beside"):
        load_image_folder(tmp_path, SHAPE)


def test_copies_of_test_images_are_not_trained_with(tmp_path: Path) -> None:
    fill(tmp_path / "train", count=20)
    fill(tmp_path / "test", first=50, count=3)
    for number in (50, 51):
        copied = tmp_path / "train" / "a" / f"copy{number}.png"
        shutil.copy(tmp_path / "test" / "a" / f"{number}.png", copied)
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert values(dataset.train.frames) & values(dataset.test.frames) == set()
    assert 1 <= dataset.left_out <= 2


def huge(path: Path, size: int = 9000) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b"")
    )


def test_what_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    fill(tmp_path)
    bad = tmp_path / "a" / "z.png"
    huge(bad)
    with pytest.raises(InputError, match=r"z\.png: 9000 x 9000 pixels; must be"):
        load_image_folder(tmp_path, SHAPE)
    huge(bad, 100_000)
    with pytest.raises(InputError, match=r"z\.png: far too many pixels; must be at m"):
        load_image_folder(tmp_path, SHAPE)
    bad.unlink()
    os.mkfifo(bad)
    with pytest.raises(InputError, match=r"z\.png: not a file; must be an image"):
        load_image_folder(tmp_path, SHAPE)
    bad.unlink()
    # Pillow would read it, by programs that a .png should not start.
    bad.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match=r"z\.png: not readable as an image \(damaged"):
        load_image_folder(tmp_path, SHAPE)


def test_an_image_that_is_cut_off_is_refused_when_it_is_decoded(tmp_path: Path) -> None:
    fill(tmp_path)
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"\d\.png: not readable as an image"):
        load_dataset(str(tmp_path), SHAPE).train.frames[:]


def test_a_folder_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbid)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        load_image_folder(tmp_path, SHAPE)


def test_images_are_decoded_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    decoded: list[Path] = []
    real = images._decoded

    def count(path: Path, size: Shape) -> object:
        decoded.append(path)
        return real(path, size)

    monkeypatch.setattr(images, "_decoded", count)
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert decoded == []
    frames = dataset.train.frames
    assert frames[2:5].shape == (3, 3, 4, 4)
    assert len(decoded) == 3
    np.testing.assert_array_equal(frames[np.array([4, 2])], frames[2:5][[2, 0]])


def test_a_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    fill(tmp_path)
    before = load_dataset(str(tmp_path), SHAPE).train.fingerprint()
    assert load_dataset(str(tmp_path), SHAPE).train.fingerprint() == before
    for path in tmp_path.rglob("*.png"):
        os.utime(path, ns=(0, 0))
    assert load_dataset(str(tmp_path), SHAPE).train.fingerprint() != before
