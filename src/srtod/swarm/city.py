"""A city: blocks of houses with windows on a street grid, towers where it is dense."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srtod.swarm.light import Light, rgb
from srtod.swarm.noise import Field, Tiles, View, smoothstep
from srtod.swarm.terrain import Camera, Hits, Surface, hazed

_STOREY = 3.4
_BAY = 3.2


@dataclass(frozen=True)
class _Walls:
    """What is needed to draw the walls of houses.

    Attributes:
        tiles, camera, light: of the picture.
        height: metres of the roofs, ``[D, W]``.
        along: metres along the walls, ``[D, W]``.
        paint: wall colour, ``[D, W, 3]``.
        across: whether the wall seen from the camera runs away from it, bool ``[D, W]``.
        angle: of the street grid, radians.
        character: a number in 0..1 a house: how much glass it has, how many lamps are lit, ``[D, W]``.
        view: where window numbers are looked up.
    """

    tiles: Tiles
    camera: Camera
    light: Light
    height: Field
    along: Field
    paint: Field
    across: NDArray[np.bool_]
    angle: float
    character: Field
    view: View

    def draw(self, rows: Field, hits: Hits) -> None:
        """Draw walls with windows where a pixel lies below the roof it hits, in place.

        ``rows`` are linear RGB of the picture from row ``hits.top`` down.
        """
        camera, (count, width) = self.camera, self.height.shape
        flat = hits.slices * width + np.arange(width, dtype=np.int32)
        flat[hits.slices >= count] = 0
        roof = self.height.take(flat)
        away = np.take(camera.distance[:, 0], np.minimum(hits.slices, count - 1))
        below = np.arange(hits.top, camera.height, dtype=np.float32)[:, None] - camera.horizon
        level = camera.altitude - below * away / camera.focal
        place = np.nonzero((level < roof - 0.6) & (roof > 8) & (hits.slices < count))
        rows[place] = self._colour(flat[place], level[place], away[place])

    def _colour(self, cells: NDArray[np.int32], level: Field, away: Field) -> Field:
        """Colours ``[N, 3]`` of points on walls: the cell each belongs to, its height and its distance."""
        light = self.light
        paint = self.paint.reshape(-1, 3).take(cells, axis=0)
        along, character = self.along.take(cells), self.character.take(cells)
        glass = character > 0.75
        right, _, near = light.direction
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        # Of a house's two visible walls one faces along the first street direction, one along the second.
        facing = np.where(self.across.take(cells), right * -cos + near * sin, right * sin + near * cos)
        colour = paint * (np.clip(facing, 0, 1)[:, None] * light.sun + 0.55 * light.ambient)
        bay, storey = along / _BAY, level / _STOREY
        # Windows smaller than a pixel show as their mean.
        fine = np.clip(1.6 - away / self.camera.focal / 0.9, 0, 1)
        pane = (np.abs(bay % 1 - 0.5) < 0.33) & (np.abs(storey % 1 - 0.5) < 0.3 + 0.2 * glass) & (storey > 1)
        share = (pane * fine + 0.38 * (1 - fine))[:, None]
        dark = 0.22 * light.horizon + 0.10 * light.zenith + 0.02 * light.ambient
        colour += share * (dark - colour)
        number = self.view.nearest(self.tiles.white, np.floor(bay) + 7 * cells % 3, np.floor(storey) * 3)
        often = light.lamps * (0.1 + 1.6 * character**2) * (light.lamps > 0.1)
        lit = fine * pane * (number < often) + (1 - fine) * 0.3 * often * (0.4 + number)
        warm, cold = rgb(1.0, 0.70, 0.36), rgb(0.75, 0.85, 1.0)
        shine = warm + (cold - warm) * (number * 37 % 1)[:, None] ** 3
        colour += lit[:, None] * shine * (0.15 + 0.55 * (number * 101 % 1))[:, None]
        return hazed(colour, away[:, None], light)


def city(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Lay out a city: roofs and streets, and the walls that stand on them."""
    angle = rng.uniform(0.1, np.pi / 2 - 0.1)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = camera.x * cos + camera.distance * sin, camera.distance * cos - camera.x * sin
    block = np.float32(rng.uniform(28, 46))
    column, row = np.floor(u / block), np.floor(v / block)
    inside_u, inside_v = u / block - column, v / block - row
    view = View.random(rng)
    pick, other = view.nearest(tiles.white, column, row), view.nearest(tiles.white, row + 300, column)
    margin = 0.08 + 0.10 * other
    border = np.minimum(np.minimum(inside_u, 1 - inside_u), np.minimum(inside_v, 1 - inside_v))
    dense = View.random(rng).sample(tiles.smooth, camera.x / 18, camera.distance / 18)
    tall = smoothstep(0.2, 2.2, dense) * rng.uniform(40, 170)
    height = 7 + 16 * pick + tall * pick**2 + tall * (pick > 0.93)
    # A second, smaller storey block on top of the taller houses: lift housings, set-backs.
    height += (border > margin + 0.14) * (other > 0.35) * (3 + 0.12 * height)
    park = View.random(rng).sample(tiles.smooth, column / 6, row / 6) > rng.uniform(1.0, 2.0)
    house = (border > margin) & (pick > 0.06) & ~park
    trees = ~house & (park | (other > 0.6)) & (View.random(rng).nearest(tiles.white, u / 5, v / 5) > 0.55)
    height = np.where(house, height, np.where(trees, 7.0, 0.0)).astype(np.float32)
    paint = _paint(rng, pick, other)
    albedo = np.where(house[..., None], paint * 0.45 + rgb(0.10, 0.10, 0.10), rgb(0.075, 0.075, 0.08))
    albedo = np.where(trees[..., None], rgb(0.045, 0.075, 0.03), albedo)
    albedo *= np.clip(1 + 0.2 * View.random(rng).nearest(tiles.rough, u / 2, v / 2), 0.3, 2)[..., None]
    lamp = (border < 0.03) & (View.random(rng).nearest(tiles.white, u / 8, v / 8) < light.lamps * 0.5)
    emission = (
        (lamp & ~house)[..., None] * rgb(1.0, 0.62, 0.26) * np.float32(0.7) if light.lamps > 0.1 else None
    )
    across = np.minimum(inside_u, 1 - inside_u) < np.minimum(inside_v, 1 - inside_v)
    along = np.where(across, v, u)
    walls = _Walls(tiles, camera, light, height, along, paint, across, angle, other, view)
    return Surface(height, albedo.astype(np.float32), emission, walls=walls.draw)


def _paint(rng: np.random.Generator, pick: Field, other: Field) -> Field:
    """Wall colours: concrete, brick, plaster, glass."""
    warm = rgb(0.36, 0.35, 0.33), rgb(0.30, 0.17, 0.12), rgb(0.50, 0.45, 0.37)
    cold = rgb(0.14, 0.18, 0.22), rgb(0.22, 0.23, 0.25), rgb(0.42, 0.40, 0.40)
    kinds = np.stack([*warm, *cold])
    kinds = (kinds * rng.normal(1, 0.1, kinds.shape) * np.exp(rng.normal(0, 0.15))).clip(0.02, 0.8)
    which = (pick * 53 % 1 * len(kinds)).astype(np.int32)
    return (kinds[which] * (0.8 + 0.4 * other[..., None])).astype(np.float32)
