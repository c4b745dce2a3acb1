"""Which detectors can become a program of standard operators, known before any work."""

from torch import nn

from srtod.detectors.detector import Detector
from srtod.heads.cascade_rpn import CascadeRPN
from srtod.inference.exporting.program import choice_of
from srtod.pyramids.dynamic import DynamicFeaturePyramid
from srtod.pyramids.switchable import SwitchableAtrousConv2d
from srtod.pyramids.trident import TridentPyramid
from srtod.support.errors import InputError

_DEFORMABLE = "has deformable convolutions, for which the runtimes have no common operator"

_OBSTACLES: dict[type[nn.Module], str] = {
    DynamicFeaturePyramid: _DEFORMABLE,
    CascadeRPN: _DEFORMABLE,
    SwitchableAtrousConv2d: f"{_DEFORMABLE}; build it with switchable_atrous=False",
    TridentPyramid: "runs a stage of the backbone on groups of boxes, whose number a program does not know",
}


def require_exportable(detector: Detector) -> None:
    """Make sure, before any work, that a detector can be exported.

    Raises:
        InputError: it cannot; the message says why.
    """
    reason = _obstacle(detector)
    if reason is not None:
        system = detector.config["system"]
        raise InputError(f"export: {system} {reason}; what can be exported stands in docs/export.md")
    choice_of(detector.head)


def _obstacle(detector: Detector) -> str | None:
    for part in detector.modules():
        for kind, reason in _OBSTACLES.items():
            if isinstance(part, kind):
                return reason
    switches = detector.self_reconstruction and detector.self_reconstruction.config
    if switches and switches.difference == "high-frequency" and switches.enhancement != "none":
        return "takes the high-frequency difference, whose Fourier transform the runtimes do not share"
    return None
