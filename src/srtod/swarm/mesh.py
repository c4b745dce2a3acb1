"""Solid shapes made of flat faces, and their picture from any side."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srtod.swarm.light import Colour, Light
from srtod.swarm.noise import Field


class Mesh:
    """A shape that others are added to; x to its right, y up, z forwards, any unit.

    Attributes:
        points: ``[P, 3]``.
        faces: the four corners of each convex face as indices into ``points``, int ``[F, 4]``, against the
            clock as seen from outside; a triangle names its last corner twice.
        colours: albedo of each face, ``[F, 3]``.
        veils: faces seen through, such as turning rotors: indices of each into ``points``.
        veil: albedo of the veils and their opacity, ``[4]``.
        lamps: points that shine, each with its light: ``[6]``.
    """

    def __init__(self) -> None:
        self.points = np.zeros((0, 3), np.float32)
        self.faces = np.zeros((0, 4), np.intp)
        self.colours = np.zeros((0, 3), np.float32)
        self.veils: list[NDArray[np.intp]] = []
        self.veil = np.zeros(4, np.float32)
        self.lamps: list[Field] = []

    def add(self, points: Field, faces: Iterable[Sequence[int]], colour: Colour) -> None:
        """Add faces (3 or 4 corners) of one colour over their own points."""
        corners = np.array([(*face, *face[2:])[:4] for face in faces]) + len(self.points)
        self.faces = np.concatenate((self.faces, corners))
        self.colours = np.concatenate((self.colours, np.tile(colour, (len(corners), 1))))
        self._take(points)

    def add_veil(self, centre: Field, radius: float) -> None:
        """Add a level disc that is seen through."""
        circle = _circle(12)
        self.veils.append(np.arange(12) + len(self.points))
        self._take(np.stack((circle[:, 0], np.zeros(12), circle[:, 1]), axis=1) * radius + centre)

    def add_lamp(self, point: Field, light: Colour) -> None:
        """Add a point that shines."""
        self.lamps.append(np.concatenate((point, light)).astype(np.float32))

    def add_ball(self, centre: Field, radii: Field, colour: Colour) -> None:
        """Add an ellipsoid."""
        points, faces = _ball()
        self.add(points * radii + centre, faces, colour)

    def add_bar(self, start: Field, end: Field, thickness: float, colour: Colour) -> None:
        """Add a square bar from point to point."""
        axis = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        side = np.cross(axis, (0.0, 1.0, 0.0) if abs(axis[1]) < 0.9 else (1.0, 0.0, 0.0))
        side = side / np.linalg.norm(side) * thickness / 2
        lift = np.cross(side, axis)
        ring = np.stack((side + lift, side - lift, -side - lift, -side + lift))
        self.add(np.concatenate((start + ring, end + ring)), _BAR_FACES, colour)

    def add_plate(self, points: Sequence[Field], colour: Colour) -> None:
        """Add a thin convex plate, visible from both sides."""
        count = len(points)
        self.add(np.stack(points), (range(count), range(count - 1, -1, -1)), colour)

    def _take(self, points: Field) -> None:
        self.points = np.concatenate((self.points, points.astype(np.float32)))


def rotation(yaw: float, pitch: float, roll: float) -> Field:
    """Matrix that turns a shape by yaw (about y), then pitch (about x), then roll (about z), in radians."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
    about_x = np.array(((1, 0, 0), (0, cp, -sp), (0, sp, cp)))
    about_z = np.array(((cr, -sr, 0), (sr, cr, 0), (0, 0, 1)))
    return (about_z @ about_x @ about_y).astype(np.float32)


