"""A head that nobody has told the exporter of becomes a program like any other."""

import pytest
import torch
from torch import nn

from srtod.boxes.candidates import Candidates, DetectionLimits
from srtod.detectors.detector import Detector
from srtod.heads.base import Head
from srtod.inference import for_inference
from srtod.inference.exporting import FORMATS, export, open_exported


class BrightCells(Head):
    """Takes each cell of the lowest level for a box of 12 pixels, in the class of its largest channel."""

    def __init__(self, channels):
        super().__init__(DetectionLimits(score_threshold=0.55, nms_iou=0.2, per_image=7))
        self.classes = nn.Conv2d(channels, 2, kernel_size=1)

    def loss(self, levels, batch, truths):
        return {"loss_nothing": levels[0].sum() * 0}

    def candidates(self, levels, sizes):
        scores, labels = self.classes(levels[0]).sigmoid().max(dim=1)
        images, rows, columns = (scores > self.limits.score_threshold).nonzero().unbind(1)
        corners = torch.stack([columns, rows], dim=1) * 4.0
        boxes = torch.cat([corners, corners + 12], dim=1).minimum(sizes[images].flip(1).repeat(1, 2))
        chosen = images, rows, columns
        return Candidates(images, boxes, scores[chosen], labels[chosen])


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_head_of_ones_own_is_exported_without_more_code(format, small_detector, tmp_path):
    torch.manual_seed(0)
    head = BrightCells(small_detector.pyramid.channels)
    nn.init.normal_(head.classes.weight)
    detector = Detector(
        preprocess=small_detector.preprocess,
        pyramid=small_detector.pyramid,
        self_reconstruction=None,
        head=head,
        config=small_detector._config,
    ).eval()
    path = tmp_path / f"own{FORMATS[format].suffix}"
    export(detector, path, format=format)
    images = [torch.rand(3, 200, 320), torch.rand(3, 320, 160)]
    with torch.inference_mode():
        expected, found = for_inference(detector)(images), open_exported(path, trust_weights=True)(images)
    assert all(len(own["boxes"]) == 7 for own in expected)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
