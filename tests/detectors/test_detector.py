import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import srtod
from srtod.detectors.systems import SYSTEMS, without_others
from srtod.pyramids.backbone import Backbone
from srtod.support.errors import InputError

SMALL = {
    "backbone": "test_resnet",
    "pyramid_channels": 32,
    "box_channels": 32,
    "rpn_proposals": (100, 100),
}

SMALL_OF = {"tridentnet": {"box_samples": 16}}
"""What a system needs beside that."""


def small(system="faster-rcnn", **options):
    torch.manual_seed(0)
    own = without_others(SMALL | SMALL_OF.get(system, {}), system) if system in SYSTEMS else {}
    return srtod.build_detector(system, **({"classes": ("drone", "bird")} | own | options))


def images():
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(3, 64, 96, generator=generator), torch.rand(3, 90, 70, generator=generator)]


def targets():
    return [
        {
            "boxes": torch.tensor([[10.0, 10, 18, 20], [40, 30, 46, 37], [0, 0, 30, 30]]),
            "labels": torch.tensor([0, 1, 0]),
            "ignore": torch.tensor([False, False, True]),
            "seed": 7,
        },
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "seed": 8},
    ]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "self_reconstruction", [False, True, {}, {"head": "lite", "enhancement": "concatenate"}]
)
def test_losses_reach_every_parameter(system, self_reconstruction):
    detector = small(system, self_reconstruction=self_reconstruction).train()
    losses = detector(images(), targets())
    assert ("loss_reconstruction" in losses) is (self_reconstruction is not False)
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert [name for name, p in detector.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_detections_follow_the_convention(system):
    detector = small(system, score_threshold=0.0, detections_per_image=37).eval()
    with torch.inference_mode():
        results = detector(images())
    for image, found in zip(images(), results, strict=True):
        assert found["boxes"].shape == (37, 4)
        assert found["scores"].diff().max() <= 0
        assert found["labels"].dtype == torch.int64
        assert set(found["labels"].tolist()) <= {0, 1}
        assert (found["boxes"][:, 2:] >= found["boxes"][:, :2]).all()
        assert found["boxes"].min() >= 0
        assert (found["boxes"][:, 2] <= image.shape[2]).all()
        assert (found["boxes"][:, 3] <= image.shape[1]).all()


def test_evaluation_gives_tensors_without_gradients():
    detector = small(self_reconstruction={}, score_threshold=0.0).eval()
    found = detector(images())[0]
    maps = srtod.explain(detector, images()[0])
    assert not any(value.requires_grad for value in (*found.values(), *maps.values()))
    assert len(found["boxes"].numpy())  # as other tools take them


def test_no_objects_in_any_image_still_trains():
    detector = small(self_reconstruction={}).train()
    losses = detector(images(), [targets()[1], targets()[1]])
    assert losses["loss_box"].item() == 0
    assert all(loss.isfinite() for loss in losses.values())


def test_seeds_make_sampling_independent_of_the_batch():
    detector = small(rpn_samples=16, box_samples=8, norm_eval=True).train()
    same_size = [images()[0], images()[0].flip(2)]
    pair = [targets()[0], targets()[0] | {"seed": 9}]
    together = detector(same_size, pair)
    alone = [detector([image], [target]) for image, target in zip(same_size, pair, strict=True)]
    for key in ("loss_rpn_objectness", "loss_rpn_box", "loss_class", "loss_box"):
        torch.testing.assert_close(together[key], (alone[0][key] + alone[1][key]) / 2)


@pytest.mark.parametrize("resize", [(48, 48), (200, 150)])
def test_resized_boxes_come_back_in_pixels_of_the_given_image(resize):
    detector = small(resize=resize, score_threshold=0.0, self_reconstruction={}).eval()
    found = detector(images()[:1])[0]
    assert found["boxes"][:, 2].max() <= 96
    assert found["boxes"][:, 2].max() > 60
    maps = detector.explain(images()[0])
    assert maps["reconstruction"].shape == (3, 64, 96)
    assert maps["difference"].shape == (1, 64, 96)


def test_explain_gives_maps_of_the_image_without_padding():
    maps = small(self_reconstruction={}).eval().explain(images()[1])
    assert {name: tuple(own.shape) for name, own in maps.items()} == {
        "reconstruction": (3, 90, 70),
        "difference": (1, 90, 70),
        "mask": (1, 23, 18),
        "features_before": (32, 23, 18),
        "features_after": (32, 23, 18),
    }
    with pytest.raises(InputError, match="no self-reconstruction"):
        small().explain(images()[1])


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_file_rebuilds_the_same_detector(system, tmp_path):
    detector = small(system, self_reconstruction={"head": "lite", "threshold": 0.3}).eval()
    path = tmp_path / "weights.safetensors"
    detector.save(path)
    again = srtod.load(path)
    assert again.classes == ("drone", "bird")
    assert again.config == detector.config
    assert not again.training
    for before, after in zip(detector(images()), again(images()), strict=True):
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_half_precision_makes_a_file_of_half_the_size_that_finds_the_same(tmp_path):
    detector = small(score_threshold=0.0).eval()
    detector.save(tmp_path / "whole.safetensors")
    detector.save(tmp_path / "half.safetensors", half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    assert half < 0.55 * whole
    again = srtod.load(tmp_path / "half.safetensors")
    assert {value.dtype for value in again.parameters()} == {torch.float32}
    torch.testing.assert_close(again.state_dict(), detector.state_dict(), rtol=1e-3, atol=1e-6)


def test_numbers_too_large_for_half_precision_are_refused(tmp_path):
    detector = small()
    with torch.no_grad():
        next(detector.parameters()).fill_(1e5)
    with pytest.raises(InputError, match=r"w.safetensors in half precision: .* not finite"):
        detector.save(tmp_path / "w.safetensors", half=True)
    assert not list(tmp_path.iterdir())


def test_options_without_weights_can_be_changed_when_loading(tmp_path):
    detector = small(score_threshold=0.0)
    detector.save(tmp_path / "w.safetensors")
    changes = {"score_threshold": 0.4, "detections_per_image": 3, "resize": (200, 100)}
    again = srtod.load(tmp_path / "w.safetensors", **changes)
    assert again.config == detector.config | changes | {"resize": [200, 100]}
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in detector.state_dict().items())
    assert all(len(found["boxes"]) <= 3 for found in again(images()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"anchor_scale": 4},
            "'anchor_scale' cannot be changed; given weights of faster-rcnn leave open: frozen_stages, ",
        ),
        ({"score_treshold": 0.1}, "did you mean 'score_threshold'"),
        ({"nms_iou": 2}, "load: nms_iou"),
        (
            {"level_candidates": 50},
            "load: 'level_candidates' cannot be changed .*; given weights of faster-rcnn leave open",
        ),
    ],
)
def test_changes_that_weights_do_not_allow_are_refused(tmp_path, changes, message):
    small().save(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        srtod.load(tmp_path / "w.safetensors", **changes)


def test_saved_file_says_its_version_and_no_path(tmp_path):
    weights = tmp_path / "backbone.safetensors"
    body = Backbone("mobilenetv2_100", pretrained=False, frozen_stages=0, norm_eval=False).body
    save_file(body.state_dict(), weights)
    detector = small(backbone="mobilenetv2_100", pretrained_backbone=weights)
    detector.save(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        held = json.loads(file.metadata()["srtod"])
    assert held["version"] == srtod.__version__
    assert str(tmp_path) not in json.dumps(held)
    again = srtod.load(tmp_path / "w.safetensors")
    assert again.config["norm_eval"] is True
    assert again.config["frozen_stages"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not a readable safetensors"),
        (b"PK\x03\x04 pickled", "a checkpoint of PyTorch"),
    ],
)
def test_unusable_weights_are_refused(tmp_path, content, message):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        srtod.load(path)
    assert str(path) in str(error.value)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    detector = small()
    torch.nn.init.constant_(detector.head.rpn.deltas.bias, torch.nan)
    detector.save(tmp_path / "w.safetensors")
    message = r"w\.safetensors: 'head\.rpn\.deltas\.bias' has numbers that are not finite"
    with pytest.raises(InputError, match=message):
        srtod.load(tmp_path / "w.safetensors")


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="no srtod configuration"):
        srtod.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "faster-rcn"}, "did you mean 'faster-rcnn'"),
        ({"system": "FasterRCNN"}, "did you mean 'faster-rcnn'"),
        ({"anchor_scal": 2}, "did you mean 'anchor_scale'"),
        ({"self_reconstruction": {"treshold": 0.1}}, "did you mean 'threshold'"),
        ({"self_reconstruction": {"head": "big"}}, "'paper' or 'lite'"),
        ({"self_reconstruction": "lite"}, r"a dict of its switches, such as \{'head': 'lite'\}"),
        (
            {"self_reconstruction": {"temperature": float("inf")}},
            "temperature: input should be a finite number",
        ),
        (
            {"self_reconstruction": {"loss_weight": float("inf")}},
            "loss_weight: input should be a finite number",
        ),
        ({"score_threshold": 2}, "score_threshold"),
        ({"backbone": "resnet5"}, "did you mean 'resnet50'"),
        ({"backbone": "vit_tiny_patch16_224"}, "strides"),
        ({"pretrained_backbone": "nowhere.pth"}, "no such file"),
        ({"classes": None}, "num_classes or classes"),
        ({"classes": ("a",), "num_classes": 2}, "num_classes is 2"),
        ({"classes": None, "num_classes": 0}, "num_classes is a whole number"),
        ({"classes": None, "num_classes": 1.5}, "num_classes is a whole number"),
        ({"classes": None, "num_classes": True}, "num_classes is a whole number"),
        ({"classes": ()}, "classes: give at least one name"),
        ({"classes": ("a", " ")}, "classes: a name must not be empty"),
        ({"classes": 3}, "a sequence of names"),
        ({"pretrained_backbone": ""}, "no such file"),
        ({"classes": "drone"}, "a sequence of names"),
        ({"classes": ("a", "a")}, "distinct"),
        ({"anchor_scale": []}, "at least one"),
        ({"anchor_scale": float("inf")}, "anchor_scale"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        small(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": torch.tensor([[1.0, 1, 5, float("nan")]])}, r"targets\[0\]: box 0"),
        ({"boxes": torch.tensor([[5.0, 1, 5, 9]])}, "no width or height"),
        ({"labels": torch.tensor([2])}, "label 2 of box 0: the detector has 2 classes"),
        ({"labels": torch.tensor([0, 1])}, r"1 boxes, but labels \[2\]"),
        ({"labels": torch.tensor([1.0])}, r"targets\[0\]: labels are integers \(int64\), not torch.float32"),
        ({"labels": torch.tensor([True])}, "not torch.bool"),
        ({"boxes": torch.zeros(0)}, r"0 boxes, but labels \[1\]"),
    ],
)
def test_wrong_targets_name_target_and_box(change, message):
    target = {"boxes": torch.tensor([[1.0, 1, 5, 9]]), "labels": torch.tensor([0])} | change
    with pytest.raises(InputError, match=message):
        small().train()(images()[:1], [target])


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_may_be_integers_of_any_size(dtype):
    detector = small(rpn_samples=16, box_samples=8, norm_eval=True).train()
    short = [target | {"labels": target["labels"].to(dtype)} for target in targets()]
    torch.testing.assert_close(detector(images(), short), detector(images(), targets()), rtol=0, atol=0)


