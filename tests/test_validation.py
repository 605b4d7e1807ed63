"""The pages on the cost model: their numbers are those of the code, computed anew."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks._configured import (
    blocks_taken,
    deepest_buffer,
    resnet50_v1,
    sized_engine,
)
from benchmarks._published import load_rows
from benchmarks.validation import (
    IDEAL_DDR_PERCENT,
    compare,
    counted_rows,
    dpu,
    dpu_compared,
    dpu_networks,
    left_out,
    median_deviation,
    msd,
    msd_compared,
    msd_networks,
    render_table,
    unpacked_cycles,
)
from hao.cost.evaluate import CostReport, evaluate
from hao.cost.memory import MIN_PIXEL_CHANNELS, RECORD_BYTES, ddr_cycles
from hao.cost.overheads import STAGE_DEPTH_CYCLES, START_CYCLES
from hao.engine.design import Design
from hao.engine.stages import DenseStage, Engine
from hao.errors import InfeasibleError
from hao.hw.board_file import load_board
from hao.ir.change import scheme_of
from hao.ir.layer import Conv, Input, Padding
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.tensor import Shape

DOCS = Path(__file__).resolve().parent.parent / "docs"


def table_row(page: str, first_cell: str) -> list[str]:
    """Return the cells of the first table row that begins with `first_cell`."""
    text = (DOCS / page).read_text(encoding="utf-8")
    line = next(x for x in text.splitlines() if x.startswith(f"| {first_cell} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_dpu_rows_of_the_page_are_regenerated() -> None:
    rows = dpu_compared()
    for row in rows.values():
        cells = table_row("validation.md", row.row.network)
        assert cells[1:6] == [
            f"{row.cost.latency_ms:.2f}",
            f"{row.fused_ms:.2f}",
            f"{row.at_ddr_ms[IDEAL_DDR_PERCENT]:.2f}",
            f"{row.cost.frame_ms:.2f}",
            f"{row.row.latency_ms:.2f}",
        ]
    text = (DOCS / "validation.md").read_text(encoding="utf-8")
    median = 100 * median_deviation(list(rows.values()))
    assert f"({median:.1f} % over the DPU's {len(rows)} rows" in text


def test_the_model_is_as_near_to_published_rows_as_is_said() -> None:
    rows = list(counted_rows().values())
    assert len(rows) == 9
    assert median_deviation(rows) <= 0.09
    found = left_out()
    assert [out.accelerator for out in found] == ["DPU", "MSD"]
    # The board's share of the DDR's peak lies between what each of the two says, and
    # serves either better than what the other one says.
    share = load_board("zu3eg").ddr_read_percent
    assert found[0].percent < share < found[1].percent
    for out in found:
        own = [row for row in rows if row.accelerator == out.accelerator]
        assert median_deviation(own) < min(out.deviation, out.ideal)
    assert sum(out.covered for out in found) >= 0.8 * len(rows)


def test_the_table_of_ratios_is_regenerated() -> None:
    path = DOCS.parent / "data" / "validated_latency.csv"
    assert path.read_text(encoding="utf-8") == render_table()


def test_msd_rows_of_the_page_are_regenerated() -> None:
    rows = msd_compared()
    for key in ("resnet-18", "resnet-50", "mobilenet-v2"):
        row = rows[f"wu2023msd_zu3eg_{key}"]
        cells = table_row("validation.md", row.row.network)
        assert cells[1] == f"{row.cost.latency_ms:.2f}"
        assert cells[4] == f"{row.fused_ms:.2f}"
        assert cells[7] == f"{row.cost.latency_ms / row.row.latency_ms:.2f}"


@pytest.mark.parametrize(
    "key", [key for key in dpu_networks() if key != "vai1.0_ultra96_mobileNet_v2"]
)
def test_networks_have_the_products_that_the_source_prints(key: str) -> None:
    gop = 2e-9 * dpu_networks()[key].macs
    assert gop == pytest.approx(load_rows()[key].workload_gop, rel=0.007)


def test_mobilenet_v2_has_nearly_the_products_that_the_source_prints() -> None:
    # The Caffe model prints 0.59 GOP, the paper's network has 0.60.
    gop = 2e-9 * dpu_networks()["vai1.0_ultra96_mobileNet_v2"].macs
    assert gop == pytest.approx(0.59, rel=0.02)


def test_late_strides_leave_all_shapes_of_the_last_group_alike() -> None:
    ends = [resnet50_v1(late_stride=late).layers[-1].ofm for late in (False, True)]
    assert ends[0] == ends[1] == Shape(channels=1000, height=1, width=1)


def test_configured_engines_have_the_published_rates() -> None:
    assert dpu().rate == 800
    assert msd(16, 13, 8).rate == 1664


def test_the_deepest_buffer_stays_within_the_published_block_ram() -> None:
    networks = list(dpu_networks().values())
    words = deepest_buffer(dpu(), networks)
    assert words is not None
    for factor, within in ((1, True), (2, False)):
        taken = [
            blocks_taken(sized_engine(dpu(), network, factor * words), dpu().board)
            for network in networks
        ]
        assert (max(taken) <= dpu().bram_18k) is within


def test_compare_refuses_block_ram_that_no_buffer_fits() -> None:
    with pytest.raises(InfeasibleError, match="no weight buffer fits"):
        compare(replace(dpu(), bram_18k=12), dpu_networks())


def test_compare_refuses_a_buffer_too_small_for_a_reduction() -> None:
    with pytest.raises(InfeasibleError, match=r"resnet18: some layer does not fit"):
        compare(msd(4, 52, 8), msd_networks())


def test_unpacked_cycles_by_hand() -> None:
    # 7x7, 3 channels on 10 inputs: 3 taps at once, 17 folds instead of 49. 112 rows of
    # 14 groups of 8 pixels, 7 groups of 10 channels: 112 * 14 * 7 * 32 = 351,232.
    network = dpu_networks()["vai1.0_ultra96_resnet18"]
    assert unpacked_cycles(dpu(), network) == 351_232


def test_interval_and_fabric_times_come_from_the_notes() -> None:
    rows = load_rows()
    assert rows["vai1.0_ultra96_resnet50"].interval_ms == pytest.approx(29.88, abs=0.01)
    assert rows["vai1.0_ultra96_mobileNet_v2"].interval_ms == 0
    assert rows["huang2021codenet_a"].conv_ms == pytest.approx(19.726)


def example() -> CostReport:
    """Return the cost of the worked example of docs/cost_model.md."""
    frame = Shape(channels=16, height=14, width=14)
    conv = Conv(
        name="conv",
        input="image",
        ifm=frame,
        ofm=Shape(channels=32, height=14, width=14),
        kernel=3,
        stride=1,
        padding=Padding(top=1, left=1, bottom=1, right=1),
    )
    network = Network(name="example", layers=(Input(name="image", ofm=frame), conv))
    stage = DenseStage(
        simd=8,
        pe=16,
        weight_bits=8,
        dsp_pairs=8,
        weight_words=72,
        feature_words=56,
        channel_words=4,
        pack_words=4,
        terms=144,
    )
    engine = Engine(
        dense=stage,
        depthwise=None,
        pointwise=None,
        px=2,
        act_bits=8,
        double_buffered=True,
        residual=False,
    )
    segments = tuple(s for s in partition(network).segments if s.invocation.dense)
    return evaluate(
        Design(
            network=network,
            scheme=scheme_of({"conv": 8}),
            engine=engine,
            segments=segments,
            board=load_board("zu3eg"),
        )
    )


def example_figure(label: str) -> int:
    """Return the figure that the page gives for one line of the example."""
    text = (DOCS / "cost_model.md").read_text(encoding="utf-8")
    section = text.partition("## A worked example")[2].partition("## Area")[0]
    found = re.search(rf"^ +{label} .*= +(\d+)(?: |$)", section, re.M)
    assert found, label
    return int(found[1])


def test_worked_example_equals_the_code() -> None:
    cost = example()
    (run,) = cost.invocations
    assert run.path_cycles["dense"] == example_figure("dense") == 3748
    assert run.path_cycles["ifm"] == example_figure("reader")
    assert run.path_cycles["ofm"] == example_figure("writer")
    assert cost.first_load_cycles == example_figure("weights")
    board = load_board("zu3eg")
    assert ddr_cycles(run.feature_bytes, board) == example_figure("DDR")
    text = (DOCS / "cost_model.md").read_text(encoding="utf-8")
    assert f"= {cost.latency_cycles} cycles = {1000 * cost.latency_ms:.2f} us" in text
    assert f"{100 * cost.efficiency:.0f} % of the multiplier cycles" in text
    assert f"= {cost.resources.dsp} DSP" in text
    assert f"= {cost.parts['dense'].bram_18k} BRAM18" in text


def test_constants_of_the_page_are_those_of_the_code() -> None:
    for name, value in (
        ("START_CYCLES", START_CYCLES),
        ("STAGE_DEPTH_CYCLES", STAGE_DEPTH_CYCLES),
        ("MIN_PIXEL_CHANNELS", MIN_PIXEL_CHANNELS),
        ("RECORD_BYTES", RECORD_BYTES),
    ):
        assert table_row("cost_model.md", f"`{name}`")[1] == str(value)
    board = load_board("zu3eg")
    share = table_row("cost_model.md", "DDR share of peak")[1]
    assert share == f"{board.ddr_read_percent} % on the ZU3EG"
    assert table_row("cost_model.md", "clock")[1] == f"{board.clock_mhz:.3f} MHz"
