import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import srtod
from srtod.pyramids.backbone import Backbone
from srtod.support.errors import InputError

SMALL = {"backbone": "resnet10t", "num_classes": 2, "rpn_proposals": (60, 30), "box_samples": 16}


def build(**options):
    torch.manual_seed(0)
    detector = srtod.build_detector("tridentnet", **(SMALL | options))
    for name, parameter in detector.named_parameters():
        if parameter.ndim == 1 and ".bn" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return detector


def scene():
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(3, 64, 96, generator=generator), torch.rand(3, 64, 64, generator=generator)]
    boxes = torch.tensor([[10.0, 10, 42, 40], [40, 30, 62, 60]])
    labels = torch.tensor([0, 1])
    return images, [{"boxes": boxes, "labels": labels, "seed": seed} for seed in (7, 8)]


def test_settings_are_the_published_ones():
    head = build().head
    stage = head.box_head.stages[0]
    boxes = head.rpn.anchors([(1, 1)], torch.device("cpu"))[0]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    assert areas.sqrt().round().tolist() == [32, 64, 128] * 3
    assert stage.sampler.positive_share == 0.5
    assert not stage.add_objects
    assert head.rpn.conv.in_channels == 256
    assert build(anchor_scale=3).head.rpn.anchors.per_cell == 3


def test_evaluation_uses_the_middle_branch_alone():
    detector, (images, _) = build().eval(), scene()
    level = detector.pyramid(detector.preprocess(images).normalised)[0]
    with torch.no_grad():
        every = detector.train().pyramid
        for module in every.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        branches = every(detector.preprocess(images).normalised)[0].chunk(3)
    torch.testing.assert_close(level, branches[1])
    assert not torch.allclose(branches[0], branches[1], rtol=0.1)


@pytest.mark.parametrize("head", ["paper", "lite"])
def test_self_reconstruction_works_on_c4(head):
    images, targets = scene()
    detector = build(self_reconstruction={"head": head}, norm_eval=True).train()
    losses = detector(images, targets)
    losses["loss_reconstruction"].backward()
    assert all(p.grad.abs().sum() > 0 for p in detector.self_reconstruction.head.parameters() if p.ndim > 1)
    maps = detector.explain(images[0])
    assert maps["reconstruction"].shape == (3, 64, 96)
    assert maps["features_after"].shape == maps["features_before"].shape == (256, 4, 6)
    assert maps["mask"].shape == (1, 4, 6)


def test_images_of_all_branches_draw_by_the_seed():
    images, targets = scene()
    detector = build(norm_eval=True).train()
    first, second = detector(images, targets), detector(images, targets)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_bfloat16_trains():
    images, targets = (of_both[:1] for of_both in scene())
    few = {"rpn_proposals": (20, 10), "box_samples": 4}
    detector = build(self_reconstruction={"head": "lite"}, backbone="test_resnet", **few).train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector(images, targets)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())


def test_pretrained_weights_reach_the_last_stage(tmp_path):
    body = Backbone("resnet10t", pretrained=False, frozen_stages=0, norm_eval=False).body
    save_file(body.state_dict(), tmp_path / "backbone.safetensors")
    detector = srtod.build_detector(
        "tridentnet", **SMALL, pretrained_backbone=tmp_path / "backbone.safetensors"
    )
    stage = detector.train().head.box_head.stages[0].predictor.stage
    assert torch.equal(stage[0].conv1.weight, body["layer4"][0].conv1.weight)
    assert torch.equal(
        detector.pyramid.backbone.body["layer3"][0].conv2.weight, body["layer3"][0].conv2.weight
    )
    assert not stage[0].bn1.training
    assert all(parameter.requires_grad for parameter in stage.parameters())


def test_checkpoints_of_mmdetection_are_read():
    source, target = build(), srtod.build_detector("tridentnet", **SMALL)
    names = {
        "pyramid.backbone.body.": "backbone.",
        "head.rpn.conv.": "rpn_head.rpn_conv.",
        "head.rpn.objectness.": "rpn_head.rpn_cls.",
        "head.rpn.deltas.": "rpn_head.rpn_reg.",
        "head.box_head.stages.0.predictor.stage.": "roi_head.shared_head.layer4.",
        "head.box_head.stages.0.predictor.classes.": "roi_head.bbox_head.fc_cls.",
        "head.box_head.stages.0.predictor.deltas.": "roi_head.bbox_head.fc_reg.",
    }
    theirs = {}
    for key, value in source.state_dict().items():
        ours = next(name for name in names if key.startswith(name))
        theirs[names[ours] + key.removeprefix(ours)] = value
    srtod.load_mmdet(target, theirs)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


def test_a_backbone_without_such_stages_is_refused():
    with pytest.raises(InputError, match="'mobilenetv2_100' is no ResNet") as error:
        build(backbone="mobilenetv2_100")
    assert "\n" not in str(error.value)
