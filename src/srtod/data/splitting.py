"""A data set divided at random into splits by share, with groups kept whole and classes balanced."""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from math import isclose

import numpy as np
from numpy.typing import NDArray

from srtod.data.fingerprints import content_of
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError

GroupOf = Callable[[ImageRecord], Hashable]
"""What an image belongs to: a video, a flight, a place. Groups are never torn apart."""


def by_content(record: ImageRecord) -> Hashable:
    """Group images whose files are the same, byte for byte."""
    return content_of(record.path)


def divide(
    annotated: AnnotatedSet,
    shares: Mapping[str, float],
    *,
    group_of: GroupOf = by_content,
    seed: int = 0,
) -> list[AnnotatedSet]:
    """Divide the images of a set so that each split has its share of the images and of each class's objects.

    Groups are dealt out one by one, roughly in order of their weight and at random among like ones, each to
    the split that comes nearest to its share by it (Sechidis et al., ECML PKDD 2011, deal out rare labels
    first for the same reason).

    Raises:
        InputError: the shares are not usable, there are no images or fewer groups than splits, or a split
            gets none.
    """
    check_shares(shares)
    if not annotated.records:
        raise InputError(
            f"{annotated.source}: no image is sound, so there is nothing to divide; see srtod data inspect"
        )
    groups: dict[Hashable, list[int]] = {}
    for index, record in enumerate(annotated.records):
        groups.setdefault(group_of(record), []).append(index)
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
                f"{annotated.source}: split {name!r} stays empty: {len(groups)} different images, or groups "
                f"of them, are too few for a share of {share:g}; give it a larger one, or make smaller groups"
            )
        records = tuple(annotated.records[index] for index in sorted(indices))
        parts.append(replace(annotated, split=name, records=records, faults=()))
    return parts


def torn_apart(parts: Sequence[AnnotatedSet]) -> list[tuple[ImageRecord, ImageRecord]]:
    """Find the images whose file is that of one in an earlier split, too, byte for byte, each with it."""
    earlier: dict[bytes, ImageRecord] = {}
    found = []
    for part in parts:
        own = [(content_of(record.path), record) for record in part.records]
        found += [(record, earlier[content]) for content, record in own if content in earlier]
        earlier = dict(own) | earlier
    return found


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse what no split can be called, and shares that do not make a whole.

    Raises:
        InputError: says what is wrong.
    """
    wrong = [name for name in shares if not re.fullmatch(r"\w[\w.-]*", name)]
    if wrong:
        raise InputError(f"split {wrong[0]!r}: use names of letters and digits")
    if len(shares) < 2 or min(shares.values()) <= 0 or not isclose(sum(shares.values()), 1, abs_tol=1e-6):
        told = ",".join(f"{name}={share:g}" for name, share in shares.items())
        raise InputError(f"shares {told}: give at least two above 0 that add up to 1, as train=0.8,val=0.2")


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
