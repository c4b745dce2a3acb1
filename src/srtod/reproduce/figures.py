"""The paper's figures 1, 3 and 4, drawn for any image and any detector with self-reconstruction.

Figure 1 follows its caption: the whole image, the region around a tiny object, and there the heat map of P2,
the reconstruction and the difference map, with a dotted box around the object. Figure 4 shows P2 before and
after its enhancement (DGFE), and the difference map that guides it. Figure 3 is read as the comparison behind
table 7: the difference map beside the one of high frequencies. Figures 3 and 4 have the layout of figure 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.data.depth import stretch_of
from srtod.data.images import read_image
from srtod.defaults import PICTURE_SCORE
from srtod.detectors.detector import Detector
from srtod.inference import ImageFile
from srtod.inference.addresses import Address
from srtod.inference.inputs import to_tensor
from srtod.plots.panels import DIFFERENCE_COLOURS, FEATURE_COLOURS, Panel, level_name, panels_of
from srtod.plots.zoom import ZoomRow, zoom_figure
from srtod.selfrec.difference import high_frequency_difference, pixel_difference
from srtod.support.errors import InputError
from srtod.support.files import atomic_file, require_free

MAPS = {
    "figure-1": ("p2_before", "reconstruction", "difference"),
    "figure-3": ("reconstruction", "difference", "high_frequency"),
    "figure-4": ("p2_before", "p2_after", "difference"),
}
"""Maps of each figure, left to right."""
BARS = {
    FEATURE_COLOURS: "mean |activation|\nover channels",
    DIFFERENCE_COLOURS: "|reconstruction $-$ input|\nmean over RGB, 0 to 1",
}
SUFFIXES = (".png", ".pdf", ".svg")
DOTS_PER_INCH = 300
PLACE_SIDE = 8.0
"""Pixels that an object is taken to be wide where only its place is known: about the mean of DroneSwarms."""


def draw_figure(
    name: str,
    detector: Detector,
    images: Sequence[ImageFile],
    output: Path,
    *,
    at: Sequence[tuple[float, float]] = (),
    min_score: float = PICTURE_SCORE,
    overwrite: bool = False,
) -> Path:
    """Draw one of the paper's figures, a row for each image, and write it as PNG, PDF or SVG.

    Each row enlarges one tiny object: the one at the place in ``at``; else the smallest annotated one, where
    the image comes with annotations; else the smallest detection.

    Args:
        name: ``figure-1``, ``figure-3`` or ``figure-4``.
        detector: in evaluation mode, with self-reconstruction.
        images: the files, with or without their annotations.
        output: a file whose ending says the format, or a folder, which gets ``NAME.png``.
        at: x and y in pixels for each image, or empty.
        min_score: detections below are not looked at.
        overwrite: replace a file that is there, but no image.

    Returns:
        The file that was written.

    Raises:
        InputError: the detector has no self-reconstruction, an image cannot be read or holds no object, a
            place lies outside of its image, or the output is there or cannot be written.
    """
    if detector.config["self_reconstruction"] is None:
        raise InputError(
            f"these weights are of a detector without self-reconstruction, which {name} is about; "
            "take weights trained with self_reconstruction"
        )
    if at and len(at) != len(images):
        raise InputError(f"--at: {len(at)} places for {len(images)} images; give one for each image, or none")
    path = _file(name, output)
    require_free(path, overwrite=overwrite, inputs=[str(image.path) for image in images])
    rows = [
        _row(MAPS[name], detector, image, place, min_score)
        for image, place in zip(images, at or [None] * len(images), strict=True)
    ]
    shown = {panel.colours for panel in rows[0].maps}
    figure = zoom_figure(rows, {colours: label for colours, label in BARS.items() if colours in shown})
    with atomic_file(path) as scratch:
        figure.savefig(scratch, dpi=DOTS_PER_INCH)
    return path


def read_place(text: str) -> tuple[float, float]:
    """Read ``X,Y`` in pixels.

    Raises:
        InputError: anything else.
    """
    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        raise InputError(f"--at {text}: give x and y in pixels, such as 812,345") from error
    return x, y


def _file(name: str, output: Path) -> Path:
    if output.is_dir() or not output.suffix:
        return output / f"{name}.png"
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output}: a figure ends in {', '.join(SUFFIXES)}, or goes into a folder")
    return output


def _row(
    names: tuple[str, ...],
    detector: Detector,
    image: ImageFile,
    place: tuple[float, float] | None,
    min_score: float,
) -> ZoomRow:
    pixels = read_image(image.path, stretch=stretch_of(detector))
    size = (pixels.shape[1], pixels.shape[0])
    if place is not None:
        box, note = _at(place, size, image.path)
    else:
        box, note = _smallest(detector, image, pixels, min_score)
    panels = _panels(detector, pixels)
    maps = tuple(replace(panels[name], title=_title(name, names, detector)) for name in names)
    return ZoomRow(panels["input"], maps, box.clip(0, np.tile(size, 2)), note)


def _at(
    place: tuple[float, float], size: tuple[int, int], path: Path | Address
) -> tuple[NDArray[np.float64], str]:
    (x, y), (width, height) = place, size
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"--at {x:g},{y:g}: outside of {path}, which is {width} x {height} pixels")
    half = PLACE_SIDE / 2
    return np.array((x - half, y - half, x + half, y + half)), f"{PLACE_SIDE:g} px at {x:g}, {y:g}"


def _smallest(
    detector: Detector, image: ImageFile, pixels: NDArray[np.uint8], min_score: float
) -> tuple[NDArray[np.float64], str]:
    """The box of the smallest annotated object, or of the smallest detection, and what it is."""
    if image.record is not None:
        boxes = np.asarray(image.record.boxes[~image.record.ignore], dtype=np.float64)
        notes, none = ["annotated"] * len(boxes), "has no annotated object; name a place with --at X,Y"
    else:
        with torch.inference_mode():
            found = detector([to_tensor(pixels, detector.device)])[0]
        sure = found["scores"] >= min_score
        boxes = found["boxes"][sure].double().cpu().numpy()
        notes = [f"score {score:.2f}" for score in found["scores"][sure].tolist()]
        none = (
            f"no detection scores {min_score:g} or more; name a place with --at X,Y, or lower --picture-score"
        )
    if len(boxes) == 0:
        raise InputError(f"{image.path}: {none}")
    sides = boxes[:, 2:] - boxes[:, :2]
    index = int(sides.prod(axis=1).argmin())
    width, height = sides[index]
    return boxes[index], f"{width:.0f} × {height:.0f} px, {notes[index]}"  # noqa: RUF001 - multiplication


def _panels(detector: Detector, pixels: NDArray[np.uint8]) -> dict[str, Panel]:
    """All maps of an image by name; both differences are taken of one reconstruction, at the image's size."""
    tensor = to_tensor(pixels, detector.device)
    with torch.inference_mode():
        seen = detector.explain(tensor)
        rebuilt, given = seen["reconstruction"][None], tensor[None]
        seen["difference"] = pixel_difference(rebuilt, given)[0]
        high = high_frequency_difference(rebuilt, given)[0, 0]
    maps = {name: values.float().cpu().numpy() for name, values in seen.items()}
    panels = {panel.name: panel for panel in panels_of(pixels, maps)}
    panels["high_frequency"] = replace(panels["difference"], pixels=high.float().cpu().numpy())
    return panels


def _title(name: str, names: tuple[str, ...], detector: Detector) -> str:
    level = level_name(detector.pyramid.strides[0])
    titles = {
        "p2_before": f"{level} before DGFE" if "p2_after" in names else level,
        "p2_after": f"{level} after DGFE",
        "high_frequency": "high-frequency\ndifference",
    }
    return titles.get(name, name)
