"""``srtod evaluate``."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt
from srtod.defaults import DETECTIONS_PER_IMAGE
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from srtod.engine.analysis import Evaluated
    from srtod.metrics import Metrics
    from srtod.metrics.operating import Rule

COMPARED = ("AP", "AP50", "APvt", "APt", "APs", "APm")
"""The metrics by which two runs are compared."""

Data = Annotated[Path | None, typer.Argument(help="Folder or file in a known layout.", metavar="[DATA]")]
SaveDetections = Annotated[
    Path | None, typer.Option(help="Write the detections there, as COCO results with names.")
]
TruthFile = Annotated[Path | None, typer.Option(help="COCO annotations, instead of DATA.")]
ResultsFile = Annotated[Path | None, typer.Option(help="COCO results to evaluate on --annotations.")]
DetectionsPerImage = Annotated[
    int, typer.Option(min=1, help="Detections of a class that count; the weights have their own limit.")
]

Report = Annotated[
    Path | None,
    typer.Option(
        help="New folder for report.html (errors by size, thresholds, worst images), report.json and, of "
        "weights, detections.json."
    ),
]
Against = Annotated[
    Path | None,
    typer.Option(help="Compare with another run: its report folder, or a file of its detections."),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        help="best-f1, recall=R or false-alarms=N (an image): choose the score of each class from which "
        "detections count, and write it into the weights.",
        show_default=False,
    ),
]


def evaluate(
    context: typer.Context,
    data: Data = None,
    *,
    weights: opt.FinderWeights = SHIPPED,
    trust_weights: opt.TrustWeights = False,
    split: opt.HeldOutSplit = None,
    format: opt.Layout = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "fp32",
    stretch: opt.StretchOption = None,
    batch_size: opt.BatchSize = 1,
    slice: opt.Slice = None,
    overlap: opt.Overlap = None,
    full_image: opt.FullImage = False,
    merge: opt.Merge = None,
    merge_classes: opt.MergeClasses = False,
    focus: opt.Focus = None,
    focus_by: opt.FocusBy = None,
    zoom: opt.Zoom = None,
    scales: opt.Scales = "1",
    flips: opt.Flips = False,
    skip_bad: opt.SkipBad = False,
    save_detections: SaveDetections = None,
    annotations: TruthFile = None,
    detections: ResultsFile = None,
    detections_per_image: DetectionsPerImage = DETECTIONS_PER_IMAGE,
    json: Annotated[Path | None, typer.Option(help="Write the metrics there.")] = None,
    report: Report = None,
    against: Against = None,
    calibrate: Calibrate = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Print AI-TOD metrics, of weights on a data set or of two files.

    Either DATA and --weights, or --annotations and --detections.
    """
    from srtod.engine.analysis import Evaluated, compare, write_analysis
    from srtod.inference.ensemble import members_of
    from srtod.metrics.operating import Rule
    from srtod.metrics.terminal import analysis_tables, comparison_table
    from srtod.support.files import atomic_folder, require_free

    inputs = (data, annotations, detections, *members_of(weights))
    for file in filter(None, (json, save_detections)):
        require_free(file, overwrite=overwrite, inputs=inputs)
    rule = None if calibrate is None else Rule.parse(calibrate)
    with nullcontext() if report is None else atomic_folder(report) as folder:
        if annotations is not None and detections is not None:
            _refuse_options_of_weights(context)
            evaluated = Evaluated.of_files(
                annotations, detections, skip_bad=skip_bad, pictures=report is not None
            )
        elif annotations is None and detections is None and data is not None:
            evaluated = _of_weights(context, folder)
        else:
            raise InputError("evaluate what? give DATA, or --annotations and --detections")
        metrics = evaluated.metrics(detections_per_image)
        _show(metrics, json)
        if rule is not None:
            evaluated = _calibrate(evaluated, rule, detections_per_image, weights)
        comparison = (
            {}
            if against is None
            else compare(evaluated.tables, against, COMPARED, detections_per_image=detections_per_image)
        )
        if folder is not None:
            analysis = evaluated.analysis(detections_per_image)
            what = f"{detections} on {annotations}" if data is None else f"{weights} on {data}"
            write_analysis(
                folder, analysis, metrics, evaluated.records, summary=[what], comparison=comparison
            )
            _print(analysis_tables(analysis))
        if comparison:
            _print([comparison_table(comparison)])
    if report is not None:
        typer.echo(f"{report / 'report.html'}")


