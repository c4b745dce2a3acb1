"""What finds by fusing several sets of detections of an image, and answers all else as one finder does."""

from collections.abc import Sequence
from typing import Any

import torch

from srtod.boxes.fusion import fuse_views
from srtod.inference.operating import Least, at_least
from srtod.types import Detections, Finder


class FusedFinder:
    """Fuses detections; what it is asked for besides, its finder answers.

    Args:
        finder: answers.

    Attributes:
        least: scores of each class below which nothing is kept of what is fused; as trained.
        most: detections an image; as trained, None for no limit.
    """

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        told = getattr(finder, "config", {})
        self.most: int | None = told.get("detections_per_image")
        self.least: Least = torch.full((len(finder.classes),), told.get("score_threshold", 0.0))

    def __getattr__(self, name: str) -> Any:
        if name == "finder":  # not there yet, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.finder, name)

    def fused(self, found: Sequence[Sequence[Detections]]) -> list[Detections]:
        """One set of detections of each image, from several sets of the same images."""
        return [self._kept(fuse_views(own)) for own in zip(*found, strict=True)]

    def _kept(self, found: Detections) -> Detections:
        found = at_least(found, None if self.least is None else self.least.to(found["scores"].device))
        return {
            "boxes": found["boxes"][: self.most],
            "scores": found["scores"][: self.most],
            "labels": found["labels"][: self.most],
        }
