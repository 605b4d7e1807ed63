"""Types that only a compiler knows: ranks behind a typedef, and whether it compiles.

libclang parses each unit as a tool sees it. In headers from the include path, though,
`__SYNTHESIS__` stays undefined: `ap_int.h` would then ask for built-in functions of the
vendor's compiler. The answers are keyed by file, line and name. Where a header is
missing there are none: that is then the finding, and not what would follow from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clang.cindex import (
    Cursor,
    CursorKind,
    Diagnostic,
    Index,
    TranslationUnit,
    TranslationUnitLoadError,
    TypeKind,
)

from hao.errors import ToolError
from hao.lint.finding import Finding, Rule
from hao.lint.source import Unit

# The wheel of libclang lacks the compiler's own headers (stddef.h); GCC's serve too.
_COMPILER_HEADERS = Path("/usr/lib/gcc")
_ROOT = "/hao-lint/"  # of the files in memory; nothing is read or written there
_VARIABLES = frozenset(
    {CursorKind.VAR_DECL, CursorKind.PARM_DECL, CursorKind.FIELD_DECL}
)
_ARRAYS = frozenset(
    {
        TypeKind.CONSTANTARRAY,
        TypeKind.INCOMPLETEARRAY,
        TypeKind.DEPENDENTSIZEDARRAY,
        TypeKind.VARIABLEARRAY,
    }
)


@dataclass(frozen=True, slots=True)
class VariableType:
    """What the compiler knows of a variable.

    Attributes:
        extents: Of each dimension, None where a template leaves it open.
        element: Spelling of the element type, typedefs resolved.
    """

    extents: tuple[int | None, ...]
    element: str


# By path, line and name.
Types = Mapping[tuple[str, int, str], VariableType]


def compile_unit(
    unit: Unit, include_paths: Sequence[Path]
) -> tuple[dict[tuple[str, int, str], VariableType], tuple[Finding, ...]]:
    """Return the types of the variables of a unit, and why it does not compile.

    Args:
        unit: As one tool sees it; read as C++14.
        include_paths: Folders of `ap_int.h`, `hls_stream.h` and the like.

    Raises:
        ToolError: libclang cannot start.
    """
    texts = {
        _ROOT + source.path: "#pragma once\n" + "\n".join(source.active.lines)
        for source in unit.sources
    }
    arguments = ["-x", "c++", "-std=c++14", "-Wno-everything", "-ferror-limit=20"]
    arguments += [f"-I{path.resolve()}" for path in include_paths]
    arguments += [f"-I{folder}" for folder in sorted({_folder(name) for name in texts})]
    arguments += [f"-idirafter{path}" for path in _compiler_headers()]
    try:
        parsed = Index.create().parse(
            _ROOT + unit.root, args=arguments, unsaved_files=list(texts.items())
        )
    except TranslationUnitLoadError as error:
        raise ToolError(
            f"{unit.root}: libclang cannot parse it ({error}); "
            "reinstall the package libclang",
            command=("libclang", *arguments),
        ) from error
    lines = {_ROOT + source.path: source.active.origins for source in unit.sources}
    types = dict(_types(parsed.cursor, lines))
    return types, tuple(_errors(parsed, unit, lines))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _compiler_headers() -> list[Path]:
    """Return the folder of the newest GCC's own headers, if there is one."""
    found = sorted(
        _COMPILER_HEADERS.glob("*/*/include/stddef.h"),
        key=lambda path: [int(part) for part in path.parts[-3].split(".")],
    )
    return [path.parent for path in found[-1:]]


def _types(
    cursor: Cursor, lines: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[tuple[str, int, str], VariableType]]:
    for child in cursor.get_children():
        file = child.location.file
        if file is None or file.name not in lines:
            continue
        if child.kind in _VARIABLES and child.spelling:
            line = lines[file.name][child.location.line - 2]
            yield (
                (file.name.removeprefix(_ROOT), line, child.spelling),
                _variable_type(child),
            )
        yield from _types(child, lines)


def _variable_type(cursor: Cursor) -> VariableType:
    kind = cursor.type.get_canonical()
    if kind.kind in {TypeKind.LVALUEREFERENCE, TypeKind.RVALUEREFERENCE}:
        kind = kind.get_pointee()
    extents: list[int | None] = []
    while kind.kind in _ARRAYS:
        known = kind.kind == TypeKind.CONSTANTARRAY
        extents.append(kind.element_count if known else None)
        kind = kind.element_type.get_canonical()
    return VariableType(tuple(extents), kind.spelling)


def _errors(
    parsed: TranslationUnit, unit: Unit, lines: Mapping[str, tuple[int, ...]]
) -> Iterator[Finding]:
    faults = [item for item in parsed.diagnostics if item.severity >= Diagnostic.Error]
    missing = [item for item in faults if item.spelling.endswith("file not found")]
    for fault in missing or faults:
        file = fault.location.file
        if file is None or file.name not in lines:
            path, line = unit.root, 1
        else:
            path = file.name.removeprefix(_ROOT)
            line = lines[file.name][max(fault.location.line - 2, 0)]
        if missing:
            yield Finding(
                path,
                line,
                Rule.MISSING_HEADER.value,
                f"{fault.spelling}; give its folder in include_paths",
            )
        else:
            yield Finding(path, line, Rule.SYNTAX.value, fault.spelling)
