"""Detectors by name: build a new one, or load one from a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srtod.assets import SHIPPED
from srtod.detectors.detector import Detector
from srtod.detectors.systems import options_of
from srtod.selfrec import SelfReconstructionConfig
from srtod.support.errors import InputError
from srtod.support.validation import validated


def build_detector(
    system: str,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    self_reconstruction: bool | dict[str, Any] | SelfReconstructionConfig | None = False,
    pretrained_backbone: bool | str | Path | None = False,
    **options: Any,
) -> Detector:
    """Build a detector.

    Args:
        system: a name of :data:`~srtod.detectors.systems.SYSTEMS`.
        num_classes: how many classes, if they have no names.
        classes: their names, in label order.
        self_reconstruction: True for maps that leave the detections as they are
            (:meth:`~srtod.selfrec.SelfReconstructionConfig.harmless`), or a dict of the switches of
            :class:`~srtod.selfrec.SelfReconstructionConfig`, whose defaults are the paper's method.
        pretrained_backbone: True for ImageNet weights through timm, or a file of them.
        **options: the other options of the system: those of
            :class:`~srtod.detectors.config.DetectorConfig`, such as ``anchor_scale``, ``resize``,
            ``score_threshold``, ``nms_iou``, ``detections_per_image``, ``backbone``, and its own.

    Raises:
        InputError: an unknown system, an option that it does not have (the near one is named), or a value out
            of range.
    """
    values = options | {
        "system": system,
        "classes": _class_names(num_classes, classes),
        "self_reconstruction": self_reconstruction,
        "pretrained_backbone": pretrained_backbone,
    }
    return Detector.build(validated(options_of(system), values, where="build_detector"))


def load(source: str | Path = SHIPPED, **changes: Any) -> Detector:
    """Load a detector that :meth:`Detector.save` wrote, in evaluation mode.

    Args:
        source: a file; a folder or a repository ``owner/name`` of the Hugging Face hub with
            ``model.safetensors``; or ``drones``, the drone detector that srtod ships with (a folder
            of this name is ``./drones``).
        **changes: options that are to be others than the file says, such as ``score_threshold=0.3``; those
            that weights leave open (:meth:`~srtod.detectors.config.DetectorConfig.open_options`).

    Raises:
        InputError: no such file or repository, not a file of ours, a value out of range, or a change that
            would need other weights or is not for this system.
    """
    return Detector.from_pretrained(source, **changes)


def _class_names(num_classes: int | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Sequence)):
        raise InputError(
            f"build_detector: classes is a sequence of names, such as ('drone',), not {classes!r}"
        )
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise InputError(f"build_detector: num_classes is a whole number from 1, not {num_classes!r}")
    if classes is None and num_classes is None:
        raise InputError("build_detector: give num_classes or classes")
    if classes is None:
        return tuple(f"class {index}" for index in range(num_classes or 0))
    if num_classes not in (None, len(classes)):
        raise InputError(
            f"build_detector: num_classes is {num_classes}, but there are {len(classes)} classes"
        )
    return tuple(classes)
