"""Memory of `srtod predict` over many images: does it stay flat?

    uv run benchmarks/memory.py FOLDER [--images 10000] [--side 128] [--json RESULT.json]

FOLDER holds images, of which pieces are cut, another place each time, until there are enough. One command
looks at all of them, pictures included; its memory is read again and again while pictures appear.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from PIL import Image

from srtod.inference import collect_images
from srtod.support.files import write_json
from srtod.support.provenance import provenance

EVERY = 5
"""Seconds between two readings."""


def main() -> int:
    """Run the command; returns an exit code."""
    options = _options()
    found = collect_images([options.folder])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for number in range(options.images):
            with Image.open(str(found[number % len(found)].path)) as image:
                left, top = (
                    number * step % max(1, side - options.side)
                    for step, side in zip((37, 53), image.size, strict=True)
                )
                piece = image.crop((left, top, left + options.side, top + options.side)).convert("RGB")
            piece.save(folder / "images" / f"{number:06}.jpg", quality=90)
        readings = list(read_memory(folder / "images", folder / "found"))
        done = len(list((folder / "found" / "pictures").iterdir()))
    tenth = [next(own for own in readings if own[0] >= share * done / 10) for share in range(1, 10)]
    print("| images done | memory, MB |\n|---|---|")
    for images, size in [*tenth, readings[-1]]:
        print(f"| {images} | {size / 1e6:.0f} |")
    print(
        f"{done} of {options.images} images looked at; most {max(size for _, size in readings) / 1e6:.0f} MB"
    )
    if options.json is not None:
        told = {"images": options.images, "done": done, "side": options.side, "readings": readings}
        write_json(options.json, provenance("cpu") | told, indent=2)
    return 0 if done == options.images else 1


def read_memory(images: Path, output: Path) -> Iterator[tuple[int, int]]:
    """Yield how many pictures are written and the bytes in memory, while the command runs."""
    command = [sys.executable, "-m", "srtod.cli.main", "predict", str(images), "--output", str(output)]
    process = psutil.Popen(command, stdout=sys.stderr)
    pictures = output / "pictures"
    while process.poll() is None:
        time.sleep(EVERY)
        try:
            size = process.memory_info().rss
        except psutil.NoSuchProcess:
            break
        done = sum(1 for _ in pictures.iterdir()) if pictures.is_dir() else 0
        if done and size:
            yield done, size
    if process.wait():
        raise SystemExit("predict: failed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128, help="of the pieces, in pixels")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
