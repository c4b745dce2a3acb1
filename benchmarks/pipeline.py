"""What `srtod predict` costs beside its network: images/s of both, in turns.

    uv run benchmarks/pipeline.py FOLDER [--images 40] [--slice 640] [--runs 3] [--json RESULT.json]

FOLDER holds images, which are taken again from the beginning until there are enough. The network alone finds
in the same images, read before and held in memory, in the same batches; `predict` reads, finds, draws
pictures and writes. Aim: at least 0.9 of the network's images/s. Peak memory is read from the kernel (Linux)
after the first tenth of the images and at the end: it must not grow with their number.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

from srtod.assets import SHIPPED
from srtod.data.pixels import LoadedPixels
from srtod.inference import ImageFile, Slicing, collect_images, find_in_slices, load_finder
from srtod.inference.inputs import pixels_of, to_tensor
from srtod.inference.jobs import JobOptions, predict_images
from srtod.support.files import write_json
from srtod.support.memory import forget_peak, peak_memory
from srtod.support.provenance import provenance
from srtod.types import Finder

MB = 1e6


def main() -> int:
    """Run the command."""
    options = _options()
    found = collect_images([options.folder])
    images = [
        replace(found[number % len(found)], image_id=number + 1, file_name=f"{number:06}.jpg")
        for number in range(options.images)
    ]
    finder = load_finder(options.weights, device=options.device)
    slicing = None if options.slice is None else Slicing(options.slice)
    alone(finder, images[:2], slicing)  # what is made once, such as plans of convolutions
    rows = []
    for _ in range(options.runs):
        seconds = {"network": alone(finder, images, slicing), "predict": whole(finder, images, slicing)}
        rows.append({name: len(images) / taken for name, taken in seconds.items()})
        print(rows[-1], file=sys.stderr)
    ratio = statistics.median(row["predict"] / row["network"] for row in rows)
    growth = memory(finder, images, slicing)
    rates = ", ".join(f"{name} {statistics.median(row[name] for row in rows):.2f}" for name in rows[0])
    print(f"images/s: {rates}; predict has {ratio:.2f} of the network's")
    print(f"peak memory after a tenth of the images and all: {growth[0] / MB:.0f}, {growth[1] / MB:.0f} MB")
    if options.json is not None:
        told: dict[str, Any] = {"images": len(images), "slice": options.slice, "images_per_second": rows}
        told |= {"ratio": ratio, "peak_mb": [round(own / MB) for own in growth]}
        write_json(options.json, provenance(options.device) | told, indent=2)
    return 0


def alone(finder: Finder, images: Sequence[ImageFile], slicing: Slicing | None) -> float:
    """Seconds that the network takes for images in memory; equal files are held once."""
    held = {image.path: image.read() for image in images}
    started = time.perf_counter()
    for image in images:
        if slicing is None:
            finder([to_tensor(held[image.path], finder.device)])[0]["boxes"].cpu()
        else:
            find_in_slices(finder, LoadedPixels(pixels_of(held[image.path])), slicing)
    return time.perf_counter() - started


def whole(finder: Finder, images: Sequence[ImageFile], slicing: Slicing | None) -> float:
    """Seconds that `predict` takes for them."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        predict_images(finder, images, Path(folder) / "found", JobOptions(slicing=slicing))
        return time.perf_counter() - started


def memory(finder: Finder, images: Sequence[ImageFile], slicing: Slicing | None) -> tuple[int, int]:
    """Peak bytes of the process for a tenth of the images, and for all."""
    peaks = []
    for some in (images[: max(len(images) // 10, 1)], images):
        forget_peak()
        whole(finder, some, slicing)
        peaks.append(peak_memory())
    return peaks[0], peaks[1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default=SHIPPED)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--slice", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
