"""Only within a forward pass of the whole model is anything seen and enhanced, for each thread by itself."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

import srtod
from srtod.support.errors import InputError

BOX = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
SIDES = (64, 96)


class Torchvision:
    """Faster R-CNN on one convolution of stride 8."""

    @staticmethod
    def model():
        backbone = nn.Sequential(nn.Conv2d(3, 32, 9, stride=8, padding=4), nn.ReLU())
        backbone.out_channels = 32
        anchors = AnchorGenerator(((16, 32),), ((1.0,),))
        few = {"rpn_post_nms_top_n_train": 20, "rpn_post_nms_top_n_test": 20}
        return FasterRCNN(backbone, 2, rpn_anchor_generator=anchors, min_size=64, max_size=128, **few)

    @staticmethod
    def detect(model, images):
        return model.eval()(list(images))[0]["boxes"]

    @staticmethod
    def loss(model, images):
        targets = [{"boxes": BOX, "labels": torch.tensor([1])}] * len(images)
        return model.train()(list(images), targets)["loss_reconstruction"]

    @staticmethod
    def leave_out_the_heads(model, images):
        model.transform(list(images))

    @staticmethod
    def backbone(model, images):
        return model.backbone(images)

    @staticmethod
    def replace_level(model):
        model.backbone = copy.deepcopy(model.backbone)
        model.backbone._forward_hooks.clear()

    @staticmethod
    def parts(model):
        return model.backbone, model.rpn


class Transformers:
    """RT-DETR on a narrow ResNet."""

    @staticmethod
    def model():
        resnet = RTDetrResNetConfig(
            embedding_size=16,
            hidden_sizes=[16, 32, 32, 32],
            depths=[1] * 4,
            layer_type="basic",
            out_indices=[2, 3, 4],
        )
        narrow = {"d_model": 32, "encoder_hidden_dim": 32, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_layers": 2}
        channels = {"encoder_in_channels": [32] * 3, "decoder_in_channels": [32] * 3, "num_queries": 20}
        return RTDetrForObjectDetection(RTDetrConfig(backbone_config=resnet, **narrow, **heads, **channels))

    @staticmethod
    def detect(model, images):
        return model.eval()(images).logits

    @staticmethod
    def loss(model, images):
        labels = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.3, 0.3, 0.2, 0.2]])}] * len(
            images
        )
        model.eval().training = True  # BatchNorm counts nothing
        return model(images, labels=labels).loss_dict["loss_reconstruction"]

    @staticmethod
    def leave_out_the_heads(model, images):
        model.model(images)

    @staticmethod
    def backbone(model, images):
        features = model.model.backbone(pixel_values=images, pixel_mask=torch.ones_like(images[:, 0]))
        return model.model.encoder_input_proj[0](features[0][0])

    @staticmethod
    def replace_level(model):
        model.model.encoder_input_proj[0] = nn.Conv2d(32, 32, 1)

    @staticmethod
    def parts(model):
        return model.model.backbone, model.model.encoder


@pytest.fixture(params=[Torchvision, Transformers])
def family(request):
    return request.param


def built(family):
    torch.manual_seed(0)
    return family.model().eval()


def attached(family):
    return srtod.attach(built(family), head="lite", threshold=0.3)


def images(seed=0):
    return torch.rand(1, 3, SIDES[seed], SIDES[seed], generator=torch.Generator().manual_seed(seed))


def is_as_new(family, model, wanted):
    """No tensor of a pass is held, and a copy and a file of the model detect what it detects."""
    assert not model.self_reconstruction.under_way
    with torch.no_grad():
        for other in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert family.detect(other, images()).equal(wanted)


def test_a_part_called_alone_does_what_it_did_before(family):
    plain, model = built(family), attached(family)
    wanted = family.detect(model, images()).detach()
    family.leave_out_the_heads(model, images())
    with torch.no_grad():
        assert family.backbone(model, images(1)).equal(family.backbone(plain, images(1)))
    is_as_new(family, model, wanted)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("when", ["register_forward_pre_hook", "register_forward_hook"])
def test_an_error_on_the_way_leaves_nothing_behind(family, place, when):
    model, plain = attached(family), built(family)
    wanted = family.detect(model, images()).detach()
    handle = getattr(family.parts(model)[place], when)(lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        family.loss(model, images())
    handle.remove()
    with torch.no_grad():
        assert family.backbone(model, images(1)).equal(family.backbone(plain, images(1)))
    is_as_new(family, model, wanted)


@pytest.mark.parametrize("act", ["detect", "loss"])
@pytest.mark.parametrize("place", [0, 1])
def test_after_an_interruption_the_next_pass_is_as_new(family, act, place):
    model = attached(family)
    wanted = family.detect(model, images()).detach()

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = family.parts(model)[place].register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        getattr(family, act)(model, images())
    handle.remove()
    with torch.no_grad():
        assert family.detect(model, images()).equal(wanted)
    is_as_new(family, model, wanted)


def test_after_an_interrupted_explain_the_next_pass_is_as_new(family):
    model = attached(family)
    wanted = family.detect(model, images()).detach()

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = family.parts(model)[1].register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        srtod.explain(model.train(), images()[0])
    handle.remove()
    assert model.training
    with torch.no_grad():
        assert family.detect(model, images()).equal(wanted)
    is_as_new(family, model, wanted)


def test_a_replaced_part_is_told(family):
    model = attached(family)
    family.replace_level(model)
    for act in (family.detect, family.loss):
        with pytest.raises(InputError, match=r"nothing was enhanced.*replaced \(detach and attach again\)"):
            act(model, images())
    with pytest.raises(InputError, match="nothing was enhanced"):
        srtod.explain(model, images()[0])


def test_compiled_it_detects_the_same(family):
    model = attached(family)
    with torch.no_grad():
        wanted = family.detect(model, images())
        compiled = torch.compile(model, backend="eager")
        assert family.detect(compiled, images()).equal(wanted)


def test_an_error_before_the_first_part_leaves_nothing_behind(family):
    model = attached(family)
    wanted = family.detect(model, images()).detach()
    with pytest.raises(Exception):  # noqa: B017 - the model's own
        family.detect(model, torch.zeros(1, 5, 64, 64))
    is_as_new(family, model, wanted)


@pytest.mark.parametrize(
    "switches", [{"mask": "distilled"}, {"enhancement": "none"}, {"enhancement": "image"}]
)
def test_the_image_is_rebuilt_only_where_somebody_reads_it(family, switches):
    model, rebuilt = srtod.attach(built(family), head="lite", **switches), []
    own = model.self_reconstruction
    for parameter in own.enhancement.parameters():
        nn.init.constant_(parameter, 0.1)
    own.head.register_forward_hook(lambda *_: rebuilt.append(1))
    found = family.detect(model, images())
    assert rebuilt == []
    assert srtod.explain(model, images()[0])["reconstruction"].shape == (3, 64, 64)
    assert rebuilt == [1]
    assert family.loss(model, images()) > 0
    assert rebuilt == [1, 1]
    own.enhanced = lambda *given: own(*given).levels
    assert family.detect(model, images()).equal(found)


def test_the_threshold_keeps_the_steps_that_half_precision_would_round_away(family):
    model = srtod.attach(built(family).to(torch.bfloat16), head="lite", threshold=4 / 255)
    assert {own.dtype for own in model.self_reconstruction.parameters()} == {torch.float32}
    assert model.self_reconstruction.filtration.threshold.item() == pytest.approx(4 / 255, rel=1e-7)
    level = torch.rand(1, model.self_reconstruction.head.hidden.in_channels, 8, 8).bfloat16()
    model.self_reconstruction.begin(with_loss=False)
    valid = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    model.self_reconstruction.see(images(), valid, (0.0,) * 3, (1.0,) * 3)
    enhanced = model.self_reconstruction.enhance(level)
    assert enhanced.dtype == torch.bfloat16
    assert not enhanced.equal(level)


def test_colours_are_brought_to_the_device_once(family, monkeypatch):
    model, made = attached(family), []

    def counted(make):
        return lambda *given, **more: made.append(given) or make(*given, **more)

    family.detect(model, images())
    for name in ("tensor", "as_tensor"):
        make = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *given, m=make, **more: made.append(given) or m(*given, **more)
        )
    model.self_reconstruction.begin(with_loss=False)
    valid = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    for _ in range(2):
        model.self_reconstruction.see(images(), valid, (0.5, 0.4, 0.3), (0.2, 0.2, len(str(family)) / 1e3))
    assert len(made) == 2


def test_an_error_of_the_probe_is_not_told_as_one_of_colours(family):
    model = built(family)
    part = family.parts(model)[0]
    part.register_forward_hook(lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        srtod.attach(model)


def test_a_copy_made_within_a_pass_begins_with_nothing(family):
    model, copies = attached(family), []
    family.parts(model)[1].register_forward_pre_hook(lambda *_: copies.append(copy.deepcopy(own)))
    own = model.self_reconstruction
    family.detect(model, images())
    assert not copies[0].under_way


@pytest.mark.parametrize("act", ["detect", "loss"])
def test_two_threads_share_a_model(family, act):
    model, twice = attached(family), Barrier(2)
    run = getattr(family, act)

    def meet(*_):
        twice.wait(timeout=60)

    wanted = [run(model, images(index)).detach() for index in (0, 1)]
    for part in family.parts(model):  # both threads are past their image, then both past their level
        part.register_forward_hook(meet)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda index: run(model, images(index)), (0, 1)))
    for mine, other in zip(found, wanted, strict=True):
        assert mine.equal(other)


def test_a_thread_may_call_a_part_while_another_is_within_a_pass(family):
    plain, model, seen = built(family), attached(family), []
    with ThreadPoolExecutor(1) as other, torch.no_grad():
        wanted = other.submit(family.backbone, plain, images(1)).result(timeout=60)
        handle = family.parts(model)[1].register_forward_pre_hook(
            lambda *_: seen.append(other.submit(family.backbone, model, images(1)).result(timeout=60))
        )
        family.detect(model, images())
        handle.remove()
    assert seen[0].equal(wanted)
