"""Published float accuracies."""

import subprocess
import sys
from pathlib import Path

import pytest

from hao.accuracy.between import widths_between
from hao.accuracy.published import (
    Precision,
    group_by_network,
    load_float_rows,
    published_networks,
)
from hao.data import data_path
from hao.errors import InputError
from hao.zoo import ClassSet, entry, network_names

HEADER = (
    "architecture,recipe,width,image_size,top1,top5,params_m,macs_m,precision,source"
)


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "float.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_every_line_of_the_shipped_file_is_read() -> None:
    path = data_path("data", "imagenet_float_accuracy.csv")
    assert len(load_float_rows()) == len(path.read_text().splitlines()) - 1


def test_every_imagenet_network_of_the_zoo_has_a_float_accuracy() -> None:
    published = {name for name, _ in published_networks()}
    between = {name for name, _ in widths_between()}
    imagenet = {n for n in network_names() if entry(n).dataset is ClassSet.IMAGENET}
    assert imagenet == published | between
    assert len(between - published) == 15


def test_the_best_row_is_the_most_accurate_float_one() -> None:
    highest: dict[tuple[str | None, int], float] = {}
    for row in load_float_rows():
        if row.precision is Precision.FP32:
            key = (row.network, row.image_size)
            highest[key] = max(row.top1, highest.get(key, 0.0))
    for key, network in published_networks().items():
        assert network.best.precision is Precision.FP32
        assert network.top1 == highest[key]


def test_a_network_has_one_entry_per_image_size(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "resnet18,a,,224,69.0,,11.69,,fp32,s",
        "resnet18,b,,224,71.5,,11.69,,fp32,s",
        "resnet18,a,,288,70.0,,11.69,,fp32,s",
        "unheard_of,a,,224,99.0,,1,,fp32,s",
    )
    networks = group_by_network(load_float_rows(path))
    assert set(networks) == {("resnet18", 224), ("resnet18", 288)}
    assert networks["resnet18", 224].best.recipe == "b"
    assert networks["resnet18", 224].best.params == 11_690_000


def test_a_network_published_only_as_quantized_is_left_out(tmp_path: Path) -> None:
    line = '"int8 (w8a8, fake-quantized training)"'
    path = _file(tmp_path, f"resnet18,a,,224,69.0,,,,{line},s")
    assert group_by_network(load_float_rows(path)) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("resnet18,a,,224,101,,,,fp32,s", r"float\.csv:2: top1 = '101'"),
        ("resnet18,a,,224.5,70,,,,fp32,s", r"float\.csv:2: image_size = '224\.5'"),
        ("resnet18,a,,224,70,,,,fp16,s", r"float\.csv:2: precision = 'fp16'"),
        ("resnet18,a,,224,70,,,,fp32,", r"float\.csv:2: source = ''"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(
    tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_float_rows(_file(tmp_path, line))


def test_a_repeated_line_is_refused(tmp_path: Path) -> None:
    line = "resnet18,a,,224,70,,,,fp32,s"
    with pytest.raises(InputError, match=r"float\.csv:3: .* occurs twice"):
        load_float_rows(_file(tmp_path, line, line))


def test_reading_published_accuracies_loads_no_scikit_learn() -> None:
    code = (
        "import sys, hao.accuracy.published, hao.accuracy.drops\n"
        "sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
