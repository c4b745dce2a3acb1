"""The whole road at small scale: synthesize, train, evaluate, explain, report."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from srtod import data
from srtod.data.records import AnnotatedSet
from srtod.detectors.detector import Detector
from srtod.detectors.zoo import load
from srtod.engine.evaluate import evaluate
from srtod.engine.fit import fit
from srtod.engine.report import write_training_report
from srtod.engine.setup import new_detector
from srtod.metrics import Metrics
from srtod.plots import Report
from srtod.recipes import load_recipe
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.files import write_json
from srtod.swarm import synthesize

RECIPE = "quickstart"


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        train_images, test_images: scenes of each split; the test scenes have other seeds and other scenery.
        side: of the square scenes in pixels.
        objects: mean number of drones a scene.
        mean_size: of a drone, square root of its box's area in pixels.
    """

    train_images: int = 400
    test_images: int = 50
    side: int = 256
    objects: float = 18.0
    mean_size: float = 8.0


@contextmanager
def _stage(name: str, words: str, seconds: dict[str, float]) -> Generator[None]:
    """Tell a stage as it begins, and count its seconds."""
    Console(stderr=True, highlight=False).print(f"[bold]{name}[/]: {words}")
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 1)


def quickstart(
    output: Path,
    *,
    scale: Scale | None = None,
    seed: int = 0,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Do everything once and leave ``data/``, ``run/``, ``report.html`` and ``metrics.json`` in ``output``.

    Args:
        output: a new or empty folder.
        scale: how much is done.
        seed: of the scenes and of the training.
        device: ``auto``, ``cpu`` or ``cuda``.
        overrides: changes of the recipe, such as ``train.epochs=3``.

    Returns:
        What ``metrics.json`` holds: the metrics of the held-out scenes, and how they came about.

    Raises:
        InputError: ``output`` is not empty or cannot be written.
    """
    scale = scale or Scale()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists and is not an empty folder; choose another with --output")
    recipe = load_recipe(RECIPE, [f"train.seed={seed}", *overrides])
    chosen = choose_device(device, among=ONE_GPU)
    if recipe.model.self_reconstruction is None:
        raise InputError("quickstart shows self-reconstruction: leave it on here, or train with srtod train")
    new_detector(recipe, ("drone",), None)  # a recipe that cannot be built is told before any work
    seconds: dict[str, float] = {}
    drawn = f"{scale.train_images} scenes to learn from, {scale.test_images} held out"
    with _stage("synthesize", drawn, seconds):
        synthesize(
            output / "data",
            splits={"train": scale.train_images, "test": scale.test_images},
            size=(scale.side, scale.side),
            seed=seed,
            objects_per_image=scale.objects,
            mean_size=scale.mean_size,
            progress=True,
        )
    train_set, test_set = (
        data.read(output / "data", split=split).require_sound() for split in ("train", "test")
    )
    with _stage("train", f"{recipe.model.system} with self-reconstruction, from random weights", seconds):
        fit(recipe, train_set, test_set, output / "run", device=chosen.type)
    detector = load(output / "run" / "last.safetensors").to(chosen)
    with _stage("evaluate", f"on {len(test_set.records)} held-out scenes", seconds):
        scores = evaluate(detector, test_set, batch_size=4)
    with _stage("report", "pictures, maps and curves", seconds):
        told = _told(scores, scale, seed, seconds, chosen)
        _report(output, detector, test_set, told, scale)
    write_json(output / "metrics.json", told, indent=2)
    return told


def _told(
    scores: Metrics, scale: Scale, seed: int, seconds: dict[str, float], device: torch.device
) -> dict[str, Any]:
    return scores.to_json() | {
        "seed": seed,
        "scale": asdict(scale),
        "seconds": seconds,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _report(
    output: Path, detector: Detector, test_set: AnnotatedSet, told: dict[str, Any], scale: Scale
) -> None:
    report = Report(
        title="srtod quickstart",
        summary=[
            f"{scale.train_images} scenes of drone swarms were drawn, and a small Faster R-CNN with "
            "self-reconstruction learned from them, from random weights. It was then tried on "
            f"{scale.test_images} scenes that it had never seen, of other scenery. The mean drone is "
            f"{scale.mean_size:g} pixels large.",
            "Drawn scenes are easier than photographs: these numbers show that everything works, not how "
            "well drones are found in the open.",
        ],
        facts={
            "training scenes": str(scale.train_images),
            "held-out scenes": str(scale.test_images),
            "seed": str(told["seed"]),
            "device": f"{told['device']}, {told['threads']} threads",
            **{f"seconds to {name}": f"{seconds:.0f}" for name, seconds in told["seconds"].items()},
        },
        metrics={name: value for name, value in told.items() if name.startswith("A")},
    )
    write_training_report(output / "report.html", report, detector, test_set, output / "run")
