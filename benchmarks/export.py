"""Latency of each runtime beside PyTorch's, in one run, taking turns.

    uv run benchmarks/export.py [--systems faster-rcnn retinanet] [--size 640x512] [--json RESULT.json]

Every system is built with random weights, without and with self-reconstruction, exported into every format,
and opened as ``srtod predict`` opens it; detections are compared with PyTorch's in the same run. All runtimes
have the same number of threads. A drift of the machine meets all alike, because they take turns.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.ops import box_iou

from srtod import build_detector
from srtod.cli.options import parse_size
from srtod.detectors.detector import Detector
from srtod.inference import for_inference
from srtod.inference.exporting import FORMATS, export, open_exported
from srtod.support.files import write_json
from srtod.support.provenance import provenance
from srtod.types import Detections, Finder

SYSTEMS = ("faster-rcnn", "cascade-rcnn", "retinanet", "atss")
PYTORCH = "pytorch"


def main() -> int:
    """Run the command."""
    options = _options()
    torch.set_num_threads(options.threads)
    width, height = parse_size(options.size)
    images = [torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))]
    rows: list[dict[str, Any]] = []
    for system in options.systems:
        for head in (None, "lite"):
            rows += measure(system, head, images, options)
            print(rows[-1], file=sys.stderr)
    Console().print(_table(rows, f"one image of {options.size}, {options.threads} threads"))
    if options.json is not None:
        setting = {key: value for key, value in vars(options).items() if key != "json"}
        write_json(options.json, provenance("cpu") | {"setting": setting, "rows": rows}, indent=2)
    return 0


def measure(
    system: str, head: str | None, images: Sequence[Tensor], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Export one detector into every format and time them all."""
    torch.manual_seed(0)
    detector = build_detector(
        system,
        num_classes=1,
        backbone=options.backbone,
        self_reconstruction=False if head is None else {"head": head},
        score_threshold=0.0,
        detections_per_image=options.detections,
    ).eval()
    finders, seconds = _finders(detector)
    expected = _run(finders[PYTORCH], images)[1]
    same = {name: _share_of_same(_run(own, images)[1], expected) for name, own in finders.items()}
    times: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(options.runs):
        for name, finder in finders.items():
            times[name].append(_run(finder, images)[0])
    base = statistics.median(times[PYTORCH])
    return [
        {
            "system": system,
            "self_reconstruction": head,
            "runtime": name,
            "milliseconds": round(statistics.median(own) * 1e3, 1),
            "fastest": round(min(own) * 1e3, 1),
            "times_pytorch": round(statistics.median(own) / base, 2),
            "same_detections": round(same[name], 4),
            "export_seconds": seconds[name],
        }
        for name, own in times.items()
    ]


def _finders(detector: Detector) -> tuple[dict[str, Finder], dict[str, float | None]]:
    """What finds objects by the name of its runtime, and the seconds that its export took."""
    finders: dict[str, Finder] = {PYTORCH: for_inference(detector, channels_last=True)}
    seconds: dict[str, float | None] = {PYTORCH: None}
    with tempfile.TemporaryDirectory() as folder:
        for name, own in FORMATS.items():
            path = Path(folder) / f"program{own.suffix}"
            start = time.perf_counter()
            export(detector, path, format=name)
            seconds[name] = round(time.perf_counter() - start, 1)
            finders[name] = open_exported(path, trust_weights=True)
    return finders, seconds


def _run(finder: Finder, images: Sequence[Tensor]) -> tuple[float, Detections]:
    """Seconds of a pass, and the detections of the first image."""
    start = time.perf_counter()
    with torch.inference_mode():
        found = finder(images)
    return time.perf_counter() - start, found[0]


def _share_of_same(found: Detections, expected: Detections) -> float:
    """Share of the expected detections that were found with IoU 0.99 and a score within 0.001."""
    same = box_iou(expected["boxes"], found["boxes"]) >= 0.99
    same &= (expected["scores"][:, None] - found["scores"]).abs() <= 1e-3
    return same.any(dim=1).double().mean().item()


def _table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, padding=0, pad_edge=False)
    for column in ("system", "head", "runtime"):
        table.add_column(column, no_wrap=True)
    for column in ("ms", "fastest", "x PyTorch", "same", "export s"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", default="640x512", help="width x height in pixels")
    parser.add_argument("--detections", type=int, default=300, help="the most of an image")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
