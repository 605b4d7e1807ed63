"""Measured accuracy in the search: `python benchmarks/measured_search.py --seeds 5`.

Three questions, on the `digits` network with scikit-learn's digits plus Gaussian noise
of 0.3 (noise makes bits matter), and on Fashion-MNIST where it is installed:

1. What does each saliency cost, and how well does it rank options and whole schemes?
2. How well does a predictor fitted to `--samples` random schemes rank as many others by
   their top-1 on the test frames?
3. Which test top-1 does each method reach at the latency of uniform 8, 6, 5, 4 and 3
   bits with the same number of measurements: the loop, random schemes, NSGA-II (pymoo),
   and the uniform schemes themselves?

Rivals know a scheme's latency on the engines of the uniform schemes while they search;
of what they measured, the best at a latency is sought with the exact search, as the
loop's is. Every method chooses on the search frames; the test frames come last.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _common import candidate, machine, print_table
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from hao.accuracy.evaluate import spearman
from hao.accuracy.terms import Recipe
from hao.answer.candidates import BitRules
from hao.answer.workers import IN_PROCESS
from hao.cost.design import Design
from hao.cost.evaluate import evaluate as price
from hao.errors import InfeasibleError, InputError
from hao.hw.board import Board, Frames
from hao.hw.board_file import load_board
from hao.hw.budget import with_budget
from hao.ir.change import scheme_of
from hao.measure.loop import Bench, result_of, run_loop
from hao.measure.predictors import encoded, fit_predictor, score
from hao.measure.propose import Ask, design_of_scheme, make_encoder
from hao.measure.saliency import measure_saliencies, rank_correlation
from hao.measure.sample import Part, Sample, Trial
from hao.measure.settings import Kind, LoopSettings
from hao.measure.store import open_store
from hao.measure.subject import Subject, evaluate, make_subject
from hao.program.codesign import choose_fastest
from hao.program.problem import Problem
from hao.program.solver import SolverName
from hao.quant.dataset import Dataset, Split, load_dataset
from hao.quant.train import train_float
from hao.zoo import build_network

CHOICES = (2, 3, 4, 5, 6, 8)
UNIFORM = (8, 6, 5, 4, 3)
NOISE = 0.3

Scheme = Mapping[str, int]


def noisy_digits() -> Dataset:
    """Return the digits with noise, which clean ones are too easy without."""
    whole = load_dataset("digits", build_network("digits").input.ofm)

    def noisy(split: Split, seed: int) -> Split:
        generator = np.random.default_rng(seed)
        noise = generator.normal(0, NOISE, split.frames.shape)
        frames = (split.frames[:] + noise).astype(np.float32)
        return Split(frames=frames, labels=split.labels)

    return replace(
        whole,
        name="noisy digits",
        train=noisy(whole.train, 0),
        validation=noisy(whole.validation, 1),
        test=noisy(whole.test, 2),
    )


def small_board() -> Board:
    """Return a board so small that bits decide the frame rate of a small network."""
    limits = {"lut": "30%", "ff": None, "dsp": "20%", "bram_18k": None}
    board = with_budget(load_board("pynq-z2"), limits)
    return replace(board, frames=Frames.BACK_TO_BACK)


def problem_of(choices: tuple[int, ...], board: Board) -> Problem:
    rules = BitRules(choices=choices, keep_first_last=False, recipe=Recipe.PTQ)
    return candidate("digits", rules).problem(board)


@dataclass(frozen=True, kw_only=True)
class Race:
    """What all methods share."""

    subject: Subject
    problem: Problem
    layers: tuple[str, ...]
    uniform: Mapping[int, Design]
    budgets: tuple[int, ...]

    def trial(self, scheme: Scheme, part: Part = Part.SEARCH) -> Trial:
        return Trial(scheme=scheme_of(scheme), act_bits=8, part=part)

    def latency(self, scheme: Scheme) -> int:
        """Return the least latency on the engines of the uniform schemes [cycles]."""
        found = []
        for design in self.uniform.values():
            try:
                changed = replace(design, scheme=scheme_of(scheme))
                found.append(price(changed).latency_cycles)
            except InputError:
                continue
        return min(found)

    def finals(self, samples: Sequence[Sample]) -> dict[int, float]:
        """Return the test top-1 of the best sample at every latency."""
        ranked = sorted(
            (s for s in samples if s.result is not None),
            key=lambda s: result_of(s).divergence,
        )
        found = {}
        for budget in self.budgets:
            for sample in ranked:
                try:
                    design_of_scheme(
                        self.problem,
                        sample.trial.scheme,
                        budget=budget,
                        solver=SolverName.AUTO,
                    )
                except InfeasibleError:
                    continue
                test = evaluate(self.subject, replace(sample.trial, part=Part.TEST))
                found[budget] = result_of(test).top1
                break
        return found


def random_scheme(layers: Sequence[str], generator: np.random.Generator) -> Scheme:
    """Return random bits whose mix is random too."""
    shares = generator.dirichlet(np.ones(len(CHOICES)))
    bits = generator.choice(CHOICES, size=len(layers), p=shares)
    return dict(zip(layers, map(int, bits), strict=True))


def by_loop(race: Race, count: int, seed: int) -> tuple[dict[int, float], float, float]:
    """Return the loop's test top-1, its own seconds and those of measuring."""
    started = time.process_time()
    found = measure_saliencies(race.subject, race.problem.options, 8, Kind.PLUG_IN)
    encoder = make_encoder({8: race.problem}, {8: found.values})
    with (
        TemporaryDirectory() as folder,
        open_store(Path(folder) / "m.sqlite", race.subject.about()) as store,
    ):
        bench = Bench(
            subject=race.subject,
            store=store,
            workers=IN_PROCESS,
            progress=lambda _: None,
        )
        ask = Ask(problems={8: race.problem}, budgets=race.budgets, overlap_percent=70)
        settings = LoopSettings(measure=count, seed=seed)
        explored = run_loop(bench, ask, encoder, settings)
    top1 = {one.budget: result_of(one.test).top1 for one in explored.front}
    own = time.process_time() - started - explored.seconds_measuring
    return top1, own, explored.seconds_measuring


