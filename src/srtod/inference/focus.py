"""Look where it matters: windows that deserve a second, enlarged look by what a first one saw."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srtod.boxes.merging import Sightings
from srtod.data.pixels import Window
from srtod.defaults import FocusBy
from srtod.selfrec.difference import high_pass
from srtod.support.errors import InputError
from srtod.types import Finder

CLOSER = 2
"""How much larger the network sees in the second look what it saw in the first."""
CELL = 8
"""Side of the cells, in pixels as the first look sees them, of which the largest value of a map is kept."""
BRIGHTEST = 16
"""Cells of a window, those of the largest values, whose mean is what a map shows in it."""


class Evidence:
    """What a first look at an image leaves behind, to rank windows by.

    Args:
        finder: what looks.
        size: width and height of the image.
        by: what ranks the windows.
        shrunk: the whole factor by which the first look sees the image smaller.

    Raises:
        InputError: by mask, difference or both, of a finder that has no self-reconstruction.
    """

    def __init__(self, finder: Finder, size: tuple[int, int], by: FocusBy, *, shrunk: int = 1) -> None:
        self.by, self._shrunk, self._map_of = by, shrunk, _map_of(finder, by)
        width, height = (-(-length // (CELL * shrunk)) for length in size)
        self._cells = torch.zeros((height, width) if self._map_of else (0, 0))
        self._largest: Tensor | None = None

    def noted(self, pieces: Iterable[tuple[Window, Tensor]]) -> Iterator[tuple[Window, Tensor]]:
        """Pass on the pieces of the first look, and keep what the map shows of each."""
        for window, piece in pieces:
            if self._map_of is not None:
                with torch.inference_mode():
                    self._note(window, self._map_of(piece).float().cpu())
            yield window, piece

    def best(self, windows: Sequence[Window], share: float, seen: Sightings) -> list[Window]:
        """The windows with most to see, at most this share of them, in their order; none without evidence.

        One after the other is chosen, and what it shows counts in no other: windows overlap.

        Args:
            windows: to choose among.
            share: of them, 0..1, at least one; with 1 all of them, whatever the evidence.
            seen: every object of the first look once.
        """
        if share == 1:
            return list(windows)
        edges = torch.tensor(windows)
        values = self.of(windows, seen)
        chosen: list[int] = []
        for _ in range(count_of(windows, share)):
            if values.max() <= 0:
                break
            best = int(values.argmax())
            chosen.append(best)
            seen = seen[~_centred_in(windows[best], seen)]
            self._cells[self._place(windows[best])] = 0
            beside = (edges[:, :2] < edges[best, 2:]) & (edges[:, 2:] > edges[best, :2])
            near = beside.all(dim=1).nonzero()[:, 0]
            values[near] = self.of([windows[index] for index in near.tolist()], seen)
        return [windows[index] for index in sorted(chosen)]

    def of(self, windows: Sequence[Window], seen: Sightings) -> Tensor:
        """The evidence in each window ``[W]``, 0 for nothing: expected objects, or the brightest of the map.

        By both, it is the mean of the two as shares of their largest value when first asked.
        """
        if self.by == "scores":
            return _expected(windows, seen)
        shown = torch.stack([self._shown(window) for window in windows])
        if self.by != "both":
            return shown
        both = torch.stack([shown, _expected(windows, seen)])
        if self._largest is None:
            self._largest = both.amax(dim=1, keepdim=True).clamp(min=1e-9)
        return (both / self._largest).mean(dim=0)

    def _note(self, window: Window, values: Tensor) -> None:
        column, row = window.left // self._shrunk, window.top // self._shrunk
        left, top = column % CELL, row % CELL
        padded = F.pad(
            values[None], (left, -(left + values.shape[2]) % CELL, top, -(top + values.shape[1]) % CELL)
        )
        cells = F.max_pool2d(padded, CELL)[0, 0]
        row, column = row // CELL, column // CELL
        place = self._cells[row : row + cells.shape[0], column : column + cells.shape[1]]
        torch.maximum(place, cells[: place.shape[0], : place.shape[1]], out=place)

    def _shown(self, window: Window) -> Tensor:
        cells = self._cells[self._place(window)].flatten()
        return cells.topk(min(BRIGHTEST, len(cells))).values.mean()

    def _place(self, window: Window) -> tuple[slice, slice]:
        """Rows and columns of the cells that a window shows."""
        side = CELL * self._shrunk
        rows = slice(window.top // side, -(-window.bottom // side))
        return rows, slice(window.left // side, -(-window.right // side))


def count_of(windows: Sequence[Window], share: float) -> int:
    """How many of the windows a share is, rounded, at least one."""
    return max(1, round(share * len(windows)))


def zoomed(pieces: Iterable[tuple[Window, Tensor]], zoom: float) -> Iterator[tuple[Window, Tensor]]:
    """Scale what windows show, ``[3, H, W]``: bilinear where it is enlarged, means of squares for a half."""
    for window, piece in pieces:
        yield window, _scaled(piece[None], zoom)[0]


def _scaled(image: Tensor, zoom: float) -> Tensor:
    if zoom < 1:
        return F.avg_pool2d(image, round(1 / zoom), ceil_mode=True)
    if zoom > 1:
        return F.interpolate(image, scale_factor=zoom, mode="bilinear", align_corners=False)
    return image


def _map_of(finder: Any, by: FocusBy) -> Callable[[Tensor], Tensor] | None:
    """What makes a map ``[1, H, W]`` of a piece ``[3, H, W]``, if there is need of one."""
    if by == "scores":
        return None
    if by == "high-pass":
        return lambda piece: high_pass(piece[None], piece[None])[0]
    if getattr(finder, "self_reconstruction", None) is None:
        raise InputError(
            f"focus by {by}: what finds objects has no self-reconstruction, so no maps; "
            "use scores or high-pass"
        )
    if by == "mask":
        return lambda piece: _over(finder.explain(piece)["mask"], piece)
    return lambda piece: finder.explain(piece)["difference"]


def _over(mask: Tensor, piece: Tensor) -> Tensor:
    """A mask ``[1, h, w]`` at the size of a piece ``[3, H, W]``."""
    return F.interpolate(mask[None], piece.shape[-2:], mode="nearest")[0]


def _expected(windows: Sequence[Window], seen: Sightings) -> Tensor:
    """How many objects each window should hold, the sum of the scores whose centres lie in it, ``[W]``."""
    return torch.stack([seen.scores[_centred_in(window, seen)].sum() for window in windows])


def _centred_in(window: Window, seen: Sightings) -> Tensor:
    """Which objects have their centre in a window, bool ``[N]``."""
    edges = torch.tensor(window, dtype=torch.float)
    centres = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2
    return ((centres >= edges[:2]) & (centres < edges[2:])).all(dim=1)
