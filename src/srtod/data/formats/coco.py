"""COCO: images and a JSON file a split (https://cocodataset.org/#format-data).

A JSON file stands for its split, a folder for the JSON files in it, in its ``annotations/`` or, failing both,
in its sub-folders, each a split named by the file (``train.json``, ``instances_val2017.json``) or its folder.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from srtod.data.folders import files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.coco_json import CocoFile, collector_paused, read_coco
from srtod.data.formats.entries import Entries, is_id, is_real
from srtod.data.formats.layout import ImageFinder, Splits, own_name, split_name, split_of, splits_of_files
from srtod.data.formats.regions import collapse_any_class, expand_any_class
from srtod.data.formats.writing import NameGiver, Place
from srtod.data.images import image_size
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import write_json

_PREFIX = "instances_"
_SHARED_IMAGES = {
    "trainval": ("train", "val"),
    "train": ("trainval",),
    "val": ("trainval",),
    "minival": ("val",),
}
_NAME_KEYS = ("file_name", "filename", "fileName", "name", "path", "coco_url", "url")
_IGNORE_KEYS = frozenset({"ignore", "ignored", "isignore", "is_ignore", "is_crowd", "crowd", "difficult"})
_SNIFFED = 2**20
_KEYS_OF_COCO = (b'"images"', b'"annotations"', b'"annotation"')
_IMAGE_KEYS = frozenset({"id", "file_name", "width", "height"})
_ANNOTATION_KEYS = frozenset({"id", "image_id", "category_id", "bbox", "iscrowd", "area"})


def find(path: Path) -> Splits:
    """Find the splits at ``path``, a JSON file or a folder."""
    files = _annotation_files(path) if path.is_dir() else [path] if path.suffix.lower() == ".json" else []
    named = splits_of_files(files)
    return {split: partial(read_file, file, split, files) for split, file in named.items()}


@collector_paused()
def read_file(path: Path, split: str, files: Iterable[Path] = (), *, format: str = "coco") -> AnnotatedSet:
    """Read one COCO file.

    Args:
        path: the JSON file.
        split: name of the split, also that of a folder where its images may lie.
        files: those of all splits.
        format: the layout's name to note in the set.

    Raises:
        InputError: the file is no JSON, not COCO's, or its categories are unusable.
    """
    file = read_coco(path, files)
    ids = tuple(number for number in file.category_ids if isinstance(number, int))
    builder = SetBuilder(path, format, split, file.classes, ids if len(ids) == len(file.classes) else ())
    names = [next((image[key] for key in _NAME_KEYS if image.get(key)), None) for image in file.images.items]
    splits = (split, *_SHARED_IMAGES.get(split, ()))
    finder = ImageFinder(_image_folders(path, split), names, splits)
    _refuse_shared_ids(file, names)
    marks, lost = _marks(builder, file)
    for row, (image_id, image) in enumerate(zip(file.image_ids, file.images.items, strict=True)):
        if row in file.images.wrong:
            builder.fault(f"images[{row}]: {file.images.wrong[row]}", image_id=image_id)
            continue
        assert image_id is not None
        _add(builder, finder, image_id, names[row], image, marks[row], lost=row in lost)
    for note in file.notes:
        builder.note(note)
    if sizeless := sum(_size(image) is None for image in file.images.items):
        builder.note(f"{sizeless:,} images are without width and height: taken from the files")
    builder.note_names(finder)
    return collapse_any_class(builder.build())


def _add(
    builder: SetBuilder,
    finder: ImageFinder,
    image_id: int | str,
    said: object,
    image: Mapping[str, Any],
    marks: Sequence[Mark],
    *,
    lost: bool,
) -> None:
    fields = {key: value for key, value in image.items() if key not in _IMAGE_KEYS}
    size = _size(image)
    try:
        file_name, path = finder.find(said)
        size = size or image_size(path)
    except (ValueError, InputError) as error:
        builder.fault(str(error), image_id=image_id)
        if size is None or not isinstance(said, str):
            return
        file_name, lost = own_name(said), True
        path = builder.source.parent / file_name
    builder.add(image_id, file_name, path, size, marks, fields=fields, lost=lost)


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
    groups = [files_like(folder, pattern) for pattern in ("*.json", "annotations/*.json", "*/*.json")]
    likely = [[file for file in group if _looks_like_coco(file)] for group in groups]
    named = [[file for file in group if split_of(file)] for group in likely]
    doubtful = [[file for file in group if split_name(file.stem)] for group in groups]
    files = next(filter(None, (*named, *likely, *doubtful)), [])
    # Beside instances_val2017.json lie captions and keypoints of the same images.
    return [file for file in files if file.name.startswith(_PREFIX)] or files


def _looks_like_coco(file: Path) -> bool:
    """Whether a file names its images within a megabyte of its beginning or end, or is no JSON but should be.

    Label Studio's ``notes.json`` does not, nor do metrics and other results.
    """
    with file.open("rb") as stream:
        head = stream.read(_SNIFFED)
        stream.seek(max(0, file.stat().st_size - _SNIFFED))
        is_json = head.lstrip()[:1] in (b"{", b"[")
        named = any(key in part for part in (head, stream.read()) for key in _KEYS_OF_COCO)
    return named or (bool(split_name(file.stem)) and not is_json)


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
    yield from (base / "images", base / "JPEGImages", base / "data", base, file.parent)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """The width and height that an entry says; None where they are no whole numbers of pixels."""
    numbers = [image.get(key) for key in ("width", "height")]
    texts = [f"{value:g}" if is_real(value) else value for value in numbers]
    if not all(isinstance(text, str) and text.isdecimal() and 1 <= int(text) < 2**31 for text in texts):
        return None
    width, height = (int(str(text)) for text in texts)
    return width, height


def _refuse_shared_ids(file: CocoFile, names: Sequence[object]) -> None:
    """Complain of every image whose id another has, too: what is marked in them cannot be told apart."""
    first = dict(zip(reversed(file.image_ids), reversed(names), strict=True))
    pairs = zip(file.image_ids, names, strict=True)
    shared = {image_id for image_id, name in pairs if first[image_id] != name}
    what = "id {} is that of several images; give every image its own"
    file.images.refuse([image_id in shared for image_id in file.image_ids], what, file.image_ids)


def _marks(builder: SetBuilder, file: CocoFile) -> tuple[list[list[Mark]], set[int]]:
    """The annotations of each image whose place is known, and the images with others."""
    marks: list[list[Mark]] = [[] for _ in file.image_ids]
    lost: set[int] = set()
    ids = _annotation_ids(builder, file.annotations)
    boxes = file.boxes.copy()
    boxes[:, 2:] += boxes[:, :2]
    annotations, columns = file.annotations, (file.image_of, file.labels, boxes, file.crowd)
    lists = (annotations.positions, annotations.items, ids, *(column.tolist() for column in columns))
    for position, item, number, image, label, box, crowd in zip(*lists, strict=True):
        wrong = annotations.wrong.get(position, "")
        if image >= 0 and not (wrong and isnan(sum(box))):
            ignore = crowd or _is_ignored(item)
            marks[image].append(Mark(tuple(box), label, ignore, _attributes(item, box), number, wrong=wrong))
            continue
        said = item.get("image_id")
        builder.fault(wrong, image_id=said if is_id(said) else None, annotation_id=number)
        lost.add(image)
    return marks, lost


def _is_ignored(annotation: Mapping[str, Any]) -> bool:
    """Whether a key of other tools says what ``iscrowd`` says."""
    return any(annotation.get(key) in (1, "1", "true", "True") for key in _IGNORE_KEYS & annotation.keys())


def _annotation_ids(builder: SetBuilder, annotations: Entries) -> list[int]:
    """The annotations' own ids; counted anew where they are no different whole numbers."""
    ids: list[Any] = annotations.optional("id")
    if set(map(type, ids)) <= {int} and len(set(ids)) == len(ids) and all(abs(one) < 2**63 for one in ids):
        return ids
    builder.note("the ids of annotations are missing, no whole numbers or there twice: counted anew")
    return list(range(1, len(ids) + 1))


def _attributes(item: Mapping[str, Any], box: Sequence[float]) -> Mapping[str, Any]:
    """What else an annotation says; its area where that is not width x height."""
    attributes = {key: value for key, value in item.items() if key not in _ANNOTATION_KEYS}
    area, product = item.get("area"), (box[2] - box[0]) * (box[3] - box[1])
    if is_real(area) and isfinite(area) and abs(area - product) > 1e-3 * max(1.0, product):
        attributes["area"] = area
    return attributes


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
