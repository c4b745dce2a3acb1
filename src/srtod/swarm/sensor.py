"""From light to a JPEG picture: blur, exposure, white balance, noise, tone curve."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.swarm.noise import Field
from srtod.swarm.scenery import Backdrop

_LEVELS = 4096
_BAND = 48
"""Rows worked on at once, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Sensor:
    """Camera settings for one picture.

    Attributes:
        kernel_x, kernel_y: blur along rows and columns, odd lengths, sum 1.
        gain: exposure times white balance, ``[3]``.
        contrast: strength of the S-shaped tone curve, 0 for none.
        shot, read: noise variance a unit of light, and deviation without light.
        quality: of the JPEG file, 1..95.
    """

    kernel_x: Field
    kernel_y: Field
    gain: Field
    contrast: float
    shot: float
    read: float
    quality: int

    @property
    def noise(self) -> float:
        """Deviation of the noise in dark parts after the tone curve, in shares of the full scale."""
        light = 0.02
        return float(np.sqrt(self.shot * light + self.read**2) / (2 * np.sqrt(light)))


def sample_sensor(rng: np.random.Generator, scene: Backdrop, *, automatic: float = 0.3) -> Sensor:
    """Choose camera settings for a scene; ``automatic`` exposure of 1 makes all scenes equally bright."""
    blurred, panned = rng.random() < 0.25, rng.random() < 0.15
    focus = rng.uniform(0.7, 1.2) if blurred else rng.uniform(0.35, 0.6)
    pan_x, pan_y = (rng.uniform(1, 4), rng.uniform(0, 1)) if panned else (0.0, 0.0)
    bright = float(scene.image[::8, ::8].mean())
    exposure = (0.25 / max(bright, 1e-4)) ** automatic * np.exp(rng.normal(0, 0.16))
    dirt = scene.light.gain * float(np.exp(rng.normal(0, 0.5)))
    return Sensor(
        kernel_x=_kernel(focus, pan_x),
        kernel_y=_kernel(focus, pan_y),
        gain=(exposure * rng.normal(1, 0.025, 3)).astype(np.float32),
        contrast=rng.uniform(0.0, 0.6),
        shot=1.2e-4 * dirt,
        read=3.5e-4 * dirt,
        quality=int(rng.integers(70, 96)),
    )


def blur(image: Field, sensor: Sensor) -> Field:
    """Blur ``[h, w]`` or ``[h, w, c]`` as the lens and the moving camera do; edges are repeated."""
    reach_x, reach_y = len(sensor.kernel_x) // 2, len(sensor.kernel_y) // 2
    rest = ((0, 0),) * (image.ndim - 2)
    padded = np.pad(image, ((reach_y, reach_y), (reach_x, reach_x), *rest), mode="edge")
    return _convolve(_convolve(padded, sensor.kernel_y, axis=0), sensor.kernel_x, axis=1)


def expose(image: Field, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn linear light ``[H, W, 3]`` into an 8-bit sRGB picture."""
    picture = np.empty(image.shape, np.uint8)
    curve, normal = _tone_curve(sensor.contrast), _normal_numbers()
    reach_x, reach_y = len(sensor.kernel_x) // 2, len(sensor.kernel_y) // 2
    for top in range(0, len(image), _BAND):
        bottom = min(top + _BAND, len(image))
        rows = np.arange(top - reach_y, bottom + reach_y).clip(0, len(image) - 1)
        band = np.pad(image.take(rows, axis=0), ((0, 0), (reach_x, reach_x), (0, 0)), mode="edge")
        band = _convolve(_convolve(band, sensor.kernel_y, axis=0), sensor.kernel_x, axis=1)
        band *= sensor.gain
        start = int(rng.integers(len(normal) - band.size + 1))
        noise = np.sqrt(band * np.float32(sensor.shot) + np.float32(sensor.read**2))
        noise *= normal[start : start + band.size].reshape(band.shape)
        band += noise
        band *= _LEVELS - 1
        picture[top:bottom] = curve.take(band.astype(np.int32), mode="clip")
    return picture


def write_jpeg(picture: NDArray[np.uint8], path: Path, sensor: Sensor) -> None:
    """Write a picture with the sensor's quality and halved colour resolution, as cameras do."""
    Image.fromarray(picture).save(path, "JPEG", quality=sensor.quality, subsampling="4:2:0")


def _convolve(padded: Field, kernel: Field, axis: int) -> Field:
    """Weighted sum of shifted copies along an axis; as much shorter as the kernel is longer than 1."""
    size = padded.shape[axis] - len(kernel) + 1
    window = [slice(None)] * padded.ndim
    window[axis] = slice(0, size)
    total = padded[tuple(window)] * kernel[0]
    for offset, weight in enumerate(kernel[1:], start=1):
        window[axis] = slice(offset, offset + size)
        total += padded[tuple(window)] * weight
    return total


def _kernel(sigma: float, length: float) -> Field:
    """A Gaussian spread along a line of ``length`` pixels."""
    reach = int(np.ceil(2.2 * sigma + length / 2))
    fine = (np.arange(-reach * 8 - 4, reach * 8 + 4) + 0.5) / 8
    shape = np.exp(-0.5 * (np.maximum(np.abs(fine) - length / 2, 0) / sigma) ** 2)
    kernel = shape.reshape(2 * reach + 1, 8).sum(1)
    return (kernel / kernel.sum()).astype(np.float32)


@cache
def _normal_numbers() -> Field:
    """A store of normal numbers: pictures take pieces at random, which is quicker than drawing new ones."""
    return np.random.default_rng(0).standard_normal(2**22, dtype=np.float32)


def _tone_curve(contrast: float) -> NDArray[np.uint8]:
    """Linear light in 4096 steps to 8-bit sRGB, with soft shadows and highlights."""
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    curved = value * value * (3 - 2 * value)
    return np.rint(255 * (value + contrast * (curved - value))).astype(np.uint8)
