"""Composed pictures: real cut-outs with transparency over real photographs."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageOps

from srtod.data.folders import image_files
from srtod.data.images import image_size, read_image
from srtod.support.errors import InputError
from srtod.swarm.flyers import CLUTTER, draw_flyer, draw_lamp, draw_models, pose
from srtod.swarm.light import LIGHTS, Light
from srtod.swarm.noise import Field
from srtod.swarm.scenery import Backdrop

_OTHER = re.compile(r"(?<![a-z])(birds?|distractors?)(?![a-z])")
_HELD_OUT = 0.25
_ENLARGED = 4
_MODELS = 6
"""Of clutter in a picture."""
_LAMPS = 0.4
"""Share of the clutter that are lamps."""
_DAYLIGHT = 0.3
"""Mean linear brightness of a picture by day, in which the cut-outs were taken."""

_LINEAR = np.where(
    np.arange(256) / 255 <= 0.04045,
    np.arange(256) / 255 / 12.92,
    ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4,
).astype(np.float32)


@dataclass(frozen=True)
class Composed:
    """Cut-outs over crops of photographs.

    Attributes:
        drones, others: RGBA pictures.
        backgrounds: photographs.
        clutter: share of the distractors that are drawn: lamps, leaves, insects, airliners.
        automatic: a photograph is exposed already.
    """

    drones: list[Image.Image]
    others: list[Image.Image]
    backgrounds: list[Path]
    clutter: float = 0.0
    automatic: ClassVar[float] = 0.0

    def scene(self, rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
        """Crop a photograph at random, at the picture's shape, and mirror it or not."""
        path = self.backgrounds[rng.integers(len(self.backgrounds))]
        picture = Image.fromarray(read_image(path))
        largest = min(picture.width / size[0], picture.height / size[1])
        share = largest if largest <= 1 else rng.uniform(1, largest)
        width, height = size[0] * share, size[1] * share
        left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
        box = (left, top, left + width, top + height)
        picture = picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
        if rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = _LINEAR[np.asarray(picture)]
        bright = float(image.mean())
        light = replace(LIGHTS["day"](rng), gain=float(np.clip(0.5 * _DAYLIGHT / bright, 0.7, 5.0)))
        return Backdrop(image, light, path.name)

    def fleet(self, rng: np.random.Generator, scene: Backdrop) -> Callable[..., Field | None]:
        """Take all cut-outs and some models of clutter, lit like the photograph."""
        tint = tint_of(scene.image)
        cut_out = partial(self.draw, tint=tint)
        if not self.clutter:
            return cut_out
        models = draw_models(rng, CLUTTER, _MODELS)
        dimmed = dimmed_by(scene.light, tint)

        def draw(rng: np.random.Generator, size: float, *, drone: bool) -> Field | None:
            if drone or rng.random() >= self.clutter:
                return cut_out(rng, size, drone=drone)
            if rng.random() < _LAMPS:
                return draw_lamp(rng, size)
            return draw_flyer(models[rng.integers(_MODELS)], pose(rng, bank=0.4), dimmed, size)

        return draw

    def draw(self, rng: np.random.Generator, size: float, *, drone: bool, tint: Field) -> Field | None:
        """Take a cut-out that is not much smaller than wanted; mirror, tilt and light it."""
        sprites = self.drones if drone else self.others
        if not sprites:
            return None
        native = np.array([np.sqrt(sprite.width * sprite.height) for sprite in sprites])
        enough = np.flatnonzero(native >= min(0.8 * size, np.quantile(native, 0.8)))
        sprite = sprites[rng.choice(enough)]
        if rng.random() < 0.5:
            sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        sprite = ImageOps.scale(sprite, _ENLARGED)
        sprite = sprite.rotate(float(rng.normal(0, 10)), Image.Resampling.BILINEAR, expand=True)
        pixels = np.asarray(sprite)
        alpha = pixels[..., 3:].astype(np.float32) / 255
        colour = _LINEAR[pixels[..., :3]] * tint * np.float32(np.exp(rng.normal(0, 0.2)))
        return np.concatenate((colour * alpha, alpha), axis=-1).astype(np.float32)


