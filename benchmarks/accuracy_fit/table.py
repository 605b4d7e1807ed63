"""Write what the search reads: `python -m benchmarks.accuracy_fit.table`.

`data/reference_drops.csv` holds the comparable published results, `data/drop_law.csv`
the law fitted to them. Regenerated from the same data, the first has the same bytes and
the second the same numbers up to the last digits of the linear algebra library.
"""

from pathlib import Path

from benchmarks.accuracy_fit.evidence import references, trained_references
from benchmarks.accuracy_fit.law import calibrate_law
from benchmarks.accuracy_fit.measured import load_quant_rows
from hao.accuracy.drops import COLUMNS, SHIPPED, DropLaw
from hao.accuracy.published import load_float_rows
from hao.accuracy.reference import SHIPPED as REFERENCES
from hao.accuracy.reference import Reference, load_references, render_references
from hao.data import data_path


def found_references() -> tuple[Reference, ...]:
    """Return the reference drops of the shipped measurements."""
    return references(load_quant_rows()) + trained_references(load_float_rows())


def render_law(law: DropLaw) -> str:
    """Return a law as the text of a CSV file."""
    lines = [",".join(COLUMNS)]
    lines += [
        f"effect,{name},{effect.weight:.5f},{effect.variance:.5f}"
        for name, effect in sorted(law.effects.items())
    ]
    lines += [f"plain,{name},{top1:.2f}," for name, top1 in sorted(law.plain.items())]
    lines += [f"noise,{name},{value:.5f}," for name, value in sorted(law.noise.items())]
    lines += [
        f"{part},{name},{score:.4f},"
        for part, found in (("score", law.distributions), ("wide", law.wide))
        for name, scores in sorted(found.items())
        for score in scores
    ]
    return "\n".join(lines) + "\n"


def write_files(folder: Path) -> None:
    """Write references and law of the shipped measurements to a folder."""
    path = folder / REFERENCES
    path.write_text(render_references(found_references()), encoding="utf-8")
    # Fitted to what the file says, so that the law follows from the file.
    law = calibrate_law(load_references(path))
    (folder / SHIPPED).write_text(render_law(law), encoding="utf-8")


if __name__ == "__main__":
    write_files(data_path("data"))
