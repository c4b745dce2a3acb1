import copy

import pytest
import torch

import srtod
from srtod.detectors.detector import Detector
from srtod.detectors.folding import fold_batch_norm
from srtod.detectors.systems import SYSTEMS, without_others
from srtod.inference import for_inference, load_detector
from srtod.support.errors import InputError


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 64, 96, generator=generator), torch.rand(3, 90, 70, generator=generator)]


def with_random_statistics(system):
    torch.manual_seed(0)
    options = {"pyramid_channels": 32, "box_channels": 16, "rpn_proposals": (50, 50)}
    detector = srtod.build_detector(
        system,
        classes=("drone", "bird"),
        backbone="test_resnet",
        score_threshold=0.0,
        detections_per_image=20,
        self_reconstruction={"head": "lite"},
        **without_others(options, system),
    )
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    for module in detector.head.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.weight.data *= 4  # as they begin, all scores are nearly the same
    return detector.eval()


def assert_the_same(found, wanted):
    for own, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(own["scores"], theirs["scores"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(own["boxes"], theirs["boxes"], rtol=1e-4, atol=1e-3)
        assert torch.equal(own["labels"], theirs["labels"])


@pytest.mark.parametrize("options", [{}, {"fuse": False}, {"channels_last": True}])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_copy_finds_the_same(system, images, options):
    detector = with_random_statistics(system)
    fast = for_inference(detector, **options)
    with torch.inference_mode():
        assert_the_same(fast(images), detector(images))


def test_every_batch_norm_that_can_be_is_folded(detector):
    assert fold_batch_norm(for_inference(detector)) == 0
    assert fold_batch_norm(for_inference(detector, fuse=False)) == 15


def test_the_detector_itself_stays_as_it_is(detector):
    before = copy.deepcopy(detector.state_dict())
    for_inference(detector, channels_last=True)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert all(parameter.requires_grad for parameter in detector.parameters())
    assert fold_batch_norm(copy.deepcopy(detector)) == 15


def test_the_copy_neither_trains_nor_saves(detector, tmp_path):
    fast = for_inference(detector)
    with pytest.raises(InputError, match="cannot train"):
        fast.train()
    with pytest.raises(InputError, match="not saved"):
        fast.save(tmp_path / "weights.safetensors")
    assert not fast.training
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert list(tmp_path.iterdir()) == []


def test_a_detector_loaded_to_predict_is_such_a_copy(detector, images, tmp_path):
    detector.save(tmp_path / "w.safetensors")
    loaded = load_detector(tmp_path / "w.safetensors", device="cpu")
    assert fold_batch_norm(loaded) == 0
    with torch.inference_mode():
        for own, wanted in zip(loaded(images), detector(images), strict=True):
            torch.testing.assert_close(own["scores"], wanted["scores"], rtol=1e-4, atol=1e-5)


class Flipping(Detector):
    def forward(self, images, targets=None):
        return super().forward([image.flip(2) for image in images], targets)


def test_what_the_copy_would_lose_is_refused(detector):
    own = copy.deepcopy(detector)
    own.__class__ = Flipping
    with pytest.raises(InputError, match="Flipping has a forward of its own"):
        for_inference(own)
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        own = copy.deepcopy(detector)
        getattr(own, register)(lambda *_: None)
        with pytest.raises(InputError, match="forward hooks"):
            for_inference(own)
