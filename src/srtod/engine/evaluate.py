"""A detector on a data set: detections of every image, and the metrics they earn."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from srtod import metrics
from srtod.data import read, splits
from srtod.data.dataset import DetectionDataset, collate
from srtod.data.records import AnnotatedSet
from srtod.engine.sets import checked, held_out_split
from srtod.metrics import DETECTIONS_PER_IMAGE, Metrics
from srtod.nn.modes import evaluating
from srtod.results import coco_results
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import write_json
from srtod.support.progress import counting_bar, say
from srtod.types import Detections, Finder

_READERS = 2
_READ_AHEAD = 4


def detect(
    detector: Finder,
    dataset: DetectionDataset,
    *,
    device: torch.device | str | None = None,
    batch_size: int = 1,
    progress: bool = True,
    accelerator: Accelerator | None = None,
) -> list[dict[str, Any]]:
    """Run a detector over a data set.

    Args:
        detector: what finds objects. A network is put into evaluation mode; at the end each of its parts has
            its own mode again.
        dataset: its classes are matched with the detector's by name; what the detector finds of other
            classes is left out.
        device: where to run; a network is moved there. None leaves it where it is, or takes the
            accelerator's device.
        batch_size: images a forward pass.
        progress: show a bar on stderr.
        accelerator: shares the images out over its processes; each returns the detections of all.

    Returns:
        COCO results in the order of the data set: ``image_id``, ``category_id`` (label + 1), ``bbox``
        (x y width height in pixels of the image), ``score``.

    Raises:
        InputError: the data set has classes that the detector does not know.
    """
    if accelerator is not None:
        detector, device = accelerator.unwrap_model(detector), device or accelerator.device
    device, in_evaluation = _prepared(detector, device)
    labels = match_classes(detector.classes, dataset.classes)
    categories = [None if label is None else label + 1 for label in labels]
    first, step = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    share = range(first, len(dataset), step)
    found: list[tuple[int, list[dict[str, Any]]]] = []
    with (
        in_evaluation,
        torch.inference_mode(),
        counting_bar(len(share), shown=progress and first == 0) as bar,
    ):
        task = bar.add_task("detecting", total=len(share))
        for indices, items in _batches(dataset, share, batch_size):
            images, targets = collate(items)
            outputs = detector([image.to(device) for image in images])
            for index, target, output in zip(indices, targets, outputs, strict=True):
                found.append((index, _results(output, target["image_id"], categories)))
            bar.advance(task, len(indices))
    if accelerator is not None:
        found = gather_object(found)
    return [result for _, results in sorted(found, key=lambda pair: pair[0]) for result in results]


def evaluate(
    detector: Finder,
    annotated_set: AnnotatedSet,
    *,
    device: torch.device | str | None = None,
    batch_size: int = 1,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
    progress: bool = True,
    accelerator: Accelerator | None = None,
) -> Metrics:
    """Run a detector over a data set and return its AI-TOD metrics; see :func:`detect`."""
    results = detect(
        detector,
        DetectionDataset(annotated_set.records, classes=annotated_set.classes),
        device=device,
        batch_size=batch_size,
        progress=progress,
        accelerator=accelerator,
    )
    return metrics.evaluate(annotated_set, results, detections_per_image=detections_per_image)


def evaluate_data(
    detector: Finder,
    data: Path,
    *,
    split: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    batch_size: int = 1,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
    save_detections: Path | None = None,
) -> Metrics:
    """Read data, detect and evaluate.

    Args:
        detector: on the device where it is to run.
        data: folder or file in a known layout.
        split: which split; without one ``val``, else ``test``, else the only one.
        format: layout of the data; recognised where None.
        skip_bad: go on without what is damaged, and say what that is.
        batch_size: images a forward pass.
        detections_per_image: best detections of a class that count in an image.
        save_detections: file for the detections, as COCO results with the names of image and class.

    Raises:
        InputError: anything wrong in the data, or ``save_detections`` cannot be written.
    """
    chosen = held_out_split(splits(data, format=format)) if split is None else split
    held_out = checked(read(data, format=format, split=chosen), skip_bad=skip_bad, say=say)
    dataset = DetectionDataset(held_out.records, classes=held_out.classes)
    results = detect(detector, dataset, batch_size=batch_size)
    if save_detections is not None:
        write_json(save_detections, _named(results, held_out))
    return metrics.evaluate(held_out, results, detections_per_image=detections_per_image)


def match_classes(known: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return for each class a detector knows its label in the data set, by name; None where it has none.

    Raises:
        InputError: the data set has classes that the detector does not know.
    """
    unknown = [f"{name}{did_you_mean(name, known)}" for name in wanted if name not in known]
    if unknown:
        raise InputError(
            f"the data has more classes than the weights: {', '.join(unknown)} not among "
            f"{', '.join(known)}; evaluate on data with the weights' classes, or train on these"
        )
    return [wanted.index(name) if name in wanted else None for name in known]


def _prepared(
    finder: Finder, device: torch.device | str | None
) -> tuple[torch.device, AbstractContextManager[None]]:
    """The device to run on, where a network then lies, and the context in which it is evaluated."""
    if not isinstance(finder, nn.Module):
        return finder.device, nullcontext()
    device = torch.device(device or next(finder.parameters()).device)
    return device, evaluating(finder.to(device))


def _results(
    output: Detections, image_id: int | str, categories: Sequence[int | None]
) -> list[dict[str, Any]]:
    boxes, scores, labels = (output[key].cpu().numpy() for key in ("boxes", "scores", "labels"))
    return coco_results(image_id, boxes, scores, labels, category_ids=categories)


def _named(results: Sequence[dict[str, Any]], annotated: AnnotatedSet) -> list[dict[str, Any]]:
    names = {record.image_id: record.file_name for record in annotated.records}
    return [
        {
            "image_id": result["image_id"],
            "file_name": names[result["image_id"]],
            "category_id": annotated.category_id_of(result["category_id"] - 1),
            "category_name": annotated.classes[result["category_id"] - 1],
            "bbox": result["bbox"],
            "score": result["score"],
        }
        for result in results
    ]


def _batches(
    dataset: DetectionDataset, indices: Sequence[int], size: int
) -> Iterator[tuple[Sequence[int], list[Any]]]:
    """Yield indices and items a batch at a time, in order, while threads read the images that come next.

    Threads, because decoding leaves Python's lock and an error of the data set keeps its one line.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        waiting: deque[tuple[Sequence[int], list[Future[Any]]]] = deque()
        for start in range(0, len(indices), size):
            chunk = indices[start : start + size]
            waiting.append((chunk, [readers.submit(dataset.__getitem__, index) for index in chunk]))
            if len(waiting) > _READ_AHEAD:
                yield _read(*waiting.popleft())
        while waiting:
            yield _read(*waiting.popleft())


def _read(indices: Sequence[int], items: Sequence[Future[Any]]) -> tuple[Sequence[int], list[Any]]:
    return indices, [item.result() for item in items]
