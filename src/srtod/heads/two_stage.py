"""Proposals first, then classes and boxes: the head of every R-CNN."""

from collections.abc import Sequence

from torch import Tensor

from srtod.boxes.candidates import Candidates
from srtod.heads.base import Head
from srtod.heads.box_head import CascadeBoxHead
from srtod.heads.losses import averaged
from srtod.heads.rpn import ProposalNetwork
from srtod.types import ImageBatch, Truth


class TwoStageHead(Head):
    """A proposal network and a chain of box stages.

    Args:
        rpn: levels to proposals.
        box_head: levels and proposals to detections.
    """

    def __init__(self, *, rpn: ProposalNetwork, box_head: CascadeBoxHead) -> None:
        super().__init__(box_head.limits)
        self.rpn = rpn
        self.box_head = box_head

    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Losses of proposals and boxes."""
        losses, proposals = self.rpn.loss_and_propose(levels, batch, truths)
        return averaged(losses | self.box_head.losses(levels, proposals, batch, truths))

    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """That of the proposals: what they do not find reaches no box stage."""
        return self.rpn.assigned(levels, size, padded_size, truth)

    def candidates(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """The refined proposals of all images, once for each class above the threshold."""
        return self.box_head.candidates(levels, self.rpn.propose(levels, sizes), sizes)
