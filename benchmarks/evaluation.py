"""Ours against pycocotools and faster-coco-eval on dense scenes, in one run: differences and speed.

    uv run benchmarks/evaluation.py [--images 1000] [--detections 300] [--objects 60] [--json FILE]

All get the same random boxes: 2 to 64 pixels, one in ten a region to ignore, detections near objects and
beside them, many equal scores. Times hold everything from the dicts (or files) to the numbers; memory is what
the process has at most beyond what it had before (Linux). Exit code 1 where a number differs by more than
1e-6 from pycocotools' or ours is less than --least-ratio (30) times as fast as it.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faster_coco_eval
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.metrics import AREA_RANGES, DETECTIONS_PER_IMAGE, METRICS, evaluate, evaluate_files
from srtod.support.files import write_json
from srtod.support.memory import forget_peak, peak_memory, resident_memory
from srtod.support.provenance import provenance

TOLERANCE = 1e-6
LEAST_RATIO = 30.0


class Referee(NamedTuple):
    """A program that evaluates COCO files, by its classes."""

    coco: Any
    evaluator: Any


PYCOCOTOOLS = Referee(COCO, COCOeval)
REFEREES = {
    "pycocotools": PYCOCOTOOLS,
    "faster-coco-eval": Referee(faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}


def scenes(
    *, images: int, objects: int, detections: int, classes: int, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return random COCO annotations and COCO results."""
    draw = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        size = np.exp(draw.uniform(np.log(2), np.log(64), (objects, 2)))
        boxes = np.concatenate([draw.uniform(0, 1000, (objects, 2)), size], axis=1)
        labels = draw.integers(1, classes + 1, objects)
        for box, label, crowd in zip(
            boxes.tolist(), labels.tolist(), draw.random(objects) < 0.1, strict=True
        ):
            entry = {"image_id": image_id, "category_id": label, "bbox": box, "area": box[2] * box[3]}
            annotations.append({"id": len(annotations) + 1, "iscrowd": int(crowd), **entry})
        near = draw.integers(0, objects, detections)
        noise = draw.normal(0, 1, (detections, 4)) * draw.choice([0.03, 0.1, 0.3], (detections, 1))
        found = boxes[near] + noise * boxes[near][:, 2:].mean(axis=1, keepdims=True)
        found[:, 2:] = np.abs(found[:, 2:])
        guessed = np.where(
            draw.random(detections) < 0.9, labels[near], draw.integers(1, classes + 1, detections)
        )
        scores = draw.random(detections).round(3)
        for box, label, score in zip(found.tolist(), guessed.tolist(), scores.tolist(), strict=True):
            results.append({"image_id": image_id, "category_id": label, "bbox": box, "score": score})
    categories = [{"id": k + 1, "name": f"class {k + 1}"} for k in range(classes)]
    pictures = [
        {"id": i + 1, "file_name": f"{i + 1}.jpg", "width": 1000, "height": 1000} for i in range(images)
    ]
    return {"images": pictures, "categories": categories, "annotations": annotations}, results


def annotated_set(truth: dict[str, Any]) -> AnnotatedSet:
    """Return COCO annotations as a data set of ours."""
    entries: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in truth["images"]}
    for entry in truth["annotations"]:
        entries[entry["image_id"]].append(entry)
    records = tuple(_record(image, entries[image["id"]]) for image in truth["images"])
    return AnnotatedSet(Path("random"), "coco", "", tuple(k["name"] for k in truth["categories"]), records)


