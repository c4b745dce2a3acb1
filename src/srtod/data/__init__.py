"""Data sets: files in any common layout to records, records to tensors.

:func:`read` and :func:`splits` are the way in; ``dataset`` and ``transforms`` (which need torch) the way on.
"""

from collections.abc import Iterable
from pathlib import Path

from srtod.data.formats import find_splits
from srtod.data.records import ANY_CLASS, AnnotatedSet, Fault, ImageRecord
from srtod.support.errors import InputError, did_you_mean

__all__ = ["ANY_CLASS", "AnnotatedSet", "Fault", "ImageRecord", "read", "splits"]


def splits(path: Path | str, *, format: str | None = None) -> tuple[str, ...]:
    """Name the splits of a data set (``("",)`` where it has only one without a name).

    Args:
        path: a folder or file in a layout of :data:`srtod.data.formats.READERS`.
        format: the layout's name; ``None`` recognises it.

    Raises:
        InputError: there is no data set at ``path``, or its layout is not clear.
    """
    return tuple(find_splits(Path(path), format))


def read(path: Path | str, *, format: str | None = None, split: str | None = None) -> AnnotatedSet:
    """Read one split of a data set.

    Single images and boxes that are wrong are left out and listed as the set's faults; call
    :meth:`~srtod.data.records.AnnotatedSet.require_sound` to refuse a set that has any.

    Args:
        path: a folder or file in a layout of :data:`srtod.data.formats.READERS`.
        format: the layout's name; ``None`` recognises it.
        split: which split; may be left out where there is only one.

    Raises:
        InputError: there is no data set at ``path``, its layout or split is not clear, or its annotations
            as a whole are unusable.
    """
    found = find_splits(Path(path), format)
    if split is None:
        if len(found) > 1:
            raise InputError(f"{path}: has the splits {_list(found)}; choose one with --split")
        split = next(iter(found))
    if split not in found:
        raise InputError(f"{path}: no split {split!r}{did_you_mean(split, found)}; it has {_list(found)}")
    return found[split]()


def _list(names: Iterable[str]) -> str:
    return ", ".join(name or "(unnamed)" for name in names)
