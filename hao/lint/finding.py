"""What the lint reports: findings, and how they print.

A finding is a fault that one of the tool generations would refuse, ignore or turn into
other hardware than the design counts on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Tool(Enum):
    """The generations of the synthesis tool, which differ in their pragmas."""

    VIVADO_HLS = "Vivado HLS"  # to 2020.1
    VITIS_HLS = "Vitis HLS"  # from 2020.2


class LintRule(Enum):
    """Every rule of the lint; the value is what a finding prints."""

    SYNTAX = "syntax"
    MISSING_HEADER = "missing-header"
    PRAGMA_NAMESPACE = "pragma-namespace"
    PRAGMA_UNKNOWN = "pragma-unknown"
    PRAGMA_OBSOLETE = "pragma-obsolete"
    PRAGMA_OPTION = "pragma-option"
    PRAGMA_VALUE = "pragma-value"
    PRAGMA_MISSING = "pragma-missing"
    PRAGMA_REPEATED = "pragma-repeated"
    SCOPE_PLACE = "scope-place"
    SCOPE_VARIABLE = "scope-variable"
    SCOPE_ORDER = "scope-order"
    SCOPE_CONFLICT = "scope-conflict"
    INTERFACE_TOP = "interface-top"
    INTERFACE_PORT = "interface-port"
    PARTITION_ARRAY = "partition-array"
    PARTITION_DIM = "partition-dim"
    PARTITION_FACTOR = "partition-factor"
    STREAM_TYPE = "stream-type"
    SYNTH_MEMORY = "synth-memory"
    SYNTH_RECURSION = "synth-recursion"
    SYNTH_VIRTUAL = "synth-virtual"
    SYNTH_EXCEPTION = "synth-exception"
    SYNTH_CONTAINER = "synth-container"
    SYNTH_FUNCTION_POINTER = "synth-function-pointer"
    SYNTH_DYNAMIC_ARRAY = "synth-dynamic-array"
    SYNTH_SYSTEM_CALL = "synth-system-call"
    SYNTH_POINTER = "synth-pointer"
    SYNTH_GOTO = "synth-goto"
    LOOP_TRIPCOUNT = "loop-tripcount"
    DATAFLOW_FORM = "dataflow-form"
    DATAFLOW_CHANNEL = "dataflow-channel"
    DATAFLOW_ARGUMENT = "dataflow-argument"
    MULTIPLY_BINDING = "multiply-binding"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault.

    Attributes:
        path: File, as the caller named it.
        line: Line in that file, from 1.
        rule: Value of a `LintRule`.
        message: What is wrong and what is allowed, on one line.
    """

    path: str
    line: int
    rule: str
    message: str


def render_findings(findings: Iterable[Finding]) -> str:
    """Return one line per finding, `path:line: rule: message`, empty for none."""
    return "".join(
        f"{item.path}:{item.line}: {item.rule}: {item.message}\n" for item in findings
    )
