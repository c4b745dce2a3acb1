"""`srtod predict --engine ray` with one worker, with two, and with one of two killed; beside no engine.

    uv run benchmarks/many_images.py FOLDER [--images 64] [--shard-size 8] [--json RESULT.json]

FOLDER holds images, which are taken again from the beginning until there are enough. Every run is a process
of its own, timed from start to end; what it finds must be what the first one found. The killed worker is
ended by SIGKILL once a shard is done. Workers share the cores of one machine, so two are not twice as fast.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from srtod.assets import SHIPPED
from srtod.inference import collect_images
from srtod.support.files import write_json
from srtod.support.provenance import provenance


@dataclass(frozen=True)
class Way:
    """A way to look at the images: its name, the words of the command, and whether a worker is killed."""

    name: str
    words: tuple[str, ...]
    kills: bool = False


MOST = 0.1
"""By how many pixels boxes and by how many thousandths scores may differ."""
RAY = ("--engine", "ray", "--workers")
WAYS = (
    Way("no engine", ("--no-pictures",)),
    Way("one worker", (*RAY, "1")),
    Way("two workers", (*RAY, "2")),
    Way("two workers, one killed", (*RAY, "2"), kills=True),
)


def main() -> int:
    """Run the command; returns an exit code."""
    options = _options()
    found = collect_images([options.folder])
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for number in range(options.images):
            source = str(found[number % len(found)].path)
            shutil.copy(source, folder / "images" / f"{number:06}{Path(source).suffix}")
        for way in WAYS:
            rows.append({"way": way.name} | measure(way, folder, options))
            print(rows[-1], file=sys.stderr, flush=True)
        first, *others = [json.loads((folder / way.name / "detections.json").read_text()) for way in WAYS]
    same = [alike(own, first) for own in others]
    print("| way | s | images/s | workers killed |\n|---|---|---|---|")
    for row in rows:
        rate = options.images / row["seconds"]
        print(f"| {row['way']} | {row['seconds']:.1f} | {rate:.2f} | {row['killed']} |")
    print(f"{len(first)} detections, the same by every way: {'yes' if all(same) else 'no'}")
    if options.json is not None:
        told = {"images": options.images, "detections": len(first), "same": all(same), "rows": rows}
        write_json(options.json, provenance("cpu") | told, indent=2)
    return 0 if all(same) else 1


def measure(way: Way, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a run, and how many workers were killed in it."""
    output = folder / way.name
    command = [sys.executable, "-m", "srtod.cli.main", "predict", folder / "images"]
    command += ["--weights", options.weights, "--output", output, "--device", "cpu", *way.words]
    command += ["--shard-size", options.shard_size] if "--engine" in way.words else []
    killed, start = 0, time.perf_counter()
    with subprocess.Popen([str(word) for word in command], stdout=sys.stderr) as process:
        while way.kills and not killed and process.poll() is None:
            time.sleep(0.2)
            if any((output / "log").glob("*.jsonl")):
                killed = kill_one(process.pid)
    if process.returncode:
        raise SystemExit(f"{way.name}: failed")
    return {"seconds": round(time.perf_counter() - start, 2), "killed": killed}


def alike(found: list[dict[str, Any]], first: list[dict[str, Any]]) -> bool:
    """Whether both are the same but for rounding, which the number of threads decides."""
    names = [[(row["image_id"], row["category_id"]) for row in own] for own in (found, first)]
    if names[0] != names[1]:
        return False
    values = [np.array([[*row["bbox"], 1000 * row["score"]] for row in own]) for own in (found, first)]
    return bool(np.abs(values[0] - values[1]).max(initial=0) < MOST)


def kill_one(parent: int) -> int:
    """Kill a worker that computes; returns how many were."""
    workers = [
        own
        for own in psutil.Process(parent).children(recursive=True)
        if "MapWorker" in " ".join(own.cmdline())
    ]
    for worker in workers[:1]:
        worker.kill()
    return len(workers[:1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default=SHIPPED)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--shard-size", type=int, default=8)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
