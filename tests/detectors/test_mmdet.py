import re
import sys
import types

import numpy
import pytest
import torch

import srtod
from srtod.detectors.mmdet import _RULES, mmdet_key
from srtod.detectors.systems import without_others
from srtod.support.errors import InputError

TINY = {"backbone": "resnet18", "pyramid_channels": 16, "box_channels": 16, "num_classes": 3}


def theirs(detector):
    """The detector's state under MMDetection's names."""
    cascade = len(detector.head.box_head.stages) > 1
    renamed = {}
    for own, value in detector.state_dict().items():
        key = own
        for ours, name in (
            ("pyramid.backbone.body.", "backbone."),
            ("pyramid.fpn.inner_blocks.", "neck.lateral_convs."),
            ("pyramid.fpn.layer_blocks.", "neck.fpn_convs."),
            ("head.rpn.first.conv.", "rpn_head.stages.0.rpn_conv.conv."),
            ("head.rpn.first.deltas.", "rpn_head.stages.0.rpn_reg."),
            ("head.rpn.second.conv.", "rpn_head.stages.1.rpn_conv.conv."),
            ("head.rpn.second.objectness.", "rpn_head.stages.1.rpn_cls."),
            ("head.rpn.second.deltas.", "rpn_head.stages.1.rpn_reg."),
            ("head.rpn.conv.", "rpn_head.rpn_conv."),
            ("head.rpn.objectness.", "rpn_head.rpn_cls."),
            ("head.rpn.deltas.", "rpn_head.rpn_reg."),
            ("head.box_head.stages.", "roi_head.bbox_head."),
            (".predictor.fc1.", ".shared_fcs.0."),
            (".predictor.fc2.", ".shared_fcs.1."),
            (".predictor.classes.", ".fc_cls."),
            (".predictor.deltas.", ".fc_reg."),
            ("self_reconstruction.head.blocks.0.conv1.", "rh.up1.conv.double_conv.0."),
            ("self_reconstruction.head.blocks.0.conv2.", "rh.up1.conv.double_conv.2."),
            ("self_reconstruction.head.blocks.0.up.", "rh.up1.up."),
            ("self_reconstruction.head.blocks.1.conv1.", "rh.up2.conv.double_conv.0."),
            ("self_reconstruction.head.blocks.1.conv2.", "rh.up2.conv.double_conv.2."),
            ("self_reconstruction.head.blocks.1.up.", "rh.up2.up."),
            ("self_reconstruction.head.output.", "rh.out_conv.conv.0."),
            ("self_reconstruction.enhancement.attention.mlp.0.", "dgfe.mlp.1."),
            ("self_reconstruction.enhancement.attention.mlp.2.", "dgfe.mlp.3."),
            ("self_reconstruction.filtration.threshold", "learnable_thresh"),
        ):
            key = key.replace(ours, name)
        if key.startswith("neck."):
            key = key.replace(".0.weight", ".conv.weight").replace(".0.bias", ".conv.bias")
        if not cascade:
            key = key.replace("roi_head.bbox_head.0.", "roi_head.bbox_head.")
        renamed[key] = value
    return renamed


ONE_STAGE = {
    r"pyramid\.backbone\.body\.": "backbone.",
    r"pyramid\.fpn\.inner_blocks\.(\d)\.0": r"neck.lateral_convs.\1.conv",
    r"pyramid\.fpn\.layer_blocks\.(\d)\.0": r"neck.fpn_convs.\1.conv",
    r"pyramid\.fpn\.extra_blocks\.convs\.0": "neck.fpn_convs.3.conv",
    r"pyramid\.fpn\.extra_blocks\.convs\.1": "neck.fpn_convs.4.conv",
    r"pyramid\.blocks\.(\d)\.same(\.norm)?": r"neck.1.dyhead_blocks.\1.spatial_conv_mid\2",
    r"pyramid\.blocks\.(\d)\.finer(\.norm)?": r"neck.1.dyhead_blocks.\1.spatial_conv_low\2",
    r"pyramid\.blocks\.(\d)\.coarser(\.norm)?": r"neck.1.dyhead_blocks.\1.spatial_conv_high\2",
    r"(neck\.1\.dyhead_blocks\.\d\.spatial_conv_[a-z]+)\.(?=weight)": r"\1.conv.",
    r"pyramid\.blocks\.(\d)\.offsets": r"neck.1.dyhead_blocks.\1.spatial_conv_offset",
    r"pyramid\.blocks\.(\d)\.scale\.conv": r"neck.1.dyhead_blocks.\1.scale_attn_module.1",
    r"pyramid\.blocks\.(\d)\.task\.squeeze": r"neck.1.dyhead_blocks.\1.task_attn_module.conv1.conv",
    r"pyramid\.blocks\.(\d)\.task\.expand": r"neck.1.dyhead_blocks.\1.task_attn_module.conv2.conv",
    r"head\.predictor\.towers\.classes\.(\d)\.0": r"bbox_head.cls_convs.\1.conv",
    r"head\.predictor\.towers\.classes\.(\d)\.1": r"bbox_head.cls_convs.\1.gn",
    r"head\.predictor\.towers\.boxes\.(\d)\.0": r"bbox_head.reg_convs.\1.conv",
    r"head\.predictor\.towers\.boxes\.(\d)\.1": r"bbox_head.reg_convs.\1.gn",
    r"head\.predictor\.classes": "bbox_head.SYSTEM_cls",
    r"head\.predictor\.deltas": "bbox_head.SYSTEM_reg",
    r"head\.predictor\.centerness": "bbox_head.SYSTEM_centerness",
    r"head\.predictor\.scales\.(\d)": r"bbox_head.scales.\1.scale",
}
"""Names of a one-stage detector's parameters, and MMDetection's."""


