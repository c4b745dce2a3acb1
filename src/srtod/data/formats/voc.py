"""PASCAL VOC: ``JPEGImages/``, ``Annotations/*.xml`` and lists of the splits in ``ImageSets/Main/``.

Coordinates follow the VOC development kit: pixels counted from 1, both ends inside the box, so ``xmin`` 1 and
``xmax`` W span the whole width. ``difficult`` means that evaluation ignores an object, so it is a region to
ignore here. Classes are those of ``classes.txt`` where there is one, else all names of all splits, sorted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

from srtod.data.folders import files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import Splits, read_class_names, read_lines
from srtod.data.formats.regions import collapse_any_class, expand_any_class
from srtod.data.formats.writing import CLASSES_FILE, NameGiver, Place
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import write_text

_FLAGS = {"truncated": "truncation", "occluded": "occlusion"}
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def find(path: Path) -> Splits:
    """Find the splits at ``path``, the folder above ``Annotations``."""
    if not files_like(path / "Annotations", "*.xml"):
        return {}
    # Lists of one class ("car_train.txt") have a second column.
    lists = [file for file in files_like(path / "ImageSets" / "Main", "*.txt") if "_" not in file.stem]
    names = {file.stem: file for file in lists} or {"": None}
    return {split: partial(_read, path, split, file) for split, file in names.items()}


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


def _read(root: Path, split: str, list_file: Path | None) -> AnnotatedSet:
    trees, broken = _parse_all(root)
    builder = SetBuilder(list_file or root, "voc", split, _classes(root, trees))
    images = {path.stem: path for path in builder.image_files(root / "JPEGImages")}
    stems = (
        [line.strip() for line in read_lines(list_file)]
        if list_file
        else sorted(images.keys() | trees.keys())
    )
    for image_id, stem in enumerate(filter(None, stems), start=1):
        if stem not in images:
            builder.fault(f"missing image: there is no JPEGImages/{stem}.jpg", image_id=image_id)
        elif stem not in trees:
            what = broken.get(
                stem, "there is no such annotation file; one without objects says that there are none"
            )
            builder.fault(what, file=_xml_file(root, stem), image_id=image_id)
        else:
            _add(builder, image_id, images[stem], _xml_file(root, stem), trees[stem])
    return collapse_any_class(builder.build())


def _xml_file(root: Path, stem: str) -> Path:
    return root / "Annotations" / f"{stem}.xml"


def _parse_all(root: Path) -> tuple[dict[str, ET.Element], dict[str, str]]:
    """The annotations of all splits by stem (only all of them name all classes), and what is broken."""
    trees: dict[str, ET.Element] = {}
    broken: dict[str, str] = {}
    for file in files_like(root / "Annotations", "*.xml"):
        try:
            trees[file.stem] = ET.parse(file).getroot()
        except (ET.ParseError, OSError, ValueError) as error:
            broken[file.stem] = f"not valid XML: {error}"
    return trees, broken


def _classes(root: Path, trees: Mapping[str, ET.Element]) -> tuple[str, ...]:
    if (root / CLASSES_FILE).is_file():
        return read_class_names(root / CLASSES_FILE)
    return tuple(sorted({_name(node) for tree in trees.values() for node in tree.iter("object")} - {""}))


def _add(builder: SetBuilder, image_id: int, image: Path, file: Path, tree: ET.Element) -> None:
    try:
        size = _size(tree)
    except ValueError as error:
        builder.fault(str(error), file=file, image_id=image_id)
        return
    items = [(f"object {number}", node) for number, node in enumerate(tree.iter("object"), start=1)]
    parse = partial(_mark, labels={name: label for label, name in enumerate(builder.classes)})
    builder.add_items(image_id, image.name, image, items, parse, file=file, size=size)


def _size(tree: ET.Element) -> tuple[int, int] | None:
    """Width and height as the file gives them; ``None`` where it does not."""
    texts = [tree.findtext(f"size/{key}") for key in ("width", "height")]
    if None in texts:
        return None
    if not all(text and text.strip().isdecimal() and int(text) > 0 for text in texts):
        raise ValueError(f"width {texts[0]!r} and height {texts[1]!r} must be whole numbers of pixels")
    width, height = (int(text) for text in texts if text)
    return width, height


def _mark(node: ET.Element, size: tuple[int, int], labels: Mapping[str, int]) -> Mark:
    del size  # the coordinates are pixels already
    name = _name(node)
    if name not in labels:
        raise ValueError(f"unknown category {name!r}; the classes are {', '.join(labels)}")
    texts = [node.findtext(f"bndbox/{side}") for side in _SIDES]
    if None in texts:
        raise ValueError(f"missing {_SIDES[texts.index(None)]} in its bndbox")
    left, top, right, bottom = (float(text or "") for text in texts)
    attributes: dict[str, int | str] = {
        key: int(text) for flag, key in _FLAGS.items() if (text := _flag(node, flag))
    }
    pose = node.findtext("pose", "").strip()
    if pose not in ("", "Unspecified"):
        attributes["pose"] = pose
    difficult = _flag(node, "difficult") == "1"
    return Mark((left - 1, top - 1, right, bottom), labels[name], difficult, attributes)


def _name(node: ET.Element) -> str:
    return node.findtext("name", "").strip()


def _flag(node: ET.Element, key: str) -> str:
    """A flag's text; "0", which all but a few objects have, counts as none."""
    text = node.findtext(key, "").strip()
    if text not in ("", "0", "1"):
        raise ValueError(f"{key} {text!r} must be 0 or 1")
    return "" if text == "0" else text


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
            ET.SubElement(node, key).text = str(child)
    return node
