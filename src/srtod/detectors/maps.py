"""What self-reconstruction saw in one image, at that image's size."""

import torch.nn.functional as F
from torch import Tensor

from srtod.selfrec import SelfReconstructionOutput


def image_maps(
    before: Tensor,
    output: SelfReconstructionOutput,
    *,
    stride: int,
    size: tuple[int, int],
    shown: tuple[int, int],
) -> dict[str, Tensor]:
    """The maps of the first image of a batch, without its padding.

    Args:
        before: lowest level ``[B, C, h, w]`` before its enhancement.
        output: of the self-reconstruction.
        stride: of the lowest level, in pixels.
        size: (height, width) of the image in the batch, without padding.
        shown: (height, width) of the image as it was given.

    Returns:
        ``reconstruction`` ``[3, H, W]`` and ``difference`` ``[1, H, W]`` at the size of the given image,
        ``mask`` ``[1, h, w]``, ``features_before`` and ``features_after`` ``[C, h, w]`` at the level's.
    """
    height, width = size
    rows, columns = -(-height // stride), -(-width // stride)
    maps = {
        "reconstruction": output.reconstruction[:1, :, :height, :width],
        "difference": output.difference[:1, :, :height, :width],
    }
    if size != shown:
        maps = {name: F.interpolate(own, shown, mode="bilinear") for name, own in maps.items()}
    maps |= {
        "mask": output.mask[:1, :, :rows, :columns],
        "features_before": before[:1, :, :rows, :columns],
        "features_after": output.levels[0][:1, :, :rows, :columns],
    }
    return {name: own[0].float() for name, own in maps.items()}
