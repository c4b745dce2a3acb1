"""The maps of self-reconstruction, made ready to be looked at, and what figures of them share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from srtod.plots.crops import Crop
from srtod.plots.palette import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEATURE_COLOURS = "magma"
DIFFERENCE_COLOURS = "inferno"
MASK_COLOUR = np.array(OKABE_ITO[2], dtype=np.float32) / 255


@dataclass(frozen=True)
class Panel:
    """One map of the figure.

    Attributes:
        name: for files.
        title: for readers.
        pixels: ``[h, w]``, or ``[h, w, 3]`` in 0..1.
        reach: width and height it covers, in pixels of the image; a level's last cells may reach beyond it.
        colours: name of the colour map of a ``[h, w]`` panel; ``""`` for a picture.
        limits: values at the two ends of the colour map.
    """

    name: str
    title: str
    pixels: NDArray[np.float32]
    reach: tuple[float, float]
    colours: str = ""
    limits: tuple[float, float] = (0.0, 1.0)

    def cells(self, box: ArrayLike) -> tuple[slice, slice]:
        """Return the rows and columns of a map that a box (x1 y1 x2 y2 in pixels of the image) touches."""
        rows, columns = self.pixels.shape[:2]
        x1, y1, x2, y2 = np.asarray(box) * np.tile((columns / self.reach[0], rows / self.reach[1]), 2)
        return (
            slice(max(int(np.floor(y1)), 0), max(int(np.ceil(y2)), 0)),
            slice(max(int(np.floor(x1)), 0), max(int(np.ceil(x2)), 0)),
        )

    def show(self, axis: "Axes", corners: tuple[float, float, float, float] | None = None) -> None:
        """Show a part of the panel (x1 y1 x2 y2 in pixels of the image), or all of it, without ticks."""
        axis.imshow(
            self.pixels,
            cmap=self.colours or None,
            vmin=self.limits[0],
            vmax=self.limits[1],
            extent=(0, self.reach[0], self.reach[1], 0),
            interpolation="antialiased",
        )
        left, top, right, bottom = corners or (0, 0, *self.reach)
        axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        axis.spines[:].set_visible(False)

    def picture(self, size: tuple[int, int]) -> Image.Image:
        """Return the panel in its colours, as large as the image (width, height)."""
        from matplotlib import colormaps

        pixels = self.pixels
        if self.colours:
            low, high = self.limits
            pixels = colormaps[self.colours](((pixels - low) / max(high - low, 1e-12)).clip(0, 1))[..., :3]
        return stretch(Image.fromarray((pixels * 255).round().astype(np.uint8)), self.reach, size)


def panels_of(image: NDArray[np.uint8], maps: Mapping[str, ArrayLike]) -> list[Panel]:
    """Return input, the finest level before and after its enhancement, reconstruction, difference and mask.

    Both panels of the level, which is named after its stride (P2: 4), share their limits, the 0.1th and the
    99.9th percentile of the two together. The difference starts at 0 and ends at its own 99.9th percentile.
    The mask lies in yellow over the grey image.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        maps: see :func:`srtod.plots.explain.explain_figure`.
    """
    height, width = image.shape[:2]
    size = (float(width), float(height))
    before, after = heat(maps["features_before"]), heat(maps["features_after"])
    reconstruction = np.asarray(maps["reconstruction"], dtype=np.float32).transpose(1, 2, 0).clip(0, 1)
    difference = np.asarray(maps["difference"], dtype=np.float32)[0]
    mask = np.asarray(maps["mask"], dtype=np.float32)[0].clip(0, 1)
    same = leaves_level(maps)
    low, high = (float(end) for end in np.percentile(np.concatenate((before, after)), (0.1, 99.9)))
    top = max(float(np.percentile(difference, 99.9)), 1e-3)
    reach = _level_reach(size, difference.shape, mask.shape)
    level = level_name(max(difference.shape) / max(mask.shape))
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32) / 255 * 0.6 + 0.05
    strength = 0.6 * np.asarray(stretch(Image.fromarray(mask), reach, (width, height)))[..., None]
    return [
        Panel("input", "input", image.astype(np.float32) / 255, size),
        Panel("p2_before", level if same else f"{level} before", before, reach, FEATURE_COLOURS, (low, high)),
        Panel("p2_after", f"{level} after", after, reach, FEATURE_COLOURS, (low, high)),
        Panel("reconstruction", "reconstruction", reconstruction, size),
        Panel("difference", "difference", difference, size, DIFFERENCE_COLOURS, (0.0, top)),
        Panel(
            "mask",
            f"mask ({(mask >= 0.5).mean():.1%} set)",
            grey * (1 - strength) + MASK_COLOUR * strength,
            size,
        ),
    ]


def leaves_level(maps: Mapping[str, ArrayLike]) -> bool:
    """Tell whether the finest level is the same after its enhancement as before."""
    return np.array_equal(maps["features_before"], maps["features_after"])


def level_name(stride: float) -> str:
    """Return the name of the level of a stride in pixels: P2 for 4, P3 for 8."""
    return f"P{round(math.log2(stride))}"


def heat(features: ArrayLike) -> NDArray[np.float32]:
    """Return the mean over the channels of the absolute values of a level: ``[C, h, w]`` to ``[h, w]``."""
    return np.abs(np.asarray(features, dtype=np.float32)).mean(axis=0)


def stretch(cells: Image.Image, reach: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Return what lies under each pixel of an image of ``size`` (width, height): the nearest cell.

    The cells cover ``reach`` (width, height) in pixels of the image, at least all of it.
    """
    box = (0, 0, size[0] / reach[0] * cells.width, size[1] / reach[1] * cells.height)
    return cells.resize(size, Image.Resampling.NEAREST, box)


def contrast(panel: Panel, boxes: NDArray[np.float64], region: Crop | None = None) -> float:
    """Return the mean of a map on objects divided by its mean elsewhere.

    Args:
        panel: a map ``[h, w]``.
        boxes: ``[N, 4]``, x1 y1 x2 y2 in pixels of the image; each counts with every cell it touches.
        region: where to look; everywhere if None.

    Returns:
        The quotient; NaN where the boxes cover nothing or everything.
    """
    on = np.zeros(panel.pixels.shape, dtype=bool)
    for box in boxes:
        on[panel.cells(box)] = True
    seen = ... if region is None else panel.cells(region.corners)
    values, on = panel.pixels[seen], on[seen]
    if on.all() or not on.any():
        return float("nan")
    return float(values[on].mean() / max(float(values[~on].mean()), 1e-12))


def _level_reach(
    size: tuple[float, float], seen: tuple[int, ...], level: tuple[int, ...]
) -> tuple[float, float]:
    """Tell how far a level's cells reach, in pixels of the image.

    They reach whole strides and so perhaps beyond the edge, unless the detector resized the image.
    """
    stride = 2.0 ** round(np.log2(seen[0] / level[0]))
    if all(cells - 1 < pixels / stride <= cells for cells, pixels in zip(level, seen, strict=True)):
        return level[1] * stride * size[0] / seen[1], level[0] * stride * size[1] / seen[0]
    return size


def frame(
    axis: "Axes", box: ArrayLike, colour: str, width: float, *, away: float = 0.0, **style: Any
) -> None:
    """Draw a frame around a box (x1 y1 x2 y2), ``away`` pixels of the image from it."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = np.asarray(box, dtype=float) + np.array((-away, -away, away, away))
    edges = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width, **style)
    axis.add_patch(edges)
