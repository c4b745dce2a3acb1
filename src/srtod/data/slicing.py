"""Images to learn from in slices: each window of an image is an image of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.data.pixels import Window, plan_windows
from srtod.data.records import ImageRecord
from srtod.data.transforms import clip_boxes


@dataclass(frozen=True, kw_only=True)
class RecordSlice(ImageRecord):
    """A window of an image, which is cut out when it is read.

    Attributes:
        whole: the image.
        window: in its pixels.
    """

    whole: ImageRecord
    window: Window

    def read(self) -> NDArray[np.uint8]:
        """Read the image, all of it, and return the window, a copy."""
        left, top, right, bottom = self.window
        return self.whole.read()[top:bottom, left:right].copy()


def sliced(
    records: Sequence[ImageRecord], side: int, *, overlap: float, empty: float, seed: int
) -> tuple[ImageRecord, ...]:
    """Cut images into slices that cover them.

    An object belongs to every slice that shows at least half of its area; where less is seen of it, there is
    a region to ignore.

    Args:
        records: what to cut; an image that fits into a slice stays as it is.
        side: of the slices in pixels.
        overlap: the part of its side that a slice shares with the next one.
        empty: share of the slices without an object that are kept, chosen at random.
        seed: of that choice.
    """
    pieces = [piece for record in records for piece in _slices(record, side, overlap)]
    bare = np.array([not (~piece.ignore).any() for piece in pieces], dtype=bool)
    left_out = np.random.default_rng(seed).permutation(np.flatnonzero(bare))[round(empty * bare.sum()) :]
    dropped = set(left_out.tolist())
    return tuple(piece for number, piece in enumerate(pieces) if number not in dropped)


def _slices(record: ImageRecord, side: int, overlap: float) -> list[ImageRecord]:
    windows = plan_windows((record.width, record.height), side, overlap)
    return [record] if len(windows) == 1 else [_slice(record, window) for window in windows]


def _slice(record: ImageRecord, window: Window) -> RecordSlice:
    boxes, inside, cut = (own.numpy() for own in clip_boxes(torch.from_numpy(record.boxes), window))
    kept = replace(record, boxes=boxes, ignore=record.ignore | cut).take(np.flatnonzero(inside).tolist())
    values: dict[str, Any] = vars(kept) | {
        "image_id": f"{record.image_id}@{window.left},{window.top}",
        "width": window.right - window.left,
        "height": window.bottom - window.top,
    }
    return RecordSlice(**values, whole=record, window=window)
