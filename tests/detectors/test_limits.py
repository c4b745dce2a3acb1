"""How many candidates and proposals go on follows from how many detections are asked for."""

import pytest
import torch

import srtod
from srtod.boxes.anchors import level_sizes
from srtod.heads.dense import DensePrediction

SMALL = {"num_classes": 1, "backbone": "test_resnet", "pyramid_channels": 16}


@pytest.mark.parametrize(
    ("system", "options", "candidates"),
    [
        ("retinanet", {}, 9 * 1500),
        ("retinanet", {"detections_per_image": 100}, 1000),
        ("retinanet", {"level_candidates": 300}, 300),
        ("atss", {"detections_per_image": 3000}, 3000),
    ],
)
def test_candidates_of_one_stage_systems(system, options, candidates):
    assert srtod.build_detector(system, **SMALL, **options).head.level_candidates == candidates


@pytest.mark.parametrize(
    ("system", "options", "training", "test"),
    [
        ("faster-rcnn", {}, (2000, 2000), (3 * 1500, 1500)),
        ("faster-rcnn", {"detections_per_image": 100}, (2000, 2000), (1000, 1000)),
        ("faster-rcnn", {"rpn_proposals": (50, 20)}, (50, 50), (20, 20)),
        ("faster-rcnn", {"rpn_candidates": (70, 60)}, (70, 2000), (60, 1500)),
        ("cascade-rpn", {"rpn_candidates": (70, 60), "rpn_proposals": (50, 20)}, (70, 50), (60, 20)),
    ],
)
def test_candidates_and_proposals_of_two_stage_systems(system, options, training, test):
    rpn = srtod.build_detector(system, **SMALL, **options).head.rpn
    assert (rpn.training_limits.candidates, rpn.training_limits.kept) == training
    assert (rpn.test_limits.candidates, rpn.test_limits.kept) == test


def test_other_limits_follow_the_detections_that_a_loaded_detector_gives_out(tmp_path):
    srtod.build_detector("retinanet", **SMALL).save(tmp_path / "w.safetensors")
    loaded = srtod.load(tmp_path / "w.safetensors", detections_per_image=3000)
    assert loaded.head.level_candidates == 9 * 3000


class Crowd(torch.nn.Module):
    """Finds an object of 4 x 4 pixels at each cell of the lowest level, by all anchors of the cell."""

    def __init__(self, head):
        super().__init__()
        self.anchors, self.coder = head.anchors, head.coder

    def forward(self, levels):
        predictions = []
        for number, anchors in enumerate(self.anchors(level_sizes(levels), levels[0].device)):
            centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + 4
            objects = torch.cat([centres - 2, centres + 2], dim=1)
            logits = torch.full((1, len(anchors), 1), -9.0 if number else 3.0)
            predictions.append(DensePrediction(logits, self.coder.encode(anchors, objects)[None]))
        return predictions


def test_a_crowd_is_found_to_the_last_of_the_detections_asked_for():
    detector = srtod.build_detector("retinanet", **SMALL).eval()
    detector.head.predictor = Crowd(detector.head)
    with torch.inference_mode():
        found = detector([torch.rand(3, 320, 320)])[0]  # 40 x 40 objects
    assert len(found["boxes"]) == 1500
    assert len(found["boxes"].round().unique(dim=0)) == 1500
