"""Boxes, hatching and text on a picture, drawn so that tiny objects stay visible."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from srtod.plots.palette import INK, RGB

Rect = tuple[int, int, int, int]


def outline(
    draw: ImageDraw.ImageDraw,
    box: Sequence[float],
    colour: RGB,
    *,
    gap: int,
    width: int,
    corners: bool = False,
) -> Rect:
    """Draw a frame of ``width`` pixels around ``box``, ``gap`` pixels away from it.

    Args:
        draw: the picture.
        box: x1 y1 x2 y2 in pixels of the picture.
        colour: colour of the line.
        gap: pixels left free between object and line, so that the line does not hide a tiny object.
        width: thickness of the line in pixels.
        corners: draw the four corners only.

    Returns:
        The frame's outer edges, clipped to the picture.
    """
    right, bottom = draw.im.size[0] - 1, draw.im.size[1] - 1
    away = gap + width
    rect = (
        max(int(np.floor(box[0])) - away, 0),
        max(int(np.floor(box[1])) - away, 0),
        min(int(np.ceil(box[2])) - 1 + away, right),
        min(int(np.ceil(box[3])) - 1 + away, bottom),
    )
    if rect[2] < rect[0] or rect[3] < rect[1]:
        return rect
    if corners:
        _corners(draw, rect, colour, width)
    else:
        draw.rectangle(rect, outline=colour, width=width)
    return rect


def _corners(draw: ImageDraw.ImageDraw, rect: Rect, colour: RGB, width: int) -> None:
    x1, y1, x2, y2 = rect
    arm = max(2 * width, min(x2 - x1, y2 - y1) // 4)
    for x, inward_x in ((x1, 1), (x2, -1)):
        for y, inward_y in ((y1, 1), (y2, -1)):
            for along, across in ((arm, width), (width, arm)):
                ends_x = sorted((x, x + inward_x * (along - 1)))
                ends_y = sorted((y, y + inward_y * (across - 1)))
                draw.rectangle((ends_x[0], ends_y[0], ends_x[1], ends_y[1]), fill=colour)


def hatch(picture: Image.Image, boxes: NDArray[np.float64], *, step: int = 10) -> Image.Image:
    """Dim and hatch regions ``[N, 4]`` (pixels of the picture) that are neither object nor background."""
    if len(boxes) == 0:
        return picture
    pixels = np.asarray(picture).copy()
    for x1, y1, x2, y2 in boxes.round().astype(int).clip(min=0):
        region = pixels[y1:y2, x1:x2]
        rows, columns = np.indices(region.shape[:2], sparse=True)
        lines = (rows + columns + x1 + y1) % step < max(1, step // 8)
        region[:] = np.where(lines[..., None], region * 0.5 + 110, region * 0.6).astype(np.uint8)
    return Image.fromarray(pixels)


class Labels:
    """Writes short texts beside boxes where they hide neither boxes nor one another.

    Args:
        draw: the picture.
        typeface: the font.
        taken: places to keep free, left top right bottom.
    """

    def __init__(
        self, draw: ImageDraw.ImageDraw, typeface: ImageFont.FreeTypeFont, taken: Iterable[Rect] = ()
    ) -> None:
        self._draw, self._typeface = draw, typeface
        self._taken = [np.array(rect) for rect in taken]

    def write(self, text: str, rect: Rect, colour: RGB = INK, *, force: bool = False) -> bool:
        """Write ``text`` above, below, right or left of ``rect``; return False where no place is free.

        Args:
            text: one line.
            rect: the thing it belongs to, left top right bottom.
            colour: of the letters; their rim is black.
            force: write it above (or where it fits best) even if something is hidden.
        """
        places = [place for place in self._places(text, rect) if self._inside(place)]
        free = [place for place in places if not self._hit(place)]
        chosen = (free or places if force else free)[:1]
        for place in chosen:
            self._taken.append(np.array(place))
            self._draw.text(
                (place[0] + 2, place[1] + 2),
                text,
                font=self._typeface,
                fill=colour,
                stroke_width=2,
                stroke_fill=(0, 0, 0),
            )
        return bool(chosen)

    def _places(self, text: str, rect: Rect) -> Iterable[Rect]:
        x1, y1, x2, y2 = rect
        left, _, right, bottom = self._draw.textbbox((0, 0), text, font=self._typeface)
        width, height = int(right - left) + 4, int(bottom) + 4
        above, below = y1 - height - 1, y2 + 2
        middle = (y1 + y2 - height) // 2
        starts = ((x1, above), (x1, below), (x2 - width, above), (x2 - width, below))
        for x, y in (*starts, (x2 + 2, middle), (x1 - width - 2, middle)):
            yield x, y, x + width, y + height

    def _inside(self, place: Rect) -> bool:
        width, height = self._draw.im.size
        return place[0] >= 0 and place[1] >= 0 and place[2] <= width and place[3] <= height

    def _hit(self, place: Rect) -> bool:
        if not self._taken:
            return False
        taken = np.stack(self._taken)
        return bool(
            (
                (taken[:, 0] < place[2])
                & (taken[:, 2] >= place[0])
                & (taken[:, 1] < place[3])
                & (taken[:, 3] >= place[1])
            ).any()
        )