def test_labels_of_no_box_have_no_type_to_get_wrong():
    target = {"boxes": torch.tensor([]), "labels": torch.tensor([])}
    assert small("retinanet").train()(images(), [target] * 2)["loss_box"] == 0


def test_an_image_of_which_nothing_counts_still_trains():
    ignore_all = {
        "boxes": torch.tensor([[0.0, 0, 96, 64]]),
        "labels": torch.tensor([0]),
        "ignore": torch.tensor([True]),
    }
    for system in SYSTEMS:
        losses = small(system, self_reconstruction={}).train()(images()[:1], [ignore_all])
        assert losses.pop("loss_reconstruction") > 0
        assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("system", SYSTEMS)
def test_images_smaller_than_a_cell_are_searched_and_trained_on(system):
    detector = small(system, score_threshold=0.0, norm_eval=True, self_reconstruction={"head": "lite"})
    for size in ((1, 1), (5, 31)):
        image = torch.rand(3, *size)
        boxes = detector.eval()([image])[0]["boxes"]
        assert (boxes <= torch.tensor([size[1], size[0]] * 2)).all()
        assert detector.explain(image)["difference"].shape == (1, *size)
        target = {"boxes": torch.tensor([[0.0, 0, 1, 1]]), "labels": torch.tensor([1])}
        losses = detector.train()([image], [target])
        assert all(loss.isfinite() for loss in losses.values())


