"""The numbers of the published settings."""

import pytest

from srtod.detectors.zoo import build_detector
from srtod.recipes import differing_keys, load_recipe, recipe_names

PUBLISHED = {
    # resize, anchor scale, proposals, detections, epochs, lr, milestones, batch, start threshold
    "droneswarms": ((1920, 1080), (2,), (2000, 1000), 100, 20, 0.0025, (16, 19), 4, 0.1568627),
    "visdrone": ((1280, 1280), (6,), (3000, 3000), 3000, 12, 0.005, (8, 11), 2, 0.0156862),
    "aitod": ((800, 800), (4,), (3000, 3000), 3000, 12, 0.005, (8, 11), 2, 0.0117647),
}
SYSTEMS = ("faster-rcnn", "cascade-rcnn")


def test_what_is_shipped():
    named = {f"{data}-{kind}{system}" for data in PUBLISHED for kind in ("", "srtod-") for system in SYSTEMS}
    assert {*named, "small"} <= set(recipe_names())


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("data", PUBLISHED)
def test_published_numbers(data, system):
    model, train = load_recipe(f"{data}-{system}").model, load_recipe(f"{data}-{system}").train
    found = (
        model.resize,
        model.anchor_scale,
        model.rpn_proposals,
        model.detections_per_image,
        train.epochs,
        train.lr,
        train.milestones,
        train.batch_size,
    )
    assert found == PUBLISHED[data][:-1]
    assert (model.system, model.backbone, model.frozen_stages, model.norm_eval) == (
        system,
        "resnet50.tv_in1k",
        1,
        True,
    )
    assert (train.optimizer, train.momentum, train.weight_decay, train.gamma) == ("sgd", 0.9, 1e-4, 0.1)
    assert (train.warmup_steps, train.warmup_factor, train.schedule) == (500, 0.001, "steps")
    assert load_recipe(f"{data}-{system}").data.images_without_boxes is False


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("data", PUBLISHED)
def test_self_reconstruction_is_all_that_differs(data, system):
    plain, enhanced = load_recipe(f"{data}-{system}"), load_recipe(f"{data}-srtod-{system}")
    assert {key.split(".")[1] for key, _, _ in differing_keys(plain, enhanced)} == {"self_reconstruction"}
    switches = enhanced.model.self_reconstruction
    assert switches is not None
    assert switches.threshold == PUBLISHED[data][-1]
    assert (switches.head, switches.surrogate, switches.resize, switches.padding) == (
        "paper", "sign", "nearest", "include",
    )  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_its_detector(name):
    recipe = load_recipe(name, ["model.pretrained_backbone=false"])
    detector = build_detector(classes=("drone",), **recipe.model.model_dump())
    assert detector.config["system"] == recipe.model.system
    assert (detector.self_reconstruction is None) == (recipe.model.self_reconstruction is None)


def test_random_weights_are_not_frozen():
    model = load_recipe("small", ["model.pretrained_backbone=false"]).model
    assert (model.frozen_stages, model.norm_eval) == (0, False)
