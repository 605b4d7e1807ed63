"""Scripts that make data: garments on photographs, and the package taken apart."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hao.errors import InputError
from hao.quant.arrays import load_idx_folder
from hao.quant.known import fashion_folder
from tools import fashion_on_photos, fetch_fashion_mnist
from tools.fashion_on_photos import on_photos, parts, photographs

GARMENTS = np.zeros((40, 28, 28), dtype=np.uint8)
GARMENTS[:, 8:20, 8:20] = 255


def test_frames_depend_on_the_seed_alone() -> None:
    pictures = parts(photographs(), train=True)
    made = on_photos(GARMENTS, pictures, seed=3)
    assert made.shape == (40, 3, 32, 32)
    np.testing.assert_array_equal(made, on_photos(GARMENTS, pictures, seed=3))
    assert not np.array_equal(made, on_photos(GARMENTS, pictures, seed=4))


def test_photographs_are_divided_between_the_splits() -> None:
    pictures = photographs()
    for whole, left, right in zip(
        pictures, parts(pictures, train=True), parts(pictures, train=False), strict=True
    ):
        assert left.shape[1] + right.shape[1] == whole.shape[1]
        assert min(*left.shape[:2], *right.shape[:2]) >= 32


def test_a_garment_hides_the_photograph_in_one_colour() -> None:
    white = [np.full((40, 40, 3), 200, dtype=np.uint8)]
    for frame in on_photos(GARMENTS, white, seed=0):
        pixels = frame.reshape(3, -1).T
        kinds, counts = np.unique(pixels, axis=0, return_counts=True)
        # 12 x 12 pixels of a garment; the rest is the photograph.
        assert sorted(counts) == [144, 880]
        assert kinds[np.argmax(counts)].tolist() == [200, 200, 200]
        assert kinds[np.argmin(counts)].max() == 255


def test_real_garments_keep_their_labels() -> None:
    try:
        found = load_idx_folder(fashion_folder())
    except InputError as error:
        pytest.skip(str(error))
    first = type(found.test)(
        frames=found.test.frames[:50],
        labels=None if found.test.labels is None else found.test.labels[:50],
    )
    frames, labels = fashion_on_photos.made(first, train=False, seed=1)
    assert frames.shape == (50, 3, 32, 32)
    # Source: the first labels of t10k-labels-idx1-ubyte.
    assert labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def test_files_are_known_by_their_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"labels"
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(fetch_fashion_mnist, "SHA256", {"t10k-labels": digest})
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    with pytest.raises(ValueError, match=r"idx1-ubyte\.gz: missing"):
        fetch_fashion_mnist.check_files(tmp_path)
    path.write_bytes(b"other")
    with pytest.raises(ValueError, match=f"SHA-256 .*; must be {digest}"):
        fetch_fashion_mnist.check_files(tmp_path)
    path.write_bytes(data)
    fetch_fashion_mnist.check_files(tmp_path)


def test_a_missing_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="apt-get: not there; take the files"):
        fetch_fashion_mnist.fetch(tmp_path / "target")
