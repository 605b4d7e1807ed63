"""How files of a run say what a layer is: its `type`, and beside it its fields.

pydantic reads the fields of the core types strictly (no unknown key, no text for a
number), and they check themselves when they are made.
"""

from typing import Annotated, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hao.errors import brief
from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    Quantize,
)


class FileTable(BaseModel):
    """A table of a file: no key but its own, no text for a number."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


_Type = TypeVar("_Type", bound=str)
_Fields = TypeVar("_Fields")


class _Entry(FileTable, Generic[_Type, _Fields]):
    type: _Type
    fields: _Fields


_Entries = (
    _Entry[Literal["input"], Input]
    | _Entry[Literal["conv"], Conv]
    | _Entry[Literal["depthwise"], Depthwise]
    | _Entry[Literal["linear"], Linear]
    | _Entry[Literal["pool"], Pool]
    | _Entry[Literal["global_average_pool"], GlobalAveragePool]
    | _Entry[Literal["add"], Add]
    | _Entry[Literal["affine"], Affine]
    | _Entry[Literal["activation"], Activation]
    | _Entry[Literal["quantize"], Quantize]
)
LayerEntry = Annotated[_Entries, Field(discriminator="type")]
"""A layer as a file has it."""

_TYPES: dict[type, str] = {
    table.model_fields["fields"].annotation: get_args(
        table.model_fields["type"].annotation
    )[0]
    for table in get_args(_Entries)
}
LAYER_TYPES = tuple(_TYPES.values())
"""What the files call the kinds of layers."""


def layer_type(layer: Layer) -> str:
    """Return what the files call the kind of a layer."""
    return _TYPES[type(layer)]


def explain(refused: ValidationError) -> str:
    """Return the first thing that is wrong as "key = value; limit" on one line."""
    error = refused.errors()[0]
    key = dotted(error["loc"])
    match error["type"]:
        case "json_invalid":
            return f"not valid JSON: {error['ctx']['error']}"
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{key}: unknown key"
        case "union_tag_not_found":
            return f"{key}.type is missing; must be {', '.join(LAYER_TYPES)}"
        case "union_tag_invalid":
            tag = brief(error["ctx"]["tag"])
            return f"{key}.type = {tag}; must be one of {', '.join(LAYER_TYPES)}"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case _:
            limit = error["msg"].removeprefix("Input should be ")
            return f"{key or 'file'} = {brief(error['input'])}; must be {limit}"


def dotted(location: tuple[int | str, ...]) -> str:
    """Return a pydantic location as the key that a reader finds in the file."""
    parts = list(location)
    if parts[:2] == ["network", "layers"] and "fields" in parts:
        # After the index come the type and "fields", which the file does not have.
        parts = parts[:3] + parts[parts.index("fields") + 1 :]
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
