"""Detections as columns, and as COCO results (https://cocodataset.org/#format-results) in a JSON file."""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srtod.support.shapes import array_of


@dataclass(frozen=True)
class SetDetections:
    """What was found in the images of a data set.

    Attributes:
        images: int64 ``[M]``, index of the image in the set, ascending.
        boxes: float32 ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: float32 ``[M]``, descending in each image.
        labels: int64 ``[M]``, of the set.
    """

    images: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        array_of("boxes", self.boxes, np.float32, "M", 4)
        for name in ("images", "scores", "labels"):
            array_of(name, getattr(self, name), np.float64, len(self.boxes))

    def of_image(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Return boxes, scores and labels of one image."""
        rows = slice(*np.searchsorted(self.images, [index, index + 1]))
        return self.boxes[rows], self.scores[rows], self.labels[rows]


def coco_results(
    image_id: int | str | None,
    boxes: ArrayLike,
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    category_ids: Sequence[int | None],
    file_name: str | None = None,
    names: Sequence[str] | None = None,
    rounded: bool = False,
) -> list[dict[str, Any]]:
    """Return the detections of one image as COCO results, in the same order.

    Args:
        image_id: of the image; None leaves it out.
        boxes: ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: ``[M]``.
        labels: ``[M]``, counted from 0.
        category_ids: ``category_id`` of each label, or None to leave the class out.
        file_name: of the image, added to each result where it is given.
        names: of each label, added as ``category_name`` where they are given.
        rounded: keep the digits that mean something (1e-4 pixels, 1e-7 of the score), which halves a file.

    Returns:
        Dicts ``image_id``, ``category_id``, ``bbox`` (x y width height) and ``score``, and the names.
    """
    sides = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    sides[:, 2:] -= sides[:, :2]
    numbers = np.asarray(scores, dtype=np.float64)
    if rounded:
        sides, numbers = sides.round(4), numbers.round(7)
    image = _given(image_id=image_id, file_name=file_name)
    classes = [
        _given(category_id=number, category_name=names[label] if names else None)
        for label, number in enumerate(category_ids)
    ]
    rows = zip(sides.tolist(), numbers.tolist(), np.asarray(labels).tolist(), strict=True)
    return [
        {**image, **classes[label], "bbox": box, "score": score}
        for box, score, label in rows
        if category_ids[label] is not None
    ]


def _given(**values: int | str | None) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


@contextmanager
def results_file(path: Path) -> Generator[Callable[[Sequence[dict[str, Any]]], None]]:
    """Open ``path`` for a JSON list that is written as it comes, so that no number of results fills memory.

    Yields:
        What appends results, one a line.
    """
    with path.open("w", encoding="utf-8") as stream:
        before = chain(["\n"], repeat(",\n"))

        def add(results: Sequence[dict[str, Any]]) -> None:
            for result, separator in zip(results, before, strict=False):
                stream.write(separator)
                json.dump(result, stream, allow_nan=False, ensure_ascii=False)

        stream.write("[")
        yield add
        stream.write("\n]\n")
