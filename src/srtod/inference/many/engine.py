"""Shards to workers with Ray Data; a worker that dies is replaced, and its shard done again."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from srtod.defaults import SHARD_SIZE
from srtod.detectors.weights import weights_file
from srtod.inference.finder import Finder
from srtod.inference.job import Done
from srtod.inference.load import load_finder
from srtod.inference.many.listing import list_images
from srtod.inference.many.shards import Plan, begin, digest, do_shard, lines_of, missing
from srtod.inference.slices import Slicing
from srtod.results import results_file
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError, missing_extra
from srtod.support.files import atomic_file
from srtod.support.progress import counting_bar


def predict_many(
    make_finder: Callable[[], Finder],
    images: Sequence[str],
    output: Path,
    *,
    asked: dict[str, Any],
    workers: int = 1,
    on_gpu: bool = False,
    shard_size: int = SHARD_SIZE,
    slicing: Slicing | None = None,
    batch_size: int = 1,
    skip_bad: bool = False,
    progress: bool = True,
) -> Done:
    """Find objects in very many images: shards by Ray Data's workers, then one ``detections.json``.

    Called again it goes on with the shards that are not done, and without ``skip_bad`` with those of images
    that could not be read. Every image has its results exactly once, whatever dies. Where a Ray cluster is
    set up (``RAY_ADDRESS``) it is used; ``output``, and images that are paths, must then lie where all
    machines see them.

    Args:
        make_finder: makes what finds objects; called once in each worker.
        images: see :func:`~srtod.inference.many.list_images`.
        output: folder of plan, shards and results.
        asked: what decides the results beside the images, for the plan.
        workers: processes that each hold a detector. On this machine they divide its cores among them.
        on_gpu: whether they need a GPU; on this machine they share those that it has.
        shard_size: images in a shard, which is what is lost when a worker dies.
        slicing: look at each image in slices.
        batch_size: slices that go through the network together.
        skip_bad: leave images out that cannot be read, instead of refusing to put the results together.
        progress: show a progress bar on standard error.

    Raises:
        InputError: Ray is not installed, the folder holds something else, or images cannot be read.
    """
    output = Path(os.path.abspath(output))  # noqa: PTH100 - workers run elsewhere
    plan = Plan.of(images, shard_size=shard_size, asked=asked)
    begin(plan, output)

    def do(finder: Finder, number: int) -> None:
        do_shard(finder, plan, number, output, slicing=slicing, batch_size=batch_size)

    left = missing(plan, output, skip_bad=skip_bad)
    with counting_bar(len(plan.shards), shown=progress) as bar:
        task = bar.add_task("shards", total=len(plan.shards), completed=len(plan.shards) - len(left))
        if left:
            for _ in _with_ray(make_finder, do, left, min(workers, len(left)), on_gpu=on_gpu):
                bar.advance(task)
    return _together(plan, output, skip_bad=skip_bad)


def predict_with_ray(
    inputs: Iterable[str],
    output: Path,
    *,
    weights: str,
    device: str = "auto",
    score_threshold: float | None = None,
    workers: int = 1,
    shard_size: int = SHARD_SIZE,
    slicing: Slicing | None = None,
    batch_size: int = 1,
    skip_bad: bool = False,
) -> Done:
    """The work of ``srtod predict --engine ray``: list images, load weights, :func:`predict_many`.

    Raises:
        InputError: nothing to look at, bad weights, or as :func:`predict_many`.
    """
    images = list_images(inputs)
    choose_device(device, among=(*ONE_GPU, "mps"))  # Ray says which GPU each worker has
    path = weights_file(weights).absolute()

    def make_finder() -> Finder:
        return load_finder(path, device=device, score_threshold=score_threshold)

    on_gpu = make_finder().device.type == "cuda"  # made here, too, so that no worker has to tell bad weights
    known = {"slice": None if slicing is None else asdict(slicing), "score_threshold": score_threshold}
    asked = known | {"weights": digest(path)}
    return predict_many(
        make_finder,
        images,
        output,
        asked=asked,
        workers=workers,
        on_gpu=on_gpu,
        shard_size=shard_size,
        slicing=slicing,
        batch_size=batch_size,
        skip_bad=skip_bad,
    )


def _with_ray(
    make_finder: Callable[[], Finder],
    do: Callable[[Finder, int], None],
    shards: Sequence[int],
    workers: int,
    *,
    on_gpu: bool,
) -> Iterator[int]:
    """Yield the number of each shard when it is done."""
    if "RAY_ADDRESS" not in os.environ:  # workers run in this very environment: "uv run" must not make others
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("ray", "--engine ray needs Ray Data", error) from error

    class Worker:
        def __init__(self) -> None:
            self.finder = make_finder()

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            for number in batch["shard"]:
                do(self.finder, int(number))
            return batch

    started = not ray.is_initialized()
    alone = started and "RAY_ADDRESS" not in os.environ
    cores, gpus = _share(workers, on_gpu=on_gpu, alone=alone)
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
            Worker,
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


def _share(workers: int, *, on_gpu: bool, alone: bool) -> tuple[int, float]:
    """Cores and GPUs of each worker: of this machine, if they have it alone, what makes all run at once."""
    if not alone:
        return 1, float(on_gpu)
    cores = max(1, (os.cpu_count() or 1) // workers)
    return cores, 1 / -(-workers // torch.cuda.device_count()) if on_gpu else 0


def _together(plan: Plan, output: Path, *, skip_bad: bool) -> Done:
    bad = tuple(line["error"] for line in lines_of(output, plan.shards) if "error" in line)
    if bad and not skip_bad:
        more = f" (and {len(bad) - 1} more images)" if len(bad) > 1 else ""
        raise InputError(f"{bad[0]}{more}; all others are done: add --skip-bad to put them together")
    if len(bad) == len(plan.images):
        raise InputError(f"none of the {len(bad)} images can be read; the first: {bad[0]}")
    with atomic_file(output / "detections.json") as scratch, results_file(scratch) as results:
        for line in lines_of(output, plan.shards):
            results.add(line.get("detections", []))
    return Done(images=len(plan.images) - len(bad), detections=results.count, skipped=bad)
