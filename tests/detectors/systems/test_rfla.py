from dataclasses import replace

import pytest
import torch

import srtod
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.detectors.systems import SYSTEMS
from srtod.support.errors import InputError

RFLA_SYSTEMS = [name for name, config in SYSTEMS.items() if "rfla" in config.model_fields]
SMALL = {"backbone": "resnet18", "pyramid_channels": 16, "box_channels": 16, "num_classes": 2}


def proposals_of(system, **options):
    return srtod.build_detector(system, **(SMALL | options)).head.rpn


@pytest.mark.parametrize(
    ("system", "switches"),
    [("rfla", None), *((name, True) for name in RFLA_SYSTEMS)],
)
def test_anchors_are_half_the_receptive_field_of_each_level(system, switches):
    rpn = proposals_of(system, rfla=switches)
    levels = rpn.anchors([(1, 1)] * 5, torch.device("cpu"))
    sides = [(level[1, 2:] - level[1, :2]).tolist() for level in levels]
    assert sides == [[17.5] * 2, [45.5] * 2, [133.5] * 2, [213.5] * 2, [277.5] * 2]
    assert rpn.assigner == HierarchicalAssigner()
    assert rpn.target_shrink is None


def test_the_switches_reach_the_parts():
    switches = {
        "fields": (8, 16, 32, 64, 128),
        "fraction": 0.25,
        "positives": (5, 2),
        "shrink": 0.8,
        "later_object_wins": True,
        "shrunk_targets": True,
    }
    rpn = proposals_of("rfla", rfla=switches, anchor_ratios=(1.0,))
    assert rpn.anchors.units == (2, 4, 8, 16, 32)
    assert rpn.anchors.per_cell == 1
    assert rpn.assigner == HierarchicalAssigner(
        first_round=5, second_round=2, shrink=0.8, later_object_wins=True
    )
    assert rpn.target_shrink == 0.8


def test_other_systems_are_as_before_without_it():
    rpn = proposals_of("faster-rcnn", anchor_scale=3)
    assert isinstance(rpn.assigner, MaxIoUAssigner)
    assert rpn.anchors.units == (4, 8, 16, 32, 64)


def test_a_saved_detector_keeps_its_switches(tmp_path):
    detector = srtod.build_detector("faster-rcnn", **SMALL, rfla={"later_object_wins": True})
    detector.save(tmp_path / "w.safetensors")
    assert srtod.load(tmp_path / "w.safetensors").head.rpn.assigner.later_object_wins


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("rfla", {"anchor_scale": 2}, "rfla: anchor_scale is not for receptive-field anchors"),
        ("faster-rcnn", {"rfla": True, "anchor_scale": 2}, "anchor_scale is not for receptive-field"),
        ("rfla", {"rfla": {"fields": (35, 91)}}, "2 receptive fields for 5 levels"),
        ("rfla", {"rfla": {"shrnk": 0.5}}, "did you mean 'shrink'"),
        ("rfla", {"rfla": {"shrink": 0}}, r"rfla.*shrink"),
        ("rfla", {"rfla": False}, "rfla: give True, or a dict"),
    ],
)
def test_what_does_not_go_together_is_told(system, options, message):
    with pytest.raises(InputError, match=message):
        proposals_of(system, **options)


@pytest.mark.parametrize("system", sorted(set(SYSTEMS) - set(RFLA_SYSTEMS)))
def test_systems_with_proposals_of_another_kind_refuse_it(system):
    with pytest.raises(InputError, match=f"{system} has no option 'rfla'; beside"):
        srtod.build_detector(system, num_classes=2, rfla=True)


@pytest.mark.parametrize("system", sorted(set(RFLA_SYSTEMS) - {"rfla"}))
def test_the_distance_assigns_the_anchors_of_every_other_rcnn(system):
    plain = proposals_of(system).assigner
    assert proposals_of(system, rpn_nwd=8.0).assigner == replace(plain, nwd=8.0)
    assert plain.nwd is None


def test_the_distance_is_not_for_receptive_fields():
    with pytest.raises(InputError, match="rpn_nwd is not for receptive-field anchors"):
        proposals_of("rfla", rpn_nwd=8.0)
