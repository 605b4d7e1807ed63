"""What every module of a netlist takes: `report_utilization -hierarchical` of Vivado.

The one report that says what placement used block by block. Instances stand in the
order of the tree, two blanks a level; a row counts what it holds. Vivado dissolves
modules where it likes (`-flatten_hierarchy`), so some may be missing.

Source: columns and indents as printed in public design reports; UG906 describes the
report. Some settings add a share in brackets to every count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hao.errors import InputError
from hao.handoff.report_text import ReportText, cell, columns
from hao.handoff.synthesis import ModuleRow, parse_count
from hao.handoff.utilization import CORE, DesignState, design_state
from hao.hw.resources import Resources

TITLE = r"^\d*\.?\s*Utilization by Hierarchy"


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyReport:
    """What every module of a netlist takes.

    Attributes:
        source: File it was read from.
        part: Part, as the report prints it.
        state: How far the netlist had come.
        top: Name of the module that `used` counts.
        used: Of the core alone where the report has it, or else of the whole design.
        modules: Below that module.
        of_core: Whether that is the core alone, without the platform.
    """

    source: str
    part: str
    state: DesignState
    top: str
    used: Resources
    modules: tuple[ModuleRow, ...]
    of_core: bool = False


def parse_hierarchy(text: ReportText) -> HierarchyReport:
    """Return the part of a hierarchical report that is about the core.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    heading = text.require(r"^\|\s*Instance\s*\|\s*Module\s*\|", "table of instances")
    rows = _rows(text.table(heading), text.source)
    if not rows:
        raise InputError(f"{text.source}: the table of instances is empty")
    # A block design calls the instance `hao_engine_0`; its module is a wrapper.
    first = next((number for number, row in enumerate(rows) if _is_core(row)), 0)
    top, level = rows[first], rows[first].depth
    below = []
    for row in rows[first + 1 :]:
        if row.depth <= level:
            break
        below.append(row)
    return HierarchyReport(
        source=text.name,
        part=text.field("Device"),
        state=design_state(text),
        top=top.module,
        used=top.used,
        modules=tuple(below),
        of_core=_is_core(top),
    )


def _is_core(row: ModuleRow) -> bool:
    return row.module == CORE or row.instance.startswith(CORE)


def _rows(table: Sequence[Sequence[str]], source: str) -> list[ModuleRow]:
    """Return the instances; a row in brackets is what its parent holds itself."""
    at = columns(table, "Instance", source)
    dsp = next((name for name in at if name.startswith("DSP")), None)
    missing = {"Total LUTs", "FFs", "RAMB36", "RAMB18"} - set(at)
    if missing or dsp is None:
        raise InputError(
            f"{source}: the table of instances lacks {sorted(missing) or 'DSPs'}; must "
            "be a report of report_utilization -hierarchical"
        )
    rows = []
    for cells in table[1:]:
        instance = cells[0].strip()
        if instance.startswith("("):
            continue
        indent = len(cells[0]) - len(cells[0].lstrip()) - 1
        where = f"{source}: instance {instance!r}"
        count = {
            name: parse_count(cell(cells, at, name, where), f"{where}: {name}")
            for name in at
            if name not in ("Instance", "Module")
        }
        used = Resources(
            dsp=count[dsp],
            bram_18k=2 * count["RAMB36"] + count["RAMB18"],
            uram=count.get("URAM", 0),
            lut=count["Total LUTs"],
            ff=count["FFs"],
        )
        rows.append(
            ModuleRow(
                module=cell(cells, at, "Module", where).strip(),
                instance=instance,
                depth=indent // 2,
                used=used,
            )
        )
    return rows
