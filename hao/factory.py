"""What a function of the user's own makes, named as `package.module:function`."""

import importlib
from typing import TypeVar

from hao.errors import HaoError, InputError, UnsupportedError

Made = TypeVar("Made")


def is_factory(spec: str) -> bool:
    """Return whether a word names a function rather than a file."""
    module, colon, name = spec.partition(":")
    parts = (*module.split("."), name)
    return colon == ":" and all(part.isidentifier() for part in parts)


def made_by(spec: str, what: str, kind: type[Made]) -> Made:
    """Return what a function without arguments returns.

    Args:
        spec: `package.module:function`.
        what: Such as "data set"; messages begin with it.
        kind: What the function must return.

    Raises:
        InputError: It names no function that can be imported, or one that returns
            something else.
        UnsupportedError: The function raised something.
    """
    place = f"{what} {spec!r}"
    if not is_factory(spec):
        raise InputError(
            f"{place}: no name of a function; must be 'package.module:function'"
        )
    module_name, _, name = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (HaoError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the user's module raises
        raise InputError(
            f"{place}: {type(error).__name__}: {error}; must be an importable "
            "'package.module:function'"
        ) from error
    if not callable(function):
        raise InputError(f"{place}: not a function; must be one without arguments")
    try:
        made: object = function()
    except (HaoError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the user's function raises
        raise UnsupportedError(
            f"{place}: the function raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, kind):
        raise InputError(
            f"{place}: returned {type(made).__name__}; must be {kind.__module__}."
            f"{kind.__qualname__}"
        )
    return made
