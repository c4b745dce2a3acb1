"""Boxes, hatching and text on a picture, drawn so that tiny objects stay visible, and their legend."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from srtod.plots.palette import FAINT, INK, PAPER, RGB, class_colour, font, has_corners

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
    """Draw a frame of ``width`` pixels around ``box`` (x1 y1 x2 y2), or its four corners only.

    A gap of so many pixels stays free, so that the line does not hide a tiny object. Returns the frame's
    outer edges, clipped to the picture.
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
    """Writes short texts beside boxes where they hide neither one another nor the places ``taken``."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, typeface: ImageFont.FreeTypeFont, taken: Iterable[Rect] = ()
    ) -> None:
        self._draw, self._typeface = draw, typeface
        self._taken = np.array(list(taken), dtype=np.int64).reshape(-1, 4)

    def write(self, text: str, rect: Rect, colour: RGB = INK, *, force: bool = False) -> bool:
        """Write a line above, below, right or left of ``rect``; return False where no place is free.

        ``force`` writes it above (or where it fits best) even if something is hidden.
        """
        places = list(self._places(text, rect))
        free = [place for place in places if not self._hit(place)]
        chosen = (free or places if force else free)[:1]
        for place in chosen:
            self._taken = np.vstack((self._taken, place))
            start = (place[0] + 2, place[1] + 2)
            self._draw.text(
                start, text, font=self._typeface, fill=colour, stroke_width=2, stroke_fill=(0, 0, 0)
            )
        return bool(chosen)

    def _places(self, text: str, rect: Rect) -> Iterable[Rect]:
        """Yield the places beside ``rect`` that lie inside of the picture."""
        x1, y1, x2, y2 = rect
        left, _, right, bottom = self._draw.textbbox((0, 0), text, font=self._typeface)
        width, height = int(right - left) + 4, int(bottom) + 4
        above, below = y1 - height - 1, y2 + 2
        middle = (y1 + y2 - height) // 2
        starts = ((x1, above), (x1, below), (x2 - width, above), (x2 - width, below))
        most_x, most_y = self._draw.im.size[0] - width, self._draw.im.size[1] - height
        for x, y in (*starts, (x2 + 2, middle), (x1 - width - 2, middle)):
            if 0 <= x <= most_x and 0 <= y <= most_y:
                yield x, y, x + width, y + height

    def _hit(self, place: Rect) -> bool:
        left, top, right, bottom = self._taken.T
        hit = (left < place[2]) & (right >= place[0]) & (top < place[3]) & (bottom >= place[1])
        return bool(hit.any())


def write_letter(draw: ImageDraw.ImageDraw, letter: str, size: int) -> Rect:
    """Write the letter of an inset into its corner; return the place that it takes."""
    rect = (0, 0, round(1.5 * size), round(1.5 * size))
    draw.rectangle(rect, fill=PAPER)
    draw.text((0.75 * size, 0.75 * size), letter, font=font(size, bold=True), fill=INK, anchor="mm")
    return rect


def join(pictures: Sequence[Image.Image], *, gap: int = 0, down: bool) -> Image.Image:
    """Put pictures below one another, or else side by side, with a gap of so many pixels."""
    along = [picture.height if down else picture.width for picture in pictures]
    across = max(picture.width if down else picture.height for picture in pictures)
    length = sum(along) + gap * (len(pictures) - 1)
    joined = Image.new("RGB", (across, length) if down else (length, across), PAPER)
    for index, picture in enumerate(pictures):
        start = sum(along[:index]) + gap * index
        joined.paste(picture, (0, start) if down else (start, 0))
    return joined


def shorten(text: str, width: float, typeface: ImageFont.FreeTypeFont) -> str:
    """Return the text, without its middle where it is wider than ``width`` pixels."""
    if typeface.getlength(text) <= width:
        return text
    kept = max(2, int(len(text) * width / typeface.getlength(text)) - 2)
    return f"{text[: kept // 2]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - kept // 2 :]}"


@dataclass(frozen=True)
class LegendEntry:
    """One kind of frame: its colour, whether it has corners only or is hatched, and what it stands for."""

    text: str
    colour: RGB
    corners: bool = False
    hatched: bool = False

    @classmethod
    def of_class(cls, label: int, name: str, count: int) -> "LegendEntry":
        """Return the entry of a class with so many objects."""
        return cls(f"{name} {count:,}", class_colour(label), has_corners(label))


def draw_legend(
    width: int, *, title: str, note: str, entries: Sequence[LegendEntry], unit: float
) -> Image.Image:
    """Draw title, entries and, fainter, a note on a strip ``width`` pixels wide, as high as they need.

    The title is shortened in the middle where it is too long. ``unit`` is the size of everything relative to
    a picture 1400 pixels wide.
    """
    pad, size = round(12 * unit), round(17 * unit)
    step, plain, bold = round(size * 1.75), font(size), font(size, bold=True)
    title = shorten(title, width - 2 * pad, bold)
    row, x = 0, pad + (int(bold.getlength(title)) + 2 * size if title else 0)
    places = []
    for entry in entries:
        needed = int(plain.getlength(entry.text)) + 2 * size
        if x + needed > width - pad and x > pad:
            row, x = row + 1, pad
        places.append((x, pad + row * step))
        x += needed + size
    notes = textwrap.wrap(note, max(1, int((width - 2 * pad) / plain.getlength("n"))))
    strip = Image.new("RGB", (width, 2 * pad + step * (row + 1 + len(notes)) - (step - size)), PAPER)
    draw = ImageDraw.Draw(strip)
    draw.text((pad, pad), title, font=bold, fill=INK)
    for entry, place in zip(entries, places, strict=True):
        _draw_entry(draw, entry, *place, size)
    for index, line in enumerate(notes, start=row + 1):
        draw.text((pad, pad + index * step), line, font=plain, fill=FAINT)
    return strip


def _draw_entry(draw: ImageDraw.ImageDraw, entry: LegendEntry, x: int, y: int, size: int) -> None:
    swatch = (x + 2, y + 3, x + size, y + size + 1)
    if entry.hatched:
        draw.rectangle(swatch, fill=(90, 90, 90))
        draw.line((swatch[0], swatch[3], swatch[2], swatch[1]), fill=(200, 200, 200), width=2)
    else:
        outline(draw, swatch, entry.colour, gap=0, width=max(2, size // 7), corners=entry.corners)
    draw.text((x + round(size * 1.5), y), entry.text, font=font(size), fill=INK)
