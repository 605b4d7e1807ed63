"""Archives are read whole; what is none is refused, and no file stays open."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.npz import load_npz


def archive(**arrays: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def bare() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(archive(a=np.arange(3), b=np.eye(2)))
    found = load_npz(path)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    np.testing.assert_array_equal(found["b"], [[1, 0], [0, 1]])


WHOLE = archive(a=np.arange(1000) % 7)
BROKEN = {
    "empty": b"",
    "text": b"no archive at all",
    "cut": WHOLE[: len(WHOLE) // 2],
    "flipped": WHOLE[:60] + bytes([WHOLE[60] ^ 0xFF]) + WHOLE[61:],
    "bare": bare(),
    "object": archive(a=np.array([{"code": 1}], dtype=object)),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        load_npz(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.npz: "):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="directory"):
        load_npz(tmp_path)
