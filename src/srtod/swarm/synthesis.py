"""Making a data set of drone swarms in the layout of DroneSwarms."""

import math
import multiprocessing
import os
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from srtod.support.errors import InputError, SrtodError
from srtod.support.files import atomic_folder, write_json
from srtod.support.progress import counting_bar
from srtod.support.signals import serve_parent
from srtod.swarm.cutouts import Composed, read_cutouts
from srtod.swarm.flyers import Procedural
from srtod.swarm.picture import SplitPlan, Synthesized, make_image
from srtod.swarm.scenery import HELD_OUT, TRAINING, choose_scenery
from srtod.swarm.statistics import MEAN_SIZE, OBJECTS_PER_IMAGE, Sizes

_TRAIN = "train"
_MAX_FILLED = 0.2
_MIN_SIDE, _MAX_SIDE = 32, 16_384


def synthesize(
    output: Path | str,
    *,
    splits: Mapping[str, int] | None = None,
    size: tuple[int, int] = (1920, 1080),
    seed: int = 0,
    workers: int | None = None,
    sprites: Path | str | None = None,
    backgrounds: Path | str | None = None,
    objects_per_image: float = OBJECTS_PER_IMAGE,
    mean_size: float = MEAN_SIZE,
    empty: float = 0.0,
    clutter: float = 0.0,
    scenery: Mapping[str, Sequence[str]] | None = None,
    progress: bool = False,
) -> dict[str, tuple[Synthesized, ...]]:
    """Make a data set of drone swarms: ``<split>/<split>.json`` (COCO) and ``<split>/JPEGImages``.

    Every image depends on ``seed``, its split and its number alone: the files are the same for any number of
    workers. The split ``train`` and all others never share scenery, cut-outs or photographs.

    Args:
        output: new or empty folder.
        splits: number of images of each split; 100 for ``train`` and 20 for ``test`` if left out.
        size: width and height of the images in pixels.
        seed: chooses everything.
        workers: processes; ``None`` takes one for each processor.
        sprites: folder of cut-outs with transparency, to be composed over ``backgrounds``; ``None`` draws
            everything.
        backgrounds: folder of photographs; together with ``sprites``.
        objects_per_image: mean number of drones in an image, at least 1. The rare drone that finds no free
            place where it can be seen is left out.
        mean_size: mean square root of the box area in pixels.
        empty: share of the images that show no drone, though all else that flies.
        clutter: share of what flies and is no drone that is drawn over photographs: lamps, leaves, insects,
            airliners; the rest are cut-outs of birds.
        scenery: names for each split (see :func:`~srtod.swarm.scenery.choose_scenery`); a split left out
            takes ``TRAINING`` or ``HELD_OUT``. For drawn images only.
        progress: show a bar on standard error.

    Returns:
        For each split, what its images show.

    Raises:
        InputError: an option or a file is not usable, or ``output`` cannot be written. Nothing is left
            behind then.
    """
    splits = {_TRAIN: 100, "test": 20} if splits is None else dict(splits)
    _check(splits, size, seed, workers, objects_per_image, mean_size)
    for name, share in {"--empty": empty, "--clutter": clutter}.items():
        if not 0 <= share <= 1:
            raise InputError(f"{name} {share}: give a share, 0 to 1")
    sources = _sources(splits, (sprites, backgrounds), scenery or {}, seed, size, clutter)
    sizes = Sizes.of_mean(mean_size)
    with atomic_folder(Path(output)) as folder:
        plans = []
        for split, source in sources.items():
            images = folder / split / "JPEGImages"
            images.mkdir(parents=True)
            plans.append(SplitPlan(split, images, source, size, seed, objects_per_image, sizes, empty))
        made = _make_all(plans, splits, workers or _processors(), progress=progress)
        for plan in plans:
            write_json(folder / plan.split / f"{plan.split}.json", _coco(plan, made[plan.split]))
    return made


def describe(made: Mapping[str, Sequence[Synthesized]]) -> Iterator[str]:
    """Yield one line a split: images, drones, drones an image, their sizes."""
    for split, images in made.items():
        if not images:
            continue
        sizes = [math.sqrt(width * height) for image in images for _, _, width, height in image.boxes]
        line = f"{split}: {len(images)} images, {len(sizes)} drones, {len(sizes) / len(images):.1f} an image"
        if sizes:
            small = sum(size <= 32 for size in sizes) / len(sizes)
            line += f", mean size {sum(sizes) / len(sizes):.1f} px, {small:.1%} at most 32 px"
        yield line


