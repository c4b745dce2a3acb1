"""From the paths a user gives to the sets that are trained and validated on."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray

from srtod.data import read, splits
from srtod.data.checks import check_images
from srtod.data.folders import image_files
from srtod.data.images import stretched
from srtod.data.records import SOME, AnnotatedSet, Fault, ImageRecord, empty_record, told
from srtod.data.slicing import sliced
from srtod.data.transforms import KEPT_FRACTION
from srtod.defaults import Stretch
from srtod.engine.processes import together
from srtod.recipes import DataRecipe
from srtod.support.errors import InputError
from srtod.support.progress import say

TrainingSets = tuple[AnnotatedSet, AnnotatedSet | None]
"""To learn from and to validate on, if anything."""


@dataclass(frozen=True)
class Source:
    """Where annotated images come from.

    Attributes:
        path: a folder or file in a known layout.
        split: of it; chosen where None.
        format: the layout; recognised where None.
        skip_bad: go on without what is damaged, and say what that is.
        stretch: of images of more than 8 bits.
    """

    path: Path
    split: str | None = None
    format: str | None = None
    skip_bad: bool = False
    stretch: Stretch = "auto"

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all there are."""
        return splits(self.path, format=self.format)

    def read(self, split: str | None) -> AnnotatedSet:
        """Read a split; see :func:`srtod.data.read`."""
        return read(self.path, format=self.format, split=split).stretched(self.stretch)


def evaluation_set(source: Source) -> AnnotatedSet:
    """Read what is evaluated on: without a named split ``val``, else ``test``, else the only one.

    Raises:
        InputError: anything wrong in the data, or none of its images can be read.
    """
    split = source.split or held_out_split(source.splits)
    sound = checked(source.read(split), skip_bad=source.skip_bad)
    if not sound.records:
        raise InputError(f"{sound.source}: no image can be read, so there is nothing to evaluate on")
    return sound


def training_sets(
    source: Source,
    val_data: Path | None = None,
    val_split: str | None = None,
    *,
    decode: bool = True,
    quiet: bool = False,
) -> TrainingSets:
    """Read the training set and the validation set.

    The training set is the split ``train``, or else ``trainval``, where there are splits and none is named.
    The validation set is ``val`` or else ``test`` of ``val_data``, or of the source without it; none where
    that has neither, or, which is told, no image that can be read. What is learned from is never validated
    on: neither the same split, nor a ``val`` that is part of ``trainval``.

    Args:
        source: what to learn from.
        val_data: other data in the same layout to validate on.
        val_split: the split to validate on; chosen as said above where None.
        decode: look at every image, see :func:`checked`.
        quiet: show neither lines nor a progress bar.

    Raises:
        InputError: a fault in the data (unless it is skipped), other classes in the two sets, or a
            ``val_split`` that is learned from.
    """
    with together(PartialState()):
        train, val = _read_both(source, val_data, val_split, quiet=quiet)
    sound = partial(checked, skip_bad=source.skip_bad, decode=decode, quiet=quiet)
    train, val = sound(train), None if val is None else sound(val)
    if val is not None and not val.records:
        if not quiet:
            say(f"{val.source}: no image can be read, so there is no validation")
        val = None
    return train, val


def _read_both(source: Source, val_data: Path | None, val_split: str | None, *, quiet: bool) -> TrainingSets:
    names = source.splits
    split = training_split(source)
    if split in ("val", "test") and source.split is None and not quiet:
        say(f"{source.path}: learns from {split!r}, the only split there is")
    train = source.read(split)
    if val_data is not None:
        other = replace(source, path=val_data)
        val = other.read(val_split or held_out_split(other.splits))
    else:
        others = [name for name in names if name != split and (split, name) != ("trainval", "val")]
        if val_split in names and val_split not in others:
            raise InputError(
                f"{source.path}: {val_split} is learned from, whole or in part; name another split to hold "
                "out"
            )
        held_out = val_split or held_out_split(others)
        val = None if held_out is None else source.read(held_out)
    if val is not None and val.records:
        _tell_shared(train, val, quiet=quiet)
    if val is not None and val.records and val.classes != train.classes:
        raise InputError(
            f"{val.source}: its classes ({', '.join(val.classes)}) are not those of {train.source} "
            f"({', '.join(train.classes)}); validate on data with the same classes"
        )
    return train, val


def training_split(source: Source) -> str | None:
    """Choose the split to learn from: the one named, else ``train``, ``trainval`` or the only one."""
    names = source.splits
    return source.split or first_of(("train", "trainval", *names[: len(names) == 1]), names)


def _tell_shared(train: AnnotatedSet, val: AnnotatedSet, *, quiet: bool) -> None:
    """Say how many images are validated on that are learned from, too."""
    learned = {os.path.realpath(record.path) for record in train.records}
    shared = sum(os.path.realpath(record.path) in learned for record in val.records)
    if shared and not quiet:
        say(
            f"{val.source}: {shared:,} of its {len(val.records):,} images are learned from, too, so that the "
            "metrics of the validation say little"
        )


