"""A mask that is predicted from the level alone, and what teaches it (not in the paper)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from srtod.selfrec.objects import touched_by


class MaskPredictor(nn.Module):
    """Two 3x3 convolutions, C to C / 8 to 1 channel.

    Args:
        channels: channels C of the level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 1)
        self.hidden = nn.Conv2d(channels, hidden, kernel_size=3, padding=1)
        self.output = nn.Conv2d(hidden, 1, kernel_size=3, padding=1)

    def forward(self, level: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` to logits of the mask, float32 ``[B, 1, h, w]``."""
        return self.output(self.hidden(level).relu()).float()


def map_loss(logits: Tensor, wanted: Tensor, counted: Tensor | None) -> Tensor:
    """Mean binary cross-entropy of a map, of the mask or of the objects (ORFENet's object branch).

    Args:
        logits: ``[B, 1, h, w]``.
        wanted: ``[B, 1, h, w]`` in 0..1; learns nothing from this.
        counted: bool ``[B, 1, h, w]``, such as what is neither padding nor region to ignore; None: all.
    """
    loss = F.binary_cross_entropy_with_logits(logits, wanted.detach().to(logits.dtype), reduction="none")
    return loss.mean() if counted is None else (loss * counted).sum() / counted.sum().clamp(min=1)


def box_loss(
    logits: Tensor, boxes: Sequence[Tensor], ignore: Sequence[Tensor], *, stride: int, valid: Tensor | None
) -> Tensor:
    """Balanced cross-entropy of the predicted mask against the cells that objects touch.

    The cells of an image's objects weigh as much together as all its others, so that a mask of 0.5 is what
    objects and the rest would give alike, however few objects there are. It is the mean over the images.

    Args:
        logits: ``[B, 1, h, w]``.
        boxes: of the objects of each image, ``[N, 4]`` in pixels.
        ignore: regions of each image whose cells do not count unless an object touches them, ``[R, 4]``.
        stride: of the level, in pixels.
        valid: bool ``[B, 1, h, w]``, False in the padding; None where nothing is padded.
    """
    objects = touched_by(boxes, logits, stride)
    counted = objects | ~touched_by(ignore, logits, stride)
    if valid is not None:
        counted &= valid
    loss = F.binary_cross_entropy_with_logits(logits, objects.to(logits.dtype), reduction="none")
    sides = (objects & counted, ~objects & counted)
    means = [(loss * own).sum(dim=(1, 2, 3)) / own.sum(dim=(1, 2, 3)).clamp(min=1) for own in sides]
    return (means[0] + means[1]).mean() / 2
