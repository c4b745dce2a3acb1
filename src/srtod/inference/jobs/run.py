"""The work of ``srtod predict``: what the inputs are decides which job is done."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from srtod.assets import SHIPPED
from srtod.data import AnnotatedSet, read
from srtod.data.depth import stretch_of
from srtod.data.images import depth_note
from srtod.data.records import SOME
from srtod.detectors.weights import weights_file
from srtod.inference.addresses import Address
from srtod.inference.ensemble import Weights, members_of
from srtod.inference.inputs import Found, ImageFile, ids_of_classes, image_list, search, with_annotations
from srtod.inference.jobs.images import ImagesDone, predict_images
from srtod.inference.jobs.listing import list_images
from srtod.inference.jobs.log import digest
from srtod.inference.jobs.options import JobOptions, Kind
from srtod.inference.jobs.shards import predict_shards
from srtod.inference.jobs.videos import VideosDone, predict_videos
from srtod.inference.predict import load_finder
from srtod.inference.video.sources import video_list
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.progress import say
from srtod.types import Finder

VIDEOS = "videos"
"""The folder of what was found in videos, where images were looked at, too."""


def run_job(
    inputs: Sequence[str],
    output: Path,
    options: JobOptions,
    *,
    weights: Weights = SHIPPED,
    trust_weights: bool = False,
    in_shards: bool = False,
) -> list[ImagesDone | VideosDone]:
    """Find objects in images or videos, and write what was found into a folder; of both, videos go below it.

    Args:
        inputs: files, folders, patterns, addresses; with ``in_shards`` manifests and stores, too.
        output: a folder that does not exist yet or is empty; with ``resume`` one to go on with.
        options: how.
        weights: see :func:`~srtod.inference.predict.load_finder`.
        trust_weights: as there.
        in_shards: share images out in shards to workers, with Ray Data.

    Raises:
        InputError: nothing to look at, an option that is not about it, bad weights, an input that cannot be
            read, or ``output`` cannot be written.
    """
    members: list[str | Path] = [weights_file(own).absolute() for own in members_of(weights)]
    finder = partial(
        load_finder,
        members,
        device=options.device,
        score_threshold=options.score_threshold,
        precision=options.precision,
        stretch=options.stretch,
        trust_weights=trust_weights,
        views=options.views,
    )
    if in_shards:
        options.require("--engine ray")
        images = list_images(inputs)
        choose_device(options.device, among=(*ONE_GPU, "mps"))  # Ray says which GPU each worker has
        on_gpu = finder().device.type == "cuda"  # made here, too, so that no worker has to tell bad weights
        return [predict_shards(finder, images, output, options, weights=_digest(members), on_gpu=on_gpu)]
    found = search(inputs)
    kinds: list[Kind] = [*(("images",) if found.images else ()), *(("videos",) if found.videos else ())]
    options.require(*kinds)
    for note in found.notes:
        say(note)
    files, annotated = _files(found, options)
    loaded, own = finder(), _digest(members)
    say_stretch(loaded, files)
    done: list[ImagesDone | VideosDone] = []
    if files:
        numbers = () if annotated is None else ids_of_classes(loaded.classes, annotated)
        done.append(predict_images(loaded, files, output, options, category_ids=numbers, weights=own))
    if found.videos:
        folder = output / VIDEOS if files else output
        done.append(predict_videos(loaded, video_list(found.videos), folder, options, weights=own))
    return done


def _digest(members: Sequence[str | Path]) -> str:
    return " ".join(digest(Path(member)) for member in members)


def say_stretch(finder: Finder, files: Sequence[ImageFile]) -> None:
    """Say of the first of some images how it is stretched, where the finder leaves it to the image.

    What cannot be read is told in its turn.
    """
    for file in files[:: max(1, len(files) // SOME)] if stretch_of(finder) == "auto" else ():
        with suppress(InputError):
            if isinstance(file.path, Path) and (note := depth_note(file.path)):
                say(note)
                return


def _files(found: Found, options: JobOptions) -> tuple[list[ImageFile], AnnotatedSet | None]:
    """The images that were found, as the annotations know them."""
    if options.labels is not None and any(isinstance(place, Address) for place in found.images):
        raise InputError("--labels copies the images beside their labels; download them, and name the files")
    files = image_list(found.images)
    if options.annotations is None or not files:
        return files, None
    annotated = read(options.annotations, split=options.split).every_image()  # what is marked does not matter
    return with_annotations(files, annotated), annotated
