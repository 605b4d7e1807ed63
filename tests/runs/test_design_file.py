"""Design files: the same result comes back, and a wrong file is refused in one line."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hao.accuracy.drops import Evidence
from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.errors import HaoError, InputError, UnsupportedError
from hao.hw.board import DspType, Frames
from hao.hw.resources import Resources
from hao.ir.change import Bits, Channels, Replace, scheme_of
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Affine,
    Input,
)
from hao.ir.network import Network
from hao.ir.partition import Segment, partition
from hao.ir.passes import run_in_passes
from hao.report.result import SearchResult
from hao.report.words import bits_in_words
from hao.runs.design_file import load_design, render_design
from hao.zoo import build_network
from tests.cost.samples import conv, shape
from tests.hw.samples import BOARD as SAMPLE
from tests.report.samples import longest_segments, small_result

# Any: the values of a JSON file, which the tests spoil at will.
Document = dict[str, Any]
RESULT = small_result()
TEXT = render_design(RESULT)
CUSTOM = replace(
    SAMPLE,
    name="mine",
    title="My board \u2014 \u00e9",
    device="XC7Z999",
    part="xc7z999-1",
    clock_khz=123_456,
    resources=Resources(dsp=111, bram_18k=222, uram=3, lut=99_999, ff=88_888),
    cap_percent=Resources(dsp=91, bram_18k=92, uram=93, lut=94, ff=95),
    lutram=777,
    dsp_type=DspType.DSP48E1,
    ddr_peak_kbytes_per_s=1_234_567,
    ddr_read_percent=71,
    ddr_write_percent=71,
    ddr_burst_bytes=16,
    ports=3,
    port_bytes=8,
    port_max_khz=150_000,
    host_call_us=77,
    frames=Frames.BACK_TO_BACK,
    sources={"clock.khz": "measured here"},
)


def spoiled(tmp_path: Path, change: Callable[[Document], object]) -> Path:
    document = copy.deepcopy(json.loads(TEXT))
    change(document)
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(document))
    return path


def reopened(text: str, tmp_path: Path) -> SearchResult:
    path = tmp_path / "some.json"
    path.write_text(text)
    return load_design(path)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    again = reopened(TEXT, tmp_path)
    assert again == RESULT
    assert render_design(again) == TEXT


def test_unknown_accuracy_and_no_front_come_back(tmp_path: Path) -> None:
    result = replace(
        small_result(front=False),
        float_top1=None,
        float_source="",
        accuracy=None,
        evidence=Evidence.NONE,
        fps_asked=None,
        objective=Objective.LATENCY,
    )
    assert reopened(render_design(result), tmp_path) == result


def test_a_board_that_no_file_describes_comes_back(tmp_path: Path) -> None:
    design = replace(RESULT.design, board=CUSTOM)
    result = replace(RESULT, design=design, cost=evaluate(design))
    again = reopened(render_design(result), tmp_path)
    assert again == result
    assert again.design.board.sources == CUSTOM.sources


def test_layers_that_stand_alone_come_back(tmp_path: Path) -> None:
    layers = RESULT.design.network.layers
    last = layers[-1]
    affine = Affine(name="a", input=last.name, ifm=last.ofm, ofm=last.ofm)
    alone = Activation(
        name="b", input="a", ifm=last.ofm, ofm=last.ofm, kind=ActivationKind.RELU
    )
    network = Network(name="n", layers=(*layers, affine, alone))
    design = replace(RESULT.design, network=network, segments=longest_segments(network))
    result = replace(RESULT, design=design, cost=evaluate(design))
    assert reopened(render_design(result), tmp_path) == result


def _with_replaced() -> SearchResult:
    """Return the result as if the last two layers stood in a block's place."""
    layers = RESULT.design.network.layers[-2:]
    change = Replace(operation="separable", layers=layers, weight_bits=4)
    scheme = {**RESULT.design.scheme, "block1": change}
    return replace(RESULT, design=replace(RESULT.design, scheme=scheme))


def test_blocks_that_were_replaced_come_back(tmp_path: Path) -> None:
    result = _with_replaced()
    assert reopened(render_design(result), tmp_path) == result


def test_layers_in_place_of_a_block_are_the_networks(tmp_path: Path) -> None:
    document = json.loads(render_design(_with_replaced()))
    document["replaced"]["block1"]["layers"] = ["nobody"]
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(document))
    with pytest.raises(
        InputError, match=r"replaced\.block1: 'nobody' is no layer of the network"
    ):
        load_design(path)


def test_parameters_are_not_kept(tmp_path: Path) -> None:
    network = RESULT.design.network
    with_params = replace(network, params={"stem.bias": np.zeros(8)})
    result = replace(RESULT, design=replace(RESULT.design, network=with_params))
    assert render_design(result) == TEXT
    assert reopened(render_design(result), tmp_path).design.network == network