def training_records(
    train: AnnotatedSet,
    recipe: DataRecipe,
    *,
    seed: int,
    held_out: Sequence[ImageRecord] = (),
    quiet: bool = False,
) -> tuple[ImageRecord, ...]:
    """Return the images, or their slices, to train on: all, or those in which an object is marked.

    Behind them come the images of the recipe's ``negatives``, or all of their slices; those that cannot be
    read are left out, and that is said.

    Args:
        train: the training set.
        recipe: which of it is learned from, and how.
        seed: of the choice of empty slices.
        held_out: images to validate on, which negatives must not be.
        quiet: show nothing.

    Raises:
        InputError: nothing is marked at all that is not to be ignored, or no object fits into a piece or
            slice; or the folder of negatives is not there, holds no image that can be read, or holds one of
            the training or validation images.
    """
    marked = tuple(record for record in train.records if record.object_count)
    if not marked:
        raise InputError(
            f"{train.source}: no image has a box, so there is nothing to learn; check the annotations"
        )
    if recipe.piece is not None and not _holds_any(recipe.piece, marked, recipe):
        raise _too_small(recipe.piece, marked, recipe)
    records = train.records if recipe.images_without_boxes else marked
    empty = ()
    if recipe.negatives is not None:
        empty = _negatives(Path(recipe.negatives), train, held_out, quiet=quiet)
    if recipe.slice is None:
        return (*records, *empty)
    cut = partial(sliced, side=recipe.slice, overlap=recipe.slice_overlap, seed=seed)
    slices = cut(records, empty=recipe.empty_slices)
    if not any(record.object_count for record in slices):
        raise _too_small(recipe.slice, marked, recipe)
    return (*slices, *cut(empty, empty=1.0))


def _holds_any(piece: int, records: Sequence[ImageRecord], recipe: DataRecipe) -> bool:
    """Whether pieces may show enough of any object, so that not all are regions to ignore."""
    sides = _sides(records)
    largest = int(piece * (1 + recipe.scale_jitter)) if recipe.crop else piece
    seen = np.minimum(sides, largest).prod(axis=1)
    return bool((seen >= KEPT_FRACTION * sides.prod(axis=1)).any())


def _too_small(piece: int, records: Sequence[ImageRecord], recipe: DataRecipe) -> InputError:
    least = max(math.ceil(np.median(_sides(records).max(axis=1))), piece + 1)
    key = "crop" if recipe.crop else "slice"
    return InputError(
        f"data.{key}: pieces of {piece} px show less than half of every object, so there is nothing to "
        f"learn; take at least {least}, which holds half of the objects whole"
    )


def _sides(records: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """Width and height of the objects, ``[N, 2]``."""
    boxes = np.concatenate([record.boxes[~record.ignore] for record in records])
    return boxes[:, 2:] - boxes[:, :2]


def _negatives(
    folder: Path, train: AnnotatedSet, held_out: Sequence[ImageRecord], *, quiet: bool
) -> tuple[ImageRecord, ...]:
    """The images of a folder, in which nothing is marked, read as those of the training set are."""
    if not folder.is_dir():
        raise InputError(f"data.negatives: {folder}: no such folder")
    known = {os.path.realpath(record.path) for record in (*train.records, *held_out)}
    records, faults = [], []
    for path in image_files(folder):
        if os.path.realpath(path) in known:
            raise InputError(f"data.negatives: {path} is an image of the data set; name a folder of others")
        try:
            records.append(empty_record(path, folder))
        except InputError as error:
            faults.append(Fault(path, str(error).removeprefix(f"{path}: ")))
    held = AnnotatedSet(folder, "images", "", train.classes, tuple(records), tuple(faults))
    stretches = {record.stretch for record in train.records}
    alike = held.stretched(*stretches) if len(stretches) == 1 else held
    sound = checked(alike, skip_bad=True, quiet=quiet)
    if not sound.records:
        raise InputError(f"data.negatives: {folder} holds no images that can be read")
    return sound.records


def common_stretch(train: AnnotatedSet) -> Stretch:
    """Choose one stretch for all images where those of more than 8 bits use little of their range: theirs."""
    ranges = [found for record in train.evenly(SOME).records if (found := stretched(record.path)) is not None]
    return (min(low for low, _, _ in ranges), max(high for _, high, _ in ranges)) if ranges else "auto"


def held_out_split(names: Sequence[str]) -> str | None:
    """Choose the split to validate or evaluate on: ``val``, else ``test``, else none."""
    return first_of(("val", "test"), names)


def first_of(wanted: Sequence[str], names: Sequence[str]) -> str | None:
    """The first name wanted that there is."""
    return next((name for name in wanted if name in names), None)


def checked(
    annotated: AnnotatedSet, *, skip_bad: bool = False, decode: bool = True, quiet: bool = False
) -> AnnotatedSet:
    """Decode every image once: a damaged one is told now, and not after hours of work.

    Training processes share the images out among themselves; all of them learn what is wrong.

    Args:
        annotated: the set to check.
        skip_bad: go on without what is damaged, and say what that is.
        decode: False: look at the annotations alone, as the images were looked at before.
        quiet: show neither lines nor a progress bar.

    Raises:
        InputError: a fault in the data, unless ``skip_bad``.
    """
    processes = PartialState()
    share = annotated.records[processes.process_index :: processes.num_processes] if decode else ()
    with together(processes):
        mine = check_images(replace(annotated, records=share, faults=()), progress=not quiet)
    faults = gather_object(list(mine.faults))
    bad = {fault.image_id for fault in faults}
    records = tuple(record for record in annotated.records if record.image_id not in bad)
    sound = replace(annotated, records=records, faults=(*annotated.faults, *faults))
    with together(processes):
        if not skip_bad:
            sound.require_sound()
    lost = (f"left out: {line}" for line in told(fault for fault in sound.faults if not fault.mended))
    notes = [*sound.notes, *lost, *told(fault for fault in sound.faults if fault.mended)]
    for note in () if quiet else [*notes, *(sound.stretch_notes() if decode else ())]:
        say(note)
    return sound
