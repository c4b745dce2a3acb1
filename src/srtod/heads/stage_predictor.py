"""Boxes predicted by the last stage of a backbone (R-CNN on C4)."""

from torch import Tensor, nn

from srtod.heads.box_head import output_layers


class StagePredictor(nn.Module):
    """A convolutional stage on the features of each box, their mean, class logits and box deltas.

    The layers of a ResNet behind C4 take the place of fully connected ones (He et al., 2016, appendix A).

    Args:
        stage: maps ``[N, C, s, s]`` to ``[N, channels, t, t]``.
        channels: of the stage's output.
        num_classes: without the background; each class has its own deltas.
    """

    def __init__(self, *, stage: nn.Module, channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stage = stage
        self.classes, self.deltas = output_layers(channels, num_classes, num_classes)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[N, C, s, s]`` to logits ``[N, classes + 1]`` and deltas ``[N, classes, 4]``."""
        hidden = self.stage(pooled).mean(dim=(2, 3))
        return self.classes(hidden).float(), self.deltas(hidden).float().unflatten(1, (self.num_classes, 4))
