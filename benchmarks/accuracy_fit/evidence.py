"""Which published results say what the accelerator would lose, and how much?

The accelerator runs integer weights and integer activations of every layer. An engineer
takes the better of a few settings of one recipe. So a *reference drop* is what a source
lost on one checkpoint of a network with its best comparable setting of one recipe at
given bits; checkpoints (told apart by their float accuracy, to a tenth of a point),
recipes (post-training or trained), the rounding of a post-training recipe below 8 bits
and scales that are powers of two are kept apart, since they explain what is lost.
A row is comparable unless a stated rule excludes it:

1. bits or float accuracy are unknown, bits outside 2 to 8, or layers differ in bits;
2. vision transformers;
3. levels that are not equally spaced (no integer array runs them);
4. one scale per tensor in a depthwise network after training: the well-known collapse
   that scales per channel remove;
5. of the exhaustive Brevitas sweep, everything but the back end that quantizes every
   feature map (`generic`) with scales per channel: its other rows measure other
   hardware;
6. networks with gates or smooth activation functions (squeeze-and-excite, swish),
   which the engine does not run and which quantize worse;
7. post-training results more than half a point above the float accuracy: no rounding
   gains that, so the two were not measured alike (in neural-compressor's table of
   frozen TensorFlow graphs 13 rows gain 0.7 to 1.8 points, in its table of the same
   networks with another runtime none does).

Fine-tuning without labels counts as training, whatever the source calls it: it runs
gradient descent on the weights (Hailo's RepVGG).

Of the sweep, the recipe taken is the one that the predictor, fitted to the other
folds, expects to be best: the best of dozens of measured ones would reward luck. Of
any other source it is the best measured one, since a few deliberate algorithms are no
sweep and the features do not tell them apart.
"""

from collections.abc import Sequence

from benchmarks.accuracy_fit.features import configuration_groups, is_usable
from benchmarks.accuracy_fit.measured import (
    Granularity,
    QuantRow,
    Scale,
    WeightMethod,
    WeightRounding,
)
from benchmarks.accuracy_fit.predictor import TREES, fold_numbers, predict_held_out
from hao.accuracy.published import FloatRow, Precision
from hao.accuracy.reference import Reference
from hao.accuracy.terms import QuantSetting, Recipe
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.zoo import zoo_name

LARGEST_GAIN = 0.5
"""Most that post-training quantization may gain to be believed [points] (rule 7)."""

_ZOO_SPELLING: dict[str, tuple[str, str]] = {
    "cf_mobilenetv2": ("mobilenet_v2", "1.0"),
    "cf_resnet18": ("resnet18", ""),
    "cf_resnet50": ("resnet50", ""),
    "mobilenet_v1": ("mobilenet_v1", "1.0"),
    "mobilenet_v2": ("mobilenet_v2", "1.0"),
    "pt_resnet50": ("resnet50", ""),
    "resnet18_pt2e": ("resnet18", ""),
    "resnet50_v1": ("resnet50", ""),
    "resnet50_v1.0": ("resnet50", ""),
    "resnet50_v1.5": ("resnet50", ""),
    "resnet50_v1.5_mlperf": ("resnet50", ""),
    "resnet_v1_50": ("resnet50", ""),
    "resnet_v1p5_50": ("resnet50", ""),
    "tf2_efficientnet_lite": ("tf_efficientnet_lite0", ""),
    "tf2_mobilenet_v2": ("mobilenet_v2", "1.0"),
    "tf2_mobilenetv1": ("mobilenet_v1", "1.0"),
    "tf2_resnet50": ("resnet50", ""),
    "tf_mlperf_resnet50": ("resnet50", ""),
    "tf_mobilenetv1_0.25": ("mobilenet_v1", "0.25"),
    "tf_mobilenetv1_0.5": ("mobilenet_v1", "0.50"),
    "tf_mobilenetv1_1.0": ("mobilenet_v1", "1.0"),
    "tf_mobilenetv2_1.0": ("mobilenet_v2", "1.0"),
    "tf_mobilenetv2_1.4": ("mobilenet_v2", "1.4"),
    "tf_resnet50": ("resnet50", ""),
    "tf_resnetv1_50": ("resnet50", ""),
    "tf_vgg16": ("vgg16", ""),
    "tf_vgg19": ("vgg19", ""),
}
"""Architecture and width, as the table of float accuracies spells them, of measured
models that differ from it by framework, recipe or the position of a stride only."""


