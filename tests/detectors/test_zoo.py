"""A system reads each of its options, and refuses those that it does not have."""

import pytest

import srtod
from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems import SYSTEMS
from srtod.support.errors import InputError

SMALL = {"backbone": "resnet10t", "classes": ("drone",)}
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
    not_for_it = {"anchor_scale"} if system == "rfla" else set()
    assert set(SYSTEMS[system].model_fields) - {"system"} - not_for_it <= read


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
