"""From runs and synthetic reports to constants: found, judged on designs left out.

No report of an emitted design exists, so every report here is made up from a known
truth (`tests.calibration.synthetic`), printed as the tools print it, and read back.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hao.calibration.file import load_calibration, render_calibration
from hao.calibration.results import Assessment, ConstantGroup
from hao.cost.evaluate import evaluate
from hao.engine.design import Design
from hao.errors import InputError
from hao.hw.calibration import NEUTRAL, ONE
from hao.hw.resources import Resources
from hao.steps.calibrate import CalibrateRequest, calibrate
from tests.calibration.synthetic import (
    SHAPES,
    Truth,
    busy_design,
    cosim_text,
    csynth_text,
    hierarchy_text,
    synthetic_design,
    true_cycles,
    true_parts,
    utilization_text,
    write_design,
)

TRUTH = Truth(
    lut={"fixed": 0.8, "dense": 1.4, "depthwise": 1.2, "pointwise": 0.75},
    ff={"fixed": 1.2, "dense": 0.8, "depthwise": 1.3, "pointwise": 1.5},
    step_cycles=300,
    efficiency=60,
    noise=0.03,
)
CSYNTH = Truth(lut=dict.fromkeys(TRUTH.lut, 2.5), ff=dict.fromkeys(TRUTH.ff, 1.6))


def reported(
    folder: Path,
    design: Design,
    truth: Truth,
    rng: np.random.Generator,
    *,
    csynth: Truth | None = None,
) -> tuple[Path, list[Path]]:
    """Write a run and reports on its placement; return both."""
    cost = evaluate(design)
    run = write_design(design, folder / design.network.name)
    parts = true_parts(cost, truth, rng)
    texts = {
        "hierarchy.rpt": hierarchy_text(parts),
        "placed.rpt": utilization_text(sum(parts.values(), Resources())),
    }
    if csynth is not None:
        texts["csynth.rpt"] = csynth_text(true_parts(cost, csynth, rng))
    for name, text in texts.items():
        (run / name).write_text(text)
    return run, [run / name for name in texts]


def timings(folder: Path, designs: Sequence[Design], truth: Truth) -> Path:
    rng = np.random.default_rng(9)
    lines = ["design,clock_mhz,ms"]
    for design in designs:
        if not (folder / design.network.name).exists():
            write_design(design, folder / design.network.name)
        ms = true_cycles(design, truth, rng) / design.board.clock_khz
        lines.append(f"{design.network.name},{design.board.clock_mhz},{ms:.9f}")
    path = folder / "board.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


DESIGNS = [synthetic_design(n) for n in range(len(SHAPES))]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> CalibrateRequest:
    """Return reports on eight designs, and times of these and of four busy ones."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    reports = dict(reported(folder, d, TRUTH, rng, csynth=CSYNTH) for d in DESIGNS)
    busy = [busy_design(n) for n in range(4)]
    return CalibrateRequest(
        reports=reports, timings=[timings(folder, [*DESIGNS, *busy], TRUTH)]
    )


@pytest.fixture(scope="module")
def found(evidence: CalibrateRequest) -> Assessment:
    """Return what is found from all of it."""
    return calibrate(evidence)


def group(found: Assessment, figure: str, source: str) -> ConstantGroup:
    return next(g for g in found.groups if (g.figure, g.source) == (figure, source))


def test_hidden_factors_are_found(found: Assessment) -> None:
    # Eight designs leave 8 / 8.5 of the way to 1.5, 2.4 % short; noise leaves 1 %.
    for part, factors in found.calibration.parts.items():
        assert factors.lut / ONE == pytest.approx(TRUTH.lut[part], rel=0.05), part
        assert factors.ff / ONE == pytest.approx(TRUTH.ff[part], rel=0.05), part


def test_hidden_cycles_are_found(found: Assessment) -> None:
    assert found.calibration.ddr_efficiency_percent is not None
    assert abs(found.calibration.ddr_efficiency_percent - 60) <= 8
    assert found.calibration.step_cycles == pytest.approx(300, rel=0.3)


def test_synthesis_has_factors_of_its_own(found: Assessment) -> None:
    # ln 2.5 is 0.92 away: eight designs leave 6 % of it, 5 % of the factor.
    for part, factors in found.csynth.items():
        assert factors["lut"] / ONE == pytest.approx(2.5, rel=0.07), part
        assert factors["ff"] / ONE == pytest.approx(1.6, rel=0.05), part