def draw_mesh(mesh: Mesh, turn: Field, light: Light, scale: float) -> Field:
    """Draw a mesh as seen from far away: premultiplied linear RGB and alpha ``[h, w, 4]``, cropped to it.

    ``turn`` is a rotation matrix ``[3, 3]`` into right, up, towards the camera; ``scale`` is pixels a unit.
    """
    points = mesh.points @ turn.T
    low, high = points.min(0), points.max(0)
    size = (int(np.ceil((high[0] - low[0]) * scale)) + 2, int(np.ceil((high[1] - low[1]) * scale)) + 2)

    def flat(points: Field) -> Field:
        return np.stack(((points[:, 0] - low[0]) * scale + 1, (high[1] - points[:, 1]) * scale + 1), axis=1)

    colour, alpha = _draw_faces(mesh, points, flat(points), light, size)
    if mesh.veils:
        _blend_veils(mesh, flat(points), light, colour, alpha)
    picture = np.concatenate((colour, alpha[..., None]), axis=-1)
    if mesh.lamps:
        lamps = np.stack(mesh.lamps)
        _draw_lamps(picture, flat(lamps[:, :3] @ turn.T), lamps[:, 3:], max(0.035 * max(size), 1.5))
    return picture


def _draw_faces(
    mesh: Mesh, points: Field, flat: Field, light: Light, size: tuple[int, int]
) -> tuple[Field, Field]:
    """Paint the faces that look at the camera from far to near; colours come back premultiplied."""
    corners = points[mesh.faces]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    order = np.argsort(corners[..., 2].mean(1), kind="stable")
    order = order[normals[order, 2] > 0]
    facing = np.clip(normals @ light.direction, 0, 1)[:, None] * light.sun
    # The ground below sends back a third of the light of the sky.
    shade = mesh.colours * (facing + (0.65 + 0.35 * normals[:, 1:2]) * light.ambient)
    # The picture is painted in 8 bits; a square root keeps the dark tones apart.
    peak = max(float(shade.max()), 1e-4)
    tones = np.rint(np.sqrt(shade / peak) * 255).astype(int)[order].tolist()
    outlines = flat[mesh.faces[order]].reshape(-1, 8).tolist()
    image = Image.new("RGBA", size)
    draw = ImageDraw.Draw(image)
    for outline, tone in zip(outlines, tones, strict=True):
        draw.polygon(outline, fill=(*tone, 255))
    painted = np.asarray(image, np.float32) / 255
    return painted[..., :3] ** 2 * peak, painted[..., 3].copy()


def _blend_veils(mesh: Mesh, flat: Field, light: Light, colour: Field, alpha: Field) -> None:
    image = Image.new("L", (alpha.shape[1], alpha.shape[0]))
    draw = ImageDraw.Draw(image)
    for veil in mesh.veils:
        draw.polygon(flat[veil].ravel().tolist(), fill=255)
    cover = np.asarray(image, np.float32) / 255 * mesh.veil[3]
    shade = mesh.veil[:3] * (0.5 * light.sun + light.ambient)
    # Rotors are laid over what is opaque: at these sizes nobody sees which is in front.
    colour *= 1 - 0.3 * cover[..., None]
    free = cover * (1 - alpha)
    colour += free[..., None] * shade
    alpha += free


def _draw_lamps(picture: Field, spots: Field, lights: Field, radius: float) -> None:
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    for (x, y), shine in zip(spots, lights, strict=True):
        disc = np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1)[..., None]
        picture[..., :3] += disc * (shine - picture[..., :3])
        picture[..., 3:] += disc * (1 - picture[..., 3:])


def _circle(count: int) -> Field:
    turn = np.arange(count) * (2 * np.pi / count)
    return np.stack((np.cos(turn), np.sin(turn)), axis=1).astype(np.float32)


_BAR_FACES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (3, 2, 1, 0), (4, 5, 6, 7))


@cache
def _ball(around: int = 8, levels: int = 5) -> tuple[Field, tuple[tuple[int, ...], ...]]:
    """A unit ball: points and faces that look outwards."""
    tilt = np.linspace(-np.pi / 2, np.pi / 2, levels)
    ring = _circle(around)
    points = np.array(
        [(np.cos(t) * x, np.sin(t), np.cos(t) * z) for t in tilt for x, z in ring], dtype=np.float32
    )
    faces = tuple(
        (low + i, low + around + i, low + around + (i + 1) % around, low + (i + 1) % around)
        for low in range(0, (levels - 1) * around, around)
        for i in range(around)
    )
    return points, faces
