"""Self-reconstruction on a detector of torchvision, on every device."""

import torch
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

import srtod


def test_an_attached_detector_trains_and_detects(images, targets, device):
    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=96
    ).to(device)
    srtod.attach(model)
    given = [{"boxes": own["boxes"].to(device), "labels": own["labels"].to(device) + 1} for own in targets]
    losses = model.train()(images, given)
    torch.stack(list(losses.values())).sum().backward()
    assert losses["loss_reconstruction"].device.type == device.type
    assert all(loss.isfinite() for loss in losses.values())
    with torch.inference_mode():
        assert len(model.eval()(images)) == 2
