"""What a Python caller gives becomes what a request or a step takes, or is refused."""

import re
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, wraps
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hao.errors import ArgumentError, HaoError

Given = ParamSpec("Given")
Result = TypeVar("Result")
_PLAIN = (Path, str, bool, int, float, Enum)
_LIMITS = {
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "greater_than": "above {gt:g}",
    "less_than": "below {lt:g}",
}
AtLeast0 = Annotated[int, Field(ge=0)]
"""A whole number of a request that is no less than 0."""
AtLeast1 = Annotated[int, Field(ge=1)]
"""A whole number of a request that is no less than 1."""


def takes_words(step: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return a step that takes text for paths and words for members of enumerations.

    What is given is checked before anything is done: an `ArgumentError` names the
    argument that is of another type. Arguments that are no plain values, dataclasses
    or functions are handed on as they are.
    """
    takes = signature(step)

    @wraps(step)
    def taking(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        bound = takes.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            kind = takes.parameters[name].annotation
            if _is_plain(kind):
                bound.arguments[name] = _taken(name, value, kind)
            elif get_origin(kind) is Callable and not callable(value):
                raise _refused(name, value, "a function")
            elif value is not None or type(None) not in get_args(kind):
                _check_made(name, value, _leaves(kind))
        return step(*bound.args, **bound.kwargs)

    return taking


def _is_plain(kind: object) -> bool:
    """Return whether a kind is one of plain values, or a list of them, or none."""
    return all(
        (isinstance(each, type) and issubclass(each, _PLAIN))
        or (get_origin(each) is tuple and _is_plain(each))
        for each in _leaves(kind)
    )


def _leaves(kind: object) -> list[Any]:
    """Return what a kind is made of, but for none and limits; itself, if of nothing."""
    kind = _bare(kind)
    return [_bare(each) for each in get_args(kind) if each is not NoneType] or [kind]


def _bare(kind: object) -> object:
    """Return a kind without what is annotated, which stands behind it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _check_made(name: str, value: object, kinds: list[Any]) -> None:
    """Check that a value is of one of the dataclasses that a step takes, if it does."""
    made = [each for each in kinds if isinstance(each, type) and is_dataclass(each)]
    if made == kinds and not isinstance(value, tuple(made)):
        raise _refused(name, value, " or ".join(_one(each.__name__) for each in made))


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
        taken = _taken(field.name, value, kinds[field.name])
        object.__setattr__(request, field.name, taken)


def _taken(name: str, value: object, kind: Any) -> object:  # noqa: ANN401
    try:
        # Python takes True for 1; no field does.
        strict = isinstance(value, bool)
        return _adapter(kind).validate_python((value,), strict=strict)[0]
    except ValidationError as error:
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        if isinstance(inner, HaoError):
            raise inner from None
        place, part = _part(value, first["loc"][1:])
        wanted = _said(first) if place else _wanted(kind, first)
        raise _refused(name, part, wanted, place) from None


def _part(value: object, steps: tuple[int | str, ...]) -> tuple[str, object]:
    """Return where in a value something is, and what is there.

    Args:
        value: What was given.
        steps: Keys and positions; those that a value does not have are skipped, such as
            the names of alternatives.
    """
    place = ""
    for step in steps:
        match value, step:
            case dict(), _ if step in value:
                place, value = f"{place}.{step}", value[step]
            case tuple() | list(), int(at) if at < len(value):
                place, value = f"{place}[{at}]", value[at]
    return place, value


def _refused(name: str, value: object, wanted: str, place: str = "") -> ArgumentError:
    shown = " ".join(repr(value)[:60].split())
    return ArgumentError(f"`{name}`{place} = {shown}; must be {wanted}")


@cache
def _kinds(made: Hashable) -> dict[str, object]:
    return get_type_hints(made, include_extras=True)


@cache
def _adapter(
    kind: Any,  # noqa: ANN401  # any annotation
) -> TypeAdapter[tuple[object]]:
    # A tuple, since pydantic takes no settings for a dataclass alone.
    return TypeAdapter(tuple[kind], config=ConfigDict(extra="forbid"))


def _wanted(kind: object, first: ErrorDetails) -> str:
    """Return what a field takes, in words: its own, if it is annotated with some."""
    if get_origin(kind) is Annotated and isinstance(get_args(kind)[1], str):
        return str(get_args(kind)[1])
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, Enum):
            return "one of " + ", ".join(repr(member.value) for member in each)
    members: list[Any] = (
        _leaves(kind) if get_origin(kind) in (Union, UnionType) else [kind]
    )
    if members == [Path]:
        return "a Path, or its text"
    if len(members) > 1:
        return " or ".join(_one(each.__name__) for each in members)
    return _said(first)


def _one(noun: str) -> str:
    """Return a noun with its article."""
    return f"an {noun}" if noun[0] in "AEIOUaeiou" else f"a {noun}"


def _said(first: ErrorDetails) -> str:
    if first["type"] in _LIMITS:
        return _LIMITS[first["type"]].format(**first["ctx"])
    if first["type"] == "unexpected_keyword_argument":
        return "left out: there is no such field"
    if first["type"] == "dataclass_type":
        return _one(first["ctx"]["class_name"])
    said = first["msg"].removeprefix("Input should be ").partition(", unable")[0]
    said = re.sub(r"a valid (\w+)", lambda found: _one(found[1]), said)
    return said[:1].lower() + said[1:]
