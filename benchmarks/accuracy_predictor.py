"""Measure the accuracy predictors: `python benchmarks/accuracy_predictor.py`.

Prints tables in Markdown (some minutes on two cores): the row predictor under three
splits, the law behind `data/drop_law.csv` with networks, sources and families left out
of fit and calibration, and the additive rule for mixed schemes on the HAWQ-V3 rows;
`--only` takes one part. With `--check FILE` it instead scores the row predictor and the
shipped law on another file with the same columns.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.accuracy_fit.evaluate import Folds, Score, check, evaluate
from benchmarks.accuracy_fit.evidence import references
from benchmarks.accuracy_fit.law import Nested, nested, subject_of
from benchmarks.accuracy_fit.measured import QuantRow, load_quant_rows
from benchmarks.accuracy_fit.predictor import fit_predictor
from hao.accuracy.drops import COVERED, load_drop_law
from hao.accuracy.reference import Reference, shipped_references
from hao.errors import HaoError
from hao.measure.ranks import spearman
from hao.options.bits import layer_shares
from hao.zoo import build_network

SUBSETS: tuple[tuple[str, Callable[[QuantRow], bool]], ...] = (
    ("Brevitas sweep", lambda row: row.in_sweep),
    ("other rows", lambda row: not row.in_sweep),
    ("all rows", lambda row: True),
)
HEADER = (
    "| split | rows | n | MAE | median | Spearman | R2 | coverage |\n"
    "|---|---|---|---|---|---|---|---|"
)


def score_line(split: str, name: str, score: Score) -> str:
    """Return one line of the table of scores."""
    return (
        f"| {split} | {name} | {score.rows} | {score.mean_error:.2f} | "
        f"{score.median_error:.2f} | {score.spearman:.3f} | {score.r2:.3f} | "
        f"{score.coverage:.3f} |"
    )


def print_splits(rows: Sequence[QuantRow]) -> None:
    """Print the row predictor under every split."""
    print("\n## Row predictor, held-out rows [points]\n")
    print(HEADER)
    for split in Folds:
        evaluation = evaluate(rows, split)
        for name, choose in SUBSETS:
            print(score_line(split.value, name, evaluation.score(choose)), flush=True)


def print_check(path: Path) -> None:
    """Print the row predictor's scores on another file."""
    rows = load_quant_rows(path)
    evaluation = check(fit_predictor(load_quant_rows()), rows)
    left_out = len(rows) - len(evaluation.rows)
    print(f"{len(rows)} rows, {left_out} left out (no bits or no float accuracy)\n")
    print(HEADER)
    for name, choose in SUBSETS:
        if sum(map(choose, evaluation.rows)) >= 2:
            print(score_line(path.name, name, evaluation.score(choose)))


GROUPS: tuple[tuple[str, Callable[[Reference], str]], ...] = (
    ("network", lambda r: r.network),
    ("source", lambda r: r.source),
    ("family", lambda r: r.family),
)
LAW_FOLDS = 20
LEAST = 15
LAW_HEADER = (
    "| rows | n | MAE | median | bias (its standard error) "
    "| coverage (how likely one as far from 90 % is) | width | rank |\n"
    "|---|---|---|---|---|---|---|---|"
)


def _kind(reference: Reference) -> str:
    return "depthwise" if reference.depthwise else "dense"


def _level(reference: Reference) -> str:
    bits = reference.setting.weight_bits
    return "7 to 8 bits" if bits >= 7 else "4 to 6 bits" if bits >= 4 else "2 to 3 bits"


def _groups(items: Sequence[Nested]) -> dict[str, list[Nested]]:
    """Return the rows of each line of a table, by what the line is called."""
    found: dict[str, list[Nested]] = defaultdict(list)
    for item in items:
        reference = item.reference
        setting, kind = reference.setting, _kind(reference)
        recipe, level = setting.recipe.value.upper(), _level(reference)
        rounding = ", nearest" if setting.nearest else ""
        bits = f"W{setting.weight_bits:g}A{setting.act_bits:g}"
        at_least_4 = f" {kind}, {recipe}, 4 to 8 bits"
        for name in (
            *([] if setting.weight_bits < 4 else [at_least_4]),
            " all",
            f" all, {level}",
            f" {kind}",
            f" {kind}, {level}",
            f" {kind}, {recipe}",
            f" {kind}, {recipe}, {level}{rounding}",
            f"{reference.family}, {recipe}, {bits}",
        ):
            found[name].append(item)
    return {
        name.strip(): found[name]
        for name in sorted(found)
        if name.startswith(" ") or len(found[name]) >= LEAST
    }