def one_stage_names(detector, system):
    names = {}
    for own in detector.state_dict():
        names[own] = own
        for ours, name in ONE_STAGE.items():
            names[own] = re.sub(f"^{ours}", name.replace("SYSTEM", system), names[own])
        if hasattr(detector.pyramid, "blocks"):
            names[own] = re.sub(r"^neck\.(?=lateral|fpn)", "neck.0.", names[own])
    return names


def build(system, seed, **options):
    torch.manual_seed(seed)
    own = without_others(TINY, system)
    return srtod.build_detector(system, **own, **options)


@pytest.mark.parametrize("system", ["faster-rcnn", "cascade-rcnn", "cascade-rpn"])
@pytest.mark.parametrize("self_reconstruction", [False, {}])
def test_every_key_is_mapped(system, self_reconstruction):
    source = build(system, 0, self_reconstruction=self_reconstruction)
    target = build(system, 1, self_reconstruction=self_reconstruction)
    srtod.load_mmdet(target, theirs(source))
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


RECURSIVE = {
    "pyramid.second_backbone.body.": "neck.rfp_modules.0.",
    ".act3.feedback.": ".rfp_conv.",
    "pyramid.aspp.branches.": "neck.rfp_aspp.aspp.",
    "pyramid.gate.": "neck.rfp_weight.",
}


@pytest.mark.parametrize("switchable_atrous", [False, True])
def test_every_key_of_a_recursive_pyramid_is_mapped(switchable_atrous):
    options = TINY | {"backbone": "resnet26", "switchable_atrous": switchable_atrous}
    source, target = (srtod.build_detector("detectors", **options) for _ in range(2))
    renamed = {}
    for own, value in theirs(source).items():
        key = own
        for ours, name in RECURSIVE.items():
            key = key.replace(ours, name)
        renamed[key] = value
    assert "neck.rfp_modules.0.layer2.0.conv1.weight_gamma" in renamed
    assert ("neck.rfp_modules.0.layer2.0.conv2.offset_s.bias" in renamed) is switchable_atrous
    srtod.load_mmdet(target, renamed)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


@pytest.mark.parametrize(
    ("system", "prefix"), [("retinanet", "retina"), ("atss", "atss"), ("dyhead", "atss")]
)
def test_every_key_of_a_one_stage_detector_is_mapped(system, prefix):
    source, target = build(system, 0), build(system, 1)
    names = one_stage_names(source, prefix)
    assert all(name.startswith(("backbone.", "neck.", "bbox_head.")) for name in names.values())
    srtod.load_mmdet(target, {names[own]: value for own, value in source.state_dict().items()})
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


def test_every_rule_is_needed():
    names = theirs(build("faster-rcnn", 0, self_reconstruction={})) | theirs(build("cascade-rcnn", 0))
    state = (
        build("faster-rcnn", 0, self_reconstruction={}).state_dict() | build("cascade-rcnn", 0).state_dict()
    )
    assert {mmdet_key(name) for name in names} == set(state)
    assert len(_RULES) == len({pattern for pattern, _ in _RULES})


def test_what_does_not_fit_is_listed():
    detector = build("faster-rcnn", 0)
    state = theirs(detector)
    del state["rpn_head.rpn_cls.bias"]
    state["mask_head.conv.weight"] = torch.zeros(1)
    state["rpn_head.rpn_reg.bias"] = torch.zeros(5)
    with pytest.raises(InputError) as error:
        srtod.load_mmdet(detector, state)
    message = str(error.value)
    assert "1 missing: head.rpn.objectness.bias;" in message
    assert "1 left over: mask_head.conv.weight;" in message
    assert message.endswith("1 of another shape: head.rpn.deltas.bias (5,) instead of (12,)")