def is_comparable(row: QuantRow) -> bool:
    """Return whether the row says something about the accelerator (rules 1 to 7)."""
    if not is_usable(row) or row.mixed or not row.convolutional:
        return False
    bits = (row.weight_bits or 0.0, row.act_bits or 0.0)
    if min(bits) < MIN_BITS or max(bits) > MAX_BITS:
        return False
    if row.rounding is WeightRounding.NON_UNIFORM or row.gated:
        return False
    if row.method is WeightMethod.PTQ and (row.drop or 0.0) < -LARGEST_GAIN:
        return False
    if row.in_sweep:
        per_channel = row.granularity is Granularity.PER_CHANNEL
        return row.every_map_quantized and per_channel
    per_tensor = row.granularity is Granularity.PER_TENSOR
    return not (per_tensor and row.depthwise and row.method is WeightMethod.PTQ)


def network_of(model: str) -> str:
    """Return the zoo's name of a measured model, or the model's own name."""
    architecture, width = _ZOO_SPELLING.get(model, (model, ""))
    return zoo_name(architecture, width) or model


def recipe_of(row: QuantRow) -> Recipe:
    """Return whether the weights were trained under quantization."""
    tuned = "finetune" in row.algo
    return Recipe.QAT if row.method is WeightMethod.QAT or tuned else Recipe.PTQ


def setting_of(row: QuantRow) -> QuantSetting:
    """Return the part of a usable row's setting that the law looks at."""
    assert row.weight_bits is not None
    assert row.act_bits is not None
    recipe = recipe_of(row)
    return QuantSetting(
        recipe=recipe,
        weight_bits=row.weight_bits,
        act_bits=row.act_bits,
        power_of_two=row.scale is Scale.POWER_OF_TWO,
        nearest=recipe is Recipe.PTQ
        and row.weight_bits < MAX_BITS
        and row.rounding is WeightRounding.NEAREST,
        per_tensor=row.granularity is Granularity.PER_TENSOR,
    )


def references(
    rows: Sequence[QuantRow], *, seed: int = 0, trees: int = TREES
) -> tuple[Reference, ...]:
    """Return the reference drops of measured rows, sorted.

    Args:
        rows: All measured rows; the incomparable ones still teach the predictor.
        seed: Of folds and trees.
        trees: Number of them, at least 1.
    """
    usable = [row for row in rows if is_usable(row)]
    fold = fold_numbers(configuration_groups(usable), folds=10, seed=seed)
    expected = (
        predict_held_out(usable, fold, seed=seed, trees=trees).mean.tolist()
        if any(row.in_sweep for row in usable)
        else [0.0] * len(usable)
    )
    cells: dict[tuple[object, ...], list[tuple[float, QuantRow]]] = {}
    for row, forecast in zip(usable, expected, strict=True):
        if is_comparable(row):
            assert row.top1_float is not None
            setting = setting_of(row)
            key = (
                network_of(row.model),
                setting.weight_bits,
                setting.act_bits,
                row.repository,
                setting.recipe.value,
                setting.nearest,
                setting.power_of_two,
                "sweep" if row.in_sweep else f"{row.top1_float:.1f}",
            )
            rank = round(forecast, 6) if row.in_sweep else row.drop or 0.0
            cells.setdefault(key, []).append((rank, row))
    return tuple(
        _reference(members) for _, members in sorted(cells.items(), key=lambda c: c[0])
    )


def _reference(members: Sequence[tuple[float, QuantRow]]) -> Reference:
    _, best = min(members, key=lambda pair: (pair[0], pair[1].line))
    assert best.drop is not None
    assert best.top1_float is not None
    return Reference(
        network=network_of(best.model),
        family=best.family,
        depthwise=best.depthwise,
        top1_float=best.top1_float,
        setting=setting_of(best),
        drop=best.drop,
        source=best.repository,
        rows=len(members),
    )


def trained_references(rows: Sequence[FloatRow]) -> tuple[Reference, ...]:
    """Return reference drops of networks published as float and as trained 8 bit.

    A source that gives several image sizes counts once, by their mean.
    """
    floats = {
        (r.architecture, r.width, r.image_size, r.source): r.top1
        for r in rows
        if r.precision is Precision.FP32
    }
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        key = (row.architecture, row.width, row.image_size, row.source)
        if row.precision is Precision.INT8 and key in floats and row.network:
            pair = (floats[key], floats[key] - row.top1)
            found.setdefault((row.network, row.source), []).append(pair)
    return tuple(
        Reference(
            network=network,
            family="mobilenet",
            depthwise=True,
            top1_float=max(top1 for top1, _ in pairs),
            setting=QuantSetting(recipe=Recipe.QAT, weight_bits=8.0, act_bits=8.0),
            drop=sum(drop for _, drop in pairs) / len(pairs),
            source=source,
            rows=len(pairs),
        )
        for (network, source), pairs in sorted(found.items())
    )
