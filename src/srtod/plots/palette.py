"""Colours that colour-blind readers can tell apart, and the typeface of all pictures."""

from functools import cache

from PIL import ImageFont

RGB = tuple[int, int, int]

OKABE_ITO: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 158, 115),
    (0, 114, 178),
)
"""Okabe and Ito's palette (https://jfly.uni-koeln.de/color/) without black, the brightest first."""

TRUTH: RGB = (255, 255, 255)
PAPER: RGB = (18, 20, 24)
INK: RGB = (236, 238, 242)
FAINT: RGB = (150, 156, 166)


def class_colour(label: int) -> RGB:
    """Return the colour of a class; it repeats every seven classes, see :func:`has_corners`."""
    return OKABE_ITO[label % len(OKABE_ITO)]


def has_corners(label: int) -> bool:
    """Tell whether boxes of this class are drawn as corners only, so that 14 classes stay distinct."""
    return label // len(OKABE_ITO) % 2 == 1


def lighter(colour: RGB) -> RGB:
    """Return the colour mixed half and half with white, for letters with a dark rim."""
    red, green, blue = ((part + 255) // 2 for part in colour)
    return red, green, blue


def hex_colour(colour: RGB) -> str:
    """Return ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which travels with matplotlib, ``size`` pixels high."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}", size)
