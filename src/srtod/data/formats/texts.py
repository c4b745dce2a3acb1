"""Annotations in a text file an image, one line a box (VisDrone, YOLO)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from srtod.data.formats.builder import NO_ATTRIBUTES, Mark, SetBuilder
from srtod.data.formats.layout import read_lines
from srtod.data.images import image_size
from srtod.support.errors import InputError


class Parsed(NamedTuple):
    """What a line says: ``box`` is x1 y1 x2 y2 in pixels."""

    box: tuple[float, float, float, float]
    label: int
    ignore: bool = False
    attributes: Mapping[str, Any] = NO_ATTRIBUTES


Parse = Callable[[str, tuple[int, int]], Parsed]
"""Reads a line, given the image's width and height; raises ValueError saying what is wrong."""


def add_text(
    builder: SetBuilder, parse: Parse, *, image_id: int, file_name: str, image: Path, text: Path | None
) -> None:
    """Add an image with what its text file says, or the faults of either.

    Args:
        builder: takes the image.
        parse: reads one line.
        image_id: counted from 1.
        file_name: name relative to the image folder.
        image: the image file; its size is read from the header.
        text: the annotations; ``None`` for an image in which nothing is marked.
    """
    try:
        size = image_size(image)
        lines = [] if text is None else read_lines(text)
    except InputError as error:
        builder.reject(error, image_id)
        return
    marks = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        annotation_id = builder.new_annotation_id()
        try:
            parsed = parse(line, size)
        except ValueError as error:
            builder.fault(str(error), file=text, image_id=image_id, annotation_id=where)
        else:
            box, label, ignore, attributes = parsed
            marks.append(Mark(box, label, ignore, annotation_id, attributes, where))
    builder.add(image_id, file_name, image, size, marks, file=text)
