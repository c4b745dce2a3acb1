"""A detector on a data set: detections of every image, and the metrics they earn."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from srtod import metrics
from srtod.data.dataset import DetectionDataset
from srtod.data.loading import Loader, on_device, sound, spare_cores
from srtod.data.records import ANY_CLASS, AnnotatedSet
from srtod.engine.processes import gathered, together
from srtod.metrics import DETECTIONS_PER_IMAGE, Metrics
from srtod.nn.modes import evaluating
from srtod.results import SetDetections, coco_results, results_file
from srtod.support.devices import in_precision
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import atomic_file
from srtod.support.progress import counting_bar, say
from srtod.types import Detections, Finder


def detect(
    detector: Finder,
    dataset: DetectionDataset,
    *,
    precision: str = "fp32",
    batch_size: int = 1,
    progress: bool = True,
    accelerator: Accelerator | None = None,
) -> SetDetections:
    """Run a detector over a data set.

    Args:
        detector: what finds objects, on the device where it is to run. A network is put into evaluation mode;
            at the end each of its parts has its own mode again.
        dataset: its classes are matched with the detector's by name; what the detector finds of other
            classes is left out.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        batch_size: images a forward pass.
        progress: show a bar on stderr.
        accelerator: shares the images out over its processes; the main one returns the detections of all,
            the others none.

    Raises:
        InputError: the data set has classes that the detector does not know, an image cannot be read (in any
            process), or the device does not do the precision.
    """
    device = next(detector.parameters()).device if isinstance(detector, nn.Module) else detector.device
    labels = labels_of(detector, dataset.classes)
    first, step = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    share = range(first, len(dataset), step)
    batches = [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
    found: list[SetDetections] = []
    with (
        together(accelerator) if accelerator else nullcontext(),
        evaluating(detector),
        torch.inference_mode(),
        in_precision(precision, device),
        counting_bar(len(share), shown=progress and first == 0) as bar,
        Loader(dataset, workers=min(spare_cores(), len(batches) // 8), device=device) as loader,
    ):
        task = bar.add_task("detecting", total=len(share))
        for indices, items in zip(batches, loader.load(batches), strict=True):
            outputs = detector(on_device([image for image, _ in sound(items)], device))
            found += map(columns_of, indices, outputs, repeat(labels))
            bar.advance(task, len(indices))
    return joined(found) if accelerator is None else joined(gathered(accelerator, joined(found)))


def evaluate(
    detector: Finder,
    annotated: AnnotatedSet,
    *,
    precision: str = "fp32",
    batch_size: int = 1,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
    progress: bool = True,
    save_detections: Path | None = None,
) -> Metrics:
    """Run a detector over a data set and return its AI-TOD metrics.

    Args:
        detector: on the device where it is to run; see :func:`detect`, as ``precision``, ``batch_size`` and
            ``progress``.
        annotated: the data set; see :func:`srtod.engine.sets.evaluation_set`.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        batch_size: images a forward pass.
        detections_per_image: best detections of a class that count in an image.
        progress: show a bar on stderr.
        save_detections: file for the detections, see :func:`write_detections`.

    Raises:
        InputError: as :func:`detect`, or ``save_detections`` cannot be written.
    """
    annotated, found = detect_common(
        detector, annotated, precision=precision, batch_size=batch_size, progress=progress
    )
    if save_detections is not None:
        write_detections(save_detections, found, annotated)
    return metrics.evaluate(annotated, found, detections_per_image=detections_per_image)


def detect_common(
    detector: Finder,
    annotated: AnnotatedSet,
    *,
    precision: str = "fp32",
    batch_size: int,
    progress: bool = True,
) -> tuple[AnnotatedSet, SetDetections]:
    """:func:`detect` objects of the classes that detector and data set have in common, and mark no others."""
    annotated = on_common_classes(annotated, detector.classes)
    dataset = DetectionDataset(annotated.records, classes=annotated.classes)
    found = detect(detector, dataset, precision=precision, batch_size=batch_size, progress=progress)
    return annotated, found


def on_common_classes(annotated: AnnotatedSet, known: Sequence[str]) -> AnnotatedSet:
    """Return what a data set marks of the classes that a detector knows; all of it if it knows none."""
    kept = [label for label, name in enumerate(annotated.classes) if name in known]
    if not kept or len(kept) == len(annotated.classes):
        return annotated
    new = np.full(len(annotated.classes) + 1, -2)  # the last for regions of any class, whose label is -1
    new[kept], new[-1] = range(len(kept)), ANY_CLASS
    records = []
    for record in annotated.records:
        rows = np.flatnonzero(new[record.labels] > ANY_CLASS - 1)
        records.append(replace(record, labels=new[record.labels]).take(rows.tolist()))
    others = [name for name in annotated.classes if name not in known]
    say(f"{annotated.source}: the weights do not know {', '.join(others)}: evaluated on the other classes")
    return replace(
        annotated,
        classes=tuple(annotated.classes[label] for label in kept),
        records=tuple(records),
        category_ids=tuple(annotated.category_ids[label] for label in kept) if annotated.category_ids else (),
    )


def labels_of(detector: Finder, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Each label of a detector as that of a data set with these classes, by name, -1 for none; ``[classes]``.

    Raises:
        InputError: the data set has classes that the detector does not know.
    """
    known = detector.classes
    unknown = [f"{name}{did_you_mean(name, known)}" for name in wanted if name not in known]
    if unknown:
        raise InputError(
            f"the data has more classes than the weights: {', '.join(unknown)} not among "
            f"{', '.join(known)}; evaluate on data with the weights' classes, or train on these"
        )
    return np.array([wanted.index(name) if name in wanted else -1 for name in known])


def columns_of(image: int, found: Detections, labels: NDArray[np.int64]) -> SetDetections:
    """The detections of one image; ``labels`` are :func:`labels_of` its detector."""
    known = labels[found["labels"].cpu().numpy()]
    kept = known >= 0
    boxes, scores = (found[key].float().cpu().numpy()[kept] for key in ("boxes", "scores"))
    return SetDetections(np.full(len(boxes), image), boxes, scores, known[kept])


def joined(parts: Sequence[SetDetections]) -> SetDetections:
    """All of them together, in the order of the images."""
    none = SetDetections(
        np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )
    columns = (
        np.concatenate([getattr(part, field.name) for part in (none, *parts)]) for field in fields(none)
    )
    images, *others = columns
    order = np.argsort(images, kind="stable")
    return SetDetections(images[order], *(column[order] for column in others))


def write_detections(path: Path, found: SetDetections, annotated: AnnotatedSet) -> None:
    """Write COCO results with the names of image and class, whole or not at all."""
    ids = [annotated.category_id_of(label) for label in range(len(annotated.classes))]
    with atomic_file(path) as scratch, results_file(scratch) as add:
        for index, record in enumerate(annotated.records):
            add(
                coco_results(
                    record.image_id,
                    *found.of_image(index),
                    category_ids=ids,
                    file_name=record.file_name,
                    names=annotated.classes,
                )
            )
