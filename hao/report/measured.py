"""What the loop of measurements found: the record of a run, and its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from hao.measure.sample import Quality
from hao.text import plain, text_table

MEASURED_FILE = "measured.json"

MEASURED_FOLDER = "measured-"
"""Start of the name of a folder with a measured design; its number follows."""

_Z90 = 1.645
"""Quantile of the normal distribution that an interval of 90 % reaches to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDesign:
    """The best scheme at a latency, by measurement.

    Attributes:
        folder: Where its design lies in the run.
        fps: Predicted frames per second.
        cycles: Latency [cycles].
        cycles_limit: Most that was asked for [cycles].
        act_bits: Width of the activations.
        bits: Layers at how many weight bits, and what else changed, in words.
        search_top1: On the frames that it was chosen by [percent].
        test_top1: On frames never used before [percent].
        test_low: Low end of its 90 % interval, from the count of frames alone.
        test_high: High end.
    """

    folder: str
    fps: float
    cycles: int
    cycles_limit: int
    act_bits: int
    bits: str
    search_top1: float
    test_top1: float
    test_low: float
    test_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorScore(Quality):
    """How well predictors of a kind, or tested on something, do."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a loop of measurements found.

    Attributes:
        network: Its name.
        data: The data set.
        labelled: Whether top-1 is towards labels; else towards the float network.
        search_frames: Frames that schemes were chosen by.
        test_frames: Frames never used before.
        float_search_top1: Of the float network on the first [percent].
        float_test_top1: On the second.
        schemes: Measured.
        failed: Of these, without a result.
        turns: Of the loop.
        rested: Whether it ended because nothing better was found.
        final_epochs: Of training before the last measurement; 0 for none.
        seconds_measuring: Sum of all measurements [s].
        seconds_own: Of the loop beside them [s].
        learner: Predictor in use at the end; empty for none.
        scores: Of predictors on held-out schemes.
        designs: Best by measurement, longest latency first.
        notes: What must be known of the float network.
    """

    network: str
    data: str
    labelled: bool
    search_frames: int
    test_frames: int
    float_search_top1: float
    float_test_top1: float
    schemes: int
    failed: int
    turns: int
    rested: bool
    final_epochs: int
    seconds_measuring: float
    seconds_own: float
    learner: str
    scores: tuple[PredictorScore, ...]
    designs: tuple[MeasuredDesign, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_measured(self)

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        from hao.report.notebook import measured_html

        return measured_html(self)


def share_interval(percent: float, frames: int) -> tuple[float, float]:
    """Return the 90 % interval of a share of frames [percent] (Wilson, 1927)."""
    share, z = percent / 100, _Z90
    centre = (share + z * z / (2 * frames)) / (1 + z * z / frames)
    spread = share * (1 - share) / frames + z * z / (4 * frames * frames)
    half = z * sqrt(spread) / (1 + z * z / frames)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def measured_word(found: Measured) -> str:
    """Return what is measured, in words."""
    return "top-1" if found.labelled else "agreement with the float network"


def render_measured(found: Measured) -> str:
    """Return what a loop of measurements found, as text."""
    word = measured_word(found)
    trained = (
        f"after {found.final_epochs} epochs of training with distillation"
        if found.final_epochs
        else "without training"
    )
    lines = [
        f"{plain(found.network)} on {plain(found.data)}: {found.schemes} schemes "
        f"measured in {found.turns} turns"
        + (", until nothing better was found" if found.rested else ""),
        f"search: measured {word} [%] on the {found.search_frames} frames that schemes "
        "are chosen by,",
        "        validation frames, then training frames; float: "
        f"{found.float_search_top1:.2f}",
        f"test:   likewise on {found.test_frames} frames used for nothing else, "
        f"{trained}; float: {found.float_test_top1:.2f}",
        "",
    ]
    lines.append(text_table(DESIGN_HEAD, design_rows(found.designs), left={0, 5}))
    if found.scores:
        lines += ["", *_score_lines(found.scores, found.learner)]
    if not found.learner:
        lines.append("no predictor was fitted: too few schemes were measured for one")
    if found.failed:
        lines.append(f"{found.failed} schemes could not be measured")
    lines += [f"note: {plain(note)}" for note in found.notes]
    lines.append(
        f"measuring took {found.seconds_measuring:.0f} s in all, choosing what to "
        f"measure {found.seconds_own:.0f} s of this command"
    )
    return "\n".join(lines)


def _score_lines(scores: Sequence[PredictorScore], learner: str) -> list[str]:
    head = ("predictor", "schemes", "Spearman", "of top-1", "MAE", "inside")
    rows = [
        (
            one.name,
            str(one.rows),
            f"{one.spearman:.2f}",
            f"{one.spearman_top1:.2f}",
            f"{one.mae:.2f}",
            "" if one.coverage is None else f"{100 * one.coverage:.0f} %",
        )
        for one in scores
    ]
    title = f"predictors on schemes left out ({learner} is in use)"
    return [title, text_table(head, rows, left={0})]


DESIGN_HEAD = (
    "design",
    "frames/s",
    "search",
    "test",
    "90 % interval",
    "layers at bits",
)
"""Columns of `design_rows`."""


def design_rows(designs: Sequence[MeasuredDesign]) -> list[tuple[str, ...]]:
    """Return measured designs as rows of a table."""
    return [
        (
            plain(one.folder),
            f"{one.fps:.1f}",
            f"{one.search_top1:.2f}",
            f"{one.test_top1:.2f}",
            f"{one.test_low:.2f} to {one.test_high:.2f}",
            f"{plain(one.bits)}; A{one.act_bits}",
        )
        for one in designs
    ]
