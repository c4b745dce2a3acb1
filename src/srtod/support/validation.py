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
        raise InputError(f"{where}: {_told(error.errors()[0], model)}") from None


def _told(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    path = [str(part) for part in mistake["loc"]]
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
