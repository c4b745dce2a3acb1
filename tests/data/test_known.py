from pathlib import Path

import numpy as np
import pytest

from srtod.data import AnnotatedSet, ImageRecord
from srtod.data.formats import aitod, visdrone
from srtod.data.known import (
    AITOD,
    AITOD_V2,
    DRONESWARMS,
    VISDRONE,
    Completeness,
    Published,
    compare,
    compare_whole,
    identify,
)


def record(objects: int, ignored: int = 0) -> ImageRecord:
    count = objects + ignored
    return ImageRecord(
        image_id=1,
        file_name="a.png",
        path=Path("a.png"),
        width=64,
        height=48,
        boxes=np.tile([0.0, 0.0, 2.0, 2.0], (count, 1)),
        labels=np.zeros(count, dtype=np.int64),
        ignore=np.arange(count) >= objects,
        annotation_ids=np.arange(count),
    )


def make_set(split, *, images, objects=0, format="visdrone", classes=visdrone.CLASSES, source="data"):
    """A split whose first image holds all objects, and two regions to ignore."""
    records = (record(objects, ignored=2), *[record(0)] * (images - 1))
    return AnnotatedSet(Path(source), format, split, tuple(classes), records)


def make_aitod(split, *, images, objects=0, source="aitod_train_v1.json"):
    return make_set(
        split, images=images, objects=objects, format="aitod", classes=aitod.CLASSES, source=source
    )


def test_complete_split_of_visdrone():
    comparison = compare(make_set("val", images=548, objects=38_759))
    assert comparison is not None
    assert comparison.complete
    assert str(comparison) == "VisDrone2019-DET val: complete, 548 images and 38,759 objects as published"


@pytest.mark.parametrize("objects", [343_205, 343_204])
def test_each_published_count_is_complete(objects):
    comparison = compare(make_set("train", images=6_471, objects=objects))
    assert comparison is not None
    assert comparison.complete


@pytest.mark.parametrize(
    ("images", "objects", "text"),
    [
        (540, 38_000, "8 fewer images and 759 fewer objects than published"),
        (548, 38_000, "759 fewer objects than published"),
        (549, 38_760, "1 more image and 1 more object than published"),
    ],
)
def test_what_a_copy_lacks(images, objects, text):
    comparison = compare(make_set("val", images=images, objects=objects))
    assert comparison is not None
    assert not comparison.complete
    assert str(comparison) == f"VisDrone2019-DET val: {text}"


def test_visdrone_is_known_by_its_classes_in_any_layout_and_order():
    annotated = make_set("val", images=1, format="coco", classes=reversed(visdrone.CLASSES))
    assert identify(annotated) is VISDRONE


def test_versions_of_ai_tod_are_told_apart_by_their_files():
    assert identify(make_aitod("train", images=1)) is AITOD
    assert identify(make_aitod("train", images=1, source="aitodv2_train.json")) is AITOD_V2


def test_split_without_a_published_number_of_objects():
    comparison = compare(make_aitod("val", images=2_804, objects=7))
    assert str(comparison) == "AI-TOD val: complete, 2,804 images as published"


@pytest.mark.parametrize(
    "annotated",
    [
        make_set("", images=548),
        make_set("test-challenge", images=548),
        make_set("val", images=548, classes=("car", "van")),
        make_set("train", images=5, format="aitod", classes=("airplane",)),
        make_set("train", images=5, format="coco", classes=aitod.CLASSES),
        make_set("train", images=3_000, format="droneswarms", classes=("drone",)),
        make_set("train", images=6_577, format="coco", classes=("drone",)),
    ],
)
def test_nothing_is_said_of_what_is_not_certain(annotated):
    assert compare(annotated) is None
    assert compare_whole([annotated]) is None


def test_drone_swarms_are_known_by_their_size():
    annotated = make_set("test", images=2_530, format="droneswarms", classes=("drone",))
    assert str(compare(annotated)) == "DroneSwarms test: 2 fewer images than published"


def test_whole_set_where_all_its_parts_are_there():
    def part(split, images, objects):
        return make_set(split, images=images, objects=objects, format="droneswarms", classes=("drone",))

    train, test = part("train", 6_577, 200_000), part("test", 2_532, 42_218)
    assert (
        str(compare_whole([train, test]))
        == "DroneSwarms: complete, 9,109 images and 242,218 objects as published"
    )
    assert compare_whole([train]) is None
    assert compare_whole([train, make_set("val", images=548)]) is None
    assert compare_whole([]) is None


def test_images_of_trainval_count_once():
    parts = {
        "train": make_aitod("train", images=11_214, objects=280_000),
        "val": make_aitod("val", images=2_804, objects=73_004),
        "trainval": make_aitod("trainval", images=14_018, objects=353_004),
        "test": make_aitod("test", images=14_018, objects=347_617),
    }
    for names in (("train", "val", "test"), ("trainval", "test"), parts):
        comparison = compare_whole([parts[name] for name in names])
        assert comparison is not None
        assert (comparison.complete, comparison.objects) == (True, 700_621)


def test_published_numbers_add_up():
    assert sum(part.images for part in DRONESWARMS.splits.values()) == DRONESWARMS.whole.images
    trainval, test = AITOD.splits["trainval"], AITOD.splits["test"]
    objects = tuple(sum(counts) for counts in zip(trainval.objects, test.objects, strict=True))
    assert AITOD.whole == Published(trainval.images + test.images, objects)
    assert AITOD.whole.images == sum(AITOD.splits[split].images for split in ("train", "val", "test"))


@pytest.mark.parametrize("known", [VISDRONE, AITOD, DRONESWARMS], ids=lambda known: known.name)
def test_the_page_shows_what_is_printed_of_a_complete_copy(known):
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    expected = {f"{known.name} {split}": numbers for split, numbers in known.splits.items()}
    expected |= {known.name: known.whole} if known.whole else {}
    shown = [line for line in page.splitlines() if line.startswith(known.name) and ": complete," in line]
    assert len(shown) == len(expected)
    for line in shown:
        name = line.split(":")[0]
        images = expected[name].images
        counts = expected[name].objects or (None,)
        assert line in [str(Completeness(name, images, count or 0, images, count)) for count in counts]
