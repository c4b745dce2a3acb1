"""One picture of a data set: images with what is marked in them, and their tiniest objects enlarged."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srtod.data.images import read_image
from srtod.data.inspection import Statistics, object_sizes
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.plots.crops import Crop, choose_crops
from srtod.plots.legend import Entry, draw_legend
from srtod.plots.marks import Labels, hatch, outline
from srtod.plots.palette import FAINT, INK, PAPER, TRUTH, class_colour, font, has_corners, lighter
from srtod.support.errors import InputError
from srtod.support.files import atomic_file

COLUMNS = 4
TILE = 464
"""Width of an image on the sheet, in pixels of the sheet."""
TILE_HEIGHT = 348
CROPS = 3
"""Enlarged crops under each image."""
_GAP = 12
_CAPTION = 24
_CROP = (TILE - (CROPS - 1) * 4) // CROPS
_SMALLEST_ZOOM, _LARGEST_ZOOM = 3, 16
_MOST_CLASSES = 14


def draw_sheet(annotated: AnnotatedSet, statistics: Statistics, *, images: int = 12) -> Image.Image:
    """Draw a mosaic of images spread evenly over a set, those with objects first.

    Frames keep a pixel away from their objects; regions to ignore are hatched. Under each image the crops
    that show the most of its tiny objects are enlarged by a whole factor, so every pixel is a square.

    Args:
        annotated: the set.
        statistics: its numbers, for the line above.
        images: at most so many.

    Returns:
        An RGB picture about 1,900 pixels wide.
    """
    chosen = _choose(annotated.records, images)
    tiles = [_draw_tile(record, pixels, annotated.classes) for record, pixels in chosen]
    columns = min(COLUMNS, max(len(tiles), 1))
    width = max(columns * (TILE + _GAP) + _GAP, 2 * TILE)
    legend = draw_legend(
        width,
        title=str(annotated.source),
        note=_note(statistics, len(tiles)),
        entries=_entries(annotated, statistics),
        unit=1.0,
    )
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) + _GAP for row in rows]
    sheet = Image.new("RGB", (width, legend.height + sum(heights)), PAPER)
    sheet.paste(legend, (0, 0))
    top = legend.height
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (TILE + _GAP), top))
        top += height
    return sheet


def write_sheets(inspected: Iterable[tuple[AnnotatedSet, Statistics]], folder: Path) -> list[Path]:
    """Write a sheet a split, ``sheet-<split>.png``, and return the files.

    Raises:
        InputError: the folder cannot be written to.
    """
    paths = []
    for annotated, statistics in inspected:
        path = folder / f"sheet-{annotated.split or annotated.format}.png"
        with atomic_file(path) as scratch:
            draw_sheet(annotated, statistics).save(scratch)
        paths.append(path)
    return paths


def _choose(records: Sequence[ImageRecord], count: int) -> list[tuple[ImageRecord, NDArray[np.uint8]]]:
    """Images spread over the set; ones that cannot be read are faults already and are passed over."""
    marked = [record for record in records if not record.ignore.all()] or list(records)
    chosen = []
    for index in np.unique(np.linspace(0, len(marked) - 1, min(count, len(marked))).round().astype(int)):
        record = marked[index]
        try:
            chosen.append((record, read_image(record.path, (record.width, record.height))))
        except InputError:
            continue
    return chosen


def _draw_tile(record: ImageRecord, pixels: NDArray[np.uint8], classes: Sequence[str]) -> Image.Image:
    """Draw the image, its caption and a strip of crops."""
    scale = min(TILE / record.width, TILE_HEIGHT / record.height)
    size = (max(1, round(record.width * scale)), max(1, round(record.height * scale)))
    crops = _choose_crops(record)
    view = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    view = _mark(view, record, (0, 0), scale)
    draw = ImageDraw.Draw(view)
    tags = Labels(draw, font(13, bold=True))
    for name, crop in crops:
        rect = outline(draw, [edge * scale for edge in crop.corners], TRUTH, gap=0, width=1)
        tags.write(name, rect, force=True)
    strip = _draw_strip(record, pixels, crops, classes)
    tile = Image.new("RGB", (TILE, _CAPTION + TILE_HEIGHT + (strip.height + 4 if strip else 0)), PAPER)
    _write_caption(ImageDraw.Draw(tile), record)
    tile.paste(view, ((TILE - size[0]) // 2, _CAPTION + (TILE_HEIGHT - size[1]) // 2))
    if strip:
        tile.paste(strip, (0, _CAPTION + TILE_HEIGHT + 4))
    return tile


def _choose_crops(record: ImageRecord) -> list[tuple[str, Crop]]:
    """Places that show most of the tinier half of the objects, from left to right, each with its letter."""
    objects = record.boxes[~record.ignore]
    if len(objects) == 0:
        return []
    sizes = object_sizes(objects)
    tiny = sizes <= np.median(sizes)
    longest = (objects[tiny, 2:] - objects[tiny, :2]).max(axis=1)
    wanted = _CROP / 4.5 / max(float(np.median(longest)), 1.0)
    zoom = int(np.clip(wanted, _SMALLEST_ZOOM, _LARGEST_ZOOM))
    crops = choose_crops(
        objects,
        np.where(tiny, 1.0, 0.05),
        side=max(1, _CROP // zoom),
        count=CROPS,
        size=(record.width, record.height),
    )
    return [(chr(ord("A") + index), crop) for index, crop in enumerate(sorted(crops, key=lambda c: c.x))]


def _draw_strip(
    record: ImageRecord, pixels: NDArray[np.uint8], crops: list[tuple[str, Crop]], classes: Sequence[str]
) -> Image.Image | None:
    if not crops:
        return None
    strip = Image.new("RGB", (TILE, _CROP), PAPER)
    for index, (name, crop) in enumerate(crops):
        strip.paste(_draw_crop(record, pixels, crop, name, classes), (index * (_CROP + 4), 0))
    return strip


def _draw_crop(
    record: ImageRecord, pixels: NDArray[np.uint8], crop: Crop, name: str, classes: Sequence[str]
) -> Image.Image:
    """Enlarge a crop so that its pixels are squares, and write class and size beside its objects."""
    zoom = max(1, _CROP // crop.side)
    side = crop.side * zoom
    picture = Image.fromarray(pixels).crop(crop.corners).resize((side, side), Image.Resampling.NEAREST)
    picture = _mark(picture, record, (crop.x, crop.y), zoom)
    draw = ImageDraw.Draw(picture)
    shown = np.flatnonzero(crop.touches(record.boxes) & ~record.ignore)
    frames = (record.boxes[shown] - np.tile((crop.x, crop.y), 2)) * zoom + (-2, -2, 2, 2)
    rects = [(int(left), int(top), int(right), int(bottom)) for left, top, right, bottom in frames]
    labels = Labels(draw, font(11), taken=[(0, 0, 18, 18), *rects])
    for index, rect, size in zip(shown, rects, object_sizes(record.boxes[shown]), strict=True):
        label = int(record.labels[index])
        kind = f"{classes[label]} " if len(classes) > 1 else ""
        labels.write(f"{kind}{size:.1f}", rect, lighter(class_colour(label)))
    draw.rectangle((0, 0, 17, 17), fill=PAPER)
    draw.text((9, 9), name, font=font(13, bold=True), fill=INK, anchor="mm")
    return picture


def _mark(picture: Image.Image, record: ImageRecord, origin: tuple[int, int], zoom: float) -> Image.Image:
    """Draw what is marked in a part of an image onto that part."""
    boxes = (record.boxes - np.tile(origin, 2)) * zoom
    picture = hatch(picture, boxes[record.ignore])
    draw, inside = ImageDraw.Draw(picture), Crop(0, 0, max(picture.size))
    for index in np.flatnonzero(inside.touches(boxes) & ~record.ignore):
        label = int(record.labels[index])
        outline(draw, boxes[index], class_colour(label), gap=1, width=1, corners=has_corners(label))
    return picture


def _write_caption(draw: ImageDraw.ImageDraw, record: ImageRecord) -> None:
    objects = int(np.count_nonzero(~record.ignore))
    facts = f"{record.width} x {record.height}, {objects} {'object' if objects == 1 else 'objects'}"
    room = TILE - font(13).getlength(facts) - 16
    name = record.file_name
    while font(13, bold=True).getlength(name) > room:
        name = f"\u2026{name[2:]}"
    draw.text((0, _CAPTION / 2), name, font=font(13, bold=True), fill=INK, anchor="lm")
    draw.text((TILE, _CAPTION / 2), facts, font=font(13), fill=FAINT, anchor="rm")


def _note(statistics: Statistics, shown: int) -> str:
    bins = ", ".join(f"{name} px {count:,}" for name, count in statistics.size_bins.items() if count)
    mean = f", mean {statistics.mean_size:.1f} px" if statistics.mean_size is not None else ""
    faults = f" {len(statistics.faults):,} faults." if statistics.faults else ""
    return (
        f"{shown} of {statistics.images:,} images; {statistics.objects:,} objects{mean} (square root of the "
        f"area): {bins or 'none'}.{faults} Below each image, places A to C enlarged, with sizes in pixels."
    )


def _entries(annotated: AnnotatedSet, statistics: Statistics) -> list[Entry]:
    classes = list(annotated.classes[:_MOST_CLASSES])
    entries = [
        Entry(f"{name} {statistics.classes[name]['objects']:,}", class_colour(label), has_corners(label))
        for label, name in enumerate(classes)
    ]
    if len(annotated.classes) > _MOST_CLASSES:
        entries.append(Entry(f"and {len(annotated.classes) - _MOST_CLASSES} more classes", TRUTH))
    if statistics.regions_to_ignore:
        entries.append(Entry(f"ignored {statistics.regions_to_ignore:,}", TRUTH, hatched=True))
    return entries
