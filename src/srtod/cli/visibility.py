"""``srtod visibility``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt


def visibility(
    data: Annotated[Path, typer.Argument(help="Folder or file in a known layout.", metavar="DATA")],
    *,
    weights: opt.MapWeights = SHIPPED,
    split: Annotated[str | None, typer.Option(help="Split of DATA; else val, test or the only one.")] = None,
    format: opt.Layout = None,
    images: Annotated[int | None, typer.Option(min=1, help="At most so many, evenly spaced.")] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Of the images, for the intervals.")] = 200,
    device: opt.Device = "auto",
    stretch: opt.StretchOption = None,
    skip_bad: opt.SkipBad = False,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.", metavar="FILE")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw them there.", metavar="FILE.png")] = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Measure how well self-reconstruction shows objects, and what its mask is good for.

    For each map the chance that a cell of an object has a larger value than another cell, beside plain
    filters of the image; and the metrics with other masks in place of the learned one.
    """
    from rich.console import Console

    from srtod.data.depth import parse_stretch, stretch_of
    from srtod.engine.sets import Source, evaluation_set
    from srtod.engine.visibility import visibility as measure
    from srtod.inference import load_detector
    from srtod.metrics.terminal import visibility_tables
    from srtod.support.files import atomic_file, require_free, write_json
    from srtod.support.provenance import provenance

    for file in (json, picture):
        if file is not None:
            require_free(file, overwrite=overwrite, inputs=(data, weights))
    detector = load_detector(weights, device=device, stretch=parse_stretch(stretch))
    held_out = evaluation_set(Source(data, split, format, skip_bad, stretch_of(detector))).evenly(images)
    measured = measure(detector, held_out, resamples=resamples)
    for table in visibility_tables(measured):
        Console().print(table)
    if json is not None:
        write_json(json, provenance() | measured.to_json(), indent=2)
    if picture is not None:
        from srtod.plots.visibility import visibility_figure

        with atomic_file(picture) as scratch:
            visibility_figure(measured).savefig(scratch, format="png", dpi=150)
