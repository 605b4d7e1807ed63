"""What the search lets in can be built; what is missing is told all at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper

from hao.cli.main import main
from hao.errors import InputError, UnsupportedError
from hao.ir.integer import Requantization
from hao.model import check_model, load_buildable, multiplied
from tests.frontends.onnx_models import (
    QONNX_DOMAIN,
    Stored,
    floats,
    model,
    node_with,
)

QUANT = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def bad_model(folder: Path) -> Path:
    """Return a file with four nodes that cannot be built, two of one kind."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "stem", pads=[1, 1, 1, 1]),
        helper.make_node("HardSwish", ["a"], ["b"], "swish1"),
        helper.make_node(
            "Conv", ["b", "w9"], ["c"], "large", kernel_shape=[9, 9], pads=[4, 4, 4, 4]
        ),
        helper.make_node("HardSwish", ["c"], ["d"], "swish2"),
        helper.make_node("Concat", ["b", "d"], ["e"], "join", axis=1),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "mean"),
        helper.make_node("Flatten", ["f"], ["y"], "flat"),
    ]
    stored: Stored = {"w": floats(0, 4, 3, 3, 3), "w9": floats(1, 4, 4, 9, 9)}
    path = folder / "bad.onnx"
    made = model(nodes, stored=stored, x=(1, 3, 12, 12))
    path.write_bytes(made.SerializeToString())
    return path


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="4 things are not handled: ") as caught:
        load_buildable(bad_model(tmp_path))
    named = ["'swish1'", "'swish2'", "'join'", "'large'"]
    assert [any(n in p for p in caught.value.problems) for n in named] == [True] * 4
    assert len(caught.value.problems) == 4
    assert "\n" not in str(caught.value)


def test_scales_that_no_shifts_express_are_marked_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "file.onnx"
    found = []
    for step in (0.5, 0.3):
        scales = {"s": np.float32(step), "z": np.float32(0), "b": np.float32(4)}
        nodes = [
            node_with("Quant", ["x", "s", "z", "b"], ["q"], QUANT, domain=QONNX_DOMAIN),
            node_with("Quant", ["w", "t", "z", "b"], ["v"], QUANT, domain=QONNX_DOMAIN),
            helper.make_node("Conv", ["q", "v"], ["c"], "conv"),
            node_with("Quant", ["c", "t", "z", "b"], ["y"], QUANT, domain=QONNX_DOMAIN),
        ]
        stored: Stored = {"w": floats(0, 2, 3, 3, 3), "t": np.float32(0.25), **scales}
        made = model(nodes, stored=stored, x=(1, 3, 6, 6), domains=[(QONNX_DOMAIN, 1)])
        path.write_bytes(made.SerializeToString())
        imported = load_buildable(path)
        (conv,) = imported.network.compute_layers
        noted = {multiplied(Requantization.MULTIPLIER)}
        found.append((conv.multiplied, conv.wide, noted <= set(imported.notes)))
    # Sums of 27 products of 4 bits: 18 bits do.
    assert found == [(False, False, False), (True, False, True)]


def test_check_lists_operators_and_what_is_missing(tmp_path: Path) -> None:
    path = bad_model(tmp_path)
    check = check_model(path)
    assert "operators" in repr(check).splitlines()[0]
    assert check.operators == {
        "Concat": 1,
        "Conv": 2,
        "Flatten": 1,
        "GlobalAveragePool": 1,
        "HardSwish": 2,
    }
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 2
    assert "HardSwish 'swish2' is not handled: no smooth functions" in done.output
    assert "train with ReLU or ReLU6 instead" in done.output
    answer = json.loads(CliRunner().invoke(main, ["check", str(path), "--json"]).output)
    assert answer["missing"] == list(check.missing)
    assert answer["layers"] is None


def test_check_lists_what_is_rewritten(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["n"], "mean"),
        node_with(
            "Conv",
            ["n", "w"],
            ["a"],
            {"pads": [1, 1, 1, 1], "group": 3},
            name="groups",
        ),
        helper.make_node(
            "MaxPool", ["a"], ["b"], "pool", kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("Sigmoid", ["b"], ["y"], "score"),
    ]
    stored: Stored = {"w": floats(0, 6, 1, 3, 3), "m": np.float32(0.5)}
    path = tmp_path / "good.onnx"
    made = model(nodes, stored=stored, x=(1, 3, "height", "width"))
    path.write_bytes(made.SerializeToString())
    done = CliRunner().invoke(main, ["check", str(path), "--image-size", "12"])
    assert done.exit_code == 0, done.output
    for text in (
        "frame 3x12x12, output 6x3x3",
        "Conv 'groups': 3 groups of 1 to 2 channels are run as one dense",
        "Sigmoid 'score' at the end is left out",
        "layer 'pool': 4x4 windows run as smaller ones in a row",
        "is left to the host; the emitted driver does it",
        "missing: nothing",
    ):
        assert text in done.output


def test_a_frame_without_size_needs_one(tmp_path: Path) -> None:
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    path = tmp_path / "open.onnx"
    path.write_bytes(model([node], x=(1, 3, "h", "w")).SerializeToString())
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 2
    assert "dimension 2 is h; must be" in done.output
    assert "--image-size" in done.output
    done = CliRunner().invoke(main, ["check", str(path), "--image-size", "9x5"])
    assert "frame 3x9x5, output 3x1x1" in done.output
    for size in ("0", "9x4097"):
        done = CliRunner().invoke(main, ["check", str(path), "--image-size", size])
        assert "height and width must be from 1 to 4096" in done.output
    for size in ("", "9x", "1x2x3", "small"):
        done = CliRunner().invoke(main, ["check", str(path), "--image-size", size])
        assert done.exit_code == 2
        assert "must be a number of pixels, or height and width" in done.output


def test_a_frame_of_one_open_size_takes_it_from_the_two(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    for sizes in ((1, 3, 9, "w"), (1, 3, "h", 5), (1, 3, 9, 5)):
        path.write_bytes(model([node], x=sizes).SerializeToString())
        frame = load_buildable(path, image_size=(9, 5)).network.input.ofm
        assert (frame.channels, frame.height, frame.width) == (3, 9, 5)
        message = r"frames of 9x5; .* leave it out|dimension . is .; must be"
        with pytest.raises(InputError, match=message):
            load_buildable(path, image_size=6)
