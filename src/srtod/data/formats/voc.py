"""PASCAL VOC: ``JPEGImages/``, ``Annotations/*.xml`` and lists of the splits in ``ImageSets/Main/``.

Exports of tools are read as well: files beside their images (LabelImg), in a folder a split (Roboflow), in
``labels`` or ``annotations`` beside ``images`` or ``data``. An annotation file is that of the image of the
same stem in the same sub-folder; where there are several or none, of the one that its ``filename`` says.

Coordinates follow the VOC development kit: pixels counted from 1, both ends inside the box, so ``xmin`` 1 and
``xmax`` W span the whole width. ``difficult`` means that evaluation ignores an object, so it is a region to
ignore here. Classes are those of ``classes.txt`` where there is one, else all names of all splits, sorted.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from srtod.data.folders import IMAGES, files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import (
    ImageFinder,
    Splits,
    grouped,
    own_name,
    read_class_names,
    read_lines,
    read_xml,
    several,
    split_name,
    to_number,
)
from srtod.data.formats.regions import collapse_any_class, expand_any_class
from srtod.data.formats.writing import CLASSES_FILE, NameGiver, Place
from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.support.errors import CONTROLS, InputError, shown
from srtod.support.files import write_text

_FLAGS = {"truncated": "truncation", "occluded": "occlusion"}
_PLACES = ("Annotations", "annotations", "labels")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def find(path: Path) -> Splits:
    """Find the splits at ``path``, the folder above ``Annotations`` or that of the files."""
    if (found := _place(path)) is not None:
        lists = [file for file in files_like(path / "ImageSets" / "Main", "*.txt") if not _of_a_class(file)]
        names = {file.stem: file for file in lists} or {split_name(path.name) if found == path else "": None}
        return {split: partial(_read, path, [found], split, file) for split, file in names.items()}
    folders = {
        split_name(folder.name): folder for folder in files_like(path, "*/") if split_name(folder.name)
    }
    places = {split: found for split, folder in folders.items() if (found := _place(folder)) is not None}
    both = [places[split] for split in places]
    return {
        split: partial(_read, folders[split], [place, *both], split, None) for split, place in places.items()
    }


def _of_a_class(file: Path) -> bool:
    """Whether a list such as ``car_train.txt`` says of each image if one class is in it: 1, 0 or -1."""
    return "_" in file.stem and all(
        line.split()[1:] in (["1"], ["0"], ["-1"]) for line in read_lines(file) if line.strip()
    )


def _place(folder: Path) -> Path | None:
    """The folder of the XML files that belong to a set at ``folder``; None where there are none."""
    for name in (*_PLACES, ""):
        if (file := next(iter(_files(folder / name)), None)) is not None:
            with file.open("rb") as stream:
                return folder / name if re.search(rb"<annotation[\s>]", stream.read(1000)) else None
    return None


def _files(place: Path) -> list[Path]:
    """The XML files of a folder, and below one of annotations; ``a.tif.aux.xml`` beside images is GDAL's."""
    files = files_like(place, "**/*.xml" if place.name in _PLACES else "*.xml")
    return [file for file in files if not file.name.lower().endswith(".aux.xml")]


def write(sets: Sequence[AnnotatedSet], folder: Path, place: Place) -> Counter[str]:
    """Write the layout; a region to ignore of any class becomes one difficult object a class."""
    classes = sets[0].classes
    lost: Counter[str] = Counter()
    names = NameGiver(flat=True)
    write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in classes))
    for annotated in sets:
        stems = []
        for record in annotated.records:
            name = names.name(record, annotated.split)
            if CONTROLS.search(name):
                raise InputError(
                    f"{shown(str(record.path))}: has control characters in its name, which voc cannot hold; "
                    "rename it, or convert to coco"
                )
            stems.append(Path(name).stem)
            place(record, folder / "JPEGImages" / name)
            text = _to_xml(record, name, classes, lost)
            file = folder / "Annotations" / f"{stems[-1]}.xml"
            if file.exists() and file.read_text(encoding="utf-8") != text:
                raise InputError(
                    f"{record.path}, image {record.image_id}: is in two splits with other boxes in each, "
                    "which VOC cannot hold; convert them one by one with --split"
                )
            write_text(file, text)
        if annotated.split:
            write_text(folder / "ImageSets" / "Main" / f"{annotated.split}.txt", "\n".join(stems) + "\n")
        names.count(lost, annotated)
    return +lost


