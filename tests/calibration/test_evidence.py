"""What reports say: which figures, of which parts, and what is left out."""

import numpy as np
import pytest

from hao.calibration.evidence import CalibrationEvidence, Case, Clocking, read_evidence
from hao.cost.evaluate import evaluate
from hao.errors import InputError
from hao.handoff.compare import FigureSource, Quantity
from hao.handoff.load import parse_report_text
from hao.hw.resources import Resources
from tests.calibration.synthetic import (
    Truth,
    cosim_text,
    csynth_text,
    hierarchy_text,
    synthetic_design,
    true_parts,
    utilization_text,
)

DESIGN = synthetic_design(0)
CASE = Case(label="net0", design=DESIGN, cost=evaluate(DESIGN))
TRUTH = Truth(lut={"dense": 1.5, "fixed": 0.5}, ff={"pointwise": 2.0})
PARTS = true_parts(CASE.cost, TRUTH, np.random.default_rng(0))
TOTAL = sum(PARTS.values(), Resources())


def evidence(*texts: str) -> CalibrationEvidence:
    return read_evidence(CASE, [parse_report_text(text, "a.rpt") for text in texts])


def luts(found: CalibrationEvidence) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return predicted and reported LUTs by the parts that a figure covers."""
    return {
        tuple(sorted(name for name, _ in f.predicted)): (
            sum(count for _, count in f.predicted),
            f.reported,
        )
        for f in found.area
        if f.quantity is Quantity.LUT
    }


def test_a_hierarchical_report_tells_the_stages_of_the_core() -> None:
    found = evidence(hierarchy_text(PARTS))
    expected = {
        (name,): (CASE.cost.parts[name].lut, PARTS[name].lut)
        for name in ("dense", "depthwise", "pointwise")
    }
    # The core's rest is not "fixed": the platform is outside it.
    assert luts(found) == expected
    assert len(found.area) == 6
    assert {figure.source for figure in found.area} == {FigureSource.PLACEMENT}


def test_a_flat_report_tells_the_total() -> None:
    names = ("dense", "depthwise", "fixed", "pointwise")
    assert luts(evidence(utilization_text(TOTAL))) == {
        names: (CASE.cost.resources.lut, TOTAL.lut)
    }


def test_a_total_beside_the_stages_of_the_core_tells_the_rest() -> None:
    found = luts(evidence(hierarchy_text(PARTS), utilization_text(TOTAL)))
    assert found == {
        (name,): (CASE.cost.parts[name].lut, PARTS[name].lut) for name in PARTS
    }


def test_a_total_that_is_less_than_the_stages_stays_a_total() -> None:
    small = Resources(lut=PARTS["dense"].lut, ff=PARTS["dense"].ff)
    found = luts(evidence(hierarchy_text(PARTS), utilization_text(small)))
    assert len(found) == 4
    assert found[tuple(sorted(PARTS))][1] == small.lut


def test_of_several_totals_none_is_split() -> None:
    flat = utilization_text(TOTAL)
    found = evidence(hierarchy_text(PARTS), flat, flat)
    assert [f.block for f in found.area if f.quantity is Quantity.LUT].count(
        "total"
    ) == 2


def test_a_flat_report_on_the_core_tells_nothing() -> None:
    found = evidence(utilization_text(TOTAL, cells=True))
    assert found.area == ()
    assert "nothing in it can be compared" in found.notes[0]


def test_a_netlist_that_is_not_placed_is_left_out() -> None:
    for text in (
        hierarchy_text(PARTS, state="Synthesized"),
        utilization_text(TOTAL, state="Synthesized"),
    ):
        found = evidence(text)
        assert found.area == ()
        assert "synthesized, not placed" in found.notes[0]


def test_synthesis_is_apart_from_placement() -> None:
    found = evidence(csynth_text(PARTS))
    assert {figure.source for figure in found.area} == {FigureSource.CSYNTH}
    assert set(luts(found)) == {("dense",), ("depthwise",), ("fixed",), ("pointwise",)}
    # What the stages leave of the total.
    assert luts(found)[("fixed",)] == (CASE.cost.parts["fixed"].lut, PARTS["fixed"].lut)
    # Its latency is an estimate without stalls.
    assert found.cycles == ()


def test_what_a_report_does_not_split_is_compared_together() -> None:
    kept = {name: PARTS[name] for name in ("fixed", "dense", "pointwise")}
    kept["fixed"] += PARTS["depthwise"]
    found = luts(evidence(csynth_text(kept)))
    assert found[("depthwise", "fixed")] == (
        CASE.cost.parts["depthwise"].lut + CASE.cost.parts["fixed"].lut,
        PARTS["depthwise"].lut + PARTS["fixed"].lut,
    )
    assert set(found) == {("dense",), ("pointwise",), ("depthwise", "fixed")}


def test_a_cosimulation_tells_cycles() -> None:
    steps = CASE.cost.steps
    (figure,) = evidence(cosim_text(steps, 700)).cycles
    assert (figure.clocking, figure.reported) == (Clocking.COSIM, 700 * steps)
    assert figure.clock_khz == DESIGN.board.clock_khz


def test_the_report_of_another_top_is_refused() -> None:
    with pytest.raises(InputError, match="top function 'fir'; must be 'hao_engine'"):
        evidence(csynth_text(PARTS, top="fir"))


def test_the_report_of_another_device_is_refused() -> None:
    text = hierarchy_text(PARTS).replace("xczu3eg", "xczu7ev")
    with pytest.raises(InputError, match="is not the XCZU3EG"):
        evidence(text)


def test_block_rams_far_off_are_told() -> None:
    wrong = dict(PARTS)
    wrong["dense"] += Resources(bram_18k=TOTAL.bram_18k)
    (note,) = evidence(hierarchy_text(wrong)).notes
    assert "bram_18k" in note
    assert "another design" in note
    assert evidence(hierarchy_text(PARTS)).notes == ()
