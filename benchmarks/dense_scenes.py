"""Time and extra peak memory of dense scenes: how they grow from 10 to 3,000 objects in a 1920 x 1080 image.

    uv run benchmarks/dense_scenes.py [--device cuda] [--json RESULT.json]

Every case is a process of its own. Assigners match the 520,000 anchors of P2 to P6 (three ratios) to the
objects. Post-processing finds as many objects, of ten classes, in what an R-CNN or a one-stage head predicts.
Extra peak memory is what a call needs beside its inputs, read from the kernel (Linux) or from the CUDA
allocator. Exit code 1 if it is above 400 MB, or the time grows twice as fast as the objects.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.candidates import Candidates, DetectionLimits
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.grid import AnchorGrid
from srtod.detectors.systems.two_stage import RFLASwitches
from srtod.heads.dense import DenseHead, DensePrediction
from srtod.heads.retina import delta_loss
from srtod.heads.rpn import LevelPrediction, ProposalLimits, best_proposals
from srtod.support.files import write_json
from srtod.support.memory import forget_peak, peak_memory, resident_memory
from srtod.support.provenance import provenance

WIDTH, HEIGHT = 1920, 1080
STRIDES = (4, 8, 16, 32, 64)
LEVEL_SIZES = [(-(-HEIGHT // 32) * 32 // stride, WIDTH // stride) for stride in STRIDES]
COUNTS = (10, 100, 1000, 3000)
CLASSES = 10
PROPOSALS = 3000
LIMITS = DetectionLimits(score_threshold=0.05, nms_iou=0.5, per_image=3000)
MOST_EXTRA_MB = 400
LARGEST_GROWTH = 2.0

Case = Callable[[], Tensor]
Maker = Callable[[int, torch.device], Case]


def anchors(device: torch.device) -> list[Tensor]:
    """Anchors of every level of the padded image."""
    return AnchorGenerator(strides=STRIDES, scales=[2.0])(LEVEL_SIZES, device)


def scattered(count: int, device: torch.device) -> Tensor:
    """Objects of 2 to 32 pixels anywhere in the image, ``[count, 4]``."""
    draw = torch.Generator().manual_seed(0)
    sides = 2 * 16 ** torch.rand(count, 2, generator=draw)
    corners = torch.rand(count, 2, generator=draw) * (torch.tensor([WIDTH, HEIGHT]) - sides)
    return torch.cat([corners, corners + sides], dim=1).to(device)


def assignment(assigner: Assigner, *, units: Sequence[float] = STRIDES, scale: float = 2.0) -> Maker:
    """A case that assigns the grid of anchors to scattered objects; gives those that were found an anchor."""

    def make(count: int, device: torch.device) -> Case:
        generator = AnchorGenerator(strides=STRIDES, scales=[scale], units=units)
        grid, objects = AnchorGrid(generator, LEVEL_SIZES, device), scattered(count, device)
        return lambda: assigner(grid, objects).clamp_(min=-1).unique()[1:]

    return make


def spread_anchors(count: int, device: torch.device) -> Tensor:
    """Indices of ``count`` square anchors of P2 that are 24 pixels apart, so that none suppresses another."""
    row_cells, apart = WIDTH // STRIDES[0], 24 // STRIDES[0]
    number, in_a_row = torch.arange(count, device=device), row_cells // apart - 2
    row, column = (number // in_a_row + 1) * apart, (number % in_a_row + 1) * apart
    return (row * row_cells + column) * 3 + 1


def one_stage(count: int, device: torch.device) -> Case:
    """A case that chooses detections from class scores and deltas of all anchors."""
    generator = AnchorGenerator(strides=STRIDES, scales=[2.0])
    draw = torch.Generator(device).manual_seed(0)
    predicted = [
        DensePrediction(
            logits=torch.randn(1, len(level), CLASSES, generator=draw, device=device) - 9,
            deltas=torch.zeros_like(level)[None],
        )
        for level in anchors(device)
    ]
    predicted[0].logits[0, spread_anchors(count, device), 0] = 2.0
    head = DenseHead(
        predictor=_Given(predicted),
        anchors=generator,
        assigner=ATSSAssigner(),
        coder=DeltaCoder(),
        box_loss=delta_loss,
        level_candidates=PROPOSALS,
        limits=LIMITS,
    )
    levels = [torch.zeros(1, 1, *size, device=device) for size in LEVEL_SIZES]
    return lambda: head.detect(levels, _size(device)).boxes


class _Given(nn.Module):
    """Predicts what it is given."""

    def __init__(self, predicted: Sequence[DensePrediction]) -> None:
        super().__init__()
        self.predicted = predicted

    def forward(self, levels: Sequence[Tensor]) -> Sequence[DensePrediction]:
        return self.predicted


def _size(device: torch.device) -> Tensor:
    return torch.tensor([[HEIGHT, WIDTH]], device=device)


def two_stage(count: int, device: torch.device) -> Case:
    """A case that chooses proposals from all anchors, then detections from the classes of 3,000 boxes."""
    levels = anchors(device)
    draw = torch.Generator(device).manual_seed(0)
    predictions = [
        LevelPrediction(
            level,
            torch.randn(1, len(level), generator=draw, device=device),
            torch.zeros_like(level)[None],
        )
        for level in levels
    ]
    limits = ProposalLimits(candidates=PROPOSALS, kept=PROPOSALS)
    boxes = levels[0][spread_anchors(count, device)].repeat(-(-PROPOSALS // count), 1)[:PROPOSALS]
    boxes = boxes + torch.rand(PROPOSALS, 1, generator=draw, device=device)
    probabilities = torch.full((PROPOSALS, CLASSES), 0.01, device=device)
    probabilities[:, 0] = torch.rand(PROPOSALS, generator=draw, device=device) / 2 + 0.5

    def call() -> Tensor:
        best_proposals(predictions, _size(device), coder=DeltaCoder(), limits=limits)
        rows, labels = (probabilities > LIMITS.score_threshold).nonzero().unbind(1)
        found = Candidates(torch.zeros_like(rows), boxes[rows], probabilities[rows, labels], labels)
        return found.best(images=1, iou=LIMITS.nms_iou, most=LIMITS.per_image).boxes

    return call


RFLA = RFLASwitches()
CASES: dict[str, Maker] = {
    "max-IoU assignment": assignment(
        MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True)
    ),
    "ATSS assignment": assignment(ATSSAssigner()),
    "hierarchical assignment": assignment(HierarchicalAssigner(), units=RFLA.fields, scale=RFLA.fraction),
    "R-CNN post-processing": two_stage,
    "one-stage post-processing": one_stage,
}


def main() -> int:
    """Run the command."""
    options = _options()
    if options.case:
        name, count = options.case
        print(json.dumps(measure(CASES[name], int(count), torch.device(options.device), options.repeats)))
        return 0
    rows = []
    for name in CASES:
        for count in options.counts:
            rows.append({"case": name, "objects": count} | _in_own_process(options, name, count))
            print(rows[-1], file=sys.stderr)
    print(_table(rows, options.counts))
    if options.json is not None:
        told = {
            "threads": options.threads,
            "anchors": sum(map(len, anchors(torch.device("cpu")))),
            "rows": rows,
        }
        write_json(options.json, provenance(options.device) | told, indent=2)
    return int(not all(_within(rows, name) for name in CASES))


@torch.no_grad()
def measure(make: Maker, count: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Run one case: extra peak memory of the first call, median time of all."""
    call = make(count, device)
    used = _memory_before(device)
    seconds, found = [], 0
    for repeat in range(repeats):
        started = time.perf_counter()
        found = len(call())  # waits for the device
        seconds.append(time.perf_counter() - started)
        if repeat == 0:
            extra = _peak_memory(device) - used
    return {"found": found, "seconds": statistics.median(seconds), "extra_mb": round(extra / 1e6, 1)}


