import copy
import io

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torchvision.models import mobilenet_v2, resnet18
from torchvision.models.detection import (
    FCOS,
    FasterRCNN,
    KeypointRCNN,
    MaskRCNN,
    RetinaNet,
    ssdlite320_mobilenet_v3_large,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, mobilenet_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import srtod
from srtod.support.errors import InputError

SMALL = {"min_size": 64, "max_size": 128}
FEW = SMALL | {
    "rpn_pre_nms_top_n_train": 50,
    "rpn_post_nms_top_n_train": 50,
    "rpn_post_nms_top_n_test": 20,
    "box_batch_size_per_image": 8,
    "box_detections_per_img": 5,
}
THREE_MAPS = {"rpn_anchor_generator": AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3)}
ONE_MAP = {"rpn_anchor_generator": AnchorGenerator(((16, 32),), ((1.0,),))}


def resnet(first=1, extra=None):
    layers = range(first, 5)
    return BackboneWithFPN(
        resnet18(weights=None, norm_layer=FrozenBatchNorm2d),
        {f"layer{layer}": str(layer) for layer in layers},
        [32 << layer for layer in layers],
        32,
        extra_blocks=extra,
    )


def from_p3():
    return resnet(first=2, extra=LastLevelP6P7(32, 32))


def one_map():
    features = mobilenet_v2(weights=None).features[:7]
    features.out_channels = 32
    return features


def mobilenet():
    return mobilenet_backbone(backbone_name="mobilenet_v3_small", weights=None, fpn=True, trainable_layers=6)


class Block(nn.Sequential):
    def __init__(self, channels, stride, colours=3):
        super().__init__(nn.Conv2d(colours, channels, 3, stride=stride, padding=1))
        self.out_channels = channels


MODELS = {
    "faster": (lambda: FasterRCNN(resnet(), 3, **FEW), 4, 32),
    "retinanet": (lambda: RetinaNet(from_p3(), 3, **SMALL), 8, 32),
    "fcos": (lambda: FCOS(from_p3(), 3, **SMALL), 8, 32),
    "mask": (lambda: MaskRCNN(resnet(), 3, **FEW), 4, 32),
    "keypoint": (lambda: KeypointRCNN(resnet(), 2, num_keypoints=2, **FEW), 4, 32),
    "mobilenet": (lambda: FasterRCNN(mobilenet(), 3, **THREE_MAPS, **FEW), 32, 256),
    "one map": (lambda: FasterRCNN(one_map(), 3, **ONE_MAP, **FEW), 8, 32),
    "ssdlite": (
        lambda: ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3),
        16,
        672,
    ),
}


def built(name="one map"):
    torch.manual_seed(0)
    return MODELS[name][0]()


def images():
    generator = torch.Generator().manual_seed(3)
    dark = [torch.rand(3, 64, width, generator=generator) / 5 for width in (96, 80)]
    return [image.index_fill(2, torch.arange(30, 40), 0.9) for image in dark]


def targets():
    return [
        {
            "boxes": torch.tensor([[10.0, 10, 40, 42]]),
            "labels": torch.tensor([1]),
            "masks": F.pad(torch.ones(1, 32, 30, dtype=torch.uint8), (10, 56, 10, 22)),
            "keypoints": torch.tensor([[[12.0, 14, 1], [30, 40, 1]]]),
        },
        {
            "boxes": torch.tensor([[30.0, 20, 60, 60]]),
            "labels": torch.tensor([1]),
            "masks": F.pad(torch.ones(1, 40, 30, dtype=torch.uint8), (30, 20, 20, 4)),
            "keypoints": torch.tensor([[[32.0, 24, 1], [50, 50, 1]]]),
        },
    ]


def hooks_of(model):
    return [hook for own in model.modules() for hook in (*own._forward_hooks, *own._forward_pre_hooks)]


def same(first, second):
    return all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a)


