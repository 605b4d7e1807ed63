"""A design in words: its bits, its stages with lanes, multipliers and buffers."""

from collections import Counter
from collections.abc import Sequence

from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.ir.change import passes_of

NAMED = 6
"""Layers, blocks or networks that a sentence names before it counts the rest (chosen
here)."""


def count_in_words(number: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def named_in_words(names: Sequence[str]) -> str:
    """Return names with commas between; behind the first few, how many more there are.

    Args:
        names: What there is, at least one.
    """
    more = len(names) - NAMED
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:NAMED]) + rest


def bits_in_words(design: Design) -> str:
    """Return how many layers have which weight bits, most bits first."""
    counts = Counter(design.weight_bits[n.name] for n in design.network.compute_layers)
    words = [
        f"{count_in_words(count, 'layer')} at {bits}"
        for bits, count in sorted(counts.items(), reverse=True)
    ]
    mean = ""
    if design.mean_bits:
        mean = f", {design.mean_bits:.2f} on average over the weights"
    twice = len(passes_of(design.scheme))
    if twice:
        mean += f", {count_in_words(twice, 'layer')} in two passes"
    return (
        f"weights: {', '.join(words) or 'none'} bits{mean}; activations: "
        f"{design.engine.act_bits}"
    )


def engine_in_words(engine: Engine) -> dict[str, str | None]:
    """Return one line per stage, `None` where the engine lacks it."""
    dense, pointwise = engine.dense, engine.pointwise
    return {
        "dense": None if dense is None else _dense_words(dense, engine, "ring"),
        "depthwise": None
        if engine.depthwise is None
        else _depthwise_words(engine.depthwise, engine),
        "pointwise": None
        if pointwise is None
        else _dense_words(pointwise, engine, "pixels"),
    }


def _dense_words(stage: DenseStage, engine: Engine, feature: str) -> str:
    lane = stage.simd * engine.px
    on_dsp = 2 * stage.dsp_pairs * lane
    weight_bits = stage.weight_words * stage.pe * stage.simd * stage.weight_bits
    feature_bits = engine.px * stage.feature_words * stage.simd * engine.act_bits
    return (
        f"{stage.pe} lanes x {stage.simd} x {engine.px} px; "
        f"{_split(on_dsp, stage.pe * lane - on_dsp)}; "
        f"{stage.weight_bits} bits; {_kib(weight_bits)} weights"
        f"{' in URAM' if stage.weights_in_uram else ''}, {_kib(feature_bits)} {feature}"
    )


def _depthwise_words(stage: DepthwiseStage, engine: Engine) -> str:
    words = engine.px * stage.rows * stage.row_words
    ring = f"{_kib(words * stage.pe * engine.act_bits)} rows"
    lanes = f"{stage.pe} lanes x {stage.taps} taps x {engine.px} px"
    if not stage.convolves:
        return f"{lanes}; pools only; {ring}"
    lane = stage.taps * engine.px
    split = _split(stage.dsp_lanes * lane, (stage.pe - stage.dsp_lanes) * lane)
    weights = stage.weight_words * stage.pe * stage.taps * stage.weight_bits
    pools = ", pools too" if stage.pools else ""
    return (
        f"{lanes}{pools}; {split}; {stage.weight_bits} bits; "
        f"{_kib(weights)} weights, {ring}"
    )


def _split(on_dsp: int, on_lut: int) -> str:
    return f"{on_dsp + on_lut} multipliers ({on_dsp} in DSP slices, {on_lut} in LUTs)"


def _kib(bits: int) -> str:
    return f"{bits / 8192:.1f} KiB"


def start_in_words(frames: int) -> str:
    """Return what one start of the engine computes."""
    return "a frame" if frames == 1 else f"a start of {frames} frames"
