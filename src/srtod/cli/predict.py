"""``srtod predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srtod.cli.options import BatchSize, Device, FullImage, Merge, Overlap, SkipBad, Slice, slicing_of
from srtod.errors import InputError

if TYPE_CHECKING:
    from srtod.inference.video import VideoDone


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images or videos: files, folders, patterns in quotes; streams (rtsp://...).",
            metavar="INPUT",
        ),
    ],
    *,
    weights: Annotated[
        str, typer.Option(help="Weights of a detector (.safetensors), an exported file, or a hub id.")
    ],
    output: Annotated[
        Path,
        typer.Option(help="New folder for detections.json and pictures/, of videos .jsonl and .mp4 files."),
    ],
    annotations: Annotated[
        Path | None, typer.Option(help="Take image ids from these annotations, and draw their ground truth.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the annotations.")] = None,
    score_threshold: Annotated[
        float | None, typer.Option(help="Keep detections of at least this score; default: as trained.")
    ] = None,
    picture_score: Annotated[
        float, typer.Option(help="Draw detections of at least this score; tracks begin with them, too.")
    ] = 0.3,
    device: Device = "auto",
    batch_size: BatchSize = 1,
    slice: Slice = None,
    overlap: Overlap = None,
    full_image: FullImage = False,
    merge: Merge = None,
    every: Annotated[
        int | None, typer.Option(min=1, help="Of a video, look at each EVERY-th frame.", show_default=False)
    ] = None,
    track: Annotated[bool, typer.Option("--track", help="Number the objects of a video.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw annotated pictures or videos.")
    ] = True,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Write what is drawn as labels to correct, too: coco, yolo, voc or visdrone.",
            show_default=False,
        ),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Find objects in images (COCO results, annotated pictures) or videos (a line of JSON a frame)."""
    from srtod.data import read
    from srtod.inference import (
        collect_images,
        ids_of_classes,
        load_finder,
        predict_files,
        with_annotations,
    )
    from srtod.inference.video import VideoSetting, collect_videos, predict_videos

    slicing = slicing_of(slice, overlap=overlap, full_image=full_image, merge=merge)
    if videos := collect_videos(inputs):
        if annotations is not None or split is not None or labels is not None:
            raise InputError(
                "--annotations, --split and --labels are about images; leave them out for videos"
            )
        setting = VideoSetting(
            every=every or 1,
            track=track,
            batch_size=batch_size,
            slicing=slicing,
            pictures=pictures,
            min_score=picture_score,
        )
        detector = load_finder(weights, device=device, score_threshold=score_threshold)
        _tell(predict_videos(detector, videos, output, setting, skip_bad=skip_bad), output)
        return
    if track or every is not None:
        raise InputError("--every and --track are about videos; leave them out for images")
    images, annotated = collect_images(inputs), None
    if annotations is not None:
        annotated = read(annotations, split=split)
        images = with_annotations(images, annotated if skip_bad else annotated.require_sound())
    detector = load_finder(weights, device=device, score_threshold=score_threshold)
    done = predict_files(
        detector,
        images,
        output,
        batch_size=batch_size,
        slicing=slicing,
        pictures=pictures,
        picture_score=picture_score,
        labels=labels,
        skip_bad=skip_bad,
        category_ids=() if annotated is None else ids_of_classes(detector.classes, annotated),
    )
    for reason in done.skipped:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"{done.detections} detections in {done.images} images: {output / 'detections.json'}")


def _tell(done: "VideoDone", output: Path) -> None:
    for note in done.notes:
        typer.echo(note, err=True)
    typer.echo(f"{done.detections} detections in {done.frames} frames of {done.videos} videos: {output}")
