"""Which accuracy was measured under which quantization scheme?

Reads `data/imagenet_quant_accuracy.csv` (ImageNet-1k top-1, collected from public
repositories; each line names its own) as frozen records. Text of the file becomes an
enumeration here and nowhere else. What counts as comparable with the accelerator is
decided in `benchmarks.accuracy_fit.evidence`; what is predicted, in
`benchmarks.accuracy_fit.predictor`.
"""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hao.accuracy.records import Record, read_records
from hao.data import data_path

_COLUMNS = (
    "model",
    "family",
    "weight_bits",
    "act_bits",
    "top1_quant",
    "top1_float",
    "drop",
    "method",
    "algo",
    "mixed",
    "backend",
    "scale_type",
    "weight_granularity",
    "act_quant_type",
    "bias_bits",
    "bias_corr",
    "graph_eq_iters",
    "graph_eq_merge_bias",
    "gptq",
    "gptq_act_order",
    "act_percentile",
    "first_last_bits",
    "layer_weight_bits",
    "layer_act_bits",
    "source",
)


class WeightMethod(Enum):
    """How the quantized weights were found."""

    PTQ = "PTQ"
    QAT = "QAT"


class Scale(Enum):
    """Which scales a quantizer may use."""

    UNKNOWN = ""
    FLOAT = "float32"
    POWER_OF_TWO = "po2"
    DYADIC = "dyadic"


class Granularity(Enum):
    """What shares one weight scale."""

    UNKNOWN = ""
    PER_TENSOR = "per_tensor"
    PER_CHANNEL = "per_channel"


class ActivationQuantizer(Enum):
    """Symmetric or asymmetric range of the activations."""

    UNKNOWN = ""
    SYMMETRIC = "sym"
    ASYMMETRIC = "asym"
    MIXED = "asym(4b)/sym(8b)"


class WeightRounding(Enum):
    """What an algorithm does about rounding; made from the file's `algo`."""

    NEAREST = "nearest"
    RECONSTRUCTED = "reconstructed"
    """Rounding directions are optimised on calibration data."""
    NON_UNIFORM = "non-uniform"
    """Levels are not equally spaced, or weights are binary: no integer array."""


_RECONSTRUCTED = ("gptq", "adaround", "brecq", "qdrop", "bit-split", "ompq")
_NON_UNIFORM = (
    "nonuniform",
    "kmeans",
    "bwn",
    "xnor",
    "group-net",
    "n2uq",
    "lq-net",
)
_DEPTHWISE_FAMILIES = ("mobilenet", "efficientnet", "shufflenet", "mobilevit")
_DEPTHWISE_MODELS = (
    "depthwise",
    "ghostnet",
    "gpunet",
    "nasnet",
    "pplcnet",
    "xception",
)
_GATED_MODELS = (
    "ecanet",
    "efficientnet_b",
    "ghostnet",
    "gpunet",
    "mobilenet_v3",
    "mobilenetv3",
    "pplcnet",
    "se_resnet",
    "senet",
)
_UNGATED = "minimal"
"""Variants of MobileNetV3 without squeeze-and-excite and hard-swish."""
_NOT_CONVOLUTIONAL = ("vit", "deit", "swin")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRow:
    """One measured accuracy of a quantized network.

    Attributes:
        line: Line of the file.
        model: Network as the source calls it, in lower case.
        family: Family of networks, such as "resnet".
        depthwise: The network has depthwise convolutions.
        gated: The network has gates or smooth activation functions.
        convolutional: The network is no vision transformer.
        weight_bits: Mean bits of a weight, None where the source does not say.
        act_bits: Mean bits of an activation, None where the source does not say.
        top1_quant: Measured top-1 [percent].
        top1_float: Top-1 of the float network [percent], if the source gives it.
        method: Post-training or by training.
        algo: Algorithm as the source calls it.
        rounding: What the algorithm does about rounding.
        mixed: Layers differ in bits.
        backend: Quantization flow as the source calls it; may be empty.
        scale: Which scales.
        granularity: What shares a weight scale.
        act_quantizer: Range of the activations.
        bias_bits: Bits of a bias, None where unknown.
        bias_corrected: Bias correction, None where unknown.
        equalization: Iterations of cross-layer equalization, None where unknown.
        merge_bias: Equalization includes biases, None where unknown.
        gptq: GPTQ, None where unknown.
        gptq_act_order: GPTQ in order of activations, None where unknown.
        act_percentile: Percentile that calibrates activations, None where unknown.
        first_last_bits: Bits of the first and last layer as the source says it.
        layer_weight_bits: Bits of every layer in network order; may be empty.
        layer_act_bits: Bits of activations as the source lists them; may be empty.
        source: Repository, file and commit.
    """

    line: int
    model: str
    family: str
    depthwise: bool
    gated: bool
    convolutional: bool
    weight_bits: float | None
    act_bits: float | None
    top1_quant: float
    top1_float: float | None
    method: WeightMethod
    algo: str
    rounding: WeightRounding
    mixed: bool
    backend: str
    scale: Scale
    granularity: Granularity
    act_quantizer: ActivationQuantizer
    bias_bits: float | None
    bias_corrected: bool | None
    equalization: float | None
    merge_bias: bool | None
    gptq: bool | None
    gptq_act_order: bool | None
    act_percentile: float | None
    first_last_bits: str
    layer_weight_bits: tuple[int, ...]
    layer_act_bits: tuple[int, ...]
    source: str

    @property
    def drop(self) -> float | None:
        """Return float minus quantized top-1 [points], if the float one is known."""
        if self.top1_float is None:
            return None
        return self.top1_float - self.top1_quant

    @property
    def repository(self) -> str:
        """Return "owner/name" of the source."""
        return self.source.partition(":")[0]

    @property
    def every_map_quantized(self) -> bool:
        """Return whether the sweep's flow quantizes every feature map.

        Source: Brevitas, imagenet_classification/ptq/README.md: the layerwise back
        end quantizes the inputs of convolutions and leaves other layers alone.
        """
        return self.backend == "generic"

    @property
    def in_sweep(self) -> bool:
        """Return whether the row is of the exhaustive Brevitas PTQ sweep."""
        return "RESULTS_TORCHVISION" in self.source


