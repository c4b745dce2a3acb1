"""Each system reads its options, and refuses those that it has no part for."""

from typing import ClassVar

import pytest

import srtod
from srtod.detectors.config import DetectorConfig
from srtod.detectors.zoo import SYSTEMS, SYSTEMS_READING, build
from srtod.support.errors import InputError

SMALL = {"backbone": "resnet10t", "classes": ("drone",)}
OTHERS = {
    "rpn_proposals": (50, 20),
    "rpn_candidates": (50, 20),
    "rpn_samples": None,
    "box_samples": 16,
    "box_channels": 16,
    "pyramid_channels": 32,
    "level_candidates": 50,
    "switchable_atrous": False,
    "coarser_offsets": "first_values",
}
"""A value for each particular option but ``rfla`` that is not its default."""


class Watched(DetectorConfig):
    """Remembers which of its values were read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        Watched.read.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_reads_what_the_zoo_says(system):
    config = Watched(system=system, **SMALL, pyramid_channels=32, box_channels=16)
    Watched.read.clear()
    SYSTEMS[system](config)
    options = set(DetectorConfig.model_fields) - {"system", "classes", "rfla"}
    wanted = {name for name in options if system in SYSTEMS_READING.get(name, SYSTEMS)}
    assert Watched.read & options == wanted


@pytest.mark.parametrize(
    ("system", "name"),
    [(system, name) for name in OTHERS for system in SYSTEMS if system not in SYSTEMS_READING[name]],
)
def test_what_a_system_does_not_read_is_refused(system, name):
    with pytest.raises(InputError, match=f"{system}: {name} is not for this system, only for .*reads"):
        srtod.build_detector(system, **SMALL, **{name: OTHERS[name]})


@pytest.mark.parametrize("system", ["retinanet", "tridentnet"])
def test_recipes_of_several_systems_may_share_options(system):
    detector = build(DetectorConfig(system=system, **SMALL, **OTHERS))
    for name, value in OTHERS.items():
        default = DetectorConfig.model_fields[name].default
        assert getattr(detector._config, name) == (value if system in SYSTEMS_READING[name] else default)
    assert srtod.build_detector(**detector.config).config == detector.config
