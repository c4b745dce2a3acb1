"""The whole road at small scale: synthesize, train, evaluate, explain, report."""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from srtod import data
from srtod.data.images import read_image
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.detectors.detector import Detector
from srtod.detectors.zoo import load
from srtod.engine.evaluate import evaluate
from srtod.engine.fit import fit
from srtod.engine.setup import new_detector
from srtod.inference.inputs import ImageFile, to_tensor
from srtod.inference.predict import predictions
from srtod.metrics import Metrics
from srtod.plots import (
    Plate,
    Report,
    Step,
    curves_figure,
    explain_figure,
    read_metrics,
    write_report,
)
from srtod.recipes import load_recipe
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.files import write_json
from srtod.swarm import synthesize

RECIPE = "quickstart"
_SCORE = 0.4
"""Detections below this score are not drawn."""


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        train_images, test_images: scenes of each split; the test scenes have other seeds and other scenery.
        side: of the square scenes in pixels.
        objects: mean number of drones a scene.
        mean_size: of a drone, square root of its box's area in pixels.
        pictures: scenes that the report shows.
    """

    train_images: int = 400
    test_images: int = 50
    side: int = 256
    objects: float = 18.0
    mean_size: float = 8.0
    pictures: int = 4


@dataclass
class _Clock:
    """Seconds of each stage, told as they begin."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, words: str) -> Generator[None]:
        Console(stderr=True, highlight=False).print(f"[bold]{name}[/]: {words}")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)


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
    clock = _Clock()
    with clock.stage(
        "synthesize", f"{scale.train_images} scenes to learn from, {scale.test_images} held out"
    ):
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
    with clock.stage("train", f"{recipe.model.system} with self-reconstruction, from random weights"):
        fit(recipe, train_set, test_set, output / "run", device=chosen.type)
    detector = load(output / "run" / "last.safetensors").to(chosen)
    with clock.stage("evaluate", f"on {len(test_set.records)} held-out scenes"):
        scores = evaluate(detector, test_set, batch_size=4)
    with clock.stage("report", "pictures, maps and curves"):
        told = _told(scores, scale, seed, clock, chosen)
        _report(output, detector, test_set, told, scale)
    write_json(output / "metrics.json", told, indent=2)
    return told


def _told(scores: Metrics, scale: Scale, seed: int, clock: _Clock, device: torch.device) -> dict[str, Any]:
    return scores.to_json() | {
        "seed": seed,
        "scale": asdict(scale),
        "seconds": clock.seconds,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _report(
    output: Path, detector: Detector, test_set: AnnotatedSet, told: dict[str, Any], scale: Scale
) -> None:
    shown = _shown(test_set.records, scale.pictures)
    training, evaluations = read_metrics(output / "run" / "metrics.jsonl")
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
        curves=curves_figure(training, evaluations),
        detections=list(_detections(detector, shown)),
        maps=list(_maps(detector, shown[:2])),
        steps=_next_steps(output),
    )
    write_report(output / "report.html", report)


def _shown(records: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    """Scenes spread over the set, those with objects only."""
    full = [record for record in records if len(record.boxes)]
    return [full[index * len(full) // count] for index in range(min(count, len(full)))]


def _detections(detector: Detector, records: Sequence[ImageRecord]) -> Iterator[Plate]:
    files = [ImageFile(record.path, record.file_name, record.image_id, record) for record in records]
    for record, found in zip(records, predictions(detector, files), strict=True):
        yield Plate(
            found.plot(min_score=_SCORE),
            f"{record.file_name}: {len(record.boxes)} drones, {int((found.scores >= _SCORE).sum())} "
            f"detections scored {_SCORE} or more. White corners mark the true drones; insets are enlarged.",
        )


def _maps(detector: Detector, records: Sequence[ImageRecord]) -> Iterator[Plate]:
    for record in records:
        image = read_image(record.path)
        maps = detector.explain(to_tensor(image, detector.device))
        figure = explain_figure(
            image, {name: own.cpu().numpy() for name, own in maps.items()}, truth=record.boxes
        )
        yield Plate(
            figure,
            f"{record.file_name}: the detector rebuilds its input from its finest level; the difference "
            "shows what that level has lost, and the mask made of it enhances the level there.",
        )


def _next_steps(output: Path) -> list[Step]:
    weights = output / "run" / "last.safetensors"
    return [
        Step(
            "Find drones in your own pictures",
            f"uv run srtod predict PHOTO.jpg --weights {weights} --output found",
        ),
        Step("See the maps behind it", f"uv run srtod explain PHOTO.jpg --weights {weights} --output maps"),
        Step("Look at your own data set", "uv run srtod data inspect DATA --output look"),
        Step("Train on it", "uv run srtod train DATA --recipe small --output run"),
        Step("Measure", "uv run srtod evaluate DATA --weights run/best.safetensors"),
    ]
