"""Read one HLS pragma and compare it with the grammar of a tool generation.

The text is what follows `#pragma`, such as `HLS UNROLL factor=4`. Reading never fails:
what does not fit becomes a fault, and the rest is kept for the rules on places and
variables.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hao.lint.finding import Rule, Tool
from hao.lint.pragmas import (
    FLAG_SUCCESSORS,
    GRAMMARS,
    OPERATION_IMPLS,
    STORAGE_IMPLS,
    SUCCESSORS,
    Grammar,
    Kind,
    Option,
)

# `name = value` with a value in quotes, in braces, or up to a space; or a word.
_ITEM = re.compile(
    r'([\w.:\[\]]+)\s*=\s*("[^"]*"|\{[^}]*\}|\([^)]*\)|[^\s=]+)|([^\s=]+)'
)
_MISSPELT = re.compile(r"^(HSL|HL|HLSS|HLS_\w*|HLSL|HILS)\b", re.IGNORECASE)
_LITERAL = re.compile(r"[-+]?\d+$")

Fault = tuple[Rule, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pragma:
    """A pragma as written.

    Attributes:
        name: In lower case, such as `array_partition`.
        options: Values by option name in lower case; a positional word stands under
            the option whose word it is.
        flags: Bare words that belong to no option.
    """

    name: str
    options: Mapping[str, str]
    flags: frozenset[str]

    @property
    def subject(self) -> str:
        """The variable or port it names, empty where it names none."""
        return self.options.get("variable", self.options.get("port", ""))

    @property
    def base(self) -> str:
        """The subject without fields and subscripts."""
        return re.split(r"[.\[]", self.subject)[0]


def is_hls(text: str) -> bool:
    """Return whether the text after `#pragma` addresses the HLS tool."""
    return re.match(r"\s*HLS\b", text, re.IGNORECASE) is not None


def is_misspelt(text: str) -> bool:
    """Return whether the text looks like `HLS` misspelt, which tools skip silently."""
    return _MISSPELT.match(text.strip()) is not None


def parse_pragma(text: str, tool: Tool) -> tuple[Pragma, tuple[Fault, ...]]:
    """Return the pragma and what the grammar of the tool finds wrong with it.

    Args:
        text: What follows `#pragma`, beginning with `HLS`.
        tool: Whose grammar applies.
    """
    items = list(_ITEM.finditer(text.strip()))[1:]
    if not items or items[0][3] is None:
        empty = Pragma(name="", options={}, flags=frozenset())
        return empty, ((Rule.PRAGMA_UNKNOWN, "HLS pragma without a name"),)
    name = items[0][3].lower()
    grammar = GRAMMARS[tool].get(name)
    faults: list[Fault] = []
    options: dict[str, str] = {}
    flags: set[str] = set()
    for item in items[1:]:
        if item[1] is not None:
            key, value = item[1].lower(), item[2].strip('"')
        else:
            word = item[3].lower()
            key, value = _positional(grammar, word)
            if not key:
                if word in flags:
                    faults.append((Rule.PRAGMA_REPEATED, f"{name}: {word} twice"))
                flags.add(word)
                continue
        if key in options:
            faults.append((Rule.PRAGMA_REPEATED, f"{name}: {key} given twice"))
        options.setdefault(key, value)
        if grammar is not None and item[1] is not None:
            faults.extend(_option_faults(name, grammar, key, value, tool))
    if grammar is None:
        faults.append(_unknown(name, tool))
    else:
        faults.extend(_flag_faults(name, grammar, flags, tool))
        faults.extend(_missing(name, grammar, options))
    pragma = Pragma(name=name, options=options, flags=frozenset(flags))
    faults.extend(_combination_faults(pragma))
    return pragma, tuple(faults)


def _positional(grammar: Grammar | None, word: str) -> tuple[str, str]:
    """Return the option whose positional word this is, and the word."""
    if grammar is not None:
        for key, option in grammar.options.items():
            if option.positional and word in option.values:
                return key, word
    return "", ""


def _unknown(name: str, tool: Tool) -> Fault:
    successor = SUCCESSORS.get(name)
    if successor is not None:
        return (
            Rule.PRAGMA_OBSOLETE,
            f"{name.upper()} is obsolete in {tool.value}; use {successor}",
        )
    return Rule.PRAGMA_UNKNOWN, f"{name.upper()} is no pragma of {tool.value}"


def _option_faults(
    name: str, grammar: Grammar, key: str, value: str, tool: Tool
) -> Iterator[Fault]:
    option = grammar.options.get(key)
    if option is None:
        known = ", ".join(sorted(grammar.options)) or "none"
        yield (
            Rule.PRAGMA_OPTION,
            f"{name}: {tool.value} has no option {key}=; known: {known}",
        )
        return
    if not option.keyword:
        yield (
            Rule.PRAGMA_OPTION,
            f"{name}: {tool.value} takes {value} without {key}=",
        )
    yield from _value_faults(name, key, value, option)


def _value_faults(name: str, key: str, value: str, option: Option) -> Iterator[Fault]:
    if option.kind is Kind.ENUM and value.lower() not in option.values:
        allowed = ", ".join(sorted(option.values))
        yield Rule.PRAGMA_VALUE, f"{name}: {key}={value}; must be one of {allowed}"
    if (
        option.kind is Kind.INTEGER
        and _LITERAL.match(value)
        and int(value) < option.minimum
    ):
        yield (
            Rule.PRAGMA_VALUE,
            f"{name}: {key}={value}; must be at least {option.minimum}",
        )
    if option.kind is Kind.NAME and not re.match(r"[A-Za-z_][\w.:\[\]>*-]*$", value):
        yield Rule.PRAGMA_VALUE, f"{name}: {key}={value}; must name a variable"


def _flag_faults(
    name: str, grammar: Grammar, flags: set[str], tool: Tool
) -> Iterator[Fault]:
    for flag in sorted(flags - grammar.flags):
        successor = FLAG_SUCCESSORS.get((name, flag))
        if successor is not None:
            yield (
                Rule.PRAGMA_OBSOLETE,
                f"{name}: {flag} is obsolete in {tool.value}; use {successor}",
            )
        else:
            yield (
                Rule.PRAGMA_OPTION,
                f"{name}: {tool.value} does not know the word {flag}",
            )


def _missing(
    name: str, grammar: Grammar, options: Mapping[str, str]
) -> Iterator[Fault]:
    for key, option in grammar.options.items():
        if option.required and key not in options:
            yield Rule.PRAGMA_MISSING, f"{name}: {key}= is required"


def _combination_faults(pragma: Pragma) -> Iterator[Fault]:
    """Find options that are legal alone but not together."""
    options = {key: value.lower() for key, value in pragma.options.items()}
    kind, impl = options.get("type", ""), options.get("impl", "")
    if pragma.name in {"array_partition", "array_reshape"}:
        if kind in {"block", "cyclic"} and "factor" not in options:
            yield Rule.PRAGMA_MISSING, f"{pragma.name}: {kind} requires factor="
        if kind in {"", "complete"} and "factor" in options:
            yield (
                Rule.PRAGMA_VALUE,
                f"{pragma.name}: factor= has no effect on complete; "
                "write block or cyclic",
            )
    if pragma.name == "bind_storage" and kind in STORAGE_IMPLS and impl:
        yield from _impl_fault(pragma.name, kind, impl, STORAGE_IMPLS[kind])
    operation = options.get("op", "")
    if pragma.name == "bind_op" and operation in OPERATION_IMPLS and impl:
        yield from _impl_fault(pragma.name, operation, impl, OPERATION_IMPLS[operation])
    if pragma.name == "latency" and not options:
        yield Rule.PRAGMA_MISSING, "latency: min= or max= is required"
    if pragma.name == "dependence":
        yield from _dependence_faults(options)
    low, high = options.get("min", ""), options.get("max", "")
    if _LITERAL.match(low) and _LITERAL.match(high) and int(low) > int(high):
        yield Rule.PRAGMA_VALUE, f"{pragma.name}: min={low} exceeds max={high}"


def _impl_fault(
    name: str, kind: str, impl: str, allowed: frozenset[str]
) -> Iterator[Fault]:
    if impl not in allowed and any(
        impl in values
        for table in (STORAGE_IMPLS, OPERATION_IMPLS)
        for values in table.values()
    ):
        yield (
            Rule.PRAGMA_VALUE,
            f"{name}: {kind} has no impl={impl}; must be one of "
            + ", ".join(sorted(allowed)),
        )


def _dependence_faults(options: Mapping[str, str]) -> Iterator[Fault]:
    if "variable" not in options and "class" not in options:
        yield Rule.PRAGMA_MISSING, "dependence: variable= or class is required"
    if "variable" in options and "class" in options:
        yield Rule.PRAGMA_VALUE, "dependence: variable= and class exclude each other"
