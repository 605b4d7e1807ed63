"""Design files: a result as JSON text, and back.

A file is self-contained: the layers, their bits, the engine with its buffers, the
partition and the whole board are in it, so that it reopens without the zoo or the
board file, on another machine, with the same bytes for the same result. What its keys
are is said in `hao.runs.design_schema`. Costs in the file are a record; a reopened
design is priced anew, and a file whose record disagrees is refused unless its reader
asks for the price of an edited design.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

import hao
from hao.cost.evaluate import CostReport, evaluate
from hao.errors import InputError, UnsupportedError, brief
from hao.files import read_named
from hao.layer_file import dotted, explain
from hao.report.result import SearchResult
from hao.runs.design_schema import (
    SCHEMA,
    DesignFile,
    RecordedCost,
    to_design,
    to_document,
)
from hao.text import plain

FILE_NAME = "design.json"

MAX_FILE_BYTES = 20_000_000
"""Largest design file that is read [bytes] (chosen here; the zoo's have 100 000)."""

MAX_DEPTH = 20
"""Deepest nesting of tables that is read (chosen here; files written have 6)."""

_LARGEST = {"network": 10**6, "engine": 10**6, "board": 10**9}
_LARGEST_ELSEWHERE = 10**15
_LONGEST_TEXT = 4000


def render_design(result: SearchResult) -> str:
    """Return a result as the text of a design file; equal results give equal text.

    Parameters of the network and the run directory are not part of it.
    """
    return json.dumps(to_document(result), indent=1, allow_nan=False) + "\n"


def load_design(path: Path, *, check: bool = True) -> SearchResult:
    """Return the result that a design file records, with its cost computed anew.

    Args:
        path: A run directory, or a design file.
        check: Refuse a file whose recorded cost is not that of its design; `False`
            for a design that somebody edited.

    Raises:
        InputError: The file is missing, malformed, of another schema, not consistent,
            or its record disagrees with the cost. One line: file, key, value, limit.
        UnsupportedError: The network has a layer that the engine cannot run.
    """
    file_path = path / FILE_NAME if path.is_dir() else path
    run = file_path.parent if file_path.name == FILE_NAME else None
    shown = str(path)
    document = read_json(file_path, shown=shown)
    try:
        file = _parsed(document)
        result = _to_result(file, run=run)
        if check:
            _check_record(file.cost, result.cost, str(document["hao"]))
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    except UnsupportedError as error:
        raise UnsupportedError(f"{shown}: {error}") from error
    return result


def read_json(path: Path, *, shown: str, what: str = "design") -> dict[str, object]:
    """Return the object in a JSON file.

    Args:
        path: The file.
        shown: What messages call it.
        what: What it is a file of, for messages.

    Raises:
        InputError: It is missing, too large, not UTF-8, not JSON, no object, or has a
            key twice.
    """
    if not path.exists() and Path(shown).is_dir():
        raise InputError(f"{shown}: no {path.name} in it; must be a run directory")
    kind = "a run directory or a design file" if what == "design" else f"a {what} file"
    content = read_named(path, kind, MAX_FILE_BYTES, shown=shown)
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown}: byte {error.start} is not UTF-8; must be a {what} file"
        ) from error
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown}: {path.name} is not valid JSON: {error}; bring back the whole "
            "file, or write it anew"
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"{shown}: not a {what} file; must be a JSON object")
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise InputError(f"key {brief(twice)} occurs twice in one table")
    return table


def _parsed(document: dict[str, object]) -> DesignFile:
    """Return the checked content of a document.

    Raises:
        InputError: A key is missing, unknown, or its value outside the limits.
    """
    values = dict(document)
    take_schema(values, SCHEMA)
    if not isinstance(values.pop("hao", None), str):
        raise InputError("hao is missing; must be the version that wrote the file")
    check_leaves(values)
    try:
        tagged = with_tagged_layers(values)
        file = DesignFile.model_validate_json(json.dumps(tagged))
    except ValidationError as error:
        raise InputError(explain(error)) from error
    # Where a core type has a default, pydantic lets the key be absent.
    _check_complete(file.model_dump(mode="json"), tagged, ())
    return file


def _check_complete(
    expected: object, given: object, location: tuple[int | str, ...]
) -> None:
    if isinstance(expected, dict) and isinstance(given, dict):
        for name, value in expected.items():
            if name not in given:
                raise InputError(
                    f"{dotted((*location, name))} is missing: the file was edited, or "
                    "another hao wrote it; search anew"
                )
            _check_complete(value, given[name], (*location, name))
    elif isinstance(expected, list) and isinstance(given, list):
        for index, (value, item) in enumerate(zip(expected, given, strict=True)):
            _check_complete(value, item, (*location, index))


