import fcntl
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

import srtod
from srtod.data.images import read_image
from srtod.inference.inputs import to_tensor

SHARED = Path(__file__).parents[3].parent / "shared"
PHOTOGRAPHS = SHARED / "data" / "tinyperson" / "images"


def drawn_detector(system, *, self_reconstruction=False, **options):
    """A detector of random weights whose scores are far enough apart to be put in order."""
    torch.manual_seed(0)
    if system in ("faster-rcnn", "cascade-rcnn"):
        options = {"box_channels": 32, "rpn_proposals": (300, 300)} | options
    settings = {"backbone": "resnet10t", "pyramid_channels": 32, "detections_per_image": 100} | options
    detector = srtod.build_detector(
        system, classes=("person", "boat"), self_reconstruction=self_reconstruction, **settings
    ).eval()
    for name, layer in detector.head.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data *= 0.2 if name.endswith("deltas") else 1.5 if system == "retinanet" else 1
    return detector


def share_of_same(found, expected):
    """Share of the detections of both that are the same: same label, IoU 0.99, score within 0.001."""
    same = box_iou(expected["boxes"], found["boxes"]) >= 0.99
    same &= expected["labels"][:, None] == found["labels"]
    same &= (expected["scores"][:, None] - found["scores"]).abs() <= 1e-3
    shares = [same.any(dim=dim).double().mean().item() for dim in (0, 1) if same.shape[1 - dim]]
    return min(shares, default=1.0)


@pytest.fixture(scope="session")
def draw():
    return drawn_detector


@pytest.fixture(scope="session")
def same():
    return share_of_same


@pytest.fixture(scope="session")
def photographs():
    """Two real images of two sizes."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("the photographs are not here")
    first, second = (
        to_tensor(read_image(path), torch.device("cpu")) for path in sorted(PHOTOGRAPHS.glob("*.jpg"))[:2]
    )
    return first[:, :320, :384].contiguous(), second[:, 100:301, 50:383].contiguous()


@pytest.fixture(scope="session")
def small_detector():
    return drawn_detector(
        "faster-rcnn",
        self_reconstruction={"head": "lite"},
        backbone="test_resnet",
        pyramid_channels=16,
        resize=(320, 320),
    )


@pytest.fixture(scope="session")
def small_file(small_detector, tmp_path_factory, worker_id):
    """Exported once for all processes of the tests, which share the folder above their own."""
    from srtod.inference.exporting import export

    own = tmp_path_factory.getbasetemp()
    path = (own if worker_id == "master" else own.parent) / "small.onnx"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            export(small_detector, path, format="onnx")
    return path
