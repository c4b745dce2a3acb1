"""Ground truth as heads read it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srtod.errors import InputError
from srtod.types import Target


class Truth(NamedTuple):
    """Objects and regions to ignore of one image.

    Attributes:
        boxes: objects, ``[G, 4]``.
        labels: int64 ``[G]``.
        ignore_regions: ``[R, 4]``.
        generator: source of randomness of this image's sampling; None for torch's global one.
    """

    boxes: Tensor
    labels: Tensor
    ignore_regions: Tensor
    generator: torch.Generator | None


def read_targets(targets: Sequence[Target], num_classes: int, device: torch.device) -> list[Truth]:
    """Check the targets of a batch and part objects from regions to ignore.

    That is done where they lie, mostly on the host, so that nobody waits for ``device``; what it yields is on
    ``device``.

    Raises:
        InputError: wrong shapes, a box that is not finite or has no area, labels that are no integers, or a
            label out of range; it names the target and the box.
    """
    return [_read(target, index, num_classes, device) for index, target in enumerate(targets)]


def _read(target: Target, index: int, num_classes: int, device: torch.device) -> Truth:
    boxes = target["boxes"].float().reshape(-1, 4)
    labels = _integers(target["labels"], index).to(boxes.device)
    ignore = target.get("ignore")
    ignore = torch.zeros_like(labels, dtype=torch.bool) if ignore is None else ignore.to(boxes.device).bool()
    if not len(boxes) == len(labels) == len(ignore):
        raise InputError(
            f"targets[{index}]: {len(boxes)} boxes, {len(labels)} labels and {len(ignore)} ignore flags"
        )
    bad = ~(boxes.isfinite().all(dim=1) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise InputError(
            f"targets[{index}]: box {row} {boxes[row].tolist()} is not finite or has no width or height"
        )
    objects = ~ignore
    wrong = objects & ((labels < 0) | (labels >= num_classes))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise InputError(
            f"targets[{index}]: label {int(labels[row])} of box {row}: the detector has {num_classes} classes"
        )
    seed = target.get("seed")
    generator = None if seed is None else torch.Generator(device).manual_seed(int(seed))
    return Truth(boxes[objects].to(device), labels[objects].to(device), boxes[ignore].to(device), generator)


def _integers(labels: Tensor, index: int) -> Tensor:
    """Labels as int64; those of no box may be of any type, such as that of ``torch.tensor([])``."""
    if len(labels) and (labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex()):
        raise InputError(f"targets[{index}]: labels are integers (int64), not {labels.dtype}")
    return labels.long()
