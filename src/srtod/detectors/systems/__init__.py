"""Named systems: each a file with its options and the parts built from them. Copy one and change it."""

from collections.abc import Mapping
from typing import Any

from srtod.detectors.config import DetectorConfig
from srtod.detectors.systems.atss import ATSSConfig
from srtod.detectors.systems.cascade_rcnn import CascadeRCNNConfig
from srtod.detectors.systems.cascade_rpn import CascadeRPNConfig
from srtod.detectors.systems.detecto_rs import DetectoRSConfig
from srtod.detectors.systems.dyhead import DyHeadConfig
from srtod.detectors.systems.faster_rcnn import FasterRCNNConfig
from srtod.detectors.systems.retinanet import RetinaNetConfig
from srtod.detectors.systems.rfla import RFLAConfig
from srtod.detectors.systems.tridentnet import TridentNetConfig
from srtod.support.errors import InputError, did_you_mean

SYSTEMS: dict[str, type[DetectorConfig]] = {
    config.model_fields["system"].default: config
    for config in (
        FasterRCNNConfig,
        CascadeRCNNConfig,
        DetectoRSConfig,
        CascadeRPNConfig,
        RetinaNetConfig,
        RFLAConfig,
        ATSSConfig,
        DyHeadConfig,
        TridentNetConfig,
    )
}
"""The options of each system by its name; a new system is a line here."""


def options_of(system: object) -> type[DetectorConfig]:
    """The options of a system.

    Raises:
        InputError: there is none of this name.
    """
    if system not in SYSTEMS:
        near = did_you_mean(str(system), SYSTEMS)
        raise InputError(f"unknown system {system!r}{near}; known: {', '.join(SYSTEMS)}")
    return SYSTEMS[str(system)]


def without_others(values: Mapping[str, Any], system: object) -> dict[str, Any]:
    """Leave out what only other systems have as an option: for settings that several systems share.

    Up to version 0.3 every file carried the options of all systems.

    Raises:
        InputError: there is no system of this name.
    """
    own = options_of(system).model_fields
    others = {name for config in SYSTEMS.values() for name in config.model_fields}
    return {name: value for name, value in values.items() if name in own or name not in others}
