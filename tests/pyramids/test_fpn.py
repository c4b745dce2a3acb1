import pytest
import torch
import torch.nn.functional as F

from srtod.pyramids.backbone import Backbone
from srtod.pyramids.fpn import FeaturePyramid


def pyramid(**options):
    torch.manual_seed(0)
    backbone = Backbone("resnet18", pretrained=False, frozen_stages=0, norm_eval=True)
    return FeaturePyramid(backbone, channels=16, **options).eval()


@pytest.mark.parametrize(("lowest", "coarser"), [(4, "subsample"), (4, "p5"), (8, "c5"), (8, "p5")])
def test_five_levels_halve_from_the_lowest(lowest, coarser):
    own = pyramid(lowest=lowest, coarser=coarser)
    levels = own(torch.rand(1, 3, 96, 128))
    assert own.strides == tuple(lowest << index for index in range(5))
    for level, stride in zip(levels, own.strides, strict=True):
        assert level.shape == (1, 16, -(-96 // stride), -(-128 // stride))


@pytest.mark.parametrize("coarser", ["c5", "p5"])
def test_coarser_levels_are_a_chain_of_strided_convolutions_without_activation(coarser):
    own = pyramid(lowest=8, coarser=coarser)
    images = torch.rand(2, 3, 64, 64)
    *_, p5, p6, p7 = own(images)
    first, second = own.fpn.extra_blocks.convs
    source = own.backbone(images)[-1] if coarser == "c5" else p5
    torch.testing.assert_close(p6, F.conv2d(source, first.weight, first.bias, stride=2, padding=1))
    torch.testing.assert_close(p7, F.conv2d(p6, second.weight, second.bias, stride=2, padding=1))
    assert p6.min() < 0


def test_convolutions_of_all_levels_start_alike():
    own = pyramid(lowest=8, coarser="p5")
    lateral, coarser = own.fpn.layer_blocks[0][0], own.fpn.extra_blocks.convs[0]
    assert coarser.weight.std().item() == pytest.approx(lateral.weight.std().item(), rel=0.1)
    assert coarser.bias.abs().max() == lateral.bias.abs().max() == 0
