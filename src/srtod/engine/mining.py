"""Hard negatives: what a detector takes for objects in the images that it learns from."""

import torch
from torch import Tensor

from srtod.boxes.overlaps import box_intersections
from srtod.data.dataset import FALSE_ALARMS, DetectionDataset
from srtod.engine.evaluate import detect
from srtod.engine.processes import on_main
from srtod.engine.state import Run
from srtod.results import SetDetections

LEAST_SCORE = 0.3
"""Of a detection that is worth learning from where nothing is."""


def mine(run: Run, dataset: DetectionDataset, *, precision: str, batch_size: int, quiet: bool) -> Tensor:
    """Look at the training images as they are, for confident detections that touch nothing annotated.

    Returns:
        Float ``[I, FALSE_ALARMS, 4]``, in every process: the most confident ones of each image, x1 y1 x2 y2
        in pixels; NaN where an image has fewer.

    Raises:
        InputError: an image cannot be read.
    """
    found = detect(
        run.shown,
        DetectionDataset(dataset.records, classes=dataset.classes),
        precision=precision,
        batch_size=batch_size,
        progress=not quiet,
        accelerator=run.accelerator,
    )
    return on_main(run.accelerator, lambda: false_alarms(found, dataset))


def false_alarms(found: SetDetections, dataset: DetectionDataset) -> Tensor:
    """Choose what :func:`mine` returns among the detections in the images of a data set."""
    alarms = torch.full((len(dataset), FALSE_ALARMS, 4), float("nan"))
    for index, record in enumerate(dataset.records):
        boxes, scores, _ = map(torch.from_numpy, found.of_image(index))
        known = torch.from_numpy(record.boxes).float()
        apart = ~(box_intersections(boxes, known) > 0).any(dim=1)
        kept = boxes[apart & (scores >= LEAST_SCORE)][:FALSE_ALARMS]
        alarms[index, : len(kept)] = kept
    return alarms
