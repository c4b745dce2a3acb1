"""A backbone that is not timm's: any module that gives four maps at strides 4 to 32."""

import pytest
import torch
from torch import nn

import srtod
from srtod.inference import for_inference
from srtod.support.errors import InputError

THIN = {"num_classes": 2, "pyramid_channels": 16}


class Plain(nn.Module):
    """Four maps of 8, 16, 32 and 64 channels."""

    def __init__(self, stride=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, stride, stride)
        self.norm = nn.BatchNorm2d(8)
        self.stages = nn.ModuleList(nn.Conv2d(8 << i, 16 << i, 2, 2) for i in range(3))

    def forward(self, images):
        maps = [self.norm(self.stem(images))]
        for stage in self.stages:
            maps.append(stage(maps[-1]).relu())
        return maps


def images():
    return [torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(3))]


def targets():
    return [{"boxes": torch.tensor([[10.0, 10, 18, 20]]), "labels": torch.tensor([0])}]


@pytest.mark.parametrize("system", ["faster-rcnn", "atss"])
def test_it_trains_detects_and_explains(system):
    body = Plain()
    detector = srtod.build_detector(system, backbone=body, self_reconstruction={"head": "lite"}, **THIN)
    assert detector.config["backbone"] == "Plain"
    assert detector.pyramid.backbone.channels == (8, 16, 32, 64)
    assert body.norm.num_batches_tracked == 0
    torch.stack(list(detector(images(), targets()).values())).sum().backward()
    assert body.stem.weight.grad.abs().sum() > 0
    found = detector.eval()(images())[0]
    fast = for_inference(detector)
    assert fast._config.backbone is fast.pyramid.backbone.body
    torch.testing.assert_close(fast(images())[0]["scores"], found["scores"], rtol=1e-4, atol=1e-5)
    assert set(detector.explain(images()[0])) >= {"mask", "difference"}


def test_its_batch_norm_is_held_where_asked_for():
    detector = srtod.build_detector("retinanet", backbone=Plain(), norm_eval=True, **THIN).train()
    assert not detector.pyramid.backbone.body.norm.training


def test_such_a_detector_is_not_saved(tmp_path):
    detector = srtod.build_detector("retinanet", backbone=Plain(), **THIN)
    with pytest.raises(InputError, match=r"w.safetensors: not saved: .* the backbone Plain, which was given"):
        detector.save(tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (
            "retinanet",
            {"backbone": Plain(stride=8)},
            "Plain maps an image .* needs four maps at strides",
        ),
        ("retinanet", {"backbone": nn.Linear(3, 3)}, "Linear takes no image: "),
        ("retinanet", {"backbone": Plain(), "pretrained_backbone": True}, "comes with its weights"),
        ("retinanet", {"backbone": Plain(), "frozen_stages": 1}, "comes with its weights"),
        ("tridentnet", {"backbone": Plain(), "pyramid_channels": None}, "'Plain' is no ResNet of timm's"),
        ("retinanet", {"backbone": 3}, "backbone"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(system, options, message):
    options = {name: value for name, value in (THIN | options).items() if value is not None}
    with pytest.raises(InputError, match=message) as error:
        srtod.build_detector(system, **options)
    assert "\n" not in str(error.value)
