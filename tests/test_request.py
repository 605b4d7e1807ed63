"""Which networks a request offers, and what is said of their accuracy."""

import re
from pathlib import Path

import pytest

from hao.accuracy.between import networks_between, widths_between
from hao.accuracy.published import published_networks
from hao.answer.objective import Objective
from hao.cost.uncertainty import latency_evidence
from hao.errors import ArgumentError, InputError
from hao.frontends.imported import ImportedNetwork
from hao.request import SearchRequest, candidates_of
from hao.zoo import build_network


def test_sizes_between_published_ones_are_offered_when_asked() -> None:
    plain = candidates_of(SearchRequest(board="zu3eg", fps=50))
    request = SearchRequest(board="zu3eg", fps=50, between_sizes=True)
    more = candidates_of(request)
    assert len(plain) == len(published_networks())
    assert len(more) == len(plain) + len(networks_between())
    (found,) = [c for c in more if c.label == "mobilenet_v4_conv_medium@288"]
    # 79.916 at 256 and 80.89 at 320 pixels: five ninths of the way by 1 / size.
    assert found.top1 == pytest.approx(79.916 + 0.974 * 5 / 9, abs=1e-3)
    assert found.source.startswith("interpolated between published image sizes, which")
    assert not any("interpolated" in c.source for c in plain)


def test_a_size_between_is_known_and_one_beyond_says_what_is() -> None:
    told: list[str] = []
    request = SearchRequest(board="zu3eg", fps=5, network="resnet50", image_size=208)
    (found,) = candidates_of(request, told.append)
    assert found.top1 == networks_between()["resnet50", 208].top1
    assert not told
    beyond = SearchRequest(board="zu3eg", fps=5, network="resnet50", image_size=304)
    (unknown,) = candidates_of(beyond, told.append)
    assert unknown.top1 is None
    assert told == [
        "note: resnet50@304: top-1 is unknown; published or interpolated at image "
        "sizes 160, 176, 192, 208, 224, 256, 272, 288"
    ]


def test_widths_between_published_ones_are_offered_when_asked() -> None:
    request = SearchRequest(board="zu3eg", fps=50, between_widths=True)
    more = candidates_of(request)
    assert len(more) == len(published_networks()) + len(widths_between())
    (found,) = [c for c in more if c.label == "mobilenet_v2_120@224"]
    # 72.91 at width 1 and 76.528 at 1.4: (1 - 1/1.2) / (1 - 1/1.4) = 7/12 of the way.
    assert found.top1 == pytest.approx(72.91 + 3.618 * 7 / 12, abs=1e-3)
    assert found.source == (
        "interpolated between published widths, which are hit within 0.49 points on "
        "average when left out, 1.78 at most; mobilenet_v2 between 100 and 140 % width "
        "ra_in1k: huggingface/pytorch-image-models "
        "results/results-imagenet.csv (2026-08-08)"
    )


def test_more_widths_exclude_one_network() -> None:
    with pytest.raises(InputError, match="`between_widths` offers more networks"):
        SearchRequest(board="zu3eg", network="digits", fps=9, between_widths=True)


def test_more_sizes_exclude_one_network() -> None:
    with pytest.raises(InputError, match="`between_sizes` offers more networks"):
        SearchRequest(board="zu3eg", network="digits", fps=9, between_sizes=True)


def test_all_that_is_wrong_is_told_together() -> None:
    with pytest.raises(ArgumentError) as caught:
        SearchRequest(
            board="zu3eg", fps=50, objective=Objective.FPS, best=99, margin_percent=95
        )
    told = str(caught.value).split("; and ")
    assert [re.findall("`([a-z0-9_]+)`", fault)[0] for fault in told] == [
        *("min_top1", "fps", "margin_percent", "best", "best"),
    ]


@pytest.mark.parametrize("fps", [7.0, 50.0, 900.0])
def test_by_default_the_interval_begins_at_what_was_asked(fps: float) -> None:
    request = SearchRequest(board="zu3eg", fps=fps)
    low, _ = latency_evidence().fps_interval(fps / request.promised_share)
    assert fps <= low < 1.02 * fps


def test_networks_are_offered_with_the_widest_activations_first() -> None:
    request = SearchRequest(board="zu3eg", fps=5, network="digits", act_bits=(5, 8, 6))
    offered = candidates_of(request)
    assert [each.rules.act_bits for each in offered] == [8, 6, 5]


def test_frames_of_the_zoo_are_square() -> None:
    with pytest.raises(ArgumentError, match=r"`image_size` = \(9, 5\); frames of a"):
        SearchRequest(board="zu3eg", fps=5, network="resnet50", image_size=(9, 5))


def test_a_model_is_read_at_the_image_size_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[tuple[Path, int | None]] = []

    def load(path: Path, *, image_size: int | None = None) -> ImportedNetwork:
        sizes.append((path, image_size))
        return ImportedNetwork(network=build_network("digits"), notes=("read",))

    monkeypatch.setattr("hao.request.load_buildable", load)
    told: list[str] = []
    for size in (None, 96):
        request = SearchRequest(
            board="zu3eg", fps=5, model=Path("net.onnx"), image_size=size
        )
        (found,) = candidates_of(request, told.append)
        assert found.network.name == "digits"
    assert sizes == [(Path("net.onnx"), None), (Path("net.onnx"), 96)]
    assert told == ["note: read"] * 2
