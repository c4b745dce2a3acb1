"""``srtod export``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt
from srtod.defaults import ExportFormat, ExportPrecision


def export(
    *,
    weights: opt.Weights = SHIPPED,
    format: Annotated[ExportFormat, typer.Option(help="For which runtime.")],
    output: Annotated[Path, typer.Option(help="File to write: .onnx, .xml (and .bin), or .pt2.")],
    score_threshold: opt.ScoreThreshold = None,
    precision: Annotated[
        ExportPrecision, typer.Option(help="Of most layers; fp16 and int8 with --format onnx.")
    ] = "fp32",
    calibration_data: Annotated[
        Path | None, typer.Option(help="For int8: images like those to be looked at, in a known layout.")
    ] = None,
    measure: Annotated[
        Path | None, typer.Option(help="Data on which AP is measured before and after.", metavar="DATA")
    ] = None,
    most_loss: Annotated[
        float | None, typer.Option(min=0, help="Refuse to lose more points of AP (of 100) there.")
    ] = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Write a detector into a file for ONNX Runtime, OpenVINO or PyTorch, choice of detections included."""
    from rich.console import Console

    from srtod.inference.exporting import Smaller, export_weights
    from srtod.metrics.terminal import side_by_side

    export_weights(
        weights,
        output,
        format=format,
        score_threshold=score_threshold,
        smaller=Smaller(precision, calibration_data, measure, most_loss),
        on_measured=lambda measured: Console().print(side_by_side(measured)),
        overwrite=overwrite,
    )
    typer.echo(f"{output}")
