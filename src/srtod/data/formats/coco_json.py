"""The JSON of COCO in columns, without image files: what training, prediction and evaluation read."""

import gc
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.formats.entries import Entries
from srtod.support.errors import InputError
from srtod.support.files import read_json

_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class CocoFile:
    """What a COCO annotation file says; entries that say something unusable are noted in their lists.

    Attributes:
        path: the file.
        images: I entries.
        image_ids: their ids ``[I]``; ``None`` for what is none.
        category_ids: ids of the K categories as the file gives them, ascending: that is the label order.
        classes: their names ``[K]``.
        annotations: N entries.
        image_of: int64 ``[N]``, index of each annotation's image, -1 where it has none.
        labels: int64 ``[N]``, index of its category, -1 where it has none.
        boxes: float64 ``[N, 4]``, x y width height in pixels, NaN where there is none.
        crowd: bool ``[N]``, ``iscrowd``.
        notes: what was read otherwise than it is written, a line each.
    """

    path: Path
    images: Entries
    image_ids: list[int | str | None]
    category_ids: tuple[int | str, ...]
    classes: tuple[str, ...]
    annotations: Entries
    image_of: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    notes: tuple[str, ...]


def read_coco(path: Path, files: Iterable[Path] = ()) -> CocoFile:
    """Read a COCO annotation file.

    Args:
        path: the file.
        files: those of all splits, which decide together whether anything refers to a category.

    Raises:
        InputError: the file cannot be read, is another one, or its categories are unusable.
    """
    images, categories, annotations = _lists(path, read_json(path))
    notes: list[str] = []
    annotations = _with_places(annotations, notes)
    category_ids, classes = _classes(categories, annotations, notes, files)
    image_ids = images.ids("id")
    index: dict[int | str, int] = {}
    for row, image_id in enumerate(image_ids):
        if image_id is not None:
            index.setdefault(image_id, row)
    crowd = annotations.optional("iscrowd", 0)
    if not set(map(type, crowd)) <= {int} or not set(crowd) <= {0, 1}:
        crowd = [_FLAGS.get(value.lower(), value) if isinstance(value, str) else value for value in crowd]
        strange = [value is not None and value not in (0, 1) for value in crowd]
        annotations.refuse(strange, "iscrowd {} is neither 0 nor 1", crowd)
        crowd = [value == 1 for value in crowd]
    return CocoFile(
        path=path,
        images=images,
        image_ids=image_ids,
        category_ids=category_ids,
        classes=classes,
        annotations=annotations,
        image_of=annotations.lookup("image_id", index, "its images"),
        labels=annotations.lookup("category_id", _positions(category_ids), "its categories"),
        boxes=annotations.boxes("bbox", outline_box),
        crowd=np.array(crowd, dtype=bool),
        notes=tuple(notes),
    )


@contextmanager
def collector_paused() -> Generator[None]:
    """Hold Python's cycle collector back: it would go through millions of fresh objects again and again.

    Makes reading 300,000 detections three times as fast.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _lists(path: Path, content: Any) -> tuple[Entries, Entries, Entries]:
    """The images, categories and annotations; a test set may have no annotations."""
    if isinstance(content, list):
        raise InputError(
            f"{path}: not a COCO annotation file: holds a list, not images, annotations and categories; "
            "are annotations and detections exchanged?"
        )
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    found = {"annotations": found.get("annotation", []), **found} if found else {}  # HIT-UAV says annotation
    for key in ("images", "categories", "annotations"):
        if not isinstance(found.get(key), list):
            raise InputError(
                f"{path}: not a COCO annotation file: there is no list {key!r}; give a COCO file"
            )
    source = str(path)
    return (
        Entries(source, "image", found["images"]),
        Entries(source, "category", found["categories"]),
        Entries(source, "annotation", found["annotations"]),
    )


def _with_places(annotations: Entries, notes: list[str]) -> Entries:
    """Leave out what only says that an image is empty: a box and a segmentation that are there and empty."""
    empty = np.array(
        [not item.get("bbox", True) and not item.get("segmentation") for item in annotations.items],
        dtype=bool,
    )
    if not empty.any():
        return annotations
    notes.append(f"{empty.sum():,} annotations without box and outline mark nothing")
    return annotations.take(~empty)


def outline_box(annotation: Mapping[str, Any]) -> list[float] | None:
    """Return the box x y width height around polygons or a run-length code; None without any."""
    outline = annotation.get("segmentation")
    try:
        if isinstance(outline, dict):
            from hotcoco import mask

            height, width = outline["size"]
            return mask.to_bbox(mask.fr_py_objects(outline, height, width)).tolist()
        parts = outline if outline and isinstance(outline[0], list) else [outline]
        points = np.concatenate([np.array(part, dtype=np.float64).reshape(-1, 2) for part in parts])
        low, high = points.min(axis=0), points.max(axis=0)
        return [*low.tolist(), *(high - low).tolist()]
    except (KeyError, TypeError, ValueError):
        return None


def _without_roots(
    categories: Entries, annotations: Entries, notes: list[str], files: Iterable[Path]
) -> Entries:
    """Leave out categories that only stand above others or for the background, and that nothing refers to.

    Any other category stays, as it may be rare, and all splits and weights must number classes alike.
    """
    above = {str(item.get("supercategory")) for item in categories.items}
    names = Counter(str(item.get("name")) for item in categories.items)
    used = set(map(str, annotations.optional("category_id")))
    kept = np.ones(len(categories.items), dtype=bool)

    def is_spare(item: Mapping[str, Any]) -> bool:
        name = str(item.get("name"))
        return str(item.get("id")) not in used and (
            name in above - {str(item.get("supercategory"))}
            or names[name] > 1
            or name.strip("_").lower() in ("background", "bg", "ignore")
        )

    if any(map(is_spare, categories.items)):
        used |= _used_elsewhere(categories, (file for file in files if str(file) != categories.source))
    for row, item in enumerate(categories.items):
        if is_spare(item):
            kept[row] = False
            names[str(item.get("name"))] -= 1
            notes.append(f"nothing refers to category {item.get('id')}, which stands above others: no class")
    return categories if kept.all() or not kept.any() else categories.take(kept)


def _used_elsewhere(categories: Entries, files: Iterable[Path]) -> set[str]:
    """The categories that annotations of other files refer to, of those files that list the same."""
    used: set[str] = set()
    for file in files:
        with suppress(InputError):
            _, listed, annotations = _lists(file, read_json(file))
            if listed.items == categories.items:
                used.update(map(str, annotations.optional("category_id")))
    return used


def _classes(
    categories: Entries, annotations: Entries, notes: list[str], files: Iterable[Path]
) -> tuple[tuple[int | str, ...], tuple[str, ...]]:
    """Ids and names in the order of the ids."""
    categories = _without_roots(categories, annotations, notes, files)
    ids, names = categories.ids("id"), categories.ids("name")
    categories.sound()
    if not ids:
        raise InputError(f"{categories.source}: no categories; name at least one class")
    order = ascending(ids)
    return tuple(ids[row] for row in order), tuple(str(names[row]) for row in order)


def ascending(ids: list[Any]) -> list[int]:
    """Return the positions that put ids in ascending order, numbers before texts."""
    return sorted(range(len(ids)), key=lambda i: (isinstance(ids[i], str), ids[i]))


def _positions(values: tuple[int | str, ...]) -> Mapping[Any, int]:
    return {value: row for row, value in enumerate(values)}