def by_random(race: Race, count: int, seed: int) -> dict[int, float]:
    generator = np.random.default_rng(seed)
    schemes = [random_scheme(race.layers, generator) for _ in range(count)]
    return race.finals([evaluate(race.subject, race.trial(s)) for s in schemes])


class Genes(ElementwiseProblem):  # type: ignore[misc]
    """Bits by layer as pymoo takes them: divergence and latency, both least."""

    def __init__(self, race: Race) -> None:
        super().__init__(
            n_var=len(race.layers), n_obj=2, xl=0, xu=len(CHOICES) - 1, vtype=int
        )
        self.race = race
        self.samples: dict[str, Sample] = {}

    def _evaluate(
        self, x: np.ndarray, out: dict[str, object], *_: object, **__: object
    ) -> None:
        bits = [CHOICES[int(place)] for place in x]
        scheme = dict(zip(self.race.layers, bits, strict=True))
        trial = self.race.trial(scheme)
        if trial.key not in self.samples:
            self.samples[trial.key] = evaluate(self.race.subject, trial)
        result = result_of(self.samples[trial.key])
        out["F"] = [result.divergence, self.race.latency(scheme)]


def by_genes(race: Race, count: int, seed: int) -> dict[int, float]:
    genes = Genes(race)
    algorithm = NSGA2(
        pop_size=10,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    )
    algorithm.setup(genes, termination=("n_gen", 10**6), seed=seed, verbose=False)
    while len(genes.samples) < count:
        algorithm.next()
    return race.finals(list(genes.samples.values())[:count])


def print_saliencies(race: Race, samples: Sequence[Sample]) -> None:
    """Print what saliencies cost, and how well they rank options and schemes."""
    exact = measure_saliencies(race.subject, race.problem.options, 8, Kind.PLUG_IN)
    tests = [evaluate(race.subject, replace(s.trial, part=Part.TEST)) for s in samples]
    top1 = np.array([result_of(test).top1 for test in tests])
    rows = []
    for kind in Kind:
        found = measure_saliencies(race.subject, race.problem.options, 8, kind)
        encoder = make_encoder({8: race.problem}, {8: found.values})
        total = encoded(encoder, [(s.trial.scheme, 8) for s in samples]).sum(axis=1)
        rows.append(
            (
                kind.value,
                round(found.seconds, 1),
                rank_correlation(found, exact),
                spearman(total, -top1),
            )
        )
    print_table(("saliency", "s", "with plug-in", "sum with test top-1"), rows)


