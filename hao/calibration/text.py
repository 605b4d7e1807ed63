"""A calibration as text: constants, errors, and every figure before and after."""

from collections.abc import Sequence

from hao.calibration.evidence import FITTED, PARTS
from hao.calibration.results import Assessment, Comparison, ConstantGroup
from hao.hw.calibration import ONE
from hao.text import text_table


def render_assessment(found: Assessment) -> str:
    """Return what was found, as tables."""
    designs = len({figure.label for figure in found.comparisons})
    head = (
        f"{found.board} ({found.device}): {_counted(len(found.reports), 'report')} of "
        f"{_counted(designs, 'design')}; constants {found.calibration.summary}"
    )
    parts = [head, _constants(found), _errors(found.groups)]
    parts.append(_figures(found.comparisons))
    if found.notes:
        parts.append("\n".join(f"note: {note}" for note in found.notes))
    return "\n\n".join(parts)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _constants(found: Assessment) -> str:
    """Return the factors by part, and what cycles are corrected by."""
    head = ["times", "LUT", "FF", "LUT of csynth", "FF of csynth"]
    rows = []
    for part in PARTS:
        own = found.calibration.parts[part]
        factors = [own.lut, own.ff]
        factors += [found.csynth[part][quantity.value] for quantity in FITTED]
        rows.append([part, *(f"{factor / ONE:.3f}" for factor in factors)])
    calibration = found.calibration
    share = calibration.ddr_efficiency_percent
    ddr = "as the board has it" if share is None else f"{share} % of the peak"
    cycles = f"cycles of a run: {calibration.step_cycles:+d}; DDR: {ddr}"
    return f"{text_table(head, rows, left={0})}\n{cycles}"


def _errors(groups: Sequence[ConstantGroup]) -> str:
    """Return the mean errors by block."""
    head = ["error of", "reported by", "block", "figures", "designs"]
    head += ["shipped", "fitted", "left out"]
    rows = [
        [
            score.figure,
            score.source,
            score.block,
            str(score.figures),
            str(score.designs),
            f"{score.shipped_percent:.1f} %",
            f"{score.fitted_percent:.1f} %",
            "-" if score.unseen_percent is None else f"{score.unseen_percent:.1f} %",
        ]
        for group in groups
        for score in group.scores
    ]
    lines = [
        text_table(head, rows, left={0, 1, 2}),
        "left out: error on designs that the fit did not see; - needs two designs",
    ]
    lines += [
        f"{group.figure} by {group.source}: the fit predicts designs left out no "
        "better than the shipped constants, which stay"
        for group in groups
        if not group.adopted
    ]
    return "\n".join(lines)


def _figures(figures: Sequence[Comparison]) -> str:
    """Return every figure, as predicted before and after, and as reported."""
    head = ["design", "report", "figure", "block"]
    head += ["shipped", "calibrated", "reported", ""]
    rows = [
        [
            figure.label,
            figure.report,
            figure.figure,
            figure.block,
            str(figure.shipped),
            str(figure.calibrated),
            str(figure.reported),
            f"{figure.reported / figure.calibrated:.2f}"
            f"{' !' if figure.outlier else '  '}",
        ]
        for figure in figures
    ]
    text = text_table(head, rows, left={0, 1, 2, 3})
    if any(figure.outlier for figure in figures):
        text += "\n! far from the fit, and so of little weight in it"
    return text
