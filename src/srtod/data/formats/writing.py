"""What all writers share: putting image files in place under names that do not clash."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from srtod.data.records import AnnotatedSet, ImageRecord

CLASSES_FILE = "classes.txt"
"""One class name a line, where a layout has no place of its own for names and their order."""

Place = Callable[[ImageRecord, Path], None]
"""Puts a record's image file at a path of the target (copied or linked)."""


class NameGiver:
    """Gives every image file a name in the target that no other has, its own where possible.

    Args:
        by_stem: names must differ without their endings too, because annotation files are named after them.
        flat: sub-folders become part of the name.
        without: sub-folders of this name (in small letters) are left out of it.
    """

    def __init__(self, *, by_stem: bool = True, flat: bool = False, without: str = "") -> None:
        self.renamed = 0  # files since the last count
        self._by_stem = by_stem
        self._separator = "_" if flat else "/"
        self._without = without
        self._given: dict[Path, str] = {}
        self._used: set[str] = set()

    def name(self, record: ImageRecord, split: str) -> str:
        """Return the name for a record's file; the same file gets the same name again."""
        if record.path not in self._given:
            *folders, base = record.file_name.split("/")
            own = self._separator.join([one for one in folders if one.lower() != self._without] + [base])
            path = PurePosixPath(own)
            wider = (
                f"{path.stem}_{split}{path.suffix}",
                f"{path.stem}_{split}_{record.image_id}{path.suffix}",
            )
            candidates = (own, *(str(path.with_name(name)) for name in wider))
            name = next(name for name in candidates if self._key(name) not in self._used)
            self._used.add(self._key(name))
            self._given[record.path] = name
            self.renamed += name != record.file_name
        return self._given[record.path]

    def count(self, lost: Counter[str], annotated: AnnotatedSet) -> None:
        """Add to ``lost`` what every format without ids loses of a split."""
        lost["image ids (counted anew in the order of file names)"] += len(annotated.records)
        lost["annotation ids (counted anew)"] += sum(len(record.boxes) for record in annotated.records)
        lost.update(f"field '{key}' of images" for record in annotated.records for key in record.fields)
        lost["file names (clashing or in sub-folders: renamed)"] += self.renamed
        self.renamed = 0

    def _key(self, name: str) -> str:
        # Small letters: two names that differ in capitals alone are one file on many disks.
        return (str(PurePosixPath(name).with_suffix("")) if self._by_stem else name).lower()
