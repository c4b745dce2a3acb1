"""Proposals first, then classes and boxes: the head of every R-CNN."""

from collections.abc import Sequence

from torch import Tensor

from srtod.heads.base import Head, ProposalNetwork
from srtod.heads.box_head import CascadeBoxHead
from srtod.types import Detections, ImageBatch, Truth


class TwoStageHead(Head):
    """A proposal network and a chain of box stages.

    Args:
        rpn: levels to proposals.
        box_head: levels and proposals to detections.
    """

    def __init__(self, *, rpn: ProposalNetwork, box_head: CascadeBoxHead) -> None:
        super().__init__()
        self.rpn = rpn
        self.box_head = box_head

    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Losses of proposals and boxes."""
        losses, proposals = self.rpn.loss_and_propose(levels, batch, truths)
        return losses | self.box_head.loss(levels, proposals, batch, truths)

    def detect(self, levels: Sequence[Tensor], batch: ImageBatch) -> list[Detections]:
        """Detections of each image, in pixels of the batch."""
        return self.box_head.detect(levels, self.rpn.propose(levels, batch), batch)
