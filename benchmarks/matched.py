"""Train a detector with and without self-reconstruction, all else equal, over several seeds; print both rows.

    uv run benchmarks/matched.py DATA --recipe small --seeds 0 1 2 --set train.epochs=10 --json RESULT.json

Each run is one ``srtod train`` and one ``srtod evaluate`` of its last weights (not the best, chosen
on the same images). Runs that were finished before are not repeated.
"""

import argparse
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from srtod.files import read_json, write_json
from srtod.provenance import provenance

VARIANTS = {"base": ["model.self_reconstruction=false"], "SR-TOD": []}
KEYS = ("AP", "AP50", "AP75", "APvt", "APt", "APs", "AR")

Scores = dict[str, float]


def main() -> None:
    """Run the command."""
    options = _options()
    runs = [(variant, seed) for seed in options.seeds for variant in VARIANTS]
    with ThreadPoolExecutor(options.jobs) as pool:
        scores = list(pool.map(lambda run: _run(options, *run), runs))
    rows = {
        name: [own for (variant, _), own in zip(runs, scores, strict=True) if variant == name]
        for name in VARIANTS
    }
    print(_table(rows))
    if options.json is not None:
        settings = {
            key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()
        }
        told = provenance(options.device) | {"settings": settings, "scores": rows}
        write_json(options.json, told, indent=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each with its share of threads")
    parser.add_argument("--output", type=Path, default=Path("runs/matched"))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _run(options: argparse.Namespace, variant: str, seed: int) -> Scores:
    folder = options.output / f"{variant}-{seed}"
    scores = folder / "scores.json"
    if not scores.exists():
        changes = [*VARIANTS[variant], f"train.seed={seed}", *options.changes]
        settings = [word for change in changes for word in ("--set", change)]
        _srtod(
            options,
            *("train", options.data, "--recipe", options.recipe, "--output", folder / "run", "--resume"),
            *("--device", options.device, *settings),
        )
        weights = folder / "run" / "last.safetensors"
        _srtod(options, "evaluate", options.data, "--weights", weights, "--json", scores)
    print(f"{variant}, seed {seed}: AP {read_json(scores)['AP']:.4f}", file=sys.stderr)
    return {key: value for key, value in read_json(scores).items() if key in KEYS}


def _srtod(options: argparse.Namespace, *words: Any) -> None:
    threads = str(max((os.cpu_count() or 1) // options.jobs, 1))
    command = [sys.executable, "-m", "srtod.cli.main", *map(str, words)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": threads})


def _table(rows: dict[str, list[Scores]]) -> str:
    lines = ["| |" + "".join(f" {key} |" for key in KEYS), "|---|" + "---|" * len(KEYS)]
    for name, runs in rows.items():
        cells = [_mean_and_spread([100 * run[key] for run in runs]) for key in KEYS]
        lines.append(f"| {name} |" + "".join(f" {cell} |" for cell in cells))
    return "\n".join(lines)


def _mean_and_spread(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {spread:.2f}"


if __name__ == "__main__":
    main()
