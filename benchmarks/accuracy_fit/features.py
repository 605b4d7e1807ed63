"""What the predictor sees of a measured row: a fixed list of numbers.

Bits enter as they are and as the noise power 2^-2b that a uniform quantizer of b bits
adds; settings enter as 0, 1 or -1 where the source does not say; families as
indicators. Nothing depends on the rows at hand, so one row has the same features in
every fold.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_fit.measured import (
    ActivationQuantizer,
    Granularity,
    QuantRow,
    Scale,
    WeightMethod,
    WeightRounding,
)
from hao.errors import InputError

FAMILIES = (
    "alexnet",
    "densenet",
    "efficientnet",
    "inception",
    "mobilenet",
    "mobilevit",
    "other",
    "repvgg",
    "resnet",
    "regnet",
    "resnext",
    "shufflenet",
    "squeezenet",
    "vgg",
    "vit",
)
BACKENDS = ("generic", "layerwise", "flexml", "dpu", "fake", "pb")
_NUMBERS = (
    "weight_bits",
    "act_bits",
    "weight_noise",
    "act_noise",
    "power_of_two",
    "float_scale",
    "per_channel",
    "per_tensor",
    "act_symmetric",
    "act_asymmetric",
    "bias_bits",
    "bias_corrected",
    "equalization",
    "merge_bias",
    "gptq",
    "gptq_act_order",
    "log_tail",
    "trained",
    "mixed",
    "reconstructed",
    "non_uniform",
    "top1_float",
    "depthwise",
    "depthwise_weight_noise",
)
FEATURES = (
    *_NUMBERS,
    *(f"backend_{name}" for name in BACKENDS),
    *(f"family_{name}" for name in FAMILIES),
)


def is_usable(row: QuantRow) -> bool:
    """Return whether bits and float accuracy are known, so that a drop is."""
    return None not in (row.weight_bits, row.act_bits, row.top1_float)


def _ternary(flag: bool | None) -> float:
    return -1.0 if flag is None else float(flag)


def _features(row: QuantRow) -> list[float]:
    if row.weight_bits is None or row.act_bits is None or row.top1_float is None:
        raise InputError(
            f"line {row.line}: model = {row.model!r}; weight_bits, act_bits and "
            "top1_float must be given"
        )
    weight_noise = 4.0**-row.weight_bits
    tail = 0.0 if row.act_percentile is None else 100.0 - row.act_percentile
    return [
        row.weight_bits,
        row.act_bits,
        weight_noise,
        4.0**-row.act_bits,
        float(row.scale is Scale.POWER_OF_TWO),
        float(row.scale is Scale.FLOAT),
        float(row.granularity is Granularity.PER_CHANNEL),
        float(row.granularity is Granularity.PER_TENSOR),
        float(row.act_quantizer is ActivationQuantizer.SYMMETRIC),
        float(row.act_quantizer is ActivationQuantizer.ASYMMETRIC),
        row.bias_bits or -1.0,
        _ternary(row.bias_corrected),
        -1.0 if row.equalization is None else row.equalization,
        _ternary(row.merge_bias),
        _ternary(row.gptq),
        _ternary(row.gptq_act_order),
        -math.log10(max(tail, 1e-6)) if row.act_percentile is not None else 0.0,
        float(row.method is WeightMethod.QAT),
        float(row.mixed),
        float(row.rounding is WeightRounding.RECONSTRUCTED),
        float(row.rounding is WeightRounding.NON_UNIFORM),
        row.top1_float,
        float(row.depthwise),
        float(row.depthwise) * weight_noise,
        *(float(row.backend == name) for name in BACKENDS),
        *(float(row.family == name) for name in FAMILIES),
    ]


def feature_matrix(rows: Sequence[QuantRow]) -> NDArray[np.float64]:
    """Return the features, shape (rows, features), columns as `FEATURES`.

    Raises:
        InputError: A row lacks bits or the float accuracy.
    """
    return np.array([_features(row) for row in rows], dtype=np.float64).reshape(
        len(rows), len(FEATURES)
    )


def configuration_groups(rows: Sequence[QuantRow]) -> NDArray[np.int64]:
    """Return a group number per row, equal where model and settings are equal.

    Repeated measurements of one configuration belong to one fold; otherwise a fold
    would be predicted from its own repetition. The float accuracy is left out of the
    comparison, since two versions of a checkpoint are still one configuration.
    """
    float_column = FEATURES.index("top1_float")
    keys: dict[tuple[object, ...], int] = {}
    groups = []
    for row, features in zip(rows, feature_matrix(rows), strict=True):
        settings = np.delete(features, float_column).tolist()
        key = (row.model, row.algo, row.backend, *settings)
        groups.append(keys.setdefault(key, len(keys)))
    return np.array(groups, dtype=np.int64)
