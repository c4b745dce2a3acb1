"""A height field seen in perspective: what each pixel of a picture shows, its light and its haze.

Every image column looks along one line over the ground, which is cut into slices from near to far. A slice
is seen where it rises above all nearer ones; the highest point so far (a running maximum) therefore gives
the hidden parts, and the slice of each pixel follows from it without a loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from srtod.swarm.light import Light
from srtod.swarm.noise import Field

FAR = 45_000.0
"""Metres to the farthest slice."""

_MIDDLE = 15_000.0
"""Metres within which mountains show their form; most slices lie nearer."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks level, with its picture shifted up or down.

    Attributes:
        width, height: pixels.
        horizon: row of the horizon; may lie outside the picture.
        focal: focal length in pixels.
        altitude: metres above the ground.
    """

    width: int
    height: int
    horizon: float
    focal: float
    altitude: float

    @cached_property
    def distance(self) -> Field:
        """Distances of the slices in metres, ascending, float32 ``[D, 1]``."""
        below = self.height - self.horizon
        nearest = self.focal * self.altitude / below if below > 4 else 4 * self.altitude
        count = int(np.clip(self.height / 3, 110, 260))
        distance = np.union1d(np.geomspace(nearest, _MIDDLE, count), np.geomspace(_MIDDLE, FAR, count // 5))
        if below > 4:
            # Where the ground lies higher than level, the lowest row shows something nearer.
            distance = np.union1d(distance, np.geomspace(nearest / 3, nearest, 40))
            level = self.focal * self.altitude / np.arange(below, 2, -1.5)
            distance = np.union1d(distance, level)
        return distance.astype(np.float32)[:, None]

    @cached_property
    def x(self) -> Field:
        """Metres to the right of the camera's axis, float32 ``[D, W]``."""
        columns = (np.arange(self.width, dtype=np.float32) - self.width / 2) / self.focal
        return self.distance * columns.astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """What the ground is like at every slice and column.

    Attributes:
        height: metres, ``[D, W]``.
        albedo: reflected share, RGB, ``[D, W, 3]``.
        emission: own light, RGB, ``[D, W, 3]`` or ``None``.
        mirror: share of the sky's light that is reflected as by water, ``[D, W]`` or ``None``.
        walls: draws what stands on the ground onto the picture's rows from ``Hits.top`` down; where there
            are walls, heights jump, and one slice is not blended into the next.
    """

    height: Field
    albedo: Field
    emission: Field | None = None
    mirror: Field | None = None
    walls: "Callable[[Field, Hits], None] | None" = None


@dataclass(frozen=True)
class Hits:
    """The slice each pixel shows.

    Attributes:
        top: first row with ground in it.
        slices: int ``[rows, W]`` from row ``top`` down; D where the sky is seen.
        share: how far from the slice before (0) to that slice (1) the pixel lies, ``[rows, W]``.
    """

    top: int
    slices: NDArray[np.int32]
    share: Field


def draw_land(image: Field, camera: Camera, light: Light, surface: Surface) -> None:
    """Draw the ground over a picture of the sky, linear RGB ``[H, W, 3]``, in place."""
    hits = find_hits(camera, surface.height, blend=surface.walls is None)
    if hits is None:
        return
    rows = image[hits.top :]
    colour = hazed(_lit(camera, light, surface), camera.distance[..., None], light)
    land = _at(hits.slices, colour)
    if surface.walls is None:
        before = _at(hits.slices, colour, nearer=1)
        land -= before
        land *= hits.share[..., None]
        land += before
    np.copyto(rows, land, where=(hits.slices < len(colour))[..., None])
    if surface.walls is not None:
        surface.walls(rows, hits)


def find_hits(camera: Camera, height: Field, *, blend: bool) -> Hits | None:
    """Find the slice every pixel shows; ``None`` if no ground is in the picture."""
    count, width = height.shape
    bottom = camera.height - 1
    # Pixels count upwards from the lowest row, so that "higher" means larger.
    seen = (bottom - camera.horizon + camera.focal * (height - camera.altitude) / camera.distance).astype(
        np.float32
    )
    crest = np.maximum.accumulate(seen, axis=0)
    level = np.clip(np.floor(crest), -1, bottom).astype(np.int32)
    rows = int(level[-1].max()) + 1
    if rows <= 0:
        return None
    slices = np.full((rows, width), count, np.int32)
    grows = np.diff(level, axis=0, prepend=np.int32(-1)) > 0
    which, column = np.nonzero(grows)
    slices[level[which, column], column] = which
    slices = np.minimum.accumulate(slices[::-1], axis=0)
    share = _share(seen, slices) if blend else np.empty((0, 0), np.float32)
    return Hits(top=camera.height - rows, slices=slices, share=share)


def _share(seen: Field, slices: NDArray[np.int32]) -> Field:
    pixel = np.arange(len(slices) - 1, -1, -1, dtype=np.float32)[:, None]
    before, after = _at(slices, seen, nearer=1), _at(slices, seen)
    return np.clip((pixel - before) / np.maximum(after - before, 1e-3), 0, 1)


def _at(slices: NDArray[np.int32], values: Field, *, nearer: int = 0) -> Field:
    """Values ``[D, W, ...]`` at the slice that each pixel shows, or so many slices nearer."""
    count, width = values.shape[:2]
    index = (slices - nearer).clip(0, count - 1 - nearer) * width + np.arange(width, dtype=np.int32)
    return values.reshape(-1, *values.shape[2:]).take(index, axis=0)


def _lit(camera: Camera, light: Light, surface: Surface) -> Field:
    """Light that leaves the ground, ``[D, W, 3]``."""
    height = surface.height
    across = np.gradient(height, axis=1) / (camera.distance / camera.focal)
    away = np.diff(height, axis=0, append=height[-1:]) / np.maximum(
        np.diff(camera.distance, axis=0, append=camera.distance[-1:] + 100), 1e-3
    )
    steep = 1 / np.sqrt(1 + across**2 + away**2)
    right, up, near = light.direction
    facing = np.clip((up - across * right + away * near) * steep, 0, 1)
    colour = facing[..., None] * light.sun
    colour += (0.5 + 0.5 * steep)[..., None] * light.ambient
    colour *= surface.albedo
    if surface.mirror is not None:
        sky = 0.75 * light.horizon + 0.25 * light.zenith
        colour += surface.mirror[..., None] * (sky - colour)
    if surface.emission is not None:
        colour += surface.emission
    return colour.astype(np.float32)


def hazed(colour: Field, distance: Field, light: Light) -> Field:
    """Fade colours into the horizon with distance (metres; broadcasts against ``colour``)."""
    clear = np.exp(-distance / np.float32(light.visibility))
    return (light.horizon + (colour - light.horizon) * clear).astype(np.float32)
