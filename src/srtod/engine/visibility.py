"""A detector's maps on a data set: what they show of its objects, and what its mask is good for."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srtod.data.dataset import DetectionDataset, derive_seed
from srtod.data.loading import Loader, on_device, sound, spare_cores
from srtod.data.records import AnnotatedSet
from srtod.detectors.detector import Detector
from srtod.engine.evaluate import columns_of, joined, labels_of
from srtod.metrics.aitod import SIZES
from srtod.metrics.columns import set_table, truth_table
from srtod.metrics.comparison import Interval, compared
from srtod.metrics.visibility import SHOWN, Visibility, auc
from srtod.nn.modes import evaluating
from srtod.results import SetDetections
from srtod.selfrec import SelfReconstruction, SelfReconstructionOutput
from srtod.selfrec.difference import high_pass
from srtod.selfrec.filtration import resize_mask
from srtod.selfrec.objects import touched_cells
from srtod.support.errors import InputError
from srtod.support.progress import counting_bar
from srtod.types import ImageBatch, Target

OTHERS_AN_IMAGE = 4096
"""Cells without an object whose values are kept of each image, at random."""

LEARNED = "learned"
"""The name of the detections with the detector's own mask."""


def visibility(
    detector: Detector, annotated_set: AnnotatedSet, *, resamples: int = 200, progress: bool = True
) -> Visibility:
    """Measure what the maps of self-reconstruction show of objects, and what the mask is good for.

    Every map is brought to the cells of the lowest level (the largest value in a cell, unless its name says
    mean), and its values on the cells that objects touch are compared with those elsewhere: the difference,
    the mask, the mean absolute activation of the level before and after its enhancement, and as controls that
    need no detector a high-pass and the gradient of the grey image. Then the detector finds objects with its
    own mask, with one that is 1 or 0 everywhere, with its own shuffled in space, and with one that is 1 on
    the cells of the annotated objects.

    Args:
        detector: on the device where it is to run.
        annotated_set: the images; their classes have to be the detector's.
        resamples: of images, for the intervals of the metrics.
        progress: show a bar on stderr.

    Raises:
        InputError: the detector has no self-reconstruction, or does not know a class of the data; or no
            object is marked in the images.
    """
    if detector.self_reconstruction is None:
        raise InputError(
            "these weights have no self-reconstruction, so there is nothing to see; train with "
            "model.self_reconstruction"
        )
    labels = labels_of(detector, annotated_set.classes)
    if not annotated_set.has_objects:
        raise InputError(
            f"{annotated_set.source}: no object is marked in the {len(annotated_set.records):,} images to "
            "look at, so there is nothing to see; take other data, or more --images"
        )
    dataset = DetectionDataset(annotated_set.records, classes=annotated_set.classes)
    cells, found = _Cells(), defaultdict[str, list[SetDetections]](list)
    batches = [[index] for index in range(len(dataset))]
    with (
        evaluating(detector),
        torch.inference_mode(),
        counting_bar(len(dataset), shown=progress) as bar,
        Loader(dataset, workers=min(spare_cores(), len(dataset) // 8), device=detector.device) as loader,
    ):
        task = bar.add_task("measuring", total=len(dataset))
        for (index,), items in zip(batches, loader.load(batches), strict=True):
            ((image, target),) = sound(items)
            seen = _look(detector, image, target)
            cells.add(index, seen)
            for name, levels in _interventions(seen, index):
                boxes = detector.head.detect(levels, seen.batch.size_table)
                (detections,) = detector.preprocess.restore(boxes, seen.batch)
                found[name].append(columns_of(index, detections, labels))
            bar.advance(task)
    together = {name: joined(parts) for name, parts in found.items()}
    return Visibility(
        images=len(dataset),
        objects=cells.objects,
        auc=cells.auc(),
        object_cells_set=cells.share_set(of_objects=True),
        all_cells_set=cells.share_set(of_objects=False),
        interventions=_compared(annotated_set, together, resamples) if found else {},
    )


def _compared(
    annotated_set: AnnotatedSet, found: dict[str, SetDetections], resamples: int
) -> dict[str, dict[str, Interval]]:
    truth = truth_table(annotated_set)
    tables = {name: set_table(own, annotated_set) for name, own in found.items()}
    return compared(truth, tables, own=LEARNED, metrics=SHOWN, resamples=resamples)


@dataclass(frozen=True)
class _Seen:
    """One image as self-reconstruction sees it.

    Attributes:
        own: the module.
        batch: of the image alone.
        levels: before their enhancement.
        output: of the module.
        objects, regions: boxes of objects ``[N, 4]`` and to ignore ``[R, 4]`` in pixels of the batch.
        sizes: square roots of the objects' areas in pixels of the image, ``[N]``.
    """

    own: SelfReconstruction
    batch: ImageBatch
    levels: Sequence[Tensor]
    output: SelfReconstructionOutput
    objects: Tensor
    regions: Tensor
    sizes: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the cells that the image fills."""
        height, width = self.batch.sizes[0]
        return -(-height // self.own.stride), -(-width // self.own.stride)

    def inside(self, cells: Tensor) -> Tensor:
        """Values ``[1, 1, h, w]`` of the cells that the image fills, ``[rows, columns]``."""
        rows, columns = self.shape
        return cells[0, 0, :rows, :columns]

    def touched(self, boxes: Tensor) -> Tensor:
        """Which of these cells boxes in pixels of the batch touch, bool ``[rows, columns]``."""
        return touched_cells(boxes, self.shape, self.own.stride)


def _look(detector: Detector, image: Tensor, target: Target) -> _Seen:
    own = detector.self_reconstruction
    assert own is not None
    batch = detector.preprocess(on_device([image], detector.device))
    boxes, ignore = target["boxes"], target["ignore"]
    scaled = (boxes * torch.tensor([*batch.scales[0], *batch.scales[0]])).to(detector.device)
    levels = detector.pyramid(batch.normalised)
    return _Seen(
        own=own,
        batch=batch,
        levels=levels,
        output=own(levels, batch.raw, batch.valid),
        objects=scaled[~ignore],
        regions=scaled[ignore],
        sizes=(boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()[~ignore].to(detector.device),
    )


def _maps(seen: _Seen) -> dict[str, Tensor]:
    """All maps by name, ``[1, 1, h, w]``, at the cells of the lowest level."""
    output, stride = seen.output, seen.own.stride
    return {
        "difference": resize_mask(output.difference, stride, "max"),
        "difference_mean": resize_mask(output.difference, stride, "area"),
        "mask": output.mask,
        "features_before": seen.levels[0].abs().mean(dim=1, keepdim=True),
        "features_after": output.levels[0].abs().mean(dim=1, keepdim=True),
        **{name: resize_mask(plain, stride, "max") for name, plain in _controls(seen.batch.raw).items()},
    }


def _controls(image: Tensor) -> dict[str, Tensor]:
    """What needs no detector: maps ``[B, 1, H, W]`` of an image ``[B, 3, H, W]``."""
    grey = image.mean(dim=1, keepdim=True)
    edged = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across, down = edged[..., 1:-1, 2:] - edged[..., 1:-1, :-2], edged[..., 2:, 1:-1] - edged[..., :-2, 1:-1]
    return {
        "high_pass": high_pass(image, image),
        "gradient": torch.hypot(across, down),
    }


def _interventions(seen: _Seen, index: int) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """The levels as the own mask enhances them, and others in its place; none where no mask is read."""
    if seen.own.enhancement.reads != "mask":
        return
    yield LEARNED, seen.output.levels
    mask, inside = seen.output.mask, seen.inside(seen.output.mask)
    shuffled, boxes = torch.zeros_like(mask), torch.zeros_like(mask)
    seen.inside(shuffled)[:] = inside.flatten()[_order(inside.numel(), index, mask.device)].view_as(inside)
    seen.inside(boxes)[:] = seen.touched(seen.objects)
    others = {
        "ones": torch.ones_like(mask),
        "zeros": torch.zeros_like(mask),
        "shuffled": shuffled,
        "boxes": boxes,
    }
    for name, other in others.items():
        yield name, seen.own.enhanced_by(seen.levels, other)


def _order(count: int, index: int, device: torch.device) -> Tensor:
    """The numbers below ``count`` in an order that depends on the image alone."""
    generator = torch.Generator().manual_seed(derive_seed(count, index))
    return torch.randperm(count, generator=generator).to(device)


class _Cells:
    """The values of all maps on the cells of objects, by their size, and on some of the others."""

    def __init__(self) -> None:
        self.objects = 0
        self._values: defaultdict[tuple[str, str], list[NDArray[Any]]] = defaultdict(list)
        self._set = np.zeros((2, 2))  # rows: of objects, of all; columns: set, counted

    def add(self, index: int, seen: _Seen) -> None:
        """Take the values of one image; what is sampled follows from its index."""
        chosen = {
            size: seen.touched(seen.objects[(seen.sizes > low) & (seen.sizes <= high)])
            for size, (low, high) in SIZES.items()
        }
        counted = chosen["all"] | ~seen.touched(seen.regions)
        others = (counted & ~chosen["all"]).flatten().nonzero().squeeze(1)
        others = others[_order(len(others), index, others.device)[:OTHERS_AN_IMAGE]]
        for name, values in _maps(seen).items():
            inside = seen.inside(values)
            for size, cells in chosen.items():
                self._values[name, size].append(inside[cells].float().cpu().numpy())
            self._values[name, "others"].append(inside.flatten()[others].float().cpu().numpy())
        lit = seen.inside(seen.output.mask) >= 0.5
        for row, cells in zip(self._set, (chosen["all"], counted), strict=True):
            row += [float((lit & cells).sum()), float(cells.sum())]
        self.objects += len(seen.objects)

    def auc(self) -> dict[str, dict[str, float]]:
        """Of each map for each size."""
        together = {key: np.concatenate(parts) for key, parts in self._values.items()}
        names = dict.fromkeys(name for name, _ in together)
        return {
            name: {size: auc(together[name, size], together[name, "others"]) for size in SIZES}
            for name in names
        }

    def share_set(self, *, of_objects: bool) -> float:
        """Share of the cells of objects, or of all, that the mask sets; NaN of none."""
        lit, counted = self._set[0 if of_objects else 1]
        return float(lit / counted) if counted else float("nan")