@pytest.mark.parametrize("name", ["mobilenet_v2_100", "resnet18"])
def test_networks_of_the_zoo_come_back(name: str, tmp_path: Path) -> None:
    # Only the network: an engine that fits it is the search's business.
    document = json.loads(TEXT)
    network = build_network(name, 64)
    result = replace(
        RESULT,
        image_size=64,
        design=replace(
            RESULT.design,
            network=network,
            scheme=scheme_of({layer.name: 8 for layer in network.compute_layers}),
            segments=longest_segments(network),
        ),
    )
    engine = document["engine"]
    for stage, words in (("dense", 30_000), ("pointwise", 30_000)):
        engine[stage] |= {"weight_words": words, "feature_words": 4000, "terms": 9999}
        engine[stage] |= {"channel_words": 9000, "pack_words": 9000, "weight_bits": 8}
    engine["depthwise"] |= {"weight_words": 9000, "row_words": 9000, "groups": 500}
    engine["depthwise"] |= {"rows": 8, "kernel": 7, "weight_bits": 8}
    engine["depthwise"] |= {"channel_words": 9000, "pack_words": 9000}
    engine["pool_words"] = 500
    path = tmp_path / "zoo.json"
    path.write_text(json.dumps({**json.loads(render_design(result)), "engine": engine}))
    again = load_design(path, check=False)
    assert again.design.network == network
    assert again.design.segments == longest_segments(network)


def test_channels_that_stay_come_back_as_ranges(tmp_path: Path) -> None:
    kept = Channels((0, 1, 2, 5, 7))
    scheme = {**RESULT.design.scheme, "stem.channels": kept}
    result = replace(RESULT, design=replace(RESULT.design, scheme=scheme))
    assert json.loads(render_design(result))["channels"] == {"stem.channels": "0-2,5,7"}
    assert reopened(render_design(result), tmp_path) == result


def test_neither_time_nor_place_is_in_the_file(tmp_path: Path) -> None:
    assert render_design(replace(RESULT, run=tmp_path / "run")) == TEXT


def test_the_keys_of_the_schema_are_those_of_version_4() -> None:
    # A change here changes the format: SCHEMA in design_schema must be raised with it.
    document = json.loads(TEXT)
    assert document["schema"] == "hao.design/5"
    assert list(document) == [
        *("schema", "hao", "objective", "fps_asked", "margin_percent", "image_size"),
        *(
            "float_top1",
            "float_source",
            "accuracy",
            "evidence",
            "out_of_range",
            "basis",
            "stance",
            "proof",
            "cost",
        ),
        *("board", "engine", "scheme", "left_out", "channels", "replaced"),
        *("block_points", "segments", "front", "network"),
    ]
    assert list(document["board"]) == [
        *("name", "title", "device", "part", "clock_khz", "resources", "cap_percent"),
        *("lutram", "dsp_type", "ddr_peak_kbytes_per_s", "ddr_read_percent"),
        *("ddr_write_percent", "ddr_burst_bytes"),
        *("ports", "port_bytes", "port_max_khz", "host_call_us", "frames", "batch"),
        *("most_start_us", "sourced_khz", "idle_mw", "budget"),
        "calibration",
        "sources",
    ]
    assert list(document["engine"]) == [
        *("dense", "depthwise", "pointwise", "px", "act_bits", "double_buffered"),
        *("residual", "pool_words", "wide_mean"),
    ]
    assert list(document["engine"]["dense"]) == [
        *("simd", "pe", "weight_bits", "dsp_pairs", "weight_words", "feature_words"),
        *("channel_words", "pack_words", "terms", "passes", "skips", "multiplies"),
        *("turns", "evens", "wide", "weights_in_uram"),
    ]
    assert list(document["engine"]["depthwise"]) == [
        *("pe", "taps", "weight_bits", "dsp_lanes", "weight_words", "row_words"),
        *("groups", "channel_words", "pack_words", "rows", "kernel", "pools"),
        *("convolves", "multiplies", "turns", "evens", "wide", "mean_bits"),
    ]
    assert list(document["proof"]) == [
        *("status", "gap", "solver", "variables", "constraints", "nodes", "priced"),
        *("candidates", "solved", "open", "bound", "solver_reason"),
    ]
    assert document["network"]["layers"][1] == {
        "type": "conv",
        "name": "stem",
        "input": "image",
        "ifm": {"channels": 3, "height": 16, "width": 16},
        "ofm": {"channels": 8, "height": 8, "width": 8},
        "kernel": 3,
        "stride": 2,
        "padding": {"top": 1, "left": 1, "bottom": 1, "right": 1},
        "activation": "relu6",
        "bias": True,
        "weight": None,
        "passes": 1,
        "planes": 1,
        "density": 100,
        "multiplied": False,
        "evens": False,
        "wide": False,
    }


