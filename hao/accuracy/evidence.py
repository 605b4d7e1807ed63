"""Which published results say what the accelerator would lose, and how much?

The accelerator runs integer weights with one power-of-two scale per output channel
and integer activations of every layer. An engineer takes the better of post-training
quantization and training. So the *reference drop* of a (network, weight bits,
activation bits, source) is the drop of that source's best comparable recipe, and a
recipe is comparable unless a stated rule excludes it:

1. bits or float accuracy are unknown, bits outside 2 to 8, or layers differ in bits;
2. vision transformers;
3. levels that are not equally spaced (no integer array runs them);
4. one scale per tensor in a depthwise network after training: the well-known collapse
   that scales per channel remove;
5. of the exhaustive Brevitas sweep, everything but the back end that quantizes every
   feature map (`generic`) with power-of-two scales per channel: its other rows
   measure other hardware.

6. networks with gates or smooth activation functions (squeeze-and-excite, swish),
   which the engine does not run and which quantize worse.

A negative drop counts as zero: training that beats the float accuracy is training.
Of the sweep, the recipe taken is the one that the predictor, fitted to the other
folds, expects to be best: the best of dozens of measured ones would reward luck. Of
any other source it is the best measured one, since a few deliberate algorithms are no
sweep and the features do not tell them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hao.accuracy.features import configuration_groups, is_usable
from hao.accuracy.measured import Granularity, Method, QuantRow, Rounding, Scale
from hao.accuracy.predictor import TREES, fold_numbers, predict_held_out
from hao.accuracy.published import FloatRow, Precision
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.zoo import zoo_name

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What one source lost on one network at given bits with its best recipe.

    Attributes:
        network: Name in the zoo where it has the network, else the source's name.
        family: Family of networks.
        depthwise: The network has depthwise convolutions.
        weight_bits: Bits of a weight.
        act_bits: Bits of an activation.
        drop: Drop of top-1, at least 0 [points].
        source: Repository.
        method: How the recipe found its weights.
        rows: Comparable rows it was chosen from.
    """

    network: str
    family: str
    depthwise: bool
    weight_bits: float
    act_bits: float
    drop: float
    source: str
    method: Method
    rows: int


def is_comparable(row: QuantRow) -> bool:
    """Return whether the row says something about the accelerator (rules 1 to 6)."""
    if not is_usable(row) or row.mixed or not row.convolutional:
        return False
    bits = (row.weight_bits or 0.0, row.act_bits or 0.0)
    if min(bits) < MIN_BITS or max(bits) > MAX_BITS:
        return False
    if row.rounding is Rounding.NON_UNIFORM or row.gated:
        return False
    per_tensor = row.granularity is Granularity.PER_TENSOR
    if row.in_sweep:
        return (
            row.every_map_quantized
            and row.scale is Scale.POWER_OF_TWO
            and row.granularity is Granularity.PER_CHANNEL
        )
    return not (per_tensor and row.depthwise and row.method is Method.PTQ)


def network_of(model: str) -> str:
    """Return the zoo's name of a measured model, or the model's own name."""
    architecture, width = _ZOO_SPELLING.get(model, (model, ""))
    return zoo_name(architecture, width) or model


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
    expected = predict_held_out(usable, fold, seed=seed, trees=trees).mean
    cells: dict[tuple[str, float, float, str], list[tuple[float, QuantRow]]] = {}
    for row, forecast in zip(usable, expected.tolist(), strict=True):
        if is_comparable(row):
            assert row.weight_bits is not None
            assert row.act_bits is not None
            key = (network_of(row.model), row.weight_bits, row.act_bits, row.repository)
            rank = round(forecast, 6) if row.in_sweep else row.drop or 0.0
            cells.setdefault(key, []).append((rank, row))
    chosen = []
    for (network, weight_bits, act_bits, source), members in sorted(cells.items()):
        _, best = min(members, key=lambda pair: (pair[0], pair[1].line))
        assert best.drop is not None
        chosen.append(
            Reference(
                network=network,
                family=best.family,
                depthwise=best.depthwise,
                weight_bits=weight_bits,
                act_bits=act_bits,
                drop=max(best.drop, 0.0),
                source=source,
                method=best.method,
                rows=len(members),
            )
        )
    return tuple(chosen)


def trained_references(rows: Sequence[FloatRow]) -> tuple[Reference, ...]:
    """Return reference drops of networks published as float and as trained 8 bit.

    A source that gives several image sizes counts once, by their mean.
    """
    floats = {
        (r.architecture, r.width, r.image_size, r.source): r.top1
        for r in rows
        if r.precision is Precision.FP32
    }
    drops: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        key = (row.architecture, row.width, row.image_size, row.source)
        if row.precision is Precision.INT8 and key in floats and row.network:
            drops.setdefault((row.network, row.source), []).append(
                floats[key] - row.top1
            )
    return tuple(
        Reference(
            network=network,
            family="mobilenet",
            depthwise=True,
            weight_bits=8.0,
            act_bits=8.0,
            drop=max(sum(values) / len(values), 0.0),
            source=source,
            method=Method.QAT,
            rows=len(values),
        )
        for (network, source), values in sorted(drops.items())
    )
