"""What a calibration found, as values: constants, errors, every figure.

An error is the mean over figures of |ln(reported / predicted)|, as a percentage.
"""

from dataclasses import dataclass

from hao.hw.calibration import Calibration

CSYNTH_RANGE = (100, 10_000)
"""Least and largest factor of what C synthesis estimates [per mille].

Source: chosen here; such estimates are larger than placement by far.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitScore:
    """How well one block's figures are predicted.

    Attributes:
        figure: "lut", "ff" or "cycles".
        source: Who reported them: "placement", "csynth", "board" or "cosim".
        block: Part of the engine, or "total".
        figures: How many there are.
        designs: Of how many designs.
        shipped_percent: Error of the shipped constants [percent].
        fitted_percent: Error of the fitted constants, on the same figures [percent].
        unseen_percent: Error on designs that the fit did not see [percent], `None`
            with a single design.
    """

    figure: str
    source: str
    block: str
    figures: int
    designs: int
    shipped_percent: float
    fitted_percent: float
    unseen_percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure: reported, and predicted before and after.

    Attributes:
        label: Of the design.
        report: Name of the file.
        figure: As in `FitScore`, and so are the next two.
        source: Who reported it.
        block: Part of the engine, or "total".
        shipped: Predicted by the shipped constants.
        calibrated: Predicted by those that are adopted.
        reported: By the tool, or measured.
        outlier: Whether it is off by more than `OUTLIER` after the fit.
    """

    label: str
    report: str
    figure: str
    source: str
    block: str
    shipped: int
    calibrated: int
    reported: int
    outlier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantGroup:
    """One set of constants that are fitted together.

    Attributes:
        figure: As in `FitScore`.
        source: Likewise.
        adopted: Whether its constants replace the shipped ones.
        scores: By block, the last one over all figures of the group.
    """

    figure: str
    source: str
    adopted: bool
    scores: tuple[FitScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All that was found.

    Attributes:
        board: Name of the board.
        device: Its device.
        calibration: For the cost model.
        csynth: Factors of what C synthesis will estimate, by part and "lut" or "ff"
            [per mille]; the cost model never uses them.
        groups: What was fitted, and how well.
        comparisons: Every figure.
        reports: Names of the reports, each with its design.
        notes: What was left out and why.
    """

    board: str
    device: str
    calibration: Calibration
    csynth: dict[str, dict[str, int]]
    groups: tuple[ConstantGroup, ...]
    comparisons: tuple[Comparison, ...]
    reports: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        from hao.calibration.text import render_assessment

        return render_assessment(self)
