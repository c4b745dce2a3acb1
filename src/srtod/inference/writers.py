"""Predictions to files: COCO results and annotated pictures."""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from srtod.inference.inputs import ImageFile
from srtod.inference.predict import Prediction
from srtod.metrics.results import coco_results, with_names
from srtod.plots import draw_detections

PICTURE_SCORE = 0.3
"""Detections below are in the JSON file and only counted in the pictures."""


def results_of(
    prediction: Prediction, image: ImageFile, classes: Sequence[str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return COCO results with names, best first; ``category_ids`` has an id for each class."""
    results = coco_results(
        prediction.boxes,
        prediction.scores,
        prediction.labels,
        image_id=image.image_id,
        categories=range(1, len(classes) + 1),
    )
    return with_names(
        [rounded(result) for result in results],
        file_names={image.image_id: image.file_name},
        classes=classes,
        category_ids=category_ids,
    )


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """Keep the digits of a COCO result that mean something, which halves the files."""
    return result | {"bbox": [round(side, 4) for side in result["bbox"]], "score": round(result["score"], 7)}


class ResultsFile:
    """A JSON list that is written as it comes, so that any number of detections fits into memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.count = 0

    def add(self, results: Sequence[dict[str, Any]]) -> None:
        """Append results, one a line."""
        for result in results:
            self._stream.write(",\n" if self.count else "\n")
            json.dump(result, self._stream, allow_nan=False, ensure_ascii=False)
            self.count += 1


@contextmanager
def results_file(path: Path) -> Generator[ResultsFile]:
    """Open ``path`` for a JSON list of results and close the list at the end."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[")
        yield ResultsFile(stream)
        stream.write("\n]\n")


def write_picture(
    path: Path, prediction: Prediction, image: ImageFile, classes: Sequence[str], *, min_score: float
) -> None:
    """Write the annotated picture as PNG, because lossy formats smear thin lines.

    Args:
        path: the new file; its folder is made.
        prediction: what was found.
        image: its name, and the ground truth where there is one.
        classes: class names.
        min_score: detections below are counted in the legend and not drawn.
    """
    record = image.record
    picture = draw_detections(
        prediction.image,
        prediction.boxes,
        prediction.scores,
        prediction.labels,
        classes,
        truth=None if record is None else record.boxes[~record.ignore],
        ignore=None if record is None else record.boxes[record.ignore],
        min_score=min_score,
        title=image.file_name,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, compress_level=4)


def picture_names(images: Sequence[ImageFile]) -> list[str]:
    """Return a name for each image's picture, all different: its file name, ending in ``.png``."""
    names = [str(PurePosixPath(image.file_name).with_suffix(".png")) for image in images]
    return names if len(set(names)) == len(names) else [f"{image.file_name}.png" for image in images]
