"""``srtod export``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli.options import Overwrite, ScoreThreshold, Weights
from srtod.defaults import ExportFormat


def export(
    *,
    weights: Weights = SHIPPED,
    format: Annotated[ExportFormat, typer.Option(help="For which runtime.")],
    output: Annotated[Path, typer.Option(help="File to write: .onnx, .xml (and .bin), or .pt2.")],
    score_threshold: ScoreThreshold = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a detector into a file for ONNX Runtime, OpenVINO or PyTorch, choice of detections included."""
    from srtod.inference.exporting import export_weights

    export_weights(weights, output, format=format, score_threshold=score_threshold, overwrite=overwrite)
    typer.echo(f"{output}")
