"""A system reads each of its options, and refuses those that it does not have."""

from typing import Literal

import pytest

import srtod
from srtod.detectors.config import DetectorConfig, Parts
from srtod.detectors.detector import Detector
from srtod.detectors.systems import SYSTEMS
from srtod.detectors.systems.atss import atss_head
from srtod.detectors.systems.one_stage import OneStageConfig
from srtod.detectors.systems.parts import feature_pyramid
from srtod.inference.exporting.trace import require_exportable
from srtod.recipes import load_recipe
from srtod.support.errors import InputError

SMALL = {"backbone": "test_resnet", "classes": ("drone",)}
THIN = {"pyramid_channels": 32, "box_channels": 16}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_reads_each_of_its_options(system, monkeypatch):
    config = SYSTEMS[system](
        **SMALL, **{name: THIN[name] for name in THIN if name in SYSTEMS[system].model_fields}
    )
    read = set()
    monkeypatch.setattr(
        SYSTEMS[system],
        "__getattribute__",
        lambda self, name: read.add(name) or object.__getattribute__(self, name),
    )
    Detector.build(config)
    not_of_building = {"system", "stretch", "operating_point"}  # read with images, and with detections
    not_of_it = {"anchor_scale", "rpn_nwd"} if system == "rfla" else set()  # which refuses them
    assert set(SYSTEMS[system].model_fields) - not_of_building - not_of_it <= read


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_option_of_another_system_is_refused_by_name(system):
    every = {name for config in SYSTEMS.values() for name in config.model_fields}
    own = set(SYSTEMS[system].model_fields)
    for name in every - own:
        with pytest.raises(InputError, match=f"build_detector: {system} has no option '{name}'") as error:
            srtod.build_detector(system, **SMALL, **{name: None})
        assert all(one in str(error.value) for one in own - set(DetectorConfig.model_fields)), str(
            error.value
        )


def test_a_misspelt_option_names_the_near_one():
    with pytest.raises(
        InputError, match=r"retinanet has no option 'level_candidate' \(did you mean 'level_candidates'\?\);"
    ):
        srtod.build_detector("retinanet", **SMALL, level_candidate=3)


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_detector_says_of_itself_rebuilds_it(system):
    detector = srtod.build_detector(system, **SMALL)
    assert srtod.build_detector(**detector.config).config == detector.config


class ToyConfig(OneStageConfig):
    """ATSS with a shallow head: what a file of a new system holds.

    Attributes:
        depth: convolutions in each stack.
    """

    system: Literal["toy"] = "toy"
    depth: int = 1

    def parts(self):
        pyramid = feature_pyramid(self, lowest=8, coarser="p5")
        return Parts(pyramid, atss_head(self, pyramid, depth=self.depth))


def test_a_new_system_is_a_class_and_a_line_in_the_table(monkeypatch, tmp_path):
    monkeypatch.setitem(SYSTEMS, "toy", ToyConfig)
    detector = srtod.build_detector("toy", **SMALL, depth=2, self_reconstruction=True)
    detector.save(tmp_path / "w.safetensors")
    again = srtod.load(tmp_path / "w.safetensors", level_candidates=50)
    assert again.config == detector.config | {"level_candidates": 50}
    model = load_recipe("small", ["model.system=toy", "model.depth=3"]).model
    assert (model.system, model.depth, model.detections_per_image) == ("toy", 3, 500)
    require_exportable(again)
    with pytest.raises(InputError, match=r"toy has no option 'deph' \(did you mean 'depth'\?\)"):
        srtod.build_detector("toy", num_classes=1, deph=2)
