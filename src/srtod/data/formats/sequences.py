"""Videos as folders of frames: VisDrone-VID and -MOT, and MOTChallenge.

VisDrone: ``sequences/<name>/*.jpg`` and ``annotations/<name>.txt``, a line a box: frame, target, left, top,
width, height, score, category, truncation, occlusion. MOTChallenge: ``<name>/img1/*.jpg`` and
``<name>/gt/gt.txt``: frame, target, left, top, width, height, whether it counts, class, visibility. A frame
is the number that the name of its image ends in (``frame_12.jpg``). Where they have no such numbers, or those
are not the text's, images count from 1 in the order of their names, numbers in them by their values.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from srtod.data.folders import files_like, image_files, natural_key
from srtod.data.formats import visdrone
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import Splits, name_splits, read_lines, split_name, to_number
from srtod.data.records import AnnotatedSet

_PEDESTRIAN, _COLUMNS = "1", 6
_VISDRONE_LABELS = {label + 1: label for label in range(len(visdrone.CLASSES))}


def find(path: Path) -> Splits:
    """Find the splits at ``path``: a folder of sequences, or one that holds such."""
    folders = (
        [path] if _sequences(path) else [folder for folder in files_like(path, "*/") if _sequences(folder)]
    )
    own = {folder: split_name(folder.name) or (folder.name if folder != path else "") for folder in folders}
    named = name_splits(folders, own.__getitem__)
    return {split: partial(_read, folder, split) for split, folder in named.items()}


def _sequences(folder: Path) -> dict[Path, Path]:
    """The text of each folder of frames."""
    texts = files_like(folder / "annotations", "*.txt")
    found = {folder / "sequences" / text.stem: text for text in texts}
    found |= {text.parent.parent / "img1": text for text in files_like(folder, "*/gt/gt.txt", "gt/gt.txt")}
    return {frames: text for frames, text in sorted(found.items()) if frames.is_dir()}


def _read(folder: Path, split: str) -> AnnotatedSet:
    sequences = _sequences(folder)
    is_mot = all(text.name == "gt.txt" for text in sequences.values())
    classes = ("pedestrian",) if is_mot else visdrone.CLASSES
    builder = SetBuilder(folder, "mot" if is_mot else "visdrone", split, classes)
    parse: Callable[[str, tuple[int, int]], Mark] = _mot_mark if is_mot else _visdrone_mark
    image_id = 0
    for frames, text in sequences.items():
        lines = defaultdict(list)
        for number, line in enumerate(read_lines(text), start=1):
            if line.strip():
                lines[line.split(",")[0].strip().lstrip("0") or "0"].append((f"line {number}", line))
        images = sorted(image_files(frames), key=natural_key)
        for frame, image in zip(_numbers(images, set(lines)), images, strict=True):
            image_id += 1
            name = image.relative_to(folder).as_posix()
            builder.add_items(image_id, name, image, lines.pop(frame, []), parse, file=text)
        for frame in lines:
            builder.fault(f"there is no image of frame {frame}", file=text)
    return builder.build()


def _numbers(images: Sequence[Path], said: set[str]) -> list[str]:
    """The frame that each image is; ``said`` are those of the text."""
    counted = [str(number) for number in range(1, len(images) + 1)]
    found = [re.search(r"\d+$", image.stem) for image in images]
    called = [str(int(number[0])) for number in found if number]
    if len(set(called)) < len(images):
        return counted
    from_zero = called == [str(number) for number in range(len(images))]
    may_count = from_zero or not all(image.stem.isdecimal() for image in images)
    return counted if may_count and said <= set(counted) and not said <= set(called) else called


def _visdrone_mark(line: str, size: tuple[int, int]) -> Mark:
    return visdrone.parse(line.split(",", 2)[-1], size, _VISDRONE_LABELS)


def _mot_mark(line: str, size: tuple[int, int]) -> Mark:
    """A pedestrian that counts is an object, everything else a region to ignore."""
    del size  # the coordinates are pixels already
    values = [value.strip() for value in line.split(",")]
    if len(values) < _COLUMNS:
        raise ValueError(f"has {len(values)} columns where MOTChallenge has {_COLUMNS} or more")
    left, top, width, height = (to_number(value) for value in values[2:6])
    counts = values[6:7] in ([], ["1"]) and values[7:8] in ([], [_PEDESTRIAN], ["-1"])
    return Mark((left, top, left + width, top + height), 0, ignore=not counts)
