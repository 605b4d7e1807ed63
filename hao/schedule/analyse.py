"""The schedule analysis: from a project's sources to what its pipelined loops allow.

run_hls.tcl, src/*.cpp
-> clang: unoptimised LLVM IR, and the pragmas          compiler, source
-> what the pragmas mean, written into the IR           prepare
-> LLVM's optimiser                                     optimise
-> every pipelined loop as a graph of operators         regions, build
-> recurrence, ports, depth, area, bus                  one module each
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hao.hls.compiler import Clang, find_clang
from hao.hls.source import Pragma, read_source
from hao.schedule.built import Surroundings
from hao.schedule.compiler import HEADERS, compile_source, preprocess
from hao.schedule.delays import Delays, load_delays
from hao.schedule.ir import Module
from hao.schedule.ir_text import read_module
from hao.schedule.layout import Layout
from hao.schedule.loops import analyse_loops
from hao.schedule.memory import Storage, accessed_pointers
from hao.schedule.optimise import inline, join_modules, optimise
from hao.schedule.prepare import Plan, apply_plan, keep_bus_accesses, make_plan
from hao.schedule.project import HlsProject
from hao.schedule.result import ScheduleReport, Uncertainty
from hao.schedule.rules import loop_findings
from hao.schedule.structure import shared_statics, wide_words
from hao.schedule.variables import Declared, IrVariables, declared_words, pragma_holders

VITIS_UNCERTAINTY = 0.27
"""Default of Vitis HLS (UG1399, set_clock_uncertainty); in 2019.2 to 2025.1 reports."""

VIVADO_UNCERTAINTY = 0.125
"""Default of Vivado HLS, as its reports of 2015 to 2019.2 print it."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A project in optimised IR.

    Attributes:
        module: The code.
        pragmas: Of its sources.
        plan: What was made of them.
        declared: What only the unoptimised code tells.
    """

    module: Module
    pragmas: tuple[Pragma, ...]
    plan: Plan
    declared: Declared


def clock_settings(
    project: HlsProject, uncertainty: float | None = None
) -> tuple[Uncertainty, ...]:
    """Return the clock uncertainties that a project may meet, the deciding one first.

    Args:
        project: Whose script may set one.
        uncertainty: Share of the period to look at alone.
    """
    if uncertainty is not None:
        shares = [("as given", uncertainty)]
    else:
        shares = [("Vitis HLS", VITIS_UNCERTAINTY), ("Vivado HLS", VIVADO_UNCERTAINTY)]
        if project.uncertainty is not None:
            shares.insert(0, ("run_hls.tcl", project.uncertainty))
    return tuple(
        Uncertainty(title, share, project.clock_ns * (1 - share))
        for title, share in shares
    )


def analyse_project(
    project: HlsProject,
    *,
    clang: Clang | None = None,
    uncertainty: float | None = None,
) -> ScheduleReport:
    """Return what the pipelined loops of a project allow.

    Args:
        project: Sources, part and clock.
        clang: What compiles; `None` looks for one.
        uncertainty: Share of the clock period to keep from the logic, instead of those
            of the script and the tools.

    Raises:
        InputError: The sources do not compile, or the part has no delays.
        ToolError: There is no clang.
    """
    delays = load_delays(project.part)
    chosen = clang if clang is not None else find_clang()
    compiled = compile_project(project, chosen)
    settings = clock_settings(project, uncertainty)
    around = _surroundings(compiled, delays, project.clock_ns, settings[0].budget_ns)
    loops = analyse_loops(around, compiled.plan, settings)
    findings = [
        *shared_statics(compiled.module, compiled.plan),
        *wide_words(compiled.module, around.layout, compiled.pragmas),
        *(item for loop in loops for item in loop_findings(loop, settings)),
    ]
    return ScheduleReport(
        project.part,
        delays.family,
        project.clock_ns,
        chosen.title,
        settings,
        loops,
        tuple(sorted(set(findings))),
    )


def _surroundings(
    compiled: Compiled, delays: Delays, clock_ns: float, budget_ns: float
) -> Surroundings:
    module, pragmas = compiled.module, compiled.pragmas
    layout = Layout(module.types)
    variables = IrVariables(
        module, layout, pragmas, compiled.plan.top, declared=compiled.declared
    )
    return Surroundings(module, layout, variables, pragmas, delays, budget_ns, clock_ns)


def compile_project(project: HlsProject, clang: Clang) -> Compiled:
    """Return a project in optimised IR.

    Raises:
        InputError: The sources do not compile.
    """
    texts, pragmas = [], list[Pragma]()
    for source in project.sources:
        texts.append(compile_source(clang, source))
        pragmas += read_source(preprocess(clang, source)).pragmas
    raw = texts[0] if len(texts) == 1 else join_modules(texts)
    module = read_module(raw, HEADERS)
    plan = make_plan(module, pragmas, project.top)
    inlined = inline(apply_plan(raw, module, plan))
    declared = Declared(declared_words(module), pragma_holders(module, pragmas))
    rows, elements = _bus_rows(read_module(inlined, HEADERS), pragmas, plan, declared)
    optimised = optimise(keep_bus_accesses(inlined, rows))
    return Compiled(
        read_module(optimised, HEADERS),
        tuple(pragmas),
        plan,
        replace(declared, bus_bytes=elements),
    )


def _bus_rows(
    module: Module, pragmas: Sequence[Pragma], plan: Plan, declared: Declared
) -> tuple[list[int], dict[str, int]]:
    """Return the lines of a module that access the bus, and the bytes of an element."""
    layout = Layout(module.types)
    variables = IrVariables(module, layout, pragmas, plan.top, declared=declared)
    rows: list[int] = []
    elements: dict[str, int] = {}
    for function in module.functions.values() if variables.bus else ():
        addresses = variables.addresses(function, frozenset())
        for item in function.instructions():
            for pointer in accessed_pointers(item):
                base = addresses.of(pointer).base
                variable = variables.find(function, base)
                if variable.storage is Storage.BUS:
                    rows.append(item.row)
                    size = layout.size(addresses.element(pointer))
                    elements[variable.name] = max(elements.get(variable.name, 1), size)
    return rows, elements
