"""A network that diverges ends in losses that are not finite, of which the trainer tells; not in a crash."""

import pytest
import torch

import srtod


@pytest.mark.parametrize(
    ("system", "layer"),
    [
        ("retinanet", "head.predictor.deltas"),
        ("atss", "head.predictor.deltas"),
        ("faster-rcnn", "head.rpn.deltas"),
        ("cascade-rcnn", "head.box_head.stages.0.predictor.deltas"),
        ("cascade-rpn", "head.rpn.first.deltas"),
    ],
)
def test_deltas_that_are_no_numbers_give_losses_that_are_none(system, layer):
    torch.manual_seed(0)
    detector = srtod.build_detector(system, num_classes=2, backbone="test_resnet", pyramid_channels=16)
    torch.nn.init.constant_(detector.get_submodule(layer).bias, torch.nan)
    target = {"boxes": torch.tensor([[10.0, 10, 18, 20], [30, 30, 34, 36]]), "labels": torch.tensor([0, 1])}
    loss = torch.stack(list(detector([torch.rand(3, 64, 64)], [target]).values())).sum()
    assert not loss.isfinite()
    loss.backward()
