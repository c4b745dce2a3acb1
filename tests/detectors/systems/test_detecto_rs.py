"""DetectoRS with switchable atrous convolution gives MMDetection's numbers (see detecto_rs_reference.py)."""

import importlib.util
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import srtod
from srtod.detectors.mmdet import mmdet_keys
from srtod.nn.deformable import by_operator

spec = importlib.util.spec_from_file_location(
    "detecto_rs_reference", Path(__file__).with_name("detecto_rs_reference.py")
)
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)

LOSSES = {
    "loss_rpn_objectness": "loss_rpn_cls",
    "loss_rpn_box": "loss_rpn_bbox",
    **{f"loss_class_{stage + 1}": f"s{stage}.loss_cls" for stage in range(3)},
    **{f"loss_box_{stage + 1}": f"s{stage}.loss_bbox" for stage in range(3)},
}


@pytest.fixture(scope="module")
def reference():
    with safe_open(made.FILE, framework="pt") as file:
        told = {key: json.loads(text) for key, text in file.metadata().items()}
        return told | {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def detector(reference):
    built = srtod.build_detector(
        "detectors",
        num_classes=made.CLASSES,
        anchor_scale=made.SCALE,
        detections_per_image=100,
        frozen_stages=1,
        norm_eval=True,
        rpn_samples=None,
        box_samples=None,
    )
    return srtod.load_mmdet(built, made.weights(reference["shapes"]))


def close(found, wanted, tolerance=1e-4):
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * float(wanted.abs().max()))


@pytest.mark.parametrize("way", [nullcontext, by_operator])
def test_levels(detector, reference, way):
    image, *_ = made.inputs()
    with torch.no_grad(), way():
        levels = detector.eval().pyramid(detector.preprocess([image]).normalised)
    assert len(levels) == 5
    for index, level in enumerate(levels):
        close(level[:, ::16], reference[f"level{index}"])


def test_detections(detector, reference):
    image, *_ = made.inputs()
    with torch.no_grad():
        (found,) = detector.eval()([image])
    assert found["labels"].equal(reference["labels"])
    close(found["boxes"], reference["boxes"])
    close(found["scores"], reference["scores"])


def test_losses_and_gradients(detector, reference):
    image, boxes, labels = made.inputs()
    detector.train().zero_grad()
    losses = detector([image], [{"boxes": boxes, "labels": labels}])
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    wanted = {name: reference["losses"][theirs] for name, theirs in LOSSES.items()}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(wanted, rel=1e-4)
    assert total.item() == pytest.approx(reference["losses"]["loss"], rel=1e-4)
    names = mmdet_keys(reference["shapes"])
    own = dict(detector.named_parameters())
    norms = reference["norms"]
    found = {key: own[names[key]].grad.norm().item() for key in norms}
    # A place sampled on the edge of two cells has the slope of either; a switch's bias sums to almost 0.
    assert found == pytest.approx(norms, rel=1e-2, abs=1e-6 * max(norms.values()))
