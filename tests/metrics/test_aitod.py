"""The metrics of a data set in memory."""

from pathlib import Path

import numpy as np
import pytest

from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.metrics import METRICS, Metrics, evaluate
from srtod.metrics.terminal import metrics_table
from srtod.support.errors import InputError


def record(image_id, boxes=(), labels=(), ignore=None, attributes=()) -> ImageRecord:
    count = len(boxes)
    return ImageRecord(
        image_id=image_id,
        file_name=f"{image_id}.png",
        path=Path(f"{image_id}.png"),
        width=200,
        height=200,
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        labels=np.array(labels, dtype=np.int64),
        ignore=np.zeros(count, dtype=bool) if ignore is None else np.array(ignore, dtype=bool),
        annotation_ids=np.arange(count, dtype=np.int64),  # an id of 0, which pycocotools takes for "no match"
        attributes=attributes,
    )


def dataset(*records: ImageRecord, classes=("drone", "bird")) -> AnnotatedSet:
    return AnnotatedSet(Path("set.json"), "coco", "val", classes, records)


def found(image_id, bbox, score=0.9, category_id=1):
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def test_perfect_detections_earn_one_and_bins_without_objects_minus_one():
    metrics = evaluate(dataset(record(1, [[10, 10, 16, 16]], [0])), [found(1, [10, 10, 6, 6])])

    assert list(metrics.summary) == list(METRICS)
    assert metrics.summary == pytest.approx(
        {"AP": 1, "AP50": 1, "AP75": 1, "APvt": 1, "APt": -1, "APs": -1, "APm": -1, "AR": 1}
    )
    assert metrics.per_class["drone"] == metrics.summary
    assert set(metrics.per_class["bird"].values()) == {-1.0}


def test_no_detections_at_all():
    metrics = evaluate(dataset(record(1, [[10, 10, 16, 16]], [0]), record(2)), [])

    assert metrics.summary["AP"] == 0.0
    assert metrics.summary["AR"] == 0.0
    assert metrics.images == 2


def test_no_objects_at_all():
    metrics = evaluate(dataset(record(1), record(2)), [found(2, [1, 1, 5, 5])])

    assert set(metrics.summary.values()) == {-1.0}


def test_no_images_at_all():
    assert set(evaluate(dataset(), []).summary.values()) == {-1.0}


def test_size_bins():
    sides = (6, 12, 24, 48)
    truth = dataset(*(record(i, [[10, 10, 10 + side, 10 + side]], [0]) for i, side in enumerate(sides)))
    metrics = evaluate(truth, [found(1, [10, 10, 12, 12]), found(3, [10, 10, 48, 48])])

    assert [metrics.summary[key] for key in ("APvt", "APt", "APs", "APm")] == pytest.approx([0, 1, 0, 1])


def test_a_region_for_every_class_forgives_false_alarms_of_every_class():
    objects = record(1, [[10, 10, 20, 20], [40, 40, 50, 50]], [0, 1])
    alarms = [
        found(1, [10, 10, 10, 10], 0.5, 1),
        found(1, [40, 40, 10, 10], 0.5, 2),
        found(1, [120, 120, 8, 8], 0.9, 1),
        found(1, [140, 140, 8, 8], 0.9, 2),
    ]
    forgiving = record(
        1, [*objects.boxes, [100, 100, 180, 180]], [0, 1, ANY_CLASS], ignore=[False, False, True]
    )

    assert evaluate(dataset(objects), alarms).summary["AP"] == pytest.approx(0.5)
    assert evaluate(dataset(forgiving), alarms).summary["AP"] == pytest.approx(1.0)
    assert evaluate(dataset(forgiving), alarms).per_class["bird"]["AP"] == pytest.approx(1.0)


