"""``srtod predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srtod.assets import SHIPPED
from srtod.cli.options import (
    Annotations,
    AnnotationsSplit,
    BatchSize,
    Device,
    FinderWeights,
    FullImage,
    Merge,
    Overlap,
    PictureScore,
    ScoreThreshold,
    SkipBad,
    Slice,
    slicing_of,
)
from srtod.defaults import PICTURE_SCORE, SHARD_SIZE, LabelLayout
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from srtod.inference.job import Done


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images or videos: files, folders, patterns in quotes; streams (rtsp://...).",
            metavar="INPUT",
        ),
    ],
    *,
    weights: FinderWeights = SHIPPED,
    output: Annotated[
        Path,
        typer.Option(help="New folder for detections.json and pictures/, of videos .jsonl and .mp4 files."),
    ] = Path("found"),
    annotations: Annotations = None,
    split: AnnotationsSplit = None,
    score_threshold: ScoreThreshold = None,
    picture_score: PictureScore = PICTURE_SCORE,
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
        LabelLayout | None,
        typer.Option(help="Write what is drawn as labels to correct, too.", show_default=False),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: very many images in shards, without pictures.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of --engine ray; default 1.", show_default=False)
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help=f"Images of a shard; default {SHARD_SIZE}.", show_default=False)
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
    from srtod.inference.many import predict_with_ray
    from srtod.inference.video import VideoSetting, collect_videos, predict_videos

    slicing = slicing_of(slice, overlap=overlap, full_image=full_image, merge=merge)
    if engine == "ray":
        if annotations or split or labels or track or every:
            raise InputError(
                "--annotations, --split, --labels, --track and --every do not go with --engine ray"
            )
        done = predict_with_ray(
            inputs,
            output,
            weights=weights,
            device=device,
            score_threshold=score_threshold,
            workers=workers or 1,
            shard_size=shard_size or SHARD_SIZE,
            slicing=slicing,
            batch_size=batch_size,
            skip_bad=skip_bad,
        )
        _report(done, output)
        return
    if workers is not None or shard_size is not None:
        raise InputError("--workers and --shard-size are about --engine ray; add it or leave them out")
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
        found = predict_videos(detector, videos, output, setting, skip_bad=skip_bad)
        typer.echo(
            f"{found.detections} detections in {found.frames} frames of {found.videos} videos: {output}"
        )
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
    _report(done, output)


def _report(done: "Done", output: Path) -> None:
    for reason in done.skipped:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"{done.detections} detections in {done.images} images: {output / 'detections.json'}")