@pytest.mark.parametrize("name", MODELS)
def test_one_more_loss_and_the_same_detections_dict(name):
    plain, model = built(name), built(name)
    assert srtod.attach(model, head="lite") is model
    own = model.self_reconstruction
    assert (own.stride, own.enhancement.attention.mlp[0].in_features) == MODELS[name][1:]
    losses = model.train()(images(), targets())
    assert list(losses) == [*plain.train()(images(), targets()), "loss_reconstruction"]
    sum(losses.values()).backward()
    assert [name for name, p in own.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        found, before = model.eval()(images()), plain.eval()(images())
    for mine, other in zip(found, before, strict=True):
        assert {key: value.dtype for key, value in mine.items()} == {
            key: value.dtype for key, value in other.items()
        }


@pytest.mark.parametrize("name", ["faster", "retinanet", "fcos", "one map"])
def test_a_few_steps_teach_threshold_and_head(name):
    model = srtod.attach(built(name).train(), threshold=0.4)  # as large as the first differences
    start = {key: value.clone() for key, value in model.self_reconstruction.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    course = []
    for _ in range(4):
        losses = model(images(), targets())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        assert all(loss.isfinite() for loss in losses.values())
        course.append(losses["loss_reconstruction"].item())
    assert course[-1] < course[0]
    changed = {
        key for key, value in model.self_reconstruction.state_dict().items() if not value.equal(start[key])
    }
    assert {"filtration.threshold", "head.output.weight", "enhancement.attention.mlp.2.bias"} <= changed


def test_the_module_sees_the_image_before_normalisation_and_no_padding():
    model = srtod.attach(built().train())
    seen = {}
    model.self_reconstruction.register_forward_hook(
        lambda own, given, output: seen.update(
            zip(("levels", "raw", "valid"), given, strict=True), own=output
        )
    )
    losses = model(images(), targets())
    wanted = torch.stack([images()[0], F.pad(images()[1], (0, 16))])
    torch.testing.assert_close(seen["raw"], wanted, atol=1e-6, rtol=0)
    assert seen["raw"][1, :, :, 80:].count_nonzero() == 0
    assert seen["valid"].sum(dim=(1, 2, 3)).tolist() == [64 * 96, 64 * 80]
    errors = (seen["own"].reconstruction - wanted).square()
    torch.testing.assert_close(
        losses["loss_reconstruction"], (errors[0].mean() + errors[1, :, :, :80].mean()) / 2
    )


def test_the_heads_read_the_enhanced_level():
    model = srtod.attach(built().eval(), enhancement="multiply", filtration="fixed", threshold=1.0)
    read = []
    model.rpn.head.register_forward_pre_hook(lambda _, args: read.append(args[0][0]))
    model(images())
    assert read[0].count_nonzero() == 0  # no difference exceeds a threshold of 1


@pytest.mark.parametrize("name", ["faster", "fcos", "one map"])
def test_state_goes_to_a_fresh_model_a_copy_and_a_file(name):
    model = srtod.attach(built(name), head="lite", threshold=0.3).eval()
    torch.manual_seed(1)
    fresh = srtod.attach(MODELS[name][0](), head="lite").eval()
    fresh.load_state_dict(model.state_dict())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    with torch.no_grad():
        wanted = model(images())
        assert same(fresh(images()), wanted)
        assert same(copy.deepcopy(model)(images()), wanted)
        assert same(torch.load(file, weights_only=False)(images()), wanted)


def test_a_copy_after_training_has_hooks_of_its_own():
    model = srtod.attach(built().train())
    model(images(), targets())
    twin = copy.deepcopy(model)
    srtod.detach(twin)
    assert hooks_of(twin) == []
    assert "loss_reconstruction" not in twin(images(), targets())
    assert "loss_reconstruction" in model(images(), targets())


@pytest.mark.parametrize("name", ["faster", "retinanet", "fcos", "one map"])
def test_detach_gives_the_model_back(name):
    model = built(name)
    model.backbone.eval()  # one part alone, as in fine-tuning
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [own.training for own in model.modules()]
    attributes = set(vars(model))
    assert srtod.detach(srtod.attach(model)) is model
    assert [own.training for own in model.modules()] == modes
    assert set(vars(model)) == attributes
    assert hooks_of(model) == []
    assert list(model.state_dict()) == list(before)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert same(model.eval()(images()), built(name).eval()(images()))


def test_an_error_on_the_way_leaves_nothing_behind():
    model = srtod.attach(built().train())
    with pytest.raises(ZeroDivisionError):
        handle = model.roi_heads.register_forward_pre_hook(lambda *_: 1 // 0)
        model(images(), targets())
    handle.remove()
    copy.deepcopy(model)  # tensors of a graph cannot be copied
    assert model(images(), targets())["loss_reconstruction"] > 0


def test_a_replaced_backbone_is_told():
    model = srtod.attach(built().train())
    model.backbone = one_map()
    with pytest.raises(InputError, match="replaced"):
        model(images(), targets())


def test_wrapped_for_several_processes(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = DistributedDataParallel(srtod.attach(built().train()))
        losses = model(images(), targets())
        sum(losses.values()).backward()
    finally:
        dist.destroy_process_group()
    assert losses["loss_reconstruction"] > 0
    assert model.module.self_reconstruction.head.output.weight.grad is not None


def test_bfloat16_under_autocast():
    model = srtod.attach(built().train())
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images(), targets())
    sum(losses.values()).backward()
    assert losses["loss_reconstruction"].isfinite()
    assert losses["loss_reconstruction"].dtype == torch.float32


def test_explain_gives_the_maps_and_changes_nothing():
    model = srtod.attach(built().train())
    model.backbone.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    maps = srtod.explain(model, torch.rand(3, 40, 50))
    assert {name: tuple(own.shape) for name, own in maps.items()} == {
        "reconstruction": (3, 40, 50),
        "difference": (1, 40, 50),
        "mask": (1, 8, 10),
        "features_before": (32, 8, 10),
        "features_after": (32, 8, 10),
    }
    assert not maps["features_before"].equal(maps["features_after"])
    assert model.training
    assert not model.backbone.training
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    with pytest.raises(InputError, match="nothing is attached"):
        srtod.explain(srtod.detach(model), torch.rand(3, 40, 50))


def test_explain_knows_detectors_of_srtod():
    options = {"backbone": "mobilenetv2_100", "pyramid_channels": 32, "box_channels": 32}
    detector = srtod.build_detector("faster-rcnn", num_classes=1, self_reconstruction=True, **options)
    assert srtod.explain(detector, torch.rand(3, 64, 64))["reconstruction"].shape == (3, 64, 64)
    with pytest.raises(InputError, match="build_detector"):
        srtod.attach(detector)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (built, {"treshold": 0.1}, "did you mean 'threshold'"),
        (built, {"head": "big"}, "'paper' or 'lite'"),
        (built, {"image_mean": (0.0, 0.0, 0.0)}, "stand in its transform"),
        (lambda: srtod.attach(built()), {}, "already"),
        (lambda: nn.Linear(1, 1), {}, "cannot attach to Linear; known are"),
        (
            lambda: FasterRCNN(Block(6, 4), 3, **ONE_MAP, **FEW),
            {},
            "6 channels cannot be halved 2 times .*'lite'",
        ),
        (lambda: FasterRCNN(Block(6, 3), 3, **ONE_MAP, **FEW), {}, "86 x 86 cells.*power of two"),
        (lambda: FasterRCNN(Block(6, 1), 3, **ONE_MAP, **FEW), {}, "256 x 256 cells.*power of two"),
        (
            lambda: FasterRCNN(Block(8, 4, 1), 3, **ONE_MAP, **FEW, image_mean=[0.5], image_std=[0.5]),
            {},
            "RGB images are needed.*three channels",
        ),
        (built, {"levels": 2}, "levels=2: one level is all"),
        (built, {"mask": "boxes"}, "take 'difference'"),
    ],
)
def test_what_does_not_fit_is_refused_and_left_alone(model, options, message):
    model = model()
    keys = list(model.state_dict())
    with pytest.raises(InputError, match=message) as error:
        srtod.attach(model, **options)
    assert "\n" not in str(error.value)
    assert list(model.state_dict()) == keys


def test_a_map_that_leaves_pixels_out_is_told():
    model = srtod.attach(FasterRCNN(Block(32, 8), 3, **ONE_MAP, **FEW, size_divisible=1))
    model.backbone[0].padding = (0, 0)  # 90 pixels: 11 cells, the last 2 pixels lie in none
    with pytest.raises(InputError, match=r"64 x 90 pixels has 8 x 11 cells.*multiples of 8"):
        model.eval()([torch.rand(3, 64, 90)])


def test_nothing_to_take_off_is_told():
    with pytest.raises(InputError, match="nothing is attached to this FasterRCNN"):
        srtod.detach(built())