def _bits_list(record: Record, column: str) -> tuple[int, ...]:
    text = record.cells[column]
    if not text:
        return ()
    allowed = "a JSON list of whole numbers from 1 to 32"
    try:
        bits = json.loads(text)
    except json.JSONDecodeError as cause:
        raise record.error(column, allowed) from cause
    if not isinstance(bits, list) or not all(
        isinstance(b, int) and 1 <= b <= 32 for b in bits
    ):
        raise record.error(column, allowed)
    return tuple(bits)


def _contains(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _rounding(algo: str) -> WeightRounding:
    if _contains(algo, _NON_UNIFORM):
        return WeightRounding.NON_UNIFORM
    if _contains(algo, _RECONSTRUCTED):
        return WeightRounding.RECONSTRUCTED
    return WeightRounding.NEAREST


def _row(record: Record) -> QuantRow:
    model, family = record.text("model"), record.text("family")
    algo = record.text("algo")
    return QuantRow(
        line=record.line,
        model=model,
        family=family,
        depthwise=family in _DEPTHWISE_FAMILIES or _contains(model, _DEPTHWISE_MODELS),
        gated=_contains(model, _GATED_MODELS) and _UNGATED not in model,
        convolutional=not _contains(f"{family} {model}", _NOT_CONVOLUTIONAL),
        weight_bits=record.optional_number("weight_bits", low=1, high=32),
        act_bits=record.optional_number("act_bits", low=1, high=32),
        top1_quant=record.number("top1_quant", low=0, high=100),
        top1_float=record.optional_number("top1_float", low=0.1, high=100),
        method=record.member("method", WeightMethod),
        algo=algo,
        rounding=_rounding(algo),
        mixed=record.flag("mixed"),
        backend=record.cells["backend"],
        scale=record.member("scale_type", Scale),
        granularity=record.member("weight_granularity", Granularity),
        act_quantizer=record.member("act_quant_type", ActivationQuantizer),
        bias_bits=record.optional_number("bias_bits", low=1, high=64),
        bias_corrected=record.optional_flag("bias_corr"),
        equalization=record.optional_number("graph_eq_iters", low=0, high=1000),
        merge_bias=record.optional_flag("graph_eq_merge_bias"),
        gptq=record.optional_flag("gptq"),
        gptq_act_order=record.optional_flag("gptq_act_order"),
        act_percentile=record.optional_number("act_percentile", low=50, high=100),
        first_last_bits=record.cells["first_last_bits"],
        layer_weight_bits=_bits_list(record, "layer_weight_bits"),
        layer_act_bits=_bits_list(record, "layer_act_bits"),
        source=record.text("source"),
    )


def load_quant_rows(path: Path | None = None) -> tuple[QuantRow, ...]:
    """Return every measured row, in the order of the file.

    Args:
        path: Another file with the same columns; the shipped one by default.

    Raises:
        InputError: A line is malformed, or its drop is not float minus quantized
            top-1; names file and line.
    """
    file = path or data_path("data", "imagenet_quant_accuracy.csv")
    rows = []
    for record in read_records(file, _COLUMNS):
        row = _row(record)
        stated = record.optional_number("drop", low=-100, high=100)
        derived = row.drop
        if (stated is None) != (derived is None) or (
            stated is not None and derived is not None and abs(stated - derived) > 0.011
        ):
            raise record.error("drop", "top1_float minus top1_quant")
        rows.append(row)
    return tuple(rows)
