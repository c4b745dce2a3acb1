"""The border where an exported file is checked, before ONNX Runtime sees it.

An ONNX file is a message of Protocol Buffers (https://protobuf.dev/programming-guides/encoding); the
numbers of its fields are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from srtod_runtime.errors import InputError

METADATA_KEY = "srtod"
LARGEST_FILE = 2**31 - 1
MOST_METADATA = 2**20
"""Bytes of a file, and of its metadata, that are taken."""
LONGEST_NAME = 500
LARGEST_SIDE = 8192
LARGEST_FACTOR = 4
"""Letters of a class name, and pixels of a resized side or its factor, that are taken."""

_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_ATTRIBUTE = 5  # of NodeProto
_TENSOR, _TENSORS, _INNER = 5, 10, (6, 11)  # of AttributeProto: tensors, graphs
_EXTERNAL = (13, 14)  # of TensorProto

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class Description(NamedTuple):
    """What an exported file says of its detector.

    Attributes:
        classes: names in label order.
        resize: (longest, shortest) bound of the image's sides in pixels, ratio kept; or a factor of both
            sides; None keeps the size.
        most: detections an image.
        least: the score of each class from which its detections count.
    """

    classes: tuple[str, ...]
    resize: tuple[int, int] | float | None
    most: int
    least: tuple[float, ...]


def read_description(path: Path) -> Description:
    """Check an exported file and read what it says of its detector.

    Raises:
        InputError: the file is missing, damaged, not of ``srtod export --format onnx``, holds loops or
            functions, so that it may never end, or keeps its weights in other files.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such exported file")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: more than {LARGEST_FILE} bytes, which no ONNX file has")
        text = _checked(memoryview(path.read_bytes()), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except InputError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(
            f"{path}: not a readable ONNX file; take one of srtod export --format onnx"
        ) from error
    if text is None:
        raise InputError(f"{path}: was not written by srtod export, which says in the file what it finds")
    try:
        return _description(json.loads(text)["config"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: its srtod configuration is damaged; export the weights again") from error


def _checked(model: memoryview, path: Path) -> str | None:
    """The description of a program that ends and is whole; None where it has none."""
    text = None
    for field, value in _fields(model):
        if field == _FUNCTIONS:
            raise InputError(f"{path}: has functions of its own, which srtod export does not write")
        if field == _GRAPH:
            _check_graph(value, path)
        if field == _METADATA:
            entry = dict(_fields(value))
            if bytes(entry[1]) == METADATA_KEY.encode():
                if len(entry[2]) > MOST_METADATA:
                    raise InputError(f"{path}: its srtod configuration has {len(entry[2])} bytes; refused")
                text = bytes(entry[2]).decode()
    return text


def _check_graph(graph: memoryview, path: Path) -> None:
    for field, value in _fields(graph):
        if field == _INITIALIZER:
            _check_tensor(value, path)
        elif field == _SPARSE:
            raise InputError(f"{path}: has sparse weights, which srtod export does not write")
        elif field == _NODE:
            attributes = (own for number, own in _fields(value) if number == _ATTRIBUTE)
            for number, own in (part for attribute in attributes for part in _fields(attribute)):
                if number in _INNER:
                    raise InputError(f"{path}: has loops or branches, which srtod export does not write")
                if number in (_TENSOR, _TENSORS):
                    _check_tensor(own, path)


def _check_tensor(tensor: memoryview, path: Path) -> None:
    if any(field in _EXTERNAL and value for field, value in _fields(tensor)):
        raise InputError(f"{path}: keeps weights in other files, which srtod export does not do")


def _keeps_bounds(resize: Any) -> bool:
    if isinstance(resize, tuple):
        return len(resize) == 2 and all(type(side) is int and 0 < side <= LARGEST_SIDE for side in resize)
    return resize is None or (type(resize) is float and 0 < resize <= LARGEST_FACTOR)


def _description(config: dict[str, Any]) -> Description:
    """Take what is needed of a configuration that anybody may have written.

    Raises:
        ValueError, KeyError, TypeError: something is not as srtod writes it.
    """
    classes, resize, most = tuple(config["classes"]), config["resize"], config["detections_per_image"]
    point = config.get("operating_point")
    least = (0.0,) * len(classes) if point is None else tuple(point["thresholds"])
    resize = tuple(resize) if isinstance(resize, list) else resize
    sound = (
        0 < len(classes) == len(set(classes)),
        all(type(name) is str and name.isprintable() and 0 < len(name) <= LONGEST_NAME for name in classes),
        _keeps_bounds(resize),
        len(least) == len(classes) and all(0 <= score <= 1 for score in least),
        type(most) is int and most > 0,
    )
    if not all(sound):
        raise ValueError(config)
    return Description(classes, resize, most, least)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an integer, or a view of bytes.

    Raises:
        ValueError: the message is damaged.
        IndexError: it ends within a number.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
        else:
            if kind == _BYTES:
                length, at = _varint(message, at)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                length = 8 if kind == _EIGHT_BYTES else 4
            else:
                raise ValueError(f"wire type {kind}")
            value, at = message[at : at + length], at + length
        if at > len(message):
            raise ValueError("cut short")
        yield key >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, and the place behind it."""
    value = shift = 0
    while (byte := message[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
    return value | byte << shift, at + 1
