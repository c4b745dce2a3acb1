"""What is published about the paper's data sets, to tell whether a copy is complete.

Objects are what evaluation counts: VisDrone's ignored regions and "others" are not among them. Where sources
differ, all their counts stand here, and a copy is complete with any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from srtod.data.formats import aitod, visdrone
from srtod.data.records import AnnotatedSet


@dataclass(frozen=True)
class Published:
    """Numbers of a split or of a whole set; no objects where none are published."""

    images: int
    objects: tuple[int, ...] = ()


@dataclass(frozen=True)
class KnownSet:
    """A published data set.

    Attributes:
        name: as its authors write it.
        splits: the numbers of each, by our names.
        whole: those of ``train`` (or ``trainval``), ``val`` and ``test`` together.
    """

    name: str
    splits: Mapping[str, Published]
    whole: Published | None = None


VISDRONE = KnownSet(
    "VisDrone2019-DET",
    {
        # Images: https://docs.ultralytics.com/datasets/detect/visdrone/. Objects of train, and that one of
        # them has height 0 (a fault here): https://huggingface.co/datasets/huuthientran/VisDrone; of val and
        # test-dev: the tables that YOLOv5's validation prints on the official files.
        "train": Published(6_471, (343_205, 343_204)),
        "val": Published(548, (38_759,)),
        "test": Published(1_610, (75_102,)),
    },
)
AITOD = KnownSet(
    "AI-TOD",
    {
        # The paper's numbers by split: https://huggingface.co/datasets/jwwangchn/AI-TOD. The annotations
        # given out since 2022 have a few more objects: https://github.com/jwwangchn/AI-TOD/issues/15.
        "train": Published(11_214),
        "val": Published(2_804),
        "trainval": Published(14_018, (353_004, 353_015)),
        "test": Published(14_018, (347_617, 347_630)),
    },
    Published(28_036, (700_621, 700_645)),  # Wang et al., Tiny Object Detection in Aerial Images, ICPR 2020
)
AITOD_V2 = KnownSet(
    "AI-TOD-v2",
    {split: Published(numbers.images) for split, numbers in AITOD.splits.items()},  # the same images
    Published(28_036, (752_745,)),  # Xu et al., ISPRS Journal 2022, https://arxiv.org/abs/2206.13996
)
DRONESWARMS = KnownSet(
    "DroneSwarms",  # Cao et al., ECCV 2024, https://arxiv.org/abs/2405.11276
    {"train": Published(6_577), "test": Published(2_532)},
    Published(9_109, (242_218,)),
)


@dataclass(frozen=True)
class Completeness:
    """A copy beside what is published.

    Attributes:
        name: the data set, and the split where it is one.
        images: how many the copy has.
        objects: how many the copy has.
        published_images: how many there should be.
        published_objects: how many there should be, the nearest where sources differ; ``None``: unpublished.
    """

    name: str
    images: int
    objects: int
    published_images: int
    published_objects: int | None

    @property
    def complete(self) -> bool:
        """Whether every number is the published one."""
        return self.images == self.published_images and self.published_objects in (None, self.objects)

    def __str__(self) -> str:
        if self.complete:
            objects = "" if self.published_objects is None else f" and {self.objects:,} objects"
            return f"{self.name}: complete, {self.images:,} images{objects} as published"
        differences = [_difference(self.images, self.published_images, "image")]
        if self.published_objects is not None:
            differences.append(_difference(self.objects, self.published_objects, "object"))
        return f"{self.name}: {' and '.join(filter(None, differences))} than published"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return asdict(self) | {"complete": self.complete}


def identify(annotated: AnnotatedSet) -> KnownSet | None:
    """Tell which published set a split belongs to; ``None`` if to none, or to none for certain."""
    known, classes = None, set(annotated.classes)
    if classes == set(visdrone.CLASSES):
        known = VISDRONE
    elif annotated.format == "aitod" and classes == set(aitod.CLASSES):
        known = AITOD_V2 if aitod.version_of(annotated.source) == 2 else AITOD
    elif annotated.format == "droneswarms" and classes == {"drone"} and _has_size_of_droneswarms(annotated):
        known = DRONESWARMS
    return known if known is not None and annotated.split in known.splits else None


def compare(annotated: AnnotatedSet) -> Completeness | None:
    """Compare a split with what is published of it; ``None`` where it is of no known set."""
    known = identify(annotated)
    if known is None:
        return None
    return _compare(f"{known.name} {annotated.split}", known.splits[annotated.split], [annotated])


def compare_whole(sets: Sequence[AnnotatedSet]) -> Completeness | None:
    """Compare splits together with the published set; ``None`` where they are not all parts of one."""
    known = identify(sets[0]) if sets else None
    if known is None or known.whole is None or any(identify(other) is not known for other in sets):
        return None
    twice = ("train", "val") if any(part.split == "trainval" for part in sets) else ()
    parts = [part for part in sets if part.split not in twice]
    if sum(known.splits[part.split].images for part in parts) != known.whole.images:
        return None
    return _compare(known.name, known.whole, parts)


def _has_size_of_droneswarms(annotated: AnnotatedSet) -> bool:
    """Its layout and class are those of any set of drones, drawn ones too: only the size tells it apart."""
    published = DRONESWARMS.splits.get(annotated.split, Published(0)).images
    return abs(len(annotated.records) - published) <= published // 100


def _compare(name: str, published: Published, parts: Sequence[AnnotatedSet]) -> Completeness:
    records = [record for part in parts for record in part.records]
    objects = sum(record.object_count for record in records)
    nearest = min(published.objects, key=lambda count: abs(count - objects), default=None)
    return Completeness(name, len(records), objects, published.images, nearest)


def _difference(found: int, published: int, what: str) -> str:
    if found == published:
        return ""
    count = abs(found - published)
    return f"{count:,} {'fewer' if found < published else 'more'} {what}{'' if count == 1 else 's'}"
