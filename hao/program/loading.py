"""How long the weights of runs take to load, layer by layer.

Runs of a graph that share a layer, alone or behind others, load the same weights.
"""

from collections.abc import Mapping
from dataclasses import replace

from hao.cost.columns import Columns, Setting
from hao.cost.loads import StageLoad, load_path, load_starts, stage_load
from hao.cost.paths import Path
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, Role
from hao.options.frame import PricedRun

Loads = dict[tuple[Role, DenseLayer | Depthwise, int], StageLoad]
"""How long weights take to load, by stage, layer without name, and bits."""


def load_paths(
    run: PricedRun, columns: Mapping[Role, Columns], setting: Setting, known: Loads
) -> tuple[Path, Path]:
    """Return the cycles in which port and DDR load the weights of a run, as rows.

    Layers that are alike are of many runs: each is priced once.

    Args:
        run: What runs.
        columns: Configurations of every stage that it uses.
        setting: What all columns share.
        known: Loads for these columns and this setting, added to.
    """
    loads: dict[Role, StageLoad] = {}
    for (role, layer), bits in zip(run.invocation.stages, run.bits, strict=True):
        if isinstance(layer, Pool):
            continue
        key = role, replace(layer, name=""), bits
        if key not in known:
            known[key] = stage_load(layer, columns[role], bits, setting)
        loads[role] = known[key]
    start, start_ddr = load_starts(run.invocation, setting)
    return (
        load_path(start, {role: load.port for role, load in loads.items()}),
        load_path(start_ddr, {role: load.ddr for role, load in loads.items()}),
    )
