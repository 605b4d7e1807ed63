"""Measured accuracy in the search: `python benchmarks/measured_search.py --seeds 5`.

Three questions, on the `digits` network with scikit-learn's digits plus Gaussian noise
of 0.3 (noise makes bits matter), and on Fashion-MNIST where it is installed:

1. What does each saliency cost, and how well does it rank options and whole schemes?
2. How well does a predictor fitted to `--samples` random schemes rank as many others,
   and how many top-1 lie inside their intervals of 90 %?
3. Which test top-1 does each method reach at the latency of uniform 8, 6, 5, 4 and 3
   bits with the same number of measurements: the loop, random schemes, NSGA-II (pymoo),
   and the uniform schemes themselves? Every seed has float weights of its own.

Rivals know a scheme's latency on the engines of the uniform schemes while they search,
and random schemes are drawn until one is within a latency, each in its turn; of what
rivals measured, the best at a latency is sought with the exact search, as the loop's
is. Every method chooses on the search frames; the test frames come last.

All that is measured lies in `--folder`: a killed run goes on where it was, and more
seeds are run beside those that are there.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from benchmarks._common import candidate, machine, print_table
from benchmarks._kept import EPOCHS, Rows, known_data, spread, trained
from hao.accuracy.terms import Recipe
from hao.answer.candidates import BitRules
from hao.answer.workers import IN_PROCESS, Answer, Item, Progress, Shared, Task
from hao.answer.workers import Result as Worked
from hao.cost.evaluate import evaluate as price
from hao.engine.design import Design
from hao.errors import InputError
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.ir.change import Bits, bare, bits_of, scheme_of
from hao.ir.network import Network
from hao.measure.loop import Bench, result_of, run_loop
from hao.measure.predictors import encoded, fit_predictor, score
from hao.measure.propose import WITHIN, Ask, make_encoder
from hao.measure.ranks import spearman
from hao.measure.saliency import known_saliencies
from hao.measure.sample import Part, Sample, Trial
from hao.measure.settings import Kind, LoopSettings
from hao.measure.store import Store, open_store
from hao.measure.subject import Subject, evaluate, make_subject
from hao.program.codesign import choose_fastest, near_most_accurate
from hao.program.problem import Problem
from hao.program.space import Space
from hao.quant.dataset import Dataset, Split
from hao.zoo import build_network

CHOICES = (2, 3, 4, 5, 6, 8)
UNIFORM = (8, 6, 5, 4, 3)
NOISE = 0.3
DRAWS = 2
"""Of noise, for every test frame of the digits: there are only 539."""

SPACE = Space(
    pixels=(1, 2, 4), lanes=(8, 16, 32), taps=(3, 9), depths=(256,), buffering=(True,)
)
"""Of the engine: with all else, uniform bits take at most 17 cycles less."""

PARTS = ("race", "predictors", "saliencies")

BATCH = 10
"""Schemes of a turn of the loop."""

KEYS = ("data", "seed", "method", "cycles")

Scheme = Mapping[str, int]

Ends = dict[int, tuple[float, float]]
"""Test top-1 [percent] and divergence [nats] by latency [cycles]."""


def _end(sample: Sample) -> tuple[float, float]:
    return result_of(sample).top1, result_of(sample).divergence


def noisy_digits() -> Dataset:
    """Return the digits with noise, which clean ones are too easy without."""
    whole = known_data("digits", build_network("digits"))

    def noisy(split: Split, seed: int, draws: int = 1) -> Split:
        generator = np.random.default_rng(seed)
        frames = np.concatenate([split.frames[:]] * draws)
        noise = generator.normal(0, NOISE, frames.shape)
        labels = np.concatenate([split.labels] * draws)
        return Split(frames=(frames + noise).astype(np.float32), labels=labels)

    return replace(
        whole,
        name="noisy digits",
        train=noisy(whole.train, 0),
        validation=noisy(whole.validation, 1),
        test=noisy(whole.test, 2, DRAWS),
    )


def problem_of(choices: tuple[int, ...]) -> Problem:
    """Return the problem of the network: on this board, each layer's bits count."""
    rules = BitRules(choices=choices, keep_first_last=False, recipe=Recipe.PTQ)
    board = replace(load_board("zu3eg"), frames=Frames.BACK_TO_BACK)
    return replace(candidate("digits", rules).problem(board), space=SPACE)


@dataclass(kw_only=True)
class Counting:
    """This process as the loop's workers, its CPU seconds counted."""

    seconds: float = 0.0

    def each(
        self,
        function: Callable[[Shared, Item], Worked],
        shared: Shared,
        items: Iterable[Item],
        progress: Progress,
    ) -> Generator[Worked, None, None]:
        for item in items:
            started = time.process_time()
            found = function(shared, item)
            self.seconds += time.process_time() - started
            yield found

    def solve(
        self, tasks: Iterable[Task], progress: Progress
    ) -> Generator[Answer, None, None]:
        return IN_PROCESS.solve(tasks, progress)


