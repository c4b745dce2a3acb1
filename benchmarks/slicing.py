"""Ours against SAHI on the same detector, image and slices, in one run: time, memory, AP, doubled and lost.

    uv run benchmarks/slicing.py [--weights W DATA --split val --mosaic 4] [--json RESULT.json]

Without weights the detector is one that reports the visible part of every planted object, off by up to half a
pixel, with random scores: whatever differs then comes from slicing and merging alone. The scene is dense:
squares of 4 to 24 pixels, one in three beside another. With weights the images of a data set are put together
to larger ones. Every method is a process of its own; its peak memory is read from the kernel (Linux)
less what was in use before. SAHI merges as it does by itself (GREEDYNMM, intersection over the smaller area)
and by NMS.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srtod import metrics
from srtod.boxes.overlaps import box_iou
from srtod.data import read
from srtod.data.images import read_image
from srtod.data.pixels import LoadedPixels
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.inference import Slicing, find_in_slices, load_detector
from srtod.results import coco_results
from srtod.support.files import write_json
from srtod.support.memory import forget_peak, peak_memory, resident_memory
from srtod.support.provenance import provenance
from srtod.types import Detections, Finder

Scene = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]
"""An image, the boxes in it, and their labels."""
Method = Callable[[Finder, NDArray[np.uint8], argparse.Namespace], Detections]


class Planted:
    """Reports the visible part of every planted object, a little off; the same for the same picture."""

    classes = ("square",)
    device = torch.device("cpu")

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find the colours that stand for objects."""
        return [self._find(image) for image in images]

    def _find(self, image: Tensor) -> Detections:
        values = (image * 255).round().long()
        numbers = values[0] + 256 * values[1]
        rows, columns = numbers.nonzero(as_tuple=True)
        objects, place = numbers[rows, columns].unique(return_inverse=True)
        draw = torch.Generator().manual_seed(int(numbers.sum()))
        corners = torch.zeros(len(objects), 4)
        for side, (along, reduce) in enumerate(
            [(columns, "amin"), (rows, "amin"), (columns, "amax"), (rows, "amax")]
        ):
            edge = torch.zeros(len(objects)).scatter_reduce(
                0, place, along.float(), reduce, include_self=False
            )
            corners[:, side] = edge + (side > 1)
        corners += torch.rand(len(objects), 4, generator=draw) - 0.5
        limits = torch.tensor([image.shape[2], image.shape[1]] * 2)
        scores = 0.3 + 0.7 * torch.rand(len(objects), generator=draw)
        order = scores.argsort(descending=True)
        boxes = corners.clamp(min=0).minimum(limits)[order]
        return {"boxes": boxes, "scores": scores[order], "labels": torch.zeros(len(boxes), dtype=torch.long)}


