"""The layouts a data set can have: one module each, with ``find`` to read and mostly ``write``."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from srtod.data.folders import IMAGES, beginning
from srtod.data.formats import aitod, coco, dota, droneswarms, sequences, table, visdrone, voc, yolo
from srtod.data.formats.layout import Splits
from srtod.data.formats.writing import Place
from srtod.data.records import AnnotatedSet
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import is_lfs_pointer

READERS: Mapping[str, Callable[[Path], Splits]] = {
    "aitod": aitod.find,
    "droneswarms": droneswarms.find,
    "visdrone": visdrone.find,
    "yolo": yolo.find,
    "voc": voc.find,
    "coco": coco.find,
    "csv": table.find_csv,
    "cvat": table.find_cvat,
    "dota": dota.find,
    "mot": sequences.find,
}
"""What finds the splits of a layout, by its name; these are recognised."""

VERSIONS: Mapping[str, Callable[[Path], Splits]] = {
    "aitod-v1": partial(aitod.find, version=1),
    "aitod-v2": partial(aitod.find, version=2),
}
"""What finds one of the versions of a layout that may lie in one folder, where it is asked for by name."""

WRITERS: Mapping[str, Callable[[Sequence[AnnotatedSet], Path, Place], Counter[str]]] = {
    "coco": coco.write,
    "visdrone": visdrone.write,
    "yolo": yolo.write,
    "voc": voc.write,
}
"""What writes splits into an empty folder and counts what the layout cannot hold, by its name."""

# Both are COCO under other names, so COCO's own reader sees them too.
_KINDS_OF_COCO = ("aitod", "droneswarms")


def find_splits(path: Path, format: str | None = None) -> Splits:
    """Find the splits of a data set, recognising its layout where none is named.

    Raises:
        InputError: there is nothing at ``path`` or it cannot be read, the layout is unknown, or it could be
            several.
    """
    known = {**READERS, **VERSIONS}
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a data set")
    if format is not None and format not in known:
        raise InputError(f"unknown format {format!r}{did_you_mean(format, known)}; known are {_list(known)}")
    try:
        found = {name: splits for name in ([format] if format else READERS) if (splits := known[name](path))}
    except OSError as error:  # they look into files to recognise them
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    for kind in _KINDS_OF_COCO:
        if kind in found:
            found.pop("coco", None)
    if not found:
        wanted = f"no data set in the layout {format!r}" if format else f"no data set ({_list(READERS)})"
        raise InputError(f"{path}: {wanted} found here{_seen(path)}; give its folder or its annotation file")
    if len(found) > 1:
        raise InputError(f"{path}: could be {_list(found, ' or ')}; say which with --format")
    return next(iter(found.values()))


def _seen(path: Path) -> str:
    """What lies in a folder instead, and what the nearest layout would need."""
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    pointers = [file for file in files if file.stat().st_size < 1000 and is_lfs_pointer(beginning(file))]
    if pointers:
        return f": {len(pointers):,} files are pointers of Git LFS, such as {pointers[0]}; run 'git lfs pull'"
    if not path.is_dir():
        return ""
    kinds = Counter(file.suffix.lower() or file.name for file in files)
    images = sum(count for kind, count in kinds.items() if kind in IMAGES)
    others = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if kind not in IMAGES)
    if not kinds:
        return ", it is empty"
    if kinds[".txt"]:
        near = "YOLO: images/ beside labels/ with texts of the same names, and classes.txt"
    elif kinds[".xml"]:
        near = "VOC: JPEGImages/ beside Annotations/ with XML files of the same names"
    else:
        near = "COCO: images/ beside a JSON file with images, annotations and categories"
    return f" (there are {images:,} images and {others or 'nothing else'}; the nearest layout is {near})"


def _list(names: Mapping[str, object], last: str = ", ") -> str:
    return last.join(names)
