"""Colours that colour-blind readers can tell apart, and the typeface of all pictures."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import ImageFont

from srtod.support.errors import shown

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


_LONGEST = 300
"""Letters of a text that are drawn; names from files may have millions."""


class Typeface(ImageFont.FreeTypeFont):
    """A font that lends the letters it lacks from others of the machine, text by text.

    Where no font has a letter its number is written, so that no two names look alike.
    """

    def getmask2(self, text: str, *args: Any, **options: Any) -> Any:
        """Draw a text."""
        face, text = self._fitting(text)
        return super(Typeface, face).getmask2(text, *args, **options)

    def getbbox(self, text: str, *args: Any, **options: Any) -> Any:
        """Return the place that a text takes."""
        face, text = self._fitting(text)
        return super(Typeface, face).getbbox(text, *args, **options)

    def getlength(self, text: str, *args: Any, **options: Any) -> float:
        """Return the width of a text."""
        face, text = self._fitting(text)
        return super(Typeface, face).getlength(text, *args, **options)

    def _fitting(self, text: str) -> "tuple[Typeface, str]":
        text = shown(text[:_LONGEST])
        letters = set(map(ord, text))
        here = str(self.path)
        path = next((own for own in (here, *_others()) if letters <= _letters(own)), None)
        if path is not None:
            return (self if path == here else _typeface(path, int(self.size))), text
        own = _letters(here)
        return self, "".join(letter if ord(letter) in own else f"\\u{ord(letter):04x}" for letter in text)


def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib ships, ``size`` pixels high."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return _typeface(f"{get_data_path()}/fonts/ttf/{name}", size)


@cache
def _typeface(path: str, size: int) -> Typeface:
    return Typeface(path, size)


@cache
def _others() -> tuple[str, ...]:
    """Font files with further letters: that of the extra ``fonts``, and those of the system."""
    from matplotlib.font_manager import findSystemFonts

    extra = find_spec("noto_cjk_sans_jp_regular")
    folders = () if extra is None else extra.submodule_search_locations or ()
    return tuple(str(path) for folder in folders for path in Path(folder).glob("*.otf")) + tuple(
        sorted(findSystemFonts())
    )


@cache
def _letters(path: str) -> frozenset[int]:
    """The letters that a font has, by their numbers; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