def tint_of(photograph: Field) -> Field:
    """What the light of a photograph, linear RGB ``[H, W, 3]``, makes of white."""
    mean = photograph.mean((0, 1))
    bright = float(mean.mean())
    level = np.clip(bright / _DAYLIGHT, 0.05, 1.4) ** 0.8
    return (level * np.sqrt(mean / bright)).astype(np.float32)


def dimmed_by(light: Light, tint: Field) -> Light:
    """The light of day as a photograph with such a tint has it; what shines by itself is not changed."""
    return replace(light, sun=light.sun * tint, ambient=light.ambient * tint)


def read_cutouts(
    sprites: Path, backgrounds: Path, *, held_out: bool, size: tuple[int, int], clutter: float = 0.0
) -> Composed:
    """Read one part of the cut-outs and list one part of the photographs.

    A quarter of either is held out, the same files always. Files whose names differ only in a number at the
    end (frames of a video) go to the same part.

    Args:
        sprites: folder of RGBA files; those with ``bird`` or ``distractor`` in the name or in a sub-folder's
            name are put in without a box.
        backgrounds: folder of photographs without drones.
        held_out: which part.
        size: width and height of the pictures to make.
        clutter: share of the distractors that are drawn.

    Raises:
        InputError: a folder is missing or has too few files, a file is damaged, has no transparency, or is
            too small.
    """
    files = _list(sprites, "--sprites")
    others = [path for path in files if _OTHER.search(str(path.relative_to(sprites)).lower())]
    drones = [path for path in files if path not in set(others)]
    if not drones:
        raise InputError(f"{sprites}: every file is named as a bird or distractor; add cut-outs of drones")
    scenes = _part(_list(backgrounds, "--backgrounds"), backgrounds, held_out=held_out)
    for path in scenes:
        width, height = image_size(path)
        if width < size[0] / 2 or height < size[1] / 2:
            raise InputError(
                f"{path}: {width} x {height} pixels is too small for images of {size[0]} x {size[1]}; "
                "give one of at least half that size or choose a smaller --size"
            )
    return Composed(
        drones=[read_sprite(path) for path in _part(drones, sprites, held_out=held_out)],
        others=[read_sprite(path) for path in _part(others, sprites, held_out=held_out)],
        backgrounds=scenes,
        clutter=clutter,
    )


def read_sprite(path: Path) -> Image.Image:
    """Read a cut-out as RGBA, cropped to what is not fully transparent.

    Raises:
        InputError: it is no image, has no transparency, or shows nothing.
    """
    try:
        with Image.open(path) as image:
            transparent = image.has_transparency_data
            sprite = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not an image that can be read ({error}); repair or remove it") from error
    if not transparent:
        raise InputError(f"{path}: has no transparency; give cut-outs as PNG files with an alpha channel")
    box = sprite.getchannel("A").point(lambda alpha: 255 * (alpha >= 16)).getbbox()
    if box is None:
        raise InputError(f"{path}: is fully transparent; remove it")
    return sprite.crop(box)


def _list(folder: Path, option: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{option} {folder}: no such folder")
    files = image_files(folder)
    if not files:
        raise InputError(f"{option} {folder}: holds no image files")
    return files


def _part(files: Sequence[Path], folder: Path, *, held_out: bool) -> list[Path]:
    """Take the training part or the held-out part; groups are ordered by a hash of their name."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        name = str(path.relative_to(folder).with_suffix(""))
        groups.setdefault(re.sub(r"[\W_]*\d*$", "", name), []).append(path)
    if len(groups) == 1:
        groups = {path.name: [path] for path in files}
    held, kept = list[Path](), list[Path]()
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        fits = len(held) + len(groups[name]) <= max(1, round(_HELD_OUT * len(files)))
        (held if fits and len(groups) > 1 else kept).extend(groups[name])
    if held_out and files and not held:
        raise InputError(f"{folder}: only one file; give at least two so that test images show others")
    return sorted(held if held_out else kept)