def test_a_file_without_a_key_that_has_a_default_in_the_core_type_is_refused(
    tmp_path: Path,
) -> None:
    path = spoiled(tmp_path, lambda d: d["engine"]["dense"].pop("evens"))
    with pytest.raises(InputError, match=r"engine\.dense\.evens is missing: the file"):
        load_design(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.update(schema="hao.design/1", hao="0.0.9"),
            r"schema = 'hao.design/1', written by hao 0\.0\.9; hao \S+ reads",
        ),
        (
            lambda d: [d.pop("schema"), d.pop("hao")],
            r"schema = None; hao \S+ reads 'hao.design/5': write the file an",
        ),
        (lambda d: d.pop("hao"), r"hao is missing"),
        (lambda d: d.pop("engine"), r": engine is missing"),
        (lambda d: d.update(extra=1), r": extra: unknown key"),
        (lambda d: d.update(proof=3), r"proof = 3; must be an object"),
        (lambda d: d.update(fps_asked=0), r"fps_asked = 0; must be greater than 0"),
        (lambda d: d.update(evidence="x"), r"evidence = 'x'; must be 'measured'"),
        (lambda d: d.update(image_size=8), r"image_size = 8; must be 16, the width"),
        (lambda d: d.update(accuracy=None), r"must be both known or both null"),
        (
            lambda d: d["accuracy"].update(low=float("nan")),
            r"accuracy.low = nan; must be a finite number",
        ),
        (
            lambda d: d["accuracy"].update(low=71.0),
            r"accuracy: low 71, mean 70.25, high 70.75; must be in this order",
        ),
        (
            lambda d: d["front"][1].update(power_mw=0),
            r"front\[1\].power_mw = 0; must be at least 1",
        ),
        (lambda d: d["front"][1].pop("fps"), r"front\[1\].fps is missing"),
        (lambda d: d["board"].update(idle_mw=0), r"idle_mw = 0; must be at least 1"),
        (lambda d: d["front"][1].update(fps=0.0), r"front\[1\]: fps 0, latency_ms"),
        (lambda d: d["scheme"].update(stem=9), r"scheme.stem = 9; must be less than"),
        (lambda d: d["scheme"].update(x=8), r"scheme: 'x' is no layer"),
        (lambda d: d["scheme"].pop("stem"), r"scheme: layer 'stem' is missing"),
        (
            lambda d: d["board"].update(ports="4"),
            r"board.ports = '4'; must be a valid integer",
        ),
        (
            lambda d: d["board"]["resources"].pop("uram"),
            r"board.resources.uram is missing",
        ),
        (lambda d: d["engine"].update(px=0), r"engine: px = 0; must be at least 1"),
        (
            lambda d: d["engine"]["dense"].update(pe=10**7),
            r"engine.dense.pe = 10000000; must be at most 1000000",
        ),
        (
            lambda d: d["segments"][0].update(dense="head"),
            r"segments\[0\]: positions 0 to 0 with dense 'head'; must be a segment",
        ),
        (lambda d: d["segments"].pop(), r"segments end with 'average'; must end"),
        (lambda d: d["segments"].clear(), r"segments = \[\]; must be|segments = \[\]"),
        (
            lambda d: d["network"]["layers"][1].update(type="gemm"),
            r"network.layers\[1\].type = 'gemm'; must be one of input, conv",
        ),
        (
            lambda d: d["network"]["layers"][1].pop("type"),
            r"network.layers\[1\].type is missing",
        ),
        (
            lambda d: d["network"]["layers"][1].pop("bias"),
            r"network.layers\[1\].bias is missing",
        ),
        (
            lambda d: d["network"]["layers"][1].update(kernel=5),
            r"network.layers\[1\]: layer 'stem': OFM",
        ),
        (
            lambda d: d["network"].update(name="n" * 5000),
            r"network.name has 5000 characters; must have at most 4000",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    change: Callable[[Document], object], message: str, tmp_path: Path
) -> None:
    path = spoiled(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        load_design(path, check=False)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_network_too_large_to_price_is_refused(tmp_path: Path) -> None:
    # 10^6 pixels, 10^3 to 10^6 channels: 10^15 MACs.
    image = Input(name="i", ofm=shape(1000, 1000, 1000))
    network = Network(name="big", layers=(image, conv(image.ofm, 10**6, 1, source="i")))
    design = replace(
        RESULT.design,
        network=network,
        scheme=scheme_of({"conv": 8}),
        segments=longest_segments(network),
    )
    path = tmp_path / "big.json"
    path.write_text(render_design(replace(RESULT, design=design, image_size=1000)))
    with pytest.raises(InputError, match=r"'big': 10{15} MACs; must be at most 10{14}"):
        load_design(path, check=False)


def test_a_layer_that_the_engine_cannot_run_keeps_its_error(tmp_path: Path) -> None:
    def widen(document: Document) -> None:
        stem = document["network"]["layers"][1]
        stem["kernel"] = 9
        stem["padding"] = {"top": 4, "left": 4, "bottom": 4, "right": 4}

    path = spoiled(tmp_path, widen)
    with pytest.raises(UnsupportedError, match=r"edited.json: layer 'stem': kernel 9"):
        load_design(path)


def test_an_edited_design_is_refused_unless_it_is_to_be_priced(tmp_path: Path) -> None:
    path = spoiled(tmp_path, lambda d: d["engine"].update(px=4))
    with pytest.raises(InputError, match=r"cost.latency_cycles = 1\d+, but the design"):
        load_design(path)
    priced = load_design(path, check=False)
    assert priced.cost == evaluate(priced.design)
    assert priced.cost.multipliers == 2 * RESULT.cost.multipliers


def test_an_edited_record_of_resources_is_refused(tmp_path: Path) -> None:
    path = spoiled(tmp_path, lambda d: d["cost"]["resources"].update(lut=1))
    with pytest.raises(InputError, match=r"lut = 1, but .* hao .* priced it otherwise"):
        load_design(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"x\.json is not valid JSON: .*; bring back the whole file"),
        (b"", r"not valid JSON"),
        (b"[1]", r"must be a JSON object"),
        (b"\xff{}", r"byte 0 is not UTF-8"),
        (b'{"a": 1, "a": 2}', r"key 'a' occurs twice in one table"),
        (b"[" * 100_000, r"not valid JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", r"not valid JSON"),
        (
            b'{"schema": "hao.design/5", "hao": "0", "x": '
            + b"[" * 50
            + b"]" * 50
            + b"}",
            r"nested deeper than 20",
        ),
    ],
)
def test_what_is_no_design_file_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_design(path)


