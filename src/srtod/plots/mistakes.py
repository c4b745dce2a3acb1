"""Misses and false alarms in an image: the whole, and the places that show most of them enlarged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.plots.crops import choose_crops, crop_around
from srtod.plots.marks import join
from srtod.plots.scene import Scene

_WIDTH, _HEIGHT = 720, 540
_GAP, _CROPS = 4, 3
_INSET = (_WIDTH - (_CROPS - 1) * _GAP) // _CROPS
_TILE = 176
"""Side of the picture of a single mistake."""
_NARROWEST, _WIDEST = 24, 160
"""Pixels of the image that an enlarged place shows, at least and at most."""


@dataclass(frozen=True)
class Mistakes:
    """What is wrong in one image.

    Attributes:
        pixels: uint8 ``[H, W, 3]``, RGB.
        missed: ``[N, 4]``, x1 y1 x2 y2 of the objects that were missed, drawn as white corners.
        boxes, scores, labels: ``[M, 4]``, ``[M]``, ``[M]``: the false alarms, drawn as frames.
        classes: names in label order.
    """

    pixels: NDArray[np.uint8]
    missed: NDArray[np.float64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def draw(self) -> Image.Image:
        """Draw the image, and below it the places that show most of the mistakes."""
        scene = self._scene()
        every = np.concatenate([self.missed, self.boxes])
        width, height = self.size
        crops = choose_crops(
            every,
            np.concatenate([np.ones(len(self.missed)), self.scores]),
            side=_side(every, self.size),
            count=_CROPS,
            size=self.size,
        )
        view, _ = scene.view(crops, min(_WIDTH / width, _HEIGHT / height), 1.0)
        if not crops:
            return view
        texts = scene.texts(f"{score:.2f}" for score in scene.scores)
        return join(
            [view, join(scene.insets(crops, _INSET, texts, unit=1.0), gap=_GAP, down=False)], down=True
        )

    def draw_place(self, box: NDArray[np.float64]) -> Image.Image:
        """Draw what lies around one box, x1 y1 x2 y2, enlarged."""
        scene = self._scene()
        crop = crop_around((box[:2] + box[2:]) / 2, _side(box[None], self.size), self.size)
        part = Image.fromarray(self.pixels[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side])
        picture = part.resize((_TILE, _TILE), Image.Resampling.NEAREST)
        return scene.mark(picture, (crop.x, crop.y), _TILE / crop.side, width=1)[0]

    def _scene(self) -> Scene:
        return Scene(self.pixels, self.boxes, self.scores, self.labels, self.classes, truth=self.missed)


def _side(boxes: NDArray[np.float64], size: tuple[int, int]) -> int:
    """Pixels to show around boxes ``[N, 4]``: six times their usual length."""
    longest = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) if len(boxes) else 0.0
    largest = float((boxes[:, 2:] - boxes[:, :2]).max(initial=0.0)) if len(boxes) == 1 else 0.0
    return int(min(max(np.clip(6 * longest, _NARROWEST, _WIDEST), 1.5 * largest), *size))
