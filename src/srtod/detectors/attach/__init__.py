"""Self-reconstruction on detectors built elsewhere: put on, looked at, taken off."""

from typing import Any, TypeVar

from torch import Tensor, nn

from srtod.detectors.attach import huggingface, torchvision
from srtod.detectors.attach.attachment import Attachment, Joint
from srtod.detectors.border.images import check_image
from srtod.detectors.detector import Detector
from srtod.nn.modes import evaluating
from srtod.selfrec import SelfReconstructionConfig
from srtod.support.errors import InputError
from srtod.support.validation import validated

__all__ = ["attach", "detach", "explain"]

Model = TypeVar("Model", bound=nn.Module)


def attach(
    model: Model,
    *,
    image_mean: tuple[float, float, float] | None = None,
    image_std: tuple[float, float, float] | None = None,
    **switches: Any,
) -> Model:
    """Add self-reconstruction to a detector of torchvision or Hugging Face transformers, in place.

    Calls, targets and outputs stay as they are. The highest-resolution feature map that the detector's heads
    (transformers: its encoder) read is enhanced. Training mode gains one loss: torchvision's dict holds
    ``loss_reconstruction``; transformers' ``outputs.loss`` includes it and ``outputs.loss_dict`` holds it.
    After a part of the model is replaced, its calls raise ``InputError``: detach and attach again.

    The parameters are those of ``model.self_reconstruction``, there at once, so build the optimizer and wrap
    the model for several processes afterwards. A ``state_dict`` loads into a model that was attached with the
    same switches.

    Args:
        model: torchvision's Faster, Mask or Keypoint R-CNN, RetinaNet, FCOS or SSD; transformers' RT-DETR,
            RT-DETR v2, D-FINE or Deformable DETR for object detection.
        image_mean: transformers only: what the image processor subtracts from RGB in 0..1; default: what the
            model's own processor does. torchvision's stands in the model.
        image_std: what it divides by, likewise.
        switches: fields of :class:`~srtod.selfrec.SelfReconstructionConfig`, such as ``head="lite"``.

    Returns:
        The same object.

    Raises:
        InputError: the model is not one of these, has self-reconstruction already, or does not suit the
            switches; a switch is unknown.
    """
    config = validated(SelfReconstructionConfig, switches, where="attach")
    if isinstance(model, Detector):
        raise InputError(
            "attach: srtod's own detectors are built with build_detector(..., self_reconstruction=True)"
        )
    if hasattr(model, "self_reconstruction"):
        raise InputError("attach: this model has self-reconstruction already; take it off with srtod.detach")
    joint = _joint_of(model, image_mean, image_std)
    attachment = Attachment.fitting(model, joint, config)
    model.self_reconstruction = attachment
    attachment.handles = joint.hook(model, attachment)
    return model


def detach(model: Model) -> Model:
    """Take off what :func:`attach` added, in place; the model is what it was, with the weights it has now.

    Returns:
        The same object.

    Raises:
        InputError: nothing is attached.
    """
    for handle in _attachment_of(model).handles:
        handle.remove()
    del model.self_reconstruction
    return model


def explain(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What self-reconstruction sees in one image.

    Args:
        model: with self-reconstruction attached, or a :class:`~srtod.detectors.detector.Detector`.
        image: float ``[3, H, W]``, RGB in 0..1, not normalised.

    Returns:
        ``reconstruction`` ``[3, H, W]`` and ``difference`` ``[1, H, W]`` at the image's size, ``mask``
        ``[1, h, w]``, ``features_before`` and ``features_after`` ``[C, h, w]`` at the enhanced level's.

    Raises:
        InputError: the model has no self-reconstruction, or the image is wrong.
    """
    if isinstance(model, Detector):
        return model.explain(image)
    check_image(image)
    attachment = _attachment_of(model)
    with evaluating(model):
        return attachment.maps(lambda: attachment.joint.show(model, image), image)


def _attachment_of(model: nn.Module) -> Attachment:
    attachment = getattr(model, "self_reconstruction", None)
    if not isinstance(attachment, Attachment):
        raise InputError(
            f"nothing is attached to this {type(model).__name__}: call srtod.attach(model) first"
        )
    return attachment


def _joint_of(model: nn.Module, mean: Any, std: Any) -> Joint:
    if (joint := torchvision.joint_of(model)) is not None:
        if mean is not None or std is not None:
            raise InputError("attach: image_mean and image_std of a torchvision model stand in its transform")
        return joint
    if (joint := huggingface.joint_of(model, mean, std)) is not None:
        return joint
    raise InputError(
        f"attach: cannot attach to {type(model).__name__}; known are torchvision's {torchvision.NAMES} and "
        f"transformers' {huggingface.NAMES} (before they are wrapped or compiled)"
    )
