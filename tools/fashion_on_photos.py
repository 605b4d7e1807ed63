"""Make a colour data set of 32x32 pixels: garments of Fashion-MNIST on photographs.

    python tools/fashion_on_photos.py fashion_on_photos.npz
    hao quantize --data fashion_on_photos.npz

The photographs are those that scikit-learn (china, flower) and matplotlib (Grace
Hopper) ship, at three scales. Every garment gets a colour, a place and maybe a mirror
image; its own pixels say how much of the photograph it hides. Test garments stand on
the right three tenths of the photographs, training garments on the rest. Labels and
the split are those of Fashion-MNIST: 60,000 and 10,000 frames, 10 classes. The same
seed, on the same versions of the libraries, gives the same bytes.
"""

import argparse
import colorsys
import sys
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from hao.errors import InputError
from hao.quant.arrays import LabelledArray, load_idx_folder
from hao.quant.known import fashion_folder

SIZE = 32
SCALES = (1, 2, 4)
TRAIN_SHARE = 0.7
"""Left share of the photographs that training garments stand on."""

Bytes = NDArray[np.uint8]


def whole_photographs() -> list[Bytes]:
    """Return the photographs: a palace, a flower, Grace Hopper; (height, width, 3)."""
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    with Image.open(samples / "grace_hopper.jpg") as picture:
        hopper = np.asarray(picture.convert("RGB"))
    return [*load_sample_images().images, hopper]


def photographs() -> list[Bytes]:
    """Return the photographs, each at every scale, of shape (height, width, 3)."""
    return [
        np.asarray(Image.fromarray(picture).reduce(scale))
        for picture in whole_photographs()
        for scale in SCALES
    ]


def parts(pictures: list[Bytes], *, train: bool) -> list[Bytes]:
    """Return the part of every photograph that garments of a split stand on."""
    cuts = [round(picture.shape[1] * TRAIN_SHARE) for picture in pictures]
    return [
        picture[:, :cut] if train else picture[:, cut:]
        for picture, cut in zip(pictures, cuts, strict=True)
    ]


def on_photos(garments: Bytes, pictures: list[Bytes], seed: int) -> Bytes:
    """Return garments in colour on crops of photographs.

    Args:
        garments: Shape (frames, height, width), both at most `SIZE`.
        pictures: Each of shape (rows, columns, 3), at least `SIZE` of both.
        seed: Of colours, places and crops.

    Returns:
        Shape (frames, 3, SIZE, SIZE).
    """
    generator = np.random.default_rng(seed)
    frames = np.empty((len(garments), 3, SIZE, SIZE), dtype=np.uint8)
    height, width = garments.shape[1:]
    for garment, frame in zip(garments, frames, strict=True):
        picture = pictures[generator.integers(len(pictures))]
        rows, columns = picture.shape[:2]
        row, column = generator.integers((rows - SIZE + 1, columns - SIZE + 1))
        ground = picture[row : row + SIZE, column : column + SIZE].astype(np.float32)
        top, left = generator.integers((SIZE - height + 1, SIZE - width + 1))
        hue, saturation = generator.random(), generator.uniform(0.2, 1.0)
        colour = np.array(colorsys.hsv_to_rgb(hue, saturation, 1.0), dtype=np.float32)
        shade = garment[:, ::-1] if generator.random() < 0.5 else garment
        # A garment of a quarter of full brightness hides the photograph already.
        cover = np.minimum(1, shade.astype(np.float32) / 64)[:, :, None]
        place = ground[top : top + height, left : left + width]
        place *= 1 - cover
        place += cover * shade[:, :, None] * colour
        frame[:] = np.rint(ground).astype(np.uint8).transpose(2, 0, 1)
    return frames


def made(given: LabelledArray, *, train: bool, seed: int) -> tuple[Bytes, Bytes]:
    """Return the frames and labels of a split of Fashion-MNIST, in colour."""
    garments = given.frames.astype(np.uint8, copy=False)
    ground = parts(photographs(), train=train)
    assert given.labels is not None
    return on_photos(garments, ground, seed), given.labels.astype(np.uint8)


def main() -> int:
    """Make the data set and return the exit status."""
    parser = argparse.ArgumentParser(description="Make Fashion-MNIST on photographs.")
    parser.add_argument("output", type=Path, help="an .npz file of 215 MB")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.output.suffix != ".npz" or arguments.seed < 0:
        parser.error("the output must end in .npz, the seed be at least 0")
    try:
        found = load_idx_folder(fashion_folder())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seed = 2 * arguments.seed
    x_train, y_train = made(found.train, train=True, seed=seed)
    x_test, y_test = made(found.test, train=False, seed=seed + 1)
    np.savez(
        arguments.output, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
    print(f"{arguments.output}: {len(x_train)} and {len(x_test)} frames of 3x32x32")
    return 0


if __name__ == "__main__":
    sys.exit(main())
