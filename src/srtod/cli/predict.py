"""``srtod predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt
from srtod.defaults import PICTURE_SCORE, SHARD_SIZE, LabelLayout

if TYPE_CHECKING:
    from srtod.inference.jobs import ImagesDone, VideosDone

OUTPUT = Path("found")

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Images and videos: files, folders, patterns in quotes; addresses (https://, rtsp://).",
        metavar="INPUT",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        help="New folder for detections.json and pictures/, of videos .jsonl and .mp4 files; "
        f"default: {OUTPUT}, or the next free of {OUTPUT}-2, {OUTPUT}-3 ...",
        show_default=False,
    ),
]


def predict(
    context: typer.Context,
    inputs: Inputs,
    *,
    weights: opt.FinderWeights = SHIPPED,
    trust_weights: opt.TrustWeights = False,
    output: Output = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what the same command began and did not finish.")
    ] = False,
    annotations: opt.Annotations = None,
    split: opt.AnnotationsSplit = None,
    score_threshold: opt.ScoreThreshold = None,
    picture_score: opt.PictureScore = PICTURE_SCORE,
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
    every: Annotated[int, typer.Option(min=1, help="Of a video, look at each EVERY-th frame.")] = 1,
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
    workers: Annotated[int, typer.Option(min=1, help="Processes of --engine ray.")] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Images of a shard of --engine ray.")] = SHARD_SIZE,
    skip_bad: opt.SkipBad = False,
) -> None:
    """Find objects in images (COCO results, annotated pictures) or videos (a line of JSON a frame)."""
    from srtod.data.depth import parse_stretch
    from srtod.inference.jobs import VIDEOS, JobOptions, run_job
    from srtod.support.files import next_free

    given = opt.given_options(context)
    slicing = opt.slicing_of(given)
    about_job = {name: value for name, value in given.items() if name in JobOptions.model_fields}
    if stretch is not None:
        about_job["stretch"] = parse_stretch(stretch)
    options = JobOptions.of(**about_job, slicing=slicing, views=opt.views_of(scales, flips=flips))
    folder = output or next_free(OUTPUT, taken=resume)
    done = run_job(
        inputs, folder, options, weights=weights, trust_weights=trust_weights, in_shards=engine == "ray"
    )
    for number, own in enumerate(done):
        place = folder / VIDEOS if number else folder
        _report(own, place, picture_score if pictures and engine == "local" else None)


def _report(done: "ImagesDone | VideosDone", folder: Path, picture_score: float | None) -> None:
    from srtod.inference.jobs import VideosDone

    if isinstance(done, VideosDone):
        typer.echo(f"{done.detections} detections in {done.frames} frames of {done.videos} videos: {folder}")
        return
    for reason in done.skipped:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"{done.detections} detections in {done.images} images: {folder / 'detections.json'}")
    if picture_score is not None:
        typer.echo(
            f"{done.drawn} of them, with a score of at least {picture_score:g}, are drawn in "
            f"{folder / 'pictures'}; --picture-score draws more or fewer"
        )
