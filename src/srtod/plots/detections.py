"""Detections on their image, with insets that enlarge where the tiny objects are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from srtod.data.pixels import LoadedPixels, Pixels, Window
from srtod.plots.crops import Crop, choose_crops
from srtod.plots.legend import Entry, draw_legend
from srtod.plots.marks import Labels, Rect, hatch, outline
from srtod.plots.palette import FAINT, INK, PAPER, TRUTH, class_colour, font, has_corners, lighter

LONGEST_VIEW = 2560
"""Images longer than this are shrunk to it; the insets still show their own pixels."""
NARROWEST = 480
"""Pictures are at least this wide, so that the legend can be read."""
FEW = 12
"""Up to so many detections carry their scores in the whole image, too."""


@dataclass(frozen=True)
class _Scene:
    """What is to be drawn on one image, in its pixels."""

    pixels: Pixels
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    truth: NDArray[np.float64]
    ignore: NDArray[np.float64]
    classes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.size


@dataclass(frozen=True)
class _Plan:
    """How the picture is laid out.

    Attributes:
        scale: pixels of the picture for one of the image, outside of the insets.
        size: (width, height) of the whole image in the picture.
        unit: how much thicker and larger lines and letters are than in a small picture.
        below: the insets stand below the image, else beside it.
        crops: what the insets show.
        tile: side of an inset in the picture, a whole multiple of the crops' side.
    """

    scale: float
    size: tuple[int, int]
    unit: float
    below: bool
    crops: list[Crop]
    tile: int


def draw_detections(
    image: NDArray[np.uint8] | Pixels,
    boxes: ArrayLike,
    scores: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    truth: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    min_score: float = 0.0,
    insets: int = 6,
    title: str = "",
) -> Image.Image:
    """Draw what a detector found, legible for objects of a few pixels in images of any size.

    Frames are thin and keep a pixel away from the object. A strip beside or below the image enlarges the
    places that show the most objects; it never covers the image. Scores stand in the insets, and in the whole
    image only where there are few.

    Args:
        image: uint8 ``[H, W, 3]``, RGB, or one that is too large for that, which is drawn shrunk.
        boxes: ``[M, 4]``, x1 y1 x2 y2 in pixels of the image; M may be 0.
        scores: ``[M]``, in 0..1.
        labels: ``[M]``, indices into ``classes``.
        classes: class names.
        truth: ``[N, 4]``, the marked objects, drawn as white corners around the detections' frames.
        ignore: ``[K, 4]``, regions that count neither as objects nor as background, drawn hatched.
        min_score: detections below are counted in the legend and not drawn.
        insets: at most so many insets.
        title: stands above the picture, for instance the file name.

    Returns:
        An RGB picture.
    """
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= min_score]
    scene = _Scene(
        pixels=LoadedPixels(image) if isinstance(image, np.ndarray) else image,
        boxes=_boxes(boxes)[order],
        scores=scores[order],
        labels=np.asarray(labels, dtype=np.int64)[order],
        truth=_boxes(truth),
        ignore=_boxes(ignore),
        classes=tuple(classes),
    )
    plan = _lay_out(scene, insets)
    tiles = _draw_tiles(scene, plan)
    body = _join(_draw_view(scene, plan), tiles, round(10 * plan.unit), below=plan.below)
    note = _note(scene, plan, min_score=min_score, hidden=len(scores) - len(order))
    width = max(body.width, NARROWEST)
    return _stack(draw_legend(width, title=title, note=note, entries=_entries(scene), unit=plan.unit), body)


def _boxes(boxes: ArrayLike | None) -> NDArray[np.float64]:
    return np.zeros((0, 4)) if boxes is None else np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _view_scale(width: int, height: int) -> float:
    """Enlarge small images by whole factors (at most 20) towards 1280 pixels; shrink huge ones."""
    longest = max(width, height)
    return LONGEST_VIEW / longest if longest > LONGEST_VIEW else min(20, max(1, round(1280 / longest)))


def _lay_out(scene: _Scene, insets: int) -> _Plan:
    scale = _view_scale(*scene.size)
    width, height = (max(1, round(side * scale)) for side in scene.size)
    unit = max(1.0, max(width, height) / 1400)
    below = width > 1.2 * height
    crops, tile = _plan_insets(scene, scale, width if below else height, insets)
    crops.sort(key=lambda crop: crop.x if below else crop.y)
    return _Plan(scale, (width, height), unit, below, crops, tile)


def _plan_insets(scene: _Scene, scale: float, along: int, most: int) -> tuple[list[Crop], int]:
    """Choose what the insets show, and their side in a strip that is ``along`` pixels long."""
    candidates = np.concatenate((scene.boxes, scene.truth))
    weights = np.concatenate((scene.scores, np.ones(len(scene.truth))))
    sides = (candidates[:, 2:] - candidates[:, :2]).max(axis=1, initial=0)
    small = sides * scale < 64
    if not small.any() or scale >= 6:
        return [], 0
    count = int(np.clip(round(along / 330), 1, most)) if most else 0
    room = min(along, 420 if count == 1 else along // max(count, 1) - 8)
    zoom = _zoom(float(np.median(sides[small])), room)
    crops = choose_crops(
        candidates[small], weights[small], side=max(1, room // zoom), count=count, size=scene.size
    )
    return crops, crops[0].side * zoom if crops else 0


def _zoom(side: float, room: int) -> int:
    """Enlarge an object of ``side`` pixels to a sixth of the inset: 6 to 10 times where it is tiny."""
    wanted = round(room / 6 / max(side, 1))
    return int(np.clip(wanted, 6, 10) if side <= 32 else np.clip(wanted, 2, 6))


def _named(crops: list[Crop]) -> list[tuple[str, Crop]]:
    return [(chr(ord("A") + index), crop) for index, crop in enumerate(crops)]


def _draw_view(scene: _Scene, plan: _Plan) -> Image.Image:
    scale, unit = plan.scale, plan.unit
    how = Image.Resampling.NEAREST if scale >= 4 else Image.Resampling.LANCZOS
    pixels, _ = scene.pixels.shrunk(2 * LONGEST_VIEW)
    view = Image.fromarray(pixels).resize(plan.size, how, reducing_gap=3.0)
    view, frames = _draw_scene(view, scene, (0, 0), scale, width=round(unit))
    draw = ImageDraw.Draw(view)
    tags = Labels(draw, font(round(15 * unit), bold=True), taken=[rect for _, rect in frames])
    for name, crop in _named(plan.crops):
        corners = [round(edge * scale) for edge in crop.corners]
        rect = outline(draw, corners, TRUTH, gap=0, width=max(1, round(unit)))
        tags.write(name, rect, force=True)
    if len(frames) <= FEW:
        _write_scores(draw, scene, frames, round(14 * unit))
    return view


def _draw_tiles(scene: _Scene, plan: _Plan) -> list[Image.Image]:
    parts = scene.pixels.crops([Window(*crop.corners) for crop in plan.crops])
    return [
        _draw_tile(scene, plan, crop, name, pixels)
        for (name, crop), pixels in zip(_named(plan.crops), parts, strict=True)
    ]


def _draw_tile(scene: _Scene, plan: _Plan, crop: Crop, name: str, pixels: NDArray[np.uint8]) -> Image.Image:
    unit, zoom = plan.unit, plan.tile / crop.side
    view = Image.fromarray(pixels).resize((plan.tile, plan.tile), Image.Resampling.LANCZOS)
    picture, frames = _draw_scene(view, scene, (crop.x, crop.y), zoom, width=max(2, round(1.5 * unit)))
    draw = ImageDraw.Draw(picture)
    size = round(15 * unit)
    tag = (0, 0, round(1.5 * size), round(1.5 * size))
    draw.rectangle(tag, fill=PAPER)
    draw.text((size * 0.75, size * 0.75), name, font=font(size, bold=True), fill=INK, anchor="mm")
    _write_scores(draw, scene, frames, round(13 * unit), tag)
    return picture


def _draw_scene(
    picture: Image.Image, scene: _Scene, origin: tuple[int, int], zoom: float, *, width: int
) -> tuple[Image.Image, list[tuple[int, Rect]]]:
    """Draw the scene's frames onto a part of it; return them with the detections they belong to."""
    shift, inside = np.tile(origin, 2), Crop(0, 0, max(picture.size))
    picture = hatch(picture, (scene.ignore - shift) * zoom)
    draw, gap = ImageDraw.Draw(picture), 1 if zoom < 4 else 2
    truth, boxes = (scene.truth - shift) * zoom, (scene.boxes - shift) * zoom
    for box in truth[inside.touches(truth)]:
        outline(draw, box, TRUTH, gap=gap + width + 1, width=width, corners=True)
    frames = []
    for index in np.flatnonzero(inside.touches(boxes))[::-1]:
        label = int(scene.labels[index])
        rect = outline(
            draw, boxes[index], class_colour(label), gap=gap, width=width, corners=has_corners(label)
        )
        frames.append((int(index), rect))
    return picture, frames[::-1]


