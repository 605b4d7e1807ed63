"""Compare one HLS pragma with the grammar of a tool generation.

Nothing fails: what does not fit becomes a fault, and the rest is kept for the rules on
places and variables.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hao.hls.source import Pragma
from hao.lint.finding import LintRule, Tool
from hao.lint.pragmas import (
    FLAG_SUCCESSORS,
    GRAMMARS,
    OPERATION_IMPLS,
    STORAGE_IMPLS,
    SUCCESSORS,
    Grammar,
    ValueKind,
)

_MISSPELT = re.compile(r"(HSL|HL|HLSS|HLS_\w*|HLSL|HILS)\b", re.IGNORECASE)
_LITERAL = re.compile(r"[-+]?\d+$")
_VARIABLE = re.compile(r"[A-Za-z_][\w.:\[\]>*-]*$")
_IMPLS = frozenset().union(*STORAGE_IMPLS.values(), *OPERATION_IMPLS.values())

Fault = tuple[LintRule, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """A pragma as a tool reads it.

    Attributes:
        name: In lower case, such as `array_partition`.
        options: Values by option; a word that stands alone is under the option whose
            word it is.
        flags: Words that belong to no option.
        faults: What the grammar finds wrong.
    """

    name: str
    options: Mapping[str, str]
    flags: frozenset[str]
    faults: tuple[Fault, ...]

    @property
    def subject(self) -> str:
        """The variable or port it names, empty where it names none."""
        return self.options.get("variable", self.options.get("port", ""))

    @property
    def base(self) -> str:
        """The subject without fields and subscripts."""
        return re.split(r"[.\[]", self.subject)[0]


def is_misspelt(text: str) -> bool:
    """Return whether what follows `#pragma` looks like `HLS` misspelt."""
    return _MISSPELT.match(text.strip()) is not None


def read_pragma(pragma: Pragma, tool: Tool) -> Reading:
    """Return a pragma as a tool reads it, with its faults."""
    grammar = GRAMMARS[tool].get(pragma.kind)
    known = Grammar() if grammar is None else grammar
    options: dict[str, str] = {}
    flags: set[str] = set()
    faults: list[Fault] = []
    for word, value in pragma.items:
        key, value = (word, value) if value else (_owner(known, word), word)
        if (key or word) in options.keys() | flags:
            faults.append((LintRule.PRAGMA_REPEATED, f"{key or word} stands twice"))
        if key:
            options.setdefault(key, value)
        else:
            flags.add(word)
        if grammar is not None and key == word:
            faults += _value_faults(grammar, key, value, tool)
    if grammar is None:
        faults.append(_unknown(pragma.kind, tool))
    else:
        faults += _flag_faults(pragma.kind, grammar, flags, tool)
        faults += [
            (LintRule.PRAGMA_MISSING, f"{key}= is required")
            for key, option in grammar.options.items()
            if option.required and key not in options
        ]
    faults += _combination_faults(pragma.kind, options)
    return Reading(pragma.kind, options, frozenset(flags), tuple(faults))


def _owner(grammar: Grammar, word: str) -> str:
    """Return the option that a word may stand for alone, empty for none."""
    owners = (
        k for k, o in grammar.options.items() if o.positional and word in o.values
    )
    return next(owners, "")


def _unknown(name: str, tool: Tool) -> Fault:
    successor = SUCCESSORS.get(name)
    if successor is not None:
        return LintRule.PRAGMA_OBSOLETE, f"is obsolete in {tool.value}; use {successor}"
    return LintRule.PRAGMA_UNKNOWN, f"is no pragma of {tool.value}"


def _value_faults(
    grammar: Grammar, key: str, value: str, tool: Tool
) -> Iterator[Fault]:
    option = grammar.options.get(key)
    if option is None:
        known = ", ".join(sorted(grammar.options)) or "none"
        yield (
            LintRule.PRAGMA_OPTION,
            f"{tool.value} has no option {key}=; known: {known}",
        )
        return
    if not option.keyword:
        yield LintRule.PRAGMA_OPTION, f"{tool.value} takes {value} without {key}="
    wanted = ""
    if option.kind is ValueKind.ENUM and value.lower() not in option.values:
        wanted = "be one of " + ", ".join(sorted(option.values))
    elif option.kind is ValueKind.INTEGER and _below(value, option.minimum):
        wanted = f"be at least {option.minimum}"
    elif option.kind is ValueKind.NAME and not _VARIABLE.match(value):
        wanted = "name a variable"
    if wanted:
        yield LintRule.PRAGMA_VALUE, f"{key}={value}; must {wanted}"


def _below(value: str, minimum: int) -> bool:
    return _LITERAL.match(value) is not None and int(value) < minimum


def _flag_faults(
    name: str, grammar: Grammar, flags: set[str], tool: Tool
) -> Iterator[Fault]:
    for flag in sorted(flags - grammar.flags):
        successor = FLAG_SUCCESSORS.get((name, flag))
        if successor is not None:
            message = f"{flag} is obsolete in {tool.value}; use {successor}"
            yield LintRule.PRAGMA_OBSOLETE, message
        else:
            yield LintRule.PRAGMA_OPTION, f"{tool.value} does not know the word {flag}"


def _combination_faults(name: str, options: Mapping[str, str]) -> Iterator[Fault]:
    """Find options that are legal alone but not together."""
    chosen = {key: value.lower() for key, value in options.items()}
    kind, impl = chosen.get("type", ""), chosen.get("impl", "")
    match name:
        case "array_partition" | "array_reshape":
            if kind in {"block", "cyclic"} and "factor" not in chosen:
                yield LintRule.PRAGMA_MISSING, f"{kind} requires factor="
            if kind in {"", "complete"} and "factor" in chosen:
                message = "factor= has no effect on complete; write block or cyclic"
                yield LintRule.PRAGMA_VALUE, message
        case "bind_storage" | "bind_op":
            table = STORAGE_IMPLS if name == "bind_storage" else OPERATION_IMPLS
            what = kind if name == "bind_storage" else chosen.get("op", "")
            allowed = table.get(what, frozenset())
            if allowed and impl in _IMPLS - allowed:
                message = f"{what} has no impl={impl}; must be one of "
                yield LintRule.PRAGMA_VALUE, message + ", ".join(sorted(allowed))
        case "latency" if not chosen:
            yield LintRule.PRAGMA_MISSING, "min= or max= is required"
        case "dependence" if not chosen.keys() & {"variable", "class"}:
            yield LintRule.PRAGMA_MISSING, "variable= or class is required"
        case "dependence" if chosen.keys() >= {"variable", "class"}:
            yield LintRule.PRAGMA_VALUE, "variable= and class exclude each other"
    low, high = chosen.get("min", ""), chosen.get("max", "")
    if _LITERAL.match(low) and _LITERAL.match(high) and int(low) > int(high):
        yield LintRule.PRAGMA_VALUE, f"min={low} exceeds max={high}"
