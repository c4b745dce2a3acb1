"""A data set divided at random into splits by share, with groups kept whole and classes balanced."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srtod.data import read
from srtod.data.conversion import check_layout, checked, write_sets
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError

GroupOf = Callable[[ImageRecord], Hashable]
"""What an image belongs to: a video, a flight, a place. Groups are never torn apart."""


def split_set(
    source: Path,
    target: Path,
    shares: Mapping[str, float],
    *,
    group_of: GroupOf | None = None,
    seed: int = 0,
    to: str = "coco",
    format: str | None = None,
    split: str | None = None,
    link: bool = False,
    skip_bad: bool = False,
    progress: bool = False,
) -> tuple[AnnotatedSet, list[AnnotatedSet], Counter[str]]:
    """Divide a data set and write the splits, whole or not at all.

    Args:
        source: a data set in any known layout.
        target: a folder that does not exist yet or is empty.
        shares: of the images and objects by name of the split; they add up to 1.
        group_of: see :func:`by_pattern` and :func:`by_field`; ``None`` makes every image a group.
        seed: chooses the splits; the same seed gives the same ones.
        to: layout of the target: ``coco``, ``visdrone``, ``yolo`` or ``voc``.
        format: the source's layout; ``None`` recognises it.
        split: divide this one, where the source has several.
        link: give the images further names (hard links) instead of copying them.
        skip_bad: leave damaged images and boxes out instead of stopping.
        progress: show bars on stderr.

    Returns:
        What was divided, the splits, and what the layout could not hold of them, counted.

    Raises:
        InputError: as :func:`srtod.data.conversion.convert` and :func:`divide`.
    """
    check_layout(to)
    _check_shares(shares)
    whole = checked(read(source, format=format, split=split), skip_bad=skip_bad, progress=progress)
    parts = divide(whole, shares, group_of=group_of, seed=seed)
    return whole, parts, write_sets(parts, target, to, link=link, progress=progress)


def divide(
    annotated: AnnotatedSet, shares: Mapping[str, float], *, group_of: GroupOf | None = None, seed: int = 0
) -> list[AnnotatedSet]:
    """Divide the images of a set so that each split has its share of the images and of each class's objects.

    Groups are dealt out one by one, roughly in order of their weight and at random among like ones, each to
    the split that comes nearest to its share by it (Sechidis et al., ECML PKDD 2011, deal out rare labels
    first for the same reason).

    Raises:
        InputError: the shares are not usable, there are fewer groups than splits, or a split gets none.
    """
    _check_shares(shares)
    groups: dict[Hashable, list[int]] = {}
    for index, record in enumerate(annotated.records):
        groups.setdefault(index if group_of is None else group_of(record), []).append(index)
    counts = np.array([_counts(record, len(annotated.classes)) for record in annotated.records])
    weights = np.array([counts[indices].sum(0) for indices in groups.values()])
    chosen = _deal_out(weights / weights.sum(0).clip(1), np.array([*shares.values()]), seed)
    members: list[list[int]] = [[] for _ in shares]
    for which, indices in zip(chosen, groups.values(), strict=True):
        members[which] += indices
    parts = []
    for (name, share), indices in zip(shares.items(), members, strict=True):
        if not indices:
            raise InputError(
                f"{annotated.source}: split {name!r} stays empty: {len(groups)} groups of images are too few "
                f"for a share of {share:g}; give it a larger one, or make smaller groups"
            )
        records = tuple(annotated.records[index] for index in sorted(indices))
        parts.append(replace(annotated, split=name, records=records, faults=()))
    return parts


def by_pattern(pattern: str) -> GroupOf:
    """Group images by what a regular expression finds in their file names: its first group, or all of it.

    Raises:
        InputError: the pattern is none; later, a file name does not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group-by {pattern!r}: not a regular expression: {error}") from error

    def group_of(record: ImageRecord) -> str:
        found = compiled.search(record.file_name)
        if found is None:
            raise InputError(f"{record.path}: --group-by {pattern!r} finds nothing in {record.file_name!r}")
        return found[1] if compiled.groups else found[0]

    return group_of


def by_field(name: str) -> GroupOf:
    """Group images by a field of theirs, such as ``video_id`` in COCO files.

    Raises:
        InputError: later, an image has no such field, or one that is no number or text.
    """

    def group_of(record: ImageRecord) -> Hashable:
        value = record.fields.get(name)
        if not isinstance(value, int | float | str):
            known = ", ".join(record.fields) or "none"
            raise InputError(
                f"{record.path}, image {record.image_id}: --group-field {name!r} is no number or text of it; "
                f"its fields are: {known}"
            )
        return value

    return group_of


def _check_shares(shares: Mapping[str, float]) -> None:
    wrong = [name for name in shares if not re.fullmatch(r"\w[\w.-]*", name)]
    if wrong:
        raise InputError(f"split {wrong[0]!r}: use names of letters and digits")
    if len(shares) < 2 or min(shares.values()) <= 0 or not isclose(sum(shares.values()), 1, abs_tol=1e-6):
        told = ",".join(f"{name}={share:g}" for name, share in shares.items())
        raise InputError(f"shares {told}: give at least two above 0 that add up to 1, as train=0.8,val=0.2")


def _counts(record: ImageRecord, classes: int) -> NDArray[np.int64]:
    """One image, and its objects by class."""
    return np.append(np.bincount(record.labels[~record.ignore], minlength=classes), 1)


def _deal_out(weights: NDArray[np.float64], shares: NDArray[np.float64], seed: int) -> list[int]:
    """The split of each group, whose ``weights`` ``[G, K]`` are its parts of all objects of each class."""
    order = np.random.default_rng(seed).permutation(len(weights))
    heaviest_first = np.argsort(-np.floor(np.log2(weights[order].sum(1))), kind="stable")
    missing = np.outer(shares, (weights.sum(0) > 0).astype(float))  # [splits, K]
    chosen = [0] * len(weights)
    for group in order[heaviest_first]:
        gain = (missing**2 - (missing - weights[group]) ** 2).sum(1) / shares
        chosen[group] = int(gain.argmax())
        missing[chosen[group]] -= weights[group]
    return chosen
