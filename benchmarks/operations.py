"""How honest is the sum of plug-in losses? Kendall's tau on random assemblies.

    python benchmarks/operations.py [--data digits] [--assemblies 100] [--seed 0]

A teacher is trained, operations are distilled for every block, and networks are put
together of operations drawn at random: each block stays, is left out where it may be,
or is replaced, with weights of 8 or 4 bits. The share of blocks that stay is itself
drawn, so that assemblies reach from near the teacher to far from it. The sum of plug-in
losses is compared with the loss of the whole network without training, with batch
statistics estimated anew and without: the divergence from the teacher's outputs on 512
training frames. No test frame is looked at but for the teacher's top-1.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from scipy.stats import kendalltau

from hao.distillation.choose import Teacher
from hao.distillation.distill import DistillSettings, distill
from hao.distillation.pool import assembled, places_of
from hao.distillation.score import Scores, outputs_of, rounded, score
from hao.ir.change import Bits, Change, LeaveOut, Replace
from hao.ir.network import Network
from hao.options.operations import load_pool
from hao.quant.dataset import load_dataset
from hao.quant.float_net import FloatNet
from hao.quant.outputs import divergence
from hao.quant.train import FLOAT_SETTINGS, accuracy_of_net, train_float
from hao.zoo import build_network

NAMES = (
    "conv1",
    "conv3",
    "separable_k3",
    "separable_k5",
    "inverted_e1_k3",
    "inverted_e1_k5",
    "inverted_e3_k3",
    "stacked_d2_k3",
    "bottleneck_d2_k3",
    "fused_d2_k3",
)
CHOICES = (8, 4)


def drawn(
    teacher: Teacher, scores: Scores, rng: np.random.Generator
) -> tuple[dict[str, Change], float]:
    """Return a random scheme, and the sum of its plug-in losses."""
    bits = {x.name: int(rng.choice(CHOICES)) for x in teacher.network.compute_layers}
    scheme: dict[str, Change] = {n: Bits(weight_bits=b) for n, b in bits.items()}
    total = 0.0
    gone: set[str] = set()
    kept = rng.random()
    for place in teacher.places:
        name = place.block.name
        if rng.random() < kept:
            continue
        gone |= place.block.layers
        options = [*place.operations, *(["identity"] if place.identity else [])]
        chosen = str(rng.choice(options))
        if chosen == "identity":
            scheme[name] = LeaveOut()
            total += scores.identities[name]
            continue
        width = int(rng.choice(CHOICES))
        change = Replace(
            operation=chosen, layers=place.operations[chosen], weight_bits=width
        )
        scheme |= {name: change, **change.bits}
        total += scores.operations[name, chosen, width]
    total += sum(scores.bits[n, b] for n, b in bits.items() if n not in gone)
    return scheme, total


def plain_loss(teacher: Teacher, scheme: dict[str, Change]) -> float:
    """Return the loss of a network as it is put together, statistics left alone."""
    blocks = teacher.blocks
    chosen = {
        blocks[name]: change.layers if isinstance(change, Replace) else ()
        for name, change in scheme.items()
        if name in blocks
    }
    network = assembled(teacher.network, chosen, teacher.params)
    bits = {
        layer.name: change.weight_bits
        for layer in network.compute_layers
        if isinstance(change := scheme[layer.name], Bits)
    }
    exact = outputs_of(teacher.network, teacher.frames)
    return divergence(exact, outputs_of(rounded(network, bits), teacher.frames))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--assemblies", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    started = time.perf_counter()
    network: Network = build_network("digits")
    data = load_dataset(asked.data, network.input.ofm)
    trained = train_float(network, data, replace(FLOAT_SETTINGS, seed=asked.seed))
    top1 = accuracy_of_net(FloatNet(trained, batch_norm=False), data.test)
    print(
        f"teacher {100 * top1:.2f} %, {time.perf_counter() - started:.0f} s", flush=True
    )
    places = places_of(trained, [o for o in load_pool() if o.name in NAMES])
    settings = DistillSettings(
        epochs=asked.epochs, frames=asked.frames, seed=asked.seed, side_by_side=10
    )
    distilled = distill(trained, places, data.train, settings, progress=print)
    frames = data.train.frames[:512]
    scores = score(trained, places, distilled.params, frames, CHOICES)
    print(f"scored after {time.perf_counter() - started:.0f} s", flush=True)
    teacher = Teacher(
        network=trained, places=places, params=distilled.params, frames=frames
    )
    rng = np.random.default_rng(asked.seed)
    rows = []
    for _ in range(asked.assemblies):
        scheme, total = drawn(teacher, scores, rng)
        rows.append((total, teacher.loss(scheme), plain_loss(teacher, scheme)))
    found = np.array(rows)
    for word, column in (("statistics anew", 1), ("as put together", 2)):
        tau = kendalltau(found[:, 0], found[:, column]).statistic
        print(
            f"{word}: tau {tau:.3f} on {len(found)} assemblies, "
            f"median loss {np.median(found[:, column]):.3f} nats"
        )
    print(f"{time.perf_counter() - started:.0f} s, seed {asked.seed}")


if __name__ == "__main__":
    main()
