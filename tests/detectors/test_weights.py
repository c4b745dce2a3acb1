"""Files of weights, and what earlier versions wrote."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import srtod
from srtod.assets import shipped_weights
from srtod.detectors.systems import SYSTEMS
from srtod.recipes import load_recipe

WRITTEN_BY_0_3 = Path(__file__).with_name("written_by_0_3")


@pytest.mark.parametrize("path", [WRITTEN_BY_0_3 / "retinanet.safetensors", shipped_weights()])
def test_files_with_the_options_of_all_systems_still_load(path, tmp_path):
    with safe_open(path, framework="pt") as file:
        assert "level_candidates" in file.metadata()["srtod"]
        assert "rpn_proposals" in file.metadata()["srtod"]
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    detector = srtod.load(path)
    assert list(detector.config) == list(SYSTEMS[detector.config["system"]].model_fields)
    assert all(torch.equal(value, weights[key].float()) for key, value in detector.state_dict().items())
    detector.save(tmp_path / "again.safetensors")
    assert srtod.load(tmp_path / "again.safetensors").config == detector.config


def test_their_options_are_what_they_were():
    detector = srtod.load(WRITTEN_BY_0_3 / "retinanet.safetensors")
    assert detector.classes == ("drone", "bird")
    assert detector.config["self_reconstruction"]["threshold"] == 0.2
    given = {
        "system": "retinanet",
        "pyramid_channels": 8,
        "detections_per_image": 5,
        "level_candidates": None,
    }
    assert given.items() <= detector.config.items()


def test_the_recipe_of_an_earlier_run_still_loads():
    assert load_recipe(WRITTEN_BY_0_3 / "config.yaml") == load_recipe("droneswarms-retinanet")
