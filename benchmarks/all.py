"""One table of speed: ours beside other programs, each as a ratio within one run.

    uv run benchmarks/all.py [--quick] [--only NAME,...] [--mmdetection PYTHON] [--json RESULT.json]

Runs the benchmarks of this folder that have something beside them, each in a process of its own, on images
that are composed first. A ratio above 1 says that ours takes less time. `--quick` makes everything as small
as it can be: whether it runs, not how fast it is. MMDetection is compared where an interpreter is named that
has it. A benchmark that fails is named and the others run; the exit code is then 1.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from srtod.support.files import write_json
from srtod.support.provenance import provenance

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes:
        task: what both do.
        other: the program beside ours, with its version.
        ours, theirs: seconds of each.
        ratio: of their time to ours.
    """

    task: str
    other: str
    ours: float
    theirs: float
    ratio: float

    def __str__(self) -> str:
        return f"| {self.task} | {self.other} | {self.ours:.3g} | {self.theirs:.3g} | {self.ratio:.2f} |"


@dataclass(frozen=True)
class Run:
    """A benchmark.

    Attributes:
        words: its script and arguments; PHOTOS and DATA stand for composed images.
        quick: arguments that make it small.
        lines: what its result file says.
        output: its option for the result file.
    """

    words: str
    quick: str
    lines: Callable[[dict[str, Any]], Iterator[Line]]
    output: str = "--json"

    def command(self, places: dict[str, Path], result: Path, *, quick: bool) -> list[str]:
        """Return the words of the command."""
        script, *words = shlex.split(f"{self.words} {self.quick}" if quick else self.words)
        given = [str(places.get(word, word)) for word in words]
        return [sys.executable, str(FOLDER / script), *given, self.output, str(result)]


def evaluation(told: dict[str, Any]) -> Iterator[Line]:
    """Evaluation of files and of what is in memory."""
    detections = told["setting"]["images"] * told["setting"]["detections"]
    ours = {row["given"]: row["seconds"] for row in told["rows"] if row["program"] == "srtod"}
    for row in told["rows"]:
        if row["program"] != "srtod":
            task = f"evaluate {detections:,} detections, {row['given']}"
            yield Line(task, _named(row["program"]), ours[row["given"]], row["seconds"], row["ratio"])


def slicing(told: dict[str, Any]) -> Iterator[Line]:
    """Prediction in slices, merged in two ways."""
    rows = {row["method"]: row for row in told["rows"]}
    for ours, theirs in (("ours, greedy", "SAHI, GREEDYNMM"), ("ours, nms", "SAHI, NMS")):
        own, other = rows[ours]["seconds"], rows[theirs]["seconds"]
        task = f"slice and merge {rows[ours]['detections']:,} boxes, {theirs.partition(', ')[2]}"
        yield Line(task, _named("sahi"), own, other, other / own)


def training(told: dict[str, Any]) -> Iterator[Line]:
    """A step of training on composed images."""
    beside = told["beside_torchvision"]
    ours, theirs = (1 / beside[name] for name in ("srtod", "torchvision"))
    yield Line("train Faster R-CNN (small), an image", _named("torchvision"), ours, theirs, beside["ratio"])


def networks(told: dict[str, Any]) -> Iterator[Line]:
    """Training steps and passes over images."""
    rows = [row for row in told["rows"] if row["comparison"].endswith("torchvision's")]
    size = "{width} x {height}".format(**told["setting"])
    for ours, theirs in zip(rows[::2], rows[1::2], strict=True):
        system = ours["comparison"].partition(" ")[0]
        backbone = told["setting"]["beside"]
        task = f"{system}, {backbone}, {ours['mode']}, {ours['precision']}, {size}"
        seconds = [row["milliseconds"] / 1000 / told["setting"]["batch"] for row in (ours, theirs)]
        yield Line(task, _named("torchvision"), seconds[0], seconds[1], theirs["times_first"])


def pipeline(told: dict[str, Any]) -> Iterator[Line]:
    """All of ``predict`` beside its network alone."""
    rates = [[row[name] for row in told["images_per_second"]] for name in ("predict", "network")]
    ours, alone = (1 / statistics.median(own) for own in rates)
    yield Line("predict JPEGs of 1920 x 1080, an image", "its network alone", ours, alone, told["ratio"])


