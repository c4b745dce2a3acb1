"""The work of ``srtod predict``: what the inputs are decides which job is done."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from srtod.assets import SHIPPED
from srtod.data import read
from srtod.detectors.weights import weights_file
from srtod.inference.inputs import collect_images, ids_of_classes, with_annotations
from srtod.inference.jobs.images import ImagesDone, predict_images
from srtod.inference.jobs.listing import list_images
from srtod.inference.jobs.log import digest
from srtod.inference.jobs.options import JobOptions
from srtod.inference.jobs.shards import predict_shards
from srtod.inference.jobs.videos import VideosDone, predict_videos
from srtod.inference.predict import load_finder
from srtod.inference.video.sources import collect_videos
from srtod.support.devices import ONE_GPU, choose_device


def run_job(
    inputs: Sequence[str],
    output: Path,
    options: JobOptions,
    *,
    weights: str | Path = SHIPPED,
    in_shards: bool = False,
) -> ImagesDone | VideosDone:
    """Find objects in images or videos, and write what was found into a folder.

    Args:
        inputs: files, folders, patterns, streams; with ``in_shards`` manifests and addresses of stores, too.
        output: a folder that does not exist yet or is empty; with ``resume`` one to go on with.
        options: how.
        weights: see :func:`~srtod.inference.predict.load_finder`.
        in_shards: share images out in shards to workers, with Ray Data.

    Raises:
        InputError: nothing to look at, an option that is not about it, bad weights, an input that cannot be
            read, or ``output`` cannot be written.
    """
    file = weights_file(weights).absolute()
    finder = partial(
        load_finder,
        file,
        device=options.device,
        score_threshold=options.score_threshold,
        precision=options.precision,
    )
    if in_shards:
        options.require("--engine ray")
        images = list_images(inputs)
        choose_device(options.device, among=(*ONE_GPU, "mps"))  # Ray says which GPU each worker has
        on_gpu = finder().device.type == "cuda"  # made here, too, so that no worker has to tell bad weights
        return predict_shards(finder, images, output, options, weights=digest(file), on_gpu=on_gpu)
    if videos := collect_videos(inputs):
        options.require("videos")
        return predict_videos(finder(), videos, output, options, weights=digest(file))
    options.require("images")
    files, annotated = collect_images(inputs), None
    if options.annotations is not None:
        annotated = read(options.annotations, split=options.split)
        files = with_annotations(files, annotated if options.skip_bad else annotated.require_sound())
    loaded = finder()
    category_ids = () if annotated is None else ids_of_classes(loaded.classes, annotated)
    return predict_images(loaded, files, output, options, category_ids=category_ids, weights=digest(file))
