import time

import pytest
import timm
import torch
from safetensors.torch import save_file

import srtod
from srtod.pyramids.backbone import Backbone
from srtod.support import hub
from srtod.support.errors import InputError

SWIN = "swin_tiny_patch4_window7_224"


def backbone(name):
    torch.manual_seed(0)
    return Backbone(name, pretrained=False, frozen_stages=0, norm_eval=False).eval()


@pytest.mark.parametrize("size", [(32, 32), (96, 160), (224, 224)])
def test_windows_of_attention_take_images_of_any_size(size):
    with torch.no_grad():
        features = backbone(SWIN)(torch.rand(1, 3, *size))
    assert [tuple(level.shape[-2:]) for level in features] == [
        (size[0] // stride, size[1] // stride) for stride in (4, 8, 16, 32)
    ]
    assert all(level.isfinite().all() for level in features)


def test_images_of_the_models_own_size_give_what_timm_gives():
    own = backbone(SWIN)
    plain = timm.create_model(SWIN, features_only=True).eval()
    plain.load_state_dict(own.body.state_dict())
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for ours, theirs in zip(own(image), plain(image), strict=True):
            torch.testing.assert_close(ours, theirs.permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["hiera_tiny_224", "efficientformer_l1", "coatnet_0_224"])
def test_backbones_of_one_image_size_are_refused_at_once(name):
    with pytest.raises(InputError, match=f"'{name}' does not take images of every size") as error:
        srtod.build_detector("faster-rcnn", num_classes=2, backbone=name)
    assert "\n" not in str(error.value)


def test_without_internet_imagenet_weights_are_one_line_and_no_wait(monkeypatch):
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited to try again"))
    with pytest.raises(InputError, match=r"cannot be fetched .*pretrained_backbone=FILE.*=false") as error:
        Backbone("test_resnet", pretrained=True, frozen_stages=0, norm_eval=False)
    assert "\n" not in str(error.value)


def test_weights_of_an_earlier_download_need_no_internet(monkeypatch, tmp_path):
    torch.manual_seed(1)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda _, file: str(tmp_path / file))
    torch.manual_seed(2)
    cached = Backbone("test_resnet", pretrained=True, frozen_stages=0, norm_eval=False)
    given = Backbone(
        "test_resnet", pretrained=tmp_path / "model.safetensors", frozen_stages=0, norm_eval=False
    )
    for own, other in zip(cached.parameters(), given.parameters(), strict=True):
        assert torch.equal(own, other)
