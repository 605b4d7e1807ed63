"""The integer program of one branch as arrays: variables, rows, column coefficients.

Variables
    x[r,c]  column c of stage r is built                                    binary
    e[r,g]  steps of lanes of stage r onto DSPs, g: columns of equal step   integer
    z[s]    segment s is used                                               binary
    E[j]    period of the segment that ends at position j [cycles]          >= 0
    y[l,b]  layer l has b-bit weights (layers with a choice or cost)           binary

Rows
    one[r]          sum_c x[r,c] = 1
    match[..]       a lane count of one stage needs a matching one next door
    step[r,g]       e[r,g] <= sum_{c in g} steps_c x[r,c]
    dsp, lut, ff, bram_18k, lutram      within the board
    flow[p]         the segments used cover every position once
    time[s,path]    E[end(s)] >= path of s                          if z[s]
    weights[s]      E[end(s)] >= tiles of s + weights of the next    if z[s]
    ddr[s]          E[end(s)] >= traffic of s + weights of the next  if z[s]
    fits[s,r]       z[s] <= sum of the columns of r with enough buffer
    width[l,r,b]    b-bit weights need a stage built for them
    wait[s]         cycles before s starts that nothing overlaps
    chain[k,r]      sum of E (and wait, if serial) over a chain >= its best partition
                    for the column of r

The `if z[s]` rows use the smallest constant that frees them, taken over the columns in
play; `chain` rows follow from the others for integer points and tighten the relaxation
where fractional z would use that freedom.

Latency: sum_j E[j] + weights of the first segment (double-buffered), or + weights of
every segment (not). Accuracy cost: sum cost[l,b] y[l,b].

`chain_bounds` is computed at the bits that the branch was priced at; the branch of a
co-design program is priced at the fewest bits, so they hold for all.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.branch import Branch
from hao.program.engine_rows import engine_rows
from hao.program.partition_rows import partition_rows
from hao.program.rows import Build, Choices, Program, Rows, Variables

Ints = NDArray[np.int64]


def build_program(
    branch: Branch, columns: Mapping[Role, Ints], choices: Choices
) -> Program:
    """Return the program of `branch` over the given columns.

    Args:
        branch: Prices and areas of all columns.
        columns: Indices of the columns in play, per stage.
        choices: Options per layer.
    """
    variables = Variables()
    first = {}
    for role, index in columns.items():
        first[role] = len(variables.names)
        for column in index:
            variables.add(f"x[{role.value},{column}]", 1, True)
    build = Build(
        branch=branch,
        columns=columns,
        first=first,
        choices=choices,
        choice={},
        variables=variables,
        rows=Rows(),
    )
    steps = engine_rows(build)
    _choice_rows(build)
    segments = partition_rows(build)
    _width_rows(build, segments)
    return Program(
        names=tuple(variables.names),
        upper=np.array(variables.upper),
        integer=np.array(variables.integer, dtype=np.bool_),
        cycles=np.array(variables.cycles),
        cost=np.array(variables.cost),
        rows=build.rows,
        columns={role: (first[role], index) for role, index in columns.items()},
        steps=steps,
        segments=segments,
        choice=build.choice,
    )


def _choice_rows(build: Build) -> None:
    """Append y and one option per layer, for layers with a choice or a cost."""
    for layer, options in build.choices.options.items():
        if len(options) == 1 and options[0].cost_micro == 0:
            continue
        entries = []
        for option in options:
            bits = option.change.weight_bits
            variable = build.variables.add(
                f"y[{layer},{bits}]", 1, True, cost=option.cost_micro
            )
            build.choice[layer, bits] = variable
            entries.append((variable, 1.0))
        build.add(f"option[{layer}]", "=", 1, entries)


def _width_rows(build: Build, segments: tuple[int, ...]) -> None:
    """Append rows that keep a layer's bits within the width of the stage it runs on."""
    runs: dict[tuple[str, Role], list[int]] = {}
    for index, segment in enumerate(build.branch.partition.segments):
        for role, layer in segment.invocation.stages:
            runs.setdefault((layer.name, role), []).append(segments[index])
    for (name, role), used in runs.items():
        width = build.branch.stages[role].columns.weight_bits[build.columns[role]]
        for bits in build.choices.bits(name):
            wide = width >= bits
            if wide.all():
                continue
            # Bits of at least `bits` on this stage need a column at least as wide.
            entries = [(variable, 1.0) for variable in used]
            rhs = 1.0
            if len(build.choices.bits(name)) > 1:
                entries += [
                    (build.choice[name, b], 1.0)
                    for b in build.choices.bits(name)
                    if b >= bits
                ]
            else:
                rhs = 0.0
            build.add(
                f"width[{name},{role.value},{bits}]",
                "<",
                rhs,
                entries,
                [(role, -wide.astype(np.float64))],
            )
