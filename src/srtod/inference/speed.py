"""A detector made fast for detecting."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from srtod.defaults import Precision
from srtod.detectors.detector import Detector
from srtod.detectors.folding import fold_batch_norm, settle_standardised_weights
from srtod.inference.operating import Least, at_least
from srtod.support.devices import in_precision
from srtod.support.errors import InputError
from srtod.types import Detections, ImageBatch, Target

_INSTEAD = "this is a copy of a detector, made for inference; take the detector itself"
_LOST = "the copy would do without; use the detector as it is"


class InferenceDetector(Detector):
    """A detector whose weights were rearranged for speed: it detects, and does not train or save.

    Made by :func:`for_inference`.

    Attributes:
        precision: in which it computes.
        least: scores of each class below which it keeps no detection; None keeps all.
    """

    precision: Precision = "fp32"
    least: Least = None

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Detect in the precision of the copy; see :meth:`Detector.forward`."""
        with in_precision(self.precision, self.device):
            return super().forward(images, targets)

    def explain(self, image: Tensor) -> dict[str, Tensor]:
        """Explain in the precision of the copy; see :meth:`Detector.explain`."""
        with in_precision(self.precision, self.device):
            return super().explain(image)

    def _detect(self, batch: ImageBatch) -> list[Detections]:
        return [at_least(found, self.least) for found in super()._detect(batch)]

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode.

        Raises:
            InputError: training mode is asked for.
        """
        if mode:
            raise InputError(f"cannot train: {_INSTEAD}")
        return super().train(mode)

    def save(self, path: str | Path, *, half: bool = False, overwrite: bool = False) -> None:
        """Refuse to write weights that no other detector could take.

        Raises:
            InputError: always.
        """
        raise InputError(f"{path}: not saved: {_INSTEAD}")


def for_inference(
    detector: Detector,
    *,
    fuse: bool = True,
    channels_last: bool = False,
    compiled: bool = False,
    precision: Precision = "fp32",
) -> InferenceDetector:
    """Copy a detector for inference; what it finds stays the same up to rounding.

    Args:
        detector: stays as it is.
        fuse: fold BatchNorm and standardisation into the weights (see :mod:`srtod.detectors.folding`).
        channels_last: keep the channels of a cell together in memory.
        compiled: let ``torch.compile`` make programs of pyramid and self-reconstruction: for the first size
            of image one, with the second size one for other sizes, then some more where a small level has a
            single row or column. An image that needs a new one takes a minute; after eight torch makes no
            more, and what fits none of them runs as if not compiled.
        precision: in which the copy computes.

    Returns:
        The copy on the same device, in evaluation mode, its weights without gradients.

    Raises:
        InputError: the copy would lose something: a ``forward`` of a class of its own, or forward hooks.
    """
    if type(detector).forward is not Detector.forward:
        raise InputError(f"for_inference: {type(detector).__name__} has a forward of its own: {_LOST}")
    if detector._forward_hooks or detector._forward_pre_hooks:
        raise InputError(f"for_inference: the detector has forward hooks: {_LOST}")
    made = InferenceDetector.sharing(copy.deepcopy(detector).eval()).requires_grad_(False)
    if fuse:
        settle_standardised_weights(made)
        fold_batch_norm(made)
    made.precision = precision
    if channels_last:
        made = made.to(memory_format=torch.channels_last)
    if compiled:
        made.pyramid.compile()
        if made.self_reconstruction is not None:
            made.self_reconstruction.compile()
    return made
