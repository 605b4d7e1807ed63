"""The cycles of a layer on configurations of the stage that runs it."""

from hao.cost.columns import Columns, DepthwiseColumns, Setting
from hao.cost.latency import StageTimes, dense_times, depthwise_times, pointwise_times
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role


def layer_times(
    role: Role,
    layer: DenseLayer | DepthwiseLayer,
    columns: Columns,
    setting: Setting,
    *,
    first: bool,
) -> StageTimes:
    """Return the times of a whole layer, per configuration.

    Args:
        role: The stage.
        layer: What it runs.
        columns: Configurations of that stage.
        setting: What they share.
        first: The stage reads from DDR.
    """
    px, act_bits, board = setting.px, setting.act_bits, setting.board
    if isinstance(columns, DepthwiseColumns):
        assert isinstance(layer, Depthwise | Pool)
        return depthwise_times(
            layer,
            pe=columns.pe,
            taps=columns.taps,
            px=px,
            first=first,
            act_bits=act_bits,
            board=board,
        )
    assert not isinstance(layer, Depthwise | Pool)
    stage_times = dense_times if role is Role.DENSE else pointwise_times
    return stage_times(
        layer,
        simd=columns.simd,
        px=px,
        folds_out=-(-layer.ofm.channels // columns.pe),
        first=first,
        act_bits=act_bits,
        board=board,
    )
