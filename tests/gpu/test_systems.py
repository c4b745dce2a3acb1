"""Every system on every device: a step of training, detections, and the numbers of the CPU."""

import pytest
import torch

import srtod

CPU = torch.device("cpu")
TWO_STAGE = ("faster-rcnn", "cascade-rcnn", "rfla", "cascade-rpn", "detectors", "tridentnet")


@pytest.mark.parametrize("head", [None, "lite", "paper"])
def test_a_step_reaches_every_parameter(system, head, small, images, targets, device):
    detector = small(system, device, self_reconstruction={"head": head} if head else False).train()
    losses = detector(images, targets)
    torch.stack(list(losses.values())).sum().backward()
    assert ("loss_reconstruction" in losses) is (head is not None)
    assert {loss.device.type for loss in losses.values()} == {device.type}
    assert all(loss.isfinite() for loss in losses.values())
    trained = {name: own for name, own in detector.named_parameters() if own.requires_grad}
    assert [name for name, own in trained.items() if own.grad is None or not own.grad.isfinite().all()] == []


def test_detections_lie_in_their_images(system, small, images, device):
    with torch.inference_mode():
        found = small(system, device).eval()(images)
    for image, own in zip(images, found, strict=True):
        assert own["boxes"].device.type == device.type
        assert 0 < len(own["boxes"]) <= 20
        assert own["scores"].diff().max() <= 0
        assert own["boxes"].min() >= 0
        assert (own["boxes"][:, 2:] <= own["boxes"].new_tensor(image.shape[:0:-1])).all()


def test_a_saved_file_finds_the_same_on_the_device(system, small, images, device, tmp_path):
    detector = small(system, device).eval()
    detector.save(tmp_path / "weights.safetensors")
    again = srtod.load(tmp_path / "weights.safetensors").to(device)
    with torch.inference_mode():
        for before, after in zip(detector(images), again(images), strict=True):
            torch.testing.assert_close(after["scores"], before["scores"])


@pytest.mark.parametrize("where", ["device", "host"])
def test_targets_may_lie_on_the_host_or_the_device(where, small, images, targets, device):
    there = device if where == "device" else CPU
    given = [
        {key: value.to(there) if isinstance(value, torch.Tensor) else value for key, value in own.items()}
        for own in targets
    ]
    losses = small("faster-rcnn", device).train()(images, given)
    expected = small("faster-rcnn", device).train()(images, targets)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_a_gpu_computes_the_losses_of_the_cpu(system, small, images, targets, device, exact):
    one = {"rpn_samples": 10**6, "box_samples": 10**6} if system in TWO_STAGE else {}
    losses = small(system, device, **one).train()(images, targets)
    expected = small(system, CPU, **one).train()([image.cpu() for image in images], targets)
    found = {name: loss.cpu() for name, loss in losses.items()}
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_a_gpu_finds_the_scores_of_the_cpu(system, small, images, device, exact):
    with torch.inference_mode():
        found = small(system, device).eval()(images)
        expected = small(system, CPU).eval()([image.cpu() for image in images])
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own["scores"].cpu(), other["scores"], rtol=1e-3, atol=1e-4)
