"""What every pyramid offers to self-reconstruction and heads."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Pyramid(nn.Module, ABC):
    """Images to levels.

    Args:
        strides: stride of each level in pixels, lowest first.
        channels: of every level.
        training_copies: in training mode the levels hold every image this many times, the whole batch after
            the whole batch (the branches of TridentNet).
    """

    def __init__(self, *, strides: tuple[int, ...], channels: int, training_copies: int = 1) -> None:
        super().__init__()
        self.strides = strides
        self.channels = channels
        self.training_copies = training_copies

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels ``[B, channels, H / stride, W / stride]``."""
