"""Rebuild the image from a pyramid level (paper, section 3: equations 1 and 2)."""

from math import log2

from torch import Tensor, nn


class UpBlock(nn.Module):
    """Equation 1: ``ReLU(Conv2(ReLU(Conv1(TranConv(X)))))``, twice the size and half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.up = nn.ConvTranspose2d(channels, half, kernel_size=4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(half, half, kernel_size=3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(half, half, kernel_size=3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C / 2, 2H, 2W]``."""
        return self.conv2(self.conv1(self.up(features)).relu()).relu()


class PaperHead(nn.Module):
    """Equation 2: ``sigmoid(Conv(Up(...Up(P))))`` with log2(stride) up-sampling blocks.

    Args:
        channels: channels C of the level; divisible by ``stride``.
        stride: stride of the level in pixels, a power of two.

    Raises:
        ValueError: the stride is not a power of two, or the channels cannot be halved that often.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        steps = _doublings(stride)
        if channels % stride:
            raise ValueError(f"{channels} channels cannot be halved {steps} times (level of stride {stride})")
        self.blocks = nn.Sequential(*(UpBlock(channels >> step) for step in range(steps)))
        self.output = nn.Conv2d(channels >> steps, 3, kernel_size=3, padding=1)

    def forward(self, level: Tensor) -> Tensor:
        """Map a level ``[B, C, H, W]`` to an image ``[B, 3, stride H, stride W]`` in 0..1."""
        return self.output(self.blocks(level)).float().sigmoid()


class LiteHead(nn.Module):
    """Two 3x3 convolutions at the level's own size and a pixel shuffle.

    At 1920 x 1080 and stride 4 this costs 46 GFLOPs where :class:`PaperHead` costs 897.

    Args:
        channels: channels C of the level; C / 4 lie between the two convolutions.
        stride: stride of the level in pixels, a power of two.
        planes: of what is rebuilt: 3 for an image.
    """

    def __init__(self, channels: int, stride: int, planes: int = 3) -> None:
        super().__init__()
        _doublings(stride)
        hidden = max(channels // 4, 1)
        self.hidden = nn.Conv2d(channels, hidden, kernel_size=3, padding=1)
        self.output = nn.Conv2d(hidden, planes * stride**2, kernel_size=3, padding=1)
        self.shuffle = nn.PixelShuffle(stride)

    def forward(self, level: Tensor) -> Tensor:
        """Map a level ``[B, C, H, W]`` to an image ``[B, 3, stride H, stride W]`` in 0..1."""
        return self.logits(level).sigmoid()

    def logits(self, level: Tensor) -> Tensor:
        """The same before the sigmoid, float32 ``[B, planes, stride H, stride W]``."""
        return self.shuffle(self.output(self.hidden(level).relu())).float()


RECONSTRUCTION_HEADS: dict[str, type[PaperHead] | type[LiteHead]] = {"paper": PaperHead, "lite": LiteHead}


def reconstruction_loss(reconstruction: Tensor, image: Tensor, valid: Tensor | None) -> Tensor:
    """Mean squared error, the mean over each image's own pixels, then over images.

    Args:
        reconstruction: ``[B, 3, H, W]``.
        image: ``[B, 3, H, W]``, RGB in 0..1, padding 0.
        valid: bool ``[B, 1, H, W]``, False for pixels that do not count; None where all do.
    """
    error = (reconstruction - image).square().mean(dim=1, keepdim=True)
    if valid is None:
        return error.mean()
    return ((error * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp(min=1)).mean()


def _doublings(stride: int) -> int:
    steps = round(log2(stride))
    if stride != 2**steps or steps < 1:
        raise ValueError(f"the stride must be a power of two from 2, not {stride}")
    return steps
