"""What every head offers to a detector."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from srtod.heads.targets import Truth
from srtod.types import Detections, ImageBatch


class Head(nn.Module, ABC):
    """Levels to losses or detections."""

    @abstractmethod
    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Losses by name; their sum is the training loss."""

    @abstractmethod
    def detect(self, levels: Sequence[Tensor], batch: ImageBatch) -> list[Detections]:
        """Detections of each image, in pixels of the batch."""
