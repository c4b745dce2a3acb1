"""From the paths a user gives to the sets that are trained and validated on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import gather_object

from srtod.data import read, splits
from srtod.data.checks import check_images
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError


def training_sets(
    data: Path,
    *,
    train_split: str | None = None,
    val_data: Path | None = None,
    val_split: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    decode: bool = True,
    say: Callable[[str], None] | None = None,
) -> tuple[AnnotatedSet, AnnotatedSet | None]:
    """Read the training set and the validation set.

    The training set is the split ``train``, or else ``trainval``, where there are splits. The validation set
    is ``val`` or else ``test`` of ``val_data``, or of ``data`` without it; none where ``data`` has neither.
    What is learned from is never validated on: neither the same split, nor a ``val`` that is part of
    ``trainval``.

    Args:
        data: a folder or file in a known layout.
        train_split: the split to learn from; chosen as said above where None.
        val_data: another one to validate on.
        val_split: the split to validate on; chosen as said above where None.
        format: the layout of both; recognised where None.
        skip_bad: go on without what is damaged, and say what that is.
        decode: look at every image, see :func:`checked`.
        say: shows a line; None shows nothing, nor a progress bar.

    Raises:
        InputError: a fault in the data (unless ``skip_bad``), other classes in the two sets, or a
            ``val_split`` that is learned from.
    """
    names = splits(data, format=format)
    split = train_split or next((name for name in ("train", "trainval") if name in names), None)
    train = read(data, format=format, split=split)
    if val_data is not None:
        split = val_split or held_out_split(splits(val_data, format=format))
        val = read(val_data, format=format, split=split)
    else:
        others = [name for name in names if name != split and (split, name) != ("trainval", "val")]
        if val_split in names and val_split not in others:
            raise InputError(
                f"{data}: {val_split} is learned from, whole or in part; name another split to hold out"
            )
        held_out = val_split or held_out_split(others)
        if held_out is None:
            return checked(train, skip_bad=skip_bad, decode=decode, say=say), None
        val = read(data, format=format, split=held_out)
    if val.classes != train.classes:
        raise InputError(
            f"{val.source}: its classes ({', '.join(val.classes)}) are not those of {train.source} "
            f"({', '.join(train.classes)}); validate on data with the same classes"
        )
    train, val = (checked(one, skip_bad=skip_bad, decode=decode, say=say) for one in (train, val))
    return train, val


def training_records(train: AnnotatedSet, *, images_without_boxes: bool) -> tuple[ImageRecord, ...]:
    """Return the images to train on: all, or those in which something is marked that is not to be ignored.

    Raises:
        InputError: nothing is marked at all.
    """
    marked = tuple(record for record in train.records if (~record.ignore).any())
    if not marked:
        raise InputError(
            f"{train.source}: no image has a box, so there is nothing to learn; check the annotations"
        )
    return train.records if images_without_boxes else marked


def held_out_split(names: Sequence[str]) -> str | None:
    """Choose the split to validate or evaluate on: ``val``, else ``test``, else none."""
    return next((name for name in ("val", "test") if name in names), None)


def checked(
    annotated: AnnotatedSet,
    *,
    skip_bad: bool = False,
    decode: bool = True,
    say: Callable[[str], None] | None = None,
) -> AnnotatedSet:
    """Decode every image once: a damaged one is told now, and not after hours of work.

    Training processes share the images out among themselves; all of them learn what is wrong.

    Args:
        annotated: the set to check.
        skip_bad: go on without what is damaged, and say what that is.
        decode: False: look at the annotations alone, as the images were looked at before.
        say: shows a line; None shows nothing, nor a progress bar.

    Raises:
        InputError: a fault in the data, unless ``skip_bad``.
    """
    processes = PartialState()
    share = annotated.records[processes.process_index :: processes.num_processes] if decode else ()
    mine = check_images(replace(annotated, records=share, faults=()), progress=say is not None)
    faults = gather_object(list(mine.faults))
    bad = {fault.image_id for fault in faults}
    records = tuple(record for record in annotated.records if record.image_id not in bad)
    sound = replace(annotated, records=records, faults=(*annotated.faults, *faults))
    if not skip_bad:
        return sound.require_sound()
    if say is not None:
        for fault in sound.faults:
            say(f"left out: {fault}")
    return sound
