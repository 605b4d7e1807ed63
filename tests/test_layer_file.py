"""Layers in files: every kind has a name, and comes back by it."""

from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from hao.ir.layer import Add, Layer
from hao.ir.tensor import Shape
from hao.layer_file import LAYER_TYPES, LayerEntry, layer_type
from hao.zoo import build_network

SHAPE = Shape(channels=2, height=3, width=3)
ENTRY: TypeAdapter[LayerEntry] = TypeAdapter(LayerEntry)


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len(set(LAYER_TYPES)) == len(LAYER_TYPES) == len(get_args(Layer))
    add = Add(name="sum", inputs=("a", "b"), ofm=SHAPE)
    assert layer_type(add) == "add"


def test_layers_come_back_by_their_names() -> None:
    layers = build_network("digits").layers
    for layer in layers:
        entry = {"type": layer_type(layer), "fields": to_jsonable_python(layer)}
        assert ENTRY.validate_python(entry, strict=False).fields == layer


def test_a_layer_of_another_name_or_with_other_keys_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not match any of the expected"):
        ENTRY.validate_json('{"type": "convolution", "fields": {}}')
    with pytest.raises(ValidationError, match="Field required"):
        ENTRY.validate_json('{"type": "add", "fields": {"name": "sum"}}')
    with pytest.raises(ValidationError, match=r"fields\.kernel\n"):
        ENTRY.validate_json('{"type": "add", "fields": {"name": "sum", "kernel": 3}}')
