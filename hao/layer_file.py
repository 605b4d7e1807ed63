"""How files of a run say what a layer is: its `type`, and beside it its fields.

pydantic reads the fields of the core types strictly (no unknown key, no text for a
number), and they check themselves when they are made.
"""

from typing import Annotated, Literal, get_args

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


class _Input(FileTable):
    type: Literal["input"]
    fields: Input


class _Conv(FileTable):
    type: Literal["conv"]
    fields: Conv


class _Depthwise(FileTable):
    type: Literal["depthwise"]
    fields: Depthwise


class _Linear(FileTable):
    type: Literal["linear"]
    fields: Linear


def _current_pool(fields: object) -> object:
    """Return the fields of a pool without one that pools had before.

    `include_padding` was true in all files that could be built.
    """
    if not isinstance(fields, dict) or fields.get("include_padding") is not True:
        return fields
    return {name: value for name, value in fields.items() if name != "include_padding"}


class _Pool(FileTable):
    type: Literal["pool"]
    fields: Annotated[Pool, BeforeValidator(_current_pool)]


class _GlobalAveragePool(FileTable):
    type: Literal["global_average_pool"]
    fields: GlobalAveragePool


class _Add(FileTable):
    type: Literal["add"]
    fields: Add


class _Affine(FileTable):
    type: Literal["affine"]
    fields: Affine


class _Activation(FileTable):
    type: Literal["activation"]
    fields: Activation


class _Quantize(FileTable):
    type: Literal["quantize"]
    fields: Quantize


_Entries = (
    _Input
    | _Conv
    | _Depthwise
    | _Linear
    | _Pool
    | _GlobalAveragePool
    | _Add
    | _Affine
    | _Activation
    | _Quantize
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