@dataclass(frozen=True, kw_only=True)
class Race:
    """What all methods share: one network, its data and latencies."""

    name: str
    seed: int
    folder: Path
    subject: Subject
    problem: Problem
    layers: tuple[str, ...]
    uniform: Mapping[int, Design]
    budgets: tuple[int, ...]

    @contextmanager
    def store(self, method: str) -> Iterator[Store]:
        """Open the store of a method; what it measured before is there."""
        path = self.folder / f"{self.name}-{self.seed}-{method}.sqlite"
        with open_store(path, self.subject.about()) as store:
            yield store

    def measured(
        self, store: Store, scheme: Scheme, part: Part = Part.SEARCH
    ) -> Sample:
        """Return what a scheme measures, measuring it if the store has it not."""
        trial = Trial(scheme=scheme_of(scheme), act_bits=8, part=part)
        return self.again(store, trial)

    def again(self, store: Store, trial: Trial) -> Sample:
        for sample in store.samples():
            if sample.trial.identity == trial.identity:
                return sample
        store.add(evaluate(self.subject, trial))
        return self.again(store, trial)

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

    def within(self, trial: Trial, budget: int) -> bool:
        """Return whether any engine runs a scheme within a latency [cycles]."""
        scheme = bits_of(trial.scheme)
        if self.latency(scheme) <= budget:
            return True
        free = [
            replace(
                o, cost_micro=int(bare(o.change) != Bits(weight_bits=scheme[o.layer]))
            )
            for o in self.problem.options
        ]
        alone = self.problem.with_option_costs(free)
        found = near_most_accurate(alone, budget=budget, tolerance=WITHIN, most=0)
        return found is not None

    def finals(self, store: Store, samples: Sequence[Sample]) -> Ends:
        """Return what the best sample at every latency has on the test frames."""
        ranked = sorted(
            (s for s in samples if s.result is not None),
            key=lambda s: result_of(s).divergence,
        )
        found: Ends = {}
        for budget in self.budgets:
            for sample in ranked:
                if self.within(sample.trial, budget):
                    trial = replace(sample.trial, part=Part.TEST)
                    found[budget] = _end(self.again(store, trial))
                    break
        return found


def random_scheme(layers: Sequence[str], generator: np.random.Generator) -> Scheme:
    """Return random bits whose mix is random too."""
    shares = generator.dirichlet(np.ones(len(CHOICES)))
    bits = generator.choice(CHOICES, size=len(layers), p=shares)
    return dict(zip(layers, map(int, bits), strict=True))


Outcome = tuple[Ends, dict[str, object]]
"""What was reached, and CPU seconds."""


def by_loop(race: Race, count: int) -> Outcome:
    """Return what the loop reaches."""
    workers = Counting()
    started = time.process_time()
    with race.store("loop") as store:
        saliencies = known_saliencies(
            store, race.subject, race.problem.options, 8, Kind.PLUG_IN
        )
        salient = time.process_time() - started
        encoder = make_encoder({8: race.problem}, {8: saliencies.values})
        bench = Bench(
            subject=race.subject,
            store=store,
            workers=workers,
            progress=lambda _: None,
        )
        ask = Ask(problems={8: race.problem}, budgets=race.budgets, overlap_percent=70)
        settings = LoopSettings(measure=count, per_turn=BATCH, seed=race.seed)
        explored = run_loop(bench, ask, encoder, settings)
    own = time.process_time() - started - salient - workers.seconds
    ends = {one.budget: _end(one.test) for one in explored.front}
    return ends, {"measuring": workers.seconds, "saliencies": salient, "own": own}


def by_random(race: Race, count: int) -> Outcome:
    """Return what random schemes reach, each drawn until it is within a latency."""
    generator = np.random.default_rng(race.seed)
    samples = []
    with race.store("random") as store:
        for number in range(count):
            budget = race.budgets[number % len(race.budgets)]
            scheme = random_scheme(race.layers, generator)
            while race.latency(scheme) > budget:
                scheme = random_scheme(race.layers, generator)
            samples.append(race.measured(store, scheme))
        return race.finals(store, samples), {}


