"""``torch.compile`` takes whole detectors: what it cannot follow it leaves to Python."""

import pytest
import torch

import srtod

SMALL = {"backbone": "test_resnet", "pyramid_channels": 16, "norm_eval": True, "detections_per_image": 20}


@pytest.mark.slow
@pytest.mark.parametrize("system", [pytest.param("retinanet", marks=pytest.mark.long), "faster-rcnn"])
def test_a_compiled_detector_trains_and_detects_the_same(system):
    torch.manual_seed(0)
    detector = srtod.build_detector(system, num_classes=2, score_threshold=0.0, **SMALL)
    compiled = torch.compile(detector, backend="eager")
    images = [torch.rand(3, 32, 64)]
    targets = [{"boxes": torch.tensor([[10.0, 10, 18, 20]]), "labels": torch.tensor([1]), "seed": 7}]
    losses = compiled(images, targets)
    torch.testing.assert_close(losses, detector(images, targets))
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in detector.head.parameters())
    detector.eval()
    with torch.inference_mode():
        torch.testing.assert_close(compiled(images), detector(images))
