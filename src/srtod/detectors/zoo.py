"""Detectors by name: build a new one, or load one from a file."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from srtod.assets import SHIPPED, shipped_weights
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
from srtod.selfrec import SelfReconstructionConfig
from srtod.support import hub
from srtod.support.errors import InputError, did_you_mean
from srtod.support.validation import validated

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

_TWO_STAGE = (*RFLA_SYSTEMS, "cascade-rpn", "tridentnet")
_ONE_STAGE = ("retinanet", "atss", "dyhead")

SYSTEMS_READING: dict[str, tuple[str, ...]] = {
    "rfla": RFLA_SYSTEMS,
    "rpn_proposals": _TWO_STAGE,
    "rpn_candidates": _TWO_STAGE,
    "rpn_samples": _TWO_STAGE,
    "box_samples": _TWO_STAGE,
    "box_channels": (*RFLA_SYSTEMS, "cascade-rpn"),
    "pyramid_channels": (*RFLA_SYSTEMS, "cascade-rpn", *_ONE_STAGE),
    "level_candidates": _ONE_STAGE,
    "switchable_atrous": ("detectors",),
    "coarser_offsets": ("dyhead",),
}
"""Options that some systems have no part for, with those that read them; all systems read the others."""


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
        InputError: an unknown system or option (the near one is named), a value out of range, or an option
            that is not for this system and has another value than its default.
    """
    values: dict[str, Any] = options | {
        "system": system,
        "classes": _class_names(num_classes, classes),
        "self_reconstruction": self_reconstruction,
        "pretrained_backbone": (
            str(pretrained_backbone) if isinstance(pretrained_backbone, Path) else pretrained_backbone
        ),
    }
    return build(validated(DetectorConfig, values, where="build_detector"), given=options)


def build(config: DetectorConfig, *, given: Iterable[str] = ()) -> Detector:
    """Build the detector that a configuration describes.

    Args:
        config: options that its system does not read are set back to their defaults, for recipes of several
            systems share them. Only ``rfla`` is refused, as it would make another system of it.
        given: options that were asked for this system; they are refused, too.

    Raises:
        InputError: an unknown system, an option that is not for it, or parts that do not go together.
    """
    system = config.system
    if system not in SYSTEMS:
        raise InputError(
            f"unknown system {system!r}{did_you_mean(system, SYSTEMS)}; known: {', '.join(SYSTEMS)}"
        )
    unread = _unread(config)
    for name in unread:
        if name in ("rfla", *given):
            raise InputError(
                f"{system}: {name} is not for this system, only for {', '.join(SYSTEMS_READING[name])}; "
                f"beside what all read, this one reads {', '.join(_particular(system))}"
            )
    return SYSTEMS[system](config.model_copy(update=unread))


def _unread(config: DetectorConfig) -> dict[str, Any]:
    """The options whose values the system does not read, with their defaults."""
    defaults = {name: DetectorConfig.model_fields[name].default for name in SYSTEMS_READING}
    own = _particular(config.system)
    return {
        name: default
        for name, default in defaults.items()
        if name not in own and getattr(config, name) != default
    }


def _particular(system: str) -> list[str]:
    """The options that this system reads and some others do not."""
    return [name for name, systems in SYSTEMS_READING.items() if system in systems]


def load(source: str | Path = SHIPPED, **changes: Any) -> Detector:
    """Load a detector that :meth:`Detector.save` wrote, in evaluation mode.

    Args:
        source: a file; a folder or a repository ``owner/name`` of the Hugging Face hub with
            ``model.safetensors``; or ``drones``, the detector of drones in the sky that comes along (a folder
            of this name is ``./drones``).
        **changes: options that are to be others than the file says, such as ``score_threshold=0.3``; those
            of :data:`~srtod.detectors.config.CHANGEABLE`.

    Raises:
        InputError: no such file or repository, not a file of ours, a value out of range, or a change that
            would need other weights or is not for this system.
    """
    path = weights_file(source)
    state, config = read_weights(path)
    detector = build(_changed(config, changes), given=changes)
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit its configuration") from error
    return detector.eval()


def weights_file(source: str | Path) -> Path:
    """The file that :func:`load` reads; of a repository of the hub it is fetched.

    Args:
        source: as :func:`load` takes it. The path of a file stays as it is, whether or not the file exists.

    Raises:
        InputError: no such repository.
    """
    if source == SHIPPED:
        return shipped_weights()
    path = Path(source)
    if path.is_dir():
        return path / hub.WEIGHTS
    if isinstance(source, Path) or path.suffix or path.parent.is_dir() or source.count("/") != 1:
        return path
    try:
        return hub.newest(source, hub.WEIGHTS)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{source}: no such file, and the Hugging Face hub gives no model.safetensors of it ({reason}); "
            "give the path of a .safetensors file, or a repository owner/name"
        ) from error


def _changed(config: DetectorConfig, changes: dict[str, Any]) -> DetectorConfig:
    for name in changes:
        if name not in CHANGEABLE:
            raise InputError(
                f"load: {name!r} cannot be changed{did_you_mean(name, CHANGEABLE)}; "
                f"given weights leave open: {', '.join(CHANGEABLE)}"
            )
    return validated(DetectorConfig, config.model_dump() | changes, where="load")


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
