"""Measure the accuracy predictors: `python benchmarks/accuracy_predictor.py`.

Prints tables in Markdown (about four minutes on two cores): the row predictor under
three splits, the law behind `data/predicted_drop.csv` with networks and sources held
out, and the additive rule for mixed schemes on the HAWQ-V3 rows. With `--check FILE`
it instead fits the row predictor to the shipped rows and scores it on another file
with the same columns.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hao.accuracy.evaluate import Score, Split, check, evaluate, spearman
from hao.accuracy.evidence import references, trained_references
from hao.accuracy.law import HeldOutDrop, covered_across, hold_out
from hao.accuracy.measured import QuantRow, load_quant_rows
from hao.accuracy.predictor import fit_predictor
from hao.accuracy.published import load_float_rows
from hao.errors import HaoError
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
    for split in Split:
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


def print_law(rows: Sequence[QuantRow]) -> None:
    """Print the law of reference drops with networks, families and sources held out."""
    known = references(rows) + trained_references(load_float_rows())
    networks = {reference.network for reference in known}
    print(f"\n## Law: {len(known)} reference drops of {len(networks)} networks\n")
    print(
        "| held out | weight bits | n | MAE | median | Spearman |\n"
        "|---|---|---|---|---|---|"
    )
    for name, held in (
        ("a source of a network", hold_out(known, lambda r: (r.network, r.source))),
        ("a network", hold_out(known, lambda r: r.network)),
        ("a family", hold_out(known, lambda r: r.family)),
    ):
        for bits, chosen in (
            ("7 to 8", [h for h in held if h.reference.weight_bits >= 7]),
            ("below 7", [h for h in held if h.reference.weight_bits < 7]),
        ):
            print(law_line(name, bits, chosen))
    held = hold_out(known, lambda r: r.network)
    for name, depthwise in (("dense", False), ("depthwise", True)):
        inside = covered_across(held, depthwise=depthwise)
        print(
            f"\nCoverage of the interval across networks, {name}: "
            f"{np.mean(inside):.3f} of {len(inside)} references."
        )


def law_line(name: str, bits: str, held: Sequence[HeldOutDrop]) -> str:
    """Return one line of the table of the law."""
    truth = np.array([h.reference.drop for h in held])
    predicted = np.expm1([h.z for h in held])
    errors = np.abs(truth - predicted)
    return (
        f"| {name} | {bits} | {len(held)} | {errors.mean():.2f} | "
        f"{np.median(errors):.2f} | {spearman(truth, predicted):.3f} |"
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
    arguments = parser.parse_args()
    try:
        if arguments.check is not None:
            print_check(arguments.check)
        else:
            rows = load_quant_rows()
            print_splits(rows)
            print_law(rows)
            print_mixed(rows)
    except HaoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
