"""Very many images in shards, to workers of Ray Data; where one dies, its shard is done again."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from srtod.defaults import Stretch
from srtod.inference.inputs import ImageFile
from srtod.inference.jobs.images import ImagesDone, line_of, write_results
from srtod.inference.jobs.listing import local_copy
from srtod.inference.jobs.log import digest_of, job_folder, keeping
from srtod.inference.jobs.options import DEFAULT_OPTIONS, JobOptions
from srtod.inference.predict import AnyImage, predictions
from srtod.support.errors import InputError, missing_extra
from srtod.support.files import write_text
from srtod.support.progress import counting_bar
from srtod.types import Finder


class ListedImage(NamedTuple):
    """One of very many images, a path or an address; the ids count from 1."""

    source: str
    file_name: str
    """The source without the folders that all have in common."""
    image_id: int


def listed(images: Sequence[str]) -> list[ListedImage]:
    """Give images names and ids, in this order."""
    parts = [image.replace(os.sep, "/").split("/") for image in images]
    shared = len(os.path.commonprefix([own[:-1] for own in parts]))  # noqa: RUF071 - lists of parts
    return [
        ListedImage(image, "/".join(own[shared:]), number)
        for number, (image, own) in enumerate(zip(images, parts, strict=True), start=1)
    ]


def predict_shards(
    make_finder: Callable[[], Finder],
    images: Sequence[str],
    output: Path,
    options: JobOptions = DEFAULT_OPTIONS,
    *,
    weights: str | None = None,
    on_gpu: bool = False,
) -> ImagesDone:
    """Find objects in very many images: shards by Ray Data's workers, then one ``detections.json``.

    Every image has its results exactly once, whatever dies. Where a Ray cluster is set up (``RAY_ADDRESS``)
    it is used; ``output``, and images that are paths, must then lie where all machines see them.

    Args:
        make_finder: makes what finds objects; called once in each worker.
        images: see :func:`~srtod.inference.jobs.listing.list_images`.
        output: as for :func:`~srtod.inference.jobs.images.predict_images`.
        options: how; images that cannot be read are told when all others are done.
        weights: as for :func:`~srtod.inference.jobs.images.predict_images`.
        on_gpu: whether workers need a GPU; on this machine they share those that it has.

    Raises:
        InputError: Ray is not installed, the folder holds something else, or images cannot be read.
    """
    everything = listed(images)
    output = Path(os.path.abspath(output))  # noqa: PTH100 - workers run elsewhere
    shards = [
        everything[at : at + options.shard_size] for at in range(0, len(everything), options.shard_size)
    ]
    asked = options.deciding("shard_size") | {"images": digest_of(images), "weights": weights}
    with job_folder(output, asked, resume=options.resume) as log:
        if log.finished is not None:
            return ImagesDone(**log.finished)
        keys = [image.image_id for image in everything]
        missing = set(log.missing(keys, skip_bad=options.skip_bad))
        left = [at for at, shard in enumerate(shards) if any(image.image_id in missing for image in shard)]

        def do(finder: Finder, number: int) -> None:
            lines = _lines(finder, shards[number], options)
            text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
            write_text(output / "log" / f"{number:06}.jsonl", text)

        together = partial(write_results, log, keys, options.picture_score)
        with keeping(log, len(images), "images", together):
            with counting_bar(len(shards), shown=options.progress) as bar:
                task = bar.add_task("shards", total=len(shards), completed=len(shards) - len(left))
                try:
                    for _ in _with_ray(make_finder, do, left, min(options.workers, len(left)), on_gpu=on_gpu):
                        bar.advance(task)
                finally:
                    log.read()  # what the workers wrote
            done = together()
            if done.skipped and not options.skip_bad:
                more = f" (and {len(done.skipped) - 1} more images)" if len(done.skipped) > 1 else ""
                raise InputError(f"{done.skipped[0]}{more}; all others are done: --skip-bad leaves it out")
        log.finish({"images": done.images, "detections": done.detections, "drawn": done.drawn})
    return done


@dataclass(frozen=True)
class _Fetched(ImageFile):
    """An image of which a copy is there only while it is read."""

    source: str = ""

    def read(self, stretch: Stretch = "auto") -> Tensor:
        """Read it, as any image file."""
        with local_copy(self.source) as path:
            return ImageFile(path, self.file_name, self.image_id).read(stretch)


def _lines(finder: Finder, shard: Sequence[ListedImage], options: JobOptions) -> list[dict[str, Any]]:
    """What was found in each image of a shard, or why it cannot be read."""
    lines: list[dict[str, Any]] = []

    def leave_out(image: AnyImage | ListedImage, error: InputError) -> None:
        lines.append({"key": image.image_id, "error": str(error)})

    def look(images: Sequence[ImageFile]) -> None:
        for prediction in predictions(
            finder, images, batch_size=options.batch_size, slicing=options.slicing, on_bad=leave_out
        ):
            lines.append(line_of(prediction))

    if options.slicing is None:
        look([_Fetched(Path(own.source), own.file_name, own.image_id, source=own.source) for own in shard])
        return lines
    for own in shard:  # batches are of slices of one image, which may be read piece by piece
        try:
            with local_copy(own.source) as path:
                look([ImageFile(path, own.file_name, own.image_id)])
        except InputError as error:
            leave_out(own, error)
    return lines


def _with_ray(
    make_finder: Callable[[], Finder],
    do: Callable[[Finder, int], None],
    shards: Sequence[int],
    workers: int,
    *,
    on_gpu: bool,
) -> Iterator[int]:
    """Yield the number of each shard when it is done."""
    if not shards:
        return
    if "RAY_ADDRESS" not in os.environ:  # workers run in this very environment: "uv run" must not make others
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("ray", "--engine ray needs Ray Data", error) from error

    class ShardWorker:
        def __init__(self) -> None:
            self.finder = make_finder()

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            for number in batch["shard"]:
                do(self.finder, int(number))
            return batch

    started = not ray.is_initialized()
    alone = started and "RAY_ADDRESS" not in os.environ
    cores, gpus = _resources(workers, on_gpu=on_gpu, alone=alone)
    if started:
        ray.init(
            num_cpus=workers * cores + 1 if alone else None,  # one for Ray Data itself
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=len(shards))
        done = rows.map_batches(
            ShardWorker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=cores,
            num_gpus=gpus,
        )
        for row in done.iter_rows():
            yield int(row["shard"])
    finally:
        if started:
            ray.shutdown()


def _resources(workers: int, *, on_gpu: bool, alone: bool) -> tuple[int, float]:
    """Cores and GPUs of each worker: of this machine, if they have it alone, what makes all run at once."""
    if not alone:
        return 1, float(on_gpu)
    cores = max(1, (os.cpu_count() or 1) // workers)
    return cores, 1 / -(-workers // torch.cuda.device_count()) if on_gpu else 0