def test_one_tiny_image_is_too_little_for_batch_norm_to_count():
    detector = small(norm_eval=False).train()
    image, target = torch.rand(3, 20, 30), targets()[1]
    with pytest.raises(
        InputError, match=r"images\[0\]: a batch of one image of 32 x 32 .* model.norm_eval=true"
    ):
        detector([image], [target])
    assert all(loss.isfinite() for loss in detector([image] * 2, [target] * 2).values())


def test_no_proposals_give_no_detections():
    for system in SYSTEMS:
        detector = small(system).eval()
        for parameter in detector.parameters():
            torch.nn.init.constant_(parameter, torch.nan)
        assert detector(images()[:1])[0]["boxes"].shape == (0, 4)


def test_explaining_changes_nothing():
    detector = small(self_reconstruction={}).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.explain(images()[0])
    assert detector.training
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_explaining_leaves_every_part_its_mode_also_after_an_error():
    detector = small(self_reconstruction={}).train()
    detector.head.eval()  # a part alone, as in fine-tuning
    modes = [own.training for own in detector.modules()]
    detector.explain(images()[0])
    assert [own.training for own in detector.modules()] == modes
    detector.pyramid.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        detector.explain(images()[0])
    assert [own.training for own in detector.modules()] == modes


def test_each_image_needs_a_target():
    for given, told in ((targets()[:1], "1"), (None, "NoneType"), (targets()[0], "dict")):
        with pytest.raises(InputError, match=f"images: 2, targets: {told}$"):
            small().train()(images(), given)


