"""Self-reconstruction joins every system of the zoo, whatever the stride and channels of its lowest level."""

import pytest
import torch

import srtod
from srtod.detectors.systems import SYSTEMS, without_others

SMALL = {
    "backbone": "test_resnet",
    "pyramid_channels": 32,
    "box_channels": 32,
    "rpn_proposals": (60, 30),
    "box_samples": 8,
    "score_threshold": 0.0,
    "detections_per_image": 20,
}
STRIDES = {"retinanet": 8, "atss": 8, "dyhead": 8, "tridentnet": 16}
"""Of the lowest level, where it is not 4."""


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    return request.param


@pytest.fixture(scope="module", params=["paper", "lite"])
def detector(request, system):
    torch.manual_seed(0)
    switches = {"head": request.param, "threshold": 0.4}
    own = without_others(SMALL, system)
    return srtod.build_detector(system, num_classes=2, self_reconstruction=switches, **own)


def image():
    return torch.rand(3, 58, 70, generator=torch.Generator().manual_seed(3))


def target():
    boxes = torch.tensor([[10.0, 10, 18, 20], [40, 30, 46, 37], [5, 20, 40, 50]])
    return {"boxes": boxes, "labels": torch.tensor([0, 1, 0]), "seed": 7}


def test_it_stands_on_the_lowest_level(detector, system):
    assert detector.pyramid.strides[0] == STRIDES.get(system, 4)
    with torch.inference_mode():
        levels = detector.eval().pyramid(detector.preprocess([image()]).normalised)
    own = detector.pyramid.strides[0]
    assert levels[0].shape == (1, detector.pyramid.channels, 64 // own, 96 // own)


def test_training_reaches_head_threshold_and_enhancement(detector):
    detector.train().zero_grad()
    losses = detector([image(), image().flip(2)], [target(), target()])
    assert losses["loss_reconstruction"].item() > 0
    torch.stack(list(losses.values())).sum().backward()
    torch.optim.SGD(detector.parameters(), lr=1e-3).step()
    own = detector.self_reconstruction
    for part in (own.head, own.filtration, own.enhancement):
        assert sum(parameter.grad.abs().sum() for parameter in part.parameters()) > 0
    assert all(parameter.isfinite().all() for parameter in detector.parameters())


def test_it_changes_what_is_detected(detector):
    with torch.inference_mode():
        enhanced = detector.eval()([image()])[0]
        batch = detector.preprocess([image()])
        plain = detector.head.detect(detector.pyramid(batch.normalised), batch.size_table)
    assert len(enhanced["boxes"]) > 0
    assert all(own.isfinite().all() for own in enhanced.values())
    assert not torch.equal(enhanced["scores"], plain.scores)


def test_maps_have_the_size_of_the_image_and_of_the_lowest_level(detector):
    maps = detector.explain(image())
    channels, stride = detector.pyramid.channels, detector.pyramid.strides[0]
    cells = (-(-58 // stride), -(-70 // stride))
    assert {name: tuple(own.shape) for name, own in maps.items()} == {
        "reconstruction": (3, 58, 70),
        "difference": (1, 58, 70),
        "mask": (1, *cells),
        "features_before": (channels, *cells),
        "features_after": (channels, *cells),
    }
    assert maps["reconstruction"].min() >= 0
    assert maps["reconstruction"].max() <= 1
    assert not torch.equal(maps["features_before"], maps["features_after"])


def test_a_saved_file_gives_the_same_detections_and_maps(detector, tmp_path):
    detector.eval().save(tmp_path / "w.safetensors")
    again = srtod.load(tmp_path / "w.safetensors")
    with torch.inference_mode():
        pairs = [(detector([image()])[0], again([image()])[0])]
    pairs.append((detector.explain(image()), again.explain(image())))
    for before, after in pairs:
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
