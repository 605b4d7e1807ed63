"""Tables: the figures of the result, within the width, safe to print; and as JSON."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.hw.resources import Resources
from hao.ir.change import Channels, LeaveOut
from hao.program.solver import Status
from hao.report.goal import smallest_in_words, unproven_in_words
from hao.report.result import SearchResult
from hao.report.tables import (
    render_front,
    render_invocations,
    render_summary,
    result_json,
)
from hao.report.words import bits_in_words, engine_in_words
from hao.text import WIDTH, clipped, plain
from tests.report.samples import point, small_result

RESULT = small_result()


def renamed(result: SearchResult, extra: str) -> SearchResult:
    """Return the result with `extra` in the name of every invocation and network."""
    costs = tuple(
        replace(item, name=item.name + extra, period_cycles=10**9)
        for item in result.cost.invocations
    )
    network = replace(result.design.network, name=f"net{extra}")
    return replace(
        result,
        design=replace(result.design, network=network),
        cost=replace(result.cost, invocations=costs),
        front=tuple(replace(p, network=p.network + extra) for p in result.front),
        float_source=f"source {extra}",
    )


def all_tables(result: SearchResult) -> str:
    return (
        render_summary(result) + render_invocations(result) + render_front(result.front)
    )


def test_no_line_is_wider_than_the_page() -> None:
    for result in (RESULT, renamed(RESULT, ".very_long" * 20)):
        for line in all_tables(result).splitlines():
            if not line.startswith("net"):
                assert len(line) <= WIDTH, line


def test_control_characters_of_names_never_reach_the_terminal() -> None:
    text = all_tables(renamed(RESULT, "\x1b[2J\r\x07"))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\x07" not in text


def test_a_result_prints_as_its_summary() -> None:
    result = small_result()
    assert repr(result) == str(result) == render_summary(result)


def test_the_summary_says_what_the_result_holds() -> None:
    text = render_summary(RESULT)
    cost, power = RESULT.cost, RESULT.power
    assert power is not None
    for part in (
        "small@16 on Ultra96-V2",
        "70.25 % (predicted; 90 % interval 68.50 to 70.75; ranked as 70.00 %, the mean "
        "less what results fall short of it on average)",
        "5 published results of its family (3 networks, 1 source) for post-training "
        "quantization to 4-bit weights and 8-bit activations (or fewer); none of this "
        "network; outside the measured bits",
        "71.50 % (somebody: a table)",
        f"{cost.fps:.1f} frames/s",
        f"{power.total_mw / 1000:.1f} W of the board (coarse estimate, ",
        f"{power.low_mw / 1000:.1f} to {power.high_mw / 1000:.1f} W: 4.3 idle, ",
        f"; {1000 * cost.fps / power.total_mw:.1f} frames/s per watt",
        "asked 50",
        # 8: stem, head. 6: middle. 4: expand, reduce, last.
        "2 layers at 8, 1 layer at 6, 3 layers at 4 bits",
        # 8 lanes x 3 x 2 px; two pairs of the lanes on DSPs.
        "48 multipliers (24 in DSP slices, 24 in LUTs)",
        # 8 lanes x 9 taps x 2 px; 3 of the 8 lanes on DSPs.
        "144 multipliers (54 in DSP slices, 90 in LUTs)",
        "stopped at the work limit, gap 1.25 %",
        "highs: 310 variables, 150 constraints, 17 nodes",
        "1234 engines priced; 9 networks, 3 solved",
    ):
        assert part in " ".join(text.split()), part
    assert "DOES NOT FIT" not in text


def test_an_optimal_design_without_known_accuracy_says_so() -> None:
    proof = replace(RESULT.proof, status=Status.OPTIMAL, gap=0.0)
    text = render_summary(replace(RESULT, proof=proof, accuracy=None, float_top1=None))
    assert "top-1        unknown" in text
    assert "optimal (highs" in text


def test_a_proof_heads_nothing_and_its_lack_heads_the_answer() -> None:
    proof = replace(RESULT.proof, status=Status.OPTIMAL, gap=0.0, bound=-70_000_000)
    assert render_summary(replace(RESULT, proof=proof)).startswith("small@16 on ")
    proof = replace(proof, status=Status.LIMIT, gap=0.0125, open=("big@32",))
    first = " ".join(render_summary(replace(RESULT, proof=proof)).split())
    assert first.startswith(
        "NOT PROVEN a better design is not excluded: none leaves more than 70.00 % "
        "top-1, as the search ranks it, gap 1.25 %; not searched to the "
        "end: big@32 small@16 on "
    )


@pytest.mark.parametrize(
    ("objective", "bound", "words"),
    [
        # 1000 cycles at 214,285 kHz are 4.67 us; the host takes 500.
        (Objective.LATENCY, 1000, "none makes more than 1981.5 frames/s"),
        (Objective.FPS, 0, "none makes more than any rate"),
        (Objective.AREA, 123_000_000, "none takes less than 12.3 %"),
        # 2 million fJ in each of 214,285,000 cycles: 0.43 W.
        (Objective.POWER, 2_000_000, "none takes less than 0.43 W"),
        (Objective.POWER, None, "its bound is not recorded"),
    ],
)
def test_the_bound_is_in_the_unit_of_the_objective(
    objective: Objective, bound: int | None, words: str
) -> None:
    proof = replace(RESULT.proof, bound=bound)
    text = unproven_in_words(replace(RESULT, proof=proof, objective=objective))
    assert text == f"a better design is not excluded: {words}, gap 1.25 %"


def test_what_was_made_least_is_said_with_its_amount() -> None:
    used, device = RESULT.cost.resources, RESULT.design.board.resources
    share = used.lut / device.lut + used.ff / device.ff
    share += used.dsp / device.dsp + used.bram_18k / device.bram_18k
    area = smallest_in_words(replace(RESULT, objective=Objective.AREA))
    assert area is not None
    assert area.startswith(f"{100 * share:.1f} %: shares of the device")
    power = smallest_in_words(replace(RESULT, objective=Objective.POWER))
    assert power is not None
    assert "W for clock tree and blocks if all switch in every cycle" in power
    assert smallest_in_words(RESULT) is None
    text = render_summary(replace(RESULT, objective=Objective.AREA))
    assert f"made least   {100 * share:.1f} %" in text


def test_channels_that_stay_are_named_with_their_group() -> None:
    scheme = {**RESULT.design.scheme, "stem.channels": Channels((0, 2, 5))}
    result = replace(RESULT, design=replace(RESULT.design, scheme=scheme))
    assert "channels     stem 3\n" in render_summary(result)
    assert "channels  " not in render_summary(RESULT)
    assert result_json(result, seconds=0)["channels"] == {"stem.channels": 3}


def test_blocks_left_out_are_named_with_the_figure_that_was_given() -> None:
    scheme = {**RESULT.design.scheme, "a.add": LeaveOut(), "b.add": LeaveOut()}
    design = replace(RESULT.design, scheme=scheme)
    result = replace(RESULT, design=design, block_points=1.5)
    text = " ".join(render_summary(result).split())
    assert "left out a.add, b.add (2 blocks, at 1.5 points each as given)" in text
    assert "; for blocks left out, on the points that were given for each" in text
    values = result_json(result, seconds=0)
    assert (values["left_out"], values["block_points"]) == (["a.add", "b.add"], 1.5)
    assert "left out" not in render_summary(replace(RESULT, block_points=1.5))


def test_the_proof_says_why_gurobi_did_not_solve() -> None:
    proof = replace(RESULT.proof, solver_reason="gurobipy is not installed")
    text = " ".join(render_summary(replace(RESULT, proof=proof)).split())
    assert "17 nodes; not gurobi: gurobipy is not installed)" in text


def test_what_exceeds_the_board_is_named() -> None:
    usable = RESULT.design.board.usable
    over = replace(RESULT.cost, parts={}, resources=usable + Resources(dsp=7))
    assert "DOES NOT FIT: 7 DSP more than usable" in render_summary(
        replace(RESULT, cost=over)
    )


def test_stages_that_the_engine_lacks_are_absent() -> None:
    engine = replace(RESULT.design.engine, depthwise=None)
    assert engine_in_words(engine)["depthwise"] is None
    pooling = RESULT.design.engine.depthwise
    assert pooling is not None
    engine = replace(engine, depthwise=replace(pooling, convolves=False))
    assert "pools only" in str(engine_in_words(engine)["depthwise"])


def test_mean_bits_weigh_every_layer_by_its_weights() -> None:
    # stem 8*27, expand 16*8, middle 16*9, reduce 8*16, last 12*8, head 10*12 weights.
    mean = (8 * (216 + 120) + 6 * 144 + 4 * (128 + 128 + 96)) / 832
    assert f"{mean:.2f} on average" in bits_in_words(RESULT.design)


def test_the_table_of_invocations_has_a_line_for_each() -> None:
    lines = render_invocations(RESULT).splitlines()
    body = lines[2 : 2 + len(RESULT.cost.invocations)]
    for line, item in zip(body, RESULT.cost.invocations, strict=True):
        cells = line.split()
        assert cells[0] == item.name
        assert int(cells[3]) == item.period_cycles
        assert cells[-1] == item.binding
        share = item.macs / (item.period_cycles * RESULT.cost.multipliers)
        assert int(cells[-2]) == round(100 * share)


def test_power_that_is_not_estimated_says_why() -> None:
    result = small_result(board="zcu104")
    text = render_summary(result)
    assert "power        not estimated: the board file gives no idle power" in text
    values = result_json(result, seconds=0)
    assert (values["power"], values["fps_per_watt"]) == (None, None)


def test_the_front_has_frames_per_second_per_watt() -> None:
    # 40 frames/s at 5 W.
    known, unknown = point(40, 70.0), replace(point(40, 70.0), power_mw=None)
    lines = render_front([known, unknown]).splitlines()
    assert lines[0].split()[-5:] == ["fps/W", "bits", "rests", "on", "proof"]
    assert lines[2].split()[-5:] == ["25.00", "8.0", "5.50", "family", "optimal"]
    assert lines[3].split()[-5:] == ["25.00", "-", "5.50", "family", "optimal"]
    assert lines[2].split()[-7] == "69.75"


def test_a_front_without_accuracy_says_unknown() -> None:
    assert "unknown" in render_front([point(40, None)])


def test_json_holds_plain_values_that_equal_the_cost() -> None:
    result = replace(RESULT, run=Path("runs/a"))
    values = result_json(result, seconds=1.23456)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    cost = evaluate(result.design)
    kinds = cost.resources.as_dict()
    assert values["resources"] == {
        k: kinds[k] for k in ("dsp", "bram_18k", "uram", "lut", "ff")
    }
    assert values["utilisation"] == result.utilisation
    assert values["bits"] == {"4": 3, "6": 1, "8": 2}
    assert values["fps"] == round(cost.fps, 4)
    power = result.power
    assert power is not None
    assert values["power"] == {
        "total_mw": power.total_mw,
        "low_mw": power.low_mw,
        "high_mw": power.high_mw,
        **asdict(power),
    }
    assert values["fps_per_watt"] == round(1000 * cost.fps / power.total_mw, 4)
    expected = {
        "network": "small",
        "image_size": 16,
        "top1": 70.25,
        "top1_low": 68.5,
        "top1_high": 70.75,
        "float_top1": 71.5,
        "evidence": "family",
        "recipe": "ptq",
        "stance": "cautious",
        "top1_ranked": 70.0,
        "results_of_network": 0,
        "results_of_family": 5,
        "out_of_range": True,
        "board": "zu3eg",
        "clock_mhz": 214.285,
        "status": "limit",
        "gap": 0.0125,
        "solver": "highs",
        "objective": "accuracy",
        "bottleneck": "ofm",
        "fits": True,
        "seconds": 1.235,
        "run": "runs/a",
    }
    assert {key: values[key] for key in expected} == expected


def test_json_holds_null_for_what_is_unknown() -> None:
    result = replace(RESULT, accuracy=None, float_top1=None, fps_asked=None)
    values = result_json(result, seconds=0)
    keys = ("top1", "top1_low", "top1_high", "float_top1", "fps_asked", "run")
    assert [values[key] for key in keys] == [None] * 6


def test_clipped_keeps_both_ends() -> None:
    assert clipped("abcdefghij", 10) == "abcdefghij"
    assert clipped("abcdefghijk", 8) == "abc..ijk"
    assert plain("a\tb") == "a?b"


def test_resources_say_how_far_they_may_be_off() -> None:
    lines = {
        line.split()[0]: line for line in render_summary(RESULT).splitlines() if line
    }
    for kind in ("LUT", "FF"):
        assert lines[kind].endswith("+-15 %")
    for kind in ("DSP", "BRAM18"):
        assert lines[kind].endswith("by rule")
