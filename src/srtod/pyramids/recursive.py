"""DetectoRS' pyramid: what it found first is fed into a second backbone."""

import torch
import torch.nn.functional as F
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from srtod.pyramids.backbone import Backbone
from srtod.pyramids.fpn import FeaturePyramid

FED_STAGES = {"layer2": 1, "layer3": 2, "layer4": 3}
"""Stages of the second backbone that take feedback in, and the index of the level of their stride."""


class RecursiveFeaturePyramid(FeaturePyramid):
    """Recursive feature pyramid of two steps (DetectoRS, Qiao et al., CVPR 2021, section 3).

    A first backbone and FPN give levels; atrous spatial pyramid pooling turns P3 to P5 into feedback; a
    second backbone sees the image again and takes the feedback in; the same FPN makes levels of its features;
    a gate at each of their cells mixes second and first. At first the feedback changes nothing, and the gate
    takes the mean.

    Args:
        backbone: gives features at strides 4, 8, 16 and 32.
        second_backbone: a ResNet of the same kind.
        channels: of every level.

    Raises:
        InputError: the second backbone is no ResNet.
    """

    def __init__(self, backbone: Backbone, second_backbone: Backbone, *, channels: int = 256) -> None:
        super().__init__(backbone, channels=channels)
        branch_channels = -(-channels // 4)
        self.second_backbone = second_backbone
        self.aspp = AtrousSpatialPyramidPooling(channels, branch_channels)
        self.gate = zero_conv(channels, 1)
        self._fed = _accept_feedback(second_backbone, 4 * branch_channels)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels, lowest first."""
        first = self.fuse(self.backbone(images))
        for place, index in zip(self._fed, FED_STAGES.values(), strict=True):
            place.level = self.aspp(first[index])
        second = self.fuse(self.second_backbone(images))
        shares = [self.gate(level).sigmoid() for level in second]
        return tuple(
            share * after + (1 - share) * before
            for share, after, before in zip(shares, second, first, strict=True)
        )


class FeedbackActivation(nn.Module):
    """The last activation of a block, before which a 1x1 convolution of the feedback is added.

    The convolution starts at zero.

    Args:
        activation: of the block.
        inputs: channels of the feedback.
        outputs: channels of the block.

    Attributes:
        level: feedback ``[B, inputs, h, w]`` for the next pass, as large as what the block gives out.
    """

    def __init__(self, activation: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation = activation
        self.feedback = zero_conv(inputs, outputs)
        self.level: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map the sum of residual and shortcut to the output; the feedback is used once and let go."""
        level, self.level = self.level, None
        if level is None:
            raise RuntimeError("a second backbone runs on feedback, and there is none")
        return self.activation(x + self.feedback(level))


class AtrousSpatialPyramidPooling(nn.Module):
    """See a level through a 1x1 and two dilated 3x3 convolutions, and its mean through another 1x1.

    Args:
        channels: of the level.
        branch_channels: of each of the four parts of the output.
    """

    def __init__(self, channels: int, branch_channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, branch_channels, size, padding=dilation if size > 1 else 0, dilation=dilation)
            for size, dilation in ((1, 1), (3, 3), (3, 6), (1, 1))
        )

    def forward(self, level: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to ``[B, 4 branch_channels, h, w]``."""
        inputs = (level, level, level, level.mean((2, 3), keepdim=True))
        seen = [F.relu(branch(x)) for branch, x in zip(self.branches, inputs, strict=True)]
        return torch.cat([*seen[:-1], seen[-1].expand_as(seen[0])], dim=1)


def _accept_feedback(backbone: Backbone, channels: int) -> list[FeedbackActivation]:
    """Let the first block of each fed stage take feedback in; return the places where it goes in."""
    places: list[FeedbackActivation] = []
    with backbone.rebuilding() as body:
        for stage, index in FED_STAGES.items():
            block = next(body[stage].children())
            last = "act3" if isinstance(block, Bottleneck) else "act2"
            activation = block.get_submodule(last)
            places.append(FeedbackActivation(activation, channels, backbone.channels[index]))
            setattr(block, last, places[-1])
    return places


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution that starts with weights and biases of zero."""
    conv = nn.Conv2d(inputs, outputs, 1)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