def _read(root: Path, places: Sequence[Path], split: str, list_file: Path | None) -> AnnotatedSet:
    """Read a split whose files lie in the first place; the classes are those of all places."""
    place = places[0]
    parsed = {one: _parse_all(one) for one in dict.fromkeys(places)}
    trees, broken = parsed[place]
    all_trees = [tree for own, _ in parsed.values() for tree in own.values()]
    builder = SetBuilder(list_file or root, "voc", split, _classes(root, all_trees))
    folders = (root / name for name in ("JPEGImages", "images", "data", ""))
    finder = ImageFinder(folders, map(_file_name, trees.values()))
    files = finder.files(builder.image_files)
    images, without = _match(finder, files, trees, trees.keys() | broken.keys())
    wrong = broken | without
    matched = {path for _, path in images.values()}
    spare = {_stem(name) for name, path in files.items() if path not in matched}
    known = images.keys() | wrong.keys() | spare
    stems = _listed(list_file, known) if list_file else sorted(known)
    for image_id, stem in enumerate(stems, start=1):
        file = place / f"{stem}.xml"
        if stem in images:
            _add(builder, image_id, *images[stem], file, trees[stem])
        elif stem in wrong or stem in spare:
            what = "there is no such annotation file; one without objects says that there are none"
            builder.fault(wrong.get(stem, what), file=file, image_id=image_id)
        else:
            builder.fault(f"missing image: there is no {stem}.jpg", image_id=image_id)
    lists = files_like(root / "ImageSets" / "Main", "*.txt") if list_file else []
    unused = trees.keys() - {stem for file in lists for stem in _listed(file, trees)}
    if lists and unused:
        builder.note(f"{len(unused):,} annotation files are in no list, such as {min(unused)}.xml: not read")
    builder.note_names(finder)
    return collapse_any_class(builder.build())


def _listed(file: Path, known: Collection[str]) -> list[str]:
    """The stems that a list names; some lists have the endings of the images as well."""
    flags = 1 if _of_a_class(file) else 0
    names = [line.strip().rsplit(maxsplit=flags)[0] for line in read_lines(file) if line.strip()]
    with_ending = {name for name in names if PurePosixPath(name).suffix.lower() in IMAGES} - set(known)
    return [_stem(name) if name in with_ending else name for name in names]


def _parse_all(place: Path) -> tuple[dict[str, ET.Element], dict[str, str]]:
    """The annotations of a folder by stem (only those of all splits name all classes), and what is broken.

    Stems are relative to the folder.
    """
    trees: dict[str, ET.Element] = {}
    broken: dict[str, str] = {}
    for file in _files(place):
        stem = file.relative_to(place).with_suffix("").as_posix()
        try:
            trees[stem] = read_xml(file)
        except InputError as error:
            broken[stem] = str(error).removeprefix(f"{file}: ")
    return trees, broken


def _classes(root: Path, trees: Sequence[ET.Element]) -> tuple[str, ...]:
    if (root / CLASSES_FILE).is_file():
        return read_class_names(root / CLASSES_FILE)
    return tuple(sorted({_name(node) for tree in trees for node in tree.iter("object")} - {""}))


def _match(
    finder: ImageFinder, files: Mapping[str, Path], trees: Mapping[str, ET.Element], known: Collection[str]
) -> tuple[dict[str, tuple[str, Path]], dict[str, str]]:
    """Name and file of the image of each annotation file, by stem, and why others have none.

    It is that of the same stem, of several the one that the annotations name. Without any it is the one that
    they name, unless that has annotations of its own stem: names are often those of another copy.

    Args:
        finder: where names are looked for.
        files: all images by name.
        trees: the annotations by stem.
        known: stems of all annotations, also of those that are broken.
    """
    stems = grouped(files, _stem)
    taken = {files[name] for stem in known for name in stems.get(stem, ())}
    elsewhere = grouped(
        (name for name in files if _stem(name) not in known), lambda name: PurePosixPath(name).stem
    )
    alike = Counter(PurePosixPath(stem).name for stem in known)
    asked = Counter(map(_file_name, trees.values()))
    images: dict[str, tuple[str, Path]] = {}
    wrong: dict[str, str] = {}
    for stem, tree in trees.items():
        base, said = PurePosixPath(stem).name, _file_name(tree)
        near = stems.get(stem) or (elsewhere.get(base, []) if alike[base] == 1 else [])
        exact = {own_name(said), own_name(f"{tree.findtext('folder', '').strip()}/{said}")}
        fitting = [name for name in near if name in exact] or near
        if len(fitting) > 1:
            wrong[stem] = f"{several(fitting)}, or say in <filename> which is meant"
            continue
        try:
            images[stem] = (fitting[0], files[fitting[0]]) if fitting else finder.find(said or stem)
        except ValueError as error:
            wrong[stem] = str(error)
            continue
        if not fitting and (images[stem][1] in taken or asked[said] > 1):
            wrong[stem] = f"missing image: {images.pop(stem)[0]} has other annotations"
    return images, wrong


