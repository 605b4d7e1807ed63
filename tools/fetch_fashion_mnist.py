"""Bring Fashion-MNIST here, out of the package dataset-fashion-mnist, without root.

    python tools/fetch_fashion_mnist.py                  into build/fashion-mnist
    export HAO_FASHION_MNIST=build/fashion-mnist

needs apt-get and dpkg-deb, so a Debian or an Ubuntu. With root, `apt-get install
dataset-fashion-mnist` puts the same files where hao looks by itself. Elsewhere, any
copy of the four files does: https://github.com/zalandoresearch/fashion-mnist has them.
The digests below are those of the package 0.0~git20200523.55506a9-1 of Debian 12.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "dataset-fashion-mnist"
INSIDE = Path("usr/share/datasets/fashion-mnist")
SHA256 = {
    "train-images": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}


def file_name(word: str) -> str:
    """Return the name of a file of images or of labels."""
    return f"{word}-idx{3 if word.endswith('images') else 1}-ubyte.gz"


def check_files(folder: Path) -> None:
    """Check that a folder holds the files, each with its digest.

    Raises:
        ValueError: One is missing, or another.
    """
    for word, digest in SHA256.items():
        path = folder / file_name(word)
        if not path.is_file():
            raise ValueError(f"{path}: missing")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != digest:
            raise ValueError(f"{path}: SHA-256 {found}; must be {digest}")


def fetch(target: Path) -> None:
    """Download the package, take the files out of it, and check them.

    Raises:
        ValueError: A program is missing or fails, or a file is not what it should be.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ValueError(f"{program}: not there; take the files from elsewhere")
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        try:
            subprocess.run(["apt-get", "download", PACKAGE], cwd=work, check=True)
            (package,) = work.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, work], check=True)
        except subprocess.CalledProcessError as error:
            raise ValueError(f"{error}; try `apt-get update` first") from error
        check_files(work / INSIDE)
        target.mkdir(parents=True, exist_ok=True)
        for word in SHA256:
            name = file_name(word)
            shutil.copyfile(work / INSIDE / name, target / name)


def main() -> int:
    """Fetch, and return the exit status."""
    parser = argparse.ArgumentParser(description="Bring Fashion-MNIST here.")
    parser.add_argument("target", type=Path, nargs="?", default="build/fashion-mnist")
    target = parser.parse_args().target.resolve()
    try:
        fetch(target)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"export HAO_FASHION_MNIST={target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
