"""A sound copy of a data set, with a list of every change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srtod.data.conversion import (
    check_layout,
    checked,
    decoded,
    read_sets,
    require_same_classes,
    with_images,
    write_sets,
)
from srtod.data.findings import Finding, told_findings
from srtod.data.formats import WRITERS
from srtod.data.records import AnnotatedSet
from srtod.data.rules import RULES
from srtod.support.files import atomic_folder, write_json

CHANGES = "changes.json"
"""The file in the copy that lists every change."""
_WITHOUT_REGIONS = ("yolo",)
"""Layouts that cannot hold regions to ignore: what is wrong would become background."""


@dataclass(frozen=True)
class FixedSet:
    """What :func:`fix` wrote.

    Attributes:
        sets: the splits of the copy.
        layout: of the copy.
        changes: what was wrong in each split, every case, and is not in the copy.
        lost: what the layout cannot hold, counted.
    """

    sets: tuple[AnnotatedSet, ...]
    layout: str
    changes: tuple[Finding, ...]
    lost: Counter[str]

    def to_json(self) -> dict[str, Any]:
        """Return the changes as plain values."""
        changes = [
            {
                "name": change.name,
                "split": change.split,
                "count": change.count,
                "done": RULES[change.name].fix,
                "cases": list(change.examples),
            }
            for change in self.changes
        ]
        return {"layout": self.layout, "changes": changes, "not_held": dict(self.lost)}


def fix(
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    format: str | None = None,
    split: str | None = None,
    link: bool = False,
    progress: bool = False,
) -> FixedSet:
    """Write a sound copy of a data set, whole or not at all, with :data:`CHANGES` beside it.

    It holds what the readers make of the source: boxes clipped, sizes filled in, everything once, ids that
    are whole numbers. An object whose place is known while something else about it is wrong is a region to
    ignore; images that cannot be read, or in which the place of an object is not known, are left out.

    Args:
        source: a data set in any known layout.
        target: a folder that does not exist yet or is empty.
        to: layout of the copy; None: that of the source, or ``coco`` where that cannot be written or cannot
            hold the regions to ignore.
        format: the source's layout; None recognises it.
        split: fix this one alone; None fixes all.
        link: give the images further names (hard links) instead of copying them.
        progress: show bars on stderr.

    Raises:
        InputError: there is nothing sound in the source, its splits disagree on the classes, or the target is
            not empty or cannot be written.
    """
    if to is not None:
        check_layout(to)
    read = read_sets(source, format, split)
    layout = to or _layout(read)
    sets = [
        decoded(one, progress=progress)
        if layout == "coco"  # which says the size that the boxes refer to
        else checked(one, skip_bad=True, progress=progress)
        for one in read
    ]
    found = (finding for one in sets for finding in told_findings(one, every=True))
    changes = tuple(finding for finding in found if RULES[finding.name].fix)
    written = tuple(_with_numbers(one) for one in with_images(sets))
    require_same_classes(written)
    with atomic_folder(target) as scratch:
        lost = write_sets(written, scratch, layout, link=link, progress=progress)
        fixed = FixedSet(written, layout, changes, lost)
        write_json(scratch / CHANGES, {"source": str(source.absolute()), **fixed.to_json()}, indent=2)
    return fixed


def _layout(sets: Sequence[AnnotatedSet]) -> str:
    """The layout of the source, or COCO where that is not written or something would be lost in it."""
    own = sets[0].format
    regions = any(record.ignore.any() for one in sets for record in one.records)
    return "coco" if own not in WRITERS or (regions and own in _WITHOUT_REGIONS) else own


def _with_numbers(annotated: AnnotatedSet) -> AnnotatedSet:
    """The same set with images counted from 1 where their ids are no numbers."""
    if not any(isinstance(record.image_id, str) for record in annotated.records):
        return annotated
    numbered = enumerate(annotated.records, start=1)
    return replace(annotated, records=tuple(replace(one, image_id=number) for number, one in numbered))
