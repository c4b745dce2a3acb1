"""Detections on a frame of a video, at the frame's own size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srtod.plots.marks import Labels, outline
from srtod.plots.palette import class_colour, font, has_corners, lighter

MOST_TEXTS = 200
"""Beyond so many detections no text would find a place, and looking for it takes long."""


def draw_frame(
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    texts: Sequence[str],
) -> NDArray[np.uint8]:
    """Draw thin frames around objects, and a short text beside each where there is room.

    Args:
        pixels: uint8 ``[H, W, 3]``, RGB.
        boxes: ``[M, 4]``, x1 y1 x2 y2, best first.
        labels: ``[M]``, counted from 0; they choose the colours.
        texts: M texts; ``""`` for none.

    Returns:
        A frame of the same size.
    """
    picture = Image.fromarray(pixels)
    draw, unit = ImageDraw.Draw(picture), max(1, round(max(picture.size) / 1400))
    places = [
        outline(draw, box, class_colour(label), gap=1, width=unit, corners=has_corners(label))
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
    ]
    beside = Labels(draw, font(13 * unit), taken=places)
    for text, place, label in list(zip(texts, places, labels.tolist(), strict=True))[:MOST_TEXTS]:
        if text:
            beside.write(text, place, lighter(class_colour(label)))
    return np.asarray(picture)
