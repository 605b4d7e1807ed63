"""All kinds of options at once against the best of them alone, at equal frame times.

A small residual network of 3x3 convolutions on Fashion-MNIST or the digits. All rules
start from one trained network and keep one frame time, a share of what the whole
network takes at 8 bits on its fastest design:

- bits, channels, words, operations: `hao search --options` with one kind alone;
- bits, words; bits, channels; all: two of them, or all four, in one program, the last
  within 1 % of the least cost;
- bits measured, all measured: `hao explore` from these runs, the scheme that measures
  best on validation frames before training;
- one shot, iterative: `hao prune`, channels (HALP) in one step of 240 training steps
  and in four of 60, before any training behind.

What they leave is trained with its bits for the same number of epochs, the whole
network as teacher, weights that are gone held at zero. Cycles are predicted; top-1 is
that of test frames with quantized weights and maps, as calibrated and as trained.

Run: python benchmarks/together.py [--data digits] [--seeds 3] [--share 0.5]
Rows lie in `--folder`; what is there is not run again, and what was killed goes on.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks._common import machine, print_table
from benchmarks._kept import EPOCHS, Rows, known_data, spread, trained
from hao.answer.candidates import BitRules
from hao.emission.weights import pruned_network
from hao.errors import InfeasibleError
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.ir.change import change_text, densities_of, left_out, replaced
from hao.ir.network import Network
from hao.measure.settings import LoopSettings
from hao.options.bits import bit_options
from hao.program.codesign import choose_fastest
from hao.program.problem import Problem
from hao.quant.dataset import Dataset
from hao.quant.distill import teacher_of
from hao.quant.export_float import float_files
from hao.quant.float_net import FloatNet
from hao.quant.ptq import PtqSettings, quantize_network
from hao.quant.scheme import Scheme
from hao.quant.train import QUANTIZED_SETTINGS, accuracy_of_net, train_quantized
from hao.request import SearchRequest
from hao.runs.design_file import load_design
from hao.runs.run_files import FLOAT_FILE
from hao.steps.explore import ExploreRequest, explore
from hao.steps.floats import Source, float_inputs
from hao.steps.operations import Pooled
from hao.steps.prune import PruneRequest, prune_run
from hao.steps.search import search
from hao.steps.together import MeasuredKind, Offer, search_together
from hao.zoo.architecture import (
    Architecture,
    ClassSet,
    Publication,
    architecture_network,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import BasicBlock, ConvBlock

BOARD = "zu3eg"
EVERY_BITS = (4, 6, 8)
TRAIN_FRAMES = 2000
FLOAT_EPOCHS, DISTILL_EPOCHS, TUNING_EPOCHS = 10, 2, 3
OPERATIONS = ("identity", "conv1", "separable_k3", "fused_d2_k3")
MEASURED = LoopSettings(measure=16)


def residual(name: str, blocks: Sequence[tuple[int, int]]) -> Architecture:
    """Return a network of residual blocks of given channels and strides."""
    return Architecture(
        name=name,
        family=Publication.CIFAR,
        dataset=ClassSet.DIGITS,
        image_size=16,
        blocks=(
            ("stem", ConvBlock(channels=16, kernel=3)),
            *numbered(
                "block",
                [BasicBlock(channels=made, stride=stride) for made, stride in blocks],
            ),
            *pooled_classifier(ClassSet.DIGITS),
        ),
    )


RESIDUAL = residual("residual", ((16, 1), (32, 2), (64, 2)))


def load(data: str) -> Dataset:
    """Return a data set, of Fashion-MNIST a part."""
    whole = known_data(data, architecture_network(RESIDUAL))
    some = np.arange(min(TRAIN_FRAMES, len(whole.train)))
    return replace(whole, train=whole.train.chosen(some))


def fashion() -> Dataset:
    """Return the part of Fashion-MNIST that is used, as commands read it."""
    return load("fashion-mnist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trained network, the frame rate to reach, and where its runs lie."""

    data: str
    dataset: Dataset
    network: Network
    weights: Path
    fps: float
    seed: int
    folder: Path

    def request(self, bits: tuple[int, ...]) -> SearchRequest:
        return SearchRequest(
            board=BOARD,
            fps=self.fps,
            model=self.network,
            rules=BitRules(choices=bits),
            frames=Frames.BACK_TO_BACK,
            margin_percent=0,
        )

    def source(self) -> Source:
        return Source(data=self.data, weights=self.weights, seed=self.seed)


def make_case(data: str, seed: int, share: float, folder: Path) -> Case:
    bare = architecture_network(RESIDUAL)
    dataset = load(data)
    network = trained(
        bare,
        dataset,
        epochs=FLOAT_EPOCHS,
        seed=seed,
        path=folder / f"clean-{data}-{seed}.npz",
    )
    weights = folder / f"clean-{data}-{seed}.pt"
    weights.write_bytes(float_files(network)[".pt"])
    board = replace(load_board(BOARD), frames=Frames.BACK_TO_BACK)
    plain = bit_options(network, choices=(8,), drop_by_bits={8: 0.0})
    whole = choose_fastest(Problem(network=network, options=plain, board=board))
    cycles = whole.cost.latency_cycles
    print(f"whole network: {cycles} cycles at 8 bits, {int(cycles * share)} allowed")
    return Case(
        data=f"{Path(__file__).stem}:fashion" if data == "fashion-mnist" else data,
        dataset=dataset,
        network=network,
        weights=weights,
        fps=board.frames_per_s(int(cycles * share)),
        seed=seed,
        folder=folder / f"{data}-{seed}-{share:g}",
    )


