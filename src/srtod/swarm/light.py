"""Light of a scene: time of day and weather, in linear RGB where 1 is white at normal exposure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from srtod.swarm.noise import Field

Colour = Field
"""Linear RGB, ``[3]``."""


@dataclass(frozen=True)
class Light:
    """What lights a scene.

    Attributes:
        zenith, horizon: colour of the sky above and at the horizon; far things fade into ``horizon``.
        sun: light of the sun (or moon) on a surface that faces it.
        ambient: light from the whole sky.
        direction: unit vector to the sun: right, up, towards the camera.
        visibility: metres after which 63 % of a thing's contrast is lost.
        clouds: share of the sky that is covered, 0..1.
        lamps: share of windows and street lamps that are lit, 0..1.
        stars: brightness of stars; 0 for none.
        gain: sensor gain: noise grows with it.
    """

    zenith: Colour
    horizon: Colour
    sun: Colour
    ambient: Colour
    direction: Field
    visibility: float
    clouds: float
    lamps: float = 0.0
    stars: float = 0.0
    gain: float = 1.0


def rgb(red: float, green: float, blue: float) -> Colour:
    """Make a colour."""
    return np.array((red, green, blue), np.float32)


def _vary(rng: np.random.Generator, colour: Colour, amount: float = 0.12) -> Colour:
    """Change brightness by about ``amount`` of the value, and hue by a fifth of that; by 0, draw nothing."""
    if amount == 0:
        return colour
    changed = colour * rng.normal(1, amount / 5, 3) * np.exp(rng.normal(0, amount))
    return changed.clip(0.001).astype(np.float32)


def _sun(rng: np.random.Generator, low: float, high: float) -> Field:
    """Unit vector to a sun at an elevation between ``low`` and ``high`` degrees, anywhere around."""
    elevation, azimuth = np.radians(rng.uniform(low, high)), rng.uniform(0, 2 * np.pi)
    level = np.cos(elevation)
    return np.array((level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)), np.float32)


def _between(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw between two bounds; where both are one, draw nothing."""
    low, high = bounds
    return low if low == high else rng.uniform(low, high)


_COLOURS = {
    "day": ((0.07, 0.20, 0.46), (0.55, 0.73, 0.86), (1.25, 1.16, 1.00), (0.17, 0.21, 0.28)),
    "golden": ((0.16, 0.25, 0.42), (0.85, 0.66, 0.42), (1.30, 0.80, 0.40), (0.15, 0.16, 0.20)),
    "overcast": ((0.40, 0.44, 0.49), (0.60, 0.62, 0.65), (0.10, 0.10, 0.10), (0.46, 0.48, 0.50)),
    "dusk": ((0.045, 0.065, 0.17), (0.62, 0.27, 0.11), (0.34, 0.16, 0.08), (0.065, 0.07, 0.12)),
    "dawn": ((0.15, 0.17, 0.32), (0.66, 0.44, 0.46), (0.55, 0.34, 0.28), (0.17, 0.17, 0.24)),
    "night": ((0.006, 0.009, 0.022), (0.040, 0.036, 0.044), (0.030, 0.034, 0.048), (0.010, 0.012, 0.020)),
}
"""Colours of zenith, horizon, sun and ambient."""

_AMOUNTS = {
    "day": (0.25, 0.12, 0.12, 0.12),
    "golden": (0.2, 0.12, 0.12, 0.12),
    "overcast": (0.2, 0.12, 0.0, 0.12),
    "dusk": (0.3, 0.25, 0.2, 0.12),
    "dawn": (0.2, 0.2, 0.2, 0.12),
    "night": (0.4, 0.4, 0.3, 0.3),
}
"""How much each of these varies."""

_WEATHER = {
    "day": ((25, 65), (9_000, 30_000), (0.1, 0.6), (0.0, 0.0), (0.0, 0.0), 1.0),
    "golden": ((8, 20), (6_000, 16_000), (0.0, 0.5), (0.0, 0.0), (0.0, 0.0), 1.0),
    "overcast": ((50, 80), (4_000, 10_000), (0.75, 1.0), (0.05, 0.05), (0.0, 0.0), 1.5),
    "dusk": ((1, 6), (8_000, 30_000), (0.0, 0.7), (0.15, 0.5), (0.0, 0.0), 3.0),
    "dawn": ((3, 10), (2_500, 9_000), (0.0, 0.6), (0.08, 0.08), (0.0, 0.0), 2.0),
    "night": ((15, 60), (4_000, 15_000), (0.0, 0.6), (0.2, 0.6), (0.0, 0.35), 7.0),
}
"""Bounds of the sun's elevation in degrees, of visibility, clouds, lamps and stars; gain."""


def _light(name: str, rng: np.random.Generator) -> Light:
    colours = zip(_COLOURS[name], _AMOUNTS[name], strict=True)
    zenith, horizon, sun, ambient = (_vary(rng, rgb(*colour), amount) for colour, amount in colours)
    elevation, *bounds, gain = _WEATHER[name]
    direction = _sun(rng, *elevation)
    visibility, clouds, lamps, stars = (_between(rng, own) for own in bounds)
    if name == "day":
        clouds = float(rng.choice((0.0, clouds)))
    return Light(zenith, horizon, sun, ambient, direction, visibility, clouds, lamps, stars, gain)


def _haze(rng: np.random.Generator) -> Light:
    yellow = np.float32(rng.choice((0.0, 1.0)))
    air = _vary(rng, rgb(0.66, 0.68, 0.69) - yellow * rgb(0.0, 0.05, 0.16), 0.08)
    return Light(
        # Thick air looks alike in all directions; far mountains vanish in it.
        zenith=air * np.float32(rng.uniform(0.82, 0.95)),
        horizon=air,
        sun=_vary(rng, rgb(0.45, 0.42, 0.36)),
        ambient=_vary(rng, rgb(0.40, 0.41, 0.42)),
        direction=_sun(rng, 20, 60),
        visibility=float(np.exp(rng.uniform(np.log(500), np.log(2_500)))),
        clouds=rng.uniform(0.0, 0.2),
        gain=1.3,
    )


_NAMES = ("day", "golden", "overcast", "haze", "dusk", "dawn", "night")
LIGHTS: dict[str, Callable[[np.random.Generator], Light]] = {
    name: _haze if name == "haze" else partial(_light, name) for name in _NAMES
}
"""Builders of light by name; each draws its own variation."""
