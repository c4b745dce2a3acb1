"""Sky: gradient, glow round the sun, clouds on a layer seen in perspective, stars."""

import numpy as np
from PIL import Image

from srtod.swarm.light import Light
from srtod.swarm.noise import Field, Tiles, View, smoothstep
from srtod.swarm.terrain import Camera


def draw_sky(rng: np.random.Generator, tiles: Tiles, camera: Camera, light: Light) -> Field:
    """Draw a sky, linear RGB ``[H, W, 3]``."""
    size = (camera.width, camera.height)
    # A sky has no fine detail: a quarter of the pixels, enlarged, looks the same.
    step = 2 if max(size) > 640 else 1
    rows = ((np.arange(0, camera.height, step) - camera.horizon) / -camera.focal).astype(np.float32)
    columns = ((np.arange(0, camera.width, step) - camera.width / 2) / camera.focal).astype(np.float32)
    sky = _gradient(light, rows)[:, None] + _glow(light, rows, columns)
    if light.clouds > 0:
        _add_clouds(rng, tiles, light, sky, rows, columns)
    if step > 1:
        sky = np.stack([_enlarge(sky[..., channel], size) for channel in range(3)], axis=-1)
    if light.stars > 0:
        _add_stars(rng, light, sky, camera.horizon)
    return sky


def _gradient(light: Light, rows: Field) -> Field:
    share = np.exp(-np.clip(rows, 0, None) * 3.2)[:, None]
    return light.zenith + (light.horizon - light.zenith) * share


def _glow(light: Light, rows: Field, columns: Field) -> Field:
    """Brightness round a sun in front of the camera (``direction`` points away from what is seen)."""
    x, y, z = light.direction
    length = np.sqrt(1 + rows[:, None] ** 2 + columns[None] ** 2)
    cosine = (columns[None] * x + rows[:, None] * y - z) / length
    if cosine.max() < 0.8:
        return np.zeros((*cosine.shape, 3), np.float32)
    glow = 0.3 * np.exp(24 * (cosine - 1)) + 0.9 * np.exp(500 * (cosine - 1))
    return glow[..., None] * light.sun


def _add_clouds(
    rng: np.random.Generator, tiles: Tiles, light: Light, sky: Field, rows: Field, columns: Field
) -> None:
    """Blend a cloud layer into ``sky``: at height 1 above the camera, so 1 / tan(elevation) away."""
    above = int((rows > 0.015).sum())
    if above == 0:
        return
    distance = (1 / (rows[:above, None] + 0.12)).astype(np.float32)
    scale = rng.uniform(25, 70)
    x, y = columns[None] * distance * scale, distance * scale * rng.uniform(0.8, 1.6)
    view = View.random(rng)
    noise = view.sample(tiles.smooth, x, y)
    noise += 0.35 * View.random(rng).sample(tiles.rough, x * 2.3, y * 2.3)
    edge = 1.4 - 2.8 * light.clouds
    soft = rng.uniform(0.4, 1.6)
    cover = smoothstep(edge, edge + soft, noise)
    cover *= smoothstep(0.0, 0.10, rows[:above])[:, None] * rng.uniform(0.6, 0.95)
    # Thick parts keep the light out; the edge towards the sun shines.
    thick = smoothstep(edge + 0.3, edge + 2.4, noise)
    lit = light.ambient * 1.3 + light.sun * 0.5 + 0.25 * light.horizon
    dark = light.ambient * 0.75 + 0.2 * light.horizon
    colour = lit + (dark - lit) * thick[..., None]
    sky[:above] += cover[..., None] * (colour - sky[:above])


def _enlarge(channel: Field, size: tuple[int, int]) -> Field:
    return np.asarray(Image.fromarray(np.ascontiguousarray(channel)).resize(size, Image.Resampling.BILINEAR))


def _add_stars(rng: np.random.Generator, light: Light, sky: Field, horizon: float) -> None:
    height, width = sky.shape[:2]
    top = int(np.clip(horizon, 0, height))
    count = int(rng.uniform(0.2, 1.0) * top * width / 4000)
    rows, columns = rng.integers(0, max(top, 1), count), rng.integers(0, width, count)
    brightness = light.stars * (1 - light.clouds) * rng.pareto(2.5, count).clip(0, 6)
    tint = rng.uniform(0.8, 1.2, (count, 3))
    sky[rows, columns] += (brightness[:, None] * tint).astype(np.float32)
