"""What was found, as a data set to correct in a labelling tool and to learn from."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srtod.data.formats import WRITERS
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.inference.inputs import ImageFile
from srtod.inference.jobs.log import JobLog
from srtod.inference.jobs.options import JobOptions
from srtod.support.files import atomic_folder


def write_labels(
    log: JobLog,
    images: Sequence[ImageFile],
    options: JobOptions,
    classes: Sequence[str],
    category_ids: Sequence[int],
) -> None:
    """Write images and what was found as a data set, without boxes that have no area or too low a score.

    Images are hard links where the disk allows it.
    """
    assert options.labels is not None
    target = log.folder / "labels"
    shutil.rmtree(target, ignore_errors=True)  # of the same job, killed before it said that it was finished
    records: list[ImageRecord] = []
    first, by_id = 1, {image.image_id: image for image in images}
    for line in log.lines(by_id):
        if "error" not in line:
            records.append(_record(by_id[line["key"]], line, category_ids, options.picture_score, first))
            first += len(records[-1].boxes)
    found = AnnotatedSet(
        source=target,
        format=options.labels,
        split="",
        classes=tuple(classes),
        records=tuple(records),
        category_ids=tuple(category_ids),
    )
    with atomic_folder(target) as folder:
        WRITERS[options.labels]([found], folder, _place)


def _record(
    image: ImageFile, line: dict[str, Any], category_ids: Sequence[int], min_score: float, first: int
) -> ImageRecord:
    width, height = line["size"]
    boxes = np.array([row["bbox"] for row in line["detections"]], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.clip(boxes, 0, [width, height] * 2)
    scores = np.array([row["score"] for row in line["detections"]])
    kept = np.flatnonzero((scores >= min_score) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    labels = [category_ids.index(row["category_id"]) for row in line["detections"]]
    assert isinstance(image.path, Path)  # images at addresses are refused before
    return ImageRecord(
        image_id=image.image_id,
        file_name=image.file_name,
        path=image.path,
        width=width,
        height=height,
        boxes=boxes[kept],
        labels=np.array(labels, dtype=np.int64)[kept],
        ignore=np.zeros(len(kept), dtype=bool),
        annotation_ids=first + np.arange(len(kept)),
        attributes=tuple({"score": float(scores[index])} for index in kept),
    )


def _place(record: ImageRecord, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(record.path.resolve(), path)
    except OSError:
        shutil.copyfile(record.path, path)
