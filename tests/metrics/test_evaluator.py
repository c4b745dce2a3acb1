"""Equality with pycocotools on dense random sets."""

import contextlib
import io
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srtod.metrics import AREA_RANGES, evaluate

TOLERANCE = 1e-9


def difference(
    benchmark: ModuleType, truth: dict[str, Any], results: list[dict[str, Any]], limit: int = 1500
) -> float:
    ours = evaluate(benchmark.annotated_set(truth), results, detections_per_image=limit).to_json()
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = benchmark.referee_of_dicts(
            truth, [dict(result) for result in results], detections_per_image=limit
        )
    return benchmark.largest_difference(ours, theirs)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("classes", "limit"), [(1, 1500), (4, 1500), (3, 20)])
def test_dense_scenes_with_crowds_and_ties(benchmark, seed, classes, limit):
    truth, results = benchmark.scenes(images=4, objects=50, detections=120, classes=classes, seed=seed)
    for result in results:
        result["score"] = round(result["score"], 1)
    chance = np.random.default_rng(seed)
    chance.shuffle(results)
    chance.shuffle(truth["images"])

    assert difference(benchmark, truth, results, limit) <= TOLERANCE


def test_more_than_1500_detections_an_image(benchmark):
    truth, results = benchmark.scenes(images=2, objects=40, detections=2000, classes=1, seed=1)

    assert len(results) == 4000
    assert difference(benchmark, truth, results) <= TOLERANCE
    best = evaluate(benchmark.annotated_set(truth), results)
    every = evaluate(benchmark.annotated_set(truth), results, detections_per_image=2000)
    assert best.summary["AR"] < every.summary["AR"]


def test_empty_images_and_classes_without_objects_or_detections(benchmark):
    truth, results = benchmark.scenes(images=6, objects=20, detections=40, classes=4, seed=5)
    truth["annotations"] = [
        a for a in truth["annotations"] if a["image_id"] not in (1, 2) and a["category_id"] != 1
    ]
    results = [r for r in results if r["image_id"] not in (2, 3) and r["category_id"] != 2]

    assert difference(benchmark, truth, results) <= TOLERANCE
    ours = evaluate(benchmark.annotated_set(truth), results)
    assert set(ours.per_class["class 1"].values()) == {-1.0}
    assert ours.per_class["class 2"]["AP"] == 0.0
    assert ours.images == 6


def test_areas_of_the_annotation_decide_the_bin(benchmark):
    truth, results = benchmark.scenes(images=3, objects=30, detections=60, classes=2, seed=9)
    for annotation in truth["annotations"]:
        annotation["area"] *= 0.6  # as that of a segmentation

    assert difference(benchmark, truth, results) <= TOLERANCE


# Whole numbers: many overlaps exactly at a threshold, areas exactly at a border, equal boxes.
corner = st.integers(0, 24)
side = st.sampled_from([1, 2, 4, 8, 16, 32, 33])
box = st.tuples(corner, corner, side, side).map(list)
scores = st.sampled_from([0.1, 0.5, 0.5000001, 0.9])
annotation = st.fixed_dictionaries(
    {
        "image_id": st.integers(1, 3),
        "category_id": st.integers(1, 2),
        "bbox": box,
        "iscrowd": st.integers(0, 1),
    }
)
result = st.fixed_dictionaries(
    {"image_id": st.integers(1, 3), "category_id": st.integers(1, 2), "bbox": box, "score": scores}
)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(annotations=st.lists(annotation, max_size=12), results=st.lists(result, min_size=1, max_size=25))
def test_boxes_on_a_grid(benchmark, annotations, results):
    truth = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {**entry, "id": i + 1, "area": entry["bbox"][2] * entry["bbox"][3]}
            for i, entry in enumerate(annotations)
        ],
    }

    assert difference(benchmark, truth, results) <= TOLERANCE


@pytest.mark.parametrize("offset", [10.0, 0.03, 0.04, 8.03, 8.06])
def test_an_area_at_the_border_counts_in_both_bins_wherever_the_box_is(benchmark, offset):
    truth, _ = benchmark.scenes(images=1, objects=1, detections=1, classes=1, seed=0)
    truth["annotations"][0] |= {"bbox": [offset, offset, 8.0, 8.0], "area": 64.0, "iscrowd": 0}
    dataset = benchmark.annotated_set(truth)
    object.__setattr__(dataset.records[0], "attributes", ())
    found = [{"image_id": 1, "category_id": 1, "bbox": [offset, offset, 8.0, 8.0], "score": 1.0}]

    assert evaluate(dataset, found).summary["APvt"] == pytest.approx(1.0)
    assert evaluate(dataset, found).summary["APt"] == pytest.approx(1.0)
    assert AREA_RANGES["APvt"][1] == AREA_RANGES["APt"][0] == 64


def test_the_benchmark_compares_with_two_programs(benchmark, capsys, tmp_path):
    asked = ["--images", "10", "--detections", "50", "--classes", "2", "--json", str(tmp_path / "told.json")]
    benchmark.main(asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("10 images, 600 objects and regions to ignore, 500 detections, 2 classes")
    rows = json.loads((tmp_path / "told.json").read_text())["rows"]
    programs = ["srtod", "pycocotools", "faster-coco-eval"]
    assert [(row["given"], row["program"]) for row in rows] == [
        (given, program) for given in ("two JSON files", "in memory") for program in programs
    ]
    others = [row for row in rows if row["program"] != "srtod"]
    assert all(row["difference"] <= 1e-6 for row in others)
    assert all(row["ratio"] > 1 for row in others if row["program"] == "pycocotools")
