"""The free parameters of an engine by name, as rivals are drawn from them."""

import numpy as np

from hao.cost.columns import Columns, DenseColumns, DepthwiseColumns
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.ir.partition import Role

Values = dict[tuple[Role | None, str], int]
"""Free parameters of an engine: of a stage, or `None` for "px" and "double"."""


def values_of(engine: Engine) -> Values:
    """Return the free parameters of an engine."""
    values: Values = {
        (None, "px"): engine.px,
        (None, "double"): int(engine.double_buffered),
    }
    for role in Role:
        match engine.stage(role):
            case None:
                continue
            case DepthwiseStage() as stage:
                own = {"pe": stage.pe, "taps": stage.taps}
            case DenseStage() as stage:
                own = {"simd": stage.simd, "pe": stage.pe, "words": stage.weight_words}
                own["uram"] = int(stage.weights_in_uram)
        values |= {(role, key): value for key, value in own.items()}
    return values


def column(role: Role, values: Values, width: int) -> Columns:
    """Return a stage with drawn parameters, as a column of length one."""
    own = {key: np.array([v]) for (where, key), v in values.items() if where is role}
    none, bits = np.array([0]), np.array([width])
    if role is Role.DEPTHWISE:
        return DepthwiseColumns(pe=own["pe"], taps=own["taps"], weight_bits=bits)
    return DenseColumns(
        simd=own["simd"],
        pe=own["pe"],
        weight_words=own["words"],
        weight_bits=bits,
        in_uram=own.get("uram", none) > 0,
    )
