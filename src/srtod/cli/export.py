"""``srtod export``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli.options import Weights


def export(
    *,
    weights: Weights = SHIPPED,
    format: Annotated[str, typer.Option(help="onnx, openvino or torch.")],
    output: Annotated[Path, typer.Option(help="File to write: .onnx, .xml (and .bin), or .pt2.")],
    score_threshold: Annotated[
        float | None, typer.Option(help="Find objects of at least this score; default: as trained.")
    ] = None,
) -> None:
    """Write a detector into a file for ONNX Runtime, OpenVINO or PyTorch, choice of detections included."""
    from srtod.inference.exporting import export_weights

    export_weights(weights, output, format=format, score_threshold=score_threshold)
    typer.echo(f"{output}")
