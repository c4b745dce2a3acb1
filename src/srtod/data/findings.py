"""What is wrong with a data set, or worth knowing: findings with a name, a count, a severity and a remedy."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from srtod.data.fingerprints import Fingerprint, alike
from srtod.data.images import depth_note
from srtod.data.records import SOME, AnnotatedSet, ImageRecord, told
from srtod.data.rules import FAULTS, NOTES, RULES, Rule, Severity

TINY = 2.0
"""Pixels of sqrt(area) below which an object holds hardly anything to learn from."""
OUTLIER = 5.0
"""Robust standard deviations (1.4826 MAD of the logarithms) from the median of its class: not plausible."""
LEAST_SPREAD = 0.2
"""Of the logarithms: among nearly equal objects an outlier is larger or smaller by a factor of e."""
LEAST_OBJECTS = 30
"""Of a class whose outliers are told."""
_EXAMPLES = 3

Told = TypeVar("Told")


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found in a split.

    Attributes:
        name: of :data:`~srtod.data.rules.RULES`.
        split: where; of two splits the one whose images are among those of the other.
        count: of boxes or images, as the name says.
        examples: some of them, a line each.
        looked_at: images among which was counted, where it may not be all; else None.
    """

    name: str
    split: str
    count: int
    examples: tuple[str, ...] = ()
    looked_at: int | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return RULES[self.name].severity

    @property
    def remedy(self) -> str:
        """What to do."""
        rule = RULES[self.name]
        return f"{rule.remedy}; data fix {rule.fix}" if rule.fix else rule.remedy

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "name": self.name,
            "severity": self.severity,
            "split": self.split,
            "count": self.count,
            "looked_at": self.looked_at,
            "remedy": self.remedy,
            "examples": list(self.examples),
        }


