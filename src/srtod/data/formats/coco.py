"""COCO: images and a JSON file a split (https://cocodataset.org/#format-data).

A JSON file stands for its split, a folder for the JSON files in it, in its ``annotations/`` or, failing both,
in its sub-folders, each a split named by the file (``train.json``, ``instances_val2017.json``) or its folder.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeGuard

from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import ImageFinder, Splits, name_splits, split_name
from srtod.data.formats.regions import collapse_any_class, expand_any_class
from srtod.data.formats.writing import NameGiver, Place
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import read_json, write_json

_PREFIX = "instances_"
_SHARED_IMAGES = {"trainval": ("train", "val"), "train": ("trainval",), "val": ("trainval",)}
_IMAGE_KEYS = frozenset({"id", "file_name", "width", "height"})
_ANNOTATION_KEYS = frozenset({"id", "image_id", "category_id", "bbox", "iscrowd", "area"})


def find(path: Path) -> Splits:
    """Find the splits at ``path``, a JSON file or a folder."""
    files = _annotation_files(path) if path.is_dir() else [path] if path.suffix.lower() == ".json" else []
    named = name_splits(files, _split_of) if len(files) > 1 else {_split_of(file): file for file in files}
    return {split: partial(read_file, file, split) for split, file in named.items()}


def read_file(path: Path, split: str, *, format: str = "coco") -> AnnotatedSet:
    """Read one COCO file.

    Args:
        path: the JSON file.
        split: name of the split, also that of a folder where its images may lie.
        format: the layout's name to note in the set.

    Raises:
        InputError: the file is no JSON, not COCO's, or its categories are unusable.
    """
    content = _require_coco(path, read_json(path))
    categories = _categories(path, content["categories"])
    builder = SetBuilder(path, format, split, tuple(categories.values()), tuple(categories))
    images = _images(builder, content["images"], ImageFinder(_image_folders(path, split)))
    marks = _marks(
        builder, content["annotations"], images, {number: i for i, number in enumerate(categories)}
    )
    for image_id, image in images.items():
        if image is not None:
            builder.add(image_id, *image[:3], marks[image_id], fields=image[3])
    return collapse_any_class(builder.build())


def write(sets: Sequence[AnnotatedSet], folder: Path, place: Place) -> Counter[str]:
    """Write ``<split>.json`` (``annotations.json`` without splits) and ``images/<split>/``.

    A region to ignore of any class becomes one crowd a category. Attributes become further keys of their
    annotation, fields of their image. Nothing is lost.
    """
    for annotated in sets:
        names = NameGiver(by_stem=False)
        images, annotations = [], []
        known = (int(record.annotation_ids.max(initial=0)) for record in annotated.records)
        fresh = count(max(known, default=0) + 1)
        numbers = annotated.category_ids or tuple(range(1, len(annotated.classes) + 1))
        for record in annotated.records:
            name = names.name(record, annotated.split)
            place(record, folder / "images" / annotated.split / name)
            size = {"width": record.width, "height": record.height}
            images.append({"id": record.image_id, "file_name": name, **size, **record.fields})
            annotations += _annotations(record, numbers, fresh)
        categories = [{"id": n, "name": c} for n, c in zip(numbers, annotated.classes, strict=True)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_json(folder / f"{annotated.split or 'annotations'}.json", content)
    return Counter()


def _annotation_files(folder: Path) -> list[Path]:
    """The JSON files that most look like annotations: named after splits, or else the nearest."""
    groups = [sorted(folder.glob(pattern)) for pattern in ("*.json", "annotations/*.json", "*/*.json")]
    named = [[file for file in group if _split_of(file)] for group in groups]
    files = next(filter(None, named), None) or next(filter(None, groups), [])
    # Beside instances_val2017.json lie captions and keypoints of the same images.
    return [file for file in files if file.name.startswith(_PREFIX)] or files


def _split_of(file: Path) -> str:
    return split_name(file.stem) or split_name(file.parent.name)


def _image_folders(file: Path, split: str) -> Iterator[Path]:
    """Where the images of an annotation file may lie, the likeliest first."""
    base = file.parent.parent if file.parent.name.lower().startswith("annotations") else file.parent
    named = [folder.name for folder in base.glob("*/") if split and split_name(folder.name) == split]
    shared = _SHARED_IMAGES.get(split, ())
    for name in dict.fromkeys((file.stem.removeprefix(_PREFIX), split, *sorted(named), *shared)):
        if name:
            yield from (
                base / "images" / name,
                base / name / "JPEGImages",
                base / name / "images",
                base / name,
            )
    yield from (base / "images", base / "JPEGImages", base, file.parent)


def _require_coco(path: Path, content: Any) -> dict[str, Any]:
    if isinstance(content, list):
        raise InputError(
            f"{path}: not a COCO data set: holds a list (detections?), not images, annotations and "
            "categories; give the file of the ground truth"
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{path}: not a COCO data set: there is no list '{key}'; give a COCO file")
    return content


def _categories(path: Path, categories: list[Any]) -> dict[int, str]:
    """Names by category id, in the order of the ids: that is the label order."""
    found: dict[int, str] = {}
    for category in categories:
        number, name = (
            (category.get(key) for key in ("id", "name")) if isinstance(category, dict) else (None, None)
        )
        if type(number) is not int or not isinstance(name, str):
            raise InputError(
                f"{path}: category {category!r} needs an id (a whole number) and a name (a text)"
            )
        if number in found or name in found.values():
            raise InputError(f"{path}: duplicate category {number} ({name!r}); ids and names must be unique")
        found[number] = name
    if not found:
        raise InputError(f"{path}: no categories; name at least one class")
    return dict(sorted(found.items()))


_Image = tuple[str, Path, tuple[int, int], dict[str, Any]]


def _images(builder: SetBuilder, images: list[Any], finder: ImageFinder) -> dict[int | str, _Image | None]:
    """File name, path, size and further fields by image id; ``None`` for an image whose fault is noted."""
    found: dict[int | str, _Image | None] = {}
    for position, image in enumerate(images):
        image_id = image.get("id") if isinstance(image, dict) else None
        if not _is_id(image_id):
            builder.fault(f"images[{position}] needs an id (a whole number or a text)")
        elif image_id in found:
            builder.fault(f"duplicate image id (file_name {image.get('file_name')!r})", image_id=image_id)
        else:
            try:
                fields = {key: value for key, value in image.items() if key not in _IMAGE_KEYS}
                found[image_id] = (*finder.find(_value(image, "file_name")), _size(image), fields)
            except ValueError as error:
                found[image_id] = None
                builder.fault(str(error), image_id=image_id)
    return found


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    width, height = _value(image, "width"), _value(image, "height")
    for value in (width, height):
        if not _is_number(value) or not 1 <= value < 2**31 or value != int(value):
            raise ValueError(f"width {width!r} and height {height!r} must be whole numbers of pixels")
    return int(width), int(height)


def _marks(
    builder: SetBuilder,
    annotations: list[Any],
    images: Mapping[int | str, _Image | None],
    labels: Mapping[int, int],
) -> Mapping[int | str, list[Mark]]:
    marks: dict[int | str, list[Mark]] = defaultdict(list)
    seen: set[int] = set()
    for position, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or type(annotation.get("id")) is not int:
            builder.fault(f"annotations[{position}] needs an id (a whole number)")
            continue
        annotation_id, image_id = annotation["id"], annotation.get("image_id")
        try:
            if annotation_id in seen:
                raise ValueError("duplicate annotation id")
            if abs(annotation_id) >= 2**63:
                raise ValueError("the annotation id does not fit into 64 bits")
            seen.add(annotation_id)
            mark = _mark(annotation, labels)
            if not _is_id(image_id) or image_id not in images:
                raise ValueError(f"its image_id {image_id!r} is not among the images")
        except ValueError as error:
            named = image_id if _is_id(image_id) else None
            builder.fault(str(error), image_id=named, annotation_id=annotation_id)
        else:
            marks[image_id].append(mark)
    return marks


def _mark(annotation: Mapping[str, Any], labels: Mapping[int, int]) -> Mark:
    number, box, crowd = (
        _value(annotation, "category_id"),
        _value(annotation, "bbox"),
        annotation.get("iscrowd", 0),
    )
    if type(number) is not int or number not in labels:
        raise ValueError(f"unknown category {number!r}; the file defines {', '.join(map(str, labels))}")
    if type(box) is not list or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(f"bbox {box!r} must be four numbers: x, y, width, height")
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd {crowd!r} must be 0 or 1")
    x, y, width, height = (_float(value) for value in box)
    attributes = {key: value for key, value in annotation.items() if key not in _ANNOTATION_KEYS}
    area = annotation.get("area")
    if _is_number(area) and abs(area - width * height) > 1e-3 * max(1.0, width * height):
        attributes["area"] = area
    return Mark((x, y, x + width, y + height), labels[number], bool(crowd), attributes, annotation["id"])


def _is_id(value: object) -> TypeGuard[int | str]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(entry: Mapping[str, Any], key: str) -> Any:
    if key not in entry:
        raise ValueError(f"missing key '{key}'")
    return entry[key]


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON's whole numbers have no limit
        return float("inf")


def _annotations(
    record: ImageRecord, numbers: Sequence[int], fresh: Iterator[int]
) -> Iterator[dict[str, Any]]:
    """A record's annotations; of a region of any class, the first copy has its id, the others fresh ones."""
    written: set[int] = set()
    for index, label in expand_any_class(record, len(numbers)):
        x, y, right, bottom = record.boxes[index].tolist()
        box = [round(value, 9) for value in (x, y, right - x, bottom - y)]
        yield {
            "id": next(fresh) if index in written else int(record.annotation_ids[index]),
            "image_id": record.image_id,
            "category_id": numbers[label],
            "bbox": box,
            "area": round(box[2] * box[3], 9),
            "iscrowd": int(record.ignore[index]),
            **record.attributes[index],
        }
        written.add(index)