def sem(values: np.ndarray) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def chance(inside: np.ndarray) -> float:
    """Return the chance of a share as far from 90 %, if intervals hold 90 %."""
    return float(binomtest(int(inside.sum()), len(inside), COVERED).pvalue)


def print_nested(items: Sequence[Nested]) -> None:
    """Print how predictions compare with what was measured, by group."""
    print(LAW_HEADER)
    for name, part in _groups(items).items():
        if len(part) < 2:
            continue
        truth = np.array([item.reference.drop for item in part])
        drops = [item.drop for item in part]
        mean = np.array([drop.mean for drop in drops])
        ranked = mean + np.array([drop.noise for drop in drops])
        ends = np.array([(drop.low, drop.high) for drop in drops])
        inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        errors = np.abs(mean - truth)
        width = float(np.median(ends[:, 1] - ends[:, 0]))
        print(
            f"| {name} | {len(part)} | {errors.mean():.2f} | {np.median(errors):.2f} "
            f"| {(mean - truth).mean():+.2f} ({sem(mean - truth):.2f}) "
            f"| {100 * inside.mean():.0f} % ({chance(inside):.2f}) "
            f"| {width:.2f} | {spearman(ranked, truth):.2f} |"
        )


def print_law() -> None:
    """Print the law with networks, sources and families left out."""
    known = shipped_references()
    networks = {reference.network for reference in known}
    print(f"\n## Law: {len(known)} reference drops of {len(networks)} networks")
    for name, group in GROUPS:
        print(f"\nLeft out by {name}:\n")
        print_nested(nested(known, group, folds=LAW_FOLDS))


def print_law_check(path: Path) -> None:
    """Print the shipped law's answers on another file's rows."""
    law = load_drop_law()
    found = references(load_quant_rows(path))
    print(f"\nLaw, {len(found)} reference drops of {path.name}:\n")
    print_nested(
        [
            Nested(
                reference=reference,
                drop=law.predict(subject_of(reference, law.plain), reference.setting),
            )
            for reference in found
        ]
    )


def print_mixed(rows: Sequence[QuantRow]) -> None:
    """Print how well additive shares explain the HAWQ-V3 mixed schemes.

    Drop = a + b x (share of the layers at 4 bits); a and b are fitted per network, and
    the error is of each scheme under the fit to the others.
    """
    print("\n## Additive rule, HAWQ-V3 schemes (4 and 8 bits)\n")
    print("| network | schemes | Spearman | MAE, leave one out |\n|---|---|---|---|")
    for name in ("resnet18", "resnet50"):
        network = build_network(name)
        shares = list(layer_shares(network).values())[:-1]
        schemes = [r for r in rows if r.model == name and r.layer_weight_bits]
        drops = np.array([row.drop for row in schemes], dtype=np.float64)
        low = np.array(
            [
                float(
                    sum(
                        share
                        for share, bits in zip(
                            shares, row.layer_weight_bits, strict=True
                        )
                        if bits == 4
                    )
                )
                for row in schemes
            ]
        )
        design = np.column_stack([np.ones(len(low)), low])
        errors = []
        for i in range(len(low)):
            others = np.arange(len(low)) != i
            fit = np.linalg.lstsq(design[others], drops[others], rcond=None)[0]
            errors.append(abs(float(design[i] @ fit) - float(drops[i])))
        rank = spearman(low, drops)
        print(f"| {name} | {len(low)} | {rank:.3f} | {np.mean(errors):.2f} |")


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=Path, metavar="FILE")
    parser.add_argument("--only", choices=("rows", "law", "mixed"))
    arguments = parser.parse_args()
    try:
        if arguments.check is not None:
            print_check(arguments.check)
            print_law_check(arguments.check)
            return 0
        rows = load_quant_rows()
        if arguments.only in (None, "rows"):
            print_splits(rows)
        if arguments.only in (None, "law"):
            print_law()
        if arguments.only in (None, "mixed"):
            print_mixed(rows)
    except HaoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
