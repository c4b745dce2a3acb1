"""Advice on a set at hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import srtod
from srtod.detectors.systems import SYSTEMS
from srtod.engine.advice import ALIKE, advised_recipe, advised_settings, give_advice
from srtod.engine.anchors import with_anchor_scale
from srtod.engine.assignment import Assignment
from srtod.engine.fit import fit
from srtod.recipes import load_recipe
from srtod.support.errors import InputError

CPU = torch.device("cpu")


def test_every_system_is_told_with_those_that_assign_as_it_does(squares):
    assert sorted([*ALIKE, *(name for alike in ALIKE.values() for name in alike)]) == sorted(SYSTEMS)
    common = ("model.backbone=resnet18", "model.anchor_scale=2", "data.crop=null")
    for system, others in ALIKE.items():
        for other in others:
            pair = [
                Assignment(load_recipe("small", [f"model.system={name}", *common]))
                for name in (system, other)
            ]
            first, second = (assignment.counts(squares.records[1]) for assignment in pair)
            assert torch.equal(first, second)


def test_it_says_which_systems_can_learn_the_smallest_objects(squares):
    advice = give_advice(squares, CPU)
    assert advice.smallest == 10
    assert [one.smallest for one in advice.systems] == sorted(
        (one.smallest for one in advice.systems), reverse=True
    )
    assert advice.systems[0].smallest == 1
    learned = {(one.systems[0], one.options.get("finest_stride")): one.positives for one in advice.systems}
    assert learned["atss", 4]["8-16"] != learned["atss", None]["8-16"]
    assert all(list(one.positives) == ["8-16"] for one in advice.systems)


def test_objects_too_small_for_anchors_are_advised_on_too(squares):
    records = [
        replace(record, boxes=np.hstack([record.boxes[:, :2], record.boxes[:, :2] + 1.5]))
        for record in squares.records
    ]
    advice = give_advice(replace(squares, records=tuple(records)), CPU)
    assert advice.settings[0][:2] == ("model.system", "rfla")
    assert advice.systems[0].systems == ("rfla",)
    assert advice.systems[-1].smallest < 1


def test_advice_serves_another_system_without_what_only_its_own_reads(squares):
    settings = advised_settings(squares, CPU)
    recipe = advised_recipe(settings, ["model.system=retinanet"])
    assert (recipe.model.system, recipe.model.anchor_scale) == ("retinanet", "auto")
    assert with_anchor_scale(recipe, squares.records).model.anchor_scale == (2.5,)  # of 20 px at stride 8
    own = with_anchor_scale(advised_recipe(settings), squares.records)
    assert own.model.anchor_scale == (5.0,)


def test_a_set_without_boxes_gets_none(squares):
    with pytest.raises(InputError, match="no image has a box"):
        advised_settings(
            type(squares)(squares.source, "coco", "train", ("square",), squares.records[:1]), CPU
        )


def test_anchors_left_open_are_chosen_from_the_boxes_and_stay_in_weights_and_recipe(
    squares, tiny_recipe, tmp_path, capsys
):
    recipe = tiny_recipe("model.anchor_scale=auto", "train.epochs=1")
    result = fit(recipe, squares, None, tmp_path / "run", device="cpu")
    assert "model.anchor_scale=[2.5]: chosen from the boxes learned from" in capsys.readouterr().err
    assert load_recipe(tmp_path / "run" / "config.yaml").model.anchor_scale == (2.5,)
    assert srtod.load(result.last).config["anchor_scale"] == [2.5]
    fit(recipe, squares, None, tmp_path / "run", resume=True, device="cpu")  # the same choice


def test_pieces_and_bounds_count_for_the_sizes_that_anchors_fit(squares):
    changes = ("model.anchor_scale=auto", "model.resize=[128,128]", "model.backbone=resnet18")
    scales = [
        with_anchor_scale(load_recipe("small", [*changes, f"data.crop={crop}"]), squares.records)
        for crop in ("null", "32")
    ]
    assert [recipe.model.anchor_scale for recipe in scales] == [(5.0,), (10.0,)]


def test_a_detector_with_open_anchors_is_refused():
    with pytest.raises(InputError, match="anchor_scale: auto is chosen from the boxes of a training"):
        srtod.build_detector("faster-rcnn", num_classes=1, backbone="test_resnet", anchor_scale="auto")


def test_numbers_of_positives_do_not_depend_on_what_is_to_be_ignored(squares):
    record = squares.records[1]
    counts = Assignment(load_recipe("small", ["data.crop=null"])).counts(record)
    assert counts.shape == (2, 3)
    assert (np.asarray(counts) > 0).all()
