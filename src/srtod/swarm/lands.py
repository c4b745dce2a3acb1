"""Landscapes: height and colour of the ground for mountains, hills, forest, fields, sea and dunes."""

import numpy as np

from srtod.swarm.light import Light, rgb
from srtod.swarm.noise import Field, Tiles, View, smoothstep
from srtod.swarm.terrain import Camera, Surface


def mountains(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Ridges with rock, forest below and snow above, rising some kilometres from the camera."""
    x, z = camera.x, camera.distance
    cell = np.float32(rng.uniform(22, 45))
    relief = View.random(rng).sample(tiles.smooth, x / cell, z / cell)
    ridges = 1.1 - np.abs(View.random(rng).sample(tiles.smooth, x / cell / 1.3, z / cell / 1.3))
    gullies = np.abs(View.random(rng).sample(tiles.smooth, x / cell * 4, z / cell * 4))
    start = rng.uniform(500, 2_000)
    end = start * rng.uniform(3, 6)
    rise = smoothstep(start, end, z)
    # Far slopes are cut into fewer slices than columns: finer texture than a slice would show as streaks.
    fine = 3 + z * np.float32(0.003)
    detail = View.random(rng).sample(tiles.rough, x / (2 * fine), z / (2 * fine))
    # The summits stay inside the picture.
    top = min(rng.uniform(400, 1_700), 0.25 * end)
    rough = View.random(rng).nearest(tiles.rough, x / fine, z / fine)
    near = np.exp(-z / 3_000)
    height = (
        rise * (top * (0.45 + 0.35 * relief + 0.55 * ridges - 0.10 * gullies) + 16 * detail)
        + 12 * relief
        + 1.2 * near * detail
    )
    rock = _vary(rng, rgb(0.22, 0.20, 0.18)) * (1 + 0.25 * detail)[..., None].clip(0.3)
    meadow = _vary(rng, rgb(0.11, 0.14, 0.05) if rng.random() < 0.6 else rgb(0.22, 0.18, 0.09))
    wooded = smoothstep(-0.2, 0.5, relief + 0.5 * detail + 0.6 * rough)
    wood = _mix(meadow, _vary(rng, rgb(0.04, 0.065, 0.028)), wooded)
    line = top * rng.uniform(0.3, 0.9)
    albedo = _mix(wood, rock, smoothstep(line - 150, line + 200, height + 60 * rough + 60 * detail))
    if rng.random() < 0.55:
        snow = top * rng.uniform(0.55, 1.0)
        cover = smoothstep(snow - 80, snow + 160, height + 70 * detail + 40 * rough)
        albedo = _mix(albedo, rgb(0.85, 0.87, 0.9), cover)
    albedo *= _grain(rough, 0.16)
    return Surface(height, albedo, emission=_villages(rng, tiles, camera, light))


def forest(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Hills under trees: every crown a bump."""
    x, z = camera.x, camera.distance
    cell = np.float32(rng.uniform(25, 60))
    hills = View.random(rng).sample(tiles.smooth, x / cell, z / cell)
    rise = smoothstep(300, 6_000, z)
    crowns = View.random(rng).sample(tiles.rough, x / 3.5, z / 3.5)
    near = np.exp(-z / 2_500)
    height = hills * rng.uniform(40, 160) * rise + crowns * 2.5 * (0.25 + near)
    shade = View.random(rng).nearest(tiles.rough, x / 2, z / 2)
    patch = View.random(rng).sample(tiles.smooth, x / 9, z / 9)
    autumn = rng.random() < 0.25
    first = _vary(rng, rgb(0.05, 0.085, 0.03))
    second = _vary(rng, rgb(0.20, 0.09, 0.03) if autumn else rgb(0.10, 0.13, 0.04))
    albedo = _mix(first, second, smoothstep(-0.8, 1.2, patch + 0.5 * crowns))
    albedo *= _grain(shade, 0.25) * np.clip(1 + 0.35 * crowns, 0.3, 1.8)[..., None]
    return Surface(height, albedo, emission=_villages(rng, tiles, camera, light))


def fields(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Farmland: a patchwork with furrows, hedges, copses, tracks and gentle hills."""
    x, z = camera.x, camera.distance
    angle = rng.uniform(0, np.pi)
    bend = View.random(rng).sample(tiles.smooth, x / 14, z / 14) * 40
    along = x * np.float32(np.cos(angle)) + z * np.float32(np.sin(angle)) + bend
    across = z * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) + bend * 0.5
    length, breadth = rng.uniform(150, 420), rng.uniform(60, 160)
    column = np.floor(across / breadth)
    shifted = along / length + 0.37 * column
    row = np.floor(shifted)
    view = View.random(rng)
    pick = view.nearest(tiles.white, column, row)
    albedo = _patches(rng, pick)
    furrow = np.sin((across if rng.random() < 0.5 else along) * np.float32(2 * np.pi / rng.uniform(3, 7)))
    sharp = np.exp(-z / 350) * 0.18 * (view.nearest(tiles.white, row, column) > 0.4)
    albedo *= (1 + furrow * sharp)[..., None]
    edge = np.minimum(np.abs(across / breadth - column - 0.5), np.abs(shifted - row - 0.5) * length / breadth)
    clump = View.random(rng).sample(tiles.rough, x / 5, z / 5)
    hedge = (edge > 0.46) & (clump > rng.uniform(-0.4, 0.8))
    copse = View.random(rng).sample(tiles.smooth, x / 7, z / 7) + 0.3 * clump > rng.uniform(1.2, 2.0)
    crowns = View.random(rng).sample(tiles.white, x / 3.5, z / 3.5)
    trees = (hedge | copse) * smoothstep(0.15, 0.5, crowns)
    hills = View.random(rng).sample(tiles.smooth, x / 40, z / 40) * smoothstep(300, 8_000, z)
    height = hills * rng.uniform(10, 70) + trees * (2 + 9 * crowns)
    albedo = _mix(albedo, _vary(rng, rgb(0.045, 0.07, 0.025)), trees)
    albedo *= _grain(View.random(rng).nearest(tiles.rough, x / 1.5, z / 1.5), 0.10)
    return Surface(height, albedo, emission=_villages(rng, tiles, camera, light))


def sea(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Water with waves that mirror the sky, islands or a coast far away, whitecaps in wind."""
    x, z = camera.x, camera.distance
    calm = np.exp(-z / 6_000)
    swell = View.random(rng).sample(tiles.rough, x / 5, z / 2.2)
    ripple = View.random(rng).nearest(tiles.rough, x / 1.8, z / 0.9)
    waves = (0.6 * swell + 0.5 * ripple) * calm
    grazing = 1 / (1 + (camera.altitude / z) ** 2 * 60)
    mirror = np.clip(0.12 + 0.75 * grazing + 0.20 * waves, 0.02, 0.95)
    wind = View.random(rng).sample(tiles.smooth, x / 30, z / 60)
    mirror = np.clip(mirror * (1 + 0.10 * wind), 0, 0.97)
    land = View.random(rng).sample(tiles.smooth, x / 35, z / 35) + 0.15 * swell
    coast = smoothstep(0.9, 1.3, land) * smoothstep(1_500, 4_000, z) * (rng.random() < 0.7)
    height = coast * (15 + rng.uniform(60, 300) * np.clip(land - 0.9, 0, None)) + waves * 0.5
    albedo = _mix(_vary(rng, rgb(0.02, 0.07, 0.09)), _vary(rng, rgb(0.10, 0.12, 0.06)), coast)
    foam = smoothstep(2.0, 2.4, swell + 0.5 * ripple) * np.exp(-z / 1_200) * (1 - coast) * rng.uniform(0, 0.8)
    albedo = _mix(albedo, rgb(0.8, 0.8, 0.8), foam)
    mirror *= (1 - coast) * (1 - foam)
    return Surface(height, albedo, emission=_glitter(light, camera, swell + ripple, coast), mirror=mirror)


def dunes(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Surface:
    """Sand in smooth waves with crests and ripples, dry bushes here and there."""
    x, z = camera.x, camera.distance
    cell = rng.uniform(9, 18)
    broad = View.random(rng).sample(tiles.smooth, x / cell / 3, z / cell / 3)
    crest = 1 - np.abs(View.random(rng).sample(tiles.smooth, (x + 60 * broad) / cell / 2, z / cell / 2))
    rise = smoothstep(150, 2_500, z)
    height = rise * (rng.uniform(30, 120) * crest + rng.uniform(20, 80) * broad)
    ripple = np.sin((x + 0.6 * z + 25 * broad) * 1.6) * np.exp(-z / 250)
    fine = View.random(rng).nearest(tiles.rough, x / 2, z / 2)
    sand = _vary(rng, rgb(0.46, 0.30, 0.16))
    albedo = sand * (1 + 0.06 * ripple + 0.05 * broad)[..., None] * _grain(fine, 0.05)
    bushes = View.random(rng).nearest(tiles.rough, x / 3, z / 3) > rng.uniform(1.8, 3.2)
    return Surface(height, _mix(albedo, rgb(0.07, 0.08, 0.04), bushes.astype(np.float32)))


def _patches(rng: np.random.Generator, pick: Field) -> Field:
    """Colours of crops for a number in 0..1 each."""
    green = rgb(0.10, 0.16, 0.04), rgb(0.14, 0.20, 0.06), rgb(0.07, 0.11, 0.03)
    ripe = rgb(0.33, 0.27, 0.10), rgb(0.22, 0.15, 0.09), rgb(0.42, 0.37, 0.10)
    crops = np.stack([*green, *ripe, rgb(0.16, 0.11, 0.07)])
    crops = crops * rng.normal(1, 0.05, crops.shape) * np.exp(rng.normal(0, 0.15))
    dry = rng.uniform(0, 1)
    share = np.array((1, 1, 1, dry, dry, dry / 2, 0.6)).cumsum()
    return crops.clip(0.01).astype(np.float32)[np.searchsorted(share / share[-1], pick).clip(0, 6)]


def _villages(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Field | None:
    """Lamps on the ground at night: points that cluster."""
    if light.lamps < 0.1:
        return None
    x, z = camera.x, camera.distance
    where = View.random(rng).sample(tiles.smooth, x / 12, z / 12)
    # Cells that grow with distance: a lamp is a pixel or two wide wherever it stands.
    spot = View.random(rng).nearest(tiles.white, x / z * (camera.focal / 2), np.log(z) * (camera.focal / 6))
    lit = (spot > 0.99) & (where > rng.uniform(1.0, 2.0)) & (z > 500)
    return lit[..., None] * rgb(1.0, 0.66, 0.30) * np.float32(rng.uniform(0.3, 0.9))


def _glitter(light: Light, camera: Camera, waves: Field, coast: Field) -> Field | None:
    """The path a low sun lays over the water."""
    right, up, near = light.direction
    if near > 0:
        return None
    aim = -right / near
    off = (camera.x / camera.distance - aim) * 4
    path = np.exp(-(off**2)) * smoothstep(0.6, 1.8, waves) * (1 - coast) * max(0.0, 1 - up)
    return path[..., None] * light.sun * 1.5


def _vary(rng: np.random.Generator, colour: Field) -> Field:
    return (colour * rng.normal(1, 0.06, 3) * np.exp(rng.normal(0, 0.2))).clip(0.005).astype(np.float32)


def _mix(first: Field, second: Field, share: Field) -> Field:
    return (first + (second - first) * share[..., None]).astype(np.float32)


def _grain(noise: Field, amount: float) -> Field:
    return np.clip(1 + amount * noise, 0.2, 2)[..., None].astype(np.float32)
