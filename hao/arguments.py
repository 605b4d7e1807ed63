"""What a Python caller gives a request becomes what its fields say, or is refused."""

from collections.abc import Hashable
from dataclasses import fields
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from hao.errors import ArgumentError


def take_fields(request: Any) -> None:  # noqa: ANN401  # any dataclass
    """Turn words into members of enumerations, text into paths, and so on, in place.

    Args:
        request: A dataclass under construction, frozen or not.

    Raises:
        ArgumentError: A field is of a type that it cannot take.
    """
    made: type = type(request)
    kinds = _kinds(made)
    for field in fields(request):
        value: object = getattr(request, field.name)
        try:
            taken = _adapter(kinds[field.name]).validate_python(value)
        except ValidationError as error:
            raise ArgumentError(
                f"`{field.name}` = {repr(value)[:60]}; must be "
                f"{_wanted(kinds[field.name], error)}"
            ) from None
        object.__setattr__(request, field.name, taken)


@cache
def _kinds(made: Hashable) -> dict[str, object]:
    return get_type_hints(made, include_extras=True)


@cache
def _adapter(kind: Any) -> TypeAdapter[object]:  # noqa: ANN401  # any annotation
    return TypeAdapter(kind)


def _wanted(kind: object, error: ValidationError) -> str:
    """Return what a field takes, in words."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, Enum):
            return "one of " + ", ".join(repr(member.value) for member in each)
    members = [each for each in get_args(kind) if each is not NoneType]
    if get_origin(kind) in (Union, UnionType) and len(members) > 1:
        # `Annotated` holds its type first.
        types = [get_args(each)[0] if get_args(each) else each for each in members]
        return " or ".join(f"a {each.__name__}" for each in types)
    said = error.errors()[0]["msg"].removeprefix("Input should be ")
    return said[:1].lower() + said[1:]
