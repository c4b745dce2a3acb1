"""DetectoRS' pyramid: what it found first is fed into a second backbone."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from srtod.nn.initialisation import zero
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.fpn import FeaturePyramid

STAGES = ("layer1", "layer2", "layer3", "layer4")
"""Parts of a ResNet that give features."""

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
        self.gate = zero(nn.Conv2d(channels, 1, 1))
        with second_backbone.rebuilding() as body:
            for stage, index in FED_STAGES.items():
                outputs = second_backbone.channels[index]
                name = f"{stage}.0"
                body.set_submodule(name, FedBlock(body.get_submodule(name), 4 * branch_channels, outputs))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to levels, lowest first."""
        first = self.fuse(self.backbone(images))
        second = self.fuse(self._second_features(images, first))
        shares = [self.gate(level).sigmoid() for level in second]
        return tuple(
            share * after + (1 - share) * before
            for share, after, before in zip(shares, second, first, strict=True)
        )

    def _second_features(self, images: Tensor, first: Sequence[Tensor]) -> list[Tensor]:
        """Features of the second backbone, given the levels of the first pass."""
        features, x = [], images
        for name, part in self.second_backbone.body.named_children():
            if name in FED_STAGES:
                fed, *others = part.children()
                x = fed(x, self.aspp(first[FED_STAGES[name]]))
                for block in others:
                    x = block(x)
            else:
                x = part(x)
            if name in STAGES:
                features.append(x)
        return features


class FedBlock(nn.Module):
    """A block of a ResNet that adds a 1x1 convolution of feedback before its last activation.

    The convolution starts at zero.

    Args:
        block: whose parts it takes over, under their names.
        inputs: channels of the feedback.
        outputs: channels of the block.
    """

    def __init__(self, block: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self._last = "act3" if isinstance(block, Bottleneck) else "act2"
        for name, part in block.named_children():
            self.add_module(name, FedActivation(part, inputs, outputs) if name == self._last else part)

    def forward(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Map features and feedback, which is as large as what the block gives out, to features."""
        parts = dict(self.named_children())  # in the order in which timm uses them
        last, downsample = parts.pop(self._last), parts.pop("downsample", None)
        residual = x
        for part in parts.values():
            residual = part(residual)
        shortcut = x if downsample is None else downsample(x)
        return last(residual + shortcut, feedback)


class FedActivation(nn.Module):
    """An activation of the sum of features and a 1x1 convolution of feedback, which starts at zero."""

    def __init__(self, activation: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation = activation
        self.feedback = zero(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Map features ``[B, outputs, h, w]`` and feedback ``[B, inputs, h, w]`` to features."""
        return self.activation(x + self.feedback(feedback))


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