def find_all(sets: Sequence[AnnotatedSet], fingerprints: Mapping[Path, Fingerprint]) -> list[Finding]:
    """Find everything that is wrong or worth knowing.

    Args:
        sets: the splits, their images decoded.
        fingerprints: of the images, where there are several splits.
    """
    found = [*leaks(sets, fingerprints)]
    for annotated in sets:
        found += [*told_findings(annotated), *box_findings(annotated), *image_findings(annotated)]
    return found


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Order findings by severity, then by name and split."""
    names, severities = list(RULES), get_args(Severity)
    return tuple(sorted(findings, key=lambda one: (severities.index(one.severity), names.index(one.name))))


def told_findings(annotated: AnnotatedSet, *, every: bool = False) -> Iterator[Finding]:
    """What reading a split and its images told: faults and notes, by name.

    Args:
        annotated: the split.
        every: give each single fault as an example; else one a cause.
    """
    for name, faults in _grouped(annotated.faults, FAULTS, lambda fault: fault.what).items():
        lines = map(str, faults) if every else told(faults)
        yield Finding(name, annotated.split, len(faults), tuple(lines))
    for name, notes in _grouped(annotated.notes, NOTES, str).items():
        yield Finding(name, annotated.split, sum(map(_count_of, notes)), tuple(notes))
    texts = [record for record in annotated.records if isinstance(record.image_id, str)]
    if texts:
        lines = (f"{record.path}, image {record.image_id!r}" for record in (texts if every else texts[:1]))
        yield Finding("image-id-not-a-number", annotated.split, len(texts), tuple(lines))


def box_findings(annotated: AnnotatedSet) -> Iterator[Finding]:
    """Objects too small, or of a size or shape that objects of their class do not have."""
    records, objects = annotated.records, _Objects.of(annotated.records)
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    sizes, ratios = np.sqrt(sides.prod(axis=1)), sides[:, 1] / sides[:, 0]

    def finding(name: str, rows: NDArray[np.int64]) -> Iterator[Finding]:
        if len(rows):
            lines = tuple(
                f"{records[objects.images[row]].path}, annotation {objects.numbers[row]}: "
                f"{annotated.classes[objects.labels[row]]} of {sides[row, 0]:.3g} x {sides[row, 1]:.3g} px"
                for row in rows[:_EXAMPLES].tolist()
            )
            yield Finding(name, annotated.split, len(rows), lines)

    by_size = np.argsort(sizes, kind="stable")
    yield from finding("box-below-2-px", by_size[sizes[by_size] < TINY])
    for name, values in (("implausible-size", sizes), ("implausible-aspect-ratio", ratios)):
        deviations = _deviations(np.log(values), objects.labels, objects.whole)
        worst_first = np.argsort(-deviations, kind="stable")
        yield from finding(name, worst_first[deviations[worst_first] > OUTLIER])


def image_findings(annotated: AnnotatedSet) -> Iterator[Finding]:
    """Images without objects, of several sizes, or of more than 8 bits of which they use few."""
    records, split = annotated.records, annotated.split
    regions = sum(int(record.ignore.sum()) for record in records)
    if regions and not annotated.has_objects:
        yield Finding("no-objects", split, len(records), (f"all {regions:,} boxes are regions to ignore",))
    empty = [record for record in records if record.ignore.all()]
    if empty:
        share = f"{len(empty) / len(records):.1%} of the images, such as {empty[0].path}"
        yield Finding("image-without-objects", split, len(empty), (share,))
    sizes = Counter(f"{record.width} x {record.height}" for record in records).most_common()
    if len(sizes) > 1:
        lines = tuple(f"{count:,} images of {size}" for size, count in sizes[:_EXAMPLES])
        yield Finding("mixed-image-sizes", split, len(records) - sizes[0][1], lines)
    some = annotated.evenly(SOME).records
    narrow = [note for record in some if record.stretch == "auto" and (note := depth_note(record.path))]
    if narrow:
        yield Finding("narrow-pixel-range", split, len(narrow), tuple(narrow[:1]), looked_at=len(some))


def leaks(sets: Sequence[AnnotatedSet], fingerprints: Mapping[Path, Fingerprint]) -> Iterator[Finding]:
    """Images of a split that are in an earlier one, too, or look like one of it.

    Args:
        sets: the splits; ``trainval`` holds ``train`` and ``val`` and is not compared with them.
        fingerprints: of their images.
    """
    for other, one in combinations(sets, 2):
        if {one.split, other.split} in ({"train", "trainval"}, {"val", "trainval"}):
            continue
        ours, theirs = ([fingerprints[record.path] for record in split.records] for split in (one, other))
        pairs = list(alike(ours, theirs))
        for name, same in (("leaked-image", True), ("near-duplicate-across-splits", False)):
            found = [(one.records[i].path, other.records[j].path) for i, j, exact in pairs if exact == same]
            if found:
                lines = tuple(f"{path}: in {other.split} as {twin}" for path, twin in found[:_EXAMPLES])
                yield Finding(name, one.split, len(found), lines)


class _Objects(NamedTuple):
    """The objects of a split in columns, regions to ignore left out.

    Attributes:
        boxes: float64 ``[N, 4]``.
        labels: int64 ``[N]``.
        whole: bool ``[N]``, False for those at an edge of their image, which may be cut.
        images: index of each one's record, int64 ``[N]``.
        numbers: of their annotations, int64 ``[N]``.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    whole: NDArray[np.bool_]
    images: NDArray[np.int64]
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "_Objects":
        """Collect the objects of all images."""
        kept = [~record.ignore for record in records]
        boxes = np.concatenate(
            [np.zeros((0, 4)), *(record.boxes[own] for record, own in zip(records, kept, strict=True))]
        )
        images = np.repeat(np.arange(len(records)), [int(own.sum()) for own in kept])
        limits = np.array([(record.width, record.height) for record in records]).reshape(-1, 2)[images]

        def column(name: str) -> NDArray[np.int64]:
            parts = (getattr(record, name)[own] for record, own in zip(records, kept, strict=True))
            return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

        whole = np.hstack([boxes[:, :2] > 0, boxes[:, 2:] < limits]).all(axis=1)
        return cls(boxes, column("labels"), np.asarray(whole), images, column("annotation_ids"))


def _deviations(
    values: NDArray[np.float64], labels: NDArray[np.int64], whole: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Robust standard deviations of each value from the median of its class, ``[N]``; 0 in small classes."""
    found = np.zeros(len(values))
    for label in np.unique(labels):
        own = whole & (labels == label)
        if np.count_nonzero(own) >= LEAST_OBJECTS:
            distances = np.abs(values[own] - np.median(values[own]))
            found[own] = distances / max(1.4826 * float(np.median(distances)), LEAST_SPREAD)
    return found


def _grouped(
    items: Iterable[Told], rules: Mapping[str, Rule], text: Callable[[Told], str]
) -> dict[str, list[Told]]:
    """Group what readers told by the first rule that fits its text, in the order of the rules."""
    groups: dict[str, list[Told]] = {name: [] for name in rules}
    for item in items:
        said = text(item)
        fits = (name for name, rule in rules.items() if re.search(rf"(^|: )({rule.says})", said))
        groups[next(fits)].append(item)
    return {name: group for name, group in groups.items() if group}


def _count_of(note: str) -> int:
    """How many the note is about, where it says so first."""
    found = re.search(r": (?:left out: |nothing refers to )?([\d,]+) ", note)
    return int(found[1].replace(",", "")) if found else 1