def _sources(
    splits: Mapping[str, int],
    cutouts: tuple[Path | str | None, Path | str | None],
    scenery: Mapping[str, Sequence[str]],
    seed: int,
    size: tuple[int, int],
    clutter: float,
) -> dict[str, Procedural | Composed]:
    """What the images of each split are made of; a split without images needs nothing."""
    sprites, backgrounds = cutouts
    if unknown := sorted(set(scenery) - set(splits)):
        raise InputError(f"scenery is given for {', '.join(unknown)}: no such split")
    if (sprites is None) != (backgrounds is None):
        raise InputError("--sprites and --backgrounds go together: give both, or neither to draw everything")
    if sprites is not None and scenery:
        raise InputError("scenery is for drawn images; leave it out with --sprites and --backgrounds")
    if clutter and sprites is None:
        raise InputError("--clutter is for composed images; give --sprites and --backgrounds, too")
    sources: dict[str, Procedural | Composed] = {}
    for split in (name for name, count in splits.items() if count):
        training, words = split == _TRAIN, scenery.get(split)
        if sprites is not None and backgrounds is not None:
            sources[split] = read_cutouts(
                Path(sprites), Path(backgrounds), held_out=not training, size=size, clutter=clutter
            )
        else:
            names = choose_scenery(words) if words else TRAINING if training else HELD_OUT
            sources[split] = Procedural(names, (seed, zlib.crc32(split.encode())))
    return sources


def _make_all(
    plans: Sequence[SplitPlan], splits: Mapping[str, int], workers: int, *, progress: bool
) -> dict[str, tuple[Synthesized, ...]]:
    jobs = [(number, index) for number, plan in enumerate(plans) for index in range(splits[plan.split])]
    workers = min(workers, len(jobs))
    with _running(plans, jobs, workers) as images, counting_bar(len(jobs), shown=progress) as bar:
        made = iter(list(bar.track(images, len(jobs), description="synthesize")))
    return {split: tuple(islice(made, count)) for split, count in splits.items()}


@contextmanager
def _running(
    plans: Sequence[SplitPlan], jobs: Sequence[tuple[int, int]], workers: int
) -> Generator[Iterator[Synthesized], None, None]:
    """Start the work; yield its results in order. When the block ends early, no worker writes any more."""
    if workers <= 1:
        yield (make_image(plans[number], index) for number, index in jobs)
        return
    # Forked workers start at once and share the cut-outs; they use no threads of their parent.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker, (tuple(plans),))
    try:
        yield pool.map(_work, jobs)
    except BrokenProcessPool as error:
        raise SrtodError("a worker process died, perhaps for lack of memory; try fewer --workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


_plans: tuple[SplitPlan, ...] = ()


def _start_worker(plans: tuple[SplitPlan, ...]) -> None:
    global _plans  # noqa: PLW0603 - a pool hands nothing else to its jobs without sending it each time
    _plans = plans
    serve_parent()


def _work(job: tuple[int, int]) -> Synthesized:
    number, index = job
    return make_image(_plans[number], index)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _coco(plan: SplitPlan, images: Sequence[Synthesized]) -> dict[str, Any]:
    width, height = plan.size
    boxes = [(number, box) for number, image in enumerate(images, start=1) for box in image.boxes]
    return {
        "info": {"description": f"synthetic drone swarms, {plan.split}", "seed": plan.seed},
        "categories": [{"id": 1, "name": "drone"}],
        "images": [
            {"id": number, "file_name": image.file_name, "width": width, "height": height}
            | {"scenery": image.scenery}
            for number, image in enumerate(images, start=1)
        ],
        "annotations": [
            {"id": identity, "image_id": number, "category_id": 1, "bbox": list(box)}
            | {"area": box[2] * box[3], "iscrowd": 0}
            for identity, (number, box) in enumerate(boxes, start=1)
        ],
    }


def _check(
    splits: Mapping[str, int],
    size: tuple[int, int],
    seed: int,
    workers: int | None,
    objects: float,
    mean_size: float,
) -> None:
    if any(count < 0 for count in splits.values()) or not any(splits.values()):
        raise InputError("the numbers of images must not be negative, nor all zero")
    if any(not re.fullmatch(r"\w[\w.-]*", split) for split in splits):
        raise InputError(f"splits {', '.join(splits)}: use names of letters and digits")
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in size):
        raise InputError(f"--size {size[0]}x{size[1]}: give sides of {_MIN_SIDE} to {_MAX_SIDE} pixels")
    if seed < 0:
        raise InputError(f"--seed {seed}: give 0 or more")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")
    if not 1 <= objects < np.inf:
        raise InputError(f"--objects-per-image {objects:g}: give 1 or more")
    if not 3 <= mean_size <= min(size) / 8:
        raise InputError(
            f"--mean-size {mean_size:g}: give 3 to {min(size) / 8:g} (an eighth of the image) pixels"
        )
    if objects * mean_size**2 > _MAX_FILLED * size[0] * size[1]:
        raise InputError(
            f"{objects:g} objects of {mean_size:g} pixels do not fit into {size[0]} x {size[1]} pixels; "
            "choose fewer, smaller ones or a larger --size"
        )
