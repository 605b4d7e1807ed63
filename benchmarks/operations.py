"""How honest is the sum of plug-in losses? Kendall's tau on random assemblies.

    python benchmarks/operations.py [--data fashion-mnist] [--assemblies 100] [--seed 0]

A teacher is trained, operations are distilled for every block, and networks are put
together of operations drawn at random: each block stays, is left out where it may be,
or is replaced, with weights of 8 or 4 bits. The share of blocks that stay is itself
drawn, so that assemblies reach from near the teacher to far from it. Two predictions
are compared with the loss of the whole network without training, with batch statistics
estimated anew and without: the sum of plug-in losses, and the sum of the logarithms of
how many times each makes the loss towards the teacher's outputs. What is measured is
the divergence from these outputs on 512 training frames. No test frame is looked at but
for the teacher's top-1. Teacher, passes of the distillation and assemblies lie in
`--folder`; what is there is not made again.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from benchmarks._common import machine, print_table
from benchmarks._kept import EPOCHS, Rows, known_data, trained
from hao.distillation.choose import BlockTeacher
from hao.distillation.distill import DistillSettings, distill
from hao.distillation.pool import assembled, places_of
from hao.distillation.score import Scores, outputs_of, rounded, score
from hao.ir.change import Bits, Change, LeaveOut, Replace
from hao.ir.network import Network
from hao.options.operations import load_pool
from hao.quant.float_net import FloatNet
from hao.quant.outputs import divergence
from hao.quant.train import accuracy_of_net
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
    teacher: BlockTeacher, scores: Scores, rng: np.random.Generator
) -> tuple[dict[str, Change], list[float]]:
    """Return a random scheme, and its plug-in losses."""
    bits = {x.name: int(rng.choice(CHOICES)) for x in teacher.network.compute_layers}
    scheme: dict[str, Change] = {n: Bits(weight_bits=b) for n, b in bits.items()}
    losses: list[float] = []
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
            losses.append(scores.identities[name])
            continue
        width = int(rng.choice(CHOICES))
        change = Replace(
            operation=chosen, layers=place.operations[chosen], weight_bits=width
        )
        scheme |= {name: change, **change.bits}
        losses.append(scores.operations[name, chosen, width])
    losses += [scores.bits[n, b] for n, b in bits.items() if n not in gone]
    return scheme, losses


def plain_loss(teacher: BlockTeacher, scheme: dict[str, Change]) -> float:
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
    made = outputs_of(rounded(network, bits), teacher.frames)
    return divergence(teacher.exact, made)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=tuple(EPOCHS), default="fashion-mnist")
    parser.add_argument("--assemblies", type=int, default=100)
    parser.add_argument("--operations", type=int, default=len(NAMES))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/operations"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    network: Network = build_network("digits")
    data = known_data(asked.data, network)
    whole = trained(
        network,
        data,
        epochs=EPOCHS[asked.data],
        seed=asked.seed,
        path=asked.folder / f"clean-{asked.data}-{asked.seed}.npz",
    )
    top1 = accuracy_of_net(FloatNet(whole, batch_norm=False), data.test)
    print(f"teacher {100 * top1:.2f} %", flush=True)
    names = NAMES[: asked.operations]
    places = places_of(whole, [o for o in load_pool() if o.name in names])
    started = time.process_time()
    settings = DistillSettings(
        epochs=asked.epochs, frames=asked.frames, seed=asked.seed, side_by_side=2
    )
    distilled = distill(
        whole,
        places,
        data.train,
        settings,
        folder=asked.folder,
        progress=lambda line: print(line, flush=True),
    )
    frames = data.train.frames[:512]
    scores = score(whole, places, distilled.params, frames, CHOICES)
    spent = time.process_time() - started
    print(f"distilled and scored in {spent:.0f} CPU s", flush=True)
    teacher = BlockTeacher(
        network=whole, places=places, params=distilled.params, frames=frames
    )
    exact = teacher.exact
    entropy = -float((np.exp(exact) * exact).sum(axis=1).mean())
    stem = f"{asked.data}-{asked.seed}-{asked.operations}-{asked.epochs}-{asked.frames}"
    rows = Rows(asked.folder / f"{stem}.csv", ("number",))
    rng = np.random.default_rng(asked.seed)
    for number in range(asked.assemblies):
        scheme, losses = drawn(teacher, scores, rng)
        if rows.where(number=number):
            continue
        rows.add(
            {
                "number": number,
                "sum": sum(losses),
                "folds": float(np.log1p(np.array(losses) / entropy).sum()),
                "anew": teacher.loss(scheme),
                "plain": plain_loss(teacher, scheme),
            }
        )
    found = {
        key: [float(row[key]) for row in rows.rows]
        for key in ("sum", "folds", "anew", "plain")
    }
    print(
        f"\nKendall's tau on {len(rows.rows)} assemblies; entropy {entropy:.3f} nats\n"
    )
    table = [
        (
            word,
            *(
                float(kendalltau(found[p], found[key]).statistic)
                for p in ("sum", "folds")
            ),
            float(np.median(found[key])),
        )
        for word, key in (("statistics anew", "anew"), ("as put together", "plain"))
    ]
    heads = ("measured with", "sum of losses", "of logarithms", "median loss [nats]")
    print_table(heads, table)


if __name__ == "__main__":
    main()