def _record(image: dict[str, Any], entries: list[dict[str, Any]]) -> ImageRecord:
    boxes = np.array([entry["bbox"] for entry in entries], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return ImageRecord(
        image_id=image["id"],
        file_name=image["file_name"],
        path=Path(image["file_name"]),
        width=image["width"],
        height=image["height"],
        boxes=boxes,
        labels=np.array([entry["category_id"] - 1 for entry in entries], dtype=np.int64),
        ignore=np.array([entry["iscrowd"] for entry in entries], dtype=bool),
        annotation_ids=np.array([entry["id"] for entry in entries], dtype=np.int64),
        attributes=tuple({"area": entry["area"]} for entry in entries),
    )


def referee(
    truth: Any,
    found: Any,
    *,
    program: Referee = PYCOCOTOOLS,
    detections_per_image: int = DETECTIONS_PER_IMAGE,
) -> dict[str, Any]:
    """Evaluate with another program; returns the metrics with ``per_class``, as ours does."""
    evaluator = program.evaluator(truth, found, "bbox")
    evaluator.params.areaRng = [list(limits) for limits in AREA_RANGES.values()]
    evaluator.params.areaRngLbl = list(AREA_RANGES)
    evaluator.params.maxDets = [detections_per_image]
    evaluator.evaluate()
    evaluator.accumulate()
    tables: dict[str, Any] = dict(evaluator.eval)
    precision, recall = tables["precision"][..., 0], tables["recall"][..., 0]
    names = [truth.cats[k]["name"] for k in evaluator.params.catIds]
    rows = {name: _means(precision[:, :, [k]], recall[:, [k]]) for k, name in enumerate(names)}
    return {**_means(precision, recall), "per_class": rows}


def _means(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, float]:
    values = {key: precision[..., a] for a, key in enumerate(AREA_RANGES)}
    values |= {"AP50": precision[0, ..., 0], "AP75": precision[5, ..., 0], "AR": recall[..., 0]}
    return {key: float(np.mean(v[v > -1])) if (v > -1).any() else -1.0 for key, v in values.items()}


def largest_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the largest difference of any metric, in total or of one class."""
    rows = [(ours, theirs), *((ours["per_class"][name], row) for name, row in theirs["per_class"].items())]
    return max(abs(mine[key] - other[key]) for mine, other in rows for key in METRICS)


def referee_of_dicts(
    truth: dict[str, Any], results: list[dict[str, Any]], *, program: Referee = PYCOCOTOOLS, **options: int
) -> dict[str, Any]:
    """Evaluate dicts with another program, which writes into the results it is given."""
    reference = program.coco()
    reference.dataset = truth
    reference.createIndex()
    return referee(reference, reference.loadRes(results), program=program, **options)


def referee_of_files(
    annotations: Path, detections: Path, *, program: Referee = PYCOCOTOOLS, **options: int
) -> dict[str, Any]:
    """Evaluate two JSON files with another program."""
    reference = program.coco(str(annotations))
    return referee(reference, reference.loadRes(str(detections)), program=program, **options)


def _measured(call: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, float]]:
    before = resident_memory()
    forget_peak()
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        value = call()
        seconds = time.perf_counter() - start
    return value, {"seconds": round(seconds, 3), "extra_mb": round((peak_memory() - before) / 1e6)}


def compare(
    given: str, ours: Callable[[], dict[str, Any]], theirs: Callable[[Referee], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Evaluate by ours and each other program: one row each."""
    mine, cost = _measured(ours)
    rows: list[dict[str, Any]] = [{"given": given, "program": "srtod", **cost, "AP": mine["AP"]}]
    for name, program in REFEREES.items():
        other, cost = _measured(lambda program=program: theirs(program))
        rows.append({"given": given, "program": name, **cost, "AP": other["AP"]})
        rows[-1] |= {"difference": largest_difference(mine, other)}
        rows[-1] |= {"ratio": round(cost["seconds"] / rows[0]["seconds"], 2)}
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {"images": 1000, "detections": 300, "objects": 60, "classes": 10, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--least-ratio", type=float, default=LEAST_RATIO)
    parser.add_argument("--json", type=Path)
    options = vars(parser.parse_args(arguments))
    json_file, least_ratio = options.pop("json"), options.pop("least_ratio")
    truth, results = scenes(**options)
    print(
        f"{len(truth['images'])} images, {len(truth['annotations'])} objects and regions to ignore, "
        f"{len(results)} detections, {len(truth['categories'])} classes"
    )
    with tempfile.TemporaryDirectory() as folder:
        annotations, detections = Path(folder, "annotations.json"), Path(folder, "detections.json")
        annotations.write_text(json.dumps(truth))
        detections.write_text(json.dumps(results))
        rows = compare(
            "two JSON files",
            lambda: evaluate_files(annotations, detections).to_json(),
            lambda program: referee_of_files(annotations, detections, program=program),
        )
    dataset = annotated_set(truth)
    rows += compare(
        "in memory",
        lambda: evaluate(dataset, results).to_json(),
        lambda program: referee_of_dicts(truth, results, program=program),
    )
    if json_file is not None:
        write_json(json_file, provenance("cpu") | {"setting": options, "rows": rows}, indent=2)
    judged = [row for row in rows if row["program"] == "pycocotools"]
    good = all(row["difference"] <= TOLERANCE and row["ratio"] >= least_ratio for row in judged)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
