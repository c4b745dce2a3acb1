from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
import torch
import torch.nn.functional as F
from timm.models.resnet import BasicBlock
from torch import nn
from torch.utils.checkpoint import checkpoint

from srtod.pyramids.backbone import Backbone
from srtod.pyramids.recursive import (
    AtrousSpatialPyramidPooling,
    FedActivation,
    FedBlock,
    RecursiveFeaturePyramid,
)
from srtod.pyramids.switchable import standardise_weights

IMAGES = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def backbone(name="resnet10t", *, switchable=False, **options):
    own = Backbone(name, **({"pretrained": False, "frozen_stages": 0, "norm_eval": True} | options))
    return standardise_weights(own, switchable_atrous=switchable)


def pyramid(*args, **options):
    torch.manual_seed(0)
    own = RecursiveFeaturePyramid(*(backbone(*args, **options) for _ in range(2)), channels=16)
    for parameter in own.parameters():
        if parameter.ndim == 1:  # the last BatchNorm of a block starts at zero and would silence it
            nn.init.uniform_(parameter, 0.5, 1)
    return own


def with_feedback(own):
    """The pyramid with other weights where it starts at zero."""
    torch.manual_seed(1)
    for name, parameter in own.named_parameters():
        if "feedback" in name or "gate" in name:
            nn.init.normal_(parameter, std=0.1)
    return own


def places(own):
    """Where feedback goes in, lowest stage first."""
    return [part for part in own.modules() if isinstance(part, FedActivation)]


def test_levels_have_the_strides_of_a_pyramid():
    assert [tuple(level.shape) for level in pyramid()(IMAGES)] == [
        (2, 16, 96 // stride, 64 // stride) for stride in (4, 8, 16, 32)
    ] + [(2, 16, 2, 1)]


@pytest.mark.parametrize("name", ["resnet10t", "resnet26"])
def test_at_first_levels_are_the_mean_of_two_pyramids(name):
    own = pyramid(name).eval()
    for place in places(own):
        nn.init.zeros_(place.feedback.bias)
    nn.init.zeros_(own.gate.bias)
    found = own(IMAGES)
    first = own.fuse(own.backbone(IMAGES))
    unfed = backbone(name).eval()
    left_over = unfed.load_state_dict(own.second_backbone.state_dict(), strict=False).unexpected_keys
    assert {key.split(".")[-2] for key in left_over} == {"feedback"}
    second = own.fuse(unfed(IMAGES))
    for level, one, other in zip(found, first, second, strict=True):
        torch.testing.assert_close(level, (one + other) / 2)


@pytest.mark.parametrize("name", ["resnet10t", "resnet26"])
def test_feedback_is_added_before_the_last_activation_of_a_block(name):
    own = with_feedback(pyramid(name)).eval()
    first = own.fuse(own.backbone(IMAGES))
    before, after = [], []
    for place in places(own):
        place.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0].clone()))
        place.register_forward_hook(lambda _, inputs, output: after.append(output.clone()))
    own(IMAGES)
    for place, level, summed, found in zip(places(own), first[1:4], before, after, strict=True):
        torch.testing.assert_close(found, F.relu(summed + place.feedback(own.aspp(level))))


def test_the_gate_mixes_each_cell_by_what_the_second_pass_found():
    own = with_feedback(pyramid()).eval()
    nn.init.zeros_(own.gate.weight)
    nn.init.constant_(own.gate.bias, -100)
    for found, first in zip(own(IMAGES), own.fuse(own.backbone(IMAGES)), strict=True):
        torch.testing.assert_close(found, first)
    nn.init.constant_(own.gate.bias, 100)
    second = own(IMAGES)
    nn.init.normal_(own.gate.weight)
    nn.init.zeros_(own.gate.bias)
    first = own.fuse(own.backbone(IMAGES))
    for found, after, before in zip(own(IMAGES), second, first, strict=True):
        share = own.gate(after).sigmoid()
        torch.testing.assert_close(found, share * after + (1 - share) * before)


def test_gradients_reach_both_backbones_and_the_feedback():
    own = with_feedback(pyramid()).train()
    sum(level.square().sum() for level in own(IMAGES)).backward()
    silent = [name for name, parameter in own.named_parameters() if parameter.grad is None]
    assert silent == []
    assert own.aspp.branches[2].weight.grad.abs().max() > 0


def test_both_backbones_are_held():
    own = pyramid(frozen_stages=2, norm_eval=False).train()
    for part in (own.backbone.body, own.second_backbone.body):
        assert not any(parameter.requires_grad for parameter in part["layer2"].parameters())
        assert all(parameter.requires_grad for parameter in part["layer3"].parameters())
        assert not part["layer1"][0].bn1.training
        assert part["layer3"][0].bn1.training
    held = pyramid(norm_eval=True).train()
    norms = [part for part in held.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


def test_two_threads_do_not_meet():
    own = with_feedback(pyramid()).eval()
    batches = [IMAGES, IMAGES.flip(3)]
    alone = [own(images) for images in batches]
    both_are_here = Barrier(2, timeout=30)

    def wait(*_):
        both_are_here.wait()

    for stage in ("conv1", "layer2", "layer3"):
        own.second_backbone.body[stage].register_forward_pre_hook(wait)
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(own, batches))
    for levels, wanted in zip(together, alone, strict=True):
        assert all(torch.equal(level, other) for level, other in zip(levels, wanted, strict=True))


def test_blocks_can_be_computed_again_for_their_gradients():
    own = with_feedback(pyramid()).train()

    def gradients():
        own.zero_grad()
        sum(level.square().sum() for level in own(IMAGES)).backward()
        return {name: parameter.grad for name, parameter in own.named_parameters()}

    kept = gradients()
    for block in (part for part in own.modules() if isinstance(part, BasicBlock | FedBlock)):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    torch.testing.assert_close(gradients(), kept)


def test_pooling_sees_three_neighbourhoods_and_the_mean():
    torch.manual_seed(0)
    pooling = AtrousSpatialPyramidPooling(4, 3)
    level = torch.randn(2, 4, 9, 7)
    (one, own, wide, mean) = ((conv.weight, conv.bias) for conv in pooling.branches)
    wanted = [
        F.conv2d(level, *one),
        F.conv2d(level, *own, padding=3, dilation=3),
        F.conv2d(level, *wide, padding=6, dilation=6),
        F.conv2d(level.mean((2, 3), keepdim=True), *mean).expand(-1, -1, 9, 7),
    ]
    torch.testing.assert_close(pooling(level), torch.cat(wanted, dim=1).relu())


def test_bfloat16_autocast_is_close_to_float32():
    own = with_feedback(pyramid(switchable=True)).eval()
    exact = own(IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        half = own(IMAGES)
    for level, other in zip(exact, half, strict=True):
        assert (level - other).abs().max() < 0.1 * level.abs().max()
