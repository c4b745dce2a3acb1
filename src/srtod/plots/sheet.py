"""One picture of a data set: images with what is marked in them, and their tiniest objects enlarged."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from srtod.data.inspection import Statistics, object_sizes
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.plots.crops import Crop, choose_crops
from srtod.plots.marks import LegendEntry, draw_legend, join, shorten
from srtod.plots.palette import FAINT, INK, PAPER, TRUTH, font
from srtod.plots.scene import Scene
from srtod.support.errors import InputError
from srtod.support.files import atomic_file, require_free

COLUMNS = 4
TILE = 464
"""Width of an image on the sheet, in pixels of the sheet."""
TILE_HEIGHT = 348
CROPS = 3
"""Enlarged crops under each image."""
_GAP = 12
_CAPTION = 24
_CROP = (TILE - (CROPS - 1) * 4) // CROPS
"""Side of the room for a crop, which is enlarged by a whole factor."""
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
        entries=_legend(annotated, statistics),
        unit=1.0,
    )
    rows = [
        join(tiles[start : start + columns], gap=_GAP, down=False) for start in range(0, len(tiles), columns)
    ]
    return join([legend, *(ImageOps.expand(row, (_GAP, 0, 0, _GAP), PAPER) for row in rows)], down=True)


def write_sheets(
    inspected: Iterable[tuple[AnnotatedSet, Statistics]], folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write a sheet a split, ``sheet-<split>.png``, and return the files.

    Raises:
        InputError: a sheet is there, and ``overwrite`` does not allow to replace it, or the folder cannot be
            written to.
    """
    paths = []
    for annotated, statistics in inspected:
        path = folder / f"sheet-{annotated.split or annotated.format}.png"
        require_free(path, overwrite=overwrite)
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
            chosen.append((record, record.read()))
        except InputError:
            continue
    return chosen


def _draw_tile(record: ImageRecord, pixels: NDArray[np.uint8], classes: Sequence[str]) -> Image.Image:
    """Draw a caption, the image, and a strip of crops with class and size beside their objects."""
    objects = record.boxes[~record.ignore]
    scene = Scene(
        pixels,
        objects,
        np.ones(len(objects)),
        record.labels[~record.ignore],
        classes,
        ignore=record.boxes[record.ignore],
    )
    sizes, crops = object_sizes(objects), _choose_crops(record)
    view, _ = scene.view(crops, min(TILE / record.width, TILE_HEIGHT / record.height), 1.0)
    tile = Image.new("RGB", (TILE, _CAPTION + TILE_HEIGHT), PAPER)
    _write_caption(ImageDraw.Draw(tile), record, len(objects))
    tile.paste(view, ((TILE - view.width) // 2, _CAPTION + (TILE_HEIGHT - view.height) // 2))
    if not crops:
        return tile
    side = crops[0].side * max(1, _CROP // crops[0].side)
    insets = scene.insets(crops, side, scene.texts(f"{size:.1f}" for size in sizes), unit=1.0, sharp=True)
    return join([tile, join(insets, gap=_CROP + 4 - side, down=False)], gap=4, down=True)


def _choose_crops(record: ImageRecord) -> list[Crop]:
    """Places that show most of the tinier half of the objects, from left to right."""
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
    return sorted(crops, key=lambda crop: crop.x)


def _write_caption(draw: ImageDraw.ImageDraw, record: ImageRecord, objects: int) -> None:
    facts = f"{record.width} x {record.height}, {objects} {'object' if objects == 1 else 'objects'}"
    bold = font(13, bold=True)
    name = shorten(record.file_name, TILE - font(13).getlength(facts) - 16, bold)
    draw.text((0, _CAPTION / 2), name, font=bold, fill=INK, anchor="lm")
    draw.text((TILE, _CAPTION / 2), facts, font=font(13), fill=FAINT, anchor="rm")


def _note(statistics: Statistics, shown: int) -> str:
    bins = ", ".join(f"{name} px {count:,}" for name, count in statistics.size_bins.items() if count)
    mean = f", mean {statistics.mean_size:.1f} px" if statistics.mean_size is not None else ""
    faults = f" {len(statistics.faults):,} faults." if statistics.faults else ""
    return (
        f"{shown} of {statistics.images:,} images; {statistics.objects:,} objects{mean} (square root of the "
        f"area): {bins or 'none'}.{faults} Below each image, places A to C enlarged, with sizes in pixels."
    )


def _legend(annotated: AnnotatedSet, statistics: Statistics) -> list[LegendEntry]:
    entries = [
        LegendEntry.of_class(label, name, int(statistics.classes[name]["objects"] or 0))
        for label, name in enumerate(annotated.classes[:_MOST_CLASSES])
    ]
    if len(annotated.classes) > _MOST_CLASSES:
        entries.append(LegendEntry(f"and {len(annotated.classes) - _MOST_CLASSES} more classes", TRUTH))
    if statistics.regions_to_ignore:
        entries.append(LegendEntry(f"ignored {statistics.regions_to_ignore:,}", TRUTH, hatched=True))
    return entries
