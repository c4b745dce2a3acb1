import copy

import pytest
import torch

from srtod.detectors.folding import fold_batch_norm
from srtod.errors import InputError
from srtod.inference import for_inference, load_detector


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 64, 96, generator=generator), torch.rand(3, 90, 70, generator=generator)]


@pytest.mark.parametrize("options", [{}, {"fuse": False}, {"channels_last": True}])
def test_the_copy_finds_the_same(detector, images, options):
    fast = for_inference(detector, **options)
    with torch.inference_mode():
        for own, wanted in zip(fast(images), detector(images), strict=True):
            torch.testing.assert_close(own["scores"], wanted["scores"], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(own["boxes"], wanted["boxes"], rtol=1e-4, atol=1e-3)
    assert fold_batch_norm(fast) == (0 if options.get("fuse", True) else 15)


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
