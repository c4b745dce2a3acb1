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


def picture(size, boxes):
    """Draw boxes (whole pixels, none on another) onto black, each in a colour that says its number."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes, start=1):
        pixels[top:bottom, left:right] = (number % 256, number // 256, 0)
    return pixels


class SeesAll:
    """Finds every planted object, cut where the image ends.

    Args:
        slip: the score of an object that lies whole in the image less that of one that may be cut.
    """

    classes = ("drone",)
    device = torch.device("cpu")

    def __init__(self, slip=0.0):
        self.slip = slip
        self.batches = []

    def __call__(self, images):
        self.batches.append([tuple(image.shape[1:]) for image in images])
        return [self._find(image) for image in images]

    def _find(self, image):
        values = (image * 255).round().long()
        numbers = values[0] + 256 * values[1]
        boxes, scores = [], []
        for number in numbers.unique().tolist():
            if number == 0:
                continue
            rows, columns = (numbers == number).nonzero().T
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            boxes.append(box)
            touches = min(box[:2]) == 0 or box[2] == image.shape[2] or box[3] == image.shape[1]
            scores.append(0.5 + (self.slip if touches else 0))
        order = np.argsort([-score for score in scores], kind="stable")
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float).reshape(-1, 4)[order],
            "scores": torch.tensor(scores)[order],
            "labels": torch.zeros(len(boxes), dtype=torch.long),
        }


@pytest.fixture(name="picture", scope="session")
def _picture():
    return picture


@pytest.fixture(name="sees_all", scope="session")
def _sees_all():
    return SeesAll