def print_predictors(race: Race, samples: Sequence[Sample]) -> None:
    """Print predictors fitted to one half of samples and scored on the other."""
    found = measure_saliencies(race.subject, race.problem.options, 8, Kind.PLUG_IN)
    encoder = make_encoder({8: race.problem}, {8: found.values})
    half = len(samples) // 2
    predictor = fit_predictor(encoder, samples[:half])
    tests = [
        evaluate(race.subject, replace(s.trial, part=Part.TEST)) for s in samples[half:]
    ]
    held = score(predictor, tests)
    rows: list[tuple[object, ...]] = [
        (one.value, q.rows, q.spearman, q.spearman_top1, q.mae, "cross-validated")
        for one, q in predictor.quality.items()
    ]
    rows.append(
        (
            f"{predictor.learner.value}, held-out schemes, test frames",
            held.rows,
            held.spearman,
            held.spearman_top1,
            held.mae,
            held.coverage,
        )
    )
    print_table(
        ("predictor", "schemes", "Spearman", "of top-1", "MAE [points]", "inside"), rows
    )


def make_race(dataset: Dataset, search: int) -> Race:
    board = small_board()
    problem = problem_of(CHOICES, board)
    network = train_float(problem.network, dataset)
    subject = make_subject({8: network}, dataset, search=search)
    uniform = {
        bits: choose_fastest(problem_of((bits,), board)).design for bits in UNIFORM
    }
    latencies = {bits: price(design).latency_cycles for bits, design in uniform.items()}
    print(
        f"\nfloat: {subject.parts[Part.TEST].top1:.2f} % of the test frames;", end=" "
    )
    print(f"cycles of uniform bits: {latencies}\n")
    # Latencies within a thousandth are one.
    budgets: list[int] = []
    for cycles in sorted(latencies.values()):
        if not budgets or cycles > budgets[-1] * 1.001:
            budgets.append(cycles)
    return Race(
        subject=subject,
        problem=problem,
        layers=tuple(layer.name for layer in network.compute_layers),
        uniform=uniform,
        budgets=tuple(reversed(budgets)),
    )


def print_race(race: Race, seeds: int, count: int) -> None:
    """Print the test top-1 of every method at every latency: mean and spread."""
    found: dict[str, list[dict[int, float]]] = {}
    own = measuring = 0.0
    for seed in range(seeds):
        top1, mine, theirs = by_loop(race, count, seed)
        own, measuring = own + mine, measuring + theirs
        for name, one in (
            ("loop", top1),
            ("random", by_random(race, count, seed)),
            ("NSGA-II", by_genes(race, count, seed)),
        ):
            found.setdefault(name, []).append(one)
            print(f"seed {seed}: {name}: {one}", flush=True)
    for bits, design in race.uniform.items():
        test = evaluate(
            race.subject, race.trial(dict.fromkeys(race.layers, bits), Part.TEST)
        )
        cycles = price(design).latency_cycles
        at = {b: result_of(test).top1 for b in race.budgets if cycles <= b * 1.001}
        found[f"uniform {bits}"] = [at]
    rows = []
    for name, runs in found.items():
        cells: list[object] = [name]
        for budget in race.budgets:
            values = [run[budget] for run in runs if budget in run]
            spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.2f}{spread}" if values else "-")
        rows.append(cells)
    heads = [f"top-1 at {budget} cycles" for budget in race.budgets]
    print_table(("method", *heads), rows)
    print(f"\nloop: {measuring:.0f} s of measuring, {own:.0f} CPU s of its own")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--search-frames", type=int, default=1024)
    parser.add_argument("--data", nargs="+", default=["noisy-digits", "fashion-mnist"])
    args = parser.parse_args()
    print(f"Machine: {machine()}")
    for name in args.data:
        print(f"\n## {name}")
        try:
            shape = build_network("digits").input.ofm
            dataset = (
                noisy_digits() if name == "noisy-digits" else load_dataset(name, shape)
            )
        except InputError as error:
            print(f"left out: {error}")
            continue
        race = make_race(dataset, args.search_frames)
        generator = np.random.default_rng(1000)
        samples = [
            evaluate(race.subject, race.trial(random_scheme(race.layers, generator)))
            for _ in range(2 * args.samples)
        ]
        print_saliencies(race, samples[: args.samples])
        print()
        print_predictors(race, samples)
        print()
        print_race(race, args.seeds, args.samples)


if __name__ == "__main__":
    main()
