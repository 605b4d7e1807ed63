"""Archives are read whole; what is none is refused, and no file stays open."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hao import npz
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


def deflated(header: dict[str, object], content: bytes) -> bytes:
    """Return an archive of one array, whose header may say anything."""
    entry, stream = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(entry, header)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", entry.getvalue() + content)
    return stream.getvalue()


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(archive(a=np.zeros(1000), b=np.zeros(1000)))
    monkeypatch.setattr(npz, "MAX_UNPACKED_BYTES", 16_256 - 1)
    with pytest.raises(ValueError, match="unpacks to 16256 bytes; must be at most 162"):
        load_npz(path)
    monkeypatch.setattr(npz, "MAX_UNPACKED_BYTES", 16_256)
    assert len(load_npz(path)) == 2


@pytest.mark.parametrize("shape", [(2**50,), (2**32, 2**32), (3, -1), (-1, -1)])
def test_an_array_larger_than_its_bytes_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "some.npz"
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    path.write_bytes(deflated(header, bytes(8)))
    with pytest.raises(ValueError, match=r"a\.npy: float64 of .*; must be numbers,"):
        load_npz(path)


def test_an_array_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    entry = io.BytesIO()
    np.lib.format.write_array(entry, np.zeros(1), version=(3, 0))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", entry.getvalue())
    with pytest.raises(ValueError, match=r"a\.npy: of format \(3, 0\); must be 1.0"):
        load_npz(path)