def check_leaves(values: dict[str, object]) -> None:
    """Refuse numbers and texts that no design has, wherever they stand."""
    for key, leaf in _leaves(values, "", depth=0):
        largest = _LARGEST.get(key.partition(".")[0], _LARGEST_ELSEWHERE)
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise InputError(f"{key} = {leaf}; must be a finite number")
        if isinstance(leaf, int | float) and abs(leaf) > largest:
            raise InputError(f"{key} = {brief(leaf)}; must be at most {largest}")
        if isinstance(leaf, str) and len(leaf) > _LONGEST_TEXT:
            raise InputError(
                f"{key} has {len(leaf)} characters; must have at most {_LONGEST_TEXT}"
            )


def _leaves(value: object, key: str, *, depth: int) -> Iterator[tuple[str, object]]:
    if depth > MAX_DEPTH:
        raise InputError(f"{key[:60]}...: nested deeper than {MAX_DEPTH} tables")
    if isinstance(value, dict):
        for name, item in value.items():
            below = f"{key}.{name}" if key else str(name)
            yield from _leaves(item, below, depth=depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{key}[{index}]", depth=depth + 1)
    else:
        yield key, value


def take_schema(values: dict[str, object], schema: str) -> None:
    """Take the schema out of a document, or say which version of hao wrote another.

    Raises:
        InputError: It is another one, or missing.
    """
    found, wrote = values.pop("schema", None), values.get("hao")
    if found != schema:
        by = f", written by hao {plain(wrote)[:20]}" if isinstance(wrote, str) else ""
        raise InputError(
            f"schema = {brief(found)}{by}; hao {hao.__version__} reads {schema!r}: "
            "write the file anew, or read it with the version that wrote it"
        )


def with_tagged_layers(values: dict[str, object]) -> dict[str, object]:
    """Return the document with the fields of each layer apart from its type."""
    network = values.get("network")
    if not isinstance(network, dict) or not isinstance(network.get("layers"), list):
        return values
    layers: list[object] = []
    for entry in network["layers"]:
        if not isinstance(entry, dict):
            layers.append(entry)
            continue
        fields = {name: value for name, value in entry.items() if name != "type"}
        tag = {"type": entry["type"]} if "type" in entry else {}
        layers.append({**tag, "fields": fields})
    return {**values, "network": {**network, "layers": layers}}


def _to_result(file: DesignFile, *, run: Path | None) -> SearchResult:
    accuracy = file.accuracy
    if accuracy is not None and not (
        0 <= accuracy.low <= accuracy.mean <= accuracy.high <= 100
    ):
        raise InputError(
            f"accuracy: low {accuracy.low:g}, mean {accuracy.mean:g}, high "
            f"{accuracy.high:g}; must be in this order, from 0 to 100"
        )
    if (accuracy is None) != (file.float_top1 is None):
        raise InputError("accuracy and float_top1 must be both known or both null")
    for number, point in enumerate(file.front):
        if min(point.fps, point.latency_ms) <= 0:
            raise InputError(
                f"front[{number}]: fps {point.fps:g}, latency_ms "
                f"{point.latency_ms:g}; both must be above 0"
            )
        if point.power_mw is not None and point.power_mw < 1:
            raise InputError(
                f"front[{number}].power_mw = {point.power_mw}; must be at least 1"
            )
    design = to_design(file)
    try:
        cost = evaluate(design)
    except (OverflowError, IndexError) as error:
        raise InputError(f"the design is too large to be priced: {error}") from error
    return SearchResult(
        design=design,
        cost=cost,
        image_size=file.image_size,
        float_top1=file.float_top1,
        float_source=file.float_source,
        accuracy=accuracy,
        evidence=file.evidence,
        out_of_range=file.out_of_range,
        basis=file.basis,
        stance=file.stance,
        proof=file.proof,
        objective=file.objective,
        fps_asked=file.fps_asked,
        margin_percent=file.margin_percent,
        front=tuple(file.front),
        block_points=file.block_points,
        run=run,
    )


def _check_record(recorded: RecordedCost, cost: CostReport, writer: str) -> None:
    pairs: list[tuple[str, object, object]] = [
        ("latency_cycles", recorded.latency_cycles, cost.latency_cycles),
        ("multipliers", recorded.multipliers, cost.multipliers),
        ("macs", recorded.macs, cost.macs),
    ]
    then, now = recorded.resources.as_dict(), cost.resources.as_dict()
    pairs += [(f"resources.{kind}", then[kind], now[kind]) for kind in now]
    for key, was, is_now in pairs:
        if was != is_now:
            raise InputError(
                f"cost.{key} = {was}, but the design costs {is_now}: the file was "
                f"edited, or hao {brief(writer)} priced it otherwise than this one, "
                f"{hao.__version__}; run `hao estimate` on it for its cost, or search "
                "anew"
            )
