"""What a data set holds, in numbers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data import read, splits
from srtod.data.checks import check_images
from srtod.data.findings import Finding, find_all, worst_first
from srtod.data.fingerprints import Fingerprint, fingerprint
from srtod.data.known import Completeness, compare, compare_whole
from srtod.data.records import ANY_CLASS, AnnotatedSet, Fault, ImageRecord
from srtod.defaults import Stretch

SIZE_BINS = ("<2", "2-8", "8-16", "16-32", ">32")
"""Bins of sqrt(area) in pixels; a bound belongs to the lower bin (AI-TOD), but 2 to 2-8."""


@dataclass(frozen=True)
class Statistics:
    """Numbers of one split; "objects" leaves regions to ignore out.

    Attributes:
        split: its name, or ``""``.
        format: its layout.
        mean_size: mean sqrt(area) of the objects in pixels; ``None`` without objects.
        median_size: their median.
        size_bins: objects by :data:`SIZE_BINS`.
        objects_per_image: mean, median and max.
        classes: for each class ``objects``, ``regions_to_ignore`` and ``mean_size``.
        image_sizes: images by ``"width x height"``, the most frequent first.
        faults: what is wrong.
        notes: what was read otherwise than it is written.
        published: the copy beside what is published of it; ``None`` where the set is not a known one.
    """

    split: str
    format: str
    images: int
    images_without_objects: int
    objects: int
    regions_to_ignore: int
    mean_size: float | None
    median_size: float | None
    size_bins: dict[str, int]
    objects_per_image: dict[str, float]
    classes: dict[str, dict[str, float | None]]
    image_sizes: dict[str, int]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    published: Completeness | None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers and faults as plain values."""
        faults = [asdict(fault) | {"file": str(fault.file)} for fault in self.faults]
        published = self.published.to_json() if self.published else None
        return asdict(self) | {"faults": faults, "published": published}


def object_sizes(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sqrt(area) in pixels ``[N]`` of boxes ``[N, 4]``: the field's measure of an object's size."""
    return np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def bins_of(sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the bin of :data:`SIZE_BINS` of each size, ``[N]``."""
    return np.where(sizes < 2, 0, 1 + np.digitize(sizes, [8, 16, 32], right=True))


def describe(annotated: AnnotatedSet) -> Statistics:
    """Count what a split holds."""
    records = annotated.records
    boxes = np.concatenate([np.zeros((0, 4)), *(record.boxes for record in records)])
    labels = np.concatenate([np.zeros(0, dtype=np.int64), *(record.labels for record in records)])
    ignore = np.concatenate([np.zeros(0, dtype=np.bool_), *(record.ignore for record in records)])
    sizes = object_sizes(boxes)
    per_image = np.array([np.count_nonzero(~record.ignore) for record in records])
    shapes, counts = np.unique([f"{r.width} x {r.height}" for r in records], return_counts=True)
    return Statistics(
        split=annotated.split,
        format=annotated.format,
        images=len(records),
        images_without_objects=int(np.count_nonzero(per_image == 0)),
        objects=int(np.count_nonzero(~ignore)),
        regions_to_ignore=int(np.count_nonzero(ignore)),
        mean_size=_mean(sizes[~ignore]),
        median_size=float(np.median(sizes[~ignore])) if not ignore.all() else None,
        size_bins=_count_bins(sizes[~ignore]),
        objects_per_image={
            "mean": float(per_image.mean()) if len(per_image) else 0.0,
            "median": float(np.median(per_image)) if len(per_image) else 0.0,
            "max": float(per_image.max(initial=0)),
        },
        classes=_count_classes(annotated.classes, labels, ignore, sizes),
        image_sizes={str(shapes[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")},
        faults=annotated.faults,
        notes=annotated.notes,
        published=compare(annotated),
    )


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect_splits` found.

    Attributes:
        splits: each with its numbers.
        published: all of them together beside what is published of the whole set, where they are one.
        findings: what is wrong or worth knowing, the worst first.
    """

    splits: tuple[tuple[AnnotatedSet, Statistics], ...]
    published: Completeness | None
    findings: tuple[Finding, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether anything is wrong."""
        return any(numbers.faults for _, numbers in self.splits)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        published = self.published.to_json() if self.published else None
        return {
            "splits": [numbers.to_json() for _, numbers in self.splits],
            "published": published,
            "findings": [finding.to_json() for finding in self.findings],
        }


def inspect_splits(
    path: Path,
    *,
    format: str | None = None,
    split: str | None = None,
    progress: bool = False,
    look: Callable[[AnnotatedSet], Iterable[Finding]] | None = None,
    stretch: Stretch = "auto",
) -> Inspection:
    """Read splits of a data set, decode all their images and count what they hold.

    Args:
        path: the data set.
        format: its layout; ``None`` recognises it.
        split: this one alone; ``None`` takes all.
        progress: show bars on stderr.
        look: finds more in a split.
        stretch: which values of more than 8 bits become 0 and 255.

    Raises:
        InputError: as :func:`srtod.data.read`.
    """
    names = splits(path, format=format) if split is None else (split,)
    prints: dict[Path, Fingerprint] = {}

    def keep(record: ImageRecord, pixels: NDArray[np.uint8]) -> None:
        prints[record.path] = fingerprint(record, pixels)

    sets = (read(path, format=format, split=name).stretched(stretch) for name in names)
    compared = keep if len(names) > 1 else None
    checked = [check_images(annotated, progress=progress, look=compared) for annotated in sets]
    described = tuple((annotated, describe(annotated)) for annotated in checked)
    more = (finding for annotated in checked if look is not None for finding in look(annotated))
    findings = worst_first([*find_all(checked, prints), *more])
    return Inspection(described, compare_whole(checked), findings)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _count_bins(sizes: NDArray[np.float64]) -> dict[str, int]:
    counts = np.bincount(bins_of(sizes), minlength=len(SIZE_BINS))
    return dict(zip(SIZE_BINS, counts.tolist(), strict=True))


def _count_classes(
    classes: Sequence[str], labels: NDArray[np.int64], ignore: NDArray[np.bool_], sizes: NDArray[np.float64]
) -> dict[str, dict[str, float | None]]:
    """Numbers of each class, and of regions of any class where there are some."""
    names = [*classes, "(any class)"]
    own = np.where(labels == ANY_CLASS, len(classes), labels)
    objects = np.bincount(own[~ignore], minlength=len(names)).tolist()
    regions = np.bincount(own[ignore], minlength=len(names)).tolist()
    total = np.bincount(own[~ignore], sizes[~ignore], minlength=len(names)).tolist()
    return {
        name: {
            "objects": objects[label],
            "regions_to_ignore": regions[label],
            "mean_size": total[label] / objects[label] if objects[label] else None,
        }
        for label, name in enumerate(names)
        if label < len(classes) or objects[label] + regions[label]
    }