def runtime(told: dict[str, Any]) -> Iterator[Line]:
    """The runtime without torch beside ``predict`` with the same file."""
    for ours, usual in zip(told["rows"][::2], told["rows"][1::2], strict=True):
        task = "srtod-runtime, " + ("whole images" if ours["slice"] is None else f"slices of {ours['slice']}")
        yield Line(
            task, "srtod predict", ours["seconds"], usual["seconds"], usual["seconds"] / ours["seconds"]
        )


def mmdetection(told: dict[str, Any]) -> Iterator[Line]:
    """Passes over one image, the copy that predicts beside MMDetection's detector."""
    for row in told["rows"]:
        ours, theirs = (statistics.median(row[name]) for name in ("copied", "theirs"))
        yield Line(
            f"{row['system']}, ResNet-50, inference", "MMDetection", ours, theirs, 1 / row["ratio_copied"]
        )


RUNS = {
    "evaluation": Run("evaluation.py", "--images 20 --least-ratio 0", evaluation),
    "slicing": Run("slicing.py --side 2000 --objects 2000", "--side 400 --objects 50 --slice 200", slicing),
    "training": Run(
        "training_speed.py DATA --steps 4 --set model.pretrained_backbone=false",
        "--steps 2 --set model.backbone=test_resnet --set model.pyramid_channels=16 --set data.crop=96 "
        "--set train.batch_size=2",
        training,
    ),
    "networks": Run(
        "gpu.py --device cpu --beside --size 320x256 --minutes 30",
        "--quick --size 64x64",
        networks,
        output="--output",
    ),
    "pipeline": Run("pipeline.py PHOTOS --images 6", "--images 2 --runs 1", pipeline),
    "runtime": Run("runtime.py PHOTOS", "", runtime),
}


def main() -> int:
    """Run the benchmarks; returns an exit code."""
    options = _options()
    runs = {name: RUNS[name] for name in options.only}
    if options.mmdetection is not None:
        words = f"mmdetection.py --python {shlex.quote(str(options.mmdetection))} --fuse"
        runs["mmdetection"] = Run(words, "faster-rcnn --runs 1 --size 64x64", mmdetection)
    lines: dict[str, list[Line]] = {}
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = compose(folder, quick=options.quick)
        for number, (title, run) in enumerate(runs.items(), 1):
            print(f"{number} of {len(runs)}: {title}", file=sys.stderr, flush=True)
            result = folder / f"{title}.json"
            command = run.command(places, result, quick=options.quick)
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
                failed.append(title)
            else:
                lines[title] = list(run.lines(json.loads(result.read_text())))
    print("| task | beside | ours, s | theirs, s | theirs / ours |\n|---|---|---|---|---|")
    print("\n".join(str(line) for own in lines.values() for line in own))
    if options.json is not None:
        told = {title: [asdict(line) for line in own] for title, own in lines.items()}
        write_json(options.json, provenance("cpu") | {"failed": failed, "lines": told}, indent=2)
    for title in failed:
        print(f"{title}: failed; see above", file=sys.stderr)
    return 1 if failed else 0


def compose(folder: Path, *, quick: bool) -> dict[str, Path]:
    """Compose photographs and a data set for training: where they are, by the word that stands for them."""
    photos, data = (2, 4) if quick else (10, 40)
    settings = {
        "PHOTOS": f"--images 1 --test-images {photos} --size 1920x1080 --objects-per-image 20",
        "DATA": f"--images {data} --test-images 1 --size 640x640 --objects-per-image 20",
    }
    for place, words in settings.items():
        command = [sys.executable, "-m", "srtod.cli.main", "data", "synthesize", folder / place]
        subprocess.run([*command, *words.split(), "--seed", "0"], stdout=sys.stderr, check=True)
    return {"PHOTOS": folder / "PHOTOS" / "test" / "JPEGImages", "DATA": folder / "DATA"}


def _named(package: str) -> str:
    return f"{'SAHI' if package == 'sahi' else package} {version(package).partition('+')[0]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="as small as it can be")
    parser.add_argument(
        "--only", type=lambda names: names.split(","), default=list(RUNS), help=", ".join(RUNS)
    )
    parser.add_argument("--mmdetection", type=Path, metavar="PYTHON", help="interpreter that has MMDetection")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if unknown := [name for name in options.only if name not in RUNS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(RUNS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
