"""How files of a run say what a layer is: its `type`, and beside it its fields.

pydantic reads the fields of the core types strictly (no unknown key, no text for a
number), and they check themselves when they are made.
"""

from typing import Annotated, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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


def _current_pool(fields: object) -> object:
    """Return the fields of a pool without one that pools had before.

    `include_padding` was true in all files that could be built.
    """
    if not isinstance(fields, dict) or fields.get("include_padding") is not True:
        return fields
    return {name: value for name, value in fields.items() if name != "include_padding"}


_Entries = (
    _Entry[Literal["input"], Input]
    | _Entry[Literal["conv"], Conv]
    | _Entry[Literal["depthwise"], Depthwise]
    | _Entry[Literal["linear"], Linear]
    | _Entry[Literal["pool"], Annotated[Pool, BeforeValidator(_current_pool)]]
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