@pytest.mark.parametrize(
    ("system", "options", "cause"),
    [
        ("cascade-rcnn", {}, "another system"),
        ("faster-rcnn", {"backbone": "resnet26"}, "another backbone"),
        ("faster-rcnn", {"num_classes": 5}, "another number of classes"),
        ("faster-rcnn", {"pyramid_channels": 32}, "other channels"),
        ("faster-rcnn", {"box_channels": 8}, "other channels"),
        ("faster-rcnn", {"anchor_ratios": (1,)}, "other anchors"),
        ("faster-rcnn", {"self_reconstruction": True}, "other self-reconstruction, or none"),
    ],
)
def test_why_it_does_not_fit_is_guessed(tmp_path, system, options, cause):
    torch.save(theirs(srtod.build_detector(system, **TINY | options)), tmp_path / "x.pth")
    with pytest.raises(
        InputError, match=rf"x\.pth: the checkpoint does not fit .* because of {cause}; build it"
    ) as error:
        srtod.load_mmdet(build("faster-rcnn", 0), tmp_path / "x.pth")
    assert len(str(error.value)) < 900


def test_foreign_weights_are_counted_not_listed():
    foreign = {f"tensor {number:03}": torch.zeros(1) for number in range(200)}
    for state, told in (
        (foreign, "200 left over: tensor 000, tensor 001, tensor 002 ..."),
        ({}, "holds no weights of such"),
    ):
        with pytest.raises(InputError, match=told) as error:
            srtod.load_mmdet(build("faster-rcnn", 0), state)
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("checkpoint", [{1: torch.zeros(1)}, [1], None, 3, {"a": 1}])
def test_what_is_no_state_dict_is_refused(checkpoint):
    with pytest.raises(InputError, match="load_mmdet: no state dict of names and tensors"):
        srtod.load_mmdet(build("faster-rcnn", 0), checkpoint)


def test_a_state_dict_is_taken_out_of_a_dict_in_memory_too():
    source, target = build("faster-rcnn", 0), build("faster-rcnn", 1)
    srtod.load_mmdet(target, {"state_dict": theirs(source), "meta": {}})
    assert torch.equal(target.head.rpn.conv.weight, source.head.rpn.conv.weight)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    detector = build("faster-rcnn", 0)
    state = {key: value.clone() for key, value in theirs(detector).items()}
    state["rpn_head.rpn_cls.bias"][1] = torch.inf
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(
        InputError, match=r"x\.pth: 'rpn_head\.rpn_cls\.bias' has numbers that are not finite"
    ):
        srtod.load_mmdet(detector, tmp_path / "x.pth")


def test_threshold_of_any_shape_is_a_scalar_here():
    source = build("faster-rcnn", 0, self_reconstruction={})
    state = theirs(source) | {"learnable_thresh": torch.tensor([0.25])}
    srtod.load_mmdet(source, state)
    assert source.self_reconstruction.filtration.threshold.item() == 0.25


def test_training_checkpoint_with_log_objects_is_read(tmp_path, monkeypatch):
    """MMEngine keeps HistoryBuffer objects beside the weights; they are not needed and not executed."""
    module = types.ModuleType("mmengine.logging.history_buffer")
    buffer = type("HistoryBuffer", (), {"__module__": module.__name__, "__init__": lambda self: None})
    module.HistoryBuffer = buffer
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    log = buffer()
    log.max_length = 10
    log.history = numpy.array([1.0, 2.0])
    log.last = numpy.float64(3.0)
    source = build("faster-rcnn", 0)
    torch.save({"state_dict": theirs(source), "message_hub": {"loss": log}}, tmp_path / "epoch_12.pth")
    monkeypatch.undo()
    target = srtod.load_mmdet(build("faster-rcnn", 1), tmp_path / "epoch_12.pth")
    assert torch.equal(target.head.rpn.conv.weight, source.head.rpn.conv.weight)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    torch.save({"state_dict": {}, "extra": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="cannot be read as plain weights"):
        srtod.load_mmdet(build("faster-rcnn", 0), tmp_path / "evil.pth")


@pytest.mark.parametrize("content", [None, b"nothing", {"state_dict": {"a": 1}}])
def test_unreadable_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"x\.pth"):
        srtod.load_mmdet(build("faster-rcnn", 0), path)
