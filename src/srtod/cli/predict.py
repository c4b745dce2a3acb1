"""``srtod predict``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli.options import BatchSize, Device, FullImage, Merge, Overlap, SkipBad, Slice, slicing_of


def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Images, folders, or patterns in quotes.", metavar="INPUT")
    ],
    *,
    weights: Annotated[str, typer.Option(help="Weights of a detector (.safetensors), or a hub id.")],
    output: Annotated[Path, typer.Option(help="New folder for detections.json and pictures/.")],
    annotations: Annotated[
        Path | None, typer.Option(help="Take image ids from these annotations, and draw their ground truth.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the annotations.")] = None,
    score_threshold: Annotated[
        float | None, typer.Option(help="Keep detections of at least this score; default: as trained.")
    ] = None,
    picture_score: Annotated[float, typer.Option(help="Draw detections of at least this score.")] = 0.3,
    device: Device = "auto",
    batch_size: BatchSize = 1,
    slice: Slice = None,
    overlap: Overlap = None,
    full_image: FullImage = False,
    merge: Merge = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw annotated pictures.")
    ] = True,
    skip_bad: SkipBad = False,
) -> None:
    """Find objects in images: COCO results (JSON) and annotated pictures."""
    from srtod.data import read
    from srtod.inference import (
        collect_images,
        ids_of_classes,
        load_detector,
        predict_files,
        with_annotations,
    )

    slicing = slicing_of(slice, overlap=overlap, full_image=full_image, merge=merge)
    images, annotated = collect_images(inputs), None
    if annotations is not None:
        annotated = read(annotations, split=split)
        images = with_annotations(images, annotated if skip_bad else annotated.require_sound())
    detector = load_detector(weights, device=device, score_threshold=score_threshold)
    done = predict_files(
        detector,
        images,
        output,
        batch_size=batch_size,
        slicing=slicing,
        pictures=pictures,
        picture_score=picture_score,
        skip_bad=skip_bad,
        category_ids=() if annotated is None else ids_of_classes(detector.classes, annotated),
    )
    for reason in done.skipped:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"{done.detections} detections in {done.images} images: {output / 'detections.json'}")
