"""``srtod-runtime``: what ``srtod predict --no-pictures`` does, without PyTorch."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srtod_runtime.detector import SLICE_OVERLAP, Detector
from srtod_runtime.errors import InputError
from srtod_runtime.images import listed, read_image
from srtod_runtime.videos import frames


def main() -> None:
    """Run the command: exit code 2 tells bad arguments or files, 130 and 143 that it was stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.stdout.write(f"{_predict(_arguments())}\n")
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("srtod-runtime", description="Find objects in images and videos.")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="images, videos, folders")
    parser.add_argument("--weights", type=Path, required=True, help="file of srtod export --format onnx")
    parser.add_argument("--output", type=Path, required=True, help="new folder for what is found")
    parser.add_argument("--slice", type=int, help="look in windows of so many pixels a side")
    parser.add_argument(
        "--overlap", type=float, default=SLICE_OVERLAP, help="of windows, a part of their side"
    )
    parser.add_argument("--every", type=int, default=1, help="of a video, look at each EVERY-th frame")
    parser.add_argument("--threads", type=int, help="of the network; default: all cores")
    given = parser.parse_args()
    if given.every < 1:
        parser.error("--every: at least 1 is needed")
    return given


def _predict(given: argparse.Namespace) -> str:
    """Look at everything, write what is found, and say how much that is."""
    images, videos = listed(given.inputs)
    detector = Detector(given.weights, threads=given.threads)
    looking = {"slice": given.slice, "overlap": given.overlap}
    count = 0

    def in_images() -> Iterator[dict[str, Any]]:
        for number, (name, path) in enumerate(images.items(), start=1):
            found = detector.predict(read_image(path), **looking)
            yield from found.to_coco(detector.classes, image_id=number, file_name=name)

    def in_video(path: Path) -> Iterator[dict[str, Any]]:
        nonlocal count
        for index, time, pixels in frames(path, given.every):
            rows = detector.predict(pixels, **looking).to_coco(detector.classes)
            count += len(rows)
            yield {"frame": index, "time": round(time, 6), "detections": rows}

    with _new_folder(given.output) as folder:
        if images:
            count += _write(folder / "detections.json", in_images(), ("[\n", ",\n", "\n]\n"))
        below = folder / "videos" if images else folder
        for name, path in videos.items():
            below.mkdir(exist_ok=True)
            _write(below / f"{name}.jsonl", in_video(path), ("", "\n", "\n"))
    return f"{count} detections in {len(images)} images and {len(videos)} videos: {given.output}"


def _write(path: Path, rows: Iterable[dict[str, Any]], around: tuple[str, str, str]) -> int:
    """Write JSON as it comes, with what stands before, between and after the rows; says how many they are."""
    count, (before, between, after) = 0, around
    with path.open("w", encoding="utf-8") as file:
        for count, row in enumerate(rows, start=1):
            file.write(before if count == 1 else between)
            json.dump(row, file, allow_nan=False, ensure_ascii=False)
        file.write(after if count else before + after)
    return count


@contextmanager
def _new_folder(path: Path) -> Generator[Path]:
    """Yield a scratch folder beside ``path``, which takes its name when all is written.

    Raises:
        InputError: ``path`` exists and is not an empty folder, or the place cannot be written to.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists and is not an empty folder; choose another --output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield scratch
            scratch.chmod(0o755)  # only its owner may enter what mkdtemp makes
            if path.is_dir():  # an empty one, which Windows does not replace
                path.rmdir()
            scratch.replace(path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; choose another --output") from error
