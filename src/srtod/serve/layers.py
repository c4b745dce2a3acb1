"""The maps of self-reconstruction as small pictures that a page lays over the image."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.plots.panels import MASK_COLOUR, Panel, panels_of
from srtod.serve.schema import Layer

TEXTS = {
    "difference": ("Difference", "Where the rebuilt image departs from the input: |reconstruction - input|."),
    "mask": ("Mask", "Where self-reconstruction sees objects, or enhances the finest level."),
    "p2_before": ("Heat before", "Mean |activation| of the finest level, before any enhancement."),
    "p2_after": ("Heat after", "Mean |activation| of the finest level after it, in the same colours."),
    "reconstruction": ("Rebuilt", "The image as rebuilt from the finest level."),
}
"""Title and sentence of each layer, in the order of the page."""

_STOPS = 9
_FULL_AT = 160
"""Index of the palette from which on a layer hides the image; below, it lets the image through."""


def layers_of(image: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]]) -> list[Layer]:
    """Return difference, mask, level before and after, and reconstruction.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        maps: what a detector's ``explain`` returns, as arrays.
    """
    panels = {panel.name: panel for panel in panels_of(image, maps)}
    mask = maps["mask"][0].clip(0, 1)
    panels["mask"] = Panel("mask", "", mask, panels["p2_after"].reach)
    return [_layer(panels[name]) for name in TEXTS]


def png(picture: Image.Image) -> bytes:
    """Return the picture as PNG, quickly rather than smallest."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _layer(panel: Panel) -> Layer:
    title, text = TEXTS[panel.name]
    if panel.name == "mask":
        text += f" It covers {(panel.pixels >= 0.5).mean():.1%} of the image."
    picture, colours = _picture(panel)
    return Layer(
        name=panel.name,
        title=title,
        text=text,
        url=f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}",
        reach=panel.reach,
        limits=panel.limits,
        colours=colours,
    )


def _picture(panel: Panel) -> tuple[Image.Image, list[str]]:
    """The panel's own cells as a picture, and the colours of its scale from low to high."""
    if panel.pixels.ndim == 3:
        return Image.fromarray((panel.pixels * 255).round().astype(np.uint8)), []
    low, high = panel.limits
    steps = ((panel.pixels - low) / max(high - low, 1e-12)).clip(0, 1) * 255
    palette = _palette(panel)
    picture = Image.fromarray(steps.round().astype(np.uint8), mode="P")
    picture.putpalette(palette.tobytes(), "RGBA")
    stops = palette[np.linspace(0, 255, _STOPS).round().astype(int), :3]
    return picture, [f"#{stop.tobytes().hex()}" for stop in stops]


def _palette(panel: Panel) -> NDArray[np.uint8]:
    """256 colours with their opacities ``[256, 4]``: low values let the image through."""
    from matplotlib import colormaps

    steps = np.arange(256)
    if not panel.colours:
        return np.column_stack((np.tile(MASK_COLOUR * 255, (256, 1)), steps)).astype(np.uint8)
    colours = (colormaps[panel.colours](steps)[:, :3] * 255).round()
    return np.column_stack((colours, (steps / _FULL_AT * 255).clip(0, 255))).astype(np.uint8)