def _of_weights(context: typer.Context, folder: Path | None) -> "Evaluated":
    """Find what is in the data, as the options of the command line say."""
    from srtod.data.depth import parse_stretch, stretch_of
    from srtod.detectors.weights import own_weights
    from srtod.engine.analysis import DETECTIONS, Evaluated
    from srtod.engine.evaluate import on_common_classes
    from srtod.engine.sets import Source, evaluation_set
    from srtod.inference import in_slices, load_finder
    from srtod.inference.ensemble import members_of
    from srtod.inference.operating import operating_point

    asked = context.params
    views = opt.views_of(asked["scales"], flips=asked["flips"])
    if asked["calibrate"] is not None:
        if len(members_of(asked["weights"])) > 1:
            raise InputError("--calibrate writes scores into one file of weights, and not into several")
        own_weights(asked["weights"])
        if not views.one:
            raise InputError(
                "--calibrate writes scores of one view into the weights; leave --scales and --flips out"
            )
    slicing = opt.slicing_of(opt.given_options(context))
    loaded = load_finder(
        asked["weights"],
        device=asked["device"],
        precision=asked["precision"],
        stretch=parse_stretch(asked["stretch"]),
        trust_weights=asked["trust_weights"],
        calibrated=False,
        views=views,
    )
    finder = in_slices(loaded, slicing, batch_size=asked["batch_size"])
    source = Source(asked["data"], asked["split"], asked["format"], asked["skip_bad"], stretch_of(finder))
    annotated = on_common_classes(evaluation_set(source), finder.classes)
    if asked["calibrate"] is not None and not annotated.has_objects:
        raise InputError(
            f"{annotated.source}: no object of a class of the weights is marked, so no score can be chosen; "
            "calibrate on other data"
        )
    files = [asked["save_detections"], folder and folder / DETECTIONS]
    return Evaluated.of_weights(
        finder,
        annotated,
        batch_size=asked["batch_size"],
        save=[file for file in files if file is not None],
        point=operating_point(loaded),
    )


def _calibrate(evaluated: "Evaluated", rule: "Rule", detections_per_image: int, weights: str) -> "Evaluated":
    """Choose the scores that count, show them and write them into the weights."""
    from srtod.detectors.weights import calibrate_weights, own_weights
    from srtod.metrics.terminal import calibration_table

    at_point, chosen = evaluated.calibrated(rule, detections_per_image)
    _print([calibration_table(chosen)])
    scores = {name: own.threshold for name, own in chosen.items() if own.known}
    others = calibrate_weights(path := own_weights(weights), str(rule), scores)
    for name, own in chosen.items():
        if own.known and not own.reached:
            what = (
                "nothing found is right; none" if rule.name == "best-f1" else "not reached; all that is found"
            )
            typer.echo(f"{name}: {rule}: {what} counts", err=True)
    if others:
        typer.echo(
            f"{', '.join(others)}: no object to choose by; the former score stays, or without one all counts",
            err=True,
        )
    typer.echo(f"{path}: predict, serve and exported files take these scores from now on")
    return at_point


def _show(metrics: "Metrics", file: Path | None) -> None:
    from srtod.metrics.terminal import metrics_table
    from srtod.support.files import write_json

    for note in metrics.notes:
        typer.echo(note, err=True)
    _print([metrics_table(metrics)])
    if file is not None:
        write_json(file, metrics.to_json(), indent=2)


def _print(tables: "Iterable[Table]") -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)


def _refuse_options_of_weights(context: typer.Context) -> None:
    of_files = {"annotations", "detections", "detections_per_image", "json", "overwrite", "skip_bad"}
    of_files |= {"report", "against"}
    given = [name for name in opt.given_options(context) if name not in of_files]
    if given:
        option = "DATA" if given[0] == "data" else f"--{given[0].replace('_', '-')}"
        raise InputError(
            f"{option} does not go with --annotations and --detections; leave one or the other out"
        )
