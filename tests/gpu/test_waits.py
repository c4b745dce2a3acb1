"""How often a GPU makes the host wait, as CUDA itself counts it."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parents[2] / "benchmarks" / "gpu.py")
gpu = importlib.util.module_from_spec(spec)
sys.modules["gpu"] = gpu  # whose dataclasses look for it
spec.loader.exec_module(gpu)

TRAINING = {
    "faster-rcnn": 14, "cascade-rcnn": 14, "rfla": 14, "cascade-rpn": 14, "detectors": 14, "tridentnet": 14,
    "retinanet": 8, "atss": 8, "dyhead": 8,
}  # fmt: skip
"""The most waits of a step of two images."""

INFERENCE = 6
"""The most waits of a pass of two images."""

pytestmark = [pytest.mark.gpu, pytest.mark.parametrize("device", ["cuda"], indirect=True)]


def waits(work):
    """Lines that waited in the second of two calls, the first of which may prepare."""
    work()
    return gpu.waits(work)


@pytest.fixture
def many(device):
    """Thirty objects in each of two images."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(30, 2, generator=generator) * 50
    target = {"boxes": torch.cat([corners, corners + 8], 1), "labels": torch.zeros(30, dtype=torch.int64)}
    return [target | {"seed": number} for number in (1, 2)]


def test_a_training_step_waits_seldom(system, small, images, many, device):
    detector = small(system, device).train()

    def work():
        losses = detector(images, many)
        torch.stack(list(losses.values())).sum().backward()

    places = waits(work)
    assert len(places) <= TRAINING[system], places


def test_an_inference_pass_waits_seldom(system, small, images, device):
    detector = small(system, device).eval()
    with torch.inference_mode():
        places = waits(lambda: detector(images))
    assert len(places) <= INFERENCE, places
