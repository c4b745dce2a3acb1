"""Time each system here and in MMDetection: same weights, same image, same settings, taking turns.

    uv run benchmarks/mmdetection.py --python ENVIRONMENT/bin/python --size 640x512 --json RESULT.json

ENVIRONMENT is another environment with MMDetection 3 and mmcv with its compiled operators. Weights are
random, no score threshold cuts anything, and what both find is compared, so that the same work is timed.
Prints the median of ours / theirs over the runs, for the detector as built and for the copy that predicts.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srtod.boxes.overlaps import box_iou
from srtod.cli.options import parse_size
from srtod.detectors.detector import Detector
from srtod.detectors.mmdet import mmdet_keys
from srtod.detectors.zoo import build_detector
from srtod.inference.speed import for_inference
from srtod.support.devices import predicts_channels_last
from srtod.support.files import write_json
from srtod.support.provenance import provenance

PROPOSALS: dict[str, Any] = {"rpn_proposals": (2000, 1000)}
CANDIDATES: dict[str, Any] = {"level_candidates": 1000}

SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "faster-rcnn": ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", {"anchor_scale": 8, **PROPOSALS}),
    "cascade-rcnn": ("cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py", {"anchor_scale": 8, **PROPOSALS}),
    "retinanet": ("retinanet/retinanet_r50_fpn_1x_coco.py", {"anchor_scale": 4, **CANDIDATES}),
    "atss": ("atss/atss_r50_fpn_1x_coco.py", {"anchor_scale": 8, "nms_iou": 0.6, **CANDIDATES}),
    "dyhead": (
        "dyhead/atss_r50_fpn_dyhead_1x_coco.py",
        {"anchor_scale": 8, "nms_iou": 0.6, "coarser_offsets": "first_values", **CANDIDATES},
    ),
    "detectors": ("detectors/detectors_cascade-rcnn_r50_1x_coco.py", {"anchor_scale": 8, **PROPOSALS}),
    "tridentnet": (
        "tridentnet/tridentnet_r50-caffe_1x_coco.py",
        {"anchor_scale": (2, 4, 8, 16, 32), "rpn_candidates": (6000, 6000), **PROPOSALS},
    ),
    "cascade-rpn": (
        "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
        {"anchor_scale": 8, "rpn_proposals": (300, 300), "rpn_candidates": (2000, 1000)},
    ),
}
"""MMDetection's configuration of a system, and the options that set ours as it says."""

OPTIONS: dict[str, Any] = {"num_classes": 1, "score_threshold": 0.0}


@dataclass
class Row:
    """Seconds of each run of one system.

    Attributes:
        system: name.
        alike: share of our detections that MMDetection has too (same label, IoU 0.99, score within 1e-3).
        theirs, built, copied: seconds of MMDetection, of the detector as built, of the copy that predicts.
    """

    system: str
    alike: float = 0.0
    theirs: list[float] = field(default_factory=list)
    built: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)

    def ratio(self, ours: list[float]) -> float:
        """Median of ours / theirs of the same run."""
        return statistics.median(a / b for a, b in zip(ours, self.theirs, strict=True))

    def __str__(self) -> str:
        ours = "".join(
            f"   {name} {1e3 * statistics.median(times):.0f} ms ({self.ratio(times):.2f})"
            for name, times in (("built", self.built), ("copy", self.copied))
        )
        theirs = 1e3 * statistics.median(self.theirs)
        return f"{self.system:13} MMDetection {theirs:.0f} ms{ours}   alike {self.alike:.1%}"


class Reference:
    """MMDetection in a process of its own."""

    def __init__(self, options: argparse.Namespace, config: str, image: Path) -> None:
        side = Path(__file__).with_name("mmdetection_side.py")
        command = [str(options.python), str(side), config, str(image)]
        command += ["--device", options.device, "--threads", str(torch.get_num_threads())]
        command += ["--fuse"] if options.fuse else []
        with options.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.names: list[str] = self._answer()

    def ask(self, *words: object) -> Any:
        """Send a line and wait for the answer."""
        if self.process.stdin is None:
            raise RuntimeError("the process was started without an input")
        print(*words, file=self.process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def _answer(self) -> Any:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit("error: MMDetection's side ended; --log FILE keeps what it said")
        return json.loads(line)


def compare(system: str, options: argparse.Namespace, folder: Path) -> Row:
    """Time one system on both sides, taking turns."""
    config, own_options = SYSTEMS[system]
    width, height = parse_size(options.size)
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)
    image, weights, theirs = folder / "image.npy", folder / "weights.pt", folder / "detections.pt"
    np.save(image, pixels)
    torch.manual_seed(0)
    built = build_detector(system, **OPTIONS | own_options).to(options.device).eval()
    copied = for_inference(built, channels_last=predicts_channels_last(options.device, "fp32"))
    reference = Reference(options, config, image)
    torch.save(_their_weights(built, reference.names), weights)
    reference.ask("load", weights)
    inputs = [torch.from_numpy(pixels).to(options.device).float() / 255]
    row = Row(system)
    for number in range(options.runs + 1):
        seconds = reference.ask("run"), _timed(built, inputs), _timed(copied, inputs)
        if number:
            for times, own in zip((row.theirs, row.built, row.copied), seconds, strict=True):
                times.append(own)
    reference.ask("save", theirs)
    reference.close()
    with torch.inference_mode():
        row.alike = _alike(built(inputs)[0], torch.load(theirs, weights_only=True))
    return row


def _their_weights(detector: Detector, names: list[str]) -> dict[str, Tensor]:
    own = detector.state_dict()
    return {theirs: own[ours].cpu() for theirs, ours in mmdet_keys(names).items()}


@torch.inference_mode()
def _timed(detector: Callable[[list[Tensor]], Any], images: list[Tensor]) -> float:
    start = time.perf_counter()
    detector(images)
    if images[0].is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _alike(ours: Any, theirs: dict[str, Tensor]) -> float:
    pairs = box_iou(ours["boxes"], theirs["boxes"]) >= 0.99
    pairs &= (ours["scores"][:, None] - theirs["scores"]).abs() <= 1e-3
    pairs &= ours["labels"][:, None] == theirs["labels"]
    return float(pairs.any(dim=1).float().mean())


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(SYSTEMS)}; default: all")
    parser.add_argument("--python", type=Path, required=True, help="interpreter that has MMDetection")
    parser.add_argument("--size", default="640x512")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--fuse", action="store_true", help="let MMDetection fold BatchNorm, too")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="file for what MMDetection says")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for system in options.systems or SYSTEMS:
            rows.append(compare(system, options, Path(folder)))
            print(rows[-1], flush=True)
    if options.json is not None:
        told = [
            asdict(row) | {"ratio_built": row.ratio(row.built), "ratio_copied": row.ratio(row.copied)}
            for row in rows
        ]
        write_json(options.json, provenance(options.device) | {"rows": told}, indent=2)


if __name__ == "__main__":
    main()
