"""What was found, as a data set to correct in a labelling tool and to learn from."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from srtod.data.formats import WRITERS
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.inference.inputs import ImageFile
from srtod.inference.predict import Prediction
from srtod.support.errors import InputError, did_you_mean


def check_layout(layout: str) -> None:
    """Tell before the work whether labels can be written so.

    Raises:
        InputError: an unknown layout.
    """
    if layout not in WRITERS:
        raise InputError(
            f"labels as {layout!r}{did_you_mean(layout, WRITERS)}: known are {', '.join(WRITERS)}"
        )


def labelled(prediction: Prediction, image: ImageFile, *, min_score: float) -> ImageRecord:
    """Return an image with what was found in it as its marks; each box keeps its ``score`` where it can.

    Args:
        prediction: what was found.
        image: its name and id.
        min_score: detections below are no marks, nor are boxes without an area.
    """
    width, height = prediction.size
    boxes = np.clip(prediction.boxes.astype(np.float64), 0, [width, height] * 2)
    kept = (prediction.scores >= min_score) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return ImageRecord(
        image_id=image.image_id,
        file_name=image.file_name,
        path=prediction.path,
        width=width,
        height=height,
        boxes=boxes[kept],
        labels=prediction.labels[kept],
        ignore=np.zeros(int(kept.sum()), dtype=bool),
        annotation_ids=np.arange(int(kept.sum())),
        attributes=tuple({"score": round(float(score), 7)} for score in prediction.scores[kept]),
    )


def write_labels(
    records: Iterable[ImageRecord],
    folder: Path,
    layout: str,
    classes: Sequence[str],
    category_ids: Sequence[int] = (),
) -> Counter[str]:
    """Write images and marks as a data set; images are hard links where the disk allows it, else copies.

    Args:
        records: of :func:`labelled`.
        folder: a new one.
        layout: ``coco``, ``yolo``, ``voc`` or ``visdrone``.
        classes: names in label order.
        category_ids: the number of each class, where the layout has numbers.

    Returns:
        What the layout cannot hold, counted.
    """
    numbered, above = [], 1
    for record in records:
        ids = above + np.arange(len(record.boxes))
        numbered.append(replace(record, annotation_ids=ids))
        above += len(ids)
    found = AnnotatedSet(
        source=folder,
        format=layout,
        split="",
        classes=tuple(classes),
        records=tuple(numbered),
        category_ids=tuple(category_ids),
    )
    folder.mkdir(parents=True)
    return WRITERS[layout]([found], folder, _place)


def _place(record: ImageRecord, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(record.path.resolve(), path)
    except OSError:
        shutil.copyfile(record.path, path)
