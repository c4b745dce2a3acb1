"""Small detectors on a device, and what they learn from."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import srtod

SHARED = {
    "num_classes": 2,
    "backbone": "test_resnet",
    "norm_eval": True,
    "score_threshold": 0.0,
    "detections_per_image": 20,
}
ONE_STAGE = {"pyramid_channels": 32}
TWO_STAGE = {"pyramid_channels": 32, "box_channels": 32, "rpn_proposals": (50, 20)}
OPTIONS: dict[str, dict[str, Any]] = {
    "faster-rcnn": TWO_STAGE,
    "cascade-rcnn": TWO_STAGE,
    "rfla": TWO_STAGE,
    "cascade-rpn": TWO_STAGE,
    "detectors": TWO_STAGE,
    "tridentnet": {"rpn_proposals": (50, 20), "box_samples": 16},
    "retinanet": ONE_STAGE,
    "atss": ONE_STAGE,
    "dyhead": ONE_STAGE,
}
"""Every system, as small as it can be built."""


@pytest.fixture(params=list(OPTIONS))
def system(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def small() -> Callable[..., Any]:
    """Build a small detector of a system, with the same random weights each time, on a device."""

    def build(system: str, device: torch.device, **options: Any) -> Any:
        torch.manual_seed(0)
        given = SHARED | OPTIONS[system] | {"self_reconstruction": {"head": "lite"}} | options
        return srtod.build_detector(system, **given).to(device)

    return build


@pytest.fixture
def images(device: torch.device) -> list[torch.Tensor]:
    """Two images of different sizes, on the device."""
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(3, *size, generator=generator).to(device) for size in ((64, 96), (90, 70))]


@pytest.fixture
def targets() -> list[dict[str, Any]]:
    """What is in them: two objects and a region to ignore, and nothing; on the host, as they are read."""
    return [
        {
            "boxes": torch.tensor([[10.0, 10, 18, 20], [40, 30, 46, 37], [0, 0, 30, 30]]),
            "labels": torch.tensor([0, 1, 0]),
            "ignore": torch.tensor([False, False, True]),
            "seed": 7,
        },
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "seed": 8},
    ]


@pytest.fixture
def exact() -> Any:
    """Convolutions and matrix products in full float32: a GPU's TF32 keeps three digits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
