"""The page at the end of a training: curves, metrics by size, and what the detector sees in a few images."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from srtod.data.dataset import DetectionDataset
from srtod.data.loading import on_device
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.detectors.detector import Detector
from srtod.engine.evaluate import detect
from srtod.engine.state import LAST, LOG
from srtod.plots import (
    Plate,
    Report,
    Scene,
    Step,
    curves_figure,
    draw_detections,
    explain_figure,
    write_report,
)

_PICTURES, _MAPS = 4, 2
_SCORE = 0.4
"""Detections below this score are not drawn."""


def write_training_report(
    path: Path, report: Report, detector: Detector, annotated: AnnotatedSet, run: Path
) -> None:
    """Write the page of a training, one HTML file.

    Args:
        path: the file.
        report: its words, facts and metrics; what can be seen is added.
        detector: what was trained.
        annotated: images to show it on, held out if there are any.
        run: the training's folder.

    Raises:
        InputError: ``path`` cannot be written to.
    """
    rows = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    training, evaluations = ([row for row in rows if row["kind"] == kind] for kind in ("train", "evaluation"))
    full = [record for record in annotated.records if len(record.boxes)]
    shown = replace(annotated, records=tuple(full)).evenly(_PICTURES)
    reconstructs = detector.self_reconstruction is not None
    seen = replace(
        report,
        curves=curves_figure(training, evaluations),
        detections=list(_detections(detector, shown)),
        maps=list(_maps(detector, shown.records[:_MAPS])) if reconstructs else (),
        steps=_next_steps(run / LAST),
    )
    write_report(path, seen)


def _detections(detector: Detector, shown: AnnotatedSet) -> Iterator[Plate]:
    found = detect(detector, DetectionDataset(shown.records, classes=shown.classes), progress=False)
    for index, record in enumerate(shown.records):
        image = record.read()
        objects, ignored = record.boxes[~record.ignore], record.boxes[record.ignore]
        scene = Scene(image, *found.of_image(index), shown.classes, truth=objects, ignore=ignored)
        yield Plate(
            draw_detections(scene, min_score=_SCORE),
            f"{record.file_name}: {len(objects)} objects, {int((scene.scores >= _SCORE).sum())} "
            f"detections scored {_SCORE} or more. White corners mark the true objects; insets are enlarged.",
        )


def _maps(detector: Detector, records: Sequence[ImageRecord]) -> Iterator[Plate]:
    for record in records:
        image = record.read()
        (given,) = on_device([torch.from_numpy(image).permute(2, 0, 1)], detector.device)
        maps = {name: own.cpu().numpy() for name, own in detector.explain(given).items()}
        yield Plate(
            explain_figure(image, maps, truth=record.boxes),
            f"{record.file_name}: the input as it is rebuilt from the detector's finest level; the "
            f"difference shows what that level has lost. {_mask_text(detector)}",
        )


def _mask_text(detector: Detector) -> str:
    own = detector.self_reconstruction
    assert own is not None
    made = "made of it" if own.config.mask == "difference" else "predicted from the level"
    done = (
        "enhances the level where it is set" if own.config.enhances else "shows where the level sees objects"
    )
    return f"The mask, {made}, {done}."


def _next_steps(weights: Path) -> list[Step]:
    return [
        Step(
            "Find objects in your own pictures",
            f"uv run srtod predict PHOTO.jpg --weights {weights} --output found",
        ),
        Step("See the maps behind it", f"uv run srtod explain PHOTO.jpg --weights {weights} --output maps"),
        Step("Look at your own data set", "uv run srtod data inspect DATA --output look"),
        Step("Train on it", "uv run srtod train DATA --recipe small --output run"),
        Step("Measure", "uv run srtod evaluate DATA --weights run/best.safetensors"),
    ]
