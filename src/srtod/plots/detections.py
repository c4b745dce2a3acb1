"""Detections on their image, with insets that enlarge where the tiny objects are; and on a video's frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srtod.plots.crops import Crop, choose_crops
from srtod.plots.marks import LegendEntry, draw_legend, join
from srtod.plots.palette import FAINT, TRUTH
from srtod.plots.scene import LONGEST_VIEW, Scene

NARROWEST = 480
"""Pictures are at least this wide, so that the legend can be read."""
FEW = 12
"""Up to so many detections carry their scores in the whole image, too."""


def draw_detections(scene: Scene, *, min_score: float = 0.0, insets: int = 6, title: str = "") -> Image.Image:
    """Draw what a detector found, legible for objects of a few pixels in images of any size.

    Frames are thin and keep a pixel away from the object. A strip beside or below the image enlarges the
    places that show the most objects; it never covers the image. Scores stand in the insets, and in the whole
    image only where there are few.

    Args:
        scene: the image and what is drawn on it.
        min_score: detections below are counted in the legend and not drawn.
        insets: at most so many insets.
        title: stands above the picture, for instance the file name.

    Returns:
        An RGB picture.
    """
    shown = scene.above(min_score)
    longest = max(shown.pixels.size)
    scale = LONGEST_VIEW / longest if longest > LONGEST_VIEW else min(20, max(1, round(1280 / longest)))
    width, height = (max(1, round(side * scale)) for side in shown.pixels.size)
    unit, below = max(1.0, max(width, height) / 1400), width > 1.2 * height
    gap = round(10 * unit)
    crops, side = _choose_insets(shown, scale, width if below else height, gap, most=insets)
    crops.sort(key=lambda crop: crop.x if below else crop.y)
    texts = shown.texts(f"{score:.2f}" for score in shown.scores)
    body, frames = shown.view(crops, scale, unit)
    if len(frames) <= FEW:
        shown.write(ImageDraw.Draw(body), frames, texts, size=round(14 * unit))
    if crops:
        strip = join(shown.insets(crops, side, texts, unit=unit), gap=gap, down=not below)
        body = join([body, strip], gap=gap, down=below)
    facts = ["{} x {} px".format(*shown.pixels.size)]
    if scale < 1:
        facts.append(f"shown {1 / scale:.1f} times smaller")
    if crops:
        facts.append(f"insets enlarged {side // crops[0].side} times")
    if hidden := len(scene.scores) - len(shown.scores):
        facts.append(f"{hidden} more below score {min_score:g} not drawn")
    note, entries = " · ".join(facts), _legend(shown)
    legend = draw_legend(max(body.width, NARROWEST), title=title, note=note, entries=entries, unit=unit)
    return join([legend, body], down=True)


def draw_frame(
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    texts: Sequence[str],
) -> NDArray[np.uint8]:
    """Draw thin frames around objects on a video's frame, and a short text beside each where there is room.

    Args:
        pixels: uint8 ``[H, W, 3]``, RGB.
        boxes: ``[M, 4]``, x1 y1 x2 y2, best first.
        labels: ``[M]``, counted from 0; they choose the colours.
        texts: M texts; ``""`` for none.

    Returns:
        A frame of the same size.
    """
    scene = Scene(pixels, boxes, np.zeros(len(boxes)), labels, ())
    unit = max(1, round(max(scene.pixels.size) / 1400))
    picture, frames = scene.mark(Image.fromarray(pixels), (0, 0), 1.0, width=unit)
    scene.write(ImageDraw.Draw(picture), frames, texts, size=13 * unit)
    return np.asarray(picture)


def _choose_insets(scene: Scene, scale: float, along: int, gap: int, *, most: int) -> tuple[list[Crop], int]:
    """Choose what the insets show, and their side in a strip ``along`` pixels long, with gaps between."""
    candidates = np.concatenate((scene.boxes, scene.truth))
    weights = np.concatenate((scene.scores, np.ones(len(scene.truth))))
    sides = (candidates[:, 2:] - candidates[:, :2]).max(axis=1, initial=0)
    small = sides * scale < 64
    if not small.any() or scale >= 6:
        return [], 0
    count = int(np.clip(round(along / 330), 1, most)) if most else 0
    room = min(along, 420 if count == 1 else (along + gap) // max(count, 1) - gap)
    zoom = _zoom(float(np.median(sides[small])), room)
    crops = choose_crops(
        candidates[small],
        weights[small],
        side=max(1, room // zoom),
        count=count,
        size=scene.pixels.size,
    )
    return crops, crops[0].side * zoom if crops else 0


def _zoom(side: float, room: int) -> int:
    """Enlarge an object of ``side`` pixels to a sixth of the inset: 6 to 10 times where it is tiny."""
    wanted = round(room / 6 / max(side, 1))
    return int(np.clip(wanted, 6, 10) if side <= 32 else np.clip(wanted, 2, 6))


def _legend(scene: Scene) -> list[LegendEntry]:
    counts = np.bincount(scene.labels, minlength=len(scene.classes)).tolist()
    entries = [
        LegendEntry.of_class(label, name, count)
        for label, (name, count) in enumerate(zip(scene.classes, counts, strict=True))
        if count
    ]
    entries = entries or [LegendEntry("nothing found", FAINT)]
    if len(scene.truth):
        entries.append(LegendEntry(f"ground truth {len(scene.truth):,}", TRUTH, corners=True))
    if len(scene.ignore):
        entries.append(LegendEntry(f"ignored region {len(scene.ignore):,}", FAINT, hatched=True))
    return entries
