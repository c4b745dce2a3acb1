"""The report of an evaluation: a page, its figures as JSON, and the detections to compare others with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from srtod.data import read
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.detectors.config import OperatingPoint
from srtod.engine.evaluate import detect_common, write_detections
from srtod.metrics.aitod import Metrics, Tables, evaluate_tables, tables_of_files, tables_of_set
from srtod.metrics.analysis import Analysis, analyse, calibrated
from srtod.metrics.columns import corners
from srtod.metrics.comparison import Interval, compared
from srtod.metrics.operating import Calibrated, Rule
from srtod.plots.evaluation import Linked, plain_comparison, write_evaluation
from srtod.plots.mistakes import Mistakes
from srtod.support.errors import InputError
from srtod.support.files import write_json
from srtod.support.progress import say
from srtod.types import Finder

PAGE, NUMBERS, DETECTIONS = "report.html", "report.json", "detections.json"
WORST, PLACES = 20, 24
"""Images, and misses and false alarms, that the page shows."""
RESAMPLES = 200

Records = Mapping[int | str, ImageRecord]
Comparison = dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class Evaluated:
    """What is to be looked at: ground truth and detections, images where they are found, scores that count.

    Attributes:
        tables: what was there and what was found.
        records: the images, by id.
        point: the operating point of the weights, in the order of the tables' classes; None without.
    """

    tables: Tables
    records: Records
    point: OperatingPoint | None = None

    @classmethod
    def of_files(cls, annotations: Path, detections: Path, *, skip_bad: bool, pictures: bool) -> "Evaluated":
        """Read a COCO file and results; with ``pictures`` look for its images beside it, too.

        Raises:
            InputError: see :func:`~srtod.metrics.aitod.evaluate_files`.
        """
        tables = tables_of_files(annotations, detections, skip_bad=skip_bad)
        return cls(tables, _records_beside(annotations) if pictures else {})

    @classmethod
    def of_weights(
        cls,
        finder: Finder,
        annotated: AnnotatedSet,
        *,
        batch_size: int,
        save: Sequence[Path],
        point: OperatingPoint | None,
    ) -> "Evaluated":
        """Find what is in a data set.

        Args:
            finder: what finds; see :func:`~srtod.engine.evaluate.detect`, as ``batch_size``.
            annotated: the data set.
            batch_size: images a forward pass.
            save: files for the detections.
            point: the operating point of the weights.
        """
        annotated, found = detect_common(finder, annotated, batch_size=batch_size)
        for file in save:
            write_detections(file, found, annotated)
        if point is not None:
            scores = dict(zip(finder.classes, point.thresholds, strict=True))
            own = tuple(scores[name] for name in annotated.classes)
            point = OperatingPoint(rule=point.rule, thresholds=own)
        records = {record.image_id: record for record in annotated.records}
        return cls(tables_of_set(annotated, found), records, point)

    def metrics(self, detections_per_image: int) -> Metrics:
        """The AI-TOD metrics."""
        truth, found = self.tables.truth, self.tables.found
        metrics = evaluate_tables(truth, found, detections_per_image=detections_per_image)
        return replace(metrics, notes=self.tables.notes)

    def calibrated(self, rule: Rule, detections_per_image: int) -> "tuple[Evaluated, dict[str, Calibrated]]":
        """The same at the thresholds that a rule chooses, and these by class; others keep their own."""
        truth, found = self.tables.truth, self.tables.found
        chosen = calibrated(truth, found, rule, detections_per_image=detections_per_image)
        former = (0.0,) * len(chosen) if self.point is None else self.point.thresholds
        pairs = zip(chosen.values(), former, strict=True)
        thresholds = tuple(own.threshold if own.known else least for own, least in pairs)
        return replace(self, point=OperatingPoint(rule=str(rule), thresholds=thresholds)), chosen

    def analysis(self, detections_per_image: int) -> Analysis:
        """What is behind the metrics, at the operating point or else that of the best F1."""
        return analyse(
            self.tables.truth,
            self.tables.found,
            detections_per_image=detections_per_image,
            thresholds=None if self.point is None else self.point.thresholds,
            rule="" if self.point is None else self.point.rule,
        )


def _records_beside(annotations: Path) -> Records:
    """The images of a COCO file that are found beside it, by their ids; says so where there are none."""
    found: Records = {}
    with suppress(InputError):
        found = {record.image_id: record for record in read(annotations).records}
    if not found:
        say(f"{annotations}: its images are not found beside it, so the report shows none")
    return found


def compare(tables: Tables, other: Path, metrics: Sequence[str], *, detections_per_image: int) -> Comparison:
    """Compare the detections at hand with those of another run on the same images.

    Args:
        tables: the ground truth and the detections at hand.
        other: COCO results, or the folder of a report (or its ``report.json``) that holds its detections.
        metrics: names such as ``AP50``.
        detections_per_image: best detections of a class that count in an image.

    Raises:
        InputError: there are no detections, or not of these images and classes.
    """
    path = other / DETECTIONS if other.is_dir() else other
    if other.name == NUMBERS:
        path = other.with_name(DETECTIONS)
    if not path.is_file():
        raise InputError(
            f"--against {other}: no {path.name} there; give a file of detections, as --save-detections "
            "writes it, or a report of weights, which holds them"
        )
    found = {"this run": tables.found, "other run": tables.other(path)}
    return compared(
        tables.truth,
        found,
        own="this run",
        metrics=metrics,
        resamples=RESAMPLES,
        detections_per_image=detections_per_image,
    )


def write_analysis(
    folder: Path,
    analysis: Analysis,
    metrics: Metrics,
    records: Records,
    *,
    summary: Sequence[str],
    comparison: Comparison,
) -> None:
    """Write the page and the JSON of a report into a folder that is there.

    Args:
        folder: where to.
        analysis: what is behind the metrics.
        metrics: themselves.
        records: the images, by id; those that are not there are not shown.
        summary: paragraphs: what was evaluated on what.
        comparison: with another run; may be empty.
    """
    numbers = {"metrics": metrics.to_json(), **analysis.to_json()}
    if comparison:
        numbers["compared"] = plain_comparison(comparison)
    write_json(folder / NUMBERS, numbers, indent=1)
    write_evaluation(
        folder / PAGE,
        analysis,
        metrics,
        summary=summary,
        compared=comparison,
        pictures=_Pictures(analysis, records).all(),
    )


class _Pictures:
    """What is wrong in pictures; each image is read once for neighbours in a list."""

    def __init__(self, analysis: Analysis, records: Records) -> None:
        self._analysis, self._records = analysis, records
        self._seen = lru_cache(maxsize=4)(self._of_image)

    def all(self) -> dict[str, list[Linked]]:
        """The worst images, missed objects and false alarms."""
        return {
            "worst": list(self._worst()),
            "missed": list(self._places(self._missed(), self._analysis.truth)),
            "alarms": list(self._places(self._alarms(), self._analysis.detections)),
        }

    def _worst(self) -> Iterator[Linked]:
        for image in self._analysis.worst(WORST):
            if seen := self._seen(image):
                record, mistakes = seen
                misses, alarms = self._analysis.errors_in(image)
                caption = f"{record.file_name}: {misses} missed, {alarms} false alarms"
                yield Linked(mistakes.draw(), caption, _link(record))

    def _missed(self) -> list[int]:
        """Rows of the ground truth, spread evenly over the sizes of what was missed."""
        missed = np.flatnonzero(self._analysis.missed)
        ordered = missed[np.argsort(self._analysis.truth.areas[missed], kind="stable")]
        chosen = np.unique(np.linspace(0, max(len(ordered) - 1, 0), PLACES).astype(int))
        return ordered[chosen[: len(ordered)]].tolist()

    def _alarms(self) -> list[int]:
        return np.flatnonzero(self._analysis.false_alarms)[:PLACES].tolist()

    def _places(self, rows: Sequence[int], table: Any) -> Iterator[Linked]:
        for row in rows:
            if seen := self._seen(int(table.images[row])):
                record, mistakes = seen
                width, height = table.boxes[row, 2:]
                name = self._analysis.truth.classes[table.labels[row]]
                score = f", {table.scores[row]:.2f}" if hasattr(table, "scores") else ""
                caption = f"{name}{score}, {width:.0f} x {height:.0f} px, {record.file_name}"
                yield Linked(mistakes.draw_place(corners(table.boxes[row])), caption, _link(record))

    def _of_image(self, image: int) -> tuple[ImageRecord, Mistakes] | None:
        """An image and what is wrong in it; None where it is not there or cannot be read."""
        analysis = self._analysis
        record = self._records.get(analysis.truth.image_ids[image])
        if record is None:
            return None
        try:
            pixels = record.read()
        except InputError as error:
            say(str(error))
            return None
        missed = analysis.missed & (analysis.truth.images == image)
        alarms = analysis.false_alarms & (analysis.detections.images == image)
        return record, Mistakes(
            pixels,
            corners(analysis.truth.boxes[missed]),
            corners(analysis.detections.boxes[alarms]),
            analysis.detections.scores[alarms],
            analysis.detections.labels[alarms],
            analysis.truth.classes,
        )


def _link(record: ImageRecord) -> str:
    return record.path.absolute().as_uri()