def bits(case: Case, run: Path) -> None:
    search(case.request(EVERY_BITS), run_path=run, force=True, progress=tell)


def together(
    kinds: frozenset[MeasuredKind],
    choices: tuple[int, ...],
    case: Case,
    run: Path,
    *,
    within: float = 0.0,
) -> None:
    request = replace(case.request(choices), within_percent=within)
    asked = PruneRequest(search=request, **case.source().named)
    offer = Offer(
        kinds=kinds, pooled=Pooled(only=OPERATIONS, distill_epochs=DISTILL_EPOCHS)
    )
    search_together(asked, offer, run_path=run, force=True, progress=tell)


def measured(rule: str, case: Case, run: Path) -> None:
    start = case.folder / rule
    asked = ExploreRequest(run=start, source=case.source(), settings=MEASURED)
    explore(asked, progress=tell)
    run.symlink_to((start / "measured-1").resolve())


def pruned(steps: int, case: Case, run: Path) -> None:
    asked = PruneRequest(
        search=case.request((8,)),
        steps=steps,
        iterations=240 // steps,
        epochs=0,
        **case.source().named,
    )
    prune_run(asked, run, force=True, progress=tell)


RULES: dict[str, Callable[[Case, Path], None]] = {
    "bits": bits,
    "channels": partial(together, frozenset({MeasuredKind.CHANNELS}), (8,)),
    "words": partial(together, frozenset({MeasuredKind.SPARSITY}), (8,)),
    "operations": partial(together, frozenset({MeasuredKind.OPERATIONS}), (8,)),
    "bits, words": partial(together, frozenset({MeasuredKind.SPARSITY}), EVERY_BITS),
    "bits, channels": partial(together, frozenset({MeasuredKind.CHANNELS}), EVERY_BITS),
    "all": partial(together, frozenset(MeasuredKind), EVERY_BITS, within=1.0),
    "bits measured": partial(measured, "bits"),
    "all measured": partial(measured, "all"),
    "one shot": partial(pruned, 1),
    "iterative": partial(pruned, 4),
}


def run_rule(case: Case, rule: str) -> dict[str, object]:
    """Return what a rule comes to, as columns of a row."""
    folder, started = case.folder / rule, time.process_time()
    case.folder.mkdir(parents=True, exist_ok=True)
    unknown = dict.fromkeys(("cycles", "calibrated", "top1", "left"), "")
    try:
        if not (folder / "certificate.json").is_file():
            RULES[rule](case, folder)
    except InfeasibleError as error:
        print(error)
        return {**unknown, "left": "not reached", "cpu_s": ""}
    found = load_design(folder)
    design, own = found.design, (folder / FLOAT_FILE).is_file()
    source = case.source()
    network, _ = float_inputs(
        replace(source, weights=None) if own else source,
        design.network,
        None,
        tell,
        own=folder if own else None,
    )
    network = pruned_network(network, design)
    scheme = Scheme(weight_bits=design.weight_bits, act_bits=design.engine.act_bits)
    frames, test = case.dataset.train.frames, case.dataset.test
    calibrated = quantize_network(
        network, scheme, frames, PtqSettings(fit_rounding=False)
    )
    after = train_quantized(
        calibrated,
        case.dataset,
        replace(QUANTIZED_SETTINGS, epochs=TUNING_EPOCHS, seed=case.seed),
        teacher=teacher_of(case.network),
    )
    channels = sum(x.ofm.channels for x in design.network.compute_layers)
    counts = [
        f"{sum(b < 8 for b in design.weight_bits.values())} below 8 bits",
        f"{channels} channels",
        f"{len(densities_of(design.scheme))} pruned",
        *(f"{b}: {change_text(c)}" for b, c in replaced(design.scheme).items()),
        *(f"{block} left out" for block in left_out(design.scheme)),
    ]
    return {
        "cycles": found.cost.latency_cycles,
        "calibrated": round(100 * accuracy_of_net(calibrated, test), 2),
        "top1": round(100 * accuracy_of_net(after, test), 2),
        "left": "; ".join(counts),
        "cpu_s": round(time.process_time() - started),
    }


def tell(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=tuple(EPOCHS), default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.75)
    parser.add_argument("--rules", nargs="+", choices=tuple(RULES), default=[*RULES])
    parser.add_argument("--folder", type=Path, default=Path("runs/together"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    rows = Rows(asked.folder / "rules.csv", ("data", "seed", "share", "rule"))
    for seed in range(asked.seeds):
        case = make_case(asked.data, seed, asked.share, asked.folder)
        net = FloatNet(case.network, batch_norm=False)
        top1 = accuracy_of_net(net, case.dataset.test)
        print(f"seed {seed}: whole network {100 * top1:.2f} % in floating point")
        for rule in asked.rules:
            key = {"data": asked.data, "seed": seed, "share": asked.share, "rule": rule}
            if not rows.where(**key):
                rows.add({**key, **run_rule(case, rule)})
                print(rows.rows[-1], flush=True)
    table = []
    for rule in asked.rules:
        found = rows.where(data=asked.data, share=asked.share, rule=rule)
        cells = [
            spread([float(row[column]) for row in found if row[column]])
            for column in ("cycles", "calibrated", "top1", "cpu_s")
        ]
        table.append((rule, *cells))
    heads = ("rule", "cycles", "top-1 calibrated", "top-1 trained", "CPU [s]")
    print_table(heads, table)


if __name__ == "__main__":
    main()
