"""Targets as users give them, checked, and as heads read them."""

from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from srtod.support.errors import InputError
from srtod.types import Target, Truth


def read_targets(
    targets: Sequence[Target] | None,
    *,
    sizes: Sequence[tuple[int, int]],
    num_classes: int,
    device: torch.device,
) -> list[Truth]:
    """Check the targets of a batch and part objects from regions to ignore.

    That is done where they lie, mostly on the host, so that nobody waits for ``device``; what it yields is on
    ``device``.

    Args:
        targets: as users give them, None where they give none.
        sizes: (height, width) of the images in whose pixels the boxes are.
        num_classes: labels are below it.
        device: where the truths are wanted.

    Raises:
        InputError: a target is missing or no dict, lacks boxes or labels, or has them in wrong shapes; a box
            is not finite, has no area or lies outside its image; a label is no integer or out of range; a
            seed is no whole number. It names the target and the box.
    """
    given = len(targets) if isinstance(targets, Sequence) else type(targets).__name__
    if targets is None or given != len(sizes):
        raise InputError(
            f"targets: training needs a list with a dict for each image; images: {len(sizes)}, "
            f"targets: {given}"
        )
    return [
        _read(target, f"targets[{index}]", size, num_classes, device)
        for index, (target, size) in enumerate(zip(targets, sizes, strict=True))
    ]


def _read(target: Target, name: str, size: tuple[int, int], num_classes: int, device: torch.device) -> Truth:
    boxes, labels, ignore = _tensors(target, name)
    _check_boxes(boxes, name, size)
    _check_labels(labels, ignore, name, num_classes)
    objects = ~ignore
    return Truth(
        boxes[objects].to(device),
        labels[objects].to(device),
        boxes[ignore].to(device),
        _generator(target.get("seed"), name, device),
    )


def _tensors(target: Target, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes ``[N, 4]``, labels int64 ``[N]`` and ignore flags bool ``[N]``, where the boxes lie."""
    if not isinstance(target, Mapping):
        raise InputError(f"{name}: a dict with boxes and labels is needed, not {type(target).__name__}")
    boxes, labels = _tensor(target, "boxes", name), _tensor(target, "labels", name)
    if boxes.numel() and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise InputError(f"{name}: boxes are [N, 4] with x1, y1, x2, y2, not {list(boxes.shape)}")
    boxes = boxes.float().reshape(-1, 4)
    labels = _integers(labels, name).to(boxes.device)
    none = target.get("ignore") is None
    ignore = torch.zeros_like(labels) if none else _tensor(target, "ignore", name).to(boxes.device)
    if not labels.shape == ignore.shape == boxes.shape[:1]:
        raise InputError(
            f"{name}: {len(boxes)} boxes, but labels {list(labels.shape)} and ignore flags "
            f"{list(ignore.shape)}; each box has one of each"
        )
    return boxes, labels, ignore.bool()


def _tensor(target: Target, key: str, name: str) -> Tensor:
    value = target.get(key)
    if value is None:
        raise InputError(f"{name}: has no {key}")
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name}: {key} must be a tensor, not {type(value).__name__}; give torch.tensor(...)"
        )
    return value


def _integers(labels: Tensor, name: str) -> Tensor:
    """Labels as int64; those of no box may be of any type, such as that of ``torch.tensor([])``."""
    if labels.numel() and (labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex()):
        raise InputError(f"{name}: labels are integers (int64), not {labels.dtype}")
    return labels.long()


def _check_boxes(boxes: Tensor, name: str, size: tuple[int, int]) -> None:
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(1)
    faults = {
        "is not finite or has no width or height": ~boxes.isfinite().all(dim=1) | (x1 >= x2) | (y1 >= y2),
        f"lies outside its image of {width} x {height} pixels; correct or remove it": (
            (x1 >= width) | (y1 >= height) | (x2 <= 0) | (y2 <= 0)
        ),
    }
    for fault, applies in faults.items():
        if (row := _first(applies)) is not None:
            raise InputError(f"{name}: box {row} {boxes[row].tolist()} {fault}")


def _check_labels(labels: Tensor, ignore: Tensor, name: str, num_classes: int) -> None:
    row = _first(~ignore & ((labels < 0) | (labels >= num_classes)))
    if row is not None:
        known = f"{num_classes} classes; labels count from 0 to {num_classes - 1} here"
        if num_classes == 1:
            known = "1 class; its label is 0 here"
        raise InputError(f"{name}: label {int(labels[row])} of box {row}: the detector has {known}")


def _first(flags: Tensor) -> int | None:
    """The index of the first True."""
    return int(flags.nonzero()[0]) if bool(flags.any()) else None


def _generator(seed: object, name: str, device: torch.device) -> torch.Generator | None:
    if seed is None:
        return None
    if not isinstance(seed, SupportsIndex) or not -(2**63) <= int(seed) < 2**64:
        raise InputError(f"{name}: seed is a whole number of up to 64 bits, not {seed!r}")
    return torch.Generator(device).manual_seed(int(seed))
