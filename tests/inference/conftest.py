import numpy as np
import pytest
import torch
from PIL import Image

import srtod


def small_detector(*, self_reconstruction):
    torch.manual_seed(0)
    return srtod.build_detector(
        "faster-rcnn",
        classes=("drone", "bird"),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        anchor_scale=4,
        score_threshold=0.0,
        detections_per_image=20,
        self_reconstruction=self_reconstruction,
    ).eval()


@pytest.fixture(scope="session")
def detector():
    return small_detector(self_reconstruction={"head": "lite"})


@pytest.fixture
def write_image():
    def write(path, width=64, height=48, seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def plain_detector():
    return small_detector(self_reconstruction=False)
