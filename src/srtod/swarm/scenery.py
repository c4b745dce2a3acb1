"""Scenery by name: a landscape and a light, drawn as a picture without objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from srtod.support.errors import InputError, did_you_mean
from srtod.swarm import lands
from srtod.swarm.city import city
from srtod.swarm.light import LIGHTS, Light
from srtod.swarm.noise import Field, Tiles
from srtod.swarm.sky import draw_sky
from srtod.swarm.terrain import Camera, Surface, draw_land

Land = Callable[[np.random.Generator, Tiles, Camera, Light], Surface]

_GROUND: dict[str, Land] = {
    "mountains": lands.mountains,
    "forest": lands.forest,
    "fields": lands.fields,
    "sea": lands.sea,
    "dunes": lands.dunes,
    "city": city,
}
LANDS = ("sky", *_GROUND)
"""Landscapes; ``sky`` is a camera that looks up."""

SCENERY = tuple(f"{land}-{light}" for land in LANDS for light in LIGHTS)
"""Every scenery: landscape and light."""

HELD_OUT = (
    "sky-dawn",
    "sky-golden",
    "mountains-dawn",
    "mountains-overcast",
    "forest-golden",
    "forest-night",
    "fields-dusk",
    "fields-haze",
    "city-golden",
    "city-haze",
    "city-dusk",
    *(name for name in SCENERY if name.startswith("sea-")),
)
"""Scenery that training images never show: test images show nothing else."""

TRAINING = tuple(name for name in SCENERY if name not in HELD_OUT)
"""Scenery of training images."""


@dataclass(frozen=True)
class Backdrop:
    """A picture without objects.

    Attributes:
        image: linear RGB, float32 ``[H, W, 3]``, 1 is white at normal exposure.
        light: what lights it.
        name: its scenery, or the background photograph.
    """

    image: Field
    light: Light
    name: str


def choose_scenery(words: Sequence[str]) -> tuple[str, ...]:
    """List the scenery that words name: a landscape (``city``), a light (``night``) or both (``city-night``).

    Raises:
        InputError: a word names neither.
    """
    chosen: list[str] = []
    for word in words:
        found = [name for name in SCENERY if word == name or word in name.split("-")]
        if not found:
            known = (*LANDS, *LIGHTS, *SCENERY)
            raise InputError(
                f"scenery {word!r} is unknown{did_you_mean(word, known)}; use a landscape "
                f"({', '.join(LANDS)}), a light ({', '.join(LIGHTS)}) or both, such as city-night"
            )
        chosen += [name for name in found if name not in chosen]
    return tuple(chosen)


def draw_scene(rng: np.random.Generator, tiles: Tiles, name: str, size: tuple[int, int]) -> Backdrop:
    """Draw the scenery of a name in :data:`SCENERY`, of a size (width, height) in pixels."""
    land, _, kind = name.partition("-")
    light = LIGHTS[kind](rng)
    camera = _camera(rng, land, size)
    image = draw_sky(rng, tiles, camera, light)
    if land != "sky":
        draw_land(image, camera, light, _GROUND[land](rng, tiles, camera, light))
    return Backdrop(image, light, name)


def _camera(rng: np.random.Generator, land: str, size: tuple[int, int]) -> Camera:
    width, height = size
    horizon = rng.uniform(1.15, 1.9) if land == "sky" else rng.uniform(0.25, 0.85)
    low, high = {"city": (70, 260), "mountains": (60, 400), "sea": (15, 120), "fields": (80, 250)}.get(
        land, (40, 200)
    )
    return Camera(
        width=width,
        height=height,
        horizon=height * horizon,
        focal=max(size) * rng.uniform(0.9, 1.6),
        altitude=rng.uniform(low, high),
    )
