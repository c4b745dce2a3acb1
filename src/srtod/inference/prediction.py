"""What was found in one image, as columns, and what people and other tools want of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from srtod.data.pixels import Pixels
from srtod.defaults import PICTURE_SCORE
from srtod.inference.inputs import GivenImage, ImageFile
from srtod.plots import Scene, draw_detections
from srtod.results import coco_results
from srtod.support.errors import InputError, missing_extra
from srtod.support.files import atomic_file, require_free
from srtod.support.shapes import array_of
from srtod.types import Detections

if TYPE_CHECKING:
    import supervision

_ENCODING: dict[str, dict[str, Any]] = {".png": {"compress_level": 2}, ".jpg": {"quality": 95}}
"""PNG is written fast, JPEG with few traces on thin lines."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one image, best first.

    Attributes:
        source: the image: its name and id, and its ground truth where there is one.
        pixels: uint8 ``[H, W, 3]``, RGB, EXIF orientation applied; in slices, what gives parts of it.
        classes: class names in label order.
        boxes: float32 ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: float32 ``[M]``, descending.
        labels: int64 ``[M]``, counted from 0.
    """

    source: ImageFile | GivenImage
    pixels: NDArray[np.uint8] | Pixels
    classes: tuple[str, ...]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        source: ImageFile | GivenImage,
        pixels: NDArray[np.uint8] | Pixels,
        classes: tuple[str, ...],
        found: Detections,
    ) -> "Prediction":
        """Take what a detector gives, from any device and in any precision."""
        boxes, scores = (found[key].float().cpu().numpy() for key in ("boxes", "scores"))
        return cls(source, pixels, classes, boxes, scores, found["labels"].cpu().numpy())

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each detection."""
        return tuple(self.classes[label] for label in self.labels.tolist())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        if isinstance(self.pixels, np.ndarray):
            return self.pixels.shape[1], self.pixels.shape[0]
        return self.pixels.size

    def plot(self, *, min_score: float = PICTURE_SCORE) -> Image.Image:
        """Draw the detections, with insets that enlarge where they are tiny.

        Args:
            min_score: detections below are counted in the legend and not drawn.
        """
        truth = self.source.record
        scene = Scene(
            self.pixels,
            self.boxes,
            self.scores,
            self.labels,
            self.classes,
            truth=None if truth is None else truth.boxes[~truth.ignore],
            ignore=None if truth is None else truth.boxes[truth.ignore],
        )
        return draw_detections(scene, min_score=min_score, title=self.source.file_name)

    def save(self, path: str | Path, *, min_score: float = PICTURE_SCORE, overwrite: bool = False) -> None:
        """Write the picture of :meth:`plot`, whole or not at all; PNG keeps thin lines sharp.

        Raises:
            InputError: the file exists (unless ``overwrite``; the image itself is never replaced), the place
                cannot be written to, or Pillow does not write this ending.
        """
        path = Path(path)
        own = self.source.path if isinstance(self.source, ImageFile) else None
        require_free(path, overwrite=overwrite, inputs=[own if isinstance(own, Path) else None])
        if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise InputError(f"{path}: no kind of picture has this ending; take .png")
        with atomic_file(path) as scratch:
            self.plot(min_score=min_score).save(scratch, None, **_ENCODING.get(path.suffix.lower(), {}))

    def to_coco(self, category_ids: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Return COCO results with names: ``image_id``, ``file_name``, ``category_id``, ``bbox``, ``score``.

        Args:
            category_ids: the id of each class; counted from 1 if left out.

        Raises:
            InputError: there are not as many as classes.
        """
        if category_ids and len(category_ids) != len(self.classes):
            raise InputError(
                f"category_ids: one for each of {len(self.classes)} classes, not {len(category_ids)}"
            )
        return coco_results(
            self.source.image_id,
            self.boxes,
            self.scores,
            self.labels,
            category_ids=category_ids or range(1, len(self.classes) + 1),
            file_name=self.source.file_name or None,
            names=self.classes,
            rounded=True,
        )

    def to_supervision(self) -> "supervision.Detections":
        """Return ``supervision.Detections``, class names under ``data["class_name"]``.

        Raises:
            InputError: the extra ``supervision`` is not installed.
        """
        boxes, scores, labels = map(torch.from_numpy, (self.boxes, self.scores, self.labels))
        return to_supervision({"boxes": boxes, "scores": scores, "labels": labels}, self.classes)

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        counts = (int((self.labels == label).sum()) for label in range(len(self.classes)))
        found = ", ".join(
            f"{count} {name}" for name, count in zip(self.classes, counts, strict=True) if count
        )
        width, height = self.size
        return f"<{found or 'nothing'} in {self.source.file_name or 'an image'} ({width} x {height} px)>"

    def _repr_png_(self) -> bytes | None:
        """The picture, for notebooks."""
        return self.plot()._repr_png_()


def to_supervision(found: Detections, classes: Sequence[str] = ()) -> "supervision.Detections":
    """Turn the detections of one image into ``supervision.Detections``, for annotators, filters, trackers.

    Args:
        found: as detectors give them, on any device.
        classes: names in label order, such as ``detector.classes``; put under ``data["class_name"]``.

    Returns:
        Boxes x1 y1 x2 y2 in pixels, scores and labels, in the order of ``found``.

    Raises:
        InputError: the extra ``supervision`` is not installed, something is missing or has another shape, or
            a label has no name.
    """
    if not isinstance(found, dict) or not {"boxes", "scores", "labels"} <= found.keys():
        raise InputError("found: boxes, scores and labels of one image are needed, as a detector gives them")
    try:
        import supervision
    except ImportError as error:
        raise missing_extra("supervision", "to_supervision needs the package supervision", error) from error
    boxes, scores = (found[key].detach().float().cpu() for key in ("boxes", "scores"))
    boxes = array_of("boxes", boxes, np.float32, "M", 4)
    scores = array_of("scores", scores, np.float32, len(boxes))
    labels = array_of("labels", found["labels"].cpu(), np.int64, len(boxes))
    if classes and len(labels) and labels.max() >= len(classes):
        raise InputError(f"label {labels.max()} has no name among the {len(classes)} classes")
    return supervision.Detections(
        xyxy=boxes,
        confidence=scores,
        class_id=labels,
        data={"class_name": np.array([classes[label] for label in labels])} if classes else {},
    )