def _stem(name: str) -> str:
    """A name without its ending, with the folders in it."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _file_name(tree: ET.Element) -> str:
    return tree.findtext("filename", "").strip()


def _add(builder: SetBuilder, image_id: int, name: str, image: Path, file: Path, tree: ET.Element) -> None:
    items = [(f"object {number}", node) for number, node in enumerate(tree.iter("object"), start=1)]
    parse = partial(_mark, labels={name: label for label, name in enumerate(builder.classes)})
    builder.add_items(image_id, name, image, items, parse, file=file, size=_size(tree))


def _size(tree: ET.Element) -> tuple[int, int] | None:
    """Width and height as the file gives them; ``None`` where it does not."""
    texts = [tree.findtext(f"size/{key}", "").strip() for key in ("width", "height")]
    if not all(text.isdecimal() and int(text) > 0 for text in texts):
        return None
    width, height = map(int, texts)
    return width, height


def _mark(node: ET.Element, size: tuple[int, int], labels: Mapping[str, int]) -> Mark:
    del size  # the coordinates are pixels already
    name = _name(node)
    wrong = "" if name in labels else f"unknown category {name!r}; the classes are {', '.join(labels)}"
    attributes: dict[str, int | str] = {key: 1 for flag, key in _FLAGS.items() if _is_set(node, flag)}
    pose = node.findtext("pose", "").strip()
    if pose not in ("", "Unspecified"):
        attributes["pose"] = pose
    ignored = _is_set(node, "difficult") or _is_set(node, "ignore")
    return Mark(_box(node), labels.get(name, ANY_CLASS), ignored, attributes, wrong=wrong)


def _box(node: ET.Element) -> tuple[float, float, float, float]:
    texts = [node.findtext(f"bndbox/{side}") for side in _SIDES]
    if None not in texts:
        left, top, right, bottom = (to_number(text) for text in texts)
        return left - 1, top - 1, right, bottom
    xs, ys = ([to_number(point.text) for point in node.iter(key)] for key in ("x", "y"))
    if not xs or len(xs) != len(ys):  # neither a polygon
        raise ValueError(f"missing {_SIDES[texts.index(None)]} in its bndbox")
    return min(xs) - 1, min(ys) - 1, max(xs), max(ys)


def _name(node: ET.Element) -> str:
    return node.findtext("name", "").strip()


def _is_set(node: ET.Element, key: str) -> bool:
    """Whether a flag is set; what no reader knows (``Unspecified``) counts as not."""
    return node.findtext(key, "").strip().lower() in ("1", "true", "yes")


def _to_xml(record: ImageRecord, name: str, classes: Sequence[str], lost: Counter[str]) -> str:
    size = _element("size", width=record.width, height=record.height, depth=3)
    root = _element("annotation", folder="JPEGImages", filename=name, size=size)
    root.extend(
        _object(record, index, classes[label]) for index, label in expand_any_class(record, len(classes))
    )
    for attributes in record.attributes:
        lost.update(f"attribute '{key}'" for key in attributes.keys() - {*_FLAGS.values(), "pose"})
        lost.update(
            f"degree of {key} (a flag)" for key in _FLAGS.values() if attributes.get(key, 0) not in (0, 1)
        )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _object(record: ImageRecord, index: int, name: str) -> ET.Element:
    attributes = record.attributes[index]
    left, top, right, bottom = record.boxes[index].tolist()
    sides = (f"{round(value, 9):.12g}" for value in (left + 1, top + 1, right, bottom))
    return _element(
        "object",
        name=name,
        pose=attributes.get("pose", "Unspecified"),
        **{flag: int(bool(attributes.get(key))) for flag, key in _FLAGS.items()},
        difficult=int(record.ignore[index]),
        bndbox=_element("bndbox", **dict(zip(_SIDES, sides, strict=True))),
    )


def _element(tag: str, /, **children: object) -> ET.Element:
    """An element of texts, and of elements under their own names."""
    node = ET.Element(tag)
    for key, child in children.items():
        if isinstance(child, ET.Element):
            node.append(child)
        else:
            ET.SubElement(node, key).text = shown(str(child))  # XML cannot hold control characters
    return node
