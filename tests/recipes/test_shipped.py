"""The numbers of the published settings."""

import pytest

from srtod.detectors.detector import Detector
from srtod.recipes import differing_keys, load_recipe, recipe_names
from srtod.selfrec import SelfReconstructionConfig

PUBLISHED = {
    # resize, plain anchor scale, proposals, detections, epochs, lr, milestones, batch
    "droneswarms": ((1920, 1080), (2,), (2000, 1000), 100, 20, 0.0025, (16, 19), 4),
    "visdrone": ((1280, 1280), (8,), (3000, 3000), 3000, 12, 0.005, (8, 11), 2),
    "aitod": ((800, 800), (8,), (3000, 3000), 3000, 12, 0.005, (8, 11), 2),
}
ENHANCED = {"droneswarms": (0.1568627, (2,)), "visdrone": (0.0156862, (6,)), "aitod": (0.0117647, (4,))}
"""Start of the threshold and anchor scale of the rows with SR-TOD."""
ON_ALL = ("faster-rcnn", "cascade-rcnn", "rfla", "detectors")
ON_DRONESWARMS = (*ON_ALL, "retinanet", "atss", "dyhead", "tridentnet", "cascade-rpn")
WITH_SRTOD = {"droneswarms": (*ON_ALL, "retinanet"), "visdrone": ON_ALL, "aitod": ON_ALL}
PAIRS = [(data, system) for data, systems in WITH_SRTOD.items() for system in systems]


def test_each_row_of_tables_1_to_3_is_a_recipe():
    plain = {f"droneswarms-{system}" for system in ON_DRONESWARMS}
    plain |= {f"{data}-{system}" for data in ("visdrone", "aitod") for system in ON_ALL}
    enhanced = {f"{data}-{system}-srtod" for data, system in PAIRS}
    assert {*plain, *enhanced, "small", "quickstart", "drones", "thermal"} == set(recipe_names())
    assert len(plain | enhanced) == 30


@pytest.mark.parametrize("system", ["faster-rcnn", "cascade-rcnn", "detectors"])
@pytest.mark.parametrize("data", PUBLISHED)
def test_published_numbers(data, system):
    recipe = load_recipe(f"{data}-{system}")
    model, train = recipe.model, recipe.train
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
    assert found == PUBLISHED[data]
    assert (model.system, model.backbone, model.frozen_stages, model.norm_eval) == (
        system,
        "resnet50.tv_in1k",
        1,
        True,
    )
    assert (train.optimizer, train.momentum, train.weight_decay, train.gamma) == ("sgd", 0.9, 1e-4, 0.1)
    assert (train.warmup_steps, train.warmup_factor, train.schedule) == (500, 0.001, "steps")
    assert recipe.data.images_without_boxes is False


@pytest.mark.parametrize(("data", "system"), PAIRS)
def test_rows_with_self_reconstruction_differ_in_it_and_in_the_published_anchors(data, system):
    plain, enhanced = load_recipe(f"{data}-{system}"), load_recipe(f"{data}-{system}-srtod")
    differing = {".".join(key.split(".")[:2]) for key, _, _ in differing_keys(plain, enhanced)}
    anchors = set() if data == "droneswarms" or system == "rfla" else {"model.anchor_scale"}
    assert differing == {"about.source", "model.self_reconstruction"} | anchors
    threshold, scale = ENHANCED[data]
    assert enhanced.model.anchor_scale == (None if system == "rfla" else scale)
    switches = enhanced.model.self_reconstruction
    assert switches is not None
    assert switches.threshold == threshold
    assert (switches.head, switches.surrogate, switches.resize, switches.padding) == (
        "paper", "sign", "nearest", "include",
    )  # fmt: skip


@pytest.mark.parametrize("data", PUBLISHED)
def test_rfla_and_detectors_are_the_authors(data):
    rfla, detectors = load_recipe(f"{data}-rfla").model, load_recipe(f"{data}-detectors").model
    assert (rfla.rpn_proposals, rfla.detections_per_image) == ((3000, 3000), 3000)
    assert rfla.rfla is not None
    assert rfla.rfla.shrunk_targets
    assert rfla.rfla.later_object_wins
    assert detectors.switchable_atrous is False


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_its_detector(name):
    recipe = load_recipe(name, ["model.pretrained_backbone=false"])
    detector = Detector.build(recipe.model.for_classes(["drone"]))
    assert detector.config["system"] == recipe.model.system
    assert (detector.self_reconstruction is None) == (recipe.model.self_reconstruction is None)


def test_random_weights_are_not_frozen():
    model = load_recipe("small", ["model.pretrained_backbone=false"]).model
    assert (model.frozen_stages, model.norm_eval) == (0, False)


@pytest.mark.parametrize("name", ["small", "quickstart", "drones"])
def test_small_recipes_have_the_maps_that_cost_the_detections_nothing(name):
    assert load_recipe(name).model.self_reconstruction == SelfReconstructionConfig.harmless()