def _write_scores(
    draw: ImageDraw.ImageDraw, scene: _Scene, frames: list[tuple[int, Rect]], size: int, *taken: Rect
) -> None:
    labels = Labels(draw, font(size), taken=[*(rect for _, rect in frames), *taken])
    for index, rect in frames:
        label = int(scene.labels[index])
        name = f"{scene.classes[label]} " if len(scene.classes) > 1 else ""
        labels.write(f"{name}{scene.scores[index]:.2f}", rect, lighter(class_colour(label)))


def _join(view: Image.Image, tiles: list[Image.Image], gap: int, *, below: bool) -> Image.Image:
    """Put the tiles into a strip below or right of the view, spread over its whole length."""
    if not tiles:
        return view
    tile = tiles[0].width
    size = (view.width, view.height + gap + tile) if below else (view.width + gap + tile, view.height)
    body = Image.new("RGB", size, PAPER)
    body.paste(view, (0, 0))
    for index, picture in enumerate(tiles):
        along = index * (tile + gap)
        body.paste(picture, (along, view.height + gap) if below else (view.width + gap, along))
    return body


def _stack(legend: Image.Image, body: Image.Image) -> Image.Image:
    picture = Image.new("RGB", (legend.width, legend.height + body.height), PAPER)
    picture.paste(legend, (0, 0))
    picture.paste(body, (0, legend.height))
    return picture


def _entries(scene: _Scene) -> list[Entry]:
    counts = np.bincount(scene.labels, minlength=len(scene.classes))
    entries = [
        Entry(f"{scene.classes[label]} {counts[label]}", class_colour(label), corners=has_corners(label))
        for label in np.flatnonzero(counts)
    ]
    if not entries:
        entries.append(Entry("nothing found", FAINT))
    if len(scene.truth):
        entries.append(Entry(f"ground truth {len(scene.truth)}", TRUTH, corners=True))
    if len(scene.ignore):
        entries.append(Entry(f"ignored region {len(scene.ignore)}", FAINT, hatched=True))
    return entries


def _note(scene: _Scene, plan: _Plan, *, min_score: float, hidden: int) -> str:
    parts = [f"{scene.size[0]} x {scene.size[1]} px"]
    if plan.scale < 1:
        parts.append(f"shown {1 / plan.scale:.1f} times smaller")
    if plan.crops:
        parts.append(f"insets enlarged {plan.tile // plan.crops[0].side} times")
    if hidden:
        parts.append(f"{hidden} more below score {min_score:g} not drawn")
    return "   ·   ".join(parts)