def test_designs_left_out_are_predicted_better(found: Assessment) -> None:
    assert len(found.groups) == 5
    for one in found.groups:
        score = one.scores[-1]
        assert one.adopted
        assert score.unseen_percent is not None
        # Noise is 3 %, and the ridge holds back some.
        assert score.fitted_percent <= score.unseen_percent < 9
        assert score.shipped_percent > 14


def test_reports_are_counted_that_the_cost_model_rests_on(found: Assessment) -> None:
    # Two placed reports of eight designs, and twelve times; not what csynth says.
    assert found.calibration.reports == 2 * 8 + 12
    assert found.calibration.summary == "calibrated by 28 reports"
    assert len(found.reports) == 3 * 8 + 12
    assert found.notes == ()


def test_one_outlier_hardly_moves_the_constants(
    tmp_path: Path, found: Assessment
) -> None:
    rng = np.random.default_rng(0)
    reports = {}
    for number, design in enumerate(DESIGNS):
        run, paths = reported(tmp_path, design, TRUTH, rng, csynth=CSYNTH)
        if number == 4:
            parts = true_parts(evaluate(design), TRUTH, np.random.default_rng(0))
            parts["dense"] = replace(parts["dense"], lut=4 * parts["dense"].lut)
            (run / "hierarchy.rpt").write_text(hierarchy_text(parts))
        reports[run] = paths
    moved = calibrate(CalibrateRequest(reports=reports))
    for part, factors in moved.calibration.parts.items():
        before = found.calibration.parts[part]
        assert factors.lut == pytest.approx(before.lut, rel=0.04), part
    (outlier,) = [c for c in moved.comparisons if c.outlier and c.figure == "lut"]
    assert (outlier.label, outlier.block) == ("net4", "dense")
    assert " !" in repr(moved)


def test_without_a_signal_the_shipped_constants_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    noise = Truth(noise=0.03)
    reports = dict(reported(tmp_path, d, noise, rng) for d in DESIGNS)
    times = timings(tmp_path, DESIGNS, noise)
    kept = calibrate(CalibrateRequest(reports=reports, timings=[times])).calibration
    for factors in kept.parts.values():
        # 3 % over the root of eight designs is 1 %; three times that.
        assert factors.lut == pytest.approx(ONE, rel=0.035)
        assert factors.ff == pytest.approx(ONE, rel=0.035)
    assert abs(kept.step_cycles) < 60
    assert (kept.ddr_efficiency_percent or 92) >= 85


def test_what_does_not_hold_for_others_is_not_adopted(tmp_path: Path) -> None:
    # Two designs that disagree: each alone predicts the other worse than nothing.
    reports = {}
    for number, factor in ((0, 1.5), (1, 1 / 1.5)):
        truth = Truth(lut=dict.fromkeys(TRUTH.lut, factor))
        run, paths = reported(
            tmp_path, DESIGNS[number], truth, np.random.default_rng(number)
        )
        reports[run] = paths
    result = calibrate(CalibrateRequest(reports=reports))
    assert not group(result, "lut", "placement").adopted
    assert result.calibration == NEUTRAL
    assert "no better than the shipped constants" in repr(result)
    assert "constants uncalibrated" in repr(result)


def test_a_single_design_moves_little_and_says_that_nothing_was_left_out(
    tmp_path: Path,
) -> None:
    run, paths = reported(tmp_path, DESIGNS[0], TRUTH, np.random.default_rng(0))
    result = calibrate(CalibrateRequest(reports={run: paths}))
    score = group(result, "lut", "placement").scores[-1]
    assert score.unseen_percent is None
    assert score.designs == 1
    assert ONE < result.calibration.dense.lut < 1360
    assert " -\n" in repr(result)


def test_cosimulation_alone_corrects_steps(tmp_path: Path) -> None:
    reports: dict[Path, list[Path]] = {}
    for design in DESIGNS:
        run = write_design(design, tmp_path / design.network.name)
        board = replace(design.board, ddr_peak_kbytes_per_s=10**9)
        cost = evaluate(replace(design, board=board))
        runs = sum(invocation.tiles for invocation in cost.invocations)
        mean = round((cost.latency_cycles + 300 * runs) / cost.steps)
        (run / "cosim.rpt").write_text(cosim_text(cost.steps, mean))
        reports[run] = [run / "cosim.rpt"]
    result = calibrate(CalibrateRequest(reports=reports)).calibration
    assert result.step_cycles == pytest.approx(300, rel=0.15)
    assert result.ddr_efficiency_percent is None


