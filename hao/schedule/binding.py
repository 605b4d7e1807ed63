"""Whether a pragma binds a product to DSP slices or to LUTs.

The pragma names the variable that the product is assigned to. The line of the product
is known, and the text of that line, or of the one before, names the variable.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from hao.hls.source import Pragma
from hao.schedule.ir import SourceLine, source_lines

_ASSIGNED = re.compile(r"(\w+)(?:\[[^\]]*\])*\s*=(?!=)")


def bound_to_fabric(pragmas: Sequence[Pragma], place: SourceLine) -> bool | None:
    """Return whether a product at a place is built of LUTs; `None` if nothing says."""
    for row in (place.line, place.line - 1):
        for name in _ASSIGNED.findall(_line(place.path, row)):
            nearest = [
                item
                for item in pragmas
                if item.kind in ("bind_op", "resource")
                and item.path == place.path
                and item.variable == name
            ]
            if nearest:
                item = min(nearest, key=lambda one: abs(one.line - place.line))
                how = item.options.get("impl") or item.options.get("core") or ""
                return "dsp" not in how.lower()
    return None


@lru_cache(maxsize=4096)
def _line(path: str, line: int) -> str:
    lines = source_lines(path)
    return lines[line - 1] if 0 < line <= len(lines) else ""
