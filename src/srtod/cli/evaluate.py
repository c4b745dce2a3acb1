"""``srtod evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli.options import (
    BatchSize,
    Device,
    FinderWeights,
    Focus,
    FocusBy,
    FullImage,
    HeldOutSplit,
    Layout,
    Merge,
    MergeClasses,
    Overlap,
    Overwrite,
    Precision,
    SkipBad,
    Slice,
    StretchOption,
    TrustWeights,
    Zoom,
    given_options,
    slicing_of,
)
from srtod.defaults import DETECTIONS_PER_IMAGE
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from srtod.metrics import Metrics

Data = Annotated[Path | None, typer.Argument(help="Folder or file in a known layout.", metavar="[DATA]")]
SaveDetections = Annotated[
    Path | None, typer.Option(help="Write the detections there, as COCO results with names.")
]
TruthFile = Annotated[Path | None, typer.Option(help="COCO annotations, instead of DATA.")]
ResultsFile = Annotated[Path | None, typer.Option(help="COCO results to evaluate on --annotations.")]
DetectionsPerImage = Annotated[
    int, typer.Option(min=1, help="Detections of a class that count; the weights have their own limit.")
]


def evaluate(
    context: typer.Context,
    data: Data = None,
    *,
    weights: FinderWeights = SHIPPED,
    trust_weights: TrustWeights = False,
    split: HeldOutSplit = None,
    format: Layout = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    stretch: StretchOption = None,
    batch_size: BatchSize = 1,
    slice: Slice = None,
    overlap: Overlap = None,
    full_image: FullImage = False,
    merge: Merge = None,
    merge_classes: MergeClasses = False,
    focus: Focus = None,
    focus_by: FocusBy = None,
    zoom: Zoom = None,
    skip_bad: SkipBad = False,
    save_detections: SaveDetections = None,
    annotations: TruthFile = None,
    detections: ResultsFile = None,
    detections_per_image: DetectionsPerImage = DETECTIONS_PER_IMAGE,
    json: Annotated[Path | None, typer.Option(help="Write the metrics there.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Print AI-TOD metrics, of weights on a data set or of two files.

    Either DATA and --weights, or --annotations and --detections.
    """
    from srtod.metrics import evaluate_files
    from srtod.support.files import require_free

    for file in filter(None, (json, save_detections)):
        require_free(file, overwrite=overwrite, inputs=(data, annotations, detections, weights))
    if annotations is not None and detections is not None:
        _refuse_options_of_weights(context)
        metrics = evaluate_files(
            annotations, detections, detections_per_image=detections_per_image, skip_bad=skip_bad
        )
    elif annotations is None and detections is None and data is not None:
        from srtod.data.depth import parse_stretch, stretch_of
        from srtod.engine.evaluate import evaluate as evaluate_detector
        from srtod.engine.sets import Source, evaluation_set
        from srtod.inference import in_slices, load_finder

        slicing = slicing_of(
            slice,
            overlap=overlap,
            full_image=full_image,
            merge=merge,
            merge_classes=merge_classes,
            focus=focus,
            focus_by=focus_by,
            zoom=zoom,
        )
        loaded = load_finder(
            weights,
            device=device,
            stretch=parse_stretch(stretch),
            trust_weights=trust_weights,
            calibrated=False,
        )
        finder = in_slices(loaded, slicing, batch_size=batch_size)
        metrics = evaluate_detector(
            finder,
            evaluation_set(Source(data, split, format, skip_bad, stretch_of(finder))),
            precision=precision,
            batch_size=batch_size,
            detections_per_image=detections_per_image,
            save_detections=save_detections,
        )
    else:
        raise InputError("evaluate what? give DATA, or --annotations and --detections")
    _show(metrics, json)


def _show(metrics: "Metrics", file: Path | None) -> None:
    from rich.console import Console

    from srtod.metrics.terminal import metrics_table
    from srtod.support.files import write_json

    for note in metrics.notes:
        typer.echo(note, err=True)
    Console().print(metrics_table(metrics))
    if file is not None:
        write_json(file, metrics.to_json(), indent=2)


def _refuse_options_of_weights(context: typer.Context) -> None:
    of_files = {"annotations", "detections", "detections_per_image", "json", "overwrite", "skip_bad"}
    given = [name for name in given_options(context) if name not in of_files]
    if given:
        option = "DATA" if given[0] == "data" else f"--{given[0].replace('_', '-')}"
        raise InputError(
            f"{option} does not go with --annotations and --detections; leave one or the other out"
        )
