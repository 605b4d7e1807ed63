"""Rows of the engine: one column per stage, matching lanes, DSP steps, the board.

See `hao.program.build` for what each row says.
"""

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.incumbent import lane_counts, neighbours
from hao.program.rows import Build

Ints = NDArray[np.int64]


def engine_rows(build: Build) -> dict[Role, tuple[tuple[int, Ints], ...]]:
    """Append one column per stage, matching lanes, DSP steps and the board's limits."""
    branch, columns = build.branch, build.columns
    for role, index in columns.items():
        build.add(f"one[{role.value}]", "=", 1, [], [(role, np.ones(index.size))])
    for left, right in neighbours(branch):
        lanes = {r: lane_counts(branch, r)[columns[r]] for r in (left, right)}
        for near, far in ((left, right), (right, left)):
            for count in np.unique(lanes[near]):
                mate = (lanes[far] % count == 0) | (count % lanes[far] == 0)
                if not mate.all():
                    build.add(
                        f"match[{near.value},{far.value},{count}]",
                        "<",
                        0,
                        [],
                        [(near, lanes[near] == count), (far, -mate.astype(np.float64))],
                    )
    used: dict[str, list[tuple[int, float]]] = {"dsp": [], "lut": [], "ff": []}
    steps: dict[Role, tuple[tuple[int, Ints], ...]] = {}
    for role, index in columns.items():
        area = branch.stages[role].area
        step = np.stack([area.step.dsp, area.step.lut, area.step.ff])[:, index]
        kinds, group = np.unique(step, axis=1, return_inverse=True)
        groups = []
        for number, (dsp, lut, ff) in enumerate(kinds.T):
            members = group.reshape(-1) == number
            most = int(area.steps[index][members].max())
            if most == 0:
                continue
            variable = build.variables.add(f"e[{role.value},{number}]", most, True)
            groups.append((variable, np.flatnonzero(members)))
            build.add(
                f"step[{role.value},{number}]",
                "<",
                0,
                [(variable, 1)],
                [(role, -(area.steps[index] * members))],
            )
            for kind, value in (("dsp", dsp), ("lut", lut), ("ff", ff)):
                used[kind].append((variable, float(value)))
        steps[role] = tuple(groups)
    for kind, limit in (
        ("dsp", branch.limit.dsp),
        ("lut", branch.limit.lut),
        ("ff", branch.limit.ff),
        ("bram_18k", branch.limit.bram_18k),
        ("lutram", branch.lutram),
    ):
        taken = [
            (role, getattr(branch.stages[role].area.base, kind)[index])
            for role, index in columns.items()
        ]
        build.add(kind, "<", limit, used.get(kind, []), taken)
    return steps