def test_boxes_are_checked_in_pixels_of_the_given_image():
    target = {"boxes": torch.tensor([[80.0, 10, 90, 20]]), "labels": torch.tensor([0])}
    detector = small(resize=(48, 48)).train()
    assert all(loss.isfinite() for loss in detector(images()[:1], [target]).values())
    with pytest.raises(InputError, match=r"box 0 \[80.0, 10.0, .* outside its image of 70 x 90 pixels"):
        detector(images()[1:], [target])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_detector_of_another_type_than_float32_is_refused(dtype):
    detector = small(self_reconstruction={}).to(dtype)
    for call in (
        lambda: detector.train()(images(), targets()),
        lambda: detector.eval()(images()),
        lambda: detector.explain(images()[0]),
    ):
        with pytest.raises(InputError, match=f"cast to {dtype}, .* torch.autocast"):
            call()


def test_frozen_stages_and_norm_are_held():
    detector = small(backbone="mobilenetv2_100", frozen_stages=1, norm_eval=True).train()
    body = detector.pyramid.backbone.body
    assert not any(p.requires_grad for p in [*body.conv_stem.parameters(), *body.blocks[1].parameters()])
    assert all(p.requires_grad for p in body.blocks[2].parameters())
    assert not body.bn1.training
    running = (
        small(backbone="mobilenetv2_100", frozen_stages=1, norm_eval=False).train().pyramid.backbone.body
    )
    assert not running.bn1.training
    assert running.blocks[3][0].bn1.training
    before = body.blocks[3][0].bn1.running_mean.clone()
    detector(images(), targets())
    assert torch.equal(before, body.blocks[3][0].bn1.running_mean)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 128, 256, 512)),
        ("convnext_atto", (40, 80, 160, 320)),
        ("swin_tiny_patch4_window7_224", (96, 192, 384, 768)),
    ],
)
def test_backbones_of_other_families_give_strides_4_to_32(name, channels):
    options = {"pretrained": False, "frozen_stages": 1, "norm_eval": True}
    features = Backbone(name, **options).eval()(torch.rand(1, 3, 224, 224))
    assert [tuple(level.shape) for level in features] == [
        (1, width, 224 // stride, 224 // stride)
        for width, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]


def test_no_pretrained_backbone_is_the_default():
    assert small(pretrained_backbone=None).config == small().config


def test_backbone_weights_that_are_not_finite_are_refused(tmp_path):
    body = Backbone("mobilenetv2_100", pretrained=False, frozen_stages=0, norm_eval=False).body
    save_file(body.state_dict() | {"bn1.bias": torch.full((32,), torch.nan)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors: 'bn1\.bias' has numbers that are not finite"):
        small(backbone="mobilenetv2_100", pretrained_backbone=tmp_path / "w.safetensors")


def test_backbone_weights_of_another_model_are_refused(tmp_path):
    save_file({"conv_stem.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="does not fit the backbone"):
        small(backbone="mobilenetv2_100", pretrained_backbone=tmp_path / "w.safetensors")


def test_the_pixels_that_count_are_told_where_something_is_padded_alone():
    batch = small().preprocess
    assert batch([torch.rand(3, 64, 96), torch.rand(3, 64, 96)]).valid is None
    padded = batch([torch.rand(3, 64, 96), torch.rand(3, 50, 70)]).valid
    assert padded.sum(dim=(1, 2, 3)).tolist() == [64 * 96, 50 * 70]
    assert padded[1, 0, :50, :70].all()
