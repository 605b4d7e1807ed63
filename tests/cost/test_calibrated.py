"""A board with a calibration: what changes, by how much, and what does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.area import engine_resources
from hao.cost.columns import Columns
from hao.cost.evaluate import evaluate
from hao.cost.overheads import START_CYCLES
from hao.cost.prices import price_segment
from hao.engine.design import Design
from hao.hw.calibration import (
    STEP_CYCLES_RANGE,
    Calibration,
    PartFactors,
    scaled,
)
from hao.ir.partition import Role
from tests.cost.samples import (
    QUICK,
    conv,
    dense_columns,
    designs,
    invocation,
    setting,
    shape,
)
from tests.cost.test_evaluate import NETWORKS
from tests.hw.samples import BOARD
from tests.report.samples import small_design

FACTORS = Calibration(
    dense=PartFactors(lut=1234, ff=800),
    depthwise=PartFactors(lut=700, ff=1500),
    pointwise=PartFactors(lut=1001, ff=999),
    fixed=PartFactors(lut=2000, ff=500),
    reports=1,
)


def calibrated(design: Design, calibration: Calibration) -> Design:
    return replace(design, board=replace(design.board, calibration=calibration))


@QUICK
@given(designs(NETWORKS))
def test_logic_of_every_part_is_scaled_and_nothing_else(design: Design) -> None:
    # No lane is on DSPs in these designs, so that nothing but the base is rounded.
    before = evaluate(design)
    after = evaluate(calibrated(design, FACTORS))
    for name, used in before.parts.items():
        factors = FACTORS.parts[name]
        expected = replace(
            used, lut=scaled(used.lut, factors.lut), ff=scaled(used.ff, factors.ff)
        )
        assert after.parts[name] == expected, name
    assert after.invocations == before.invocations
    assert after.latency_cycles == before.latency_cycles


def test_lanes_on_dsps_are_scaled_step_by_step() -> None:
    design = small_design()
    engine = design.engine
    assert engine.dense is not None
    assert engine.depthwise is not None
    steps = {"dense": engine.dense.dsp_pairs, "depthwise": engine.depthwise.dsp_lanes}
    assert min(steps.values()) > 0
    before = engine_resources(engine, design.board)
    after = engine_resources(engine, calibrated(design, FACTORS).board)
    for name, factors in FACTORS.parts.items():
        # Base and step are rounded up apart: at most a LUT each.
        off = 1 + steps.get(name, 0)
        exact = before[name].lut * factors.lut / 1000
        assert exact <= after[name].lut < exact + off
        assert after[name].dsp == before[name].dsp
        assert after[name].bram_18k == before[name].bram_18k


@QUICK
@given(designs(NETWORKS), st.integers(*STEP_CYCLES_RANGE))
def test_every_run_takes_the_step_cycles(design: Design, cycles: int) -> None:
    before = evaluate(design)
    after = evaluate(calibrated(design, Calibration(step_cycles=cycles, reports=1)))
    runs = sum(invocation.tiles for invocation in before.invocations)
    assert after.latency_cycles == before.latency_cycles + cycles * runs
    assert after.resources == before.resources
    if design.engine.double_buffered:
        # Else a run may come to take longer than the load before it.
        assert [c.binding for c in after.invocations] == [
            c.binding for c in before.invocations
        ]
    for one, other in zip(before.invocations, after.invocations, strict=True):
        assert other.period_cycles == one.period_cycles + cycles * one.tiles


def test_tiles_before_the_last_take_them_too() -> None:
    layer = conv(shape(16, 8, 8), 64, 3)
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([8, 8], [8, 8], [72, 999])
    }
    shared = setting()
    more = replace(BOARD, calibration=Calibration(step_cycles=50, reports=1))
    run, bits = invocation(dense=layer), {layer.name: 8}
    before = price_segment(run, columns, bits, shared)
    after = price_segment(run, columns, bits, replace(shared, board=more))
    tiles = before.tiles[Role.DENSE]
    assert tiles[0] > 1 == tiles[1]
    added = after.tiled[Role.DENSE] - before.tiled[Role.DENSE]
    assert added.tolist() == (50 * (tiles - 1)).tolist()
    for one, other in (
        *zip(before.paths, after.paths, strict=True),
        *zip(before.ddr, after.ddr, strict=True),
        (before.beside, after.beside),
        (before.standing, after.standing),
    ):
        assert other.constant == one.constant
        longer = other.terms[Role.DENSE] - one.terms[Role.DENSE]
        assert longer.tolist() == (50 * tiles).tolist()
    assert after.held == before.held
    # Weights are there before the run starts, whatever starting it takes.
    assert after.opening[0].terms[Role.DENSE].tolist() == (
        before.opening[0].terms[Role.DENSE].tolist()
    )


@QUICK
@given(designs(NETWORKS), st.integers(20, 100))
def test_the_efficiency_replaces_that_of_the_board(design: Design, share: int) -> None:
    replaced = design.board.at_ddr(share)
    constants = Calibration(ddr_efficiency_percent=share, reports=1)
    assert evaluate(calibrated(design, constants)) == evaluate(
        replace(design, board=replaced)
    )


def test_no_run_ever_takes_less_than_nothing() -> None:
    assert START_CYCLES + STEP_CYCLES_RANGE[0] > 0


@pytest.mark.parametrize("name", ["zu3eg", "kv260"])
def test_the_neutral_calibration_is_the_default(name: str) -> None:
    design = small_design(name)
    assert design.board.calibration == Calibration()
    assert calibrated(design, Calibration(reports=3)).board != design.board
    assert evaluate(calibrated(design, Calibration(reports=3))) == evaluate(design)
