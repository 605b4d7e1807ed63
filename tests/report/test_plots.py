"""Pictures: files that are images, with the published points where they belong."""

from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.report.plots import write_front_picture, write_stage_picture
from hao.report.published import PublishedPoint, load_published
from hao.report.result import SearchResult
from tests.report.samples import point, small_result

PNG = b"\x89PNG\r\n\x1a\n"
HEADER = "key,network,dataset,device,fps,top1,batch,source\n"


def unknown(result: SearchResult) -> SearchResult:
    return replace(result, front=tuple(replace(p, accuracy=None) for p in result.front))


@pytest.mark.parametrize(
    "result",
    [
        small_result(),
        small_result(board="pynq-z2"),
        unknown(small_result()),
        replace(small_result(), front=(point(50, 70),)),
        replace(small_result(), front=(point(50, 70, "\x1b$_{$"),)),
    ],
    ids=["zu3eg", "other board", "unknown", "one point", "hostile name"],
)
def test_a_front_becomes_a_picture(result: SearchResult, tmp_path: Path) -> None:
    write_front_picture(result, tmp_path / "f.png")
    content = (tmp_path / "f.png").read_bytes()
    assert content.startswith(PNG)
    assert int.from_bytes(content[16:20]) == 1440
    assert int.from_bytes(content[20:24]) == 930


def test_published_points_are_drawn_on_their_device_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def note() -> tuple[PublishedPoint, ...]:
        read.append("read")
        return load_published()

    monkeypatch.setattr("hao.report.plots.load_published", note)
    write_front_picture(small_result(board="zcu104"), tmp_path / "f.png")
    assert not read
    write_front_picture(small_result(), tmp_path / "f.png")
    assert len(read) == 1


def test_invocations_become_a_picture(tmp_path: Path) -> None:
    write_stage_picture(small_result(), tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(PNG)


def test_the_published_points_are_those_of_the_papers() -> None:
    # HAO: arXiv:2104.12766, Tables II and III; MSD: CASR-HKU/MSD-FCCM23.
    points = {p.label: (p.fps, p.top1) for p in load_published()}
    assert points["HAO, searched network"] == (50.0, 72.45)
    assert points["HAO, MobileNetV2"] == (43.5, 71.4)
    assert points["Synetgy, DiracDeltaNet"] == (41.4, 68.3)
    assert points["FracBNN, binary network"] == (48.1, 71.8)
    assert points["MSD, ResNet-18"] == (129.53, 69.72)
    assert points["DPU B1600, ResNet-50"] == (32.4667, 73.35)
    assert points["DPU B1600, MobileNetV2 (Caffe)"] == (136.183, 63.99)
    assert len(points) == 13


def test_published_points_of_other_batches_or_devices_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        HEADER
        + "wu2023msd_a,A,ImageNet 224,XCZU3EG,50,70,1,s\n"
        + "wu2023msd_b,B,ImageNet 224,XCZU3EG,50,70,16,s\n"
        + "wu2023msd_c,C,CIFAR-10,XCZU3EG,50,70,1,s\n"
        + "wu2023msd_d,D,ImageNet 224,XCZU9EG,50,70,1,s\n"
        + "wu2023msd_e,E,ImageNet 224,XCZU3EG,50,,1,s\n"
    )
    assert [p.label for p in load_published(path)] == ["MSD, A"]


def test_an_author_that_the_picture_cannot_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}x_y,A,ImageNet,XCZU3EG,50,70,1,s\n")
    with pytest.raises(InputError, match=r"p.csv:2: key 'x'; must be one of dong2021"):
        load_published(path)
