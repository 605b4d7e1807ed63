"""How long the weights of runs take to load, layer by layer.

Runs of a graph that share a layer, alone or behind others, load the same weights.
"""

from collections.abc import Mapping
from dataclasses import replace

from hao.cost.columns import Columns, Setting
from hao.cost.loads import StageLoad, loading_rows, serial_rows, stage_load
from hao.cost.paths import Path
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, Role
from hao.options.frame import PricedRun

Loads = dict[tuple[Role, DenseLayer | Depthwise, int], StageLoad]
"""How long weights take to load, by stage, layer without name, and bits."""


def load_paths(
    run: PricedRun, columns: Mapping[Role, Columns], setting: Setting, known: Loads
) -> tuple[tuple[Path, ...], tuple[Path, Path]]:
    """Return what a run opens with, and what a step takes that loads its weights.

    Layers that are alike are of many runs: each is priced once.

    Args:
        run: What runs.
        columns: Configurations of every stage that it uses.
        setting: What all columns share.
        known: Loads for these columns and this setting, added to.

    Returns:
        Rows as of `SegmentPrice.opening` and `SegmentPrice.serial`.
    """
    loads: dict[Role, StageLoad] = {}
    for (role, layer), bits in zip(run.invocation.stages, run.bits, strict=True):
        if isinstance(layer, Pool):
            continue
        key = role, replace(layer, name=""), bits
        if key not in known:
            known[key] = stage_load(layer, columns[role], bits, setting)
        loads[role] = known[key]
    invocation = run.invocation
    return loading_rows(invocation, loads, setting), serial_rows(invocation, loads)
