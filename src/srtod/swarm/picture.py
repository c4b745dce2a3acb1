"""One synthetic picture: scene, camera, everything that flies, file."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srtod.swarm.cutouts import Composed
from srtod.swarm.flyers import Procedural
from srtod.swarm.place import Canvas, fit, sample_centres
from srtod.swarm.sensor import expose, sample_sensor, write_jpeg
from srtod.swarm.statistics import Sizes, sample_count


@dataclass(frozen=True)
class SplitPlan:
    """What all images of a split have in common.

    Attributes:
        split: its name.
        folder: where its images go.
        source: where scenes and things come from.
        size: width and height in pixels.
        seed: the data set's.
        objects: mean number of drones an image.
        sizes: of the drones.
        empty: share of the images that show none.
    """

    split: str
    folder: Path
    source: Procedural | Composed
    size: tuple[int, int]
    seed: int
    objects: float
    sizes: Sizes
    empty: float = 0.0


@dataclass(frozen=True)
class Synthesized:
    """What one image shows.

    Attributes:
        file_name: in the split's image folder.
        scenery: name of the scenery or of the background photograph.
        boxes: x y width height in whole pixels, one a drone.
    """

    file_name: str
    scenery: str
    boxes: tuple[tuple[int, int, int, int], ...]


def make_image(plan: SplitPlan, index: int) -> Synthesized:
    """Make image number ``index`` (from 0) of a split and write its file."""
    rng = np.random.default_rng(np.random.SeedSequence((plan.seed, zlib.crc32(plan.split.encode()), index)))
    scene = plan.source.scene(rng, plan.size)
    sensor = sample_sensor(rng, scene, automatic=plan.source.automatic)
    fleet = plan.source.fleet(rng, scene)
    canvas = Canvas(scene.image, sensor)
    drones = sample_count(rng, plan.objects)
    if plan.empty and rng.random() < plan.empty:
        drones = 0
    others = int(rng.poisson(rng.gamma(0.6, 0.4 * plan.objects / 0.6)))
    swarms = _swarms(rng, plan.size)
    boxes = []
    for number, length in enumerate(plan.sizes.sample(rng, drones + others)):
        drone = number < drones
        drawing = fleet(rng, length, drone=drone)
        if drawing is None:
            continue
        angle, speed = rng.uniform(0, 2 * np.pi), length * rng.choice((0.0, rng.uniform(0.0, 0.4)))
        smear = (float(speed * np.cos(angle)), float(0.5 * speed * np.sin(angle)))
        patch = fit(rng, drawing, length, sensor, smear)
        fade = float(rng.choice((rng.uniform(0, 0.25), rng.uniform(0, 0.85))))
        box = canvas.put(rng, patch, sample_centres(rng, plan.size, swarms), fade)
        if drone and box is not None:
            x1, y1, x2, y2 = (int(value) for value in box)
            boxes.append((x1, y1, x2 - x1, y2 - y1))
    name = f"{plan.split}_{index + 1:06d}.jpg"
    write_jpeg(expose(canvas.image, sensor, rng), plan.folder / name, sensor)
    return Synthesized(name, scene.name, tuple(boxes))


def _swarms(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Centres and radii of up to three swarms; without any, drones fly all over the picture."""
    count = int(rng.choice((0, 1, 2, 3), p=(0.5, 0.25, 0.15, 0.1)))
    centres = rng.uniform(0.15, 0.85, (count, 2)) * size
    return np.column_stack((centres, rng.uniform(0.06, 0.2, count) * max(size)))
