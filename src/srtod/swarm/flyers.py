"""What flies: drones of several kinds, birds, insects; each new one a little different."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from srtod.swarm.light import Light, rgb
from srtod.swarm.mesh import Mesh, draw_mesh, rotation
from srtod.swarm.noise import Field, tiles
from srtod.swarm.scenery import Backdrop, draw_scene

_SUPERSAMPLING = 8
"""Pixels drawn for one pixel of the picture, so that 4 px objects are right below the pixel."""


def _point(x: float, y: float, z: float) -> Field:
    return np.array((x, y, z), np.float32)


def multicopter(rng: np.random.Generator, *, lamps: bool) -> Mesh:
    """A drone with 4 or 6 rotors on arms, a camera below, legs; its rotors turn."""
    arms = 4 if rng.random() < 0.75 else 6
    mesh = Mesh()
    colour = _drone_colour(rng)
    dark = colour * 0.6
    body = _point(rng.uniform(0.20, 0.32), rng.uniform(0.10, 0.18), rng.uniform(0.28, 0.50))
    mesh.add_ball(_point(0, 0, 0), body, colour)
    reach, lift = 1.0, rng.uniform(0.0, 0.18)
    rotor = min(rng.uniform(0.42, 0.62), 0.95 * np.sin(np.pi / arms))
    thick = rng.uniform(0.07, 0.13)
    offset = np.pi / arms if rng.random() < 0.85 else 0.0
    blade = rng.uniform(0, np.pi)
    for index in range(arms):
        turn = offset + index * 2 * np.pi / arms
        tip = _point(reach * np.sin(turn), lift, reach * np.cos(turn))
        mesh.add_bar(_point(0, 0, 0), tip, thick, dark)
        mesh.add_bar(tip - _point(0, 0.06, 0), tip + _point(0, 0.13, 0), 0.16, dark)
        hub = tip + _point(0, 0.15, 0)
        mesh.add_veil(hub, rotor)
        # A short exposure leaves a shadow of each blade.
        spin = blade + index * 1.3
        along = _point(np.cos(spin), 0, np.sin(spin)) * rotor
        mesh.add_bar(hub - along, hub + along, 0.045, dark)
        if lamps:
            front = np.cos(turn) > 0
            mesh.add_lamp(tip - _point(0, 0.08, 0), rgb(0.3, 1.2, 0.4) if front else rgb(1.4, 0.15, 0.1))
    _add_undercarriage(rng, mesh, dark)
    mesh.veil = np.array((0.10, 0.10, 0.11, rng.uniform(0.12, 0.38)), np.float32)
    return mesh


def _add_undercarriage(rng: np.random.Generator, mesh: Mesh, colour: Field) -> None:
    drop = rng.uniform(0.25, 0.5)
    if rng.random() < 0.65:
        for side in (-1, 1):
            foot = side * 0.38
            for end in (-0.22, 0.22):
                mesh.add_bar(_point(side * 0.15, 0, end), _point(foot, -drop, end), 0.05, colour)
            mesh.add_bar(_point(foot, -drop, -0.4), _point(foot, -drop, 0.4), 0.05, colour)
    if rng.random() < 0.7:
        mesh.add_ball(_point(0, -0.22, 0.18), _point(0.12, 0.12, 0.12), rgb(0.05, 0.05, 0.05))


def fixed_wing(rng: np.random.Generator, *, lamps: bool) -> Mesh:
    """A small aeroplane or flying wing."""
    mesh = Mesh()
    colour = _drone_colour(rng)
    span, chord, sweep = 1.0, rng.uniform(0.18, 0.32), rng.uniform(0.0, 0.45)
    flying_wing = rng.random() < 0.35
    chord *= 1.7 if flying_wing else 1.0
    dihedral = rng.uniform(0.0, 0.12)
    for side in (-1.0, 1.0):
        front = _point(side * span, dihedral, chord * 0.4 - sweep)
        back = _point(side * span, dihedral, -chord * 0.1 - sweep)
        mesh.add_plate([_point(0, 0.04, chord), front, back, _point(0, 0.04, -chord * 0.6)], colour)
        if lamps:
            mesh.add_lamp(front, rgb(1.4, 0.15, 0.1) if side < 0 else rgb(0.3, 1.2, 0.4))
    length = 0.35 if flying_wing else rng.uniform(0.6, 0.85)
    mesh.add_ball(_point(0, 0, 0), _point(0.09, 0.09, length), colour * 0.85)
    if not flying_wing:
        tail = -length
        flat = [_point(-0.32, 0, tail + 0.14), _point(0.32, 0, tail + 0.14), _point(0.28, 0, tail - 0.06)]
        mesh.add_plate([*flat, _point(-0.28, 0, tail - 0.06)], colour)
    fin = [_point(0, 0, -length + 0.2), _point(0, 0.26, -length), _point(0, 0, -length - 0.04)]
    mesh.add_plate(fin, colour)
    return mesh


def bird(rng: np.random.Generator) -> Mesh:
    """A bird in some phase of its wing beat."""
    mesh = Mesh()
    tone = rng.choice((0.03, 0.08, 0.25, 0.6), p=(0.45, 0.3, 0.15, 0.10))
    colour = rgb(1.0, 0.92, 0.82) * np.float32(tone)
    flap, bend = rng.uniform(-0.7, 1.0), rng.uniform(-0.5, 0.3)
    inner, outer, chord = rng.uniform(0.4, 0.55), rng.uniform(0.45, 0.7), rng.uniform(0.16, 0.32)
    sweep = rng.uniform(0.0, 0.3)
    mesh.add_ball(_point(0, 0, 0), _point(0.11, 0.10, rng.uniform(0.28, 0.45)), colour)
    tail = [_point(0, 0, -0.25), _point(0.12, 0, -0.6), _point(-0.12, 0, -0.6)]
    mesh.add_plate(tail, colour * 0.8)
    for side in (-1.0, 1.0):
        elbow = _point(side * inner * np.cos(flap), inner * np.sin(flap), 0.06)
        angle = flap + bend - 0.3 * abs(flap)
        tip = elbow + _point(side * outer * np.cos(angle), outer * np.sin(angle), -sweep)
        ahead, behind = _point(0, 0, chord * 0.5), _point(0, 0, -chord * 0.6)
        mesh.add_plate([ahead, elbow + ahead, elbow + behind, behind], colour)
        mesh.add_plate([elbow + ahead, tip, elbow + behind], colour * 0.85)
    return mesh


def insect(rng: np.random.Generator) -> Mesh:
    """An insect near the lens: a body and two blurred wings."""
    mesh = Mesh()
    shade = np.float32(rng.uniform(0.02, 0.2))
    mesh.add_ball(_point(0, 0, 0), _point(0.25, 0.22, rng.uniform(0.4, 0.8)), rgb(1, 0.9, 0.8) * shade)
    for side in (-0.35, 0.35):
        mesh.add_veil(_point(side, 0.1, 0), 0.35)
    mesh.veil = np.array((0.5, 0.5, 0.5, 0.3), np.float32)
    return mesh


def airliner(rng: np.random.Generator) -> Mesh:
    """A large aeroplane far away: long body, swept wings, engines, tail."""
    mesh = Mesh()
    colour = rgb(1, 1, 1.02) * np.float32(rng.uniform(0.35, 0.8))
    span, sweep, body = rng.uniform(0.75, 1.0), rng.uniform(0.3, 0.55), rng.uniform(0.09, 0.13)
    mesh.add_ball(_point(0, 0, 0), _point(body, body, 1.0), colour)
    for side in (-1.0, 1.0):
        wing = [
            _point(0, 0, 0.25),
            _point(side * span, 0.06, -sweep),
            _point(side * span, 0.06, -sweep - 0.1),
        ]
        mesh.add_plate([*wing, _point(0, 0, -0.2)], colour * 0.8)
        engine = _point(side * 0.35, -0.07, 0.1 - 0.35 * sweep)
        mesh.add_ball(engine, _point(0.06, 0.06, 0.14), colour * 0.6)
        mesh.add_plate(
            [_point(0, 0.04, -0.78), _point(side * 0.35, 0.06, -1.0), _point(0, 0.04, -0.98)], colour
        )
    mesh.add_plate([_point(0, 0.05, -0.7), _point(0, 0.38, -1.0), _point(0, 0.05, -0.98)], colour * 0.9)
    return mesh


def leaf(rng: np.random.Generator) -> Mesh:
    """A leaf or scrap that the wind carries: one thin, bent plate."""
    mesh = Mesh()
    colour = rgb(rng.uniform(0.05, 0.5), rng.uniform(0.08, 0.35), rng.uniform(0.02, 0.12))
    width, bend = rng.uniform(0.25, 0.6), rng.uniform(-0.3, 0.3)
    for side in (-1.0, 1.0):
        edge = [_point(0, 0, 1.0), _point(side * width, bend, 0.2), _point(side * width * 0.8, bend, -0.4)]
        mesh.add_plate([*edge, _point(0, 0, -1.0)], colour)
    return mesh


def _drone_colour(rng: np.random.Generator) -> Field:
    """Black and grey mostly, white often, a few in bright colours."""
    kind = rng.random()
    if kind < 0.55:
        return rgb(1, 1, 1.03) * np.float32(rng.uniform(0.02, 0.12))
    if kind < 0.8:
        return rgb(1, 1, 1) * np.float32(rng.uniform(0.5, 0.8))
    if kind < 0.93:
        return rgb(1, 1, 1.02) * np.float32(rng.uniform(0.15, 0.35))
    bright = rng.uniform(0.02, 0.08, 3)
    bright[rng.integers(3)] = rng.uniform(0.35, 0.6)
    return bright.astype(np.float32)


def pose(rng: np.random.Generator, *, bank: float) -> Field:
    """A turn ``[3, 3]`` any way round, seen from about its own height or below, banked by ``bank``."""
    view = np.radians(rng.normal(-8, 22))
    lean = rng.normal(0, bank, 2)
    yaw = rng.uniform(0, 2 * np.pi)
    turn = rotation(0, float(view), 0) @ rotation(0, float(lean[0]), float(lean[1])) @ rotation(yaw, 0, 0)
    return turn.astype(np.float32)


def draw_flyer(mesh: Mesh, turn: Field, light: Light, size: float) -> Field:
    """Draw a thing about 8 times as large as ``size``, the square root of its box's area in pixels.

    Returns premultiplied linear RGB and alpha, float32 ``[h, w, 4]``.
    """
    sides = np.ptp((mesh.points @ turn.T)[:, :2], axis=0).astype(float).clip(1e-3)
    detail = _SUPERSAMPLING if size < 20 else _SUPERSAMPLING / 2
    return draw_mesh(mesh, turn, light, detail * size / np.sqrt(sides.prod()))


def draw_lamp(rng: np.random.Generator, size: float) -> Field:
    """Draw a lit lamp far away: a disc, white to orange or red, whose light falls off towards its edge.

    Returns premultiplied linear RGB and alpha, float32 ``[h, h, 4]``, larger than ``size`` in pixels.
    """
    warmth, edge = rng.uniform(0, 1), rng.uniform(0.2, 1.0)
    colour = rgb(1.4, 1.4 - 0.7 * warmth, 1.3 - 1.2 * warmth) if rng.random() < 0.8 else rgb(1.4, 0.12, 0.08)
    side = math.ceil(_SUPERSAMPLING * size / 2)
    places = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    alpha = np.clip((1 - np.hypot(places[:, None], places)) / edge, 0, 1)[..., None]
    return np.concatenate((alpha * colour, alpha), axis=-1).astype(np.float32)


DRONES: tuple[tuple[Callable[..., Mesh], float], ...] = ((multicopter, 0.85), (fixed_wing, 0.15))
"""Kinds of drones and how frequent each is."""

OTHERS: tuple[tuple[Callable[..., Mesh], float], ...] = ((bird, 0.88), (insect, 0.12))
"""What flies and is no drone."""

CLUTTER: tuple[tuple[Callable[..., Mesh], float], ...] = (
    (leaf, 0.35),
    (insect, 0.35),
    (airliner, 0.3),
)
"""What else is taken for drones, beside lamps; drawn into composed pictures beside cut-outs of birds."""


@dataclass(frozen=True)
class Procedural:
    """Everything drawn.

    Attributes:
        scenery: names to choose from.
        tiles_seed: seed of the noise the split's scenery is made of.
        automatic: how far the camera corrects the exposure (see ``sample_sensor``).
    """

    scenery: tuple[str, ...]
    tiles_seed: tuple[int, ...]
    automatic: ClassVar[float] = 0.3

    def scene(self, rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
        """Draw a scenery chosen at random; every landscape is as frequent as any other."""
        lands = sorted({name.partition("-")[0] for name in self.scenery})
        land = lands[rng.integers(len(lands))]
        name = rng.choice([name for name in self.scenery if name.startswith(land)])
        return draw_scene(rng, tiles(self.tiles_seed), str(name), size)

    def fleet(self, rng: np.random.Generator, scene: Backdrop) -> Callable[..., Field]:
        """Choose one to three models of drones, and birds in several phases of their wing beat."""
        drones = draw_models(rng, DRONES, int(rng.integers(1, 4)), lamps=scene.light.lamps > 0.1)
        others = draw_models(rng, OTHERS, 5)

        def draw(rng: np.random.Generator, size: float, *, drone: bool) -> Field:
            models = drones if drone else others
            mesh = models[rng.integers(len(models))]
            return draw_flyer(mesh, pose(rng, bank=0.22 if drone else 0.4), scene.light, size)

        return draw


def draw_models(
    rng: np.random.Generator, kinds: Sequence[tuple[Callable[..., Mesh], float]], count: int, **options: bool
) -> list[Mesh]:
    """Draw this many models of these kinds, each as frequent as is said."""
    makers, frequencies = zip(*kinds, strict=True)
    return [makers[index](rng, **options) for index in rng.choice(len(makers), size=count, p=frequencies)]
