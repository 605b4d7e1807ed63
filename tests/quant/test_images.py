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
from hao.ir.picture import Fit
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
    with pytest.raises(InputError, match=r"val/ but no train/ with images, or with"):
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

    def count(path: Path, size: Shape, fit: Fit) -> object:
        decoded.append(path)
        return real(path, size, fit)

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


def picture(folder: Path, name: str, image: Image.Image) -> Path:
    folder.mkdir(exist_ok=True)
    image.save(folder / name)
    return folder / name


def decoded(path: Path, channels: int) -> list[int]:
    """Return the bytes of the first pixel of an image that a folder holds alone."""
    shape = Shape(channels=channels, height=2, width=2)
    found = load_image_folder(path.parent, shape)
    values = found.train[0][:][0, :, 0, 0] * 255
    return [int(value) for value in np.rint(values)]


def clear_palette() -> Image.Image:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


WIDE = Image.fromarray(np.full((2, 2), 51 * 257 + 100, dtype=np.uint16))
"""Grey of 16 bits, a little above 51 of 255."""


@pytest.mark.parametrize(
    ("name", "image", "colour", "grey"),
    [
        ("a.png", Image.new("L", (2, 2), 7), [7, 7, 7], [7]),
        ("a.png", Image.new("1", (2, 2), 1), [255, 255, 255], [255]),
        # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
        ("a.png", Image.new("RGB", (2, 2), (10, 20, 30)), [10, 20, 30], [18]),
        ("a.png", clear_palette(), [10, 20, 30], [18]),
        # Half of black over white: 255 * (1 - 128 / 255) = 127.
        ("a.png", Image.new("RGBA", (2, 2), (0, 0, 0, 128)), [127, 127, 127], [127]),
        ("a.png", Image.new("LA", (2, 2), (9, 0)), [255, 255, 255], [255]),
        ("a.png", WIDE, [51, 51, 51], [51]),
        # CMYK (0, 0, 0, 51): black of a fifth; JPEG keeps one colour as it is.
        ("a.jpg", Image.new("CMYK", (2, 2), (0, 0, 0, 51)), [204, 204, 204], [204]),
    ],
)
def test_images_of_every_mode_are_read(
    tmp_path: Path, name: str, image: Image.Image, colour: list[int], grey: list[int]
) -> None:
    path = picture(tmp_path / "photos", name, image)
    assert decoded(path, 3) == colour
    assert decoded(path, 1) == grey


def test_a_palette_with_a_clear_colour_is_laid_over_white(tmp_path: Path) -> None:
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    clear_palette().save(path, transparency=1)
    assert decoded(path, 3) == [255, 255, 255]


def test_a_clear_level_of_16_bits_is_laid_over_white(tmp_path: Path) -> None:
    levels = np.array([[500, 501], [501, 501]], dtype=np.uint16)
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    Image.fromarray(levels).save(path, transparency=500)
    assert decoded(path, 3) == [255, 255, 255]
    Image.fromarray(levels).save(path, transparency=501)
    assert decoded(path, 1) == [2]  # 500 / 257 = 1.95


def test_images_of_kinds_that_are_not_read_are_told(tmp_path: Path) -> None:
    fill(tmp_path)
    for name in ("a/1.webp", "b/2.TIF", "b/notes.txt", "b/no_ending"):
        (tmp_path / name).write_bytes(b"")
    assert load_dataset(str(tmp_path), SHAPE).notes == (
        "2 images are neither of .png, .jpg, .jpeg, .bmp: passed over",
    )


def test_what_becomes_of_other_modes_is_told(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path, f"{number}.png", Image.new("LA", (2, 2), (number, 200)))
        picture(tmp_path, f"{number}.jpg", Image.new("L", (2, 2), 40 * number))
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert set(dataset.notes) == {
        "6 images are transparent: laid over white",
        "6 images are grey: repeated for three channels",
    }


def test_a_mode_that_is_not_handled_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path, "a.png", Image.new("L", (2, 2)))
    monkeypatch.setattr(Image, "open", lambda *_, **__: Image.new("F", (2, 2)))
    with pytest.raises(InputError, match=r"a\.png: pixels of mode 'F'; must be grey"):
        load_image_folder(path.parent, SHAPE)


def test_images_without_classes_are_unlabelled(tmp_path: Path) -> None:
    for number in range(10):
        picture(tmp_path / "photos", f"{number}.png", Image.new("L", (4, 4), number))
    dataset = load_dataset(str(tmp_path / "photos"), SHAPE)
    assert (dataset.labelled, dataset.classes, dataset.names) == (False, 1, ())
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [6, 1, 3]
    assert dataset.drawn


def test_images_without_classes_may_be_divided(tmp_path: Path) -> None:
    for part, first in (("train", 0), ("test", 50)):
        for number in range(first, first + 10):
            grey = Image.new("L", (4, 4), number)
            picture(tmp_path / part, f"{number}.png", grey)
    dataset = load_dataset(str(tmp_path), SHAPE)
    assert values(dataset.test.frames) == set(range(50, 60))
    assert not dataset.labelled
    assert not dataset.drawn


def test_the_fit_is_part_of_the_frames(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(4, 16))
    for number in range(4):
        picture(tmp_path / "photos", f"{number}.png", ramp)
    plain, cut = (
        load_image_folder(tmp_path / "photos", SHAPE, fit).train[0]
        for fit in (Fit(), Fit(short_side=4))
    )
    assert plain.fingerprint() != cut.fingerprint()
    np.testing.assert_array_equal(np.rint(cut[:][0, 0, 0] * 255), [6, 7, 8, 9])


@pytest.mark.parametrize(("level", "dark"), [(4095, True), (65535, False)])
def test_pictures_of_sixteen_bits_that_use_few_are_noted(
    tmp_path: Path, level: int, dark: bool
) -> None:
    for number in range(3):
        grey = np.full((4, 4), level, dtype=np.uint16)
        picture(tmp_path / "photos", f"{number}.png", Image.fromarray(grey))
    notes = load_image_folder(tmp_path / "photos", SHAPE).notes
    assert notes[0] == "3 images are of 16 bits: brought to 8, 65535 to 255"
    assert notes[1:] == (
        (
            "no pixel of the first 3 of them is above 4095 of 65535, so they are dark; "
            "scale them to 8 or 16 bits if they hold fewer",
        )
        if dark
        else ()
    )