def planted(side: int, count: int) -> Scene:
    """Squares of 4 to 24 pixels that do not overlap; one in three touches another."""
    draw = np.random.default_rng(0)
    numbers = np.zeros((side, side), np.int64)
    boxes: list[list[int]] = []
    while len(boxes) < count:
        size = int(draw.integers(4, 25))
        left, top = draw.integers(0, side - size, 2)
        if boxes and draw.random() < 1 / 3:
            _, top, left, _ = boxes[-1]
        part = numbers[top : top + size, left : left + size]
        if part.shape == (size, size) and not part.any():
            boxes.append([int(left), int(top), int(left) + size, int(top) + size])
            part[:] = len(boxes)
    pixels = np.stack([numbers % 256, numbers // 256, np.zeros_like(numbers)], axis=2).astype(np.uint8)
    return pixels, np.array(boxes, dtype=np.float64), np.zeros(count, np.int64)


def mosaics(records: Sequence[ImageRecord], across: int) -> list[Scene]:
    """Put ``across`` x ``across`` images of one size together, as often as there are enough of them."""
    scenes, area = [], across * across
    first = records[0]
    records = [record for record in records if (record.width, record.height) == (first.width, first.height)]
    for start in range(0, len(records) - area + 1, area):
        chosen = records[start : start + area]
        images = [read_image(record.path) for record in chosen]
        rows = [np.concatenate(images[i : i + across], axis=1) for i in range(0, area, across)]
        places = [(index % across * first.width, index // across * first.height) for index in range(area)]
        known = [~record.ignore for record in chosen]
        boxes = [
            record.boxes[own] + [x, y, x, y]
            for record, own, (x, y) in zip(chosen, known, places, strict=True)
        ]
        labels = [record.labels[own] for record, own in zip(chosen, known, strict=True)]
        scenes.append((np.concatenate(rows), np.concatenate(boxes), np.concatenate(labels)))
    return scenes


def ours(merge: str) -> Method:
    """Our slices, merged this way."""

    def find(finder: Finder, image: NDArray[np.uint8], options: argparse.Namespace) -> Detections:
        slicing = Slicing(options.slice, options.overlap, merge=merge)  # ty: ignore[invalid-argument-type]
        return find_in_slices(finder, LoadedPixels(image), slicing, batch_size=options.batch_size)

    return find


def sahi(kind: str, metric: str) -> Method:
    """SAHI's slices, merged this way."""

    def find(finder: Finder, image: NDArray[np.uint8], options: argparse.Namespace) -> Detections:
        from sahi.predict import get_sliced_prediction

        from srtod.interop.sahi import SrtodDetectionModel

        found = get_sliced_prediction(
            image,
            SrtodDetectionModel(model=finder, confidence_threshold=0.0, device="cpu"),
            slice_height=options.slice,
            slice_width=options.slice,
            overlap_height_ratio=options.overlap,
            overlap_width_ratio=options.overlap,
            perform_standard_pred=False,
            postprocess_type=kind,
            postprocess_match_metric=metric,
            postprocess_match_threshold=0.5,
            force_postprocess_type=True,
            verbose=0,
            batch_size=options.batch_size,
        ).object_prediction_list
        return {
            "boxes": torch.tensor([one.bbox.to_xyxy() for one in found], dtype=torch.float).reshape(-1, 4),
            "scores": torch.tensor([float(one.score.value) for one in found]),
            "labels": torch.tensor([one.category.id for one in found], dtype=torch.long),
        }

    return find


METHODS: dict[str, Method] = {
    "ours, greedy": ours("greedy"),
    "ours, nms": ours("nms"),
    "SAHI, GREEDYNMM": sahi("GREEDYNMM", "IOS"),
    "SAHI, NMS": sahi("NMS", "IOU"),
}


def measure(method: Method, options: argparse.Namespace) -> dict[str, Any]:
    """Run one method over all scenes."""
    if options.weights:
        finder: Finder = load_detector(options.weights, device="cpu")
        scenes = mosaics(read(options.data, split=options.split).records, options.mosaic)[: options.images]
    else:
        finder, scenes = Planted(), [planted(options.side, options.objects)]
    method(finder, scenes[0][0][: options.slice, : options.slice], options)  # imports, first calls
    before = resident_memory()
    forget_peak()
    found, seconds = [], 0.0
    for image, _, _ in scenes:
        started = time.perf_counter()
        found.append(method(finder, image, options))
        seconds += time.perf_counter() - started
    extra = peak_memory() - before
    return {
        "images": len(scenes),
        "size": list(scenes[0][0].shape[1::-1]),
        "objects": sum(len(boxes) for _, boxes, _ in scenes),
        "detections": sum(len(one["boxes"]) for one in found),
        "seconds": round(seconds, 2),
        "extra_mb": round(extra / 1e6),
        **_quality(scenes, found, finder.classes),
    }


def _quality(
    scenes: Sequence[Scene], found: Sequence[Detections], classes: Sequence[str]
) -> dict[str, float]:
    """AP, and how many objects are found twice or not at all (IoU 0.5)."""
    records, results, doubled, lost = [], [], 0, 0
    for number, ((image, boxes, labels), one) in enumerate(zip(scenes, found, strict=True), start=1):
        records.append(_record(number, image, boxes, labels))
        results += coco_results(
            number, one["boxes"], one["scores"], one["labels"], category_ids=range(1, len(classes) + 1)
        )
        hits = (box_iou(torch.from_numpy(boxes), one["boxes"].double()) > 0.5).sum(dim=1)
        doubled, lost = doubled + int((hits > 1).sum()), lost + int((hits == 0).sum())
    annotated = AnnotatedSet(Path("scenes"), "coco", "", tuple(classes), tuple(records))
    summary = metrics.evaluate(annotated, results, detections_per_image=100_000).summary
    return {
        "AP": round(summary["AP"], 4),
        "AP50": round(summary["AP50"], 4),
        "doubled": doubled,
        "lost": lost,
    }


def _record(
    number: int, image: NDArray[np.uint8], boxes: NDArray[np.float64], labels: NDArray[np.int64]
) -> ImageRecord:
    return ImageRecord(
        image_id=number,
        file_name=f"{number}.png",
        path=Path(f"{number}.png"),
        width=image.shape[1],
        height=image.shape[0],
        boxes=boxes,
        labels=labels,
        ignore=np.zeros(len(boxes), bool),
        annotation_ids=np.arange(len(boxes)) + 1,
    )


def main() -> int:
    """Run the command."""
    options = _options()
    if options.method:
        print(json.dumps(measure(METHODS[options.method], options)))
        return 0
    rows = []
    for name in METHODS:
        command = [sys.executable, *sys.argv, "--method", name]
        threads = {"OMP_NUM_THREADS": str(options.threads)}
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | threads)
        rows.append({"method": name} | json.loads(output.stdout.splitlines()[-1]))
        print(rows[-1], file=sys.stderr)
    print(_table(rows))
    if options.json is not None:
        told = {"slice": options.slice, "overlap": options.overlap, "rows": rows}
        write_json(options.json, provenance("cpu") | told, indent=2)
    return 0


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = ("method", "detections", "seconds", "extra_mb", "AP", "AP50", "doubled", "lost")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(row[key]) for key in columns) + " |" for row in rows)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, help="with --weights: a data set")
    parser.add_argument("--weights")
    parser.add_argument("--split", default="val")
    parser.add_argument("--mosaic", type=int, default=4, help="images across of one large image")
    parser.add_argument("--images", type=int, default=4, help="at most so many large images")
    parser.add_argument("--side", type=int, default=4000, help="of the planted scene")
    parser.add_argument("--objects", type=int, default=10000, help="in the planted scene")
    parser.add_argument("--slice", type=int, default=640)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", choices=METHODS, help="one method, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
