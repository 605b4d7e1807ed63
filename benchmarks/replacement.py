"""Operations in place of blocks: LANA against random selection and a shrunk teacher.

The network of `together.py` at 8 bits, or one twice as deep, and one frame time on one
board: of three blocks two may be replaced in 42 ways, of six five in 12,348. All rules
start from one trained network, and from the same operations, distilled in the place of
its blocks; what they leave is trained the same number of epochs with the whole network
as teacher:

- program: the operations of least sum of plug-in losses, as the program answers;
- lana: of `DESIGNS` such answers that differ, the one of least loss when measured
  whole, as `hao replace` takes it;
- random: of as many that are drawn and keep the frame time, likewise;
- shrunk: no operations, one share of the channels of all groups, those of largest L2
  norm, the largest share that keeps the frame time.

Cycles are predicted; top-1 is of test frames in floating point, as put together, with
batch statistics anew where operations are new, and as trained.

Run: python benchmarks/replacement.py [--data digits] [--seeds 3] [--blocks 3]
Rows lie in `--folder`; what is there is not run again.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks._common import back_to_back, machine, print_table
from benchmarks._kept import EPOCHS, Rows, spread, trained
from benchmarks.channels import BOARD, cycles, norms, shrunk
from benchmarks.together import FLOAT_EPOCHS, RESIDUAL, load, residual
from hao.distillation.choose import BlockTeacher, measured_options, ranked
from hao.distillation.distill import DistillSettings, distill
from hao.distillation.pool import places_of
from hao.distillation.propose import propose
from hao.distillation.score import score
from hao.ir.change import Change, Keep, bare
from hao.ir.channels import channel_groups
from hao.ir.network import Network
from hao.options.operations import load_pool
from hao.options.option import Option
from hao.program.codesign import SolveReport, near_most_accurate
from hao.program.problem import Problem
from hao.program.solver import SolverName
from hao.quant.dataset import Dataset
from hao.quant.distill import teacher_of
from hao.quant.float_net import FloatNet
from hao.quant.train import TrainSettings, accuracy_of_net, tune_float
from hao.zoo.architecture import architecture_network

OPERATIONS = (
    "conv1",
    "separable_k3",
    "inverted_e1_k3",
    "inverted_e3_k3",
    "fused_d2_k3",
)
DISTILL_EPOCHS, TUNING_EPOCHS = 6, 3
SCORE_FRAMES = 512
DESIGNS, MOST_DRAWS = 8, 1000
NETWORKS = {
    3: RESIDUAL,
    6: residual("deep", [(c, s) for c in (16, 32, 64) for s in (1 + (c > 16), 1)]),
}
"""By residual blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trained network with operations for its blocks, and the frame time to keep."""

    dataset: Dataset
    teacher: BlockTeacher
    problem: Problem
    budget: int
    answers: tuple[SolveReport, ...]
    seed: int


def make_case(data: str, seed: int, share: float, blocks: int, folder: Path) -> Case:
    dataset = load(data)
    network = trained(
        architecture_network(NETWORKS[blocks]),
        dataset,
        epochs=FLOAT_EPOCHS,
        seed=seed,
        path=folder / f"clean-{data}-{seed}-{blocks}.npz",
    )
    places = places_of(network, [o for o in load_pool() if o.name in OPERATIONS])
    distilled = distill(
        network,
        places,
        dataset.train,
        DistillSettings(epochs=DISTILL_EPOCHS, seed=seed),
        folder=folder / f"{data}-{seed}-{blocks}",
        progress=lambda line: print(line, flush=True),
    )
    frames = dataset.train.frames[:SCORE_FRAMES]
    scores = score(network, places, distilled.params, frames, (8,))
    problem = Problem(
        network=replace(network, params={}),
        options=measured_options(network, places, scores, (8,)),
        board=back_to_back(BOARD),
    )
    budget = int(cycles(network) * share)
    return Case(
        dataset=dataset,
        teacher=BlockTeacher(
            network=network, places=places, params=distilled.params, frames=frames
        ),
        problem=problem,
        budget=budget,
        answers=propose(
            problem,
            budget=budget,
            count=DESIGNS,
            solver=SolverName.AUTO,
            progress=lambda _: None,
        ),
        seed=seed,
    )


def program(case: Case) -> Network:
    return case.teacher.under(case.answers[0].design.scheme)


def lana(case: Case) -> Network:
    best = ranked(case.teacher, case.answers)[0]
    return case.teacher.under(best.report.design.scheme)


def at_random(case: Case) -> Network:
    """Return the best by measurement of what was drawn and keeps the frame time."""
    rng = np.random.default_rng(case.seed)
    by_site: dict[str, list[Option]] = {}
    for option in case.problem.options:
        by_site.setdefault(option.layer, []).append(option)
    found: dict[str, dict[str, Change]] = {}
    for _ in range(MOST_DRAWS):
        scheme = {
            site: bare(own[int(rng.integers(len(own)))].change)
            for site, own in by_site.items()
        }
        free = case.problem.with_option_costs(
            [
                replace(o, cost_micro=int(bare(o.change) != scheme[o.layer]))
                for o in case.problem.options
            ]
        )
        key = repr(scheme)
        if key not in found and near_most_accurate(
            free, budget=case.budget, tolerance=0.01, most=0
        ):
            found[key] = {n: c for n, c in scheme.items() if not isinstance(c, Keep)}
        if len(found) == DESIGNS:
            break
    return case.teacher.under(min(found.values(), key=case.teacher.loss))


def narrow(case: Case) -> Network:
    network = case.teacher.network
    groups = [group for group in channel_groups(network) if not group.fixed]
    return shrunk(network, groups, norms(network, groups), case.budget)


RULES: dict[str, Callable[[Case], Network]] = {
    "whole": lambda case: case.teacher.network,
    "program": program,
    "lana": lana,
    "random": at_random,
    "shrunk": narrow,
}


def run(case: Case, rule: str) -> dict[str, object]:
    """Return what a rule comes to, as columns of a row."""
    found = tuned = RULES[rule](case)
    if rule != "whole":
        settings = TrainSettings(
            epochs=TUNING_EPOCHS, learning_rate=4e-3, seed=case.seed
        )
        teacher = teacher_of(case.teacher.network)
        tuned = tune_float(found, case.dataset, settings, teacher=teacher)
    tops = [
        100 * accuracy_of_net(FloatNet(each, batch_norm=False), case.dataset.test)
        for each in (found, tuned)
    ]
    return {
        "cycles": cycles(found),
        "layers": len(found.compute_layers),
        "plain": round(tops[0], 2),
        "top1": round(tops[1], 2),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=tuple(EPOCHS), default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--blocks", type=int, choices=tuple(NETWORKS), default=6)
    parser.add_argument("--folder", type=Path, default=Path("runs/replacement"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    rows = Rows(asked.folder / "rules.csv", ("data", "seed", "share", "blocks", "rule"))
    asked_for = {"data": asked.data, "share": asked.share, "blocks": asked.blocks}
    for seed in range(asked.seeds):
        one = {**asked_for, "seed": seed}
        missing = [rule for rule in RULES if not rows.where(**one, rule=rule)]
        if not missing:
            continue
        case = make_case(asked.data, seed, asked.share, asked.blocks, asked.folder)
        for rule in missing:
            rows.add({**one, "rule": rule, **run(case, rule)})
            print(rows.rows[-1], flush=True)
    table = []
    for rule in RULES:
        found = rows.where(**asked_for, rule=rule)
        columns = ("cycles", "plain", "top1")
        cells = [spread([float(row[c]) for row in found]) for c in columns]
        table.append((rule, *cells))
    heads = ("rule", "cycles", "top-1 as put together", "trained")
    print(f"\n{asked.data} on {BOARD}, {asked.share:.0%} of the frame time\n")
    print_table(heads, table)


if __name__ == "__main__":
    main()
