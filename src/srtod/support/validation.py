"""Typed settings: values checked against a schema, mistakes told in one line."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from srtod.support.errors import InputError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Mapping[str, Any], *, where: str) -> Model:
    """Build ``model`` from ``values``.

    Args:
        model: a pydantic model with ``extra="forbid"``.
        values: as read from a file or given by a caller.
        where: what the values are of, for the message.

    Raises:
        InputError: the first mistake, with its dotted key and, for an unknown key, the nearest known one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {_told(_first(error.errors()), model)}") from None


def _first(mistakes: list[ErrorDetails]) -> ErrorDetails:
    """The first mistake; where a value may be of several types, one about a type that it is of, if any."""
    same = [one for one in mistakes if _path(one)[:2] == _path(mistakes[0])[:2]]
    return min(same, key=lambda one: one["type"].endswith("_type") or one["type"] == "literal_error")


def _path(mistake: ErrorDetails) -> list[str]:
    """The keys that lead to a mistake, without pydantic's names of the types that were tried."""
    parts = (str(part) for part in mistake["loc"])
    return [part for part in parts if "[" not in part and not part.startswith("constrained-")]


def _told(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    path = _path(mistake)
    key = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_nearest(path, model)}"
    message = mistake["msg"].removeprefix("Value error, ")
    given = mistake["input"]
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}" if key else message


def _nearest(path: list[str], model: type[BaseModel]) -> str:
    """The known key nearest to the last part of ``path``, with all its siblings if none is near."""
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = [] if field is None else _models_in(field.annotation)
        if not inner:
            return ""
        model = inner[0]
    known = list(model.model_fields)
    return did_you_mean(path[-1], known) or f" (known: {', '.join(known)})"


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
