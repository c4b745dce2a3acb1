"""Focus: AP and cost against the share of windows that are looked at again, by what ranks them.

    uv run benchmarks/focus.py DATA [--slice 320 --zoom 1] [--json RESULT.json] [--plot CURVES.png]

DATA is a data set of large images, such as `srtod data synthesize` composes. Every window goes through the
network once; its detections, and the CPU seconds that they took, are remembered, so that all rankings see the
same detections and a curve costs little more than its merging. Beside the rankings of `--focus-by` there are
random ones, one by the true objects (the most that any ranking can reach, or nearly), the first look alone (a
share of 0) and, under `slices`, the image in slices, looked at once.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import torch
from torch import Tensor

from srtod import metrics
from srtod.assets import SHIPPED
from srtod.boxes.merging import Sightings
from srtod.data.dataset import DetectionDataset
from srtod.data.pixels import Window
from srtod.data.records import AnnotatedSet
from srtod.defaults import FocusBy
from srtod.detectors.detector import Detector
from srtod.engine.evaluate import columns_of, joined, labels_of
from srtod.engine.sets import Source, evaluation_set
from srtod.inference import SlicedFinder, Slicing, load_detector
from srtod.inference.focus import Evidence, count_of
from srtod.support.files import atomic_file, write_json
from srtod.support.provenance import provenance
from srtod.types import Detections

SHARES = (0.1, 0.2, 0.3, 0.5)
METRICS = ("AP", "AP50", "APvt", "APt")
BY_TRUTH = "true objects"


class Remembering:
    """A detector that computes what it is asked for the first time, and tells the CPU seconds that it took.

    Attributes:
        truth: boxes of the objects in the image that is looked at, ``[N, 4]``.
        passes: windows that it was asked to look at.
        seconds: that this takes without remembering.
        spent: that it took.
    """

    def __init__(self, detector: Detector) -> None:
        self.classes, self.device, self.self_reconstruction = (
            detector.classes,
            detector.device,
            detector.self_reconstruction,
        )
        self._detector = detector
        self._known: dict[tuple[str, int], tuple[Any, float]] = {}
        self.truth = torch.zeros(0, 4)
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.passes, self.seconds, self.spent = 0, 0.0, 0.0

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects."""
        self.passes += len(images)
        return [self._answer("find", image, lambda own: self._detector([own])[0]) for image in images]

    def explain(self, image: Tensor) -> dict[str, Tensor]:
        """The maps of self-reconstruction."""
        return self._answer("explain", image, self._maps)

    def _maps(self, image: Tensor) -> dict[str, Tensor]:
        maps = self._detector.explain(image)
        return {name: maps[name].clone() for name in ("difference", "mask")}

    def _answer(self, what: str, image: Tensor, compute: Callable[[Tensor], Any]) -> Any:
        started = time.process_time()
        key = what, hash(image.numpy().tobytes())
        if key not in self._known:
            begun = time.process_time()
            answer = compute(image)
            self._known[key] = answer, time.process_time() - begun
        answer, seconds = self._known[key]
        self.seconds += seconds
        self.spent += time.process_time() - started
        return answer


def measure(
    detector: Detector, annotated: AnnotatedSet, slicing: Slicing, draws: int
) -> list[dict[str, Any]]:
    """Metrics, windows and CPU seconds an image for every ranking and share."""
    finder = Remembering(detector)

    def row(ranking: str, share: float, ranked: AbstractContextManager[Any] | None = None) -> dict[str, Any]:
        by: Any = {"focus_by": ranking} if ranking in get_args(FocusBy) else {}
        focused = Slicing(slicing.side, slicing.overlap, focus=share, zoom=slicing.zoom, **by)
        with ranked or nullcontext():
            told = {"ranking": ranking, "share": share} | _look(finder, annotated, focused)
        print(told, file=sys.stderr, flush=True)
        return told

    rows = [
        row("slices", 0.0),
        row("first look", 0.01, patch.object(Evidence, "best", lambda *_: [])),
        row("all windows", 1.0),
    ]
    rows[1]["share"] = 0.0
    for share in SHARES:
        rows += [row(ranking, share) for ranking in get_args(FocusBy)]
        rows.append(row(BY_TRUTH, share, _by_truth(finder)))
        drawn = [row("random", share, _random(seed)) for seed in range(draws)]
        numbers = [key for key, value in drawn[0].items() if isinstance(value, float)]
        rows.append(drawn[0] | {key: sum(one[key] for one in drawn) / draws for key in numbers})
    return rows


