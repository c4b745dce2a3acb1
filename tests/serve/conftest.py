import io

import numpy as np
import pytest
import torch
from PIL import Image

import srtod


class Planted:
    """Finds what was planted, whatever the image shows; ``gate`` holds it up, ``seen`` counts its images."""

    classes = ("drone", "bird")
    device = torch.device("cpu")

    def __init__(self):
        self.boxes = torch.tensor([[10.0, 12, 16, 17], [40, 20, 44, 23], [30, 30, 36, 36]])
        self.scores = torch.tensor([0.9, 0.6, 0.2])
        self.labels = torch.tensor([0, 1, 0])
        self.sizes = []
        self.gate = None

    def __call__(self, images):
        if self.gate is not None:
            assert self.gate.wait(timeout=30)
        self.sizes += [tuple(image.shape[1:]) for image in images]
        return [{"boxes": self.boxes, "scores": self.scores, "labels": self.labels} for _ in images]


def small_detector(*, self_reconstruction):
    torch.manual_seed(0)
    return srtod.build_detector(
        "faster-rcnn",
        classes=("drone", "bird"),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        score_threshold=0.0,
        detections_per_image=20,
        self_reconstruction=self_reconstruction,
    ).eval()


@pytest.fixture
def planted():
    return Planted()


@pytest.fixture(scope="session")
def detector():
    return small_detector(self_reconstruction={"head": "lite"})


@pytest.fixture(scope="session")
def plain_detector():
    return small_detector(self_reconstruction=False)


@pytest.fixture
def picture():
    def make(width=64, height=48, kind="PNG", seed=0):
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        return stream.getvalue()

    return make
