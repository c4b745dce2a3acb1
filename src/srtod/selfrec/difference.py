"""Where the reconstruction failed (paper: equation 3; table 7 for the high-frequency variant)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_difference(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Equation 3: mean over the channels of the absolute difference.

    Args:
        reconstruction: ``[B, 3, H, W]`` in 0..1.
        image: ``[B, 3, H, W]`` in 0..1.

    Returns:
        ``[B, 1, H, W]`` in 0..1.
    """
    return (reconstruction - image).abs().mean(dim=1, keepdim=True)


def high_frequency_difference(reconstruction: Tensor, image: Tensor, *, period: float = 32.0) -> Tensor:
    """Pixel difference of the two images after an ideal high-pass (paper, table 7: HFD).

    Args:
        reconstruction: ``[B, 3, H, W]`` in 0..1.
        image: ``[B, 3, H, W]`` in 0..1.
        period: structures that repeat more slowly than this many pixels are removed. The paper does not state
            its cut-off; 32 px is the size above which an object is no longer tiny.

    Returns:
        ``[B, 1, H, W]``, at least 0.
    """
    error = torch.fft.rfft2(reconstruction - image, norm="ortho")  # the high-pass is linear: filter the error
    rows = torch.fft.fftfreq(image.shape[-2], device=image.device)
    columns = torch.fft.rfftfreq(image.shape[-1], device=image.device)
    passed = torch.hypot(rows[:, None], columns[None, :]) >= 1 / period
    high = torch.fft.irfft2(error * passed, s=image.shape[-2:], norm="ortho")
    return high.abs().mean(dim=1, keepdim=True)


def relative_difference(reconstruction: Tensor, image: Tensor, *, window: int = 33) -> Tensor:
    """Pixel difference against what is usual around it: ``D / (D + mean of D)`` (not in the paper).

    A threshold then means the same on grass as in the sky: 0.5 is the mean of the surroundings, 0.9 nine
    times as much.

    Args:
        reconstruction: ``[B, 3, H, W]`` in 0..1.
        image: ``[B, 3, H, W]`` in 0..1.
        window: side of the surroundings in pixels, odd; larger than a tiny object, so that it stands out.

    Returns:
        ``[B, 1, H, W]`` in 0..1.
    """
    difference = pixel_difference(reconstruction, image)
    usual = local_mean(difference, window)
    return difference / (difference + usual).clamp(min=1e-6)


def high_pass(_: Tensor, image: Tensor, *, window: int = 9) -> Tensor:
    """What the grey image differs by from its local mean: a control that needs no reconstruction.

    Args:
        image: ``[B, 3, H, W]`` in 0..1.
        window: side of the local mean in pixels, odd.

    Returns:
        ``[B, 1, H, W]`` in 0..1.
    """
    grey = image.mean(dim=1, keepdim=True)
    return (grey - local_mean(grey, window)).abs()


def local_mean(values: Tensor, window: int) -> Tensor:
    """Mean of ``[B, C, H, W]`` over a square window of odd side around each pixel, as far as it is inside."""
    for kernel in ((window, 1), (1, window)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        values = F.avg_pool2d(values, kernel, stride=1, padding=padding, count_include_pad=False)
    return values


DIFFERENCES = {
    "pixel": pixel_difference,
    "high-frequency": high_frequency_difference,
    "relative": relative_difference,
    "high-pass": high_pass,
}
