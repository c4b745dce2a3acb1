"""One level of stride 16 that is made with several receptive fields (TridentNet)."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.pyramids.backbone import STRIDES, Backbone
from srtod.pyramids.base import Pyramid

DILATIONS = (1, 2, 3)
"""Of the 3x3 convolutions in each branch."""
TEST_BRANCH = 1
"""Index of the branch that evaluation uses."""


class TridentPyramid(Pyramid):
    """C4 of a ResNet, whose stage of stride 16 runs once a branch (Li et al., ICCV 2019).

    Training sees all branches, evaluation one.

    Args:
        backbone: a ResNet; its last stage is not read.

    Raises:
        InputError: the backbone is no ResNet of basic or bottleneck blocks.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(strides=(STRIDES[2],), channels=backbone.channels[2], training_copies=len(DILATIONS))
        self.backbone = backbone
        with backbone.rebuilding() as stages:
            stages["layer3"] = TridentStage(stages["layer3"].children())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images ``[B, 3, H, W]`` to C4; in training ``[branches B, C, H / 16, W / 16]``."""
        return (self.backbone(images)[2],)


class TridentStage(nn.Sequential):
    """The blocks of a stage; in training they see the batch once a branch, as one larger batch.

    So BatchNorm in training mode counts over all branches, whose weights are the same.

    Args:
        blocks: of the stage; their 3x3 convolutions become a :class:`BranchedConv`.
    """

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__(*blocks)
        for block in self:
            for name, conv in list(block.named_children()):
                if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                    setattr(block, name, BranchedConv(conv, dilations=DILATIONS, test_branch=TEST_BRANCH))

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the stage's features, in training to those of all branches."""
        return super().forward(torch.cat([input] * len(DILATIONS)) if self.training else input)


class BranchedConv(nn.Conv2d):
    """A 3x3 convolution with one weight and a dilation for each branch.

    In evaluation it is the convolution of the test branch. In training the batch holds the branches one
    after another.

    Args:
        conv: whose weight it takes over.
        dilations: of each branch; the padding is the same, which keeps the size.
        test_branch: index of the branch that evaluation uses.
    """

    def __init__(self, conv: nn.Conv2d, *, dilations: Sequence[int], test_branch: int) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            kernel_size=3,
            stride=(conv.stride[0], conv.stride[1]),
            padding=dilations[test_branch],
            dilation=dilations[test_branch],
            groups=conv.groups,
            bias=conv.bias is not None,
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.dilations = tuple(dilations)

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[B, C, h, w]``, in training ``[branches B, C, h, w]``, to as many features."""
        if not self.training:
            return super().forward(input)
        branches = zip(input.chunk(len(self.dilations)), self.dilations, strict=True)
        return torch.cat(
            [
                F.conv2d(own, self.weight, self.bias, self.stride, dilation, dilation, self.groups)
                for own, dilation in branches
            ]
        )
