"""torchvision's detectors: transform, backbone and losses are where their hooks sit."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.models.detection.ssd import SSD

from srtod.detectors.attach.attachment import LOSS, PROBE_SIZE, Attachment, Joint
from srtod.types import valid_pixels

NAMES = "Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS and SSD"

Levels = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class TorchvisionJoint:
    """The transform shows the image, the backbone's finest map is the level, the losses gain one."""

    def probe(self, model: Any) -> tuple[Tensor, tuple[int, int]]:
        """The finest feature map of a blank image of the model's fixed size, where it has one."""
        width, height = model.transform.fixed_size or (PROBE_SIZE, PROBE_SIZE)
        levels = model.backbone(next(model.parameters()).new_zeros(1, 3, height, width))
        return _finest(levels), (height, width)

    def hook(self, model: Any, attachment: Attachment) -> list[RemovableHandle]:
        """Hooks on the transform, the backbone and the model."""
        return [
            model.register_forward_pre_hook(partial(_begin, attachment)),
            model.transform.register_forward_hook(partial(_see, attachment)),
            model.backbone.register_forward_hook(partial(_enhance, attachment)),
            model.register_forward_hook(partial(_finish, attachment), always_call=True),
        ]

    def show(self, model: Any, image: Tensor) -> None:
        """Detect in the image."""
        model([image.to(next(model.parameters()))])


def joint_of(model: nn.Module) -> Joint | None:
    """The joint of a torchvision detector, None for other models."""
    return TorchvisionJoint() if isinstance(model, GeneralizedRCNN | RetinaNet | FCOS | SSD) else None


def _begin(attachment: Attachment, model: nn.Module, args: tuple[Any, ...]) -> None:
    attachment.begin(with_loss=model.training)


def _see(
    attachment: Attachment, transform: Any, args: tuple[Any, ...], output: tuple[ImageList, Any]
) -> None:
    pixels, sizes = output[0].tensors, output[0].image_sizes
    attachment.see(pixels, valid_pixels(sizes, pixels), transform.image_mean, transform.image_std)


def _enhance(attachment: Attachment, backbone: nn.Module, args: tuple[Any, ...], levels: Levels) -> Levels:
    if attachment.under_way is None:
        return levels
    if isinstance(levels, Tensor):
        return attachment.enhance(levels)
    name = _finest_name(levels)
    enhanced = levels.copy()
    enhanced[name] = attachment.enhance(levels[name])
    return enhanced


def _finish(attachment: Attachment, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    loss = attachment.finish(output)
    return output if loss is None else {**output, LOSS: loss}


def _finest(levels: Levels) -> Tensor:
    return levels if isinstance(levels, Tensor) else levels[_finest_name(levels)]


def _finest_name(levels: dict[str, Tensor]) -> str:
    return max(levels, key=lambda name: levels[name][0, 0].numel())
