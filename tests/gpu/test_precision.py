"""Half precision, channels_last and torch.compile, in training and in detecting."""

import pytest
import torch

from srtod.inference import for_inference

SYSTEMS = (
    "faster-rcnn", "cascade-rcnn", "rfla", "cascade-rpn", "detectors", "tridentnet",
    "retinanet", "atss", "dyhead",
)  # fmt: skip


def on_a_gpu(*values):
    return pytest.param(*values, marks=pytest.mark.gpu)


ON_THE_CPU = [(system, "cpu") for system in ("faster-rcnn", "retinanet")]  # half precision is slow there
ON_DEVICES = [*ON_THE_CPU, *(on_a_gpu(system, "cuda") for system in SYSTEMS)]
IN_HALF = [(*where, torch.bfloat16) for where in ON_THE_CPU] + [
    on_a_gpu(system, "cuda", dtype) for dtype in (torch.bfloat16, torch.float16) for system in SYSTEMS
]

on_devices = pytest.mark.parametrize(("system", "device"), ON_DEVICES, indirect=["device"])
in_half = pytest.mark.parametrize(("system", "device", "dtype"), IN_HALF, indirect=["device"])


@in_half
def test_losses_and_gradients_are_finite_in_half_precision(system, device, dtype, small, images, targets):
    detector = small(system, device).train()
    with torch.autocast(device.type, dtype=dtype):
        losses = detector(images, targets)
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).float().sum().backward()
    assert all(own.grad.isfinite().all() for own in detector.parameters() if own.grad is not None)


@in_half
def test_detections_in_half_precision_are_float32(system, device, dtype, small, images):
    detector = small(system, device).eval()
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype):
        found = detector(images)
    for own in found:
        assert 0 < len(own["boxes"]) <= 20
        assert own["boxes"].isfinite().all()
        assert own["scores"].dtype == torch.float32


@on_devices
def test_the_order_in_memory_changes_no_loss(system, device, small, images, targets, exact):
    losses = small(system, device).train()(images, targets)
    detector = small(system, device).to(memory_format=torch.channels_last).train()
    torch.testing.assert_close(detector(images, targets), losses, rtol=2e-3, atol=1e-4)


@on_devices
def test_a_copy_for_inference_finds_the_same(system, device, small, images, exact):
    detector = small(system, device).eval()
    fast = for_inference(detector, channels_last=True)
    with torch.inference_mode():
        for own, other in zip(fast(images), detector(images), strict=True):
            torch.testing.assert_close(own["scores"], other["scores"], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("system", "device"),
    [on_a_gpu("faster-rcnn", "cuda"), on_a_gpu("retinanet", "cuda")],
    indirect=["device"],
)
def test_a_compiled_copy_finds_the_same(system, device, small, images, exact):
    """The CPU's part of this is tests/detectors/test_compile.py, with an empty backend."""
    detector = small(system, device).eval()
    fast = for_inference(detector, compiled=True)
    with torch.inference_mode():
        for own, other in zip(fast(images), detector(images), strict=True):
            torch.testing.assert_close(own["scores"], other["scores"], rtol=2e-3, atol=1e-4)
