"""What finds by fusing several sets of detections of an image, and answers all else as one finder does."""

from collections.abc import Sequence
from typing import Any

import torch

from srtod.boxes.fusion import fuse_views
from srtod.inference.operating import Least, at_least, config_of
from srtod.support.errors import InputError
from srtod.types import Detections, Finder


class FusedFinder:
    """Fuses detections; what it is asked for besides, its finder answers.

    Args:
        finders: what finds; the first one answers.

    Attributes:
        least: scores of each class below which nothing is kept of what is fused; as trained.
        most: detections an image; as trained, None for no limit.

    Raises:
        InputError: soft suppression, which leaves several boxes of an object.
    """

    def __init__(self, *finders: Finder) -> None:
        if any(config_of(own).get("soft_nms") is not None for own in finders):
            raise InputError(
                "weights: soft_nms leaves several boxes of an object, so it does not go with --scales, "
                "--flips and several weights, whose boxes are fused; save these weights with soft_nms=None"
            )
        self.finder = finders[0]
        told = config_of(self.finder)
        self.most: int | None = told.get("detections_per_image")
        self.least: Least = torch.full((len(self.finder.classes),), told.get("score_threshold", 0.0))

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
