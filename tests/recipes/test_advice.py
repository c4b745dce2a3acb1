"""The rules from numbers to settings."""

import numpy as np
import pytest
import yaml

from srtod.recipes import load_recipe
from srtod.recipes.advice import Machine, Numbers, advice_text, advise, anchor_scales, slice_to_predict_in

CPU, GPU = Machine(gpu=False, memory=16 * 10**9), Machine(gpu=True, memory=24 * 10**9)


def numbers(*sizes, side=(256, 320), images=1000, most=20):
    counts = np.full(images, most)
    return Numbers(np.array(sizes, float), np.tile(side, (images, 1)), counts)


def advised(given, machine=CPU):
    return {setting.key: setting.value for setting in advise(given, machine)}


def test_tiny_objects_in_small_images_are_enlarged_and_large_ones_are_not():
    assert advised(numbers(6, 10, 12))["model.resize"] == 2
    assert advised(numbers(20, 30, 40))["model.resize"] is None


def test_an_image_too_large_to_enlarge_whole_stays_as_it_is_and_a_gpu_takes_larger_ones():
    given = numbers(6, 8, 10, side=(1080, 1920))
    assert (advised(given)["model.resize"], advised(given)["data.crop"]) == (None, 640)
    assert (advised(given, GPU)["model.resize"], advised(given, GPU)["data.crop"]) == (2, 512)


def test_images_that_are_not_looked_at_whole_are_predicted_in_slices_as_large_as_the_pieces():
    for side, expected in (((1080, 1920), None), ((3000, 4000), 640)):
        given = numbers(6, 8, 10, side=side)
        assert slice_to_predict_in(given, CPU, advise(given, CPU)) == expected


def test_objects_that_no_anchor_reaches_ask_for_another_assignment():
    assert advised(numbers(1, 1.5, 2))["model.system"] == "rfla"
    assert advised(numbers(1, 1.5, 2))["model.anchor_scale"] is None
    assert advised(numbers(6, 7, 8))["model.system"] == "faster-rcnn"


def test_detections_follow_the_densest_image_up_to_what_the_metrics_count():
    assert [advised(numbers(8, most=most))["model.detections_per_image"] for most in (3, 80, 2000)] == [
        100,
        200,
        1500,
    ]


def test_less_memory_makes_smaller_batches_and_more_images_fewer_epochs():
    small = Machine(gpu=True, memory=7 * 10**8)
    assert advised(numbers(20), GPU)["train.batch_size"] == 8
    assert advised(numbers(20), small)["train.batch_size"] == 2
    assert [advised(numbers(20, images=images), GPU)["train.batch_size"] for images in (1, 5, 9)] == [1, 4, 8]
    epochs = [advised(numbers(20, images=images))["train.epochs"] for images in (10, 2000, 10**6)]
    assert epochs[0] == 200
    assert epochs[0] > epochs[1] > epochs[2] == 6


def test_the_recipe_reads_again_with_a_reason_for_each_key(tmp_path):
    settings = advise(numbers(6, 8, 10, side=(1080, 1920)), GPU)
    (tmp_path / "advised.yaml").write_text(text := advice_text(settings))
    assert text.count("# ") == len(settings)
    recipe = load_recipe(tmp_path / "advised.yaml").model_dump(mode="json")
    for setting in settings:
        section, _, name = setting.key.partition(".")
        assert recipe[section][name] == (setting.value or None)  # no self-reconstruction is written as null
    assert yaml.safe_load(text)["base"] == "small"


def test_anchors_follow_the_median_but_reach_the_smallest_tenth():
    assert anchor_scales(np.full(10, 12.0), (4, 8)) == (3.0,)
    assert anchor_scales(np.full(10, 12.0), (8, 16)) == (1.5,)
    assert anchor_scales(np.array([8.0] * 3 + [40.0] * 7), (4, 8)) == (2.5,)
    assert anchor_scales(np.array([8.0, 64, 128]), (16,)) == pytest.approx((1.25, 4, 7.25))


def test_a_gpu_that_only_emulates_bfloat16_is_advised_float16():
    old = Machine(gpu=True, memory=24 * 10**9, precision="fp16")
    assert [advised(numbers(20), own)["train.precision"] for own in (GPU, old)] == ["bf16", "fp16"]