def _memory_before(device: torch.device) -> int:
    """Bytes in use; starts the peak anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    forget_peak()
    return resident_memory()


def _peak_memory(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_memory()


def _in_own_process(options: argparse.Namespace, name: str, count: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", name, count, "--device", options.device]
    command += ["--repeats", options.repeats]
    threads = {"OMP_NUM_THREADS": str(options.threads)}
    output = subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.PIPE, env=os.environ | threads
    )
    return json.loads(output.stdout)


def _within(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether memory is bounded, and the time of the two largest scenes grows like their objects."""
    own = [row for row in rows if row["case"] == name]
    bounded = all(row["extra_mb"] <= MOST_EXTRA_MB for row in own)
    if len(own) < 2:
        return bounded
    less, more = own[-2:]
    growth = more["seconds"] / less["seconds"] / (more["objects"] / less["objects"])
    return bounded and growth <= LARGEST_GROWTH


def _table(rows: Sequence[dict[str, Any]], counts: Sequence[int]) -> str:
    lines = ["| |" + "".join(f" {count:,} |" for count in counts), "|---|" + "---|" * len(counts)]
    for name in CASES:
        cells = [f"{row['seconds']:.3g} s, {row['extra_mb']:.0f} MB" for row in rows if row["case"] == name]
        lines.append(f"| {name} |" + "".join(f" {cell} |" for cell in cells))
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="objects in the image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=2, metavar=("NAME", "COUNT"), help="one case, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
