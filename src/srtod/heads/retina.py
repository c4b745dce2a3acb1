"""RetinaNet's predictions and box loss (Lin et al., ICCV 2017)."""

from collections.abc import Sequence

from torch import Tensor, nn

from srtod.boxes.anchors import per_anchor
from srtod.boxes.coders import DeltaCoder
from srtod.heads.dense import DensePrediction, Matched
from srtod.heads.losses import SummedLoss, smooth_l1
from srtod.heads.towers import ConvTowers, initialise


class RetinaPredictor(nn.Module):
    """Class logits and deltas by two stacks of convolutions, shared by all levels.

    Args:
        channels: of the levels.
        depth: convolutions in each stack.
        per_cell: anchors on each cell.
        num_classes: without the background.
    """

    def __init__(self, *, channels: int, depth: int = 4, per_cell: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.towers = ConvTowers(channels=channels, depth=depth, normalised=False)
        self.classes = nn.Conv2d(channels, per_cell * num_classes, kernel_size=3, padding=1)
        self.deltas = nn.Conv2d(channels, per_cell * 4, kernel_size=3, padding=1)
        initialise(self, self.classes)

    def forward(self, levels: Sequence[Tensor]) -> list[DensePrediction]:
        """Predict for the anchors of each level ``[B, C, h, w]``."""
        predictions = []
        for level in levels:
            class_features, box_features = self.towers(level)
            logits = per_anchor(self.classes(class_features), self.num_classes)
            predictions.append(DensePrediction(logits, per_anchor(self.deltas(box_features), 4)))
        return predictions


def delta_loss(found: Matched, coder: DeltaCoder) -> dict[str, SummedLoss]:
    """L1 distance of the deltas, ``loss_box``."""
    wanted = coder.encode(found.anchors, found.objects)
    return {"loss_box": SummedLoss(smooth_l1(found.deltas, wanted, found.positive, beta=0.0), found.count)}
