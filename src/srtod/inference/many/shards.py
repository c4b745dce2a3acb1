"""The plan of a large job, and its shards: a shard's file is there whole, or not at all."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from srtod.inference.finder import Finder
from srtod.inference.inputs import ImageFile
from srtod.inference.many.listing import local_copy
from srtod.inference.predict import predict
from srtod.inference.slices import Slicing
from srtod.inference.writers import results_of
from srtod.support.errors import InputError
from srtod.support.files import read_json, write_json, write_text
from srtod.support.validation import validated

PLAN = "plan.json"


class ManyImage(NamedTuple):
    """One of the images.

    Attributes:
        source: path or address.
        file_name: what results call it.
        image_id: counted from 1.
    """

    source: str
    file_name: str
    image_id: int


class Plan(BaseModel):
    """What is done, kept beside the shards so that the same command goes on with it.

    Attributes:
        images: paths and addresses; an image's id is its place here, counted from 1.
        folders: how many folders all have in common; results name images without these.
        shard_size: images in a shard.
        asked: what else decides the results, as plain values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: tuple[str, ...]
    folders: int
    shard_size: int
    asked: dict[str, Any]

    @classmethod
    def of(cls, images: Sequence[str], *, shard_size: int, asked: dict[str, Any]) -> "Plan":
        """Plan for images in this order."""
        shared = os.path.commonprefix([_parts(image)[:-1] for image in images])  # noqa: RUF071 - lists of parts
        return cls(images=tuple(images), folders=len(shared), shard_size=shard_size, asked=asked)

    @property
    def shards(self) -> range:
        """Numbers of the shards."""
        return range(-(-len(self.images) // self.shard_size))

    def shard(self, number: int) -> "list[ManyImage]":
        """The images of a shard."""
        start = number * self.shard_size
        return [
            ManyImage(image, "/".join(_parts(image)[self.folders :]), image_id)
            for image_id, image in enumerate(self.images[start : start + self.shard_size], start=start + 1)
        ]


def begin(plan: Plan, output: Path) -> None:
    """Write the plan into a new folder, or make sure that the folder holds this plan.

    Raises:
        InputError: the folder holds something else, or was begun with other images or options.
    """
    path = output / PLAN
    if path.exists():
        before = validated(Plan, read_json(path), where=str(path))
        for name in Plan.model_fields:
            if getattr(before, name) != getattr(plan, name):
                raise InputError(f"{path}: begun with other {name}; give the same, or another --output")
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: not empty, and no {PLAN} in it to go on with; choose another --output")
    write_json(path, plan.model_dump(mode="json"))


def shard_file(output: Path, number: int) -> Path:
    """Where the results of a shard are: a line of JSON an image."""
    return output / "shards" / f"{number:06}.jsonl"


def missing(plan: Plan, output: Path, *, skip_bad: bool) -> list[int]:
    """Return the shards that are not done: without ``skip_bad`` those with images that were not read, too.

    What was wrong with an image may be over, such as a network that was down.
    """

    def is_done(number: int) -> bool:
        if not shard_file(output, number).exists():
            return False
        return skip_bad or not any("error" in line for line in lines_of(output, [number]))

    return [number for number in plan.shards if not is_done(number)]


def do_shard(
    finder: Finder, plan: Plan, number: int, output: Path, *, slicing: Slicing | None, batch_size: int
) -> None:
    """Look at the images of a shard and write its file; one that cannot be read is a line that says so."""
    lines = [
        json.dumps(_line(finder, image, slicing, batch_size), ensure_ascii=False)
        for image in plan.shard(number)
    ]
    write_text(shard_file(output, number), "".join(f"{line}\n" for line in lines))


def lines_of(output: Path, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Yield the lines of shards: ``image_id``, ``file_name``, and ``detections`` or ``error``."""
    for number in numbers:
        with shard_file(output, number).open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)


def digest(path: Path) -> str:
    """Tell a file of weights from others by its content; OpenVINO's are in a ``.bin`` beside the ``.xml``."""
    with path.open("rb") as stream:
        own = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    return f"{own} {digest(path.with_suffix('.bin'))}" if path.suffix.lower() == ".xml" else own


def _parts(image: str) -> list[str]:
    return image.replace(os.sep, "/").split("/")


def _line(finder: Finder, image: ManyImage, slicing: Slicing | None, batch_size: int) -> dict[str, Any]:
    known = {"image_id": image.image_id, "file_name": image.file_name}
    numbers: Sequence[int] = range(1, len(finder.classes) + 1)
    try:
        with local_copy(image.source) as path:
            (found,) = predict(finder, [path], slicing=slicing, batch_size=batch_size)
            named = ImageFile(path, image.file_name, image.image_id)
            return known | {"detections": results_of(found, named, finder.classes, numbers)}
    except InputError as error:
        return known | {"error": str(error)}
