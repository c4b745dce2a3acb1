"""Predictions to files: COCO results and annotated pictures."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from srtod.inference.inputs import ImageFile
from srtod.inference.predict import Prediction
from srtod.plots import Scene, draw_detections
from srtod.results import coco_results


def results_of(
    prediction: Prediction, image: ImageFile, classes: Sequence[str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return COCO results with names, best first; ``category_ids`` has an id for each class."""
    return coco_results(
        image.image_id,
        prediction.boxes,
        prediction.scores,
        prediction.labels,
        category_ids=category_ids,
        file_name=image.file_name,
        names=classes,
        rounded=True,
    )


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
    scene = Scene(
        prediction.image,
        prediction.boxes,
        prediction.scores,
        prediction.labels,
        classes,
        truth=None if record is None else record.boxes[~record.ignore],
        ignore=None if record is None else record.boxes[record.ignore],
    )
    picture = draw_detections(scene, min_score=min_score, title=image.file_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, compress_level=4)


def picture_names(images: Sequence[ImageFile]) -> list[str]:
    """Return a name for each image's picture, all different: its file name, ending in ``.png``."""
    names = [str(PurePosixPath(image.file_name).with_suffix(".png")) for image in images]
    return names if len(set(names)) == len(names) else [f"{image.file_name}.png" for image in images]
