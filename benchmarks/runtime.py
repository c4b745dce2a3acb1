"""The runtime without torch in an environment of its own: size, import, time, memory; beside ``predict``.

    uv run benchmarks/runtime.py PHOTOS [--slice 320] [--threads 2] [--json RESULT.json]

The weights that ship with srtod are exported once; both programs look at the same images, whole and in
slices, each in a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srtod.assets import SHIPPED
from srtod.inference.exporting import export_weights
from srtod.support.files import write_json
from srtod.support.provenance import provenance

PACKAGE = Path(__file__).parents[1] / "runtime"
IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def main() -> int:
    """Run the command."""
    options = _options()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_weights(SHIPPED, folder / "detector.onnx", format="onnx")
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, PACKAGE], check=True)
        result: dict[str, Any] = {
            "installed_mb": round(sum(own.lstat().st_size for own in (folder / "venv").rglob("*")) / 1e6, 1),
            "import_seconds": {
                "srtod_runtime": _import_seconds(python, "srtod_runtime"),
                "srtod_runtime and onnxruntime": _import_seconds(python, "srtod_runtime, onnxruntime"),
            },
            "rows": [row for side in (None, options.slice) for row in _rows(folder, side, options)],
        }
    print(json.dumps(result, indent=2))
    if options.json is not None:
        write_json(options.json, provenance("cpu") | result, indent=2)
    return 0


def _rows(folder: Path, side: int | None, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds and memory of both programs, and the largest differences between what they find."""
    given = ["--weights", folder / "detector.onnx", *(() if side is None else ("--slice", side))]
    own, other = (folder / f"{name}-{side}" for name in ("runtime", "predict"))
    program = folder / "venv" / "bin" / "srtod-runtime"
    thrifty = [program, options.images, *given, "--output", own, "--threads", options.threads]
    usual = [sys.executable, "-m", "srtod.cli.main", "predict", options.images, *given, "--no-pictures"]
    costs = [_cost(thrifty), _cost([*usual, "--output", other])]
    found, expected = (json.loads((path / "detections.json").read_text()) for path in (own, other))
    pairs = list(zip(found, expected, strict=False))
    apart = {
        "detections": [len(found), len(expected)],
        "same_names": all(a["file_name"] == b["file_name"] for a, b in pairs),
        "largest_pixels": max(
            abs(x - y) for a, b in pairs for x, y in zip(a["bbox"], b["bbox"], strict=True)
        ),
        "largest_score": max(abs(a["score"] - b["score"]) for a, b in pairs),
    }
    names = ("srtod-runtime", "srtod predict")
    return [
        {"program": name, "slice": side, **cost, "apart": apart}
        for name, cost in zip(names, costs, strict=True)
    ]


def _cost(words: Sequence[object]) -> dict[str, float]:
    """Run a command in a process of its own: seconds from start to end, and its peak memory."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in words], stdout=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[0]}: failed")
    return {"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(used.ru_maxrss * 1024 / 1e6)}


def _import_seconds(python: Path, modules: str) -> float:
    command = [python, "-c", IMPORT.format(modules)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(6)]
    return round(statistics.median(map(float, runs[1:])), 3)  # the first one reads the disk


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("--slice", type=int, default=320)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
