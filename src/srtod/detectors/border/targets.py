"""Targets as users give them, checked on the host, and as heads read them on the device."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from srtod.support.errors import InputError
from srtod.types import Target, Truth


class _Checked(NamedTuple):
    """A target on the host: objects first, then regions to ignore.

    Attributes:
        rows: float32 ``[N, 5]``, boxes and labels.
        objects: how many are objects.
        seed: of the sampling.
    """

    rows: np.ndarray
    objects: int
    seed: int | None


@torch.compiler.disable
def read_targets(
    targets: Sequence[Target] | None,
    *,
    sizes: Sequence[tuple[int, int]],
    scales: Sequence[tuple[float, float]] | None = None,
    num_classes: int,
    device: torch.device,
) -> list[Truth]:
    """Check the targets of a batch, part objects from regions to ignore, and bring both to the device.

    The checks are done on the host, where targets mostly lie, so that nobody waits for ``device``; then all
    boxes and labels of the batch go over in one copy.

    Args:
        targets: as users give them, None where they give none.
        sizes: (height, width) of the images in whose pixels the boxes are.
        scales: (x, y) factors that bring boxes to the pixels of the batch; None leaves them as they are.
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
    checked = [
        _checked(target, f"targets[{index}]", size, num_classes)
        for index, (target, size) in enumerate(zip(targets, sizes, strict=True))
    ]
    for (rows, *_), (x, y) in zip(checked, scales or (), strict=scales is not None):
        rows[:, :4] *= np.array([x, y, x, y], np.float32)
    packed = torch.from_numpy(np.concatenate([own.rows for own in checked]))
    packed = (packed.pin_memory() if device.type == "cuda" else packed).to(device, non_blocking=True)
    return [
        _truth(rows, own, device)
        for rows, own in zip(packed.split([len(own.rows) for own in checked]), checked, strict=True)
    ]


def _truth(rows: Tensor, checked: _Checked, device: torch.device) -> Truth:
    objects, regions = rows[: checked.objects], rows[checked.objects :]
    generator = None if checked.seed is None else torch.Generator(device).manual_seed(checked.seed)
    return Truth(objects[:, :4], objects[:, 4].long(), regions[:, :4], generator)


def _checked(target: Target, name: str, size: tuple[int, int], num_classes: int) -> _Checked:
    boxes, labels, ignore = _arrays(target, name)
    _check_boxes(boxes, name, size)
    _check_labels(labels, ignore, name, num_classes)
    order = np.argsort(ignore, kind="stable")
    rows = np.column_stack([boxes, np.where(ignore, 0, labels)]).astype(np.float32)[order]
    return _Checked(rows, int((~ignore).sum()), _seed(target.get("seed"), name))


def _arrays(target: Target, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes float32 ``[N, 4]``, labels ``[N]`` and ignore flags bool ``[N]``."""
    if not isinstance(target, Mapping):
        raise InputError(f"{name}: a dict with boxes and labels is needed, not {type(target).__name__}")
    boxes, labels = _array(target, "boxes", name), _array(target, "labels", name)
    if boxes.size and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise InputError(f"{name}: boxes are [N, 4] with x1, y1, x2, y2, not {list(boxes.shape)}")
    boxes = boxes.astype(np.float32).reshape(-1, 4)
    if labels.size and labels.dtype.kind not in "iu":  # those of no box may be of any type, as of tensor([])
        raise InputError(f"{name}: labels are integers (int64), not {target['labels'].dtype}")
    none = target.get("ignore") is None
    ignore = np.zeros(labels.shape, bool) if none else _array(target, "ignore", name).astype(bool)
    if not labels.shape == ignore.shape == boxes.shape[:1]:
        raise InputError(
            f"{name}: {len(boxes)} boxes, but labels {list(labels.shape)} and ignore flags "
            f"{list(ignore.shape)}; each box has one of each"
        )
    return boxes, labels, ignore


def _array(target: Mapping[str, Any], key: str, name: str) -> np.ndarray:
    value = target.get(key)
    if value is None:
        raise InputError(f"{name}: has no {key}")
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if not isinstance(value, np.ndarray):
        raise InputError(
            f"{name}: {key} must be a tensor, not {type(value).__name__}; give torch.tensor(...)"
        )
    return value


def _check_boxes(boxes: np.ndarray, name: str, size: tuple[int, int]) -> None:
    height, width = size
    x1, y1, x2, y2 = boxes.T
    faults = {
        "is not finite or has no width or height": ~np.isfinite(boxes).all(axis=1) | (x1 >= x2) | (y1 >= y2),
        f"lies outside its image of {width} x {height} pixels; correct or remove it": (
            (x1 >= width) | (y1 >= height) | (x2 <= 0) | (y2 <= 0)
        ),
    }
    for fault, applies in faults.items():
        if applies.any():
            row = int(applies.argmax())
            raise InputError(f"{name}: box {row} {boxes[row].tolist()} {fault}")


def _check_labels(labels: np.ndarray, ignore: np.ndarray, name: str, num_classes: int) -> None:
    wrong = ~ignore & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        row = int(wrong.argmax())
        known = f"{num_classes} classes; labels count from 0 to {num_classes - 1} here"
        if num_classes == 1:
            known = "1 class; its label is 0 here"
        raise InputError(f"{name}: label {int(labels[row])} of box {row}: the detector has {known}")


def _seed(seed: object, name: str) -> int | None:
    if seed is None:
        return None
    if not isinstance(seed, SupportsIndex) or not -(2**63) <= int(seed) < 2**64:
        raise InputError(f"{name}: seed is a whole number of up to 64 bits, not {seed!r}")
    return int(seed)
