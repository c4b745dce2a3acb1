"""Detectors by name: build a new one, or load one from a file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from srtod.detectors.config import CHANGEABLE, DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.systems.atss import atss
from srtod.detectors.systems.cascade_rcnn import cascade_rcnn
from srtod.detectors.systems.cascade_rpn import cascade_rpn
from srtod.detectors.systems.detectors import detectors
from srtod.detectors.systems.dyhead import dyhead
from srtod.detectors.systems.faster_rcnn import faster_rcnn
from srtod.detectors.systems.retinanet import retinanet
from srtod.detectors.systems.rfla import rfla
from srtod.detectors.systems.tridentnet import tridentnet
from srtod.detectors.weights import read_weights
from srtod.errors import InputError, did_you_mean
from srtod.schema import validated
from srtod.selfrec import SelfReconstructionConfig

SYSTEMS: dict[str, Callable[[DetectorConfig], Detector]] = {
    "faster-rcnn": faster_rcnn,
    "cascade-rcnn": cascade_rcnn,
    "detectors": detectors,
    "cascade-rpn": cascade_rpn,
    "retinanet": retinanet,
    "rfla": rfla,
    "atss": atss,
    "dyhead": dyhead,
    "tridentnet": tridentnet,
}

RFLA_SYSTEMS = ("faster-rcnn", "cascade-rcnn", "detectors", "rfla")
"""Those whose proposals can take the option ``rfla``: one region proposal network on P2 to P6."""


def build_detector(
    system: str,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    self_reconstruction: bool | dict[str, Any] | SelfReconstructionConfig | None = False,
    pretrained_backbone: bool | str | Path = False,
    **options: Any,
) -> Detector:
    """Build a detector.

    Args:
        system: a name of :data:`SYSTEMS`.
        num_classes: how many classes, if they have no names.
        classes: their names, in label order.
        self_reconstruction: True for the defaults, or a dict of the switches of
            :class:`~srtod.selfrec.SelfReconstructionConfig`.
        pretrained_backbone: True for ImageNet weights through timm, or a file of them.
        **options: the other attributes of :class:`~srtod.detectors.config.DetectorConfig`, such as
            ``anchor_scale``, ``resize``, ``score_threshold``, ``nms_iou``, ``detections_per_image``,
            ``backbone``.

    Raises:
        InputError: an unknown system or option (the near one is named), or a value out of range.
    """
    values: dict[str, Any] = options | {
        "system": system,
        "classes": _class_names(num_classes, classes),
        "self_reconstruction": self_reconstruction,
        "pretrained_backbone": (
            pretrained_backbone if isinstance(pretrained_backbone, bool) else str(pretrained_backbone)
        ),
    }
    return build(validated(DetectorConfig, values, where="build_detector"))


def build(config: DetectorConfig) -> Detector:
    """Build the detector that a configuration describes."""
    if config.system not in SYSTEMS:
        raise InputError(
            f"unknown system {config.system!r}{did_you_mean(config.system, SYSTEMS)}; "
            f"known: {', '.join(SYSTEMS)}"
        )
    if config.rfla is not None and config.system not in RFLA_SYSTEMS:
        raise InputError(f"{config.system}: rfla is not for this system, only for {', '.join(RFLA_SYSTEMS)}")
    return SYSTEMS[config.system](config)


def load(source: str | Path, **changes: Any) -> Detector:
    """Load a detector that :meth:`Detector.save` wrote, in evaluation mode.

    Args:
        source: a file, or a repository ``owner/name`` of the Hugging Face hub with ``model.safetensors``.
        **changes: options that are to be others than the file says, such as ``score_threshold=0.3``; those
            of :data:`~srtod.detectors.config.CHANGEABLE`.

    Raises:
        InputError: no such file or repository, not a file of ours, a value out of range, or a change that
            would need other weights.
    """
    path = _local(source)
    state, config = read_weights(path)
    detector = build(_changed(config, changes))
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit its configuration") from error
    return detector.eval()


def _changed(config: DetectorConfig, changes: dict[str, Any]) -> DetectorConfig:
    for name in changes:
        if name not in CHANGEABLE:
            raise InputError(
                f"load: {name!r} cannot be changed{did_you_mean(name, CHANGEABLE)}; "
                f"given weights leave open: {', '.join(CHANGEABLE)}"
            )
    return validated(DetectorConfig, config.model_dump() | changes, where="load")


def _local(source: str | Path) -> Path:
    parts = str(source).split("/")
    is_hub_id = len(parts) == 2 and all(parts) and not Path(source).suffix and not Path(source).exists()
    if not is_hub_id:
        return Path(source)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(source), "model.safetensors"))
    except Exception as error:
        raise InputError(f"{source}: neither a file nor a repository that can be read: {error}") from error


def _class_names(num_classes: int | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise InputError(f"build_detector: classes is a sequence of names, such as ({classes!r},)")
    if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 1):
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
