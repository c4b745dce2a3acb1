"""Sources of scenes and of things to put into them: drawn by procedure, or cut-outs over photographs."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from srtod.swarm.flyers import DRONES, OTHERS, draw_flyer, pose
from srtod.swarm.mesh import Mesh
from srtod.swarm.noise import Field, tiles
from srtod.swarm.scenery import Backdrop, draw_scene


class Fleet(Protocol):
    """What flies in one picture."""

    def draw(self, rng: np.random.Generator, size: float, *, drone: bool) -> Field | None:
        """Draw one thing much larger than ``size`` pixels; ``None`` if there is none of the kind."""


class Source(Protocol):
    """Where the pictures of one split come from."""

    @property
    def automatic(self) -> float:
        """How far the camera corrects the exposure (see ``sample_sensor``)."""

    def scene(self, rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
        """Make a scene without objects."""

    def fleet(self, rng: np.random.Generator, scene: Backdrop) -> Fleet:
        """Choose what flies in it."""


@dataclass(frozen=True)
class DrawnFleet:
    """Drones of a few models, birds of one kind.

    Attributes:
        scene: what lights them.
        drones: models that fly here.
        others: birds and insects.
    """

    scene: Backdrop
    drones: tuple[Mesh, ...]
    others: tuple[Mesh, ...]

    def draw(self, rng: np.random.Generator, size: float, *, drone: bool) -> Field:
        """Draw a drone or something else in a random pose."""
        models = self.drones if drone else self.others
        mesh = models[rng.integers(len(models))]
        return draw_flyer(mesh, pose(rng, bank=0.22 if drone else 0.4), self.scene.light, size)


@dataclass(frozen=True)
class Procedural:
    """Everything drawn.

    Attributes:
        scenery: names to choose from.
        tiles_seed: seed of the noise the split's scenery is made of.
        automatic: how far the camera corrects the exposure.
    """

    scenery: tuple[str, ...]
    tiles_seed: tuple[int, ...]
    automatic: float = 0.3

    def scene(self, rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
        """Draw a scenery chosen at random; every landscape is as frequent as any other."""
        lands = sorted({name.partition("-")[0] for name in self.scenery})
        land = lands[rng.integers(len(lands))]
        name = rng.choice([name for name in self.scenery if name.startswith(land)])
        return draw_scene(rng, tiles(self.tiles_seed), str(name), size)

    def fleet(self, rng: np.random.Generator, scene: Backdrop) -> DrawnFleet:
        """Choose one to three models of drones, and birds in several phases of their wing beat."""
        lamps = scene.light.lamps > 0.1
        drones = _models(rng, DRONES, int(rng.integers(1, 4)), lamps=lamps)
        return DrawnFleet(scene, drones, _models(rng, OTHERS, 5, lamps=lamps))


def _models(rng: np.random.Generator, kinds: tuple, count: int, *, lamps: bool) -> tuple[Mesh, ...]:
    makers, frequencies = zip(*kinds, strict=True)
    chosen = rng.choice(len(makers), size=count, p=frequencies)
    return tuple(makers[index](rng, lamps=lamps) for index in chosen)
