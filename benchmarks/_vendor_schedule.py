"""A loop as Vitis HLS itself scheduled it, read from a `*.verbose.sched.rpt`.

The vendor's own operators, with the delays that it printed, become a graph of
`hao.schedule`: what is left to predict is the initiation interval alone. So this judges
the rules of recurrences and ports, apart from the way from C++ to operators.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from hao.schedule.graph import Operator, OperatorGraph, OperatorKind
from hao.schedule.ir import NOWHERE

_CLOCK = re.compile(
    r"\|\s*ap_clk\s*\|\s*([\d.]+)(?: ns)?\s*\|\s*[\d.]+(?: ns)?\s*\|\s*([\d.]+)"
)
_PIPELINE = re.compile(r"Pipeline-0 : II = (\d+), D = (\d+), States = \{ ([\d ]+)\}")
_TARGET = re.compile(
    r"^\s*\|[-+ ]+\S[^|]*\|[^|]*\|[^|]*\|[^|]*"
    r"\|\s*(\d+)\s*\|\s*(\d+)\s*\|[^|]*\|\s*yes",
    re.MULTILINE,
)
_PART = re.compile(r"Target device:\s*(\S+)")
_VERSION = re.compile(r"Version:\s*(\d+\.\d+)")
_LINE = re.compile(
    r"^ST_(?P<state>\d+)\s*:\s*Operation (?P<number>\d+) "
    r"\[(?P<stage>\d+)/(?P<stages>\d+)\] "
    r"\(\s*(?:I:)?(?P<delay>[\d.]+)ns(?: O:(?P<out>[\d.]+)ns)?\s*\)(?: \([^)]*\))?"
    r"\s+--->\s+\"(?P<text>.*?)\"(?: \[[^\"]*?\])?\s+--->\s+"
    r"Operation \d+ '(?P<op>\w+)' '(?P<name>.*?)' (?P<rest>.*)$",
    re.MULTILINE,
)
_BUS = re.compile(r"@_ssdm_op_(Read|Write|NbRead|NbWrite)\.(ap_fifo|axis|m_axi)")
_FLOAT = re.compile(r"[dfh](?:add|sub|mul|div|addsub)|call")
_PORTS = re.compile(r"<Ports = (\d+)>")

Guard = frozenset[tuple[str, bool]]


@dataclass(slots=True)
class Entry:
    """An operation of the report: its first stage, and what its last one adds."""

    name: str
    op: str
    text: str
    rest: str
    number: int
    state: str
    stages: int
    delay: float
    out: float = 0.0
    node: int = -1


@dataclass(slots=True)
class VendorLoop:
    """A pipelined loop and what the vendor made of it.

    Attributes:
        part: Of the FPGA.
        version: Of the tool.
        clock_ns: Clock period [ns].
        budget_ns: Less the uncertainty [ns].
        target: Interval asked for.
        achieved: Interval reached.
        depth: Of its pipeline.
        graph: Its operators.
        ports: Conditions of every access by port, and accesses that it takes a cycle.
        rewrites: Whether an array is both read and written, or a function is called.
    """

    part: str
    version: str
    clock_ns: float
    budget_ns: float
    target: int
    achieved: int
    depth: int
    graph: OperatorGraph = field(default_factory=OperatorGraph)
    ports: dict[str, tuple[list[Guard], int]] = field(default_factory=dict)
    rewrites: bool = False

    def port_interval(self) -> int:
        """Return the interval that the ports force, at least 1."""
        found = [-(-together(guards) // width) for guards, width in self.ports.values()]
        return max([1, *found])


def read_loop(text: str) -> VendorLoop | None:
    """Return the loop of a report; `None` if it has none, several, or no target."""
    clock, pipe = _CLOCK.search(text), _PIPELINE.search(text)
    target, part = _TARGET.findall(text), _PART.search(text)
    if not clock or not pipe or "Pipeline-1 :" in text or len(target) != 1 or not part:
        return None
    version = _VERSION.search(text)
    period, kept = float(clock.group(1)), float(clock.group(2))
    loop = VendorLoop(
        part.group(1),
        version.group(1) if version else "",
        period,
        period - kept,
        int(target[0][1]),
        int(pipe.group(1)),
        int(pipe.group(2)),
    )
    _Reader(loop, text, frozenset(pipe.group(3).split())).read()
    return loop


class _Reader:
    """A report on its way into a loop."""

    def __init__(self, loop: VendorLoop, text: str, states: frozenset[str]) -> None:
        self.loop = loop
        self.states = states
        self.scalars: set[str] = set()
        self.addresses: dict[str, str] = {}
        self.entries = self._entries(text)
        branches = [item.number for item in self.entries if item.op == "br"]
        self.head = min(branches, default=0)
        self.by_name: dict[str, Entry] = {}

    def _entries(self, text: str) -> list[Entry]:
        found: list[Entry] = []
        first: dict[tuple[str, str], Entry] = {}
        for match in _LINE.finditer(text):
            op, rest = match["op"], match["rest"]
            name = re.sub(r"\W", "_", match["name"])
            if op in ("store", "write", "br", "ret", "call"):
                name += f"#{match['number']}"
            if op == "alloca":
                if "CoreInst" not in rest and "CoreType" not in rest:
                    self.scalars.add(name)
                continue
            key = (match["text"], op)
            if match["stage"] != match["stages"] and key in first:
                later = max(float(match["delay"]), float(match["out"] or 0))
                first[key].out = later
                continue
            entry = Entry(
                name,
                op,
                match["text"],
                rest,
                int(match["number"]),
                match["state"],
                int(match["stages"]),
                float(match["delay"]),
            )
            first[key] = entry
            found.append(entry)
        return found

    def read(self) -> None:
        """Fill the loop."""
        used: list[tuple[Entry, list[str]]] = []
        stores: dict[str, list[Entry]] = defaultdict(list)
        loads: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.state not in self.states:
                continue
            names = self._names(entry)
            if entry.op == "getelementptr":
                base = re.search(r"getelementptr \S+ %([\w.]+)", entry.text)
                self.addresses[entry.name] = base.group(1) if base else ""
            if entry.op == "store":
                target = re.findall(r"%([\w.]+)", entry.text.split(",")[-1])
                if target and target[0] in self.scalars:
                    if entry.number < self.head:
                        continue
                    stores[target[0]].append(entry)
                    names = [name for name in names if name != target[0]]
            elif entry.op == "load" and names and names[0] in self.scalars:
                loads[names[0]].append(entry)
                names = []
            if entry.op in ("br", "ret", "switch"):
                continue
            entry.node = self.loop.graph.add(_operator(entry))
            self.by_name[entry.name] = entry
            used.append((entry, names))
        self._join(used, stores, loads)
        self._ports(used)

    def _names(self, entry: Entry) -> list[str]:
        text = re.sub(r"void %[\w.]+|@[\w.]+", "", entry.text)
        made = re.match(r"%([\w.]+) =", entry.text)
        names: list[str] = re.findall(r"%([\w.]+)", text)
        return [name for name in names if not made or name != made.group(1)]

    def _join(
        self,
        used: list[tuple[Entry, list[str]]],
        stores: dict[str, list[Entry]],
        loads: dict[str, list[Entry]],
    ) -> None:
        graph = self.loop.graph
        for entry, names in used:
            for name in names:
                source = self.by_name.get(name)
                if source is None or source is entry:
                    continue
                # Vivado HLS keeps the phis of a loop.
                is_carried = entry.op == "phi" and source.number > entry.number
                graph.join(source.node, entry.node, 1 if is_carried else 0)
        for variable, writes in stores.items():
            for write in writes:
                # The register's multiplexer is no part of the interval's check.
                graph.operators[write.node].delay = 0.0
                for read in loads.get(variable, ()):
                    graph.join(write.node, read.node, 1)

    def _ports(self, used: list[tuple[Entry, list[str]]]) -> None:
        touched: dict[str, set[str]] = defaultdict(set)
        for entry, names in used:
            guard = _guard(entry.rest)
            bus = _BUS.search(entry.text)
            if entry.op in ("load", "store"):
                bases = [
                    self.addresses[name] for name in names if name in self.addresses
                ]
                if bases and bases[-1]:
                    touched[bases[-1]].add(entry.op)
                    self._add_memory(bases[-1], entry, guard)
            elif bus and names:
                which = names[-1] if "Write" not in bus.group(1) else names[0]
                base = self.addresses.get(which, which)
                side = "r" if "Read" in bus.group(1) else "w"
                self._add(f"{bus.group(2)} {base} {side}", guard, 1)
        self.loop.rewrites = any(len(ops) == 2 for ops in touched.values()) or any(
            entry.op == "call" for entry, _ in used
        )

    def _add_memory(self, base: str, entry: Entry, guard: Guard) -> None:
        counted = _PORTS.search(entry.rest)
        ports = int(counted.group(1)) if counted else 2
        if ports <= 2:
            self._add(base, guard, 2)
        elif entry.op == "store":  # one that writes, the others read
            self._add(f"{base} w", guard, 1)
        else:
            self._add(f"{base} r", guard, ports - 1)

    def _add(self, port: str, guard: Guard, width: int) -> None:
        self.loop.ports.setdefault(port, ([], width))[0].append(guard)


def _operator(entry: Entry) -> Operator:
    latency = entry.stages - 1
    out = entry.out if latency else 0.0
    delay = entry.delay
    if latency > 1 and _FLOAT.match(entry.op):
        # A float core registers its inputs: a sum repeats every `latency` cycles.
        return Operator(OperatorKind.FLOAT, 0, 0.0, latency + 1, 0.0, NOWHERE, 0)
    kind = OperatorKind.LOAD if entry.op == "load" and latency else OperatorKind.WIRE
    return Operator(kind, 0, delay, latency, out, NOWHERE, 0)


def _guard(rest: str) -> Guard:
    """Return the conditions of an operation, where they are a plain conjunction."""
    found = re.search(r"<Predicate = \(([^)]*)\)>", rest)
    if not found or "|" in found.group(1):
        return frozenset()
    terms = [term.strip() for term in found.group(1).split("&")]
    return frozenset((t.lstrip("!"), not t.startswith("!")) for t in terms if t)


def together(guards: Iterable[Guard]) -> int:
    """Return how many accesses may happen in one iteration, found greedily."""
    counts: dict[Guard, int] = defaultdict(int)
    for guard in guards:
        counts[guard] += 1
    best = 0
    for first in counts:
        chosen: list[Guard] = []
        total = 0
        for guard in [first, *(other for other in counts if other != first)]:
            against = {(name, not sign) for name, sign in guard}
            if not any(against & other for other in chosen):
                chosen.append(guard)
                total += counts[guard]
        best = max(best, total)
    return best
