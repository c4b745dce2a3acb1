"""Hugging Face transformers' detectors with convolutional pyramids. transformers itself is not imported."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from math import isfinite
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from srtod.detectors.attach.attachment import LOSS, PROBE_SIZE, Attachment, Joint
from srtod.detectors.preprocess import IMAGENET_MEAN, IMAGENET_STD
from srtod.support.errors import InputError

NAMES = "RT-DETR, RT-DETR v2, D-FINE and Deformable DETR for object detection"
DIVISOR = 32
"""Sides of the images that these models take are multiples of it, or at least may be."""


@dataclass(frozen=True)
class HuggingFaceJoint:
    """The backbone shows the image, the first projection to the encoder gives the level.

    Attributes:
        projections: name of the base model's list of projections, finest level first.
        mean, std: what the image processor normalises RGB in 0..1 with.
    """

    projections: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def probe(self, model: Any) -> tuple[Tensor, tuple[int, int]]:
        """The finest level that the encoder reads of a blank image."""
        pixels = next(model.parameters()).new_zeros(1, 3, PROBE_SIZE, PROBE_SIZE)
        features = model.model.backbone(pixels, torch.ones_like(pixels[:, 0]))
        return self._projection(model)(features[0][0]), (PROBE_SIZE, PROBE_SIZE)

    def hook(self, model: Any, attachment: Attachment) -> list[RemovableHandle]:
        """Hooks on the backbone, the projection and the model."""
        return [
            model.register_forward_pre_hook(partial(_begin, attachment), with_kwargs=True),
            model.model.backbone.register_forward_pre_hook(partial(self._see, attachment)),
            self._projection(model).register_forward_hook(partial(_enhance, attachment)),
            model.register_forward_hook(partial(_finish, attachment), always_call=True),
        ]

    def show(self, model: Any, image: Tensor) -> None:
        """Detect in the image, normalised and padded as the model needs it."""
        image = image.to(next(model.parameters()))
        padding = (0, -image.shape[2] % DIVISOR, 0, -image.shape[1] % DIVISOR)
        mean, std = image.new_tensor(self.mean), image.new_tensor(self.std)
        normalised = (image - mean[:, None, None]) / std[:, None, None]
        model(
            pixel_values=F.pad(normalised, padding)[None],
            pixel_mask=F.pad(torch.ones_like(image[:1], dtype=torch.long), padding),
        )

    def _projection(self, model: Any) -> nn.Module:
        return getattr(model.model, self.projections)[0]

    def _see(self, attachment: Attachment, backbone: nn.Module, args: tuple[Tensor, Tensor]) -> None:
        if attachment.under_way is None or len(args) != 2:  # called by others than the model
            return
        pixels, mask = args
        attachment.see(pixels, mask.bool()[:, None], self.mean, self.std)


_UNIT = HuggingFaceJoint("encoder_input_proj", (0.0,) * 3, (1.0,) * 3)
_IMAGENET = HuggingFaceJoint(
    "input_proj", tuple(value / 255 for value in IMAGENET_MEAN), tuple(value / 255 for value in IMAGENET_STD)
)
JOINTS = {
    "RTDetrForObjectDetection": _UNIT,
    "RTDetrV2ForObjectDetection": _UNIT,
    "DFineForObjectDetection": _UNIT,
    "DeformableDetrForObjectDetection": _IMAGENET,
}
"""By class; with what the class's own image processor does to the colours."""


def joint_of(
    model: nn.Module, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Joint | None:
    """The joint of a transformers detector, None for other models.

    Raises:
        InputError: mean or standard deviation are not three numbers each, deviations above 0.
    """
    names = [own.__name__ for own in type(model).__mro__ if own.__module__.startswith("transformers.")]
    joint = next((JOINTS[name] for name in names if name in JOINTS), None)
    if joint is None:
        return None
    mean = joint.mean if mean is None else _three("image_mean", mean)
    std = joint.std if std is None else _three("image_std", std)
    if min(std) <= 0:
        raise InputError(f"attach: image_std must be above 0, not {list(std)}")
    return replace(joint, mean=mean, std=std)


def _three(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(map(isfinite, numbers)):
        raise InputError(f"attach: {name} must be three numbers, for red, green and blue, not {values!r}")
    return numbers


def _begin(attachment: Attachment, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    names = list(signature(type(model).forward).parameters)[1:]
    given = dict(zip(names, args, strict=False)) | kwargs
    attachment.begin(with_loss=model.training and given.get("labels") is not None)


def _enhance(attachment: Attachment, projection: nn.Module, args: tuple[Any, ...], level: Tensor) -> Tensor:
    return attachment.enhance(level)


def _finish(attachment: Attachment, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """Add the loss of a training step: to a ``ModelOutput``, or to a tuple (``return_dict=False``)."""
    own = attachment.finish(output)
    if own is None:
        return output
    if isinstance(output, tuple):
        return (output[0] + own, {**output[1], LOSS: own}, *output[2:])
    output.loss, output.loss_dict = output.loss + own, {**output.loss_dict, LOSS: own}
    return output
