"""Time and memory of `srtod predict --slice` on images of 30,000 x 30,000 pixels: JPEG and two kinds of TIFF.

    uv run benchmarks/large_images.py [--size 30000] [--slice 1024] [--json RESULT.json]

Makes the images itself, strip after strip, in a temporary folder: smooth ground, noise, and bright dots.
Every kind of file is a process of its own that runs the whole of `predict`: detections, and the picture with
its shrunk view and enlarged crops. The detector is small, has random weights and shrinks each slice, so that
reading, cutting and merging are what is measured. Peak memory is read from the kernel (Linux) and holds all
of Python and torch; the memory before the image is opened stands beside it. Exit code 1 if a peak is above
`--most` MB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srtod import build_detector
from srtod.detectors.detector import Detector
from srtod.inference import Slicing, collect_images, for_inference
from srtod.inference.jobs import JobOptions, predict_images
from srtod.support.files import write_json
from srtod.support.memory import forget_peak, peak_memory, resident_memory
from srtod.support.provenance import provenance

STRIP = 512
MB = 1e6


def main() -> int:
    """Run the command."""
    options = _options()
    if options.image:
        print(json.dumps(measure(options.image, Slicing(options.slice, options.overlap), options.batch_size)))
        return 0
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in options.kinds:
            path = KINDS[kind](Path(folder), options.size)
            rows.append({"kind": kind, "file_mb": round(path.stat().st_size / MB)} | _measured(options, path))
            print(rows[-1], file=sys.stderr)
            path.unlink()
    print(_table(rows, options.size))
    if options.json is not None:
        told = {"size": options.size, "slice": options.slice, "overlap": options.overlap, "rows": rows}
        write_json(options.json, provenance("cpu") | told, indent=2)
    return int(any(row["peak_mb"] > options.most for row in rows))


def measure(path: Path, slicing: Slicing, batch_size: int) -> dict[str, Any]:
    """Predict on one image: seconds, detections, and memory before and at most."""
    detector = _detector()
    before = resident_memory()
    forget_peak()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        options = JobOptions(slicing=slicing, batch_size=batch_size, picture_score=0.0)
        done = predict_images(detector, collect_images([path]), Path(folder) / "found", options)
        seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 1),
        "detections": done.detections,
        "before_mb": round(before / MB),
        "peak_mb": round(peak_memory() / MB),
    }


def _detector() -> Detector:
    torch.manual_seed(0)
    detector = build_detector(
        "faster-rcnn",
        classes=("drone",),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(200, 100),
        score_threshold=0.0,
        detections_per_image=100,
        resize=(256, 256),
    )
    return for_inference(detector)


def strip(top: int, bottom: int, width: int) -> NDArray[np.uint8]:
    """Rows of the image, ``[3, bottom - top, width]``."""
    draw = np.random.default_rng(top)
    down, across = 30 * np.sin(np.arange(top, bottom) / 700), 30 * np.cos(np.arange(width) / 900)
    noise = np.resize(draw.integers(-6, 7, 999_983, dtype=np.int8), (bottom - top, width))
    gray = (90 + down[:, None].astype(np.int16) + across[None].astype(np.int16) + noise).astype(np.uint8)
    pixels = np.stack([gray, gray + 10, gray - 10])
    for _ in range(width * (bottom - top) // 200_000):
        y, x = draw.integers(0, (bottom - top - 8, width - 8))
        pixels[:, y : y + 8, x : x + 8] = 240
    return pixels


def _tiff(path: Path, size: int, **layout: Any) -> Path:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    shape = {"count": 3, "width": size, "height": size, "dtype": "uint8", "photometric": "RGB"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **layout) as dataset:
        for top in range(0, size, STRIP):
            bottom = min(top + STRIP, size)
            dataset.write(strip(top, bottom, size), window=((top, bottom), (0, size)))
    return path


def _jpeg(folder: Path, size: int) -> Path:
    import rasterio.shutil  # ty: ignore[import-not-found] - compiled

    source = _tiff(folder / "source.tif", size)
    rasterio.shutil.copy(source, folder / "image.jpg", driver="JPEG", quality=90)
    source.unlink()
    return folder / "image.jpg"


KINDS: dict[str, Callable[[Path, int], Path]] = {
    "JPEG": _jpeg,
    "TIFF, strips": lambda folder, size: _tiff(folder / "strips.tif", size),
    "TIFF, deflated tiles": lambda folder, size: _tiff(
        folder / "tiles.tif", size, tiled=True, blockxsize=512, blockysize=512, compress="deflate", zlevel=1
    ),
}


def _measured(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--image", path, "--slice", options.slice]
    command += ["--overlap", options.overlap, "--batch-size", options.batch_size]
    threads = {"OMP_NUM_THREADS": str(options.threads)}
    words = [str(word) for word in command]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=os.environ | threads)
    return json.loads(output.stdout)


def _table(rows: list[dict[str, Any]], size: int) -> str:
    head = f"{size} x {size} px, {3 * size**2 / MB:,.0f} MB of pixels"
    lines = [f"| {head} | file, MB | s | MB before | MB at most |", "|---|---|---|---|---|"]
    for row in rows:
        memory = f"{row['before_mb']} | {row['peak_mb']}"
        lines.append(f"| {row['kind']} | {row['file_mb']:,} | {row['seconds']:.0f} | {memory} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=30000, help="pixels a side")
    parser.add_argument("--slice", type=int, default=1024)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", type=Path, help="where the images are made")
    parser.add_argument("--most", type=float, default=2000, help="MB")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--image", type=Path, help="one image that exists, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
