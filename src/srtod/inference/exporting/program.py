"""A detector as one program of tensors: images and their sizes in, the detections of all images out."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.anchors import level_sizes
from srtod.boxes.suppression import DetectionLimits, above_threshold, have_area
from srtod.detectors.detector import Detector
from srtod.heads.base import Head
from srtod.heads.box_head import CascadeBoxHead
from srtod.heads.dense import DenseHead, DensePrediction
from srtod.heads.rpn import RegionProposalNetwork
from srtod.heads.two_stage import TwoStageHead
from srtod.inference.exporting.candidates import Candidates, best_of_level
from srtod.support.errors import InputError

INPUTS = ("images", "sizes")
OUTPUTS = ("boxes", "scores", "labels", "image_indices")

Choose = Callable[[Sequence[Tensor], Tensor], Candidates]
"""Levels ``[B, C, h, w]`` and sizes ``[B, 2]`` to detections."""


class Program(nn.Module):
    """What an exported file computes: normalisation, network and choice of the detections.

    It finds what the detector finds, but takes tensors alone, so that the number of images and their size
    are open.

    Args:
        detector: in evaluation mode.

    Raises:
        InputError: nothing was written for its head.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.choose = choice_of(detector.head)

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find objects.

        Args:
            images: float32 ``[B, 3, H, W]``, RGB in 0..1, each in the top left corner; what stands beside
                it is not read.
            sizes: (height, width) of each image without padding, int64 ``[B, 2]``.

        Returns:
            boxes ``[M, 4]`` (x1 y1 x2 y2 in pixels), scores ``[M]``, labels int64 ``[M]`` and index of the
            image int64 ``[M]``: one image after the other, each by descending score.
        """
        detector = self.detector
        raw, valid = _padded(images, sizes, detector.preprocess.divisor)
        normalised = (raw * 255 - detector.preprocess.mean) / detector.preprocess.std
        levels = detector.pyramid(torch.where(valid, normalised, 0.0))
        if detector.self_reconstruction is not None:
            levels = detector.self_reconstruction.enhanced(levels, raw, valid)
        found = self.choose(levels, sizes)
        return found.boxes, found.scores, found.groups, found.images


def choice_of(head: Head) -> Choose:
    """How the detections of a batch are chosen with this head.

    Raises:
        InputError: nothing was written for it.
    """
    if isinstance(head, DenseHead):
        return partial(_dense, head)
    if isinstance(head, TwoStageHead) and isinstance(head.rpn, RegionProposalNetwork):
        return partial(_two_stage, head.rpn, head.box_head)
    raise InputError(f"export: nothing was written for the head {type(head).__name__}")


def _padded(images: Tensor, sizes: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    """Images padded with 0 to sides that ``divisor`` divides, and which of their pixels are valid."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % divisor, 0, -height % divisor))
    rows, columns = (torch.arange(side, device=images.device) for side in padded.shape[-2:])
    valid = (rows[:, None] < sizes[:, :1, None]) & (columns < sizes[:, 1:, None])
    return torch.where(valid[:, None], padded, 0.0), valid[:, None]


def _two_stage(
    rpn: RegionProposalNetwork, box_head: CascadeBoxHead, levels: Sequence[Tensor], sizes: Tensor
) -> Candidates:
    proposals = _proposals(rpn, levels, sizes)
    rois = torch.cat([proposals.images[:, None].to(proposals.boxes), proposals.boxes], dim=1)
    heights, widths = sizes[proposals.images].unbind(1)
    boxes, probabilities = box_head.predict(levels, rois, (heights, widths))
    limits = box_head.limits
    rows, chosen, scores, labels = above_threshold(boxes, probabilities, limits.score_threshold)
    found = Candidates(proposals.images[rows], chosen, scores, labels)
    return _detections(found, limits, images=sizes.shape[0], classes=probabilities.shape[1])


def _proposals(rpn: RegionProposalNetwork, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
    """The proposals of all images; their groups are the levels."""
    limits = rpn.test_limits
    logits, deltas = rpn(levels)
    anchors = rpn.anchors(level_sizes(levels), sizes.device)
    choose = partial(best_of_level, sizes=sizes, coder=rpn.coder, most=limits.candidates)
    chosen = [
        choose(own_logits[..., None], own_deltas, own).candidates
        for own_logits, own_deltas, own in zip(logits, deltas, anchors, strict=True)
    ]
    numbered = [
        level._replace(groups=torch.full_like(level.groups, number)) for number, level in enumerate(chosen)
    ]
    every = Candidates(*(torch.cat(parts) for parts in zip(*numbered, strict=True)))
    solid = every.rows(have_area(every.boxes).nonzero().squeeze(1))
    return solid.best(images=sizes.shape[0], groups=len(levels), iou=limits.nms_iou, most=limits.kept)


def _dense(head: DenseHead, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
    predicted: Sequence[DensePrediction] = head.predictor(levels)
    anchors = head.anchors(level_sizes(levels), sizes.device)
    chosen = [_passed(head, level, own, sizes) for level, own in zip(predicted, anchors, strict=True)]
    found = Candidates(*(torch.cat(parts) for parts in zip(*chosen, strict=True)))
    return _detections(found, head.limits, images=sizes.shape[0], classes=predicted[0].logits.shape[2])


def _passed(head: DenseHead, predicted: DensePrediction, anchors: Tensor, sizes: Tensor) -> Candidates:
    """One level's candidates above the threshold, which is on the score before the quality's part."""
    best, rows = best_of_level(
        predicted.logits, predicted.deltas, anchors, sizes, coder=head.coder, most=head.candidates
    )
    passed = have_area(best.boxes) & (best.scores > head.limits.score_threshold)
    if predicted.quality is not None:
        best = best._replace(scores=best.scores * predicted.quality.flatten()[rows].sigmoid())
    return best.rows(passed.nonzero().squeeze(1))


def _detections(found: Candidates, limits: DetectionLimits, *, images: int, classes: int) -> Candidates:
    return found.best(images=images, groups=classes, iou=limits.nms_iou, most=limits.per_image)
