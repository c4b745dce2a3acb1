"""``srtod explain``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt
from srtod.defaults import PICTURE_SCORE
from srtod.support.errors import InputError


def explain(
    image: Annotated[str, typer.Argument(help="The image.", metavar="IMAGE")],
    *,
    weights: opt.MapWeights = SHIPPED,
    output: Annotated[Path, typer.Option(help="New folder for explain.png, the maps and maps.npz.")],
    annotations: opt.Annotations = None,
    split: opt.AnnotationsSplit = None,
    skip_bad: opt.SkipBad = False,
    picture_score: opt.PictureScore = PICTURE_SCORE,
    device: opt.Device = "auto",
    precision: opt.Precision = "fp32",
    stretch: opt.StretchOption = None,
) -> None:
    """Show why an object is found: finest level before and after, reconstruction, difference and mask."""
    from srtod.data.depth import parse_stretch
    from srtod.inference import collect_images, explain_file, load_detector, with_truth
    from srtod.inference.jobs.run import say_stretch

    images = collect_images([image])
    if len(images) > 1:
        raise InputError(f"{image}: holds {len(images)} images; explain shows one, name it")
    if annotations is not None:
        images = with_truth(images, annotations, split, skip_bad=skip_bad)
    record = images[0].record
    truth = None if record is None else record.boxes[~record.ignore]
    detector = load_detector(
        weights,
        device=device,
        precision=precision,
        stretch=parse_stretch(stretch),
    )
    say_stretch(detector, images)
    explain_file(detector, images[0].path, output, truth=truth, min_score=picture_score)
    typer.echo(f"{output / 'explain.png'}")
