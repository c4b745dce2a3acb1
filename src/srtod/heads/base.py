"""What every head offers to a detector."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from srtod.types import Detections, ImageBatch, Truth


class ProposalNetwork(nn.Module, ABC):
    """Levels to proposals: the first stage of a two-stage head."""

    @abstractmethod
    def propose(self, levels: Sequence[Tensor], batch: ImageBatch) -> list[Tensor]:
        """Proposals ``[K, 4]`` of each image, best first, under the limits of the current mode."""

    @abstractmethod
    def loss_and_propose(
        self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses by name, and proposals (detached) of each image."""


class Head(nn.Module, ABC):
    """Levels to losses or detections."""

    @abstractmethod
    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Losses by name; their sum is the training loss."""

    @abstractmethod
    def detect(self, levels: Sequence[Tensor], batch: ImageBatch) -> list[Detections]:
        """Detections of each image, in pixels of the batch."""