def test_a_region_of_one_class_forgives_that_class_only():
    truth = record(
        1, [[10, 10, 20, 20], [40, 40, 50, 50], [100, 100, 180, 180]], [0, 1, 0], [False, False, True]
    )
    alarms = [
        found(1, [10, 10, 10, 10], 0.5, 1),
        found(1, [40, 40, 10, 10], 0.5, 2),
        found(1, [120, 120, 8, 8], 0.9, 1),
        found(1, [140, 140, 8, 8], 0.9, 2),
    ]
    rows = evaluate(dataset(truth), alarms).per_class

    assert rows["drone"]["AP"] == pytest.approx(1.0)
    assert rows["bird"]["AP"] == pytest.approx(0.5)


def test_the_stated_area_decides_the_bin():
    truth = dataset(record(1, [[10, 10, 30, 30]], [0], attributes=({"area": 60.0},)))
    summary = evaluate(truth, [found(1, [10, 10, 20, 20])]).summary

    assert summary["APvt"] == pytest.approx(1.0)
    assert summary["APs"] == -1.0


def test_image_ids_may_be_strings_and_images_in_any_order():
    truth = dataset(record("z", [[10, 10, 20, 20]], [0]), record("a", [[30, 30, 40, 40]], [0]), record(5))
    metrics = evaluate(truth, [found("z", [10, 10, 10, 10]), found("a", [30, 30, 10, 10])])

    assert metrics.summary["AP"] == pytest.approx(1.0)


def test_names_stand_above_ids():
    truth = dataset(record(1, [[10, 10, 20, 20]], [1]))
    result = found(99, [10, 10, 10, 10]) | {"file_name": "1.png", "category_name": "bird"}

    assert evaluate(truth, [result]).per_class["bird"]["AP"] == pytest.approx(1.0)


def test_numbers_of_numpy_are_numbers():
    box = np.array([10, 10, 10, 10], dtype=np.float32)

    assert evaluate(dataset(record(1, [[10, 10, 20, 20]], [0])), [found(1, box, np.float32(0.5))]).summary[
        "AP"
    ] == (pytest.approx(1.0))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (found(2, [1, 1, 5, 5]), "results: detection 1 (image_id 2): image_id 2 is not known in set.json"),
        (found(1, [1, 1, 5, 5], category_id=3), "category_id 3 is not known in set.json"),
        (found(1, [1, 1, 5, 5], category_id=0), "category_id 0 is not known in set.json"),
        (found(1, [1, 1, 5, 5], score=float("nan")), "score nan is not a finite number"),
        (found(1, [1, 1, -5, 5]), "bbox [1, 1, -5, 5] has a negative width or height"),
    ],
)
def test_unsound_results_are_refused(result, message):
    with pytest.raises(InputError) as error:
        evaluate(dataset(record(1)), [found(1, [1, 1, 5, 5]), result])

    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_too_few_detections_per_image():
    with pytest.raises(InputError, match="detections per image: 0 is too few"):
        evaluate(dataset(record(1)), [], detections_per_image=0)


def test_json_has_exactly_the_agreed_keys():
    value = evaluate(dataset(record(1)), []).to_json()

    assert set(value) == {*METRICS, "per_class", "images", "detections_per_image"}
    assert METRICS == ("AP", "AP50", "AP75", "APvt", "APt", "APs", "APm", "AR")
    assert set(value["per_class"]["bird"]) == set(METRICS)
    assert value["detections_per_image"] == 1500


def test_the_table_shows_minus_one_as_a_dash():
    row = dict.fromkeys(METRICS, 0.25) | {"APm": -1.0}
    table = metrics_table(Metrics(row, {"drone": row}, images=3, detections_per_image=1500))
    cells = {column.header: list(column.cells) for column in table.columns}

    assert list(cells) == ["class", *METRICS]
    assert [str(cell) for cell in cells["class"]] == ["all", "drone"]
    assert cells["AP"] == ["0.250", "0.250"]
    assert cells["APm"] == ["-", "-"]
    assert "no object of that size" in str(table.caption)
