"""How much faster do two workers measure? `python benchmarks/measured_scale.py`.

Schemes of random bits of the `digits` network on its data are measured by this process
(one thread), by two processes of this machine, and by a Dask cluster of two workers,
all once before the clock starts, so that processes have started and hold the data. A
machine with fewer than two idle cores says little: the load is printed.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dask
import numpy as np
import torch
from distributed import LocalCluster

from benchmarks._common import machine, print_table
from benchmarks._kept import known_data
from hao.answer.workers import Farm, open_workers
from hao.ir.change import scheme_of
from hao.measure.sample import Trial
from hao.measure.subject import Subject, evaluate, make_subject
from hao.quant.train import FLOAT_SETTINGS, train_float
from hao.zoo import build_network

ENVIRON = "distributed.nanny.pre-spawn-environ"

KEEPS_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": 1 << 28,
    "MALLOC_MMAP_THRESHOLD_": 1 << 28,
}
"""Dask has its workers give memory back at once, where torch soon wants it again."""

WAYS = ("one process", "two processes", "two workers of Dask")


def trials(subject: Subject, count: int, seed: int) -> list[Trial]:
    """Return schemes of random bits."""
    generator = np.random.default_rng(seed)
    names = [layer.name for layer in subject.network.compute_layers]
    drawn = generator.choice((2, 3, 4, 6, 8), size=(count, len(names)))
    return [
        Trial(
            scheme=scheme_of(dict(zip(names, map(int, bits), strict=True))), act_bits=8
        )
        for bits in drawn
    ]


@contextmanager
def opened(way: str) -> Iterator[Farm]:
    """Yield the workers of a way."""
    if way == WAYS[2]:
        kept = {**dask.config.get(ENVIRON), **KEEPS_MEMORY}
        with (
            dask.config.set({ENVIRON: kept}),
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            open_workers(cluster=cluster.scheduler_address) as workers,
        ):
            yield workers
        return
    with open_workers(1 + WAYS.index(way)) as workers:
        yield workers


def seconds(workers: Farm, subject: Subject, count: int) -> tuple[float, float]:
    """Return the wall time of measuring [s], and the sum of all divergences [nats]."""
    for seed in (1, 0):
        started = time.perf_counter()
        found = list(
            workers.each(
                evaluate, subject, trials(subject, count, seed), lambda _: None
            )
        )
        took = time.perf_counter() - started
    return took, sum(s.result.divergence for s in found if s.result is not None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--schemes", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = build_network("digits")
    data = known_data("digits", network)
    subject = make_subject({8: train_float(network, data, FLOAT_SETTINGS)}, data)
    print(f"Machine: {machine()}\n")
    rows: list[tuple[object, ...]] = []
    alone = 0.0
    for way in WAYS:
        with opened(way) as workers:
            took, total = seconds(workers, subject, args.schemes)
        alone = alone or took
        rows.append((way, args.schemes, took, alone / took, total))
    print_table(("measured by", "schemes", "wall s", "times", "sum of nats"), rows)


if __name__ == "__main__":
    main()
