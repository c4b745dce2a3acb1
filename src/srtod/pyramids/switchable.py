"""DetectoRS' convolutions: standardised weights, and a switch between two dilations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.nn.deformable import EXPORT_OBSTACLE, deform_conv2d, offsets_of, pair
from srtod.nn.initialisation import zero
from srtod.pyramids.backbone import Backbone

SWITCHABLE_STAGES = ("layer2", "layer3", "layer4")
VARIANCE_FLOOR = 1e-5
SAME = 1e-6
"""Relative difference of two spreads that rounding explains."""
COARSER = 3
"""How many times the dilation of the second convolution is that of the first."""
NEIGHBOURHOOD = 5
"""Side, in cells, of the square whose mean decides the switch and the offsets of a cell."""


def standardise_weights(backbone: Backbone, *, switchable_atrous: bool) -> Backbone:
    """Replace the convolutions of a ResNet in place; at first it still computes the same.

    Args:
        backbone: a ResNet with its (pretrained) weights.
        switchable_atrous: let the 3x3 convolutions of the blocks in stages 2 to 4 switch between dilations;
            all others, stem and shortcuts too, only get standardised weights.

    Returns:
        The backbone given.

    Raises:
        InputError: the backbone is no ResNet.
    """
    with backbone.rebuilding() as body:
        if switchable_atrous:
            _switch_dilations(body)
        plain = [parent for parent in body.modules() if not isinstance(parent, SwitchableAtrousConv2d)]
        for parent in plain:
            for name, conv in _convolutions(parent):
                setattr(parent, name, StandardisedConv2d(conv))
    return backbone


def _switch_dilations(body: nn.ModuleDict) -> None:
    for block in (block for stage in SWITCHABLE_STAGES for block in body[stage].children()):
        for name, conv in _convolutions(block):
            if conv.kernel_size == (3, 3):
                setattr(block, name, SwitchableAtrousConv2d(conv))


def _convolutions(parent: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    return [(name, conv) for name, conv in parent.named_children() if isinstance(conv, nn.Conv2d)]


class StandardisedConv2d(nn.Module):
    """A convolution whose weights are standardised, then scaled and shifted by constants, per output channel.

    Weight standardisation (Qiao et al., 2019) as in DetectoRS (Qiao et al., CVPR 2021), MMDetection's
    ``ConvAWS``: ``weight_gamma`` and ``weight_beta`` are stored, not trained, and hold the spread and the
    mean of the weights that training starts from.

    It is no ``nn.Conv2d``, because what folds BatchNorm into the weights of one must not meet these.

    Args:
        conv: the convolution that it starts as; its parameters are taken over.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride = pair(conv.stride)
        self.padding = pair(conv.padding)
        self.dilation = pair(conv.dilation)
        self.groups = conv.groups
        self.weight = conv.weight
        self.bias = conv.bias
        mean, spread = _moments(conv.weight.detach())
        self.register_buffer("weight_gamma", spread)
        self.register_buffer("weight_beta", mean)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', H', W']``."""
        weight = self.standardised_weight()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def standardised_weight(self) -> Tensor:
        """The weights that convolve, ``[C', C / groups, kernel height, kernel width]``."""
        # In the reference's order: behind two backbones a rounding of these weights has grown a thousandfold.
        mean, spread = _moments(self.weight)
        spread = _but_for_rounding(spread, self.weight_gamma)
        return self.weight_gamma * ((self.weight - mean) / spread) + self.weight_beta


class SwitchableAtrousConv2d(StandardisedConv2d):
    """Switchable atrous convolution (DetectoRS, section 4): MMDetection's ``SAC``, deformable.

    Two deformable convolutions share their standardised weights but for a trained difference; the second has
    three times the dilation. What is around a cell decides both their offsets and the share of the first in
    the result. The mean of the whole input adds context to it, and that of the result to the result. At first
    differences, offsets and contexts are zero and the share is one: what ``conv`` computes.

    Args:
        conv: the 3x3 convolution that it starts as; its parameters are taken over.
    """

    export_obstacle = f"{EXPORT_OBSTACLE}; build it with switchable_atrous=False"

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv)
        inputs, outputs = conv.in_channels, conv.out_channels
        offsets = 2 * conv.weight[0, 0].numel()
        self.weight_diff = nn.Parameter(torch.zeros_like(conv.weight))
        self.switch = zero(nn.Conv2d(inputs, 1, 1, stride=self.stride), bias=1)
        self.pre_context = zero(nn.Conv2d(inputs, inputs, 1))
        self.post_context = zero(nn.Conv2d(outputs, outputs, 1))
        self.offset_s = zero(nn.Conv2d(inputs, offsets, 3, stride=self.stride, padding=1))
        self.offset_l = zero(nn.Conv2d(inputs, offsets, 3, stride=self.stride, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, C', H', W']``."""
        x = x + self.pre_context(x.mean((2, 3), keepdim=True))
        around = _neighbourhood_mean(x)
        switch = self.switch(around)
        weight = self.standardised_weight()
        fine = self._convolve(x, offsets_of(self.offset_s, around), weight, 1)
        coarse = self._convolve(x, offsets_of(self.offset_l, around), weight + self.weight_diff, COARSER)
        mixed = switch * fine + (1 - switch) * coarse
        return mixed + self.post_context(mixed.mean((2, 3), keepdim=True))

    def _convolve(self, x: Tensor, offsets: Tensor, weight: Tensor, widened: int) -> Tensor:
        return deform_conv2d(
            x,
            offsets,
            weight,
            bias=self.bias,
            stride=self.stride,
            padding=(widened * self.padding[0], widened * self.padding[1]),
            dilation=(widened * self.dilation[0], widened * self.dilation[1]),
        )


def _moments(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of the weights of each output channel, ``[C', 1, 1, 1]``."""
    flat = weight.flatten(1)
    spread = (flat.var(dim=1) + VARIANCE_FLOOR).sqrt()
    return flat.mean(dim=1)[:, None, None, None], spread[:, None, None, None]


def _but_for_rounding(spread: Tensor, stored: Tensor) -> Tensor:
    """The stored spread where only rounding tells the two apart, with the gradient of the spread.

    Processors round square roots differently. Weights that are still those that the spread was stored for,
    such as frozen ones, are standardised alike on all of them.
    """
    difference = stored - spread.detach()
    return spread + difference.where(difference.abs() <= SAME * stored, 0)


def _neighbourhood_mean(x: Tensor) -> Tensor:
    """Mean over the square around each cell, mirrored at the border (repeated where too small to mirror)."""
    reach = NEIGHBOURHOOD // 2
    mode = "reflect" if min(x.shape[-2:]) > reach else "replicate"
    return F.avg_pool2d(F.pad(x, (reach,) * 4, mode=mode), NEIGHBOURHOOD, stride=1)