def _random(seed: int) -> AbstractContextManager[Any]:
    generator = torch.Generator().manual_seed(seed)

    def best(_: Evidence, windows: Sequence[Window], share: float, __: Sightings) -> list[Window]:
        drawn = torch.randperm(len(windows), generator=generator)[: count_of(windows, share)]
        return [windows[index] for index in sorted(drawn.tolist())]

    return patch.object(Evidence, "best", best)


def _by_truth(finder: Remembering) -> AbstractContextManager[Any]:
    """Windows with most true objects first: by scores, had the first look seen each of them surely."""
    by_scores = Evidence.best

    def best(evidence: Evidence, windows: Sequence[Window], share: float, _: Sightings) -> list[Window]:
        boxes = finder.truth
        surely = Sightings(boxes, torch.ones(len(boxes)), torch.zeros(len(boxes)), torch.zeros_like(boxes))
        return by_scores(evidence, windows, share, surely)

    return patch.object(Evidence, "best", best)


def _look(finder: Remembering, annotated: AnnotatedSet, slicing: Slicing) -> dict[str, float]:
    dataset = DetectionDataset(annotated.records, classes=annotated.classes)
    labels, sliced, parts = labels_of(finder, dataset.classes), SlicedFinder(finder, slicing), []
    finder.forget()
    seconds = 0.0
    for index in range(len(dataset)):
        image, target = dataset[index]
        finder.truth = target["boxes"][~target["ignore"]]
        started = time.process_time()
        (found,) = sliced([image / 255])
        seconds += time.process_time() - started
        parts.append(columns_of(index, found, labels))
    summary = metrics.evaluate(annotated, joined(parts)).summary
    return {key: summary[key] for key in METRICS} | {
        "windows": finder.passes / len(dataset),
        "seconds": (seconds - finder.spent + finder.seconds) / len(dataset),
    }


def plot(rows: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    """Draw AP and APvt against the share, and AP against the seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    first, everything = rows[1], rows[2]
    for name in (*get_args(FocusBy), BY_TRUTH, "random"):
        line = [first, *(row for row in rows if row["ranking"] == name), everything]
        style = "--" if name in (BY_TRUTH, "random") else "-"
        for panel, (x, y) in zip(
            panels, (("share", "AP"), ("share", "APvt"), ("seconds", "AP")), strict=True
        ):
            own = line[1:-1] if x == "seconds" else line
            panel.plot([row[x] for row in own], [100 * row[y] for row in own], style, marker="o", label=name)
    for panel, (x, y) in zip(
        panels,
        (("share of windows", "AP"), ("share of windows", "APvt"), ("CPU seconds an image", "AP")),
        strict=True,
    ):
        panel.set(xlabel=x, ylabel=y)
        panel.grid(alpha=0.3)
    for row, marker in ((first, "s"), (everything, "D"), (rows[0], "*")):
        panels[2].plot(row["seconds"], 100 * row["AP"], marker, color="black")
        panels[2].annotate(f" {row['ranking']}", (row["seconds"], 100 * row["AP"]), va="top", ha="center")
    for panel in panels:
        panel.set_ylim(0, None)
    panels[0].axhline(95 * everything["AP"], color="grey", linewidth=0.8, linestyle=":")
    panels[0].legend()
    figure.suptitle(title)
    with atomic_file(file) as scratch:
        figure.savefig(scratch, format="png", dpi=110)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| ranking | share | AP | AP50 | APvt | APt | windows | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(f"{100 * row[key]:.1f}" for key in METRICS)
        cost = f"{row['windows']:.1f} | {row['seconds']:.1f}"
        lines.append(f"| {row['ranking']} | {row['share']:g} | {figures} | {cost} |")
    return "\n".join(lines)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=SHIPPED)
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, help="at most so many, evenly spaced")
    parser.add_argument("--slice", type=int, default=640)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--zoom", type=int, default=1, choices=(1, 2))
    parser.add_argument("--draws", type=int, default=3, help="of the random ranking")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    annotated = evaluation_set(Source(options.data, options.split)).evenly(options.images)
    slicing = Slicing(options.slice, options.overlap, zoom=options.zoom)
    rows = measure(load_detector(options.weights, device="cpu"), annotated, slicing, options.draws)
    print(_table(rows))
    told = {
        "images": len(annotated.records),
        "size": [annotated.records[0].width, annotated.records[0].height],
        "objects": sum(int((~record.ignore).sum()) for record in annotated.records),
        "slice": options.slice,
        "overlap": options.overlap,
        "zoom": options.zoom,
        "rows": rows,
    }
    if options.json is not None:
        write_json(options.json, provenance("cpu") | told, indent=2)
    if options.plot is not None:
        size = "{} x {}".format(*told["size"])
        plot(rows, options.plot, f"{size} px, {told['objects']} drones, zoom {options.zoom}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