class Genes(ElementwiseProblem):  # type: ignore[misc]
    """Bits by layer as pymoo takes them: divergence and latency, both least."""

    def __init__(self, race: Race, store: Store) -> None:
        super().__init__(
            n_var=len(race.layers), n_obj=2, xl=0, xu=len(CHOICES) - 1, vtype=int
        )
        self.race, self.store = race, store
        self.samples: dict[str, Sample] = {}

    def _evaluate(
        self, x: np.ndarray, out: dict[str, object], *_: object, **__: object
    ) -> None:
        bits = [CHOICES[int(place)] for place in x]
        scheme = dict(zip(self.race.layers, bits, strict=True))
        sample = self.race.measured(self.store, scheme)
        self.samples[sample.trial.key] = sample
        out["F"] = [result_of(sample).divergence, self.race.latency(scheme)]


def by_genes(race: Race, count: int) -> Outcome:
    """Return what NSGA-II reaches."""
    with race.store("nsga2") as store:
        genes = Genes(race, store)
        algorithm = NSGA2(
            pop_size=10,
            sampling=IntegerRandomSampling(),
            crossover=UniformCrossover(repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        )
        algorithm.setup(
            genes, termination=("n_gen", 10**6), seed=race.seed, verbose=False
        )
        while len(genes.samples) < count:
            algorithm.next()
        return race.finals(store, list(genes.samples.values())[:count]), {}


def by_uniform(race: Race, _: int) -> Outcome:
    """Return what the best of the uniform schemes has at every latency."""
    with race.store("uniform") as store:
        samples = [
            race.measured(store, dict.fromkeys(race.layers, bits))
            for bits in race.uniform
        ]
        return race.finals(store, samples), {}


METHODS: dict[str, Callable[[Race, int], Outcome]] = {
    "loop": by_loop,
    "random": by_random,
    "NSGA-II": by_genes,
    "uniform": by_uniform,
}


def random_samples(race: Race, count: int, part: Part, first: int = 0) -> list[Sample]:
    """Return random schemes from one to another, measured on some frames."""
    generator = np.random.default_rng(1000 + race.seed)
    schemes = [random_scheme(race.layers, generator) for _ in range(first + count)]
    with race.store("held-out") as store:
        return [race.measured(store, scheme, part) for scheme in schemes[first:]]


def print_saliencies(race: Race, count: int) -> None:
    """Print what saliencies cost, and how well they rank options and schemes."""
    samples = random_samples(race, count, Part.TEST, count)
    top1 = np.array([result_of(test).top1 for test in samples])
    rows = []
    with race.store("held-out") as store:
        every = race.problem.options
        exact = known_saliencies(store, race.subject, every, 8, Kind.PLUG_IN)
        for kind in Kind:
            found = known_saliencies(store, race.subject, every, 8, kind)
            encoder = make_encoder({8: race.problem}, {8: found.values})
            schemes = [(s.trial.scheme, 8) for s in samples]
            total = encoded(encoder, schemes).sum(axis=1)
            rows.append(
                (kind.value, _alike(found.values, exact.values), spearman(total, -top1))
            )
    print_table(("saliency", "with plug-in", "sum with test top-1"), rows)


def _alike(
    one: Mapping[tuple[str, str], float], other: Mapping[tuple[str, str], float]
) -> float:
    """Return the rank correlation of two saliencies of the same changes."""
    keys = sorted(one)
    return spearman(*(np.array([of[key] for key in keys]) for of in (one, other)))


def print_predictors(race: Race, count: int) -> None:
    """Print predictors fitted to one half of samples and scored on the other."""
    samples = random_samples(race, 2 * count, Part.SEARCH)
    tests = random_samples(race, count, Part.TEST, count)
    with race.store("held-out") as store:
        found = known_saliencies(
            store, race.subject, race.problem.options, 8, Kind.PLUG_IN
        )
    encoder = make_encoder({8: race.problem}, {8: found.values})
    predictor = fit_predictor(encoder, samples[:count])
    rows: list[tuple[object, ...]] = [
        (one.value, q.rows, q.spearman, q.spearman_top1, q.mae, "cross-validated")
        for one, q in predictor.quality.items()
    ]
    for word, held in (("search", samples[count:]), ("test", tests)):
        q = score(predictor, held)
        rows.append(
            (
                f"{predictor.learner.value}, schemes held out, {word} frames",
                *(q.rows, q.spearman, q.spearman_top1, q.mae, q.coverage),
            )
        )
    print_table(
        ("predictor", "schemes", "Spearman", "of top-1", "MAE [points]", "inside"), rows
    )
    found_tops = predictor.predict([(s.trial.scheme, 8) for s in samples[count:]])
    widths = sorted(high - low for _, low, high in found_tops)
    print(
        f"\nmean width of an interval: {statistics.mean(widths):.1f} points, of the "
        f"narrower half {statistics.mean(widths[: count // 2]):.1f}"
    )


def make_race(
    name: str, seed: int, folder: Path, search: int, calibration: int
) -> Race:
    """Return a network with weights of a seed, its data, and the latencies."""
    data = noisy_digits() if name == "digits" else known_data(name, digits())
    problem = problem_of(CHOICES)
    network = trained(
        problem.network,
        data,
        epochs=EPOCHS[name],
        seed=seed,
        path=folder / f"{name}-{seed}.npz",
    )
    subject = make_subject({8: network}, data, search=search, calibration=calibration)
    uniform = {bits: choose_fastest(problem_of((bits,))).design for bits in UNIFORM}
    latencies = {bits: price(design).latency_cycles for bits, design in uniform.items()}
    tops = {part.value: round(one.top1, 2) for part, one in subject.parts.items()}
    print(f"{name}, seed {seed}: float {tops}, cycles of uniform bits {latencies}")
    return Race(
        name=name,
        seed=seed,
        folder=folder,
        subject=subject,
        problem=problem,
        layers=tuple(layer.name for layer in network.compute_layers),
        uniform=uniform,
        budgets=tuple(sorted(set(latencies.values()), reverse=True)),
    )


def digits() -> Network:
    return build_network("digits")


def run_race(
    race: Race, methods: Iterable[str], rows: Rows, times: Rows, count: int
) -> None:
    """Run the methods that have no results yet."""
    for method in methods:
        run = METHODS[method]
        if rows.where(data=race.name, seed=race.seed, method=method):
            continue
        started = time.process_time()
        ends, seconds = run(race, count)
        one = {"data": race.name, "seed": race.seed, "method": method}
        for cycles, (top1, apart) in ends.items():
            end = {"top1": round(top1, 3), "divergence": round(apart, 6)}
            rows.add({**one, "cycles": cycles, **end})
        for part, spent in seconds.items():
            times.add({**one, "part": part, "seconds": spent})
        print(
            f"seed {race.seed}: {method}: {ends}, "
            f"{time.process_time() - started:.0f} CPU s",
            flush=True,
        )


def print_race(name: str, rows: Rows, times: Rows) -> None:
    """Print what every method reached at every latency, over all seeds."""
    for what, unit in (
        ("top1", "test top-1 [percent]"),
        ("divergence", "test divergence [mnat]"),
    ):
        _print_ends(name, rows, what, unit)
    spent = {
        part: sum(float(r["seconds"]) for r in times.where(data=name, part=part))
        for part in ("measuring", "saliencies", "own")
    }
    print(
        f"\nloop, CPU s of all seeds: {spent['measuring']:.0f} measuring, "
        f"{spent['saliencies']:.0f} saliencies, {spent['own']:.1f} of its own"
    )


def _print_ends(name: str, rows: Rows, what: str, unit: str) -> None:
    have = rows.where(data=name)
    seeds = sorted({row["seed"] for row in have})
    budgets = sorted({int(row["cycles"]) for row in have}, reverse=True)
    scale = 1.0 if what == "top1" else 1000.0

    def values(method: str, cycles: int) -> dict[str, float]:
        found = rows.where(data=name, method=method, cycles=cycles)
        return {row["seed"]: scale * float(row[what]) for row in found}

    table: list[list[object]] = [
        [method, *(spread(list(values(method, b).values())) for b in budgets)]
        for method in METHODS
    ]
    for rival in list(METHODS)[1:]:
        cells: list[object] = [f"loop less {rival}"]
        for budget in budgets:
            ours, theirs = values("loop", budget), values(rival, budget)
            cells.append(spread([ours[s] - theirs[s] for s in ours if s in theirs]))
        table.append(cells)
    print(f"\n{name}: {unit}, mean and standard deviation over {len(seeds)} seeds\n")
    print_table(("method", *(f"{budget} cycles" for budget in budgets)), table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--search-frames", type=int, default=400)
    parser.add_argument("--calibration-frames", type=int, default=256)
    parser.add_argument("--data", nargs="+", default=["digits", "fashion-mnist"])
    parser.add_argument("--folder", type=Path, default=Path("runs/measured-search"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    rows = Rows(args.folder / "race.csv", KEYS)
    times = Rows(args.folder / "times.csv", ("data", "seed", "method", "part"))
    for name in args.data:
        for seed in range(args.first, args.first + args.seeds):
            try:
                race = make_race(
                    name,
                    seed,
                    args.folder,
                    args.search_frames,
                    args.calibration_frames,
                )
            except InputError as error:
                print(f"{name} left out: {error}")
                break
            if "race" in args.parts:
                run_race(race, args.methods, rows, times, args.samples)
            if seed == args.first and "predictors" in args.parts:
                print_predictors(race, args.samples)
            if seed == args.first and "saliencies" in args.parts:
                print_saliencies(race, args.samples)
        if "race" in args.parts:
            print_race(name, rows, times)


if __name__ == "__main__":
    main()
