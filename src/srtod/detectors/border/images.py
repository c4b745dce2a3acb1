"""Images as users give them, checked before anything is computed from them."""

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from srtod.support.errors import InputError

RANGE = (-0.5, 1.5)
"""Least and largest value that pass for RGB in 0..1: resampling and augmentation may overshoot."""

_NEEDED = "a tensor [3, H, W] with RGB is needed, float in 0..1 or uint8"


@torch.compiler.disable
def check_images(images: object, *, wait: bool = False) -> None:
    """Check a sequence of images, each as :func:`check_image` does.

    Raises:
        InputError: no sequence, an empty one, or a wrong image, named by its index.
    """
    if isinstance(images, Tensor) and images.ndim < 4:
        raise InputError("images: a list of images is needed, not a single tensor; give [image]")
    if not isinstance(images, Sequence | Tensor) or isinstance(images, str):
        raise InputError(f"images: a list of float tensors [3, H, W] is needed, not {_type(images)}")
    if len(images) == 0:
        raise InputError("images: none were given; give one at least")
    for index, image in enumerate(images):
        check_image(image, name=f"images[{index}]", wait=wait)


def check_image(image: object, *, name: str = "image", wait: bool = False) -> None:
    """Check that an image is a tensor ``[3, H, W]``, RGB as floats in 0..1 or as uint8.

    Args:
        image: what was given.
        name: what the message calls it.
        wait: look at the values on a GPU, too, and wait for it; those on the CPU are looked at in any case.

    Raises:
        InputError: no such tensor, a value that is not finite, or one outside :data:`RANGE`.
    """
    if not isinstance(image, Tensor):
        readable = hasattr(image, "__array_interface__")  # NumPy's arrays and Pillow's images
        how = "; torchvision.transforms.functional.to_tensor makes one of it" if readable else ""
        raise InputError(f"{name}: {_NEEDED}, not {_type(image)}{how}")
    typed = image.is_floating_point() or image.dtype == torch.uint8
    if image.ndim != 3 or image.shape[0] != 3 or not typed or not image.numel():
        steps = " and ".join(_remedies(image))
        raise InputError(
            f"{name}: {_NEEDED}, not {image.dtype} {list(image.shape)}{'; ' if steps else ''}{steps}"
        )
    if image.is_floating_point() and (image.is_cpu or (wait and not image.is_meta)):
        _check_values(image, name)


def _check_values(image: Tensor, name: str) -> None:
    values = image.detach() if image.is_cpu else torch.stack(image.detach().aminmax()).cpu()
    values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    low, high = float(values.min()), float(values.max())
    if not (isfinite(low) and isfinite(high)):
        raise InputError(f"{name}: has values that are not finite (NaN or infinite); correct or leave it out")
    if low < RANGE[0] or high > RANGE[1]:
        how = "divide by 255" if low >= RANGE[0] else "leave out the normalisation, which is done later"
        raise InputError(f"{name}: its values go from {low:.3g} to {high:.3g}, not RGB in 0..1; {how}")


def _remedies(image: Tensor) -> list[str]:
    """What makes a tensor of another shape or type an image."""
    steps = []
    if image.ndim == 2 or (image.ndim == 3 and image.shape[0] == 1):
        steps.append("repeat the gray channel with expand(3, -1, -1)")
    elif image.ndim == 3 and image.shape[0] == 4:
        steps.append("leave out the fourth channel with image[:3]")
    elif image.ndim == 3 and image.shape[0] != 3 and image.shape[2] == 3:
        steps.append("bring the channels to the front with permute(2, 0, 1)")
    elif image.ndim == 4:
        steps.append("give each image of a batch by itself")
    if not image.is_floating_point() and image.dtype != torch.uint8:
        steps.append("convert it with to(torch.uint8)")
    return steps


def _type(value: object) -> str:
    return type(value).__name__
