"""What every head offers to a detector."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from srtod.boxes.candidates import Candidates, DetectionLimits
from srtod.support.errors import InputError
from srtod.types import ImageBatch, Truth


class Head(nn.Module, ABC):
    """Levels to losses or detections.

    A head says which boxes are candidates; the choice among them is the same for all heads, in eager mode as
    in an exported program.

    Args:
        limits: which detections are given out.
    """

    def __init__(self, limits: DetectionLimits) -> None:
        super().__init__()
        self.limits = limits

    @abstractmethod
    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Losses by name; their sum is the training loss."""

    @abstractmethod
    def candidates(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """The boxes above the score threshold, before the non-maximum suppression; groups are classes.

        Args:
            levels: ``[B, C, h, w]`` each.
            sizes: (height, width) of each image without padding, int64 ``[B, 2]``.

        Returns:
            In pixels of the batch. An exported program is made of the same operators: no number of images or
            boxes may be read on the host.
        """

    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """Which object each anchor of one image is to find in training, before any of them are sampled.

        Args:
            levels: (h, w) of each level in cells.
            size: (height, width) of the image in pixels.
            padded_size: the same with padding.
            truth: of the image.

        Returns:
            int64 ``[N]``: index of the object, or negative.

        Raises:
            InputError: a head of one's own that does not say so.
        """
        raise InputError(
            f"{type(self).__name__} does not say what its anchors are to find; define 'assigned'"
        )

    def detect(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """Detections of all images in pixels of the batch, as :meth:`Candidates.best` orders them."""
        found, limits, images = self.candidates(levels, sizes), self.limits, sizes.shape[0]
        if limits.soft_nms is None:
            return found.best(images=images, iou=limits.nms_iou, most=limits.per_image)
        return found.best_softly(
            images=images, sigma=limits.soft_nms, above=limits.score_threshold, most=limits.per_image
        )

    @property
    def export_obstacle(self) -> str | None:
        """Why no program can be made of it, if so."""
        if self.limits.soft_nms is None:
            return None
        return "has soft suppression (soft_nms), for which the runtimes share no operator"