def test_one_design_in_two_runs_is_one_design(tmp_path: Path) -> None:
    run, paths = reported(tmp_path, DESIGNS[0], TRUTH, np.random.default_rng(0))
    copy = write_design(DESIGNS[0], tmp_path / "copy")
    result = calibrate(CalibrateRequest(reports={run: paths[:1], copy: paths[1:]}))
    assert {c.label for c in result.comparisons} == {"net0"}


def test_designs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    reports = {}
    for number in (0, 1):
        design = DESIGNS[number]
        folder = tmp_path / str(number)
        cost = evaluate(design)
        run = write_design(design, folder / "same")
        (run / "a.rpt").write_text(utilization_text(cost.resources))
        reports[run] = [run / "a.rpt"]
    result = calibrate(CalibrateRequest(reports=reports))
    assert {c.label for c in result.comparisons} == {"same", "same#2"}


def test_equal_evidence_gives_equal_bytes(
    evidence: CalibrateRequest, found: Assessment
) -> None:
    few = dict(list(evidence.reports.items())[:3])
    texts = {
        render_calibration(calibrate(CalibrateRequest(reports=few))) for _ in range(2)
    }
    assert len(texts) == 1


def test_every_figure_is_shown_before_and_after(found: Assessment) -> None:
    text = repr(found)
    some = next(c for c in found.comparisons if c.block == "dense")
    line = next(
        row
        for row in text.splitlines()
        if row.startswith(some.label) and " dense " in row
    )
    assert line.split()[-4:-1] == [
        str(some.shipped),
        str(some.calibrated),
        str(some.reported),
    ]
    assert "28 reports" in text
    errors = [abs(np.log(c.reported / c.calibrated)) for c in found.comparisons]
    shipped = [abs(np.log(c.reported / c.shipped)) for c in found.comparisons]
    assert np.mean(errors) < 0.3 * np.mean(shipped)


def test_the_file_is_written_whole_and_comes_back(
    tmp_path: Path, evidence: CalibrateRequest
) -> None:
    few = dict(list(evidence.reports.items())[:2])
    out = tmp_path / "zu3eg.json"
    result = calibrate(CalibrateRequest(reports=few, out=out))
    assert load_calibration(out) == result
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(InputError, match=r"zu3eg.json: exists; `force` replaces it"):
        calibrate(CalibrateRequest(reports=few, out=out))
    calibrate(CalibrateRequest(reports=few, out=out, force=True))
    # Nothing in it tells when or where it was made.
    assert str(tmp_path) not in out.read_text()
    assert json.loads(out.read_text())["schema"] == "hao.calibration/1"


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a directory; must be a file"):
        calibrate(CalibrateRequest(reports={}, out=tmp_path))


def test_no_evidence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to calibrate from"):
        calibrate(CalibrateRequest(reports={}))
    run = write_design(DESIGNS[0], tmp_path / "run")
    with pytest.raises(InputError, match="no report after it"):
        calibrate(CalibrateRequest(reports={run: []}))
    path = run / "synth.rpt"
    path.write_text(utilization_text(Resources(lut=5, ff=5), state="Synthesized"))
    with pytest.raises(InputError, match=r"no figure to calibrate with.*not placed"):
        calibrate(CalibrateRequest(reports={run: [path]}))


def test_designs_of_several_boards_are_refused(tmp_path: Path) -> None:
    first = write_design(DESIGNS[0], tmp_path / "first")
    second = write_design(synthetic_design(1, board="kv260"), tmp_path / "second")
    report = tmp_path / "a.rpt"
    report.write_text(utilization_text(evaluate(DESIGNS[0]).resources))
    request = CalibrateRequest(reports={first: [report], second: [report]})
    with pytest.raises(InputError, match=r"second: for board 'kv260' .*on its own"):
        calibrate(request)


def test_what_is_no_design_of_hao_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        calibrate(CalibrateRequest(reports={tmp_path / "none.json": [tmp_path]}))
    table = tmp_path / "board.csv"
    table.write_text("design,clock_mhz,ms\nnone,200,1\n")
    with pytest.raises(InputError, match=r"board.csv line 2: .*none: no such file"):
        calibrate(CalibrateRequest(reports={}, timings=[table]))
    run = write_design(DESIGNS[0], tmp_path / "run")
    (tmp_path / "a.rpt").write_text("hello")
    with pytest.raises(InputError, match="not a report that hao reads"):
        calibrate(CalibrateRequest(reports={run: [tmp_path / "a.rpt"]}))
