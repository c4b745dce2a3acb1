import pytest
import torch
import torch.nn.functional as F

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.assigners.region import RegionAssigner
from srtod.boxes.samplers import RandomSampler
from srtod.heads.cascade_rpn import AdaptiveConvolution, CascadeRPN, sampling_offsets
from srtod.heads.losses import averaged
from srtod.heads.rpn import ProposalLimits
from srtod.types import ImageBatch, Truth

STRIDES = (4, 8)
SIZES = ((32, 64), (24, 40))
CPU = torch.device("cpu")


def batch():
    images = torch.zeros(2, 3, 32, 64)
    return ImageBatch(images, images, SIZES, ((32, 64), (32, 64)), ((1.0, 1.0),) * 2)


def levels(channels=8):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, 32 // stride, 64 // stride, generator=generator) for stride in STRIDES]


def truth(*boxes):
    boxes = torch.tensor(boxes).reshape(-1, 4)
    return Truth(boxes, torch.zeros(len(boxes), dtype=torch.int64), torch.zeros(0, 4), None)


def head(channels=8, scale=2.0):
    torch.manual_seed(0)
    return CascadeRPN(
        channels=channels,
        anchors=AnchorGenerator(strides=STRIDES, scales=[scale], ratios=[1.0]),
        regions=RegionAssigner(strides=STRIDES, anchor_scale=scale),
        assigner=MaxIoUAssigner(positive_iou=0.7, negative_iou=0.7, minimum_iou=0.3, match_low_quality=True),
        sampler=RandomSampler(None, 0.5),
        limits=(ProposalLimits(50, 20, 0.8), ProposalLimits(50, 10, 0.8)),
    )


def trained(network, truths):
    losses, proposals = network.loss_and_propose(levels(), batch(), truths)
    return averaged(losses), proposals


def squares(stride, size, side):
    """Boxes of one side around the top left corner of every cell."""
    return AnchorGenerator(strides=[stride], scales=[side / stride], ratios=[1.0])([size], CPU)[0][None]


def test_samples_lie_on_corners_edges_and_centre_of_the_box():
    boxes = torch.tensor([[[8.0, 4, 40, 20], [0, 0, 8, 8]]])
    offsets = sampling_offsets(boxes, (1, 2), stride=4).reshape(9, 2, 2)
    usual = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    for cell, (x1, y1, x2, y2) in enumerate(boxes[0].tolist()):
        places = (offsets[:, :, cell] + usual + torch.tensor([0, cell])) * 4
        grid = [[y, x] for y in (y1, (y1 + y2) / 2, y2) for x in (x1, (x1 + x2) / 2, x2)]
        assert places.tolist() == grid


def test_boxes_of_two_cells_around_their_own_sample_as_usual():
    boxes = squares(4, (8, 16), side=8)
    assert sampling_offsets(boxes, (8, 16), stride=4).abs().max() == 0
    convolution = AdaptiveConvolution(8)
    features = levels()[0][:1]
    usual = F.conv2d(features, convolution.weight, padding=1)
    torch.testing.assert_close(convolution(features, boxes, 4), usual)


def test_wider_boxes_sample_as_a_dilated_convolution():
    convolution = AdaptiveConvolution(8)
    features = levels()[0][:1]
    usual = F.conv2d(features, convolution.weight, padding=3, dilation=3)
    torch.testing.assert_close(convolution(features, squares(4, (8, 16), side=24), 4), usual)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_boxes_that_are_not_finite_read_no_foreign_memory(value):
    boxes = torch.full((1, 8 * 16, 4), value)
    assert sampling_offsets(boxes, (8, 16), stride=4).isfinite().all()
    assert AdaptiveConvolution(8)(levels()[0][:1], boxes, 4).isfinite().all()


def test_proposals_stay_in_their_image_and_follow_the_limits_of_the_mode():
    network = head()
    for mode, most in ((True, 20), (False, 10)):
        proposals = network.train(mode).propose(levels(), torch.tensor(SIZES)).by_image(2)
        for own, (height, width) in zip((table.boxes for table in proposals), SIZES, strict=True):
            assert 0 < len(own) <= most
            assert own.min() >= 0
            assert (own[:, 2:] <= torch.tensor([width, height])).all()


def test_first_loss_is_of_the_cells_in_the_middle_over_a_200th_of_all_cells():
    network = head()
    torch.nn.init.zeros_(network.first.deltas.weight)
    losses, _ = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    assert losses["loss_rpn_box_1"].item() == pytest.approx(0, abs=1e-5)
    losses, _ = trained(network, [truth([8.0, 10, 16, 22]), truth()])
    all_cells = 2 * (8 * 16 + 4 * 8)
    iou = 8 / 12  # of the one cell in its middle, whose anchor is 8 x 8 around (12, 16)
    assert losses["loss_rpn_box_1"].item() == pytest.approx(7 * (1 - iou) / (all_cells / 200))


def test_second_losses_are_of_the_refined_boxes():
    network = head()
    for layer in (network.first.deltas, network.second.deltas, network.second.objectness):
        torch.nn.init.zeros_(layer.weight)
    losses, _ = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    assert losses["loss_rpn_box_2"].item() == pytest.approx(0, abs=1e-6)
    torch.nn.init.constant_(network.first.deltas.bias, 1.0)  # boxes to the right and below, and larger
    moved, _ = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    assert moved["loss_rpn_box_2"] > 0
    counted = 2 * (8 * 16 + 4 * 8) + 1  # an image without objects counts one positive
    half_certain = 0.7 * torch.log(torch.tensor(2.0)) * (counted - 1) / counted
    assert losses["loss_rpn_objectness_2"].item() == pytest.approx(half_certain.item(), rel=1e-5)


def test_the_second_step_learns_from_the_first_ones_features_but_not_through_its_boxes():
    network = head()
    losses, proposals = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    (losses["loss_rpn_box_2"] + losses["loss_rpn_objectness_2"]).backward()
    assert network.first.deltas.weight.grad is None or not network.first.deltas.weight.grad.any()
    assert network.first.conv.weight.grad.abs().sum() > 0
    assert not any(own.requires_grad for own in proposals)


def test_works_under_autocast():
    network = head()
    whole, _ = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, proposals = trained(network, [truth([8.0, 8, 16, 16]), truth()])
    torch.stack(list(half.values())).sum().backward()
    assert all(own.dtype == torch.float32 for own in proposals)
    for name, loss in whole.items():
        torch.testing.assert_close(half[name], loss, rtol=0.05, atol=0.05)
