"""The lines above a picture: what it is, and what each kind of frame means."""

from dataclasses import dataclass

from PIL import Image, ImageDraw

from srtod.plots.marks import outline
from srtod.plots.palette import FAINT, INK, PAPER, RGB, font


@dataclass(frozen=True)
class Entry:
    """One kind of frame: its colour, whether it has corners only, and what it stands for."""

    text: str
    colour: RGB
    corners: bool = False
    hatched: bool = False


def draw_legend(width: int, *, title: str, note: str, entries: list[Entry], unit: float) -> Image.Image:
    """Draw title, note and entries on a strip ``width`` pixels wide, as high as they need.

    Args:
        width: pixels.
        title: what the picture shows; shortened in the middle where it is too long.
        note: a fainter text under the entries; ``""`` for none.
        entries: the kinds of frames; they wrap onto further lines.
        unit: size of everything relative to a picture 1400 pixels wide.
    """
    pad, size = round(12 * unit), round(17 * unit)
    step, plain, bold = round(size * 1.75), font(size), font(size, bold=True)
    places, row, x = [], 0, pad
    if title:
        title = _shorten(title, width - 2 * pad, size)
        x += int(bold.getlength(title)) + 2 * size
    for entry in entries:
        needed = int(plain.getlength(entry.text)) + 2 * size
        if x + needed > width - pad and x > pad:
            row, x = row + 1, pad
        places.append((x, row))
        x += needed + size
    notes = _wrap(note, width - 2 * pad, size)
    strip = Image.new("RGB", (width, 2 * pad + step * (row + 1 + len(notes)) - (step - size)), PAPER)
    draw = ImageDraw.Draw(strip)
    draw.text((pad, pad), title, font=bold, fill=INK)
    for entry, (left, line) in zip(entries, places, strict=True):
        _draw_entry(draw, entry, left, pad + line * step, size)
    for index, line in enumerate(notes, start=row + 1):
        draw.text((pad, pad + index * step), line, font=plain, fill=FAINT)
    return strip


def _draw_entry(draw: ImageDraw.ImageDraw, entry: Entry, x: int, y: int, size: int) -> None:
    swatch = (x + 2, y + 3, x + size, y + size + 1)
    if entry.hatched:
        draw.rectangle(swatch, fill=(90, 90, 90))
        draw.line((swatch[0], swatch[3], swatch[2], swatch[1]), fill=(200, 200, 200), width=2)
    else:
        outline(draw, swatch, entry.colour, gap=0, width=max(2, size // 7), corners=entry.corners)
    draw.text((x + round(size * 1.5), y), entry.text, font=font(size), fill=INK)


def _shorten(text: str, width: int, size: int) -> str:
    bold = font(size, bold=True)
    if bold.getlength(text) <= width:
        return text
    kept = max(2, int(len(text) * width / bold.getlength(text)) - 2)
    return f"{text[: kept // 2]}…{text[len(text) - kept // 2 :]}"


def _wrap(text: str, width: int, size: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
