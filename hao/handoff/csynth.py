"""The XML that C synthesis writes: csynth.xml and <top>_csynth.xml.

Vivado HLS 2019.2 and 2020.1 and Vitis HLS write the same elements, but for one name:
DSP slices are `DSP48E` up to 2020.1 and `DSP` from then on. Both files hold the top;
csynth.xml also holds the tree of modules and their loops. A file may come from
anywhere, so the parser takes no document type, no entities and no deep nesting.

Source: files of Vivado HLS 2020.1 and Vitis HLS 2023.2.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from hao.errors import InputError
from hao.handoff.synthesis import (
    ModuleRow,
    SynthesisReport,
    hls_resources,
    parse_most,
    parse_ns,
)
from hao.hw.resources import Resources

MAX_XML_DEPTH = 200
"""Deepest nesting read; derived here: modules and loops nest by calls in the source,
two elements a level, and the largest report seen has 13 levels."""

MAX_XML_ELEMENTS = 400_000
"""Most elements read; chosen here: the largest report seen has 0.7 MB, so less than a
tenth. Elements of four bytes take fifty times as many in memory."""


def parse_csynth_xml(data: bytes, source: str) -> SynthesisReport:
    """Return the report in an XML file.

    Args:
        data: The file.
        source: What error messages call it.

    Raises:
        InputError: It is no XML, cut short, or no report of C synthesis.
    """
    root = _parse_xml(data, source)
    top = _text(root, "UserAssignments/TopModelName", source)
    overall = "PerformanceEstimates/SummaryOfOverallLatency"
    longest = _element(root, overall, source).findtext("Worst-caseLatency")
    area = _element(root, "AreaEstimates/Resources", source)
    modules = {
        _text(module, "Name", source): module
        for module in root.iterfind("ModuleInformation/Module")
    }
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"
    return SynthesisReport(
        source=Path(source).name,
        top=top,
        part=_text(root, "UserAssignments/Part", source),
        clock_estimated_ns=parse_ns(_text(root, timing, source), f"{source}: {timing}"),
        latency=parse_most(longest or "", f"{source}: Worst-caseLatency"),
        used=_resources(area, source),
        modules=tuple(_instances(root, modules, source)),
    )


def _parse_xml(data: bytes, source: str) -> Element:
    """Return the root element, which a report of C synthesis calls "profile"."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    _guard(parser, builder, source)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(
            f"{source}: line {error.lineno}: {expat.ErrorString(error.code)}; must be "
            "a complete XML file, so synthesize again if the run was cut short"
        ) from error
    root = builder.close()
    if root.tag != "profile":
        raise InputError(
            f"{source}: root element {root.tag!r}; must be 'profile', as in csynth.xml"
        )
    return root


def _guard(parser: expat.XMLParserType, builder: TreeBuilder, source: str) -> None:
    """Connect a parser to a builder; refuse what could expand or nest without bound."""
    depth = elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if elements > MAX_XML_ELEMENTS:
            raise InputError(
                f"{source}: line {parser.CurrentLineNumber}: more than "
                f"{MAX_XML_ELEMENTS} elements; a report of C synthesis has far fewer"
            )
        if depth > MAX_XML_DEPTH:
            raise InputError(
                f"{source}: line {parser.CurrentLineNumber}: elements nest deeper than "
                f"{MAX_XML_DEPTH}"
            )
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        line = parser.CurrentLineNumber
        raise InputError(
            f"{source}: line {line}: declares a document type or an entity; a "
            "synthesis report has none"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse


def _element(parent: Element, path: str, source: str) -> Element:
    found = parent.find(path)
    if found is None:
        raise InputError(
            f"{source}: element {path} is missing; must be a csynth.xml that C "
            "synthesis completed"
        )
    return found


def _text(parent: Element, path: str, source: str) -> str:
    text = (_element(parent, path, source).text or "").strip()
    if not text:
        raise InputError(f"{source}: element {path} is empty")
    return text


def _resources(area: Element, source: str) -> Resources:
    if area.find("LUT") is None:
        raise InputError(f"{source}: element {area.tag} has no LUT; must have one")
    return hls_resources(area.findtext, source)


def _instances(
    root: Element, modules: dict[str, Element], source: str
) -> Iterator[ModuleRow]:
    """Yield the instances that have a module of their own, parents first."""
    pending = [
        (child, 1)
        for child in reversed(
            root.findall("RTLDesignHierarchy/TopModule/InstancesList/Instance")
        )
    ]
    while pending:
        instance, depth = pending.pop()
        module = modules.get(_text(instance, "ModuleName", source))
        if module is not None:
            yield ModuleRow(
                module=_text(instance, "ModuleName", source),
                instance=_text(instance, "InstName", source),
                depth=depth,
                used=_resources(
                    _element(module, "AreaEstimates/Resources", source), source
                ),
            )
        pending += [
            (child, depth + 1)
            for child in reversed(instance.findall("InstancesList/Instance"))
        ]
