import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srtod.pyramids.dynamic import DynamicBlock, DynamicReLU, ScaleAttention, first_values, pooled
from srtod.support.errors import InputError

SIZES = ((6, 8), (3, 4), (2, 2), (1, 1))


def levels(channels=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *size, generator=generator) for size in SIZES]


def block(**options):
    torch.manual_seed(1)
    return DynamicBlock(16, **options)


def test_pooled_offsets_are_means_of_the_cells_covered():
    maps = torch.tensor([[1.0, 3, 5, 7], [1, 3, 5, 7], [9, 9, 0, 4], [9, 9, 0, 4]])
    assert pooled(maps[None, None], (2, 2)).tolist() == [[[[2, 6], [9, 2]]]]


def test_first_values_are_those_of_each_image_in_memory():
    maps = torch.arange(2 * 2 * 2 * 4.0).view(2, 2, 2, 4)
    assert first_values(maps, (1, 2)).tolist() == [[[[0, 1]], [[2, 3]]], [[[16, 17]], [[18, 19]]]]


def naive(own, at_start):
    """What a block does before it has learned any offset: plain convolutions at half strength."""
    outputs = []
    for index, level in enumerate(own):
        seen = [at_start.same.norm(F.conv2d(level / 2, at_start.same.weight, padding=1))]
        if index > 0:
            finer = F.conv2d(own[index - 1] / 2, at_start.finer.weight, stride=2, padding=1)
            seen.append(at_start.finer.norm(finer))
        if index + 1 < len(own):
            coarser = F.conv2d(own[index + 1] / 2, at_start.coarser.weight, padding=1)
            up = nn.Upsample(level.shape[-2:], mode="bilinear", align_corners=True)
            seen.append(up(at_start.coarser.norm(coarser)))
        outputs.append(at_start.task(torch.stack([at_start.scale(one) for one in seen]).mean(dim=0)))
    return outputs


@pytest.mark.parametrize("coarser_offsets", ["pooled", "first_values"])
def test_a_new_block_mixes_neighbouring_levels_without_offsets(coarser_offsets):
    fresh = block(coarser_offsets=coarser_offsets)
    for found, wanted in zip(fresh(levels()), naive(levels(), fresh), strict=True):
        torch.testing.assert_close(found, wanted)


def test_offsets_count_in_cells_of_the_level_sampled():
    """One cell down and without a mask, each convolution is a plain one on a level moved up by one cell."""
    moving = block()
    moving.offsets.bias.data[0:18:2] = 1
    moving.offsets.bias.data[18:] = 100
    own = levels()
    for level in own:
        level[:, :, 0] = 0  # what is outside of the moved levels
    moved = [2 * F.pad(level[:, :, 1:], (0, 0, 0, 1)) for level in own]
    torch.testing.assert_close(moving(own)[0], naive(moved, block())[0])


def test_dynamic_relu_starts_near_relu_and_stays_in_its_bounds():
    relu = DynamicReLU(16)
    features = torch.tensor([-2.0, 3]).view(1, 1, 1, 2).expand(1, 16, 1, 2)
    nn.init.zeros_(relu.expand.weight)
    assert torch.equal(relu(features), features.relu())
    nn.init.constant_(relu.expand.bias, 100.0)  # max(2 x + 0.5, x + 0.5)
    assert torch.equal(relu(features)[0, 0, 0], torch.tensor([-1.5, 6.5]))
    nn.init.constant_(relu.expand.bias, -100.0)  # max(-0.5, -x - 0.5)
    assert torch.equal(relu(features)[0, 0, 0], torch.tensor([1.5, -0.5]))


def test_scale_attention_weights_each_image_as_a_whole():
    attention = ScaleAttention(16)
    nn.init.constant_(attention.conv.weight, 1 / 16)
    features = torch.full((3, 16, 2, 2), 1.0) * torch.tensor([-1.0, 1.5, 5]).view(3, 1, 1, 1)
    weights = attention(features) / features
    torch.testing.assert_close(weights[:, 0, 0, 0], torch.tensor([0.5, 0.75, 1]))
    assert torch.equal(weights, weights[:, :1, :1, :1].expand_as(weights))


def test_channels_that_cannot_be_grouped_are_told():
    with pytest.raises(InputError, match="multiple of 16, not 24"):
        DynamicBlock(24)


def test_mixed_precision_keeps_shapes_and_gradients():
    own = [level.requires_grad_() for level in levels()]
    with torch.autocast("cpu", torch.bfloat16):
        found = block()(own)
    assert [level.shape for level in found] == [level.shape for level in own]
    sum(level.float().square().sum() for level in found).backward()
    assert all(level.grad.isfinite().all() for level in own)
