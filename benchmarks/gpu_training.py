"""Train small networks at few bits on a GPU: `python benchmarks/gpu_training.py`.

ResNet-8 and MobileNetV2 0.35 on 32x32 colour images (`tools/fashion_on_photos.py` makes
them from Fashion-MNIST; `--data` takes any data set of 3x32x32 frames): float, then
W8A8, W4A8 and W4A4 after quantization-aware training with the float network as teacher,
several seeds. A CPU is too slow for it, but runs it too, on fewer `--frames`.

Runs are started as long as `--minutes` last, seed by seed, so that what there was time
for is whole seeds as far as possible; each line of the table says how many. `--write
FILE` leaves the table and what it was made with.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from hao.errors import InputError
from hao.ir.network import Network
from hao.ir.passes import FRAME_BITS, frame_in_planes
from hao.quant.dataset import Dataset, load_dataset
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet, with_parameters
from hao.quant.modules import choose_device
from hao.quant.ptq import quantize_network
from hao.quant.scheme import uniform_scheme
from hao.quant.train import (
    FLOAT_SETTINGS,
    QUANTIZED_SETTINGS,
    accuracy_of_net,
    train_float,
    train_quantized,
)
from hao.zoo import build_network

NETWORKS = ("resnet8_cifar", "mobilenet_v2_035")
BITS = ((8, 8), (4, 8), (4, 4))
SIZE = 32


def first(dataset: Dataset, frames: int | None) -> Dataset:
    """Return a data set with at most so many training and test frames."""
    if frames is None:
        return dataset
    train = dataset.train.chosen(np.arange(min(frames, len(dataset.train))))
    test = dataset.test.chosen(np.arange(min(frames, len(dataset.test))))
    return replace(dataset, train=train, test=test)


def trained(
    network: Network, dataset: Dataset, args: argparse.Namespace, seed: int
) -> tuple[Network, float]:
    """Return a network after training in float, and its test top-1 [percent]."""
    settings = replace(FLOAT_SETTINGS, epochs=args.epochs, batch=args.batch, seed=seed)
    done = train_float(network, dataset, settings)
    net = FloatNet(done, batch_norm=False).to(choose_device())
    return done, 100 * accuracy_of_net(net, dataset.test)


def at_bits(
    network: Network,
    dataset: Dataset,
    bits: tuple[int, int],
    args: argparse.Namespace,
    seed: int,
) -> float:
    """Return the test top-1 after training at some bits [percent]."""
    weights, acts = bits
    planes = 2 if acts < FRAME_BITS else 1
    whole = with_parameters(frame_in_planes(network, planes), network.params)
    scheme = uniform_scheme(whole, weight_bits=weights, act_bits=acts)
    model = quantize_network(whole, scheme, dataset.train.frames)
    settings = replace(
        QUANTIZED_SETTINGS, epochs=args.quantized_epochs, batch=args.batch, seed=seed
    )
    teacher = FloatNet(whole, batch_norm=False).eval().to(choose_device())
    model = train_quantized(model, dataset, settings, teacher=Teacher(net=teacher))
    return 100 * accuracy_of_net(model.to(choose_device()), dataset.test)


def table(found: dict[tuple[str, str], list[float]]) -> str:
    """Return test top-1, mean and spread over seeds, as Markdown."""
    names = ["float", *(f"W{w}A{a}" for w, a in BITS)]
    lines = ["| network | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for network in dict.fromkeys(key[0] for key in found):
        cells = [network]
        for name in names:
            values = found.get((network, name), [])
            spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(
                f"{statistics.mean(values):.2f}{spread} ({len(values)})"
                if values
                else "-"
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", default="fashion_on_photos.npz", help="as hao quantize takes it"
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--quantized-epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--frames", type=int, help="of training and test, at most")
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args(argv)
    device = choose_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    head = (
        f"{name}, torch {torch.__version__}, brevitas {version('brevitas')}; "
        f"{args.data}, {args.epochs} epochs in float and {args.quantized_epochs} at "
        f"the bits, batch {args.batch}; test top-1 [%], in brackets the seeds"
    )
    print(head, flush=True)
    try:
        load_dataset(args.data, build_network(args.networks[0], SIZE).input.ofm)
    except InputError as error:
        print(f"left out: {error}")
        return
    found: dict[tuple[str, str], list[float]] = {}
    started = time.monotonic()

    def over() -> bool:
        return bool(time.monotonic() - started > 60 * args.minutes)

    for seed in range(args.seeds):
        for word in args.networks:
            if over():
                break
            network = build_network(word, SIZE)
            dataset = first(load_dataset(args.data, network.input.ofm), args.frames)
            network, top1 = trained(network, dataset, args, seed)
            found.setdefault((word, "float"), []).append(top1)
            for bits in BITS:
                if over():
                    break
                top1 = at_bits(network, dataset, bits, args, seed)
                found.setdefault((word, f"W{bits[0]}A{bits[1]}"), []).append(top1)
            print(f"{time.monotonic() - started:.0f} s, seed {seed}\n{table(found)}")
    if args.write is not None:
        args.write.write_text(f"{head}\n\n{table(found)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