def test_a_missing_file_and_an_empty_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.json: no such file"):
        load_design(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"no design.json in it"):
        load_design(tmp_path)


def test_a_file_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hao.runs.design_file.MAX_FILE_BYTES", 100)
    with pytest.raises(InputError, match=r"more than 100 bytes"):
        reopened(TEXT, tmp_path)


def leaves(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    below = [path for key, item in items for path in leaves(item, (*at, key))]
    return [at, *below]


def test_no_change_of_a_value_raises_anything_but_an_error_of_hao(
    tmp_path: Path,
) -> None:
    document = json.loads(TEXT)
    paths = [path for path in leaves(document) if path]
    rng = np.random.default_rng(0)
    values = [0, -1, 1, 10**6, 2**63, 10**30, 1e300, "x", "", None, [], {}, True]
    messages = []
    for _ in range(400):
        spoilt = copy.deepcopy(document)
        path = paths[int(rng.integers(len(paths)))]
        holder: Any = spoilt
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = values[int(rng.integers(len(values)))]
        file = tmp_path / "fuzz.json"
        file.write_text(json.dumps(spoilt))
        try:
            load_design(file, check=False)
        except HaoError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert not any("\n" in message for message in messages)


def test_layers_in_two_passes_come_back(tmp_path: Path) -> None:
    design = RESULT.design
    dense = design.engine.dense
    assert dense is not None
    network = run_in_passes(design.network, {"stem": 2})
    engine = replace(
        design.engine,
        dense=replace(dense, passes=2, terms=dense.terms << 4, weight_words=9000),
    )
    changed = replace(
        design,
        network=network,
        scheme={**design.scheme, "stem": Bits(weight_bits=8, passes=2)},
        engine=engine,
        segments=tuple(
            next(s for s in partition(network).segments if same(s, segment))
            for segment in design.segments
        ),
    )
    path = tmp_path / "design.json"
    path.write_text(
        render_design(replace(RESULT, design=changed, cost=evaluate(changed)))
    )
    again = load_design(path)
    assert again.design == changed
    assert "1 layer in two passes" in bits_in_words(again.design)
    with pytest.raises(
        InputError, match="'stem': weights in 2 passes; the scheme says 1"
    ):
        replace(changed, scheme=design.scheme)


def same(one: Segment, other: Segment) -> bool:
    """Return whether two segments run the same layers on the same stages."""
    names = [
        [(role, layer.name) for role, layer in s.invocation.stages]
        for s in (one, other)
    ]
    return names[0] == names[1] and one.start == other.start
